/**
 * Processes the events of a queue after the requests that recorded them were answered.
 *
 * @module
 */
import { errorNames, type Log } from "../_shared/http/log.ts";

/** How long the queue of a number is drained after an answer, in milliseconds: the schedule continues. */
const DRAIN_TIMEOUT_MS = 60_000;
/** How long to wait while another session processes events of the number, in milliseconds. */
const BUSY_DELAY_MS = 100;

/** What {@linkcode createBackgroundDrainer} needs of the outside world. */
export interface BackgroundDrainerDeps {
  /** Processes the next events of a number. */
  drain: (phoneNumberId: string) => Promise<{ drained: number; is_busy: boolean }>;
  /** Called with a number whose events were processed. Must not throw. */
  onDrained: (phoneNumberId: string) => void;
  /** Keeps the function alive until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
  log: Log;
  /** Waits, in milliseconds. */
  delay: (ms: number) => Promise<unknown>;
  /** Monotonic clock, milliseconds. */
  monotonic: () => number;
}

/**
 * Creates a starter of drains: it processes what waits for a number until nothing does, and never throws. Calls that
 * come during the work are served by the same work, so that a burst of events starts one drain for each number.
 */
export function createBackgroundDrainer(
  { drain, onDrained, waitUntil, log, delay, monotonic }: BackgroundDrainerDeps,
): (phoneNumberId: string) => void {
  const atWork = new Set<string>();
  const wanted = new Set<string>();
  const work = async (phoneNumberId: string) => {
    const until = monotonic() + DRAIN_TIMEOUT_MS;
    try {
      while (wanted.delete(phoneNumberId) && monotonic() < until) {
        while (monotonic() < until) {
          const { drained, is_busy } = await drain(phoneNumberId);
          if (drained > 0) continue;
          if (!is_busy) break;
          // The session that has the number may have looked before this event was recorded.
          await delay(BUSY_DELAY_MS);
        }
      }
    } catch (error) {
      // The events stay received, and the schedule processes them.
      log("error", "drain_failed", { cause: errorNames(error) });
    }
    atWork.delete(phoneNumberId);
    onDrained(phoneNumberId);
  };
  return (phoneNumberId) => {
    wanted.add(phoneNumberId);
    if (atWork.has(phoneNumberId)) return;
    atWork.add(phoneNumberId);
    waitUntil(work(phoneNumberId));
  };
}
