/**
 * The errors that callers get. `docs/errors.md` lists every code.
 *
 * @module
 */

/** A limit for a span of time. */
export interface RateLimit {
  /** How much it allows. */
  limit: number;
  windowSeconds: number;
}

/** An error with an answer for the caller: its message is safe to show, its cause is only logged. */
export class AppError extends Error {
  override name = "AppError";
  /** Stable snake_case code for programs. */
  readonly code: string;
  /** HTTP status. */
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 422 | 429 | 500 | 503;
  /** Seconds after which a repeat can help; sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;
  /** The limit that was exceeded; sent as `RateLimit` and `RateLimit-Policy`. */
  readonly rateLimit: RateLimit | undefined;
  /** Data for programs, for answers that have `details`. */
  readonly details: Record<string, unknown> | undefined;

  /**
   * @param status HTTP status.
   * @param code Stable snake_case code, listed in `docs/errors.md`.
   * @param message What went wrong and what to change, without any value the caller sent.
   * @param options `cause` for the log, `retryAfterSeconds` where a repeat can help, `rateLimit` with it where a limit
   *   for a span of time was exceeded, `details` for programs.
   */
  constructor(
    status: AppError["status"],
    code: string,
    message: string,
    options: {
      cause?: unknown;
      retryAfterSeconds?: number;
      rateLimit?: RateLimit | undefined;
      details?: Record<string, unknown> | undefined;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.rateLimit = options.rateLimit;
    this.details = options.details;
  }
}
