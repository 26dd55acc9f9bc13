/**
 * A note per person and day. docs/api/daily-summary.md.
 *
 * @module
 */
import { type Caller, createCallerApp, requireService } from "../_shared/auth/caller.ts";
import { requireManager } from "../_shared/auth/membership.ts";
import {
  getSummaryRun,
  summarizeDay,
  type SummaryRun,
  tickDailySummary,
} from "../_shared/contracts/daily_summary.ts";
import { AppError } from "../_shared/http/errors.ts";
import { errorNames } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import { findRun, type RunRow, startRun, type SummaryStore } from "./store.ts";
import { type SummarizeDeps, summarizeDue } from "./summarize.ts";

const MAX_BODY_BYTES = 64 * 1024;

/** What the handler needs of the outside world. */
export interface HandlerDeps extends SummarizeDeps {
  /** Who calls; throws as `createCallerReader` does. */
  readCaller: (request: Request) => Promise<Caller>;
  store: SummaryStore;
  /** Keeps the function alive until work after the answer is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "daily-summary", ...deps });

  addRoute(app, summarizeDay, async ({ body, reply }, context) => {
    const caller = await deps.readCaller(context.req.raw);
    const { workspace_id: workspaceId, date } = body;
    if (caller.kind === "service") {
      const { runs, hasMore } = await summarizeDue(deps, { workspaceId, localDate: undefined });
      return reply(200, { runs: runs.map(toWire), has_more: hasMore });
    }
    if (workspaceId === undefined) {
      throw new AppError(400, "invalid_request", "workspace_id is required");
    }
    await requireManager(caller.client, workspaceId);
    const open = body.continue ? await findRun(caller.client, workspaceId, date) : undefined;
    const run = open ?? await startRun(caller.client, workspaceId, date);
    const { hasMore } = await summarizeDue(deps, {
      workspaceId: run.workspace_id,
      localDate: run.local_date,
    });
    const after = await deps.store.run(run.workspace_id, run.local_date) ?? run;
    return reply(200, { run: toWire(after), is_busy: after.state === "running" && !hasMore });
  }, { maxBodyBytes: MAX_BODY_BYTES, anyMediaType: true });

  addRoute(app, tickDailySummary, async ({ reply }, context) => {
    requireService(await deps.readCaller(context.req.raw));
    deps.waitUntil(summarizeScheduled(deps, context.get("requestId")));
    return reply(202, { accepted: true });
  });

  addRoute(app, getSummaryRun, async ({ params, query, reply }, context) => {
    const caller = await deps.readCaller(context.req.raw);
    if (caller.kind !== "user") {
      throw new AppError(401, "missing_authorization", "Sign in to see the progress of summaries");
    }
    await requireManager(caller.client, params.workspace);
    const run = await findRun(caller.client, params.workspace, query.date);
    return reply(200, { run: run ? toWire(run) : null });
  }, { queryErrorCode: "invalid_query" });

  return (request) => app.fetch(request);
}

/** Summarises what is due in all workspaces after the answer. Never throws. */
async function summarizeScheduled(deps: HandlerDeps, requestId: string): Promise<void> {
  try {
    await summarizeDue(deps, { workspaceId: undefined, localDate: undefined });
  } catch (error) {
    // The next scheduled call continues after the last stored slice.
    deps.log("error", "tick_failed", {
      request_id: requestId,
      code: error instanceof AppError ? error.code : "internal_error",
      cause: errorNames(error),
    });
  }
}

/** A run as callers see it. */
function toWire(run: RunRow): SummaryRun {
  const toUtc = (time: string) => new Date(time).toISOString();
  return {
    workspace_id: run.workspace_id,
    local_date: run.local_date,
    state: run.state,
    people_done: run.people_done,
    notes_written: run.notes_written,
    ai_notes: run.ai_notes,
    tokens_used: run.tokens_used,
    covered_until: toUtc(run.covered_until),
    started_at: toUtc(run.started_at),
    finished_at: run.finished_at && toUtc(run.finished_at),
  };
}
