/**
 * A refusal or a failure of the server, in the shape in which PostgREST and the functions write it.
 *
 * @module
 */

import { texts } from "../texts.ts";

/** Why a request did not work. `message` can be shown. */
export class ApiError extends Error {
  override name = "ApiError";
  /** The status of the answer; 0 where there was none. */
  readonly status: number;
  /** A stable name, e.g. `window_closed`; `network` where there was no answer. */
  readonly code: string;

  /** Makes an error from what was answered. */
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the same request may work later: there was no answer, or one that says so. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** A text for people, for whatever was thrown. */
export function describeError(error: unknown): string {
  if (error instanceof ApiError) {
    return error.status === 0 ? texts.errors.network : error.message;
  }
  return texts.errors.unknown;
}

/** The same where a table refuses what is written: `reasons` says why, by the code of Postgres. */
export function describeRefusal(error: unknown, reasons: Record<string, string>): string {
  const known: Record<string, string> = {
    "42501": texts.errors.notAllowed,
    "23514": texts.errors.notValid,
    ...reasons,
  };
  return (error instanceof ApiError && known[error.code]) || describeError(error);
}
