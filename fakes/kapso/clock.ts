/**
 * Time of the fake: as fast as wanted, and with timers that can all be stopped at once.
 *
 * @module
 */

/** A clock that may run faster than time. All its durations are on its own scale. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Now as ISO 8601. */
  iso(): string;
  /** Do something later. The returned function cancels it. */
  after(seconds: number, task: () => void): () => void;
  /** How long a duration takes for others, in milliseconds. */
  realMs(seconds: number): number;
  /** Move on without waiting; timers are not affected. */
  advance(seconds: number): void;
  /** Cancel every timer. */
  stop(): void;
}

/** Options of {@linkcode createClock}. */
export interface ClockOptions {
  /** How long a second takes: 1 is real time, 0.01 a hundred times as fast. */
  timeScale: number;
  /** What time it is at the beginning; milliseconds since 1970. */
  startAt: number;
}

/** Start a clock. */
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
