/**
 * /kapso-sync: history from Kapso, and repair of what its webhooks missed. docs/api/kapso-sync.md.
 *
 * A request works on a run for as long as an Edge Function may run, and streams what it does, one JSON event
 * per line. The last event says whether another request is needed.
 *
 * @module
 */
import type { Context } from "hono";
import { type Caller, createCallerApp, requireService } from "../_shared/auth/caller.ts";
import {
  checkKapsoSettings,
  listSyncRuns,
  stopSyncRun,
  type SyncEvent,
  syncKapso,
  type SyncRequest,
  tickKapsoSync,
} from "../_shared/contracts/kapso_sync.ts";
import { refused } from "../_shared/database/errors.ts";
import type { AppVariables } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type { KapsoClient } from "../_shared/kapso/api/client.ts";
import type { InstallationWorkspaces } from "../_shared/kapso/api/installation_key.ts";
import type { BegunRun } from "./run.ts";
import { type ScheduledSyncDeps, syncDue } from "./scheduled_sync.ts";
import { checkInstallationWorkspaces } from "./settings.ts";
import type { KapsoNumber, SyncStore } from "./store.ts";
import { syncNumber } from "./sync_number.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_RUNS_LISTED = 50;

/** What the handler needs of the outside world. */
export interface HandlerDeps extends Omit<ScheduledSyncDeps, "store" | "kapsoFor"> {
  /** @throws {AppError} missing_authorization (401). */
  readCaller: (request: Request) => Promise<Caller>;
  store: SyncStore;
  /** Who may use the Kapso settings of the installation. */
  workspaces: InstallationWorkspaces;
  /** A client with the key of a connection, or the given one. @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string, apiKey?: string) => Promise<KapsoClient>;
  /** Keeps the function alive until work after the answer is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "kapso-sync", ...deps });

  addRoute(app, syncKapso, async ({ body: request }, context) => {
    const caller = await deps.readCaller(context.req.raw);
    const apiKey = kapsoKeyOf(context, caller);
    const numbers = await activeNumbers(deps.store, caller, request);
    // Before the answer begins, so that a missing key is answered with its status.
    const clients = await Promise.all(numbers.map(({ id }) => deps.kapsoFor(id, apiKey)));
    const gone = new AbortController();
    return stream(context, gone, async function* () {
      for (const [index, number] of numbers.entries()) {
        let last: SyncEvent["type"] | undefined;
        const budget = { ...deps.budget };
        const events = syncNumber({ ...deps, budget }, await begin(deps, number, request), {
          ...number,
          workspace: number.workspaceSlug,
          kapso: clients[index]!,
          delayMs: request.delay_ms,
          signal: gone.signal,
        });
        for await (const event of events) {
          last = event.type;
          yield event;
        }
        // The budget is used up, or Kapso wants a pause.
        if (last === "paused") return;
      }
    });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, checkKapsoSettings, async ({ reply }, context) => {
    requireService(await deps.readCaller(context.req.raw));
    const { workspaces, store } = deps;
    const known = await store.countWorkspaces([...workspaces.ids]);
    return reply(200, { checks: [checkInstallationWorkspaces(workspaces, known)] });
  });

  addRoute(app, tickKapsoSync, async ({ reply }, context) => {
    requireService(await deps.readCaller(context.req.raw));
    const due = await deps.store.dueRuns();
    deps.waitUntil(syncDue(deps, due));
    return reply(202, { runs: due.length });
  });

  addRoute(app, listSyncRuns, async ({ query, reply }, context) => {
    const caller = await deps.readCaller(context.req.raw);
    const runs = await deps.store.listRuns(caller, {
      workspace: query.workspace_id,
      connection: query.connection_id,
      max: MAX_RUNS_LISTED,
    });
    return reply(200, { runs });
  });

  addRoute(app, stopSyncRun, async ({ params, reply }, context) => {
    const caller = await deps.readCaller(context.req.raw);
    const run = await deps.store.stopRun(caller, params.id);
    if (!run) throw new AppError(404, "run_not_found", "Run not found, or it has ended");
    return reply(200, { run });
  });

  return (request) => app.fetch(request);
}

/** The Kapso API key of a request, which only a caller with the service key may send. */
function kapsoKeyOf(context: Context<AppVariables>, caller: Caller): string | undefined {
  const key = context.req.header("x-kapso-api-key");
  if (key !== undefined && caller.kind !== "service") {
    throw new AppError(
      403,
      "service_key_required",
      "Only a caller with the service key may send x-kapso-api-key",
    );
  }
  return key;
}

/** The phone numbers of a request whose connections are active. */
async function activeNumbers(
  store: SyncStore,
  caller: Caller,
  request: SyncRequest,
): Promise<KapsoNumber[]> {
  const found = await store.findNumbers(caller, request);
  if (found.length === 0) {
    throw new AppError(
      404,
      "connection_not_found",
      "No Kapso number was found: check the workspace and the connection_id, and that the connection has a phone_number_id",
    );
  }
  const active = found.filter(({ isActive }) => isActive);
  if (active.length === 0) throw refused("connection_inactive");
  return active;
}

async function begin(
  { runs }: HandlerDeps,
  number: KapsoNumber,
  request: SyncRequest,
): Promise<BegunRun> {
  const { messages_per_conversation: messages } = request;
  return await runs.begin({
    connectionId: number.id,
    mode: request.mode,
    messagesPerConversation: messages === "all" ? null : messages,
    since: request.since ?? null,
    isDryRun: request.dry_run,
    requestedBy: number.requestedBy,
    runId: request.run_id,
  });
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
      // Drains, so that the slice releases its lease.
      for await (const _ of iterator);
    },
  });
  return context.body(body, 200, {
    "content-type": "application/x-ndjson",
    "cache-control": "no-store",
  });
}
