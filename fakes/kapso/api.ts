/**
 * Kapso's REST API: the Meta proxy (`/meta/whatsapp/v24.0`) and the Platform API (`/platform/v1`).
 * Assignments and workflows are in files of their own.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import { type Context, Hono } from "hono";
import { setTimeout as delay } from "node:timers/promises";
import {
  instantOf,
  is,
  NO_PAGES,
  pageOptions,
  readBody,
  Refusal,
  refuse,
  refuseAsMeta,
  wrapped,
} from "./answers.ts";
import { deliveryRow, type Webhook } from "./deliveries.ts";
import type { FakeKapso, FileBehaviour } from "./controls.ts";
import { page } from "./paging.ts";
import {
  contactRow,
  conversationRow,
  DEFAULT_MESSAGE_EXTRAS,
  iso,
  messageRow,
  phoneNumberRow,
} from "./payloads.ts";
import { addTeamRoutes } from "./team.ts";
import { addWorkflowRoutes } from "./workflows.ts";
import {
  type Contact,
  type Conversation,
  DAY_MS,
  type JsonObject,
  type Media,
  type Message,
  NUMBER_EVENTS,
  type PhoneNumber,
} from "./state.ts";

/** Options of {@linkcode createApi}. */
export interface ApiOptions {
  rateLimit: number | null;
  sendLatencyMs: number;
  knowsContactEvents: boolean;
  linkOf: (media: Media) => string;
}

const PROXY = "/meta/whatsapp/:version{v2[34]\\.0}";
const PLATFORM = "/platform/v1/whatsapp";
const MEDIA_TYPES = ["image", "video", "audio", "document", "sticker"];

/** Creates the API of a fake. */
export function createApi(
  fake: FakeKapso,
  options: ApiOptions,
): (request: Request) => Promise<Response> {
  const { state, clock, deliveries } = fake;
  const app = new Hono();
  const windows = new Map<string, { minute: number; count: number }>();
  const sending = new Set<string>();
  const downloads = new Map<string, { media: Media; expiresAt: number }>();

  app.onError((error) =>
    error instanceof Refusal
      ? Response.json(error.body, { status: error.status })
      : Response.json({ error: "Internal server error" }, { status: 500 })
  );
  app.notFound(() =>
    new Response(
      "<!DOCTYPE html><html><body>The page you were looking for doesn't exist.</body></html>",
      {
        status: 404,
        headers: { "Content-Type": "text/html" },
      },
    )
  );

  // Files whose links need no key -----------------------------------------------------------------

  app.get("/rails/active_storage/blobs/redirect/:token/:name", (context) => {
    const media = [...state.media.values()].find(({ token }) =>
      token === context.req.param("token")
    );
    return media === undefined ? context.notFound() : fileResponse(media, fake.files);
  });
  app.get(`${PROXY}/media_download`, (context) => {
    const download = downloads.get(context.req.query("token") ?? "");
    if (download === undefined || download.expiresAt < clock.now()) {
      return refuse(404, "Media not found or expired");
    }
    return fileResponse(download.media, fake.files);
  });

  // Keys and limits -------------------------------------------------------------------------------

  app.use("*", async (context, next) => {
    const isProxy = context.req.path.startsWith("/meta/");
    if (isProxy && !/^\/meta\/whatsapp\/v2[34]\.0\//.test(context.req.path)) {
      return context.notFound();
    }
    if (context.req.header("X-API-Key") !== fake.apiKey) {
      return Response.json({
        error: isProxy ? "Invalid credentials for WhatsApp configuration" : "Invalid API key",
      }, { status: 401 });
    }
    const { rateLimit } = options;
    if (rateLimit === null) return await next();
    const minute = Math.floor(clock.now() / 60_000);
    const window = windows.get(fake.apiKey);
    const count = window?.minute === minute ? window.count + 1 : 1;
    windows.set(fake.apiKey, { minute, count });
    const headers = {
      "X-RateLimit-Limit": String(rateLimit),
      "X-RateLimit-Remaining": String(Math.max(rateLimit - count, 0)),
    };
    if (count > rateLimit) {
      return Response.json({
        error: "Rate limit exceeded",
        message: `Limit of ${rateLimit} requests per minute exceeded`,
      }, {
        status: 429,
        // 60 at the usual speed of the clock.
        headers: { ...headers, "Retry-After": String(Math.ceil(clock.realMs(60) / 1000)) },
      });
    }
    await next();
    for (const [name, value] of Object.entries(headers)) context.res.headers.set(name, value);
  });

  // Look-ups --------------------------------------------------------------------------------------

  const phoneNumberOf = (context: Context): PhoneNumber =>
    state.phoneNumbers.get(context.req.param("phoneNumber") ?? "") ??
      refuse(404, "WhatsApp phone number not found in this project");
  const conversationOf = (context: Context): Conversation =>
    state.conversationsById.get(context.req.param("id") ?? "") ??
      refuse(404, "Conversation not found");
  const contactBy = (value: string, phoneNumber?: PhoneNumber): Contact | undefined =>
    state.contacts.find((contact) =>
      (phoneNumber === undefined || contact.phoneNumber === phoneNumber) &&
      [contact.id, contact.phone, contact.waId, contact.bsuid, contact.parentBsuid].includes(value)
    );
  const contactOf = (context: Context, phoneNumber?: PhoneNumber): Contact =>
    contactBy(context.req.param("id") ?? "", phoneNumber) ?? refuse(404, "Contact not found");
  const webhookOf = (context: Context): Webhook => {
    const webhook = deliveries.webhooks.get(context.req.param("id") ?? "");
    const phoneNumber = context.req.param("phoneNumber");
    if (
      webhook === undefined || (phoneNumber !== undefined && webhook.phoneNumberId !== phoneNumber)
    ) {
      return refuse(404, "Webhook not found");
    }
    return webhook;
  };

  // Messages --------------------------------------------------------------------------------------

  const messagePage = (context: Context, phoneNumber: PhoneNumber | undefined) => {
    const query = context.req.query();
    const since = instantOf(query.since);
    const until = instantOf(query.until);
    const conversation = query.conversation_id === undefined
      ? undefined
      : state.conversationsById.get(query.conversation_id);
    const stored = query.conversation_id === undefined
      ? state.messages
      : conversation?.messages ?? [];
    const rows = stored.filter((message) => {
      const { conversation } = message;
      return (phoneNumber === undefined || conversation.phoneNumber === phoneNumber) &&
        is(query.direction, message.direction) &&
        is(query.status, message.direction === "inbound" ? "delivered" : message.status) &&
        is(query.message_type, message.type) &&
        is(query.business_scoped_user_id, conversation.contact.bsuid) &&
        is(query.has_media, String(message.extras.media_url !== undefined)) &&
        (query.phone_number === undefined ||
          (conversation.contact.phone ?? "").includes(query.phone_number.replace(/\D/g, ""))) &&
        (since === undefined || message.createdAt >= since) &&
        (until === undefined || message.createdAt <= until);
    });
    return page(rows.reverse(), pageOptions(context), {
      key: (message) => ({ sequence: message.sequence }),
      compare: (one, other) => Number(other.sequence) - Number(one.sequence),
    });
  };
  const messageExtras = (fields: string | undefined): readonly string[] | "all" => {
    const wanted = /kapso\(([^)]*)\)/.exec(fields ?? "kapso(default)")?.[1];
    if (wanted === undefined || wanted === "default") return DEFAULT_MESSAGE_EXTRAS;
    return wanted === "*" ? "all" : wanted.split(",").map((name) => name.trim());
  };

  app.get(`${PROXY}/:phoneNumber/messages`, (context) => {
    const { rows, paging } = messagePage(context, phoneNumberOf(context));
    const extras = messageExtras(context.req.query("fields"));
    return context.json({ data: rows.map((message) => messageRow(message, extras)), paging });
  });
  app.get(`${PROXY}/:phoneNumber/messages/:id`, (context) => {
    const phoneNumber = phoneNumberOf(context);
    const message = state.messagesById.get(context.req.param("id"));
    if (message?.conversation.phoneNumber !== phoneNumber) return refuse(404, "Message not found");
    return context.json(messageRow(message, messageExtras(context.req.query("fields"))));
  });
  app.get(`${PLATFORM}/messages`, (context) => {
    const given = context.req.query("phone_number_id");
    const phoneNumber = given === undefined ? undefined : state.phoneNumbers.get(given);
    if (given !== undefined && phoneNumber === undefined) {
      return context.json({ data: [], paging: NO_PAGES });
    }
    const { rows, paging } = messagePage(context, phoneNumber);
    return context.json({ data: rows.map((message) => messageRow(message, "all")), paging });
  });
  app.get(`${PLATFORM}/messages/:id`, (context) => {
    const message = state.messagesById.get(context.req.param("id"));
    if (message === undefined) return refuse(404, "Message not found");
    return context.json({ data: messageRow(message, "all") });
  });

  // Sending ---------------------------------------------------------------------------------------

  app.post(`${PROXY}/:phoneNumber/messages`, async (context) => {
    const phoneNumber = phoneNumberOf(context);
    const body = await readBody(context);
    if (body.messaging_product !== "whatsapp") {
      return refuseAsMeta(400, 100, "The parameter messaging_product is required.");
    }
    if (body.status === "read") {
      if (!state.messagesById.has(String(body.message_id))) {
        return refuseAsMeta(400, 131009, "Parameter value is not valid", "Unknown message_id");
      }
      return context.json({ success: true });
    }
    const address = String(body.to ?? body.recipient ?? "").replace(/^\+/, "");
    if (address === "") return refuseAsMeta(400, 100, "The parameter to is required.");
    if (
      body.messaging_account_id !== undefined &&
      body.messaging_account_id !== phoneNumber.businessAccountId
    ) {
      return refuse(422, "Messaging account mismatch", { code: "messaging_account_mismatch" });
    }
    const type = String(body.type ?? "text");
    const content = checkContent(type, body, state.media, phoneNumber);
    const contact = contactBy(address, phoneNumber) ??
      (/^\d{7,15}$/.test(address)
        ? fake.addContact({ phoneNumber, phone: address })
        : refuseAsMeta(400, 131009, "Parameter value is not valid", "Unknown recipient"));
    const isOpen = contact.lastInboundAt !== undefined &&
      clock.now() - contact.lastInboundAt < DAY_MS;
    if (type !== "template" && !isOpen) {
      return refuseAsMeta(
        422,
        131047,
        "Re-engagement message",
        "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
      );
    }
    if (type === "template") checkTemplate(body.template as JsonObject, fake, phoneNumber);
    if (type === "template" && contact.marketing?.status === "stopped") {
      return refuse(422, "The contact stopped marketing messages", {
        code: "marketing_preference_stopped",
      });
    }
    if (sending.has(contact.id)) {
      return refuse(409, "Another message to this conversation is still being sent");
    }
    sending.add(contact.id);
    try {
      if (options.sendLatencyMs > 0) await delay(options.sendLatencyMs);
      const context_ = body.context as { message_id?: string } | undefined;
      const replyTo = state.messagesById.get(context_?.message_id ?? "");
      const message = fake.sendMessage(contact, content, {
        ...(replyTo === undefined ? {} : { replyTo }),
        ...(typeof body.biz_opaque_callback_data === "string"
          ? { callbackData: body.biz_opaque_callback_data }
          : {}),
      });
      return context.json({
        messaging_product: "whatsapp",
        contacts: [
          body.to === undefined
            ? { input: address, user_id: contact.bsuid }
            : { input: address, wa_id: contact.waId ?? contact.phone },
        ],
        messages: [{
          id: message.id,
          ...(type === "template" ? { message_status: "accepted" } : {}),
        }],
      });
    } finally {
      sending.delete(contact.id);
    }
  });

  // Conversations ---------------------------------------------------------------------------------

  const conversationPage = (context: Context, phoneNumber: PhoneNumber | undefined) => {
    const query = context.req.query();
    if (query.assigned_user_id !== undefined && query.unassigned !== undefined) {
      return refuse(422, "assigned_user_id and unassigned cannot be combined");
    }
    const after = instantOf(query.last_active_since ?? query.last_active_after);
    const before = instantOf(query.last_active_until ?? query.last_active_before);
    const createdAfter = instantOf(query.created_after);
    const createdBefore = instantOf(query.created_before);
    const rows = state.conversations.filter((session) =>
      (phoneNumber === undefined || session.phoneNumber === phoneNumber) &&
      is(query.status, session.status) &&
      is(query.assigned_user_id, session.assignedUserId) &&
      (query.unassigned !== "true" || session.assignedUserId === undefined) &&
      (query.phone_number === undefined ||
        (session.contact.phone ?? "").includes(query.phone_number.replace(/\D/g, ""))) &&
      (after === undefined || session.lastActiveAt >= after) &&
      (before === undefined || session.lastActiveAt <= before) &&
      (createdAfter === undefined || session.createdAt >= createdAfter) &&
      (createdBefore === undefined || session.createdAt <= createdBefore)
    );
    // By time of activity, so that the list changes while a client reads it.
    rows.sort((one, other) =>
      other.lastActiveAt - one.lastActiveAt || (one.id < other.id ? 1 : -1)
    );
    const found = page(rows, pageOptions(context), {
      key: (session) => ({ last_active_at: session.lastActiveAt, id: session.id }),
      compare: (one, other) =>
        Number(other.last_active_at) - Number(one.last_active_at) ||
        (one.id === other.id ? 0 : String(one.id) < String(other.id) ? 1 : -1),
    });
    // The last of the list becomes the first, so a client that reads on misses it.
    if (fake.movesWhileWalked && found.paging.next !== null) {
      rows.at(-1)!.lastActiveAt = clock.now();
    }
    return found;
  };
  const wantsExtras = (context: Context) => !/kapso\(\s*\)/.test(context.req.query("fields") ?? "");

  app.get(`${PROXY}/:phoneNumber/conversations`, (context) => {
    const { rows, paging } = conversationPage(context, phoneNumberOf(context));
    const hasExtras = wantsExtras(context);
    return context.json({ data: rows.map((row) => conversationRow(row, hasExtras)), paging });
  });
  app.get(`${PROXY}/:phoneNumber/conversations/:id`, (context) => {
    phoneNumberOf(context);
    return context.json(conversationRow(conversationOf(context), wantsExtras(context)));
  });
  app.get(
    `${PROXY}/conversations/:id`,
    (context) => context.json(conversationRow(conversationOf(context), wantsExtras(context))),
  );
  app.get(`${PLATFORM}/conversations`, (context) => {
    const given = context.req.query("phone_number_id");
    const phoneNumber = given === undefined ? undefined : state.phoneNumbers.get(given);
    if (given !== undefined && phoneNumber === undefined) {
      return context.json({ data: [], paging: NO_PAGES });
    }
    const { rows, paging } = conversationPage(context, phoneNumber);
    return context.json({ data: rows.map((row) => conversationRow(row, true)), paging });
  });
  app.get(
    `${PLATFORM}/conversations/:id`,
    (context) => context.json({ data: conversationRow(conversationOf(context), true) }),
  );

  const changeStatus = (session: Conversation, status: unknown) => {
    if (status !== "active" && status !== "ended") {
      return refuse(422, "Status is not included in the list");
    }
    if (status === session.status) return;
    if (status === "ended") return fake.endSession(session);
    if (fake.sessionOf(session.contact) !== session) {
      return refuse(422, "A newer conversation with this contact exists");
    }
    fake.reopenSession(session);
  };
  app.patch(`${PLATFORM}/conversations/:id`, async (context) => {
    const session = conversationOf(context);
    const body = wrapped(await readBody(context), "whatsapp_conversation");
    changeStatus(session, body.status);
    return context.json({ data: conversationRow(session, true) });
  });
  app.patch(`${PROXY}/conversations/:id`, async (context) => {
    changeStatus(conversationOf(context), (await readBody(context)).status);
    return context.json({ success: true });
  });

  // Templates -------------------------------------------------------------------------------------

  app.get(`${PROXY}/:account/message_templates`, (context) => {
    const account = context.req.param("account");
    if (
      ![...state.phoneNumbers.values()].some((phoneNumber) =>
        phoneNumber.businessAccountId === account
      )
    ) {
      return refuseAsMeta(400, 100, "Unsupported get request.", "Object does not exist");
    }
    const { name, status, category, language } = context.req.query();
    const rows = state.templates.filter((template) =>
      template.businessAccountId === account && is(name, template.name) &&
      is(status, template.status) && is(category, template.category) &&
      is(language, template.language)
    );
    const places = new Map(rows.map((template, place) => [template.id, place]));
    const found = page(rows, pageOptions(context), {
      key: ({ id }) => ({ place: places.get(id)! }),
      compare: (one, other) => Number(one.place) - Number(other.place),
    });
    return context.json({
      data: found.rows.map(({ businessAccountId: _, ...row }) => row),
      paging: found.paging,
    });
  });

  // Contacts --------------------------------------------------------------------------------------

  const contactPage = (context: Context, phoneNumber: PhoneNumber | undefined) => {
    const { wa_id, has_customer } = context.req.query();
    const rows = state.contacts.filter((contact) =>
      (phoneNumber === undefined || contact.phoneNumber === phoneNumber) &&
      (wa_id === undefined || [contact.waId, contact.phone].includes(wa_id)) &&
      has_customer !== "true"
    );
    const places = new Map(rows.map((contact, place) => [contact.id, place]));
    return page(rows, pageOptions(context), {
      key: (contact) => ({ place: places.get(contact.id)! }),
      compare: (one, other) => Number(one.place) - Number(other.place),
    });
  };
  app.get(`${PROXY}/:phoneNumber/contacts`, (context) => {
    const { rows, paging } = contactPage(context, phoneNumberOf(context));
    return context.json({ data: rows.map(contactRow), paging });
  });
  app.get(
    `${PROXY}/:phoneNumber/contacts/:id`,
    (context) => context.json(contactRow(contactOf(context, phoneNumberOf(context)))),
  );
  app.get(`${PLATFORM}/contacts`, (context) => {
    const { page: number, per_page } = context.req.query();
    if (number !== undefined) {
      const size = Math.min(Number(per_page ?? 20), 100);
      if (Number(number) > 50 || Number(number) * size > 5000) {
        return refuse(400, "Use cursor pagination", {
          code: "legacy_offset_pagination_limit_exceeded",
        });
      }
      const start = (Number(number) - 1) * size;
      return context.json({
        data: state.contacts.slice(start, start + size).map(contactRow),
        meta: { page: Number(number), per_page: size, total_count: state.contacts.length },
      });
    }
    const { rows, paging } = contactPage(context, undefined);
    return context.json({ data: rows.map(contactRow), paging });
  });
  app.get(
    `${PLATFORM}/contacts/:id`,
    (context) => context.json({ data: contactRow(contactOf(context)) }),
  );
  const editContact = (contact: Contact, body: JsonObject) => {
    if (typeof body.profile_name === "string") contact.name = body.profile_name;
    if (typeof body.display_name === "string") contact.displayName = body.display_name;
    if (typeof body.metadata === "object") contact.metadata = body.metadata as JsonObject;
    contact.updatedAt = clock.now();
  };
  app.patch(`${PLATFORM}/contacts/:id`, async (context) => {
    const contact = contactOf(context);
    const body = await readBody(context);
    editContact(contact, (body.whatsapp_contact ?? body.contact ?? body) as JsonObject);
    return context.json({ data: contactRow(contact) });
  });
  app.patch(`${PROXY}/:phoneNumber/contacts/:id`, async (context) => {
    const contact = contactOf(context, phoneNumberOf(context));
    editContact(contact, await readBody(context));
    return context.json(contactRow(contact));
  });
  app.delete(`${PLATFORM}/contacts/:id`, (context) => {
    const contact = contactOf(context);
    state.contacts.splice(state.contacts.indexOf(contact), 1);
    return context.body(null, 204);
  });

  // Media -----------------------------------------------------------------------------------------

  app.post(`${PROXY}/:phoneNumber/media`, async (context) => {
    const phoneNumber = phoneNumberOf(context);
    const form = await context.req.formData().catch(() => undefined);
    const file = form?.get("file");
    if (form?.get("messaging_product") !== "whatsapp" || !(file instanceof File)) {
      return refuseAsMeta(400, 100, "The parameters messaging_product and file are required.");
    }
    const declared = form.get("type");
    const mimeType = typeof declared === "string" ? declared : file.type;
    if (file.type !== "" && mimeType.split(";")[0] !== file.type.split(";")[0]) {
      return refuseAsMeta(400, 100, "Param file must be a file with the declared type.");
    }
    if (file.size > sizeLimit(mimeType)) {
      return refuseAsMeta(400, 131053, "Media upload error", "The file is too large.");
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    return context.json({ id: fake.addMedia(phoneNumber, bytes, mimeType, file.name).id });
  });
  const mediaOf = (context: Context): Media => {
    if (context.req.query("phone_number_id") === undefined) {
      return refuse(400, "phone_number_id is required");
    }
    const media = state.media.get(context.req.param("id") ?? "");
    return media !== undefined &&
        media.phoneNumber.phoneNumberId === context.req.query("phone_number_id")
      ? media
      : refuseAsMeta(404, 100, "Unsupported get request.", "Object does not exist");
  };
  app.get(`${PROXY}/:id{\\d+}`, (context) => {
    const media = mediaOf(context);
    const token = fake.random.hex(40);
    const expiresAt = clock.now() + 4 * 60_000;
    downloads.set(token, { media, expiresAt });
    return context.json({
      messaging_product: "whatsapp",
      id: media.id,
      mime_type: media.mimeType,
      sha256: media.sha256,
      file_size: String(media.bytes.length),
      url: `https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=${media.id}`,
      download_url: `${fake.url}/meta/whatsapp/${
        context.req.param("version")
      }/media_download?token=${token}`,
      download_url_expires_at: iso(expiresAt),
    });
  });
  app.delete(`${PROXY}/:id{\\d+}`, (context) => {
    state.media.delete(mediaOf(context).id);
    return context.json({ success: true });
  });

  // Numbers ---------------------------------------------------------------------------------------

  app.get(`${PLATFORM}/phone_numbers`, (context) => {
    const number = Number(context.req.query("page") ?? 1);
    const size = Math.min(Number(context.req.query("per_page") ?? 20), 100);
    const phoneNumbers = [...state.phoneNumbers.values()];
    return context.json(
      {
        data: phoneNumbers.slice((number - 1) * size, number * size).map(phoneNumberRow),
        meta: { page: number, per_page: size, total_count: phoneNumbers.length },
      },
      200,
      {
        "X-Total": String(phoneNumbers.length),
        "X-Total-Pages": String(Math.ceil(phoneNumbers.length / size)),
      },
    );
  });
  app.get(
    `${PLATFORM}/phone_numbers/:phoneNumber`,
    (context) => context.json({ data: phoneNumberRow(phoneNumberOf(context)) }),
  );
  app.get(`${PLATFORM}/phone_numbers/:phoneNumber/health`, (context) => {
    phoneNumberOf(context);
    return context.json({ data: { status: "healthy", checked_at: clock.iso() } });
  });
  addTeamRoutes(app, fake, conversationOf);
  addWorkflowRoutes(app, fake);

  // Webhooks --------------------------------------------------------------------------------------

  const listWebhooks = (context: Context, phoneNumber?: PhoneNumber) => {
    const query = context.req.query();
    const rows = [...deliveries.webhooks.values()].filter((webhook) =>
      (phoneNumber === undefined || webhook.phoneNumberId === phoneNumber.phoneNumberId) &&
      (query.url_contains === undefined || webhook.url.includes(query.url_contains)) &&
      is(query.kind, webhook.kind) &&
      is(query.active, String(webhook.active))
    );
    const number = Number(query.page ?? 1);
    const size = Math.min(Number(query.per_page ?? 20), 100);
    return context.json({
      data: rows.slice((number - 1) * size, number * size).map((webhook) => webhookRow(webhook)),
      meta: { page: number, per_page: size, total_count: rows.length },
    });
  };
  const createWebhook = async (context: Context, given?: PhoneNumber) => {
    const body = wrapped(await readBody(context), "whatsapp_webhook");
    const phoneNumber = given ?? state.phoneNumbers.get(String(body.phone_number_id)) ??
      refuse(422, "Only webhooks of a number are emulated");
    const values = checkWebhook(body, options.knowsContactEvents);
    if (values.url === undefined || values.secretKey === undefined) {
      return refuse(
        422,
        values.url === undefined ? "Url can't be blank" : "Secret key can't be blank",
      );
    }
    const isMeta = body.kind === "meta";
    if (!isMeta && values.events === undefined) return refuse(422, "Events can't be blank");
    const isTaken = [...deliveries.webhooks.values()].some((webhook) =>
      webhook.phoneNumberId === phoneNumber.phoneNumberId && webhook.url === values.url
    );
    if (isTaken) return refuse(409, "A webhook with this URL already exists");
    const { url, secretKey, ...rest } = values;
    const webhook = fake.addWebhook({ phoneNumber, url, secretKey });
    Object.assign(webhook, rest, { kind: isMeta ? "meta" : "kapso" });
    return context.json({ data: webhookRow(webhook, true) }, 201);
  };
  const patchWebhook = async (context: Context) => {
    const webhook = webhookOf(context);
    const body = wrapped(await readBody(context), "whatsapp_webhook");
    const { active, ...values } = checkWebhook(body, options.knowsContactEvents);
    Object.assign(webhook, values, { updatedAt: clock.now() });
    if (active !== undefined && active !== webhook.active) deliveries.setActive(webhook, active);
    return context.json({ data: webhookRow(webhook) });
  };
  const deleteWebhook = (context: Context) => {
    const webhook = webhookOf(context);
    deliveries.setActive(webhook, false);
    deliveries.webhooks.delete(webhook.id);
    return context.body(null, 204);
  };

  for (const path of [`${PLATFORM}/phone_numbers/:phoneNumber/webhooks`, `${PLATFORM}/webhooks`]) {
    const lineIn = (context: Context) =>
      path.includes(":phoneNumber") ? phoneNumberOf(context) : undefined;
    app.get(path, (context) => listWebhooks(context, lineIn(context)));
    app.post(path, (context) => createWebhook(context, lineIn(context)));
    app.get(`${path}/:id`, (context) => context.json({ data: webhookRow(webhookOf(context)) }));
    app.patch(`${path}/:id`, patchWebhook);
    app.delete(`${path}/:id`, deleteWebhook);
  }
  app.post(`${PLATFORM}/webhooks/:id/test`, async (context) => {
    const webhook = webhookOf(context);
    const body = await readBody(context, true);
    const event = String(body.event_type ?? webhook.events[0]);
    if (!NUMBER_EVENTS.includes(event)) return refuse(422, "Unknown event type");
    deliveries.deliver(webhook, {
      event,
      phoneNumberId: webhook.phoneNumberId,
      conversationId: undefined,
      body: testBody(event, webhook.phoneNumberId, fake),
    });
    return context.json({ data: { success: true } });
  });
  app.get("/platform/v1/webhook_deliveries", (context) => {
    const query = context.req.query();
    const rows = deliveries.log.filter((delivery) =>
      is(query.status, delivery.status) &&
      is(query.event, delivery.event) &&
      is(query.webhook_id, delivery.webhook.id) &&
      (query.errors_only !== "true" || delivery.status === "failed")
    );
    const places = new Map(deliveries.log.map((delivery, place) => [delivery.id, place]));
    const found = page(rows.reverse(), pageOptions(context), {
      key: (delivery) => ({ place: places.get(delivery.id)! }),
      compare: (one, other) => Number(other.place) - Number(one.place),
    });
    return context.json({ data: found.rows.map(deliveryRow), paging: found.paging });
  });

  return async (request) => await app.fetch(request);
}

function fileResponse(media: Media, behaviour: FileBehaviour): Response {
  const { redirectTo, contentType = media.mimeType, status = 200, bytes = media.bytes } = behaviour;
  if (redirectTo !== undefined) return Response.redirect(redirectTo, 302);
  return new Response(bytes, { status, headers: { "Content-Type": contentType } });
}

function sizeLimit(mimeType: string): number {
  const kind = mimeType.split("/")[0];
  if (mimeType === "image/webp") return 500 * 1024;
  if (kind === "image") return 5 * 1024 * 1024;
  return (kind === "audio" || kind === "video" ? 16 : 100) * 1024 * 1024;
}

/** Checks the body of a send. */
function checkContent(
  type: string,
  body: JsonObject,
  media: ReadonlyMap<string, Media>,
  phoneNumber: PhoneNumber,
): { type: string; [field: string]: unknown } {
  const value = body[type] as JsonObject | JsonObject[] | undefined;
  if (typeof value !== "object" || value === null) {
    return refuseAsMeta(400, 100, `The parameter ${type} is required.`);
  }
  const object = value as JsonObject;
  const invalid = (details: string) =>
    refuseAsMeta(400, 131009, "Parameter value is not valid", details);
  if (type === "text") {
    const length = [...String(object.body ?? "")].length;
    if (length === 0) return refuseAsMeta(400, 100, "The parameter text['body'] is required.");
    if (length > 4096) return invalid("The text is longer than 4096 characters.");
  } else if (MEDIA_TYPES.includes(type)) {
    if (object.id === undefined && object.link === undefined) {
      return invalid("id or link is needed.");
    }
    if (object.id !== undefined && media.get(String(object.id))?.phoneNumber !== phoneNumber) {
      return invalid("Unknown media id.");
    }
  } else if (type === "template") {
    if (typeof object.name !== "string" || object.language === undefined) {
      return refuseAsMeta(400, 132000, "Template name and language are required.");
    }
  } else if (type === "reaction") {
    if (typeof object.message_id !== "string") return invalid("message_id is needed.");
  } else if (!["interactive", "location", "contacts"].includes(type)) {
    return refuseAsMeta(400, 131051, "Unsupported message type");
  }
  return { type, [type]: value };
}

/** A number without templates accepts any. */
function checkTemplate(template: JsonObject, { state }: FakeKapso, phoneNumber: PhoneNumber): void {
  const known = state.templates.filter((one) =>
    one.businessAccountId === phoneNumber.businessAccountId
  );
  if (known.length === 0) return;
  const code = (template.language as { code?: string } | undefined)?.code;
  const found = known.find((one) => one.name === template.name && one.language === code);
  if (found === undefined) {
    return refuseAsMeta(404, 132001, "Template name does not exist in the translation");
  }
  if (found.status !== "APPROVED") return refuseAsMeta(400, 132015, "Template is paused");
  const body = found.components.find(({ type }) => type === "BODY");
  const wanted = new Set(String(body?.text ?? "").match(/\{\{\w+\}\}/g) ?? []).size;
  const given = (Array.isArray(template.components) ? template.components as JsonObject[] : [])
    .filter(({ type }) => String(type).toLowerCase() === "body")
    .flatMap(({ parameters }) => Array.isArray(parameters) ? parameters as JsonObject[] : []);
  if (given.length !== wanted) {
    return refuseAsMeta(400, 132000, "Number of parameters does not match the expected number");
  }
  if (given.some(({ text }) => typeof text === "string" && (text === "" || /[\n\t]/.test(text)))) {
    return refuseAsMeta(400, 132012, "Parameter format does not match format in the template");
  }
}

/** Checks the given fields of a webhook. */
function checkWebhook(body: JsonObject, knowsContactEvents: boolean) {
  const { url, secret_key, events, active, headers, payload_version } = body;
  if (url !== undefined) {
    const parsed = URL.parse(String(url));
    // The receiver in a test has no certificate.
    const isLoopback = parsed?.hostname === "127.0.0.1" || parsed?.hostname === "localhost";
    if (parsed?.protocol !== "https:" && !isLoopback) return refuse(422, "Url must be HTTPS");
  }
  if (secret_key !== undefined && (typeof secret_key !== "string" || secret_key === "")) {
    return refuse(422, "Secret key can't be blank");
  }
  if (events !== undefined) {
    const isKnown = (event: unknown) =>
      NUMBER_EVENTS.includes(String(event)) &&
      (knowsContactEvents || !String(event).startsWith("whatsapp.contact."));
    if (!Array.isArray(events) || events.length === 0 || !events.every(isKnown)) {
      return refuse(422, "Events contains an unknown event");
    }
  }
  const between = (name: string, min: number, max: number) => {
    const value = body[name];
    if (value === undefined) return undefined;
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
      return refuse(422, `${name} must be between ${min} and ${max}`);
    }
    return Number(value);
  };
  const values = {
    url: url === undefined ? undefined : String(url),
    secretKey: secret_key as string | undefined,
    events: events as string[] | undefined,
    active: active === undefined ? undefined : active === true,
    headers: headers as Record<string, string> | undefined,
    payloadVersion: payload_version === undefined
      ? undefined
      : payload_version === "v1"
      ? "v1" as const
      : "v2" as const,
    bufferEnabled: body.buffer_enabled === undefined ? undefined : body.buffer_enabled === true,
    bufferWindowSeconds: between("buffer_window_seconds", 1, 60),
    maxBufferSize: between("max_buffer_size", 1, 100),
    inactivityMinutes: between("inactivity_minutes", 1, 1440),
  };
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as { [Name in keyof typeof values]?: Exclude<typeof values[Name], undefined> };
}

/** A row of the list of webhooks. Only a request that sets the secret gets it back. */
function webhookRow(webhook: Webhook, hasSecret = false): JsonObject {
  return {
    id: webhook.id,
    project_id: "project-of-the-fake",
    phone_number_id: webhook.phoneNumberId,
    url: webhook.url,
    kind: webhook.kind,
    events: webhook.events,
    active: webhook.active,
    headers: webhook.headers,
    payload_version: webhook.payloadVersion,
    buffer_enabled: webhook.bufferEnabled,
    buffer_window_seconds: webhook.bufferWindowSeconds,
    max_buffer_size: webhook.maxBufferSize,
    buffer_events: ["whatsapp.message.received"],
    inactivity_minutes: webhook.inactivityMinutes,
    created_at: iso(webhook.createdAt),
    updated_at: iso(webhook.updatedAt),
    ...(hasSecret ? { secret_key: webhook.secretKey } : {}),
  };
}

/** Body of a test delivery, with invented data. */
function testBody(event: string, phoneNumberId: string, fake: FakeKapso): JsonObject {
  const at = fake.clock.now();
  const conversation = {
    id: fake.random.uuid(),
    phone_number: "+15550001111",
    status: event.endsWith(".ended") ? "ended" : "active",
    last_active_at: iso(at),
    created_at: iso(at),
    updated_at: iso(at),
    metadata: {},
    phone_number_id: phoneNumberId,
  };
  const contact = { wa_id: "15550001111" };
  if (event.includes(".conversation.")) return { conversation, phone_number_id: phoneNumberId };
  if (event.endsWith(".identity_changed")) {
    return {
      previous_business_scoped_user_id: "US.1000000001",
      new_business_scoped_user_id: "US.1000000002",
      contact,
      phone_number_id: phoneNumberId,
    };
  }
  if (event.includes(".contact.")) {
    return {
      contact,
      marketing_preference: { status: "stopped", sequence: 1, occurred_at: iso(at) },
      phone_number_id: phoneNumberId,
    };
  }
  const status = event.split(".")[2]!;
  const isInbound = status === "received";
  const message: Pick<Message, "id"> & JsonObject = {
    id: fake.random.wamid(),
    timestamp: String(Math.floor(at / 1000)),
    type: "text",
    [isInbound ? "from" : "to"]: "15550001111",
    text: { body: "This is a test" },
    kapso: {
      direction: isInbound ? "inbound" : "outbound",
      status,
      origin: "cloud_api",
      has_media: false,
      content: "This is a test",
    },
  };
  return { message, conversation, is_new_conversation: true, phone_number_id: phoneNumberId };
}
