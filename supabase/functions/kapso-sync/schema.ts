/**
 * What kapso-sync takes, and the events it streams.
 *
 * @module
 */
import * as z from "zod";

/** Body of `POST /kapso-sync`. */
export const syncRequest = z.object({
  /** Slug or id of a workspace: all its active Kapso numbers. */
  workspace: z.string().min(1).max(200).optional(),
  /** One number: its connection_id, id or phone_number_id. */
  connection_id: z.string().min(1).max(200).optional(),
  mode: z.enum(["history", "repair"], { error: 'must be "history" or "repair"' }).default(
    "history",
  ),
  /** Newest messages of each conversation. */
  messages_per_conversation: z.custom<number | "all">(
    (given) => given === "all" || z.int().min(1).max(1_000_000).safeParse(given).success,
    { error: 'must be a whole number from 1 to 1000000, or "all"' },
  ).meta({
    override: { oneOf: [{ type: "integer", minimum: 1, maximum: 1_000_000 }, { const: "all" }] },
  }).default(50),
  /** Only what Kapso stored since then, ISO 8601 with a time zone. */
  since: z.iso.datetime({ offset: true, error: "must be an ISO 8601 time with a time zone" })
    .optional(),
  /** The run that is gone on with. Where somebody stopped it meanwhile, it stays so. */
  run_id: z.uuid({ error: "must be the id of a run" }).optional(),
  /** Read and count, store nothing. */
  dry_run: z.boolean({ error: "must be true or false" }).default(false),
  /** Pause between two conversations, in milliseconds: for keys that others need as well. */
  delay_ms: z.custom<number>(
    (given) => z.int().min(0).max(10_000).safeParse(given).success,
    { error: "must be a whole number from 0 to 10000" },
  ).meta({ override: { type: "integer", minimum: 0, maximum: 10_000 } }).default(0),
}, { error: "must be an object" }).refine(
  (request) => request.workspace !== undefined || request.connection_id !== undefined,
  { error: "must name a workspace or a connection_id" },
);

/** A validated body. */
export type SyncRequest = z.output<typeof syncRequest>;

/** One line of the answer. */
export type SyncEvent =
  | RunEvent
  | { type: "conversations_page"; run_id: string; page: number; conversations: number }
  | { type: "conversations"; run_id: string; total: number }
  | {
    type: "conversation";
    run_id: string;
    index: number;
    total: number;
    name: string | null;
    phone: string | null;
  }
  | { type: "conversation_read"; run_id: string; index: number; messages: number }
  | {
    type: "conversation_done";
    run_id: string;
    index: number;
    messages: number;
    messages_added: number;
  }
  | { type: "conversation_failed"; run_id: string; index: number; error: string }
  | ({ type: "progress" } & RunCounts)
  | SyncEnd;

/** The first line of an answer, for each run: how far it is already. */
export interface RunEvent extends RunCounts {
  type: "run";
  connection_id: string;
  phone_number_id: string;
  workspace: string;
  mode: "history" | "repair";
  /** Null: all. */
  messages_per_conversation: number | null;
  dry_run: boolean;
  /** It goes on where an earlier slice stopped. */
  resumed: boolean;
}

/** The last line of an answer, for each run: how the slice ended. */
export interface SyncEnd extends RunCounts {
  /**
   * `paused`: post again, and it goes on; the schedule does so by itself. `busy`: another slice is at
   * work. `stopped`, `failed`: it does not go on by itself.
   */
  type: "paused" | "busy" | "stopped" | "failed" | "partial" | "done";
  error: string | null;
  /** Code of the error, where there is one: see docs/errors.md. */
  code: string | null;
  /** For `paused`: when to go on, where it is not to be at once. */
  retry_after_seconds: number | null;
}

/** How far a run is. */
export interface RunCounts {
  run_id: string;
  phase: string;
  conversations_total: number;
  conversations_done: number;
  conversations_failed: number;
  messages_read: number;
  messages_added: number;
  people_created: number;
  conversations_created: number;
  statuses_checked: number;
  sessions_checked: number;
}
