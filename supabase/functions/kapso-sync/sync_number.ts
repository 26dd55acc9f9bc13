/**
 * Works on the run of one phone number, and reports it as events.
 *
 * @module
 */
import type { SyncEnd, SyncEvent } from "../_shared/contracts/kapso_sync.ts";
import { errorNames } from "../_shared/http/log.ts";
import type { KapsoClient } from "../_shared/kapso/api/client.ts";
import { busy, countsOf, endOf, failed } from "./events.ts";
import { type BegunRun, LeaseLost } from "./run.ts";
import { runSlice, type SliceBudget, type SliceDeps } from "./slice.ts";

/** What {@linkcode syncNumber} needs of the outside world. */
export interface SyncNumberDeps extends Omit<SliceDeps, "kapso"> {
  budget: SliceBudget;
}

/** The phone number, and how its run is worked on. */
export interface SyncNumberOptions {
  connectionId: string;
  phoneNumberId: string;
  /** Slug of its workspace. */
  workspace: string;
  kapso: KapsoClient;
  /** Pause between two conversations, in milliseconds. */
  delayMs: number;
  /** Aborted once the reader of the events is gone. */
  signal: AbortSignal;
}

/**
 * Works on a run until its slice ends.
 *
 * @returns Events: the first says which run it is, the last how the slice ended. Errors become the last event.
 */
export async function* syncNumber(
  deps: SyncNumberDeps,
  { run, isMine, isResumed }: BegunRun,
  options: SyncNumberOptions,
): AsyncGenerator<SyncEvent> {
  yield {
    type: "run",
    ...countsOf(run),
    connection_id: options.connectionId,
    phone_number_id: options.phoneNumberId,
    workspace: options.workspace,
    mode: run.mode,
    messages_per_conversation: run.messages_per_conversation,
    dry_run: run.is_dry_run,
    resumed: isResumed,
  };
  if (!isMine) {
    yield run.state === "stopped" ? endOf(run, "stopped") : busy(run);
    return;
  }
  try {
    yield* runSlice({ ...deps, kapso: options.kapso }, run, { ...options, budget: deps.budget });
  } catch (error) {
    if (error instanceof LeaseLost) {
      yield busy(run);
      return;
    }
    const end = failed(run, error);
    deps.log("error", "slice_failed", { run_id: run.id, code: end.code, cause: errorNames(error) });
    yield end;
  }
}

/** Tells the last event of a run from the others. */
export function isEnd(event: SyncEvent): event is SyncEnd {
  return "retry_after_seconds" in event;
}
