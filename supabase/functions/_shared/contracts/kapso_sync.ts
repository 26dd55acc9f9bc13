/**
 * The API of kapso-sync: history from Kapso, and repair of what its webhooks missed.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "./errors.ts";
import { defineRoute, errorsOf } from "./route.ts";
import { isInYears, storableId } from "./text.ts";

/** What a run does: fetch the history, or repair what webhooks missed. */
export const syncMode = z.enum(["history", "repair"], {
  error: 'must be "history" or "repair"',
});

/** What a run does: fetch the history, or repair what webhooks missed. */
export type SyncMode = z.output<typeof syncMode>;

/** How far a run is: its phases, in order. */
export const syncPhase = z.enum(["conversations", "messages", "recent", "statuses", "finished"]);

/** How far a run is. */
export type SyncPhase = z.output<typeof syncPhase>;

/** State of a run. `partial`: finished, but some conversations could not be read or stored. */
export const syncState = z.enum(["running", "stopped", "failed", "partial", "done"]);

/** State of a run. */
export type SyncState = z.output<typeof syncState>;

const counters = {
  conversations_total: z.int(),
  conversations_done: z.int(),
  conversations_failed: z.int(),
  messages_read: z.int(),
  messages_added: z.int(),
  people_created: z.int(),
  conversations_created: z.int(),
  statuses_checked: z.int(),
  sessions_checked: z.int(),
};

const time = z.iso.datetime({ offset: true });

/** A run: a row of `sync_runs`. */
export const syncRun = z.object({
  id: z.guid(),
  workspace_id: z.guid(),
  connection_id: z.guid(),
  mode: syncMode,
  state: syncState,
  phase: syncPhase,
  ...counters,
  messages_per_conversation: z.int().nullable().meta({ description: "Null: all." }),
  since: time.nullable(),
  is_dry_run: z.boolean(),
  requested_by: z.guid().nullable().meta({
    description: "The user who began it; null for a program.",
  }),
  phone_number_id: z.string().nullable(),
  error: z.string().nullable(),
  failures: z.int().meta({ description: "Slices in a row that failed." }),
  retry_at: time.nullable(),
  stop_requested_at: time.nullable(),
  lease: z.guid().nullable(),
  lease_expires_at: time.nullable(),
  cursor: z.string().nullable(),
  walk_added: z.int(),
  walk_since: time.nullable(),
  walk_started_at: time,
  started_at: time,
  updated_at: time,
  finished_at: time.nullable(),
}).meta({ id: "SyncRun" });

/** A run: a row of `sync_runs`. */
export type SyncRun = z.output<typeof syncRun>;

/** The body of `POST /kapso-sync`. */
export const syncRequest = z.object({
  workspace: storableId(200).optional().meta({
    description: "Slug or id of a workspace: all its active Kapso numbers.",
  }),
  connection_id: storableId(200).optional().meta({
    description: "One phone number: its connection_id, id or phone_number_id.",
  }),
  mode: syncMode.default("history"),
  messages_per_conversation: z.custom<number | "all">(
    (given) => given === "all" || z.int().min(1).max(1_000_000).safeParse(given).success,
    { error: 'must be a whole number from 1 to 1000000, or "all"' },
  ).meta({
    description: "The newest messages of each conversation.",
    override: { oneOf: [{ type: "integer", minimum: 1, maximum: 1_000_000 }, { const: "all" }] },
  }).default(50),
  since: z.iso.datetime({ offset: true, error: "must be an ISO 8601 time with a time zone" })
    .refine(isInYears, { error: "must be in the years 0001 to 9999" })
    .optional().meta({ description: "Only what Kapso has stored since then." }),
  run_id: z.guid({ error: "must be the id of a run" }).optional().meta({
    description: "The run to resume. If a member stopped it in the meantime, it stays stopped.",
  }),
  dry_run: z.boolean({ error: "must be true or false" }).default(false).meta({
    description: "Read and count, store nothing.",
  }),
  delay_ms: z.custom<number>(
    (given) => z.int().min(0).max(10_000).safeParse(given).success,
    { error: "must be a whole number from 0 to 10000" },
  ).meta({
    description: "Pause between two conversations, for API keys that other programs use too.",
    override: { type: "integer", minimum: 0, maximum: 10_000 },
  }).default(0),
}, { error: "must be an object" }).refine(
  (request) => request.workspace !== undefined || request.connection_id !== undefined,
  { error: "must name a workspace or a connection_id" },
);

/** The body of `POST /kapso-sync`, checked. */
export type SyncRequest = z.output<typeof syncRequest>;

/** The body of `POST /kapso-sync`, as callers send it. */
export type SyncRequestBody = z.input<typeof syncRequest>;

const ofRun = { run_id: z.guid() };
const ofConversation = { ...ofRun, index: z.int() };

/** How far a run is. */
export const runCounts = z.object({ ...ofRun, phase: syncPhase, ...counters });

/** How far a run is. */
export type RunCounts = z.output<typeof runCounts>;

/** The first event of a run. */
export const runEvent = z.object({
  type: z.literal("run"),
  ...runCounts.shape,
  connection_id: z.string(),
  phone_number_id: z.string(),
  workspace: z.string(),
  mode: syncMode,
  messages_per_conversation: z.int().nullable().meta({ description: "Null: all." }),
  dry_run: z.boolean(),
  resumed: z.boolean().meta({ description: "Whether it resumes where an earlier slice ended." }),
});

/** The first event of a run. */
export type RunEvent = z.output<typeof runEvent>;

/**
 * The last event of a run. `paused`: post again to resume, or the schedule does; `busy`: another request
 * works on it; `stopped` and `failed`: it resumes only when posted again.
 */
export const syncEnd = z.object({
  type: z.enum(["paused", "busy", "stopped", "failed", "partial", "done"]),
  ...runCounts.shape,
  error: z.string().nullable(),
  code: z.string().nullable().meta({
    description: "Code of the error; docs/errors.md lists them.",
  }),
  retry_after_seconds: z.number().nullable().meta({
    description: "For paused and busy: when to post again; null: at once.",
  }),
});

/** The last event of a run. */
export type SyncEnd = z.output<typeof syncEnd>;

/** One line of the answer to `POST /kapso-sync`. */
export const syncEvent = z.discriminatedUnion("type", [
  runEvent,
  z.object({
    type: z.literal("conversations_page"),
    ...ofRun,
    page: z.int(),
    conversations: z.int(),
  }),
  z.object({ type: z.literal("conversations"), ...ofRun, total: z.int() }),
  z.object({
    type: z.literal("conversation"),
    ...ofConversation,
    total: z.int(),
    name: z.string().nullable(),
    phone: z.string().nullable(),
  }),
  z.object({ type: z.literal("conversation_read"), ...ofConversation, messages: z.int() }),
  z.object({
    type: z.literal("conversation_done"),
    ...ofConversation,
    messages: z.int(),
    messages_added: z.int(),
  }),
  z.object({ type: z.literal("conversation_failed"), ...ofConversation, error: z.string() }),
  z.object({ type: z.literal("progress"), ...runCounts.shape }),
  syncEnd,
]).meta({ id: "SyncEvent" });

/** One line of the answer to `POST /kapso-sync`. */
export type SyncEvent = z.output<typeof syncEvent>;

/** `POST /kapso-sync`. */
export const syncKapso = defineRoute({
  method: "post",
  path: "/kapso-sync",
  operationId: "syncKapso",
  summary:
    "Work on a run for as long as a function may run. The answer is one JSON event per line.",
  security: ["userToken", "serviceKey"],
  headers: z.object({
    "x-kapso-api-key": z.string().meta({
      description: "A Kapso API key for this request alone. Only with the service key.",
    }),
  }).partial(),
  body: syncRequest,
  responses: {
    200: {
      description: "Events; the last one of each phone number says how its run ended",
      mediaType: "application/x-ndjson",
      body: syncEvent,
    },
  },
  errors: errorsOf(apiError, 400, 401, 403, 404, 405, 413, 415, 422, 500, 503),
});

/** `GET /kapso-sync`. */
export const listSyncRuns = defineRoute({
  method: "get",
  path: "/kapso-sync",
  operationId: "listSyncRuns",
  summary: "List the newest 50 runs that the caller may see.",
  security: ["userToken", "serviceKey"],
  query: z.object({
    workspace_id: z.guid({ error: "must be the id of a workspace" }),
    connection_id: z.guid({ error: "must be the id of a connection" }),
  }).partial(),
  responses: {
    200: { description: "Runs, newest first", body: z.object({ runs: z.array(syncRun) }) },
  },
  errors: errorsOf(apiError, 400, 401, 405, 500, 503),
});

/** `POST /kapso-sync/runs/{id}/stop`. */
export const stopSyncRun = defineRoute({
  method: "post",
  path: "/kapso-sync/runs/{id}/stop",
  operationId: "stopSyncRun",
  summary: "Ask a run to stop; it stops at its next page.",
  security: ["userToken", "serviceKey"],
  params: z.object({ id: z.string().meta({ format: "uuid", description: "Id of the run." }) }),
  responses: { 200: { description: "The run", body: z.object({ run: syncRun }) } },
  errors: errorsOf(apiError, 401, 404, 405, 500, 503),
});

/** What a check of the functions' settings found, as a row of `installation_health` has it. */
export const settingCheck = z.object({
  name: z.string(),
  status: z.enum(["ok", "warning", "problem"]),
  found: z.string(),
  what_to_do: z.string().nullable(),
}).meta({ id: "SettingCheck" });

/** What a check of the functions' settings found. */
export type SettingCheck = z.output<typeof settingCheck>;

/** `GET /kapso-sync/settings`. */
export const checkKapsoSettings = defineRoute({
  method: "get",
  path: "/kapso-sync/settings",
  operationId: "checkKapsoSettings",
  summary: "For the doctor: check the settings of the functions, whose values no answer has.",
  security: ["serviceKey"],
  responses: {
    200: {
      description: "One check per setting",
      body: z.object({ checks: z.array(settingCheck) }),
    },
  },
  errors: errorsOf(apiError, 401, 403, 405, 500, 503),
});

/** `POST /kapso-sync/tick`. */
export const tickKapsoSync = defineRoute({
  method: "post",
  path: "/kapso-sync/tick",
  operationId: "tickKapsoSync",
  summary: "For the schedule, every minute: continue runs, and begin repairs that are due.",
  security: ["serviceKey"],
  responses: {
    202: { description: "The number of runs that are due", body: z.object({ runs: z.int() }) },
  },
  errors: errorsOf(apiError, 401, 403, 405, 500, 503),
});
