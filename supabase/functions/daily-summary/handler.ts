/**
 * A note per person and day. docs/api/daily-summary.md.
 *
 * @module
 */
import type { Context } from "hono";
import * as z from "zod";
import { type Caller, createCallerApp, requireService } from "../_shared/auth/caller.ts";
import { AppError } from "../_shared/http/errors.ts";
import { type AppVariables, limitBody, readJson } from "../_shared/http/app.ts";
import type { Log } from "../_shared/http/log.ts";
import { requireRole } from "../_shared/auth/membership.ts";
import { describeIssue, readInput } from "../_shared/http/validation.ts";
import type { NoteWriter, SliceNotes } from "./notes.ts";
import { progressQuery, summaryRequest } from "./schema.ts";
import { findRun, type RunRow, type Scope, startRun, type SummaryStore } from "./store.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  /** Who calls; throws as `createCallerReader` does. */
  readCaller: (request: Request) => Promise<Caller>;
  store: SummaryStore;
  /** A writer for one request. */
  createWriter: () => NoteWriter;
  /** Lets work go on after the answer. */
  waitUntil: (work: Promise<unknown>) => void;
  /** Milliseconds after which no further slice is begun. */
  budgetMs: number;
  log: Log;
  /** Milliseconds, from anywhere. */
  now: () => number;
}

const MANAGERS = ["owner", "admin"];

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "daily-summary", ...deps });

  app.post("/", limitBody(64 * 1024), async (context) => {
    const caller = await deps.readCaller(context.req.raw);
    const request = readInput(summaryRequest, await readJson(context));
    if (caller.kind === "service") {
      const scope = { workspaceId: request.workspace_id, localDate: undefined };
      const { touched, hasMore } = await work(deps, scope);
      return context.json({ runs: touched.map(toWire), has_more: hasMore });
    }
    if (request.workspace_id === undefined) {
      throw new AppError(400, "invalid_request", "workspace_id is required");
    }
    await requireRole(caller.client, request.workspace_id, MANAGERS);
    const found = request.continue
      ? await findRun(caller.client, request.workspace_id, request.date)
      : undefined;
    const run = found ?? await startRun(caller.client, request.workspace_id, request.date);
    const scope = { workspaceId: run.workspace_id, localDate: run.local_date };
    const { hasMore } = await work(deps, scope);
    const after = await deps.store.run(run.workspace_id, run.local_date) ?? run;
    return context.json({
      run: toWire(after),
      is_busy: after.state === "running" && !hasMore,
    });
  });

  app.post("/tick", async (context) => {
    requireService(await deps.readCaller(context.req.raw));
    deps.waitUntil(tick(deps, context));
    return context.json({ accepted: true }, 202);
  });

  app.get("/:workspace", async (context) => {
    const caller = await deps.readCaller(context.req.raw);
    const workspaceId = z.guid().safeParse(context.req.param("workspace"));
    if (!workspaceId.success) {
      throw new AppError(404, "workspace_not_found", "There is no such workspace, or not for you");
    }
    if (caller.kind !== "user") {
      throw new AppError(401, "missing_authorization", "Sign in to see how far summaries are");
    }
    const date = context.req.query("date") || undefined;
    const query = progressQuery.safeParse({ date });
    if (!query.success) {
      throw new AppError(400, "invalid_query", describeIssue(query.error, "The query"));
    }
    await requireRole(caller.client, workspaceId.data, MANAGERS);
    const run = await findRun(caller.client, workspaceId.data, query.data.date);
    return context.json({ run: run ? toWire(run) : null });
  });

  return (request) => app.fetch(request);
}

/** What one request did. */
interface Work {
  /** The runs it wrote to. */
  touched: RunRow[];
  /** The time was over before the work was. */
  hasMore: boolean;
}

/** Slice after slice, until nobody is left or the time is over. */
async function work(deps: HandlerDeps, scope: Scope): Promise<Work> {
  const begin = deps.now();
  const writeNotes = deps.createWriter();
  const touched = new Map<string, { workspaceId: string; localDate: string }>();
  let hasMore = false;
  while (true) {
    if (deps.now() - begin >= deps.budgetMs) {
      hasMore = true;
      break;
    }
    const slice = await deps.store.claim(scope);
    if (!slice) break;
    let notes: SliceNotes;
    let isWritten: boolean;
    try {
      notes = await writeNotes(slice);
      isWritten = await deps.store.write(slice, notes);
    } catch (error) {
      // No database, for nobody. Anything else is the fault of this slice: its lease keeps it away while
      // the others are done.
      if (error instanceof AppError && error.status === 503) throw error;
      deps.log("error", "slice_failed", {
        workspace_id: slice.workspaceId,
        local_date: slice.localDate,
        code: error instanceof AppError ? error.code : "internal_error",
      });
      continue;
    }
    touched.set(`${slice.workspaceId} ${slice.localDate}`, slice);
    deps.log("info", "summaries", {
      workspace_id: slice.workspaceId,
      local_date: slice.localDate,
      people: slice.personIds.length,
      notes: notes.notes.length,
      ai_notes: notes.aiNotes,
      tokens: notes.tokens,
      is_written: isWritten,
    });
  }
  const runs = await Promise.all(
    [...touched.values()].map((run) => deps.store.run(run.workspaceId, run.localDate)),
  );
  return { touched: runs.filter((run) => run !== undefined), hasMore };
}

/** The same for the schedule, which does not wait for an answer. */
async function tick(deps: HandlerDeps, context: Context<AppVariables>): Promise<void> {
  try {
    await work(deps, { workspaceId: undefined, localDate: undefined });
  } catch (error) {
    // The next tick goes on where this one stopped.
    deps.log("error", "tick_failed", {
      request_id: context.get("requestId"),
      code: error instanceof AppError ? error.code : "internal_error",
    });
  }
}

/** A run as callers see it. */
function toWire(run: RunRow): Record<string, unknown> {
  const iso = (time: string | null) => time === null ? null : new Date(time).toISOString();
  return {
    workspace_id: run.workspace_id,
    local_date: run.local_date,
    state: run.state,
    people_done: run.people_done,
    notes_written: run.notes_written,
    ai_notes: run.ai_notes,
    tokens_used: run.tokens_used,
    covered_until: iso(run.covered_until),
    started_at: iso(run.started_at),
    finished_at: iso(run.finished_at),
  };
}
