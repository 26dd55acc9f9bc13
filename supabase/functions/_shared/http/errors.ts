/**
 * The errors that callers get. `docs/errors.md` lists every code.
 *
 * @module
 */

/** An error with an answer for the caller: its message is safe to show, its cause is only logged. */
export class AppError extends Error {
  override name = "AppError";
  /** Stable snake_case code for programs. */
  readonly code: string;
  /** HTTP status. */
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 422 | 429 | 500 | 503;
  /** Seconds after which a repeat can help; sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;
  /** Data for programs, for answers that have `details`. */
  readonly details: Record<string, unknown> | undefined;

  /**
   * @param status HTTP status.
   * @param code Stable snake_case code, listed in `docs/errors.md`.
   * @param message What went wrong and what to change, without any value the caller sent.
   * @param options `cause` for the log, `retryAfterSeconds` where a repeat can help, `details` for programs.
   */
  constructor(
    status: AppError["status"],
    code: string,
    message: string,
    options: {
      cause?: unknown;
      retryAfterSeconds?: number;
      details?: Record<string, unknown> | undefined;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.details = options.details;
  }
}
