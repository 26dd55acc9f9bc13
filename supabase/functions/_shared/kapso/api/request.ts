/**
 * One request to Kapso: the key, the time limit, the rate limit, and what may be repeated.
 *
 * What only reads is repeated after 429, 5xx and broken connections. What writes is never repeated
 * unless the caller says that it may be: the effect of the first attempt is unknown.
 *
 * @module
 */
import type { Log } from "../../http/log.ts";
import { parseJson } from "../../http/json.ts";
import { retry, wait } from "../../http/retry.ts";
import { KapsoError, readRefusal } from "./kapso_error.ts";

/** Options of {@linkcode createRequester}. */
export interface RequesterOptions {
  /** `https://api.kapso.ai` where it is not given. `http:` only on the loopback interface. */
  baseUrl?: string;
  apiKey: string;
  fetch?: typeof fetch;
  /** Milliseconds after which an attempt is given up. */
  timeoutMs?: number;
  /** How often a request that only reads is attempted. */
  maxAttempts?: number;
  /** The longest wait before a further attempt. Where Kapso asks for more, the request fails at once. */
  maxWaitMs?: number;
  /** Milliseconds after which a request that only reads is given up, with all its attempts and waits. */
  deadlineMs?: number;
  /** Waits; rejects with the reason of the signal when that is aborted. */
  delay?: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** At least 0, less than 1. */
  random?: () => number;
  log?: Log;
}

/** What a single request may set. */
export interface RequestOptions {
  signal?: AbortSignal;
  /** For what writes, but comes to the same when it is done twice: it is repeated like what reads. */
  isRepeatable?: boolean;
  timeoutMs?: number;
}

/** A request. */
export interface KapsoRequest extends RequestOptions {
  method?: "GET" | "POST" | "PATCH";
  /** Below the base URL, beginning with a slash. */
  path: string;
  /** Undefined values are left out. */
  query?: Record<string, string | number | undefined>;
  /** A string is JSON already, and is sent as it is. */
  body?: Record<string, unknown> | FormData | string;
  /** Answer with the body as it came, after making sure that it is JSON. */
  isRaw?: boolean;
}

/** What Kapso's last answer said about its rate limit: requests a minute, and how many are left. */
export interface RateLimit {
  limit: number;
  remaining: number;
}

/** Sends requests. */
export interface Requester {
  /** The base URL, without a slash at its end. */
  baseUrl: string;
  /**
   * @returns The body of the answer: parsed JSON, or its text where `isRaw`; undefined where it is empty.
   * @throws {KapsoError}, or the reason of the signal where that ended a request that only reads.
   */
  send(request: KapsoRequest): Promise<unknown>;
  /** Undefined before the first answer, and when it is a minute old. */
  rateLimit(): RateLimit | undefined;
}

const DEFAULT_BASE_URL = "https://api.kapso.ai";
const BACKOFF_MS = 500;
const WINDOW_MS = 60_000;
/** The share of a minute's requests that is left to people who send. */
const HEADROOM = 0.1;

/** How many requests may be sent at once before those that only read slow down. */
export function spareRequests({ limit, remaining }: RateLimit): number {
  return Math.max(Math.floor(remaining - limit * HEADROOM), 0);
}

/**
 * A sender of requests.
 *
 * @throws {TypeError} for a base URL that is none, or that would send the key in the clear.
 */
export function createRequester(options: RequesterOptions): Requester {
  const {
    apiKey,
    fetch: send = fetch,
    timeoutMs = 20_000,
    maxAttempts = 4,
    maxWaitMs = 60_000,
    deadlineMs,
    delay = wait,
    now = Date.now,
    random = Math.random,
    log,
  } = options;
  const baseUrl = readBaseUrl(options.baseUrl ?? DEFAULT_BASE_URL);
  let seen: RateLimit & { at: number } | undefined;
  /** The waits after a 429, which requests that are at work at the same time share. */
  let held: Promise<unknown> = Promise.resolve();
  /** A 429 that asks for a longer wait than `maxWaitMs`: nothing is read until then. */
  let refused: { error: KapsoError; until: number } | undefined;

  const rateLimit = () => seen !== undefined && now() - seen.at < WINDOW_MS ? seen : undefined;
  const noteRateLimit = (headers: Headers) => {
    const limit = Number(headers.get("x-ratelimit-limit") ?? NaN);
    const remaining = Number(headers.get("x-ratelimit-remaining") ?? NaN);
    if (limit > 0 && remaining >= 0) seen = { limit, remaining, at: now() };
  };
  /** Spreads what is left of a minute over a minute, so that it is never used up by reading. */
  const pause = async (signal: AbortSignal | undefined) => {
    const left = rateLimit();
    if (left === undefined || left.remaining > left.limit * HEADROOM) return;
    await delay(Math.min(WINDOW_MS / (left.remaining + 1), maxWaitMs), signal);
  };

  const attempt = async (request: KapsoRequest): Promise<unknown> => {
    const { method = "GET", body, signal } = request;
    const isWrite = method !== "GET" && !request.isRepeatable;
    const timeout = AbortSignal.timeout(request.timeoutMs ?? timeoutMs);
    const isForm = body instanceof FormData;
    const url = urlOf(baseUrl, request);
    const init: RequestInit = {
      method,
      headers: {
        "X-API-Key": apiKey,
        Accept: "application/json",
        ...(body === undefined || isForm ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined
        ? {}
        : { body: isForm || typeof body === "string" ? body : JSON.stringify(body) }),
      // The key must not follow a redirect.
      redirect: "manual",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    };
    let response: Response;
    let text: string;
    // Only what the network can fail: any other error is a fault of the code, and is not Kapso's.
    try {
      response = await send(url, init);
      noteRateLimit(response.headers);
      text = await response.text();
    } catch (cause) {
      if (signal?.aborted && !isWrite) throw signal.reason;
      throw unanswered(cause, { isWrite, isTimeout: timeout.aborted, isAborted: signal?.aborted });
    }
    if (response.status >= 300 && response.status < 400) throw redirected(response, isWrite);
    if (!response.ok) throw readRefusal(response, text, { isWrite, apiKey, now: now() });
    if (text.trim() === "") return undefined;
    const json = parseJson(text);
    if (json === undefined) throw unreadable(response.status, isWrite);
    return request.isRaw ? text : json;
  };

  /** Attempts a request that only reads, not before a wait that another one was asked for is over. */
  const attemptInTurn = async (request: KapsoRequest): Promise<unknown> => {
    await held;
    request.signal?.throwIfAborted();
    if (refused !== undefined && now() < refused.until) throw refused.error;
    try {
      return await attempt(request);
    } catch (error) {
      if (error instanceof KapsoError && error.status === 429) {
        const waitMs = error.retryAfterMs ?? 0;
        if (waitMs > maxWaitMs) refused = { error, until: now() + waitMs };
      }
      throw error;
    }
  };

  /** For what only reads. */
  const repeat = async (request: KapsoRequest): Promise<unknown> => {
    const { signal } = request;
    let isLimited = false;
    await pause(signal);
    return await retry(() => attemptInTurn(request), {
      retryAfterOf,
      attempts: maxAttempts,
      backoffMs: BACKOFF_MS,
      maxBackoffMs: maxWaitMs,
      maxRetryAfterMs: maxWaitMs,
      signal,
      delay(ms, signal) {
        const waiting = delay(ms, signal);
        if (isLimited) held = Promise.allSettled([held, waiting]);
        return waiting;
      },
      now,
      random,
      onRetry({ error, attempt, waitMs }) {
        const { status, code } = error as KapsoError;
        isLimited = status === 429;
        log?.("info", "kapso_repeat", { status, code, attempt, wait_ms: Math.round(waitMs) });
      },
    });
  };

  return {
    baseUrl,
    rateLimit() {
      const found = rateLimit();
      return found && { limit: found.limit, remaining: found.remaining };
    },
    async send(request) {
      const { method = "GET", signal } = request;
      if (method !== "GET" && !request.isRepeatable) {
        signal?.throwIfAborted();
        return await attempt(request);
      }
      if (deadlineMs === undefined) return await repeat(request);
      const deadline = AbortSignal.timeout(deadlineMs);
      try {
        return await repeat({
          ...request,
          signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
        });
      } catch (cause) {
        if (!deadline.aborted || signal?.aborted || cause instanceof KapsoError) throw cause;
        throw unanswered(cause, { isWrite: false, isTimeout: true, isAborted: false });
      }
    },
  };
}

/** The base URL alone, also from the address of one of the APIs below it. */
function readBaseUrl(text: string): string {
  const url = URL.parse(text.trim());
  if (url === null || url.username !== "" || url.password !== "") {
    throw new TypeError("The base URL of Kapso's API is not a URL");
  }
  const isLocal = ["127.0.0.1", "localhost", "[::1]", "host.docker.internal"].includes(
    url.hostname,
  );
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLocal)) {
    throw new TypeError("The base URL of Kapso's API must begin with https:");
  }
  const path = url.pathname.replace(/\/+$/, "")
    .replace(/\/(?:meta\/whatsapp(?:\/v\d+\.\d+)?|platform\/v1)$/, "");
  return `${url.origin}${path}`;
}

function urlOf(baseUrl: string, { path, query = {} }: KapsoRequest): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return `${baseUrl}${path}${text === "" ? "" : `?${text}`}`;
}

function unanswered(
  cause: unknown,
  about: { isWrite: boolean; isTimeout: boolean; isAborted: boolean | undefined },
): KapsoError {
  const hasLeft = !isUnconnected(cause);
  return new KapsoError({
    status: 0,
    code: about.isAborted ? "aborted" : about.isTimeout ? "timeout" : "network",
    message: about.isAborted
      ? "The request to Kapso was given up"
      : about.isTimeout
      ? "Kapso did not answer in time"
      : "Kapso cannot be reached",
    isRetryable: !about.isWrite || !hasLeft,
    isAmbiguous: about.isWrite && hasLeft,
    cause,
  });
}

/** Whether no connection was ever made, in the words of Deno's HTTP client: then nothing was done. */
function isUnconnected(error: unknown): boolean {
  return error instanceof Error &&
    (/client error \(Connect\)/.test(error.message) || isUnconnected(error.cause));
}

function redirected(response: Response, isWrite: boolean): KapsoError {
  return new KapsoError({
    status: response.status,
    code: "redirect_refused",
    message: "Kapso answered with a redirect, which is not followed: the key belongs to one host",
    isRetryable: false,
    isAmbiguous: isWrite,
  });
}

function unreadable(status: number, isWrite: boolean): KapsoError {
  return new KapsoError({
    status,
    code: "unreadable_answer",
    message: "Kapso's answer is not what its documentation says",
    isRetryable: !isWrite,
    isAmbiguous: isWrite,
  });
}

/** A refusal or failure that can pass; the wait that Kapso asks for. */
function retryAfterOf(error: unknown): number | undefined {
  return error instanceof KapsoError && error.isRetryable ? error.retryAfterMs ?? 0 : undefined;
}
