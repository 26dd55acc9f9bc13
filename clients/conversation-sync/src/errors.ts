/**
 * The one error of this client. It is thrown only where `throwOnError` asks for it; otherwise it is logged
 * and the call returns `null` or `false`.
 *
 * Neither its message nor any other field holds texts, phone numbers, session ids or keys, so that it may
 * be logged. For the same reason it carries no `cause`: errors of `fetch` quote the address, and the
 * address holds the phone number.
 *
 * @module
 */

import type { ConversationState } from "./answers.ts";

/**
 * What went wrong.
 *
 * - `timeout`: no answer within the time a call may take.
 * - `network`: no connection, or one that broke in the middle of the answer.
 * - `aborted`: the caller's `signal`.
 * - `unavailable`: 5xx, or 429; the same call may succeed later.
 * - `unauthorized`: 401 or 403.
 * - `not_found`: a write to a session that has ended, is not there, or belongs to a workspace the key may not
 *   see; or a `subDomain` the key may not see.
 * - `conflict`: the session has another version; {@linkcode ConversationSyncError.current} is its state.
 * - `rejected`: any other 4xx, or a redirect. Do not send it again.
 * - `invalid_response`: an answer that is not one of this API, such as a proxy's page of HTML.
 * - `invalid_argument`: nothing was sent, as the arguments do not make a request.
 * - `invalid_configuration`: address, key or a number is missing or unusable.
 * - `closed`: nothing was sent, as the service or scope is closed.
 */
export type FailureKind =
  | "timeout"
  | "network"
  | "aborted"
  | "unavailable"
  | "unauthorized"
  | "not_found"
  | "conflict"
  | "rejected"
  | "invalid_response"
  | "invalid_argument"
  | "invalid_configuration"
  | "closed";

/** What a {@linkcode ConversationSyncError} may know besides its kind. */
export interface FailureDetails {
  /** HTTP status of the answer. */
  readonly status?: number | undefined;
  /** The API's own code, such as `version_conflict`, or the system's, such as `ECONNREFUSED`. */
  readonly code?: string | undefined;
  /** The API's id of the request, to find it in the API's log. */
  readonly requestId?: string | undefined;
  /** How long the API asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** The state of the session as the API has it. With kind `conflict` only. */
  readonly current?: ConversationState | undefined;
}

/** A call that failed. */
export class ConversationSyncError extends Error {
  /** Name of the class, for logs. */
  override readonly name = "ConversationSyncError";
  /** What went wrong. */
  readonly kind: FailureKind;
  /** HTTP status of the answer. */
  readonly status: number | undefined;
  /** The API's own code, such as `version_conflict`, or the system's, such as `ECONNREFUSED`. */
  readonly code: string | undefined;
  /** The API's id of the request, to find it in the API's log. */
  readonly requestId: string | undefined;
  /** How long the API asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Not enumerable, so that printing the error does not print a customer's conversation. */
  declare readonly current: ConversationState | undefined;

  /** Creates an error. `message` must hold no personal data. */
  constructor(kind: FailureKind, message: string, details: FailureDetails = {}) {
    super(message);
    this.kind = kind;
    this.status = details.status;
    this.code = details.code;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
    Object.defineProperty(this, "current", { value: details.current });
  }
}
