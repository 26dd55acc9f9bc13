/**
 * Retries: how often, how long to wait in between, and when to give up.
 *
 * @module
 */

/** Options of {@linkcode retry}. Times are in milliseconds. */
export interface RetryOptions {
  /**
   * How long the server asks to wait before a retry, 0 if it does not say; undefined for an error that a
   * retry cannot help.
   */
  retryAfterOf: (error: unknown) => number | undefined;
  /** How often the work is attempted, the first time included. No limit without it. */
  attempts?: number;
  /** The first wait. It doubles each time and gets up to as much again at random, so that callers spread out. */
  backoffMs: number;
  /** The longest wait, unless the server asks for a longer one. */
  maxBackoffMs?: number;
  /** When the server asks to wait longer than this, the work fails at once. */
  maxRetryAfterMs?: number;
  /** No retry begins later than this after the first attempt began. */
  maxElapsedMs?: number;
  /** Called before each wait. `attempt` counts from 1. */
  onRetry?: (retry: { error: unknown; attempt: number; waitMs: number }) => void;
  /** Ends the waits and the retries with its reason. */
  signal?: AbortSignal | undefined;
  /** Waits; rejects with the reason of the signal when that is aborted. */
  delay?: (ms: number, signal?: AbortSignal) => Promise<unknown>;
  now?: () => number;
  /** At least 0, less than 1. */
  random?: () => number;
}

/**
 * Does work again after errors that a retry can help.
 *
 * @returns What the work returns.
 * @throws The last error of the work, or the reason of the signal.
 */
export async function retry<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const {
    attempts = Infinity,
    maxBackoffMs = Infinity,
    maxRetryAfterMs = Infinity,
    maxElapsedMs = Infinity,
    signal,
    delay = wait,
    now = Date.now,
    random = Math.random,
  } = options;
  const startedAt = now();
  for (let attempt = 1;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const retryAfterMs = options.retryAfterOf(error);
      if (retryAfterMs === undefined || attempt >= attempts) throw error;
      if (retryAfterMs > maxRetryAfterMs) throw error;
      const backoffMs = options.backoffMs * 2 ** (attempt - 1) * (1 + random());
      // A little later than asked for, so that callers who were refused together do not return together.
      const waitMs = Math.max(
        Math.min(backoffMs, maxBackoffMs),
        retryAfterMs * (1 + random() * 0.1),
      );
      if (now() - startedAt + waitMs > maxElapsedMs) throw error;
      signal?.throwIfAborted();
      options.onRetry?.({ error, attempt, waitMs });
      await delay(waitMs, signal);
    }
  }
}

/**
 * Reads a `Retry-After` header: seconds or a date.
 *
 * @param now Milliseconds since 1970.
 * @returns Milliseconds from now, at least 0; undefined if the header is missing or unreadable.
 */
export function readRetryAfter(value: string | null, now = Date.now()): number | undefined {
  if (value === null || value.trim() === "") return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(seconds * 1000, 0);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(date - now, 0);
}

/** Waits some milliseconds, and ends with the reason of the signal when that is aborted. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
