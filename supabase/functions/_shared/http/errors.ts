/**
 * The failures a caller is told about. `docs/errors.md` lists every code.
 *
 * @module
 */

/** A failure with an answer for the caller: its message is safe to show, its cause only to log. */
export class AppError extends Error {
  override name = "AppError";
  /** Stable snake_case code for programs. */
  readonly code: string;
  /** HTTP status. */
  readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 422 | 429 | 500 | 503;
  /** Seconds after which a repeat can help; sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;
  /** What a program may want to know besides, for answers that have `details`. */
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
      details?: Record<string, unknown>;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.details = options.details;
  }
}

/** What PostgREST answers when a request fails. */
export interface DatabaseFailure {
  /** SQLSTATE, or PostgREST's own `PGRST…` code; empty when the API was not reached at all. */
  code?: string;
  message: string;
}

// Classes of SQLSTATE after which the same request can succeed: connection lost, out of resources,
// server shutting down, deadlock or serialisation failure. PGRST00x: PostgREST has no database.
const PASSING = /^(08|53|57|40|PGRST00)/;

/**
 * Turn a failed database call into what the caller is told: 503 with `Retry-After` where a repeat can
 * help, else 500. Both say nothing of the database; the cause is for the log.
 *
 * @param failure The error of a supabase-js call.
 * @param httpStatus The HTTP status that came with it; 0 where there was no answer.
 */
export function databaseError(failure: DatabaseFailure, httpStatus: number): AppError {
  const code = failure.code ?? "";
  const isPassing = httpStatus === 0 ||
    PASSING.test(code) ||
    (!/^[0-9A-Z]{5}$/.test(code) && !code.startsWith("PGRST")) ||
    httpStatus >= 502;
  const cause = new Error(`database call failed: ${code || "no answer"}, HTTP ${httpStatus}`);
  return isPassing
    ? new AppError(503, "database_unavailable", "Service unavailable, please try again", {
      cause,
      retryAfterSeconds: 5,
    })
    : new AppError(500, "internal_error", "Internal server error", { cause });
}
