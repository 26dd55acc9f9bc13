/**
 * The events of a run that say how far it is and how it ended.
 *
 * @module
 */
import type { RunCounts, SyncEnd, SyncRun } from "../_shared/contracts/kapso_sync.ts";
import { AppError } from "../_shared/http/errors.ts";

/** Why a slice ended. */
export interface EndReason {
  error?: string | undefined;
  /** Code of the error, listed in docs/errors.md. */
  code?: string | undefined;
  /** Seconds until the run may be resumed. */
  retrySeconds?: number | undefined;
}

/** The counts of a run. */
export function countsOf(run: SyncRun): RunCounts {
  return {
    run_id: run.id,
    phase: run.phase,
    conversations_total: run.conversations_total,
    conversations_done: run.conversations_done,
    conversations_failed: run.conversations_failed,
    messages_read: run.messages_read,
    messages_added: run.messages_added,
    people_created: run.people_created,
    conversations_created: run.conversations_created,
    statuses_checked: run.statuses_checked,
    sessions_checked: run.sessions_checked,
  };
}

/** The last event of a slice. */
export function endOf(run: SyncRun, type: SyncEnd["type"], reason: EndReason = {}): SyncEnd {
  return {
    type,
    ...countsOf(run),
    error: reason.error ?? null,
    code: reason.code ?? null,
    retry_after_seconds: reason.retrySeconds ?? null,
  };
}

/** The last event where another slice works on the run. */
export function busy(run: SyncRun): SyncEnd {
  return endOf(run, "busy", {
    error: "Another request is at work on this connection",
    code: "run_busy",
    retrySeconds: 5,
  });
}

/** The last event after an error, such as a database that is not available: the run can be resumed. */
export function failed(run: SyncRun, error: unknown): SyncEnd {
  const failure = error instanceof AppError
    ? error
    : new AppError(500, "internal_error", "Internal server error", { cause: error });
  return endOf(run, "paused", {
    error: failure.message,
    code: failure.code,
    retrySeconds: failure.retryAfterSeconds ?? 60,
  });
}
