/**
 * Brings the run of one Kapso number to its end, slice after slice. Prints nothing.
 *
 * @module
 */

import { retry } from "../../../supabase/functions/_shared/http/retry.ts";
import type {
  RunCounts,
  SyncEnd,
  SyncEvent,
  SyncRequestBody,
} from "../../../supabase/functions/_shared/contracts/kapso_sync.ts";
import { CommandError } from "../../command_error.ts";
import { type Line, type SyncClient, SyncUnavailable } from "./sync_client.ts";
import { safeText } from "./text.ts";

/** How a number's run ended. */
export interface Outcome {
  kind: "done" | "partial" | "stopped" | "failed";
  /** The last counts; undefined if the run did not begin. */
  counts: RunCounts | undefined;
  /** For `failed`, and for `stopped` by another person: what happened, and what to do. */
  problem?: string;
}

/** What {@linkcode syncNumber} needs of the outside world. */
export interface RunDeps {
  client: SyncClient;
  /** Called with every event, in order. */
  onEvent: (line: Line) => void;
  /** Called with a sentence before it waits or stops. */
  onNote: (text: string) => void;
  /** Waits; rejects when the signal is aborted. */
  delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** When aborted, the run is asked to stop, and the work ends when it has. */
  stop: AbortSignal;
}

/** Gives up after this many slices in a row that failed without storing anything. */
const MAX_FAILURES = 8;
/** How often another caller may replace the run before this is a conflict. */
const MAX_BEGINNINGS = 3;
/** The longest wait at a terminal. */
const MAX_WAIT_SECONDS = 600;
/** The first wait after a broken connection; it doubles each time. */
const BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

/**
 * Syncs a number.
 *
 * @returns How it ended, also for a failure that concerns this number alone.
 */
export async function syncNumber(deps: RunDeps, body: SyncRequestBody): Promise<Outcome> {
  const run = new NumberRun(deps, body);
  try {
    return await run.work();
  } catch (error) {
    if (deps.stop.aborted) return await run.stopped();
    if (error instanceof CommandError || error instanceof SyncUnavailable) {
      return { kind: "failed", counts: run.counts, problem: error.message };
    }
    throw error;
  }
}

class NumberRun {
  counts: RunCounts | undefined;
  readonly #deps: RunDeps;
  readonly #body: SyncRequestBody;
  /** The run this program works on; undefined while another caller does. */
  #runId: string | undefined;
  /** Whether this slice has stored something. */
  #hasMoved = false;
  #failures = 0;
  #beginnings = 0;
  #isWaitingForOther = false;
  #stopAsked: Promise<void> | undefined;

  constructor(deps: RunDeps, body: SyncRequestBody) {
    this.#deps = deps;
    this.#body = body;
  }

  async work(): Promise<Outcome> {
    const { stop } = this.#deps;
    const onStop = () => void this.#askToStop();
    stop.addEventListener("abort", onStop);
    try {
      while (true) {
        const end = await this.#slice();
        // Cut off after something was stored: the next slice does the rest.
        if (end === undefined) continue;
        if (end.type === "done" || end.type === "partial") {
          return { kind: end.type, counts: end };
        }
        if (stop.aborted) return await this.stopped();
        if (end.type === "stopped") {
          return { kind: "stopped", counts: end, problem: "A member stopped the run." };
        }
        if (end.type === "failed") {
          return { kind: "failed", counts: end, problem: explainRefusal(end) };
        }
        await this.#pause(end);
        stop.throwIfAborted();
      }
    } finally {
      stop.removeEventListener("abort", onStop);
    }
  }

  /** The outcome after the run was asked to stop. */
  async stopped(): Promise<Outcome> {
    await this.#askToStop();
    // A run of another caller continues.
    return { kind: "stopped", counts: this.#runId === undefined ? undefined : this.counts };
  }

  /** Sends one request, and retries it until it stores something. Undefined: cut off after that. */
  async #slice(): Promise<SyncEnd | undefined> {
    const { client, stop, delay, onNote } = this.#deps;
    return await retry(async () => {
      this.#hasMoved = false;
      let end: SyncEnd | undefined;
      try {
        const body = {
          ...this.#body,
          ...(this.#runId === undefined ? {} : { run_id: this.#runId }),
        };
        for await (const line of client.post(body)) end = this.#take(line) ?? end;
        if (end) return end;
        throw new SyncUnavailable("The connection to kapso-sync broke");
      } catch (error) {
        if (end && error instanceof SyncUnavailable) return end;
        if (!(error instanceof SyncUnavailable) || !this.#hasMoved || stop.aborted) throw error;
        onNote(`${error.message}. Resuming.`);
        return undefined;
      }
    }, {
      retryAfterOf: (error) => error instanceof SyncUnavailable ? error.retryAfterMs : undefined,
      attempts: MAX_FAILURES,
      backoffMs: BACKOFF_MS,
      maxBackoffMs: MAX_BACKOFF_MS,
      maxRetryAfterMs: MAX_WAIT_SECONDS * 1000,
      signal: stop,
      delay: (ms) => delay(ms, stop),
      onRetry: ({ error, attempt, waitMs }) =>
        onNote(
          `${(error as SyncUnavailable).message}. Retrying in ${inWords(waitMs / 1000)} ` +
            `(${attempt} of ${MAX_FAILURES - 1}).`,
        ),
    });
  }

  /** @returns the event if it is the last one. */
  #take(line: Line): SyncEnd | undefined {
    const { event } = line;
    if (event.type === "run") {
      const isNewRun = this.#runId !== undefined && event.run_id !== this.#runId && !event.resumed;
      if (isNewRun && ++this.#beginnings >= MAX_BEGINNINGS) {
        throw new CommandError(
          "The run starts over again and again, so it would never end. Check whether another caller " +
            "syncs this number with other options.",
        );
      }
    } else if (event.type !== "busy") {
      this.#runId = event.run_id;
      this.#isWaitingForOther = false;
      if (this.#deps.stop.aborted) void this.#askToStop();
    }
    if (isCounts(event)) this.counts = event;
    if (MOVES.has(event.type)) {
      this.#hasMoved = true;
      this.#failures = 0;
    }
    this.#deps.onEvent(line);
    return isEnd(event) ? event : undefined;
  }

  /** Waits as long as the end of a slice says. @throws {CommandError} if that is too long. */
  async #pause(end: SyncEnd): Promise<void> {
    const { onNote, delay, stop } = this.#deps;
    if (end.type === "busy") {
      if (!this.#isWaitingForOther) {
        onNote(
          end.run_id === this.#runId
            ? "The run counts as busy for a minute after it was cut off. Waiting."
            : `Another request is syncing this number (${progressOf(end)}). Waiting for it.`,
        );
      }
      this.#isWaitingForOther = true;
      await delay((end.retry_after_seconds ?? 2) * 1000, stop);
      return;
    }
    if (end.error === null && this.#hasMoved) return;
    if (++this.#failures >= MAX_FAILURES) {
      throw new CommandError(`${describeFailure(end)} Given up after ${MAX_FAILURES} attempts.`);
    }
    const seconds = Math.max(end.retry_after_seconds ?? 5, 1);
    if (seconds > MAX_WAIT_SECONDS) {
      throw new CommandError(
        `${describeFailure(end)} It asks to wait ${inWords(seconds)}.`,
      );
    }
    onNote(`${describeFailure(end)} Resuming in ${inWords(seconds)}.`);
    await delay(seconds * 1000, stop);
  }

  #askToStop(): Promise<void> {
    const runId = this.#runId;
    if (runId === undefined) return Promise.resolve();
    return this.#stopAsked ??= (async () => {
      try {
        await this.#deps.client.stop(runId);
      } catch (error) {
        if (!(error instanceof CommandError || error instanceof SyncUnavailable)) throw error;
        this.#deps.onNote(
          `${error.message}. The run could not be asked to stop, so the schedule may resume it.`,
        );
      }
    })();
  }
}

/** Events that follow when something was stored. */
const MOVES: ReadonlySet<SyncEvent["type"]> = new Set([
  "conversations_page",
  "conversation_done",
  "conversation_failed",
  "progress",
]);

function isEnd(event: SyncEvent): event is SyncEnd {
  return "retry_after_seconds" in event;
}

function isCounts(event: SyncEvent): event is SyncEvent & RunCounts {
  return "conversations_total" in event;
}

/** The progress of a run, as part of a sentence. */
export function progressOf(counts: RunCounts): string {
  const { phase, conversations_total: total } = counts;
  if (phase === "conversations") return `${total} conversations are listed`;
  const done = counts.conversations_done + counts.conversations_failed;
  return `${done} of ${total} conversations are done`;
}

/** Describes a failure that passes. */
function describeFailure({ code, error }: SyncEnd): string {
  const said = safeText(error ?? "").replace(/\.$/u, "");
  if (code === "kapso_rate_limited") {
    return `Kapso limits the rate (${said}). A larger --delay-ms avoids this.`;
  }
  return code === "kapso_unavailable"
    ? `Kapso is unavailable (${said}).`
    : `The project failed (${said}${code ? `, ${safeText(code)}` : ""}).`;
}

/** Says what to check after Kapso's refusal. */
function explainRefusal({ code, error }: SyncEnd): string {
  const said = safeText(error ?? "").replace(/\.$/u, "");
  if (code !== "kapso_refused") return `${said}.`;
  return `Kapso refuses: ${said}. Check the Kapso API key (KAPSO_API_KEY, or the one stored for the ` +
    "connection), and that the Phone Number ID belongs to its project.";
}

function inWords(seconds: number): string {
  const whole = Math.max(Math.ceil(seconds), 1);
  if (whole >= 7200) return `${Math.round(whole / 3600)} hours`;
  if (whole >= 120) return `${Math.round(whole / 60)} minutes`;
  return whole === 1 ? "1 second" : `${whole} seconds`;
}
