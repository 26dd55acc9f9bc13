/**
 * Keeps the stack alive under load: bounds the requests in flight and the sizes of their bodies, and refuses the rest
 * at once.
 *
 * @module
 */

import { isSameSecret } from "../../supabase/functions/_shared/auth/hash.ts";
import { REALTIME_PATH } from "../realtime/service.ts";
import type { Gateway } from "./gateway.ts";
import { type BodyLimits, RequestBody } from "./request_body.ts";

/** Limits of the gateway. */
export interface RequestLimits extends BodyLimits {
  /** Calls of functions in flight. Other requests have {@linkcode OTHER_SHARE} times as many. */
  readonly maxRequests: number;
  /** Bytes of all bodies in flight. */
  readonly maxBodyBytes: number;
}

/** The limits of `deno task start`. */
export const REQUEST_LIMITS: RequestLimits = {
  maxRequests: 200,
  // Above the largest body of a function: an upload to the inbox.
  maxBytes: 32 * 1024 * 1024,
  maxBodyBytes: 256 * 1024 * 1024,
  pauseMs: 30_000,
};

/** Functions call the REST API several times for one request of theirs, so that it must not refuse first. */
export const OTHER_SHARE = 4;
const RETRY_AFTER_SECONDS = 1;
/** Declared bodies up to this size are read before a function is called, which takes less time than a stream. */
const SMALL_BYTES = 64 * 1024;

/** What `limitRequests` needs. */
export interface LimitOptions {
  readonly limits: RequestLimits;
  /** Requests with this key come from the functions and other trusted programs, and are never too many. */
  readonly secretKey: string;
}

/** Puts the limits in front of a gateway. */
export function limitRequests(gateway: Gateway, options: LimitOptions): Deno.ServeHandler {
  const { limits, secretKey } = options;
  const inFlight = { functions: 0, others: 0 };
  let bodyBytes = 0;

  return async (request, { remoteAddr, completed }) => {
    const caller = remoteAddr as Deno.NetAddr;
    const { pathname } = new URL(request.url);
    // A WebSocket stays open for hours and sends no body; Realtime has a limit of its own.
    if (pathname.startsWith(REALTIME_PATH) && request.headers.has("upgrade")) {
      return await gateway(request, caller);
    }
    const kind = pathname.startsWith("/functions/v1/") ? "functions" : "others";
    const max = limits.maxRequests * (kind === "functions" ? 1 : OTHER_SHARE);
    if (inFlight[kind] >= max) {
      const key = request.headers.get("apikey");
      if (key === null || !await isSameSecret(key, secretKey)) return busy();
    }

    let ownBytes = 0;
    const takeBytes = (bytes: number) => {
      if (bodyBytes + bytes > limits.maxBodyBytes) throw new BodiesFull();
      ownBytes += bytes;
      bodyBytes += bytes;
    };
    inFlight[kind]++;
    const release = () => {
      inFlight[kind]--;
      bodyBytes -= ownBytes;
    };
    completed.then(release, release);

    if (request.body === null) return await gateway(request, caller);
    const declared = Number(request.headers.get("content-length") ?? NaN);
    const isDeclared = Number.isSafeInteger(declared);
    if (declared <= SMALL_BYTES) {
      const small = await readAll(request, limits.pauseMs);
      return small === undefined
        ? tooSlow()
        : await gateway(new Request(request, { body: small }), caller);
    }
    const body = new RequestBody(request.body, limits, isDeclared ? () => {} : takeBytes);
    let answer: Response;
    try {
      if (declared > limits.maxBytes) {
        answer = tooLarge();
      } else {
        if (isDeclared) takeBytes(declared);
        answer = await gateway(
          new Request(request, { body: body.stream, duplex: "half" } as RequestInit),
          caller,
        );
      }
    } catch (error) {
      if (body.failure === undefined && !isBodiesFull(error)) throw error;
      answer = busy();
    }
    if (body.failure === "too_large") answer = tooLarge();
    if (body.failure === "too_slow") answer = tooSlow();
    // An early answer: the receiver has not read the body.
    if (answer.status >= 400) await body.discard();
    return answer;
  };
}

/** The bodies in flight use all the memory they may. */
class BodiesFull extends Error {}

function isBodiesFull(error: unknown): boolean {
  return error instanceof BodiesFull ||
    (error instanceof Error && error.cause !== undefined && isBodiesFull(error.cause));
}

/** A body of a declared length; undefined if it does not arrive in time. */
async function readAll(request: Request, ms: number): Promise<ArrayBuffer | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return await Promise.race([request.arrayBuffer(), late]).finally(() => clearTimeout(timer));
}

function busy(): Response {
  return refuse(
    503,
    "too_many_requests",
    "Too many requests at the same time. Nothing was processed",
    {
      "retry-after": `${RETRY_AFTER_SECONDS}`,
    },
  );
}

function tooLarge(): Response {
  return refuse(413, "body_too_large", "Request body too large");
}

function tooSlow(): Response {
  return refuse(408, "body_too_slow", "The request body did not arrive in time", {
    connection: "close",
  });
}

function refuse(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ code, message }, {
    status,
    headers: { ...headers, "access-control-allow-origin": "*" },
  });
}
