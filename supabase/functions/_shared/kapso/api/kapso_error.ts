/**
 * Failures of Kapso's API, in one shape.
 *
 * @module
 */
import { parseJson } from "../../http/json.ts";
import { readRetryAfter } from "../../http/retry.ts";
import { isObject } from "../../contracts/text.ts";

/** The parts of a {@linkcode KapsoError}. */
export interface KapsoFailure {
  /** HTTP status; 0 without an answer. */
  status: number;
  /** Kapso's code, else one of ours: `timeout`, `network`, `unauthorized`, … */
  code: string;
  /** Safe to show and to log: without keys, links and phone numbers. */
  message: string;
  /** Meta's number for the failure, such as 131047 for a closed window. */
  metaCode?: number | undefined;
  isRetryable: boolean;
  isAmbiguous?: boolean;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** Kapso refused a request, or did not answer. */
export class KapsoError extends Error {
  override readonly name = "KapsoError";
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  /** Stable name of the failure. */
  readonly code: string;
  /** Meta's number for the failure, where Meta refused. */
  readonly metaCode: number | undefined;
  /** The same request can succeed later, and a retry has no effect twice. */
  readonly isRetryable: boolean;
  /** The request was sent and its effect is unknown. It must not be retried automatically. */
  readonly isAmbiguous: boolean;
  /** Milliseconds to wait before a retry, where Kapso sent them. */
  readonly retryAfterMs: number | undefined;

  constructor(failure: KapsoFailure) {
    super(failure.message, { cause: failure.cause });
    this.status = failure.status;
    this.code = failure.code;
    this.metaCode = failure.metaCode;
    this.isRetryable = failure.isRetryable;
    this.isAmbiguous = failure.isAmbiguous ?? false;
    this.retryAfterMs = failure.retryAfterMs;
  }
}

/** Codes of answers that have only a status. */
const CODES: Readonly<Record<number, string>> = {
  400: "invalid_request",
  401: "unauthorized",
  402: "insufficient_credits",
  403: "forbidden",
  404: "not_found",
  409: "conflict",
  422: "unprocessable",
  429: "rate_limited",
};

/** Meta's limits of throughput: nothing was sent, and a retry can help. */
const PASSING_META_CODES = new Set([4, 80007, 130429, 131056]);
const MAX_MESSAGE_LENGTH = 300;

/**
 * Reads a refusal: Meta's `{"error":{"message","code",…}}`, Kapso's `{"error":"text","code":"…"}`, or the
 * HTML or empty answer of a proxy in front of Kapso.
 *
 * @param request `isWrite`: it may have had an effect. `apiKey`: must not appear in the message.
 */
export function readRefusal(
  response: Pick<Response, "status" | "headers">,
  text: string,
  request: { isWrite: boolean; apiKey: string; now: number },
): KapsoError {
  const { status } = response;
  const said = readBody(text);
  const isPassing = status === 429 || (status === 409 && request.isWrite) ||
    (said.metaCode !== undefined && PASSING_META_CODES.has(said.metaCode));
  // A proxy that answers 5xx may have passed the request on before.
  const isUnknown = status >= 500 || status === 408;
  const code = said.code ?? (said.metaCode === undefined ? undefined : `meta_${said.metaCode}`) ??
    CODES[status] ?? (isUnknown ? "server_error" : "refused");
  return new KapsoError({
    status,
    code,
    message: said.message === undefined
      ? `Kapso answered ${status}`
      : safeText(said.message, request.apiKey),
    metaCode: said.metaCode,
    isRetryable: isPassing || (isUnknown && !request.isWrite),
    isAmbiguous: isUnknown && request.isWrite,
    retryAfterMs: readRetryAfter(response.headers.get("retry-after"), request.now),
  });
}

function readBody(text: string): { message?: string; code?: string; metaCode?: number } {
  const body = parseJson(text);
  if (!isObject(body)) return {};
  const code = textOf(body.code);
  const { error } = body;
  if (!isObject(error)) {
    // "Rate limit exceeded" has a sentence beside it.
    const message = textOf(error) ?? textOf(body.message);
    return {
      ...(message === undefined ? {} : { message }),
      ...(code === undefined ? {} : { code }),
    };
  }
  const metaCode = Number(error.code);
  const details = isObject(error.error_data) ? textOf(error.error_data.details) : undefined;
  const message = [textOf(error.message), details].filter((part) => part !== undefined).join(": ");
  return {
    ...(message === "" ? {} : { message }),
    ...(code === undefined ? {} : { code }),
    ...(Number.isSafeInteger(metaCode) && error.code !== null ? { metaCode } : {}),
  };
}

/** Removes keys, phone numbers, addresses and links, because a refusal may quote the request. */
function safeText(text: string, apiKey: string): string {
  return text.replaceAll(apiKey, "…")
    .replace(/https?:\/\/\S+/gi, "…")
    .replace(/\+?\d[\d\s().-]{5,}\d/g, "…")
    .replace(/[\w.+-]+@[\w-]+\.[\w.]+/g, "…")
    .slice(0, MAX_MESSAGE_LENGTH).toWellFormed();
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}
