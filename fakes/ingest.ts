/**
 * A fake of messaging-ingest over HTTP that checks and stores like the real one, and fails on request.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import { setTimeout as delay } from "node:timers/promises";

/** How the next request goes wrong. */
export type Misbehaviour =
  | { kind: "status"; status: number; headers?: Record<string, string>; body?: string }
  /** Stores the batch, then breaks the connection before or during the answer. */
  | { kind: "cut"; afterBytes: number }
  | { kind: "slow"; ms: number };

/** A message of a request. */
export interface WireMessage {
  id: string;
  direction: string;
  type: string;
  content: string;
  sent_at: string;
  sender_name?: string;
  reply_to?: string;
  metadata?: Record<string, unknown>;
}

/** A running fake; stops when disposed of. */
export interface FakeIngest extends AsyncDisposable {
  url: string;
  key: string;
  /** Each conversation with its messages by id. */
  threads: Map<string, { participant: string; name?: string; messages: Map<string, WireMessage> }>;
  requests: { messageCount: number; conversationCount: number; bytes: number; at: number }[];
  /** Taken one per request, in order. */
  misbehaviours: Misbehaviour[];
  /** Conversations that end in `error: …`. */
  broken: Set<string>;
  /** Ids of messages that are rejected alone. */
  rejected: Set<string>;
}

const KEY = "test-key-not-a-secret";
const CONNECTION = "connection_1";

/** Starts the fake on a free port of the loopback address. */
export function startFakeIngest(): FakeIngest {
  const threads: FakeIngest["threads"] = new Map();
  const requests: FakeIngest["requests"] = [];
  const misbehaviours: Misbehaviour[] = [];
  const broken = new Set<string>();
  const rejected = new Set<string>();

  const handle = (key: string | undefined, body: string): { status: number; answer: unknown } => {
    if (key !== KEY) return fail(401, "Invalid API key", "invalid_api_key");
    if (body.length > 5 * 1024 * 1024) return fail(413, "Body is too large", "too_large");
    // deno-lint-ignore no-explicit-any
    const request = JSON.parse(body) as any;
    if (request.connection_id !== CONNECTION) return fail(401, "Invalid connection_id or platform");
    const messageCount = request.conversations.reduce(
      (sum: number, { messages }: { messages: unknown[] }) => sum + messages.length,
      0,
    );
    if (messageCount > 5000 || request.conversations.length > 500) {
      return fail(400, "Too much", "too_many");
    }
    requests.push({
      messageCount,
      conversationCount: request.conversations.length,
      bytes: body.length,
      at: performance.now(),
    });
    const results = [];
    for (const conversation of request.conversations) {
      const id = conversation.external_conversation_id;
      if (broken.has(id)) {
        results.push({
          conversation_id: id,
          messages_added: 0,
          status: "error: Broken",
          code: "x",
        });
        continue;
      }
      if (conversation.is_history !== true || !conversation.participant_identifier) {
        return fail(400, "Not a history import");
      }
      const isNew = !threads.has(id);
      const thread = threads.get(id) ??
        { participant: "", messages: new Map<string, WireMessage>() };
      threads.set(id, thread);
      thread.participant = conversation.participant_identifier;
      thread.name = conversation.participant_name;
      let added = 0;
      const refused = [];
      for (const [index, message] of (conversation.messages as WireMessage[]).entries()) {
        if (rejected.has(message.id)) {
          refused.push({ index, id: message.id, code: "invalid_message", message: "is odd" });
          continue;
        }
        const isBad = !message.id || message.id.length > 512 ||
          !["inbound", "outbound"].includes(message.direction) ||
          !["text", "image", "audio", "video", "file", "location"].includes(message.type) ||
          (message.type === "text" && message.content === "") ||
          new TextEncoder().encode(message.content).length > 65_536 ||
          JSON.stringify(message.metadata ?? {}).length > 16_384 ||
          !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(message.sent_at);
        if (isBad) return fail(400, "Invalid message", "invalid_message");
        if (thread.messages.has(message.id)) continue;
        thread.messages.set(message.id, message);
        added++;
      }
      results.push({
        conversation_id: id,
        id: `row-${id}`,
        messages_added: added,
        status: isNew ? "created" : added > 0 ? "updated" : "no_new_messages",
        ...(refused.length > 0 ? { rejected: refused } : {}),
      });
    }
    return { status: 200, answer: { success: true, processed: results.length, results } };
  };

  // Raw sockets, because `Deno.serve` cannot break off in the middle of an answer.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const serving = new Set<Promise<void>>();
  const stop = new AbortController();
  const serve = async (connection: Deno.TcpConn) => {
    open.add(connection);
    try {
      const { path, headers, body } = await readRequest(connection);
      const misbehaviour = misbehaviours.shift();
      if (misbehaviour?.kind === "slow") {
        await delay(misbehaviour.ms, undefined, { signal: stop.signal });
      }
      let text: string;
      if (misbehaviour?.kind === "status") {
        const { status, headers = {}, body = "{}" } = misbehaviour;
        text = formatResponse(status, body, headers);
      } else {
        const { status, answer } = path === "/functions/v1/messaging-ingest"
          ? handle(headers.get("x-api-key"), body)
          : fail(404, "Not found");
        text = formatResponse(status, JSON.stringify(answer), {});
      }
      let bytes = new TextEncoder().encode(text);
      if (misbehaviour?.kind === "cut") bytes = bytes.subarray(0, misbehaviour.afterBytes);
      while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
    } catch {
      // The client has gone.
    } finally {
      if (open.delete(connection)) connection.close();
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) {
      const served = serve(connection).finally(() => serving.delete(served));
      serving.add(served);
    }
  })();

  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    key: KEY,
    threads,
    requests,
    misbehaviours,
    broken,
    rejected,
    async [Symbol.asyncDispose]() {
      listener.close();
      stop.abort();
      await accepting.catch(() => {});
      for (const connection of open) if (open.delete(connection)) connection.close();
      await Promise.all(serving);
    },
  };
}

/** Counts the stored messages of all conversations. */
export function storedCount(fake: FakeIngest): number {
  return [...fake.threads.values()].reduce((sum, { messages }) => sum + messages.size, 0);
}

function fail(status: number, error: string, code = "invalid_request") {
  return { status, answer: { error, code, request_id: "request-1" } };
}

function formatResponse(status: number, body: string, headers: Record<string, string>): string {
  const lines = Object.entries({ "content-type": "application/json", ...headers })
    .map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const length = new TextEncoder().encode(body).length;
  return `HTTP/1.1 ${status} x\r\n${lines}content-length: ${length}\r\nconnection: close\r\n\r\n${body}`;
}

async function readRequest(connection: Deno.TcpConn) {
  let received = new Uint8Array(0);
  const buffer = new Uint8Array(256 * 1024);
  const more = async () => {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("connection closed");
    const joined = new Uint8Array(received.length + count);
    joined.set(received);
    joined.set(buffer.subarray(0, count), received.length);
    received = joined;
  };
  let headerEnd = -1;
  while (headerEnd === -1) {
    await more();
    headerEnd = new TextDecoder("latin1").decode(received).indexOf("\r\n\r\n");
  }
  const [requestLine = "", ...lines] = new TextDecoder().decode(received.subarray(0, headerEnd))
    .split("\r\n");
  const headers = new Map(lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  }));
  const length = Number(headers.get("content-length") ?? 0);
  while (received.length < headerEnd + 4 + length) await more();
  const body = new TextDecoder().decode(received.subarray(headerEnd + 4));
  return { path: requestLine.split(" ")[1] ?? "", headers, body };
}
