/**
 * The clock of the fake: at any speed, with timers that stop together.
 *
 * @module
 */

/** A clock that may run faster than time. All its durations are on its own scale. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Now as ISO 8601. */
  iso(): string;
  /** Calls a function later. The returned function cancels it. */
  after(seconds: number, task: () => void): () => void;
  /** Real milliseconds of a duration. */
  realMs(seconds: number): number;
  /** Advances the clock without waiting. Timers are not affected. */
  advance(seconds: number): void;
  /** Cancels every timer. */
  stop(): void;
}

/** Options of {@linkcode createClock}. */
export interface ClockOptions {
  /** Real seconds per second: 1 is real time, 0.01 a hundred times as fast. */
  timeScale: number;
  /** The time at the beginning; milliseconds since 1970. */
  startAt: number;
}

/** Starts a clock. */
export function createClock({ timeScale, startAt }: ClockOptions): Clock {
  const begin = performance.now();
  let skipped = 0;
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let isStopped = false;
  const now = () => Math.round(startAt + skipped + (performance.now() - begin) / timeScale);
  return {
    now,
    iso: () => new Date(now()).toISOString(),
    realMs: (seconds) => seconds * 1000 * timeScale,
    advance: (seconds) => {
      skipped += seconds * 1000;
    },
    after(seconds, task) {
      if (isStopped) return () => {};
      const timer = setTimeout(() => {
        timers.delete(timer);
        task();
      }, seconds * 1000 * timeScale);
      timers.add(timer);
      return () => {
        clearTimeout(timer);
        timers.delete(timer);
      };
    },
    stop() {
      isStopped = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
