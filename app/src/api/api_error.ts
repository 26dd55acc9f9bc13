/**
 * A refusal or failure of the server, in the shape in which PostgREST and the functions answer.
 *
 * @module
 */

import { texts } from "../texts.ts";

/** Why a request failed. {@linkcode describeError} turns it into a text for people. */
export class ApiError extends Error {
  override name = "ApiError";
  /** HTTP status of the answer; 0 where there was none. */
  readonly status: number;
  /** A stable name, such as `window_closed`; `network` where there was no answer. */
  readonly code: string;
  /** The field of the request that was refused, where the server names one. */
  readonly field: string | undefined;

  /** @param message Text of the server, which is shown only where the app has none for the code. */
  constructor(status: number, code: string, message: string, field?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }

  /** Whether the same request may succeed later. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** A text for people about anything that was thrown. */
export function describeError(error: unknown): string {
  if (!(error instanceof ApiError)) return texts.errors.unknown;
  return describeCode(error.code, error.field) ?? (error.message || texts.errors.unknown);
}

/** The app's text for an error code of the server; undefined where it has none. */
export function describeCode(code: string, field?: string): string | undefined {
  const ofField = code === "invalid_request" && field !== undefined
    ? texts.errors.fields[field]
    : undefined;
  return ofField ?? texts.errors.codes[code];
}

/** The same where a table refuses a write: `reasons` has texts by the error code of Postgres. */
export function describeRefusal(error: unknown, reasons: Record<string, string>): string {
  return (error instanceof ApiError && reasons[error.code]) || describeError(error);
}
