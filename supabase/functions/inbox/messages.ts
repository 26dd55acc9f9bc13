/**
 * Sending: messages, retries, uploads, templates.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import type { Json } from "../_shared/database/database.types.ts";
import { AppError } from "../_shared/http/errors.ts";
import { limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import { type KapsoClient, KapsoError, type Row } from "../_shared/kapso/api/client.ts";
import { outboundContent, outboundText } from "../_shared/kapso/api/outbound_message.ts";
import type { Log } from "../_shared/http/log.ts";
import { readInput } from "../_shared/http/validation.ts";
import type { UserApp } from "./handler.ts";
import { kapsoFailure, refusal } from "./refusals.ts";
import { retryRequest, sendRequest } from "./schema.ts";
import { drain, type SenderDeps } from "./sender.ts";
import type { OutboxMessage } from "./store.ts";
import { readUpload } from "./upload.ts";

/** What sending needs of the outside world. */
export interface MessageDeps extends SenderDeps {
  /** @throws {AppError} kapso_api_key_missing (422). */
  kapsoFor: (connectionId: string) => Promise<KapsoClient>;
  /** Lets work go on after the answer. */
  waitUntil: (work: Promise<unknown>) => void;
  log: Log;
}

/** Bodies of JSON, in bytes. */
const MAX_BODY_BYTES = 256 * 1024;
/** The body of an upload: the largest file, and the form around it. */
const MAX_UPLOAD_BYTES = 21 * 1024 * 1024;
/** Templates of a number that are looked at: pages of 100. */
const MAX_TEMPLATE_PAGES = 10;
const WINDOW_MS = 24 * 60 * 60 * 1000;

/** Where a thread is sent from. */
interface SendingSide {
  connection_id: string | null;
  phone_number_id: string | null;
  last_inbound_at: string | null;
}

/** Adds the routes. */
export function addMessageRoutes(app: UserApp, deps: MessageDeps): void {
  app.post("/messages", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const body = await readJson(context);
    const request = readInput(sendRequest, body);
    const payload = outboundContent.parse(body);
    const data = await rpc(context.var.user, "enqueue_message", {
      conversation_id: request.conversation_id,
      idempotency_key: request.idempotency_key,
      message: {
        type: payload.type,
        content: outboundText(payload, request.content),
        payload: payload as unknown as Json,
        reply_to: request.reply_to,
      },
    });
    const queued = data[0]!.stored as unknown as OutboxMessage;
    const message = await send(deps, queued);
    return context.json(
      { message, window: await readWindow(deps, context.var.user, request.conversation_id) },
      data[0]!.is_new ? 201 : 200,
    );
  });

  app.post("/messages/:id/retry", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const request = readInput(retryRequest, await readJson(context));
    const data = await rpc(context.var.user, "retry_message", {
      id: context.req.param("id"),
      confirm_possible_double: request.confirm_possible_double,
    });
    return context.json({ message: await send(deps, data[0]!) });
  });

  app.delete("/messages/:id", async (context) => {
    const data = await rpc(context.var.user, "discard_message", {
      id: context.req.param("id"),
    });
    return context.json({ message: data[0]! });
  });

  app.post("/uploads", limitBody(MAX_UPLOAD_BYTES, "choose a smaller file"), async (context) => {
    const upload = await readUpload(context.req.raw);
    const side = await sendingSide(context.var.user, upload.conversationId);
    const kapso = await deps.kapsoFor(side.connectionId);
    const { id } = await ask(() =>
      kapso.uploadMedia(side.phoneNumberId, upload.file, upload.fileName)
    );
    await deps.outbox.noteUpload({ ...upload, connectionId: side.connectionId, mediaId: id });
    return context.json({
      media_id: id,
      type: upload.type,
      file_name: upload.fileName,
      mime_type: upload.mimeType,
      size: upload.file.size,
    }, 201);
  });

  app.get("/templates", async (context) => {
    const conversationId = context.req.query("conversation_id");
    if (!conversationId) {
      throw new AppError(400, "invalid_request", "conversation_id is required");
    }
    const side = await sendingSide(context.var.user, conversationId);
    const kapso = await deps.kapsoFor(side.connectionId);
    const templates = await ask(async () => {
      const account = (await kapso.getPhoneNumber(side.phoneNumberId)).business_account_id;
      const found: Row[] = [];
      if (typeof account !== "string") return found;
      let pages = 0;
      for await (const { rows } of kapso.listTemplates(account, { pageSize: 100 })) {
        found.push(...rows);
        if (++pages === MAX_TEMPLATE_PAGES) break;
      }
      return found;
    });
    return context.json({
      templates: templates
        .filter((row) => String(row.status).toUpperCase() === "APPROVED")
        .map(({ id, name, language, category, components, parameter_format }) => ({
          id,
          name,
          language,
          category,
          components: components ?? [],
          parameter_format: parameter_format ?? "POSITIONAL",
        })),
    });
  });
}

/**
 * Send what waits in the thread of a message, and return the message as it then is. What others have queued
 * behind it goes on after the answer.
 */
async function send(deps: MessageDeps, queued: OutboxMessage): Promise<OutboxMessage> {
  if (queued.state !== "queued") return queued;
  const own = Promise.withResolvers<OutboxMessage>();
  const work = drain(deps, queued.conversation_id, (message) => {
    if (message.id === queued.id) own.resolve(message);
  });
  const finished = work.then(() => queued);
  deps.waitUntil(work.catch(() => {}));
  // Where somebody else is sending in this thread, it stays queued and is theirs to send.
  return await Promise.race([own.promise, finished]);
}

/** Ask Kapso for something, and turn its refusal into an answer. */
async function ask<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw error instanceof KapsoError ? kapsoFailure(error) : error;
  }
}

async function readSide(user: DatabaseClient, conversationId: string): Promise<SendingSide> {
  const data = await rpc(user, "sending_side", {
    conversation_id: conversationId,
  });
  return data as unknown as SendingSide;
}

/** The number a thread is answered by, for a member who may answer. */
async function sendingSide(
  user: DatabaseClient,
  conversationId: string,
): Promise<{ connectionId: string; phoneNumberId: string }> {
  const side = await readSide(user, conversationId);
  if (side.connection_id === null || side.phone_number_id === null) {
    throw new AppError(
      422,
      "connection_not_ready",
      "The number this conversation came in by is switched off, was removed, or is not connected to Kapso",
    );
  }
  return { connectionId: side.connection_id, phoneNumberId: side.phone_number_id };
}

async function readWindow(
  deps: MessageDeps,
  user: DatabaseClient,
  conversationId: string,
): Promise<{ is_open: boolean; closes_at: string | null }> {
  const { last_inbound_at: last } = await readSide(user, conversationId);
  const closesAt = last === null ? undefined : new Date(last).getTime() + WINDOW_MS;
  return {
    is_open: closesAt !== undefined && closesAt > deps.now(),
    closes_at: closesAt === undefined ? null : new Date(closesAt).toISOString(),
  };
}
