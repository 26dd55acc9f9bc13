/**
 * The HTTP server of the fake, which can misbehave. On node:http, because a server of Deno's own cannot
 * break a connection off.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** How a request goes wrong. */
export type Misbehaviour =
  /** Answer with an error before anything is done. */
  | { kind: "status"; status: number; headers?: Record<string, string>; body?: string }
  /** What a proxy in front of Kapso answers when Kapso is gone. */
  | { kind: "html"; status: number }
  /** Do what was asked, and break off after so many bytes of the answer's body; 0: before its head. */
  | { kind: "cut"; afterBytes: number }
  /** Answer rightly, but late. */
  | { kind: "slow"; ms: number }
  /** Do what was asked, and never answer. */
  | { kind: "silent" };

/** Refuse as Meta does, before anything is done: 131026 for a customer who cannot be reached, for one. */
export function metaRefusal(code: number, message: string, status = 400): Misbehaviour {
  const error = { message: `(#${code}) ${message}`, type: "OAuthException", code };
  return { kind: "status", status, body: JSON.stringify({ error }) };
}

/** Options of {@linkcode serve}. */
export interface ServeOptions {
  port: number;
  handle: (request: Request) => Promise<Response>;
  misbehaviour: (request: Request) => Misbehaviour | undefined;
  onAnswer: (method: string, path: string, status: number) => void;
}

/** Serve on the loopback address. */
export async function serve(
  options: ServeOptions,
): Promise<{ url: string; stop(): Promise<void> }> {
  const stopping = new AbortController();
  const server = createServer((incoming, outgoing) => {
    // A connection for each request: one that is used again and found closed makes clients repeat the
    // request unasked, and then a cut would not be seen.
    outgoing.setHeader("Connection", "close");
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const request = await toRequest(incoming);
    const path = new URL(request.url).pathname;
    const fault = options.misbehaviour(request);
    const note = (status: number) => options.onAnswer(request.method, path, status);
    if (fault?.kind === "status") {
      note(fault.status);
      return send(outgoing, fault.status, {
        "Content-Type": "application/json",
        ...fault.headers,
      }, bytes(fault.body ?? JSON.stringify({ error: "Something went wrong" })));
    }
    if (fault?.kind === "html") {
      note(fault.status);
      const page =
        `<html><head><title>${fault.status}</title></head><body>cloudflare</body></html>`;
      return send(outgoing, fault.status, { "Content-Type": "text/html" }, bytes(page));
    }
    if (fault?.kind === "slow") await delay(fault.ms, undefined, { signal: stopping.signal });
    const response = await options.handle(request);
    const body = new Uint8Array(await response.arrayBuffer());
    note(fault?.kind === "cut" || fault?.kind === "silent" ? 0 : response.status);
    if (fault?.kind === "silent") return;
    if (fault?.kind === "cut" && fault.afterBytes === 0) return void outgoing.destroy();
    const headers = Object.fromEntries(response.headers);
    if (fault?.kind === "cut") {
      outgoing.writeHead(response.status, { ...headers, "Content-Length": body.length });
      outgoing.write(body.subarray(0, fault.afterBytes), () => outgoing.destroy());
      return;
    }
    send(outgoing, response.status, headers, body);
  };

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      stopping.abort();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

async function toRequest(incoming: IncomingMessage): Promise<Request> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  const method = incoming.method ?? "GET";
  const body = await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer();
  return new Request(`http://${incoming.headers.host ?? "127.0.0.1"}${incoming.url}`, {
    method,
    headers,
    ...(method === "GET" || method === "HEAD" ? {} : { body }),
  });
}

function send(
  outgoing: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Uint8Array,
): void {
  outgoing.writeHead(status, { ...headers, "Content-Length": body.length });
  outgoing.end(body);
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
