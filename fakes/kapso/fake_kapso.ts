/**
 * A fake of Kapso: an HTTP server on the loopback address that holds phone numbers, customers and messages in memory,
 * signs and delivers webhooks and answers the REST API as Kapso does, and fails on request. It follows Kapso's docs
 * and reports of integrators, and was not compared with the live service.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import { createHash } from "node:crypto";
import { createApi } from "./api.ts";
import { createClock } from "./clock.ts";
import { buildContent, type Content, type FileContent, fileDefaults, isFile } from "./content.ts";
import type { FakeKapso, FakeKapsoOptions, MessageOptions } from "./controls.ts";
import { createDeliveries, type KapsoEvent, type Webhook } from "./deliveries.ts";
import { seedHistory } from "./history.ts";
import { conversationEventObject, iso, messageEventBody } from "./payloads.ts";
import { createRandom } from "./random.ts";
import { type Misbehaviour, serve } from "./server.ts";
import {
  type Contact,
  type Conversation,
  DAY_MS,
  emptyState,
  type JsonObject,
  type Media,
  type Message,
  NUMBER_EVENTS,
  type PhoneNumber,
  type StatusEntry,
  type Template,
  type Workflow,
  type WorkflowExecution,
} from "./state.ts";

export type { FakeKapso, FakeKapsoOptions, NewContact } from "./controls.ts";

/** Starts a fake Kapso. */
export async function startFakeKapso(options: FakeKapsoOptions = {}): Promise<FakeKapso> {
  const timeScale = options.timeScale ?? 1;
  const seed = options.seed ?? 1;
  const clock = createClock({ timeScale, startAt: options.startAt ?? Date.now() });
  const random = createRandom(seed);
  const deliveries = createDeliveries(clock, createRandom(seed + 1), {
    retryDelaysSeconds: [10, 40, 90],
    holdSeconds: 30,
    // The receiver is a real program, at any speed of the clock.
    answerTimeoutMs: Math.max(10_000 * timeScale, 2000),
    autoPause: { windowSeconds: 900, minDeliveries: 20, minFailures: 10, minFailureRate: 0.85 },
    ...options.delivery,
  });
  const state = emptyState();
  const events: KapsoEvent[] = [];
  const chaos = createRandom(seed + 2);
  const misbehaviours: Misbehaviour[] = [];
  const particular: { method: string; path: RegExp; fault: Misbehaviour }[] = [];
  let sequence = 0;
  let url = "";

  const emit = (
    event: string,
    phoneNumber: PhoneNumber,
    conversationId: string | undefined,
    body: JsonObject,
  ) => {
    const happened = { event, phoneNumberId: phoneNumber.phoneNumberId, conversationId, body };
    events.push(happened);
    deliveries.emit(happened);
  };
  const emitMessage = (message: Message, event: string, isNew = false) =>
    emit(
      event,
      message.conversation.phoneNumber,
      message.conversation.id,
      messageEventBody(message, event, isNew),
    );
  const emitConversation = (session: Conversation, event: string, more: JsonObject = {}) =>
    emit(event, session.phoneNumber, session.id, {
      conversation: conversationEventObject(session, true),
      ...more,
      phone_number_id: session.phoneNumber.phoneNumberId,
    });

  const sessionOf = (contact: Contact) =>
    state.conversations.findLast((session) => session.contact === contact);

  /** Finds the session of a message; a new one if the last has ended or was idle for a day. */
  const openSession = (contact: Contact): { session: Conversation; isNew: boolean } => {
    const last = sessionOf(contact);
    const now = clock.now();
    if (last?.status === "active" && now - last.lastActiveAt < DAY_MS) {
      return { session: last, isNew: false };
    }
    if (last?.status === "active") fake.endSession(last);
    const session: Conversation = {
      id: random.uuid(),
      phoneNumber: contact.phoneNumber,
      contact,
      status: "active",
      createdAt: now,
      updatedAt: now,
      lastActiveAt: now,
      messagesCount: 0,
      messages: [],
      assignments: [],
    };
    state.conversations.push(session);
    state.conversationsById.set(session.id, session);
    return { session, isNew: true };
  };

  const addMessage = (
    contact: Contact,
    content: Content,
    fields: Pick<Message, "direction" | "origin" | "status"> & { callbackData?: string },
    given: MessageOptions,
  ): { message: Message; isNew: boolean } => {
    const { session, isNew } = openSession(contact);
    const now = clock.now();
    const { type, content: object, extras } = build(contact.phoneNumber, content);
    const sentAt = given.sentAt ?? now;
    const message: Message = {
      id: random.wamid(),
      sequence: sequence++,
      conversation: session,
      type,
      content: {
        ...object,
        ...(given.replyTo === undefined ? {} : {
          context: {
            id: given.replyTo.id,
            from: contact.phoneNumber.displayPhoneNumber.replace("+", ""),
          },
        }),
        ...given.more,
      },
      sentAt,
      createdAt: now,
      statuses: [],
      extras,
      ...fields,
      ...(given.groupId === undefined ? {} : { groupId: given.groupId }),
    };
    state.messages.push(message);
    state.messagesById.set(message.id, message);
    session.messages.push(message);
    session.messagesCount++;
    if (fields.origin !== "history_sync") {
      session.lastActiveAt = session.updatedAt = now;
      session.lastMessage = message;
      if (fields.direction === "inbound") contact.lastInboundAt = session.lastInboundAt = now;
      else session.lastOutboundAt = now;
    }
    return { message, isNew };
  };

  const build = (phoneNumber: PhoneNumber, content: Content) => {
    if (!isFile(content)) {
      // An uploaded file is sent by its id.
      const { type, ...rest } = typeof content === "string" ? { type: "text" } : content;
      const object = (rest as JsonObject)[type] as { id?: string; caption?: string } | undefined;
      const media = state.media.get(object?.id ?? "");
      if (media === undefined) return buildContent(content);
      const caption = object?.caption;
      const file = { type, ...(caption === undefined ? {} : { caption }) } as FileContent;
      return buildContent(file, media, linkOf(media));
    }
    const { filename, mimeType } = fileDefaults(content);
    const bytes = content.bytes ?? new TextEncoder().encode(`file ${random.hex(16)}`);
    const media = fake.addMedia(phoneNumber, bytes, mimeType, filename);
    return buildContent(content, media, content.hasLink === false ? undefined : linkOf(media));
  };
  const linkOf = (media: Media) =>
    `${url}/rails/active_storage/blobs/redirect/${media.token}/${
      encodeURIComponent(media.filename)
    }`;

  const announce = (message: Message, isNew: boolean, event: string) => {
    emitMessage(message, event, isNew);
    // Kapso sends this event after the first message of the session.
    if (isNew) emitConversation(message.conversation, "whatsapp.conversation.created");
  };

  const addStatus = (
    message: Message,
    status: StatusEntry["status"],
    at: number,
    error?: JsonObject,
  ) => {
    const { contact } = message.conversation;
    const recipient = contact.waId ?? contact.phone;
    message.statuses.push({
      id: message.id,
      status,
      timestamp: String(Math.floor(at / 1000)),
      ...(recipient === undefined ? {} : { recipient_id: recipient }),
      ...(contact.bsuid === undefined ? {} : { recipient_user_id: contact.bsuid }),
      ...(message.callbackData === undefined || !fake.echoesCallbackData
        ? {}
        : { biz_opaque_callback_data: message.callbackData }),
      ...(error === undefined ? {} : { errors: [error] }),
    });
  };

  const goOut = (message: Message, isNew: boolean) => {
    addStatus(message, "sent", message.sentAt);
    announce(message, isNew, "whatsapp.message.sent");
    if (message.type === "reaction") return;
    if (message.conversation.contact.isUnreachable) {
      clock.after(2, () =>
        fake.setStatus(message, "failed", {
          error: {
            code: 131026,
            title: "Message undeliverable",
            message: "Message undeliverable",
            error_data: { details: "Message Undeliverable." },
          },
        }));
    } else if (options.autoStatus) {
      clock.after(1, () => fake.setStatus(message, "delivered"));
      if (chaos.next() < 0.8) {
        clock.after(3 + chaos.below(20), () => fake.setStatus(message, "read"));
      }
    }
  };

  const fake: FakeKapso = {
    url: "",
    apiKey: options.apiKey ?? "kapso-key-of-the-fake",
    clock,
    random,
    state,
    deliveries,
    events,
    requests: [],
    failureRate: options.failureRate ?? 0,
    misbehave: (...next) => void misbehaviours.push(...next),
    misbehaveOn(method, path, ...next) {
      particular.push(...next.map((fault) => ({ method, path, fault })));
    },
    echoesCallbackData: true,
    movesWhileWalked: false,
    workflowRefusal: null,
    checksLockVersion: true,
    files: {},
    phoneNumber: undefined as unknown as PhoneNumber,

    addPhoneNumber(phoneNumberId, displayPhoneNumber) {
      const phoneNumber = {
        phoneNumberId,
        displayPhoneNumber,
        businessAccountId: `waba-${random.hex(8)}`,
      };
      state.phoneNumbers.set(phoneNumberId, phoneNumber);
      return phoneNumber;
    },

    addContact(contact = {}) {
      const phone = contact.phone === undefined
        ? `55119${String(80_000_000 + random.below(10_000_000))}`
        : contact.phone;
      const { waId, parentBsuid, username, name } = contact;
      const now = clock.now();
      const added: Contact = {
        id: random.uuid(),
        phoneNumber: contact.phoneNumber ?? fake.phoneNumber,
        ...(phone === null ? {} : { phone }),
        bsuid: contact.bsuid ?? `BR.${String(1e12 + random.below(1e9))}`,
        ...(waId === undefined ? {} : { waId }),
        ...(parentBsuid === undefined ? {} : { parentBsuid }),
        ...(username === undefined ? {} : { username }),
        ...(name === undefined ? {} : { name }),
        metadata: {},
        isUnreachable: contact.isUnreachable ?? false,
        createdAt: now,
        updatedAt: now,
      };
      state.contacts.push(added);
      return added;
    },

    addWebhook(given) {
      const now = clock.now();
      const webhook: Webhook = {
        id: random.uuid(),
        phoneNumberId: (given.phoneNumber ?? fake.phoneNumber).phoneNumberId,
        url: given.url,
        secretKey: given.secretKey,
        kind: "kapso",
        events: given.events ?? NUMBER_EVENTS,
        active: true,
        headers: given.headers ?? {},
        payloadVersion: "v2",
        bufferEnabled: given.bufferEnabled ?? false,
        bufferWindowSeconds: given.bufferWindowSeconds ?? 5,
        maxBufferSize: given.maxBufferSize ?? 50,
        inactivityMinutes: 60,
        createdAt: now,
        updatedAt: now,
        outcomes: [],
        isAutoPaused: false,
      };
      deliveries.webhooks.set(webhook.id, webhook);
      return webhook;
    },

    receiveMessage(contact, content, given = {}) {
      const { message, isNew } = addMessage(
        contact,
        content,
        { direction: "inbound", origin: "cloud_api", status: "received" },
        given,
      );
      announce(message, isNew, "whatsapp.message.received");
      return message;
    },

    sendMessage(contact, content, given = {}) {
      const { callbackData, ...rest } = given;
      const { message, isNew } = addMessage(contact, content, {
        direction: "outbound",
        origin: "cloud_api",
        status: "sent",
        ...(callbackData === undefined ? {} : { callbackData }),
      }, rest);
      goOut(message, isNew);
      return message;
    },

    businessAppMessage(contact, content, given = {}) {
      const { message, isNew } = addMessage(
        contact,
        content,
        { direction: "outbound", origin: "business_app", status: "sent" },
        given,
      );
      goOut(message, isNew);
      return message;
    },

    importMessage(contact, direction, content, sentAt) {
      return addMessage(
        contact,
        content,
        {
          direction,
          origin: "history_sync",
          status: direction === "inbound" ? "received" : "read",
        },
        { sentAt },
      ).message;
    },

    setStatus(message, status, given = {}) {
      message.status = status;
      addStatus(message, status, given.at ?? clock.now(), given.error);
      emitMessage(message, `whatsapp.message.${status}`);
    },

    react(target, emoji, by = "contact") {
      const { contact } = target.conversation;
      const content = {
        type: "reaction",
        reaction: { message_id: target.id, ...(emoji === null ? {} : { emoji }) },
      };
      return by === "contact"
        ? fake.receiveMessage(contact, content)
        : fake.sendMessage(contact, content);
    },

    sessionOf,

    endSession(session) {
      session.status = "ended";
      session.updatedAt = clock.now();
      emitConversation(session, "whatsapp.conversation.ended");
    },

    reopenSession(session) {
      session.status = "active";
      session.lastActiveAt = session.updatedAt = clock.now();
    },

    goInactive(session) {
      const { lastMessage } = session;
      emitConversation(session, "whatsapp.conversation.inactive", {
        ...(lastMessage === undefined ? {} : {
          since_message: {
            id: `kapso-${lastMessage.sequence}`,
            whatsapp_message_id: lastMessage.id,
            direction: lastMessage.direction,
            created_at: iso(lastMessage.createdAt),
          },
        }),
        inactivity: { minutes: 60 },
      });
    },

    changeIdentity(contact, to) {
      const { phone, bsuid } = contact;
      Object.assign(contact, to, { updatedAt: clock.now() });
      emit("whatsapp.contact.identity_changed", contact.phoneNumber, sessionOf(contact)?.id, {
        ...(to.bsuid === undefined ? {} : {
          previous_business_scoped_user_id: bsuid,
          new_business_scoped_user_id: to.bsuid,
        }),
        ...(to.phone === undefined
          ? {}
          : { previous_phone_number: phone, new_phone_number: to.phone }),
        contact: { wa_id: contact.waId ?? contact.phone ?? null },
        occurred_at: clock.iso(),
        phone_number_id: contact.phoneNumber.phoneNumberId,
      });
    },

    setMarketingPreference(contact, status) {
      contact.marketing = { status, sequence: (contact.marketing?.sequence ?? 0) + 1 };
      emit("whatsapp.contact.marketing_preference_changed", contact.phoneNumber, undefined, {
        contact: {
          wa_id: contact.waId ?? contact.phone ?? null,
          business_scoped_user_id: contact.bsuid,
        },
        marketing_preference: { ...contact.marketing, occurred_at: clock.iso() },
        phone_number_id: contact.phoneNumber.phoneNumberId,
      });
    },

    addMedia(phoneNumber, bytes, mimeType, filename) {
      const media: Media = {
        id: String(1e14 + random.below(1e9)),
        bytes,
        mimeType,
        filename,
        sha256: createHash("sha256").update(bytes).digest("base64"),
        phoneNumber,
        token: random.hex(32),
      };
      state.media.set(media.id, media);
      return media;
    },

    seedHistory(history) {
      const messages = seedHistory(fake, history);
      sequence += messages.length;
      return messages;
    },

    addTemplate(given) {
      const template: Template = {
        id: String(1e15 + random.below(1e9)),
        businessAccountId: (given.phoneNumber ?? fake.phoneNumber).businessAccountId,
        name: given.name,
        language: given.language ?? "en",
        category: given.category ?? "UTILITY",
        status: given.status ?? "APPROVED",
        components: given.components ?? [{ type: "BODY", text: "Hello" }],
      };
      state.templates.push(template);
      return template;
    },

    addWorkflow(given) {
      const now = clock.now();
      const workflow: Workflow = {
        id: random.uuid(),
        name: given.name,
        description: given.description ?? null,
        status: given.status ?? "draft",
        lockVersion: 0,
        nodes: given.nodes ??
          [{ id: "start", type: "flow-node", data: { node_type: "start", config: {} } }],
        edges: given.edges ?? [],
        triggers: [],
        messageDebounceSeconds: 0,
        inboundMessageReadMode: "none",
        createdAt: now,
        updatedAt: now,
      };
      state.workflows.set(workflow.id, workflow);
      return workflow;
    },

    addExecution(workflow, session) {
      const now = clock.now();
      const execution: WorkflowExecution = {
        id: random.uuid(),
        workflow,
        status: "running",
        ...(session === undefined ? {} : { conversationId: session.id }),
        createdAt: now,
        updatedAt: now,
      };
      state.executions.set(execution.id, execution);
      return execution;
    },

    addUser(name) {
      const user = { id: random.uuid(), name, email: `${random.hex(6)}@example.com` };
      state.users.push(user);
      return user;
    },

    settled: () => deliveries.settled(),

    async stop() {
      clock.stop();
      deliveries.stop();
      await server.stop();
    },
    [Symbol.asyncDispose]: () => fake.stop(),
  };
  fake.phoneNumber = fake.addPhoneNumber("100000000000123", "+551130000000");

  const api = createApi(fake, {
    rateLimit: options.rateLimit === undefined ? 1000 : options.rateLimit,
    sendLatencyMs: options.sendLatencyMs ?? 0,
    knowsContactEvents: options.knowsContactEvents ?? true,
    linkOf,
  });
  const server = await serve({
    port: options.port ?? 0,
    handle: (request) => api(request),
    misbehaviour: (request) => {
      const { pathname } = new URL(request.url);
      const place = particular.findIndex(({ method, path }) =>
        method === request.method && path.test(pathname)
      );
      if (place >= 0) return particular.splice(place, 1)[0]!.fault;
      if (!/^\/(?:meta|platform)\//.test(pathname)) return undefined;
      const next = misbehaviours.shift();
      if (next !== undefined) return next;
      if (chaos.next() >= fake.failureRate) return undefined;
      return chaos.pick<Misbehaviour>([
        { kind: "status", status: 429, headers: { "Retry-After": "1" } },
        { kind: "status", status: 500 },
        { kind: "html", status: 502 },
        { kind: "cut", afterBytes: 0 },
        { kind: "cut", afterBytes: 40 },
      ]);
    },
    onAnswer: (method, path, status) => void fake.requests.push({ method, path, status }),
  });
  fake.url = url = server.url;
  return fake;
}
