/**
 * One call of the API: time limit, repeats, and what its answer means. Knows nothing of sessions.
 *
 * A call never takes longer than its time limit, repeats and waits included: an agent that waits for this
 * API has a customer who waits for the agent.
 *
 * @module
 */

import { ConversationSyncError, type FailureKind } from "./errors.ts";
import { envelopeSchema, stateSchema } from "./answers.ts";

/** A call. */
export interface ApiCall<T> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH";
  /** Below the base URL, with everything encoded. */
  readonly path: string;
  readonly body?: unknown;
  /** Whether sending it twice does what sending it once does. Only then it is repeated. */
  readonly isIdempotent: boolean;
  /** Reads the `data` of a good answer; undefined means that it is none of this API. */
  readonly read: (data: unknown) => T | undefined;
}

/** What {@linkcode sendCall} needs from outside. */
export interface TransportOptions {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly fetch: typeof fetch | undefined;
  /** Repeats after the first attempt. */
  readonly retries: number;
  /** Longest wait before the first repeat; doubles with every further one. */
  readonly retryDelayMs: number;
  /** A number from 0 to 1. */
  readonly random: () => number;
  /** Called before every retry. */
  readonly onRetry: () => void;
}

/** Time limit and cancellation of one call. */
export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Makes a call, and again while that may help: after broken connections, answers that are not of this
 * API, 408, 429 and 5xx, and only if the call is idempotent. Waits as long as `Retry-After` says, and a
 * random time that doubles; a wait that would not fit into the time limit ends the call at once.
 *
 * @throws {ConversationSyncError} when no attempt succeeded. Nothing else.
 */
export async function sendCall<T>(
  call: ApiCall<T>,
  options: TransportOptions,
  limits: CallLimits,
): Promise<T> {
  const body = call.body === undefined ? undefined : toJson(call.body);
  const controller = new AbortController();
  const deadline = performance.now() + limits.timeoutMs;
  let stoppedBy: "timeout" | "aborted" | undefined;
  const stop = (reason: "timeout" | "aborted") => {
    stoppedBy ??= reason;
    controller.abort();
  };
  const onAbort = () => stop("aborted");
  const timer = setTimeout(() => stop("timeout"), limits.timeoutMs);
  limits.signal?.addEventListener("abort", onAbort, { once: true });
  if (limits.signal?.aborted) onAbort();
  try {
    for (let attempt = 0;; attempt++) {
      if (stoppedBy) throw stopped(stoppedBy);
      try {
        return await attemptCall(call, body, options, controller.signal);
      } catch (error) {
        if (stoppedBy) throw stopped(stoppedBy);
        const failure = toSyncError(error);
        if (!call.isIdempotent || attempt >= options.retries || !isTransient(failure)) {
          throw failure;
        }
        const backoffMs = options.random() * options.retryDelayMs * 2 ** attempt;
        const waitMs = (failure.retryAfterMs ?? 0) + backoffMs;
        if (performance.now() + waitMs >= deadline) throw failure;
        await wait(waitMs, controller.signal);
        if (!stoppedBy) options.onRetry();
      }
    }
  } finally {
    clearTimeout(timer);
    limits.signal?.removeEventListener("abort", onAbort);
  }
}

/**
 * Asks an address without a key, once, and returns the JSON of a 200.
 *
 * @throws any error of `fetch` or of the parser.
 */
export async function getOpenly(
  url: string,
  fetchIt: typeof fetch,
  limits: CallLimits,
): Promise<unknown> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, limits.timeoutMs);
  limits.signal?.addEventListener("abort", stop, { once: true });
  if (limits.signal?.aborted) stop();
  try {
    const response = await fetchIt(url, { redirect: "manual", signal: controller.signal });
    const text = await response.text();
    return response.status === 200 ? JSON.parse(text) : undefined;
  } finally {
    clearTimeout(timer);
    limits.signal?.removeEventListener("abort", stop);
  }
}

async function attemptCall<T>(
  call: ApiCall<T>,
  body: string | undefined,
  options: TransportOptions,
  signal: AbortSignal,
): Promise<T> {
  const response = await (options.fetch ?? fetch)(options.baseUrl + call.path, {
    method: call.method,
    headers: {
      accept: "application/json",
      authorization: `Bearer ${options.apiKey}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body }),
    // A redirect would carry the key to wherever it points.
    redirect: "manual",
    signal,
  });
  // The connection can break in the middle of the answer, too.
  const text = await response.text();
  const envelope = envelopeSchema.safeParse(parseJson(text)).data;
  const { status } = response;
  const details = {
    status,
    // The answer may come from any server: only what looks like a code or an id gets into a log.
    code: /^[A-Za-z]\w{0,63}$/.exec(envelope?.code ?? "")?.[0],
    requestId: /^[\w-]{1,64}$/.exec(envelope?.request_id ?? "")?.[0],
  };
  if (!response.ok) {
    // Of this API, and not of a gateway in front of it or for want of such a path.
    const isAnswer = envelope !== undefined && envelope.code !== "not_found";
    const { kind, message } = describeStatus(status, isAnswer);
    throw new ConversationSyncError(kind, message, {
      ...details,
      retryAfterMs: readRetryAfter(response.headers.get("retry-after")),
      current: kind === "conflict" ? stateSchema.safeParse(envelope?.data).data : undefined,
    });
  }
  if (envelope?.type === "3") {
    throw new ConversationSyncError("rejected", "The API answered with an error", details);
  }
  const data = envelope && call.read(envelope.data);
  if (data === undefined) {
    throw new ConversationSyncError(
      "invalid_response",
      `The answer (${status}) is not one of the conversation API; check the base URL`,
      details,
    );
  }
  return data;
}

function describeStatus(
  status: number,
  isAnswer: boolean,
): { kind: FailureKind; message: string } {
  const answered = `The API answered ${status}`;
  switch (true) {
    case status === 408 || status === 429 || status >= 500:
      return { kind: "unavailable", message: answered };
    case status === 401 || status === 403:
      return { kind: "unauthorized", message: `${answered}; check the key` };
    case status === 404 && isAnswer:
      return { kind: "not_found", message: `${answered}: it is not there, or has ended` };
    case status === 404:
      return { kind: "rejected", message: `${answered} for the path; check the base URL` };
    case status === 409:
      return { kind: "conflict", message: `${answered}: the session has another version` };
    case status < 400:
      return { kind: "rejected", message: `${answered}, a redirect; check the base URL` };
    default:
      return { kind: "rejected", message: answered };
  }
}

function isTransient({ kind }: ConversationSyncError): boolean {
  return kind === "network" || kind === "unavailable" || kind === "invalid_response";
}

function stopped(reason: "timeout" | "aborted"): ConversationSyncError {
  return reason === "timeout"
    ? new ConversationSyncError("timeout", "The API did not answer in time")
    : new ConversationSyncError("aborted", "The caller gave up");
}

function toSyncError(error: unknown): ConversationSyncError {
  if (error instanceof ConversationSyncError) return error;
  // Of what fetch says, the system's code alone: the rest quotes the address. Node hides it in the cause.
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } };
  const found = [code, cause?.code].find((each) => typeof each === "string");
  return new ConversationSyncError("network", "The connection to the API failed", {
    code: found as string | undefined,
  });
}

function toJson(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch {
    throw new ConversationSyncError("invalid_argument", "The arguments cannot be written as JSON");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Seconds or a date, as HTTP has it. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = Number(value);
  const waitMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return waitMs > 0 ? waitMs : 0;
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
