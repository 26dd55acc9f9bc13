/**
 * Brings one Kapso number's run to its end, slice after slice. Prints nothing itself.
 *
 * @module
 */

import pRetry from "p-retry";

import type {
  RunCounts,
  SyncEnd,
  SyncEvent,
} from "../../../supabase/functions/kapso-sync/schema.ts";
import { CommandError } from "../../command_error.ts";
import { type Line, type SyncBody, type SyncClient, SyncUnavailable } from "./sync_client.ts";
import { safeText } from "./text.ts";

/** How a number's run ended. */
export interface Outcome {
  kind: "done" | "partial" | "stopped" | "failed";
  /** How far it came; undefined where it did not begin. */
  counts: RunCounts | undefined;
  /** Of `failed`, and of `stopped` by somebody else: what went wrong, and what to do. */
  problem?: string;
}

/** What {@linkcode syncNumber} needs of the outside world. */
export interface RunDeps {
  client: SyncClient;
  /** Called with every event, in order. */
  onEvent: (line: Line) => void;
  /** Called with a sentence where it has to wait, or is going to stop. */
  onNote: (text: string) => void;
  /** Waits; rejects when the signal is aborted. */
  delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Aborted: ask the run to stop, and end when it has. */
  stop: AbortSignal;
}

/** Slices in a row that fail without having stored anything: then it is given up. */
const MAX_FAILURES = 8;
/** So often somebody else may replace the run, before that is a quarrel. */
const MAX_BEGINNINGS = 3;
/** Nobody waits longer at a terminal. */
const MAX_WAIT_SECONDS = 600;
/** First wait after a broken connection; it doubles. */
const BACKOFF_MS = 1_000;

/**
 * Syncs a number.
 *
 * @returns How it ended. Throws nothing that belongs to this number alone.
 */
export async function syncNumber(deps: RunDeps, body: SyncBody): Promise<Outcome> {
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
  readonly #body: SyncBody;
  /** The run this program works on; undefined while somebody else does. */
  #runId: string | undefined;
  /** Whether this slice has stored something. */
  #hasMoved = false;
  #failures = 0;
  #beginnings = 0;
  #isWaitingForOther = false;
  #stopAsked: Promise<void> | undefined;

  constructor(deps: RunDeps, body: SyncBody) {
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
        // Cut off after something was stored: what is left is for the next one.
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

  /** The outcome once the run was asked to stop. */
  async stopped(): Promise<Outcome> {
    await this.#askToStop();
    // Where only somebody else was at work, that goes on.
    return { kind: "stopped", counts: this.#runId === undefined ? undefined : this.counts };
  }

  /** One request, repeated while it comes to nothing. Undefined: cut off, after it had stored something. */
  async #slice(): Promise<SyncEnd | undefined> {
    const { client, stop, delay, onNote } = this.#deps;
    return await pRetry(async () => {
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
        onNote(`${error.message}. Going on.`);
        return undefined;
      }
    }, {
      retries: MAX_FAILURES - 1,
      // The waits are ours: they end when somebody presses Ctrl-C.
      minTimeout: 0,
      async shouldRetry({ error, attemptNumber, retriesLeft }) {
        if (!(error instanceof SyncUnavailable) || stop.aborted) return false;
        if (error.retryAfterMs > MAX_WAIT_SECONDS * 1000) return false;
        const backoff = BACKOFF_MS * 2 ** (attemptNumber - 1) * (1 + Math.random());
        const ms = Math.max(Math.min(backoff, 60_000), error.retryAfterMs);
        onNote(
          `${error.message}. Trying again in ${inWords(ms / 1000)} ` +
            `(${attemptNumber} of ${attemptNumber - 1 + retriesLeft}).`,
        );
        await delay(ms, stop);
        return true;
      },
    });
  }

  /** @returns the event, where it is the last one. */
  #take(line: Line): SyncEnd | undefined {
    const { event } = line;
    if (event.type === "run") {
      const isAnew = this.#runId !== undefined && event.run_id !== this.#runId && !event.resumed;
      if (isAnew && ++this.#beginnings >= MAX_BEGINNINGS) {
        throw new CommandError(
          "The run begins anew again and again instead of going on, so it would never end. " +
            "Is somebody else syncing this number with other options?",
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

  /** Waits as long as the end of a slice says. @throws {CommandError} where that is not worth it. */
  async #pause(end: SyncEnd): Promise<void> {
    const { onNote, delay, stop } = this.#deps;
    if (end.type === "busy") {
      if (!this.#isWaitingForOther) {
        onNote(
          end.run_id === this.#runId
            ? "The run counts as busy until a minute after it was cut off. Waiting for that."
            : `Another request is at work on this number (${progressOf(end)}). Waiting for it.`,
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
        `${describeFailure(end)} It wants to be left alone for ${inWords(seconds)}.`,
      );
    }
    onNote(`${describeFailure(end)} Going on in ${inWords(seconds)}.`);
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
          `${error.message}. The run could not be asked to stop: the schedule may go on with it.`,
        );
      }
    })();
  }
}

/** Events that come after something was stored. */
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

/** How far a run is, as part of a sentence. */
export function progressOf(counts: RunCounts): string {
  const { phase, conversations_total: total } = counts;
  if (phase === "conversations") return `${total} conversations are listed`;
  const done = counts.conversations_done + counts.conversations_failed;
  return `${done} of ${total} conversations are done`;
}

/** What a passing failure is. */
function describeFailure({ code, error }: SyncEnd): string {
  const said = safeText(error ?? "").replace(/\.$/u, "");
  if (code === "kapso_rate_limited") {
    return `Kapso limits the rate (${said}). A larger --delay-ms avoids this.`;
  }
  return code === "kapso_unavailable"
    ? `Kapso does not answer as it should (${said}).`
    : `The project failed (${said}${code ? `, ${safeText(code)}` : ""}).`;
}

/** What Kapso's refusal asks for. */
function explainRefusal({ code, error }: SyncEnd): string {
  const said = safeText(error ?? "").replace(/\.$/u, "");
  if (code !== "kapso_refused") return `${said}.`;
  return `Kapso refuses: ${said}. Check the Kapso API key (KAPSO_API_KEY, or the one kept for the ` +
    "connection), and that the Phone Number ID belongs to its project.";
}

function inWords(seconds: number): string {
  const whole = Math.max(Math.ceil(seconds), 1);
  if (whole >= 7200) return `${Math.round(whole / 3600)} hours`;
  if (whole >= 120) return `${Math.round(whole / 60)} minutes`;
  return whole === 1 ? "1 second" : `${whole} seconds`;
}
