/**
 * A call of the schedule: works on the runs that are due, one after the other.
 *
 * @module
 */
import { AppError } from "../_shared/http/errors.ts";
import { errorNames } from "../_shared/http/log.ts";
import type { KapsoClient } from "../_shared/kapso/api/client.ts";
import type { RunStore } from "./run.ts";
import type { DueRun, SyncStore } from "./store.ts";
import { isEnd, syncNumber, type SyncNumberDeps } from "./sync_number.ts";

/** How long the schedule leaves a connection without a usable key alone, in seconds. */
const KEYLESS_SECONDS = 15 * 60;
/** Milliseconds after which a call begins no further slice: functions live for 150 seconds. */
const CALL_MS = 45_000;

/** What a call of the schedule needs of the outside world. */
export interface ScheduledSyncDeps extends SyncNumberDeps {
  runs: RunStore;
  store: Pick<SyncStore, "postpone">;
  /** Copies files that are due, beside the runs. Must not throw. */
  copyDueFiles: () => Promise<void>;
  /** A client with the key of a connection. @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string) => Promise<KapsoClient>;
}

/** Works on the runs that are due until the time of a call is over. Never throws. */
export async function syncDue(deps: ScheduledSyncDeps, due: readonly DueRun[]): Promise<void> {
  // Beside the runs, so that long runs do not keep files from being copied.
  const copies = deps.copyDueFiles();
  const until = deps.monotonic() + CALL_MS;
  const call = { ...deps, budget: { ...deps.budget } };
  for (const run of due) {
    if (deps.monotonic() >= until || call.budget.pages <= 0) break;
    try {
      await syncOne(call, run);
    } catch (error) {
      deps.log("error", "tick_failed", {
        code: error instanceof AppError ? error.code : "internal_error",
        cause: errorNames(error),
      });
    }
  }
  await copies;
}

async function syncOne(deps: ScheduledSyncDeps, due: DueRun): Promise<void> {
  let kapso: KapsoClient;
  try {
    kapso = await deps.kapsoFor(due.connectionId);
  } catch (error) {
    // A database outage ends sooner than the wait of a connection without a key.
    if (error instanceof AppError && error.status === 503) throw error;
    await deps.store.postpone(due.connectionId, KEYLESS_SECONDS);
    // A phone number without a key is no error: its owner uses webhooks alone.
    if (error instanceof AppError && error.code === "kapso_api_key_missing") return;
    throw error;
  }
  const begun = await deps.runs.beginDue(due.connectionId, due.mode);
  if (begun === undefined) return;
  const events = syncNumber(deps, begun, {
    connectionId: due.connectionId,
    phoneNumberId: due.phoneNumberId,
    workspace: "",
    kapso,
    delayMs: 0,
    signal: new AbortController().signal,
  });
  for await (const event of events) {
    if (!isEnd(event)) continue;
    deps.log(event.error === null ? "info" : "error", "tick", {
      run_id: event.run_id,
      mode: due.mode,
      state: event.type,
      code: event.code,
      messages_added: event.messages_added,
    });
  }
}
