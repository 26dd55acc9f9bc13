/**
 * Turns failed database calls into answers. docs/adr has the protocol: SQL refuses with
 * SQLSTATE `PT<HTTP status>`, a code of `refusals.ts` as message and JSON as detail.
 *
 * @module
 */
import { AppError } from "../http/errors.ts";
import { type Refusal, type RefusalCode, REFUSALS } from "./refusals.ts";

/** The error of a supabase-js call. */
export interface DatabaseFailure {
  /** SQLSTATE, or PostgREST's own `PGRST…` code; empty when the API was not reached at all. */
  code?: string;
  message: string;
  details?: string | null;
}

/** A database call that failed for a reason that the caller does not learn. Its message is safe to log. */
export class DatabaseCallError extends Error {
  override name = "DatabaseCallError";
  /** SQLSTATE or PostgREST code; empty without an answer. */
  readonly code: string;

  /**
   * @param code SQLSTATE or PostgREST code; empty without an answer.
   * @param httpStatus 0 without an answer.
   */
  constructor(code: string, httpStatus: number) {
    super(`database call failed: ${code || "no answer"}, HTTP ${httpStatus}`);
    this.code = code;
  }
}

/** SQLSTATE behind an error of `rpc` or `rows`, for stores that know what one means; else undefined. */
export function sqlStateOf(error: unknown): string | undefined {
  return error instanceof AppError && error.cause instanceof DatabaseCallError
    ? error.cause.code
    : undefined;
}

/** The refusal with a code, for rules that the function checks and not SQL. */
export function refused(code: RefusalCode): AppError {
  const { status, message } = REFUSALS[code];
  return new AppError(status, code, message);
}

const DEFAULT_RETRY_AFTER_SECONDS = 60;

// Classes of SQLSTATE after which the same request can succeed: connection lost, out of resources,
// server shutting down, deadlock or serialisation failure; and a lock that was not free in time. PGRST00x:
// PostgREST has no database.
const TRANSIENT = /^(08|53|57|40|55P03|PGRST00)/;
/** The statement needed longer than its limit. */
const STATEMENT_TIMEOUT = "57014";
/**
 * From how many items on a statement timeout is the fault of the request. Storing fewer takes a small part of the limit,
 * so when they time out the database is slow for everyone, and a retry can help. See docs/errors.md.
 */
const MIN_ITEMS_TOO_SLOW = 100;

/**
 * The answer to a failed database call: the refusal that the SQL function raised, 422 for a batch that took too long,
 * 503 with `Retry-After` where a retry can help, else 500. The last three reveal nothing about the database; the cause
 * goes to the log.
 *
 * @param failure The error of a supabase-js call.
 * @param httpStatus The HTTP status that came with it; 0 where there was no answer.
 * @param actsAs Whose rights the call had: with a user's token, 401 means that the token is wrong.
 * @param items Messages and changes in the call, if its caller can send fewer at once.
 */
export function databaseError(
  failure: DatabaseFailure,
  httpStatus: number,
  actsAs: "service" | "user" = "service",
  items = 1,
): AppError {
  const code = failure.code ?? "";
  const refusals: Readonly<Record<string, Refusal>> = REFUSALS;
  const refusal = /^PT4\d\d$/.test(code) ? refusals[failure.message] : undefined;
  if (refusal) {
    const details = detailsOf(failure.details);
    return new AppError(refusal.status, failure.message, refusal.message, {
      ...(refusal.status === 429 ? limitOf(details) : { details }),
    });
  }
  if (actsAs === "user") {
    if (httpStatus === 401 || code.startsWith("PGRST30")) {
      return new AppError(
        401,
        "invalid_token",
        "The access token is invalid or expired: sign in again",
      );
    }
    // Text that is not a UUID is the id of nothing.
    if (code === "22P02") return new AppError(404, "not_found", "Nothing has this id");
  }
  const cause = new DatabaseCallError(code, httpStatus);
  if (code === STATEMENT_TIMEOUT && items >= MIN_ITEMS_TOO_SLOW) {
    return new AppError(
      422,
      "batch_too_slow",
      `The database needed longer than its limit for this batch. Send smaller batches, such as ${MIN_ITEMS_TOO_SLOW} messages at a time`,
      { cause },
    );
  }
  const isTransient = httpStatus === 0 ||
    TRANSIENT.test(code) ||
    (!/^[0-9A-Z]{5}$/.test(code) && !code.startsWith("PGRST")) ||
    httpStatus >= 502;
  return isTransient
    ? new AppError(503, "database_unavailable", "Service unavailable, please try again", {
      cause,
      retryAfterSeconds: 5,
    })
    : new AppError(500, "internal_error", "Internal server error", { cause });
}

/** What `private.use_limit` says about the limit that was exceeded. */
function limitOf(details: Record<string, unknown> = {}) {
  const { limit, window_seconds: windowSeconds, retry_after_seconds: seconds } = details;
  return {
    details,
    retryAfterSeconds: typeof seconds === "number" ? seconds : DEFAULT_RETRY_AFTER_SECONDS,
    rateLimit: typeof limit === "number" && typeof windowSeconds === "number"
      ? { limit, windowSeconds }
      : undefined,
  };
}

/** `detail` of a refusal is absent or a JSON object. */
function detailsOf(text: string | null | undefined): Record<string, unknown> | undefined {
  if (!text) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}
