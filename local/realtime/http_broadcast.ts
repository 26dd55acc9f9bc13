/**
 * Broadcasts over HTTP: a batch at `/api/broadcast`, which realtime-js sends before it has joined, and one at
 * `/api/broadcast/<topic>/events/<event>` (`httpSend`).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type postgres from "postgres";
import * as z from "zod";
import { maySend } from "./authorization.ts";
import { type Channels, isTooLarge } from "./channels.ts";
import type { Broadcast } from "./frames.ts";
import { MAX_FRAME_BYTES } from "./limits.ts";
import type { Claims, TokenCheck } from "./tokens.ts";

/** What the endpoints need. */
export interface HttpBroadcastOptions {
  readonly sql: postgres.Sql;
  readonly channels: Channels;
  readonly checkToken: TokenCheck;
}

const batchSchema = z.object({
  messages: z.array(z.object({
    topic: z.string().min(1),
    event: z.string().min(1),
    payload: z.record(z.string(), z.unknown()),
    private: z.boolean().nullish().transform((value) => value ?? false),
  })),
});

/** Answers a request below `/api/broadcast`; `path` is what follows. */
export async function answerBroadcast(
  request: Request,
  path: string,
  options: HttpBroadcastOptions,
): Promise<Response> {
  if (request.method !== "POST") return answer(404, { message: "Not found" });
  const claims = await authenticate(request, options.checkToken);
  if (!claims) return answer(401, { message: "Unauthorized" });
  const body = await readBody(request);
  if (!body) return answer(413, { message: "Request Entity Too Large" });
  if (path === "") return await sendBatch(request, body, claims, options);
  const match = /^\/([^/]+)\/events\/([^/]+)$/.exec(path);
  if (!match) return answer(404, { message: "Not found" });
  let names: [string, string];
  try {
    names = [decodeURIComponent(match[1]!), decodeURIComponent(match[2]!)];
  } catch {
    return answer(400, { message: "Bad Request" });
  }
  return await sendOne(request, body, { topic: names[0], event: names[1], claims }, options);
}

async function sendBatch(
  request: Request,
  body: Uint8Array,
  claims: Claims,
  { sql, channels }: HttpBroadcastOptions,
): Promise<Response> {
  const json = parseJson(body);
  if (json === undefined) return answer(400, { message: "Bad Request" });
  const batch = batchSchema.safeParse(json.value);
  if (!batch.success) return answer(422, { errors: z.flattenError(batch.error).fieldErrors });
  const allowed = new Map<string, boolean>();
  for (const { topic, event, payload, private: isPrivate } of batch.data.messages) {
    const broadcast: Broadcast = { message: { type: "broadcast", event, payload } };
    if (isTooLarge(broadcast)) return tooLarge();
    if (isPrivate && !allowed.has(topic)) {
      allowed.set(topic, await maySend(sql, { topic, claims, headers: headersOf(request) }));
    }
    // A denied broadcast is dropped and the batch accepted, as on hosted Supabase.
    if (!isPrivate || allowed.get(topic)) channels.broadcast({ topic, isPrivate }, broadcast);
  }
  return accepted();
}

async function sendOne(
  request: Request,
  body: Uint8Array,
  { topic, event, claims }: { topic: string; event: string; claims: Claims },
  { sql, channels }: HttpBroadcastOptions,
): Promise<Response> {
  const isBinary = request.headers.get("content-type")?.startsWith("application/octet-stream");
  if (!isBinary && parseJson(body) === undefined) return answer(400, { message: "Bad Request" });
  const broadcast: Broadcast = { event, encoding: isBinary ? "binary" : "json", payload: body };
  if (isTooLarge(broadcast)) return tooLarge();
  const isPrivate = new URL(request.url).searchParams.get("private") === "true";
  if (isPrivate && !await maySend(sql, { topic, claims, headers: headersOf(request) })) {
    return answer(403, { message: "Unauthorized" });
  }
  channels.broadcast({ topic, isPrivate }, broadcast);
  return accepted();
}

async function authenticate(request: Request, checkToken: TokenCheck): Promise<Claims | undefined> {
  const authorization = request.headers.get("authorization");
  const token = authorization
    ? /^Bearer +(\S+)$/i.exec(authorization)?.[1]
    : request.headers.get("apikey");
  if (!token) return undefined;
  try {
    return await checkToken(token);
  } catch {
    return undefined;
  }
}

/** The whole body, or undefined when it is too large. */
async function readBody(request: Request): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > MAX_FRAME_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(body: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) };
  } catch {
    return undefined;
  }
}

/** The headers of a request, as policies see them. */
export function headersOf(request: Request): Record<string, string> {
  return Object.fromEntries(request.headers);
}

function accepted(): Response {
  return new Response("", { status: 202 });
}

function tooLarge(): Response {
  return answer(422, { errors: { payload: ["Payload size exceeds tenant limit"] } });
}

function answer(status: number, body: object): Response {
  return Response.json(body, { status });
}
