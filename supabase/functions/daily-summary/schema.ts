/**
 * What daily-summary is asked, and what it reads from the database.
 *
 * @module
 */
import * as z from "zod";

const localDate = z.iso.date({ error: "must be a date such as 2026-02-01" });

/** The body of a request: both are for people, `{}` is enough for the schedule. */
export const summaryRequest = z.strictObject({
  workspace_id: z.guid({ error: "must be the id of a workspace" }).optional(),
  date: localDate.optional(),
  continue: z.boolean({ error: "must be true or false" }).default(false),
}, { error: "must be an object with workspace_id, date or continue, and nothing else" });

/** The query of a question for progress. */
export const progressQuery = z.object({
  date: localDate.optional(),
});

/** What was written with a person on a local day, as `private.person_day` gives it. */
export interface PersonDay {
  person_id: string;
  message_count: number;
  /** Of which messages these are: the same as long as none comes, fails or goes to somebody else. */
  digest: string;
  inbound_count: number;
  outbound_count: number;
  first_inbound_at: string | null;
  first_answer_seconds: number | null;
  unanswered_count: number;
  /** A question is among the messages that were not answered. */
  has_open_question: boolean;
  /** The newest of them, oldest first. */
  messages: {
    from: "customer" | "business";
    /** Local time, HH:MM. */
    at: string;
    type: string;
    /** At most 600 characters. */
    text: string;
  }[];
}

/** Why a note is an extract. */
export type FallbackReason =
  | "ai_not_configured"
  | "ai_not_allowed"
  | "ai_failed"
  | "ai_answer_unusable"
  | "budget_used_up";

/** A note, as it is stored. */
export interface Note {
  person_id: string;
  content: string;
  metadata: {
    message_count: number;
    /** Of the day the note was made from. The database sets it to null when that day is another's. */
    digest: string | null;
    inbound_count: number;
    outbound_count: number;
    first_inbound_at: string | null;
    first_answer_seconds: number | null;
    unanswered_count: number;
    has_open_question: boolean;
    source: "ai" | "extract";
    fallback_reason: FallbackReason | null;
    model: string | null;
    language: string;
    covered_until: string;
  };
}
