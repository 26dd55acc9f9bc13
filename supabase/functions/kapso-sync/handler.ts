/**
 * /kapso-sync: history from Kapso, and repair of what its webhooks lost.
 *
 * A request works on a run for as long as an Edge Function may, and streams what it does, one JSON event
 * per line. The last line says whether another request is needed.
 *
 * @module
 */
import type { Context } from "hono";
import { type Caller, createCallerApp, requireService } from "../_shared/auth/caller.ts";
import { AppError } from "../_shared/http/errors.ts";
import { type AppVariables, limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import type { KapsoClient } from "../_shared/kapso/api/client.ts";
import type { Log } from "../_shared/http/log.ts";
import { readInput } from "../_shared/http/validation.ts";
import { type SyncEvent, type SyncRequest, syncRequest } from "./schema.ts";
import { counts, failureEvent, runSlice, type SliceBudget, type SliceDeps } from "./slice.ts";
import { type BegunRun, LeaseLost, type Run } from "./store.ts";

/** How long the schedule leaves a connection alone that has no key. */
const KEYLESS_SECONDS = 15 * 60;
/** After so many milliseconds a call of the schedule begins no further slice: functions live for 150 seconds. */
const TICK_MS = 45_000;

/** A Kapso number that the caller may sync. */
export interface SyncTarget {
  /** Primary key of the connection. */
  id: string;
  connectionId: string;
  workspaceSlug: string;
  phoneNumberId: string;
  isActive: boolean;
  /** The signed-in user; null for the service key. */
  requestedBy: string | null;
}

/** A run that the schedule has to take up. */
export interface DueRun {
  connectionId: string;
  phoneNumberId: string;
  mode: "history" | "repair";
}

/** What the handler needs of the outside world. */
export interface HandlerDeps extends Omit<SliceDeps, "kapso"> {
  /** @throws {AppError} missing_authorization (401). */
  readCaller: (request: Request) => Promise<Caller>;
  /** @throws {AppError} invalid_token (401), or as `databaseError`. */
  findTargets: (caller: Caller, request: SyncRequest) => Promise<SyncTarget[]>;
  listRuns: (
    caller: Caller,
    filter: { workspace: string | undefined; connection: string | undefined; max: number },
  ) => Promise<Run[]>;
  /** The run after it was asked to stop; undefined where the caller has no such open run. */
  stopRun: (caller: Caller, runId: string) => Promise<Run | undefined>;
  dueRuns: () => Promise<DueRun[]>;
  /** Keep the schedule from a connection for so many seconds. */
  postpone: (connectionId: string, seconds: number) => Promise<void>;
  /** Work that repeats at every call of the schedule, beside the runs. Must not throw. */
  onTick: () => Promise<void>;
  /** A client for a connection, with its own key or the given one. @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string, apiKey?: string) => Promise<KapsoClient>;
  /** Lets work go on after the answer. */
  waitUntil: (work: Promise<unknown>) => void;
  budget: SliceBudget;
  log: Log;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "kapso-sync", ...deps });

  app.post("/", limitBody(64 * 1024), requireJson, async (context) => {
    const caller = await deps.readCaller(context.req.raw);
    const request = readInput(syncRequest, await readJson(context));
    const apiKey = kapsoKeyOf(context, caller);
    const targets = await activeTargets(deps, caller, request);
    // Before the answer begins: what is missing is said with its status.
    const clients = await Promise.all(targets.map(({ id }) => deps.kapsoFor(id, apiKey)));
    const gone = new AbortController();
    return stream(context, gone, async function* () {
      for (const [index, target] of targets.entries()) {
        const begun = await deps.runs.begin({
          connectionId: target.id,
          mode: request.mode,
          messagesPerConversation: request.messages_per_conversation === "all"
            ? null
            : request.messages_per_conversation,
          since: request.since ?? null,
          isDryRun: request.dry_run,
          requestedBy: target.requestedBy,
          runId: request.run_id,
        });
        const ended = yield* syncOne(deps, begun, {
          ...target,
          workspace: target.workspaceSlug,
          kapso: clients[index]!,
          delayMs: request.delay_ms,
          signal: gone.signal,
        });
        if (ended === "paused") return;
      }
    });
  });

  app.post("/tick", async (context) => {
    requireService(await deps.readCaller(context.req.raw));
    const due = await deps.dueRuns();
    deps.waitUntil(tick(deps, due));
    return context.json({ runs: due.length }, 202);
  });

  app.get("/", async (context) => {
    const caller = await deps.readCaller(context.req.raw);
    const runs = await deps.listRuns(caller, {
      workspace: context.req.query("workspace_id"),
      connection: context.req.query("connection_id"),
      max: 50,
    });
    return context.json({ runs });
  });

  app.post("/runs/:id/stop", async (context) => {
    const caller = await deps.readCaller(context.req.raw);
    const run = await deps.stopRun(caller, context.req.param("id"));
    if (!run) throw new AppError(404, "run_not_found", "There is no such open run");
    return context.json({ run });
  });

  return (request) => app.fetch(request);
}

/** A key for this request alone, which somebody with the service key may bring. */
function kapsoKeyOf(context: Context<AppVariables>, caller: Caller): string | undefined {
  const key = context.req.header("x-kapso-api-key");
  if (key !== undefined && caller.kind !== "service") {
    throw new AppError(
      403,
      "service_key_required",
      "x-kapso-api-key goes with the service key only",
    );
  }
  return key;
}

async function activeTargets(
  deps: HandlerDeps,
  caller: Caller,
  request: SyncRequest,
): Promise<SyncTarget[]> {
  const found = await deps.findTargets(caller, request);
  if (found.length === 0) {
    throw new AppError(
      404,
      "connection_not_found",
      "No Kapso number was found: check the workspace and the connection_id, and that the connection has a phone_number_id",
    );
  }
  const active = found.filter(({ isActive }) => isActive);
  if (active.length === 0) {
    throw new AppError(403, "connection_inactive", "Connection is inactive");
  }
  return active;
}

/** What a slice of a run is to work with. */
interface SyncWork {
  connectionId: string;
  phoneNumberId: string;
  workspace: string;
  kapso: KapsoClient;
  delayMs: number;
  signal: AbortSignal;
}

async function* syncOne(
  deps: HandlerDeps,
  { run, isMine, isResumed }: BegunRun,
  work: SyncWork,
): AsyncGenerator<SyncEvent, SyncEvent["type"]> {
  yield {
    type: "run",
    ...counts(run),
    connection_id: work.connectionId,
    phone_number_id: work.phoneNumberId,
    workspace: work.workspace,
    mode: run.mode as "history" | "repair",
    messages_per_conversation: run.messages_per_conversation,
    dry_run: run.is_dry_run,
    resumed: isResumed,
  };
  if (!isMine && run.state === "stopped") {
    yield { type: "stopped", ...counts(run), error: null, code: null, retry_after_seconds: null };
    return "stopped";
  }
  if (!isMine) {
    yield busy(run);
    return "busy";
  }
  let last: SyncEvent["type"] = "paused";
  try {
    for await (
      const event of runSlice({ ...deps, kapso: work.kapso }, run, {
        phoneNumberId: work.phoneNumberId,
        delayMs: work.delayMs,
        budget: deps.budget,
        signal: work.signal,
      })
    ) {
      last = event.type;
      yield event;
    }
  } catch (error) {
    if (error instanceof LeaseLost) {
      yield busy(run);
      return "busy";
    }
    deps.log("error", "slice_failed", {
      run_id: run.id,
      code: error instanceof AppError ? error.code : "internal_error",
    });
    yield failureEvent(run, error);
    return "paused";
  }
  return last;
}

function busy(run: Run): SyncEvent {
  return {
    type: "busy",
    ...counts(run),
    error: "Another request is at work on this connection",
    code: "run_busy",
    retry_after_seconds: 5,
  };
}

async function tick(deps: HandlerDeps, due: DueRun[]): Promise<void> {
  // Beside the runs: however long those take, it has its turn.
  const other = deps.onTick();
  const until = deps.now() + TICK_MS;
  for (const run of due) {
    if (deps.now() >= until) break;
    try {
      await syncDue(deps, run);
    } catch (error) {
      deps.log("error", "tick_failed", {
        code: error instanceof AppError ? error.code : "internal_error",
      });
    }
  }
  await other;
}

async function syncDue(deps: HandlerDeps, due: DueRun): Promise<void> {
  let kapso: KapsoClient;
  try {
    kapso = await deps.kapsoFor(due.connectionId);
  } catch (error) {
    // The database is away, and is back sooner.
    if (error instanceof AppError && error.status === 503) throw error;
    await deps.postpone(due.connectionId, KEYLESS_SECONDS);
    // A number without a key is nobody's fault: its owner uses webhooks alone.
    if (error instanceof AppError && error.code === "kapso_api_key_missing") return;
    throw error;
  }
  const begun = await deps.runs.beginDue(due.connectionId, due.mode);
  if (begun === undefined) return;
  const events = syncOne(deps, begun, {
    connectionId: due.connectionId,
    phoneNumberId: due.phoneNumberId,
    workspace: "",
    kapso,
    delayMs: 0,
    signal: new AbortController().signal,
  });
  for await (const event of events) {
    if (!("error" in event) || event.type === "conversation_failed") continue;
    deps.log(event.error === null ? "info" : "error", "tick", {
      run_id: event.run_id,
      mode: due.mode,
      state: event.type,
      code: event.code,
      messages_added: event.messages_added,
    });
  }
}

/** Answers with one JSON event per line. */
function stream(
  context: Context<AppVariables>,
  gone: AbortController,
  events: () => AsyncGenerator<SyncEvent>,
): Response {
  const encoder = new TextEncoder();
  const iterator = events();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
    async cancel() {
      gone.abort();
      // Let it put its lease down.
      for await (const _ of iterator);
    },
  });
  return context.body(body, 200, {
    "content-type": "application/x-ndjson",
    "cache-control": "no-store",
  });
}
