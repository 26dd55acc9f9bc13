/**
 * Forwards a request to the process of a function, and its answer back, both as streams.
 *
 * @module
 */

/** Headers that concern one connection (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** The sender of a request. */
export interface Caller {
  readonly hostname: string;
}

/** Bodies up to this size reach the function before it can answer without having read them. */
const SMALL_BYTES = 64 * 1024;

/** Sends requests to functions over connections that are reused. */
export class FunctionProxy {
  readonly #client = Deno.createHttpClient({ poolMaxIdlePerHost: 256, poolIdleTimeout: 60_000 });
  /**
   * For bodies that a function may refuse unread. With HTTP/1.1 its Deno resets the connection then, and the answer
   * is lost; with HTTP/2 only the body ends. HTTP/1.1 is faster for everything else.
   */
  readonly #clientOfLargeBodies = Deno.createHttpClient({ http1: false, http2: true });

  /**
   * Forwards a request.
   *
   * @param path The path and query for the function.
   * @throws If the function cannot be reached or ends before it has answered.
   */
  async forward(request: Request, origin: string, path: string, caller: Caller): Promise<Response> {
    const headers = new Headers(request.headers);
    removeHopByHop(headers);
    setDefault(headers, "x-forwarded-host", request.headers.get("host"));
    setDefault(headers, "x-forwarded-proto", "http");
    const earlier = headers.get("x-forwarded-for");
    headers.set("x-forwarded-for", earlier ? `${earlier}, ${caller.hostname}` : caller.hostname);
    headers.delete("host");
    // `fetch` decompresses what it receives, so compression between two processes is wasted.
    headers.set("accept-encoding", "identity");

    const answer = await fetch(origin + path, {
      method: request.method,
      headers,
      body: request.body,
      redirect: "manual",
      signal: request.signal,
      client: isSmall(request) ? this.#client : this.#clientOfLargeBodies,
    });
    const answerHeaders = new Headers(answer.headers);
    removeHopByHop(answerHeaders);
    return new Response(answer.body, {
      status: answer.status,
      statusText: answer.statusText,
      headers: answerHeaders,
    });
  }

  close(): void {
    this.#client.close();
    this.#clientOfLargeBodies.close();
  }
}

function isSmall(request: Request): boolean {
  return request.body === null ||
    Number(request.headers.get("content-length") ?? Infinity) <= SMALL_BYTES;
}

function removeHopByHop(headers: Headers): void {
  const connection = headers.get("connection");
  if (connection !== null) {
    for (const name of connection.split(",")) headers.delete(name.trim());
  }
  for (const name of HOP_BY_HOP) headers.delete(name);
}

function setDefault(headers: Headers, name: string, value: string | null): void {
  if (value !== null && !headers.has(name)) headers.set(name, value);
}
