/**
 * Routes of sending: messages, retries, uploads, templates.
 *
 * @module
 */
import { uploadFile } from "../_shared/contracts/inbox/media.ts";
import {
  discardMessage,
  listTemplates,
  type OutboxMessage,
  retryMessage,
  sendMessage,
  type Template,
  template,
} from "../_shared/contracts/inbox/messages.ts";
import { type LargeBodyRules, limitBody } from "../_shared/http/limit_body.ts";
import { errorNames } from "../_shared/http/log.ts";
import { addRoute, honoPath } from "../_shared/http/routes.ts";
import type { KapsoClient, Row } from "../_shared/kapso/api/client.ts";
import { outboundText } from "../_shared/kapso/api/outbound_message.ts";
import type { MemberApp } from "./context.ts";
import { askKapso } from "./kapso_calls.ts";
import { drain, type SenderDeps } from "./sender.ts";
import { MAX_UPLOAD_BYTES, readUpload } from "./upload.ts";

/** What sending needs of the outside world. */
export interface MessageDeps extends SenderDeps {
  /** Keeps the function alive for work after the answer. */
  waitUntil: (work: Promise<unknown>) => void;
  /** Who may send large bodies, and how many. */
  largeBodies: LargeBodyRules;
}

/** JSON bodies, in bytes. */
const MAX_BODY_BYTES = 256 * 1024;
/** Pages of 100 templates that are read of a phone number. */
const MAX_TEMPLATE_PAGES = 10;
const WINDOW_MS = 24 * 60 * 60 * 1000;

/** Adds the routes. */
export function addMessageRoutes(app: MemberApp, deps: MessageDeps): void {
  addRoute(app, sendMessage, async ({ body, reply }, context) => {
    const { conversation_id, idempotency_key, reply_to, content, ...payload } = body;
    const queued = await context.var.member.enqueueMessage(conversation_id, idempotency_key, {
      type: payload.type,
      content: outboundText(payload, content),
      payload,
      reply_to,
    });
    return reply(queued.isNew ? 201 : 200, {
      message: await sendQueued(deps, queued.message),
      window: replyWindow(queued.lastInboundAt, deps.now()),
    });
  }, { maxBodyBytes: MAX_BODY_BYTES, largeBodies: deps.largeBodies });

  addRoute(app, retryMessage, async ({ params, body, reply }, context) => {
    const queued = await context.var.member.retryMessage(params.id, body.confirm_possible_double);
    return reply(200, { message: await sendQueued(deps, queued) });
  }, { maxBodyBytes: MAX_BODY_BYTES, largeBodies: deps.largeBodies });

  addRoute(app, discardMessage, async ({ params, reply }, context) => {
    return reply(200, { message: await context.var.member.discardMessage(params.id) });
  });

  app.use(
    honoPath(uploadFile.path),
    limitBody(MAX_UPLOAD_BYTES, { advice: "choose a smaller file", large: deps.largeBodies }),
  );
  addRoute(app, uploadFile, async ({ reply }, context) => {
    const { conversationId, file, fileName, mimeType, type } = await readUpload(context.req.raw);
    const number = await context.var.member.sendingNumber(conversationId);
    const kapso = await deps.kapsoFor(number.connectionId);
    const { id } = await askKapso(() => kapso.uploadMedia(number.phoneNumberId, file, fileName));
    const upload = {
      media_id: id,
      type,
      file_name: fileName,
      mime_type: mimeType,
      size: file.size,
    };
    await deps.outbox.recordUpload(conversationId, number, upload);
    return reply(201, upload);
  });

  addRoute(app, listTemplates, async ({ query, reply }, context) => {
    const number = await context.var.member.sendingNumber(query.conversation_id);
    const kapso = await deps.kapsoFor(number.connectionId);
    const templates = await askKapso(() => readTemplates(kapso, number.phoneNumberId));
    return reply(200, { templates: templates.flatMap(toApproved) });
  });
}

/**
 * Sends the queued messages of a conversation up to the given one, and returns that one as it then is.
 * Messages queued behind it are sent after the answer.
 */
async function sendQueued(deps: MessageDeps, queued: OutboxMessage): Promise<OutboxMessage> {
  if (queued.state !== "queued") return queued;
  const own = Promise.withResolvers<OutboxMessage>();
  const work = drain(deps, queued.conversation_id, (message) => {
    if (message.id === queued.id) own.resolve(message);
  });
  const finished = work.then(() => queued);
  deps.waitUntil(work.catch((error) => {
    deps.log("error", "drain_failed", { cause: errorNames(error) });
  }));
  // Where another sender holds the conversation, the message stays queued and that sender takes it.
  return await Promise.race([own.promise, finished]);
}

/** The 24 hours after a customer's message. */
function replyWindow(
  lastInboundAt: string | null,
  now: number,
): { is_open: boolean; closes_at: string | null } {
  if (lastInboundAt === null) return { is_open: false, closes_at: null };
  const closesAt = new Date(lastInboundAt).getTime() + WINDOW_MS;
  return { is_open: closesAt > now, closes_at: new Date(closesAt).toISOString() };
}

/** The templates of the WhatsApp account that a phone number belongs to, as Kapso has them. */
async function readTemplates(kapso: KapsoClient, phoneNumberId: string): Promise<Row[]> {
  const { business_account_id: account } = await kapso.getPhoneNumber(phoneNumberId);
  const found: Row[] = [];
  if (typeof account !== "string") return found;
  let pages = 0;
  for await (const { rows } of kapso.listTemplates(account, { pageSize: 100 })) {
    found.push(...rows);
    if (++pages === MAX_TEMPLATE_PAGES) break;
  }
  return found;
}

/** A template that can be sent; none where it is not approved or Kapso's row lacks a field. */
function toApproved(row: Row): Template[] {
  if (String(row.status).toUpperCase() !== "APPROVED") return [];
  const { data } = template.safeParse({
    ...row,
    components: row.components ?? [],
    parameter_format: row.parameter_format ?? "POSITIONAL",
  });
  return data === undefined ? [] : [data];
}
