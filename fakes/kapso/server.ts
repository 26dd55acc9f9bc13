/**
 * The HTTP server of the fake, which can fail on request. It uses node:http, because `Deno.serve` cannot break a
 * connection off.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** How a request fails. */
export type Misbehaviour =
  /** Answer with an error without processing the request. */
  | { kind: "status"; status: number; headers?: Record<string, string>; body?: string }
  /** Answer like a proxy whose Kapso is down. */
  | { kind: "html"; status: number }
  /** Process the request, and break off after a number of bytes of the answer's body; 0: before its head. */
  | { kind: "cut"; afterBytes: number }
  /** Answer correctly, but late. */
  | { kind: "slow"; ms: number }
  /** Process the request, and never answer. */
  | { kind: "silent" };

/** Refuses as Meta does, without processing the request, such as 131026 for a customer who cannot be reached. */
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

/** Starts the server on the loopback address. */
export async function serve(
  options: ServeOptions,
): Promise<{ url: string; stop(): Promise<void> }> {
  const stopping = new AbortController();
  const server = createServer((incoming, outgoing) => {
    // A connection for each request: clients silently repeat a request when a reused connection turns out closed,
    // which would hide a cut.
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
