/**
 * The API of daily-summary: a note per person and day.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "./errors.ts";
import { defineRoute, errorsOf } from "./route.ts";
import { isInYears } from "./text.ts";

/** State of a run. */
export const summaryState = z.enum(["running", "finished"]);

/** State of a run. */
export type SummaryState = z.output<typeof summaryState>;

const time = z.iso.datetime();

/** Progress of the summaries of a day. */
export const summaryRun = z.object({
  workspace_id: z.guid(),
  local_date: z.iso.date().meta({ description: "The day in the workspace's time zone." }),
  state: summaryState,
  people_done: z.int(),
  notes_written: z.int(),
  ai_notes: z.int(),
  tokens_used: z.int(),
  covered_until: time,
  started_at: time,
  finished_at: time.nullable(),
}).meta({ id: "SummaryRun" });

/** Progress of the summaries of a day. */
export type SummaryRun = z.output<typeof summaryRun>;

/** Why a note is an extract and not written by an AI. */
export const fallbackReason = z.enum([
  "ai_not_configured",
  "ai_not_allowed",
  "ai_failed",
  "ai_answer_unusable",
  "budget_used_up",
]);

/** Why a note is an extract and not written by an AI. */
export type FallbackReason = z.output<typeof fallbackReason>;

/** Facts about a day beside the text of its note: `person_notes.metadata` of the kind `daily_summary`. */
export const summaryMetadata = z.object({
  message_count: z.int(),
  digest: z.string().nullable().meta({
    description:
      "Names the messages of the note. The database sets it to null when one of their conversations moves to another person.",
  }),
  inbound_count: z.int(),
  outbound_count: z.int(),
  first_inbound_at: z.iso.datetime({ offset: true }).nullable(),
  first_answer_seconds: z.int().nullable(),
  unanswered_count: z.int(),
  has_open_question: z.boolean(),
  source: z.enum(["ai", "extract"]),
  fallback_reason: fallbackReason.nullable(),
  model: z.string().nullable(),
  language: z.string().meta({ description: "BCP 47 tag." }),
  covered_until: time.meta({ description: "Messages up to this time are in the note." }),
});

/** Facts about a day beside the text of its note. */
export type SummaryMetadata = z.output<typeof summaryMetadata>;

/** A note to be stored. */
export interface SummaryNote {
  person_id: string;
  /** Plain text of at most 1,200 characters. */
  content: string;
  metadata: SummaryMetadata;
}

/** The messages with a person on a local day, as `private.person_day` returns them. */
export interface PersonDay {
  person_id: string;
  message_count: number;
  /** Names the messages of the day: changes when one is added, fails or moves to another person. */
  digest: string;
  inbound_count: number;
  outbound_count: number;
  first_inbound_at: string | null;
  first_answer_seconds: number | null;
  unanswered_count: number;
  /** Whether an unanswered message is a question. */
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

/** What members may set for a workspace: a row of `workspace_summary_settings`. */
export const summarySettings = z.object({
  is_enabled: z.boolean().default(true),
  hour: z.int().min(0).max(23).default(20).meta({ description: "In the workspace's time zone." }),
  allow_external_ai: z.boolean().default(false),
  language: z.string().default("en").meta({ description: "BCP 47 tag." }),
});

/** What members may set for a workspace. */
export type SummarySettings = z.output<typeof summarySettings>;

const localDate = z.iso.date({ error: "must be a date such as 2026-02-01" })
  .refine(isInYears, { error: "must be in the years 0001 to 9999" });

/** The body of `POST /daily-summary`. `date` and `continue` are for people; the schedule sends `{}`. */
export const summaryRequest = z.strictObject({
  workspace_id: z.guid({ error: "must be the id of a workspace" }).optional(),
  date: localDate.optional(),
  continue: z.boolean({ error: "must be true or false" }).default(false),
}, { error: "must be an object with workspace_id, date or continue, and nothing else" });

/** `POST /daily-summary`. */
export const summarizeDay = defineRoute({
  method: "post",
  path: "/daily-summary",
  operationId: "summarizeDay",
  summary:
    "Create or continue the summaries of a day of a workspace, or with the service key all that are due.",
  security: ["userToken", "serviceKey"],
  body: summaryRequest,
  responses: {
    200: {
      description: "The run, for a person; with the service key the runs that were worked on",
      body: z.union([
        z.object({ run: summaryRun, is_busy: z.boolean() }),
        z.object({ runs: z.array(summaryRun), has_more: z.boolean() }),
      ]),
    },
  },
  errors: errorsOf(apiError, 400, 401, 403, 404, 405, 413, 500, 503),
});

/** `POST /daily-summary/tick`. */
export const tickDailySummary = defineRoute({
  method: "post",
  path: "/daily-summary/tick",
  operationId: "tickDailySummary",
  summary: "For the schedule, every five minutes: create what is due in all workspaces.",
  security: ["serviceKey"],
  responses: { 202: { description: "Begun", body: z.object({ accepted: z.literal(true) }) } },
  errors: errorsOf(apiError, 401, 403, 405, 500, 503),
});

/** `GET /daily-summary/{workspace}`. */
export const getSummaryRun = defineRoute({
  method: "get",
  path: "/daily-summary/{workspace}",
  operationId: "getSummaryRun",
  summary: "Read the progress of the summaries of a day.",
  security: ["userToken"],
  // Text that is no id is the id of no workspace: that is 404, not 400.
  params: z.object({
    workspace: z.string().meta({ format: "uuid", description: "Id of the workspace." }),
  }),
  query: z.object({ date: localDate.optional() }),
  responses: {
    200: {
      description: "The run; null where the day was never summarised",
      body: z.object({ run: summaryRun.nullable() }),
    },
  },
  errors: errorsOf(apiError, 400, 401, 403, 404, 405, 500, 503),
});
