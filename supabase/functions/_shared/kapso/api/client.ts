/**
 * The client of Kapso's API: the Meta proxy, the Platform API and its workflows. Every call to Kapso goes
 * through it.
 *
 * Rows are returned as Kapso sends them; `normalize.ts` reads them.
 *
 * @module
 */
import type { MessageStatus } from "../../contracts/message.ts";
import { isObject } from "../../contracts/text.ts";
import { textOf } from "../webhook/content.ts";
import { KapsoError } from "./kapso_error.ts";
import {
  type ListOptions,
  type Page,
  readNumberedPages,
  readOne,
  readRows,
  type Row,
  walk,
} from "./pages.ts";
import {
  createRequester,
  type RateLimit,
  type RequesterOptions,
  type RequestOptions,
} from "./request.ts";

export { KapsoError } from "./kapso_error.ts";
export type { ListOptions, Page, Row } from "./pages.ts";
export { type RateLimit, type RequestOptions, spareRequests } from "./request.ts";

/** Options of {@linkcode createKapsoClient}. */
export type KapsoClientOptions = RequesterOptions;

/** Filters of a list of conversations. Times are ISO 8601. */
export interface ConversationListOptions extends ListOptions {
  lastActiveSince?: string;
  lastActiveUntil?: string;
  status?: "active" | "ended";
}

/**
 * Filters of a list of messages. Times are ISO 8601, and mean the moment at which Kapso stored the message,
 * which differs from WhatsApp's for imported history.
 */
export interface MessageListOptions extends ListOptions {
  conversationId?: string;
  since?: string;
  until?: string;
  direction?: "inbound" | "outbound";
  status?: MessageStatus;
}

/** A message that Kapso has accepted. The event `sent` reports that WhatsApp has, too. */
export interface SentMessage {
  /** The wamid. */
  id: string;
  /** Digits as WhatsApp has them, which may differ from the given ones. */
  waId: string | undefined;
  /** The business-scoped id, where the message was sent to one. */
  userId: string | undefined;
  /** For templates, such as `accepted` or `held_for_quality_assessment`. */
  status: string | undefined;
}

/** A file at Meta. Its links are valid for about five minutes. */
export interface MediaFile {
  id: string;
  mimeType: string | undefined;
  /** As Meta sends it: hexadecimal or base64. */
  sha256: string | undefined;
  /** In bytes. */
  size: number | undefined;
  /** Needs no key. */
  downloadUrl: string | undefined;
  /** ISO 8601. */
  downloadUrlExpiresAt: string | undefined;
}

/**
 * Kapso's API with one key, which belongs to one Kapso project.
 *
 * Every call throws {@linkcode KapsoError}. Calls that read are retried when Kapso fails, and slow down when
 * its rate limit is nearly used up; calls that write are attempted once, unless `isRepeatable` says that
 * they are idempotent. A list is read page by page, as the caller iterates.
 */
export interface KapsoClient {
  /** `https://api.kapso.ai`, or the configured address. */
  baseUrl: string;
  /** The rest of this minute's requests, where Kapso has sent it. */
  rateLimit(): RateLimit | undefined;

  /** The most recently active first, so the order changes while the list is read. */
  listConversations(
    phoneNumberId: string,
    options?: ConversationListOptions,
  ): AsyncIterable<Page>;
  /** The most recently stored first. */
  listMessages(phoneNumberId: string, options?: MessageListOptions): AsyncIterable<Page>;
  listContacts(
    phoneNumberId: string,
    options?: ListOptions & { waId?: string },
  ): AsyncIterable<Page>;
  /** @param wamid The message's id. */
  getMessage(phoneNumberId: string, wamid: string, options?: RequestOptions): Promise<Row>;
  getConversation(id: string, options?: RequestOptions): Promise<Row>;

  /**
   * Sends a message once.
   *
   * @param body As Meta's API takes it; `messaging_product` is added. `biz_opaque_callback_data` identifies
   *   the message if the answer is lost.
   * @throws {KapsoError} With `isAmbiguous` where it may have been sent.
   */
  sendMessage(
    phoneNumberId: string,
    body: Record<string, unknown>,
    options?: RequestOptions,
  ): Promise<SentMessage>;
  /** @param options `typing`: also shows the customer a typing indicator. */
  markRead(
    phoneNumberId: string,
    wamid: string,
    options?: RequestOptions & { typing?: boolean },
  ): Promise<void>;
  /** @param file Meta compares its type with its content. */
  uploadMedia(
    phoneNumberId: string,
    file: Blob,
    filename: string,
    options?: RequestOptions,
  ): Promise<{ id: string }>;
  getMedia(mediaId: string, phoneNumberId: string, options?: RequestOptions): Promise<MediaFile>;

  setConversationStatus(
    id: string,
    status: "active" | "ended",
    options?: RequestOptions,
  ): Promise<Row>;
  /** @param fields `profile_name`, `display_name`, `metadata`. */
  updateContact(
    id: string,
    fields: Record<string, unknown>,
    options?: RequestOptions,
  ): Promise<Row>;
  /** Assigns a conversation to a member of the Kapso project. One assignment is active at a time. */
  assignConversation(
    id: string,
    assignment: { userId: string; notes?: string },
    options?: RequestOptions,
  ): Promise<Row>;

  /** @param businessAccountId `business_account_id` of {@linkcode KapsoClient.getPhoneNumber}. */
  listTemplates(businessAccountId: string, options?: ListOptions): AsyncIterable<Page>;
  listPhoneNumbers(options?: RequestOptions): Promise<Row[]>;
  getPhoneNumber(phoneNumberId: string, options?: RequestOptions): Promise<Row>;
  /** Limited to 5 a second and 60 a minute; Kapso caches an answer for three minutes. */
  getPhoneNumberHealth(phoneNumberId: string, options?: RequestOptions): Promise<Row>;

  /** All webhooks of a phone number. */
  listWebhooks(phoneNumberId: string, options?: RequestOptions): Promise<Row[]>;
  /** @throws {KapsoError} 409 where one with this URL exists. */
  createWebhook(
    phoneNumberId: string,
    settings: Record<string, unknown>,
    options?: RequestOptions,
  ): Promise<Row>;
  updateWebhook(
    id: string,
    change: Record<string, unknown>,
    options?: RequestOptions,
  ): Promise<Row>;
  /** Makes Kapso send a test event. */
  testWebhook(id: string, event: string, options?: RequestOptions): Promise<void>;
  /** Deliveries of the last 24 hours, the newest first; one page. */
  listDeliveries(
    webhookId: string,
    options?: RequestOptions & { pageSize?: number },
  ): Promise<Row[]>;

  listWorkflows(
    options?: RequestOptions & { status?: string; nameContains?: string },
  ): Promise<Row[]>;
  /** With `lock_version`, without the graph. */
  getWorkflow(id: string, options?: RequestOptions): Promise<Row>;
  /** The graph: `definition` with `nodes` and `edges`. */
  getWorkflowDefinition(id: string, options?: RequestOptions): Promise<Row>;
  /** The same as the text that Kapso sends, so that a part that is written back keeps every byte. */
  getWorkflowDefinitionText(id: string, options?: RequestOptions): Promise<string>;
  /**
   * @param workflow The changes, and the `lock_version` that was read before; JSON where it is a string.
   *   `nodes` and `edges` replace all former ones.
   * @throws {KapsoError} 409 where it has changed since.
   */
  updateWorkflow(
    id: string,
    workflow: Record<string, unknown> | string,
    options?: RequestOptions,
  ): Promise<Row>;
  /** The models that nodes of workflows can use. */
  listProviderModels(options?: RequestOptions): Promise<Row[]>;
}

// Without the version Kapso answers with a page of HTML.
const PROXY = "/meta/whatsapp/v24.0";
const PLATFORM = "/platform/v1";
const ALL_FIELDS = "kapso(*)";
const UPLOAD_TIMEOUT_MS = 120_000;

/**
 * Creates a client of Kapso's API.
 *
 * @throws {TypeError} for a base URL that cannot be used.
 *
 * @example
 * ```ts
 * const kapso = createKapsoClient({ apiKey: "…" });
 * for await (const { rows, after } of kapso.listMessages("100000000000123")) {
 *   console.log(rows.length, after === undefined ? "the end" : "more");
 * }
 * ```
 */
export function createKapsoClient(options: KapsoClientOptions): KapsoClient {
  const requester = createRequester(options);
  const one = async (...request: Parameters<typeof requester.send>) =>
    readOne(await requester.send(...request));

  return {
    baseUrl: requester.baseUrl,
    rateLimit: requester.rateLimit,

    listConversations(phoneNumberId, options = {}) {
      return walk(requester, path`${PROXY}/${phoneNumberId}/conversations`, {
        status: options.status,
        last_active_since: options.lastActiveSince,
        last_active_until: options.lastActiveUntil,
        fields: ALL_FIELDS,
      }, options);
    },
    listMessages(phoneNumberId, options = {}) {
      return walk(requester, path`${PROXY}/${phoneNumberId}/messages`, {
        conversation_id: options.conversationId,
        direction: options.direction,
        status: options.status,
        since: options.since,
        until: options.until,
        fields: ALL_FIELDS,
      }, options);
    },
    listContacts(phoneNumberId, options = {}) {
      return walk(requester, path`${PROXY}/${phoneNumberId}/contacts`, {
        wa_id: options.waId,
        fields: ALL_FIELDS,
      }, options);
    },
    getMessage: (phoneNumberId, wamid, options) =>
      one({
        path: path`${PROXY}/${phoneNumberId}/messages/${wamid}`,
        query: { fields: ALL_FIELDS },
        ...options,
      }),
    getConversation: (id, options) =>
      one({ path: path`${PLATFORM}/whatsapp/conversations/${id}`, ...options }),

    async sendMessage(phoneNumberId, body, options) {
      const answer = await requester.send({
        method: "POST",
        path: path`${PROXY}/${phoneNumberId}/messages`,
        body: { messaging_product: "whatsapp", ...body },
        ...options,
      });
      return readSentMessage(answer);
    },
    async markRead(phoneNumberId, wamid, { typing = false, ...options } = {}) {
      await requester.send({
        method: "POST",
        path: path`${PROXY}/${phoneNumberId}/messages`,
        body: {
          messaging_product: "whatsapp",
          status: "read",
          message_id: wamid,
          ...(typing ? { typing_indicator: { type: "text" } } : {}),
        },
        ...options,
      });
    },
    async uploadMedia(phoneNumberId, file, filename, options) {
      const form = new FormData();
      form.set("messaging_product", "whatsapp");
      form.set("type", file.type);
      form.set("file", file, filename);
      const { id } = await one({
        method: "POST",
        path: path`${PROXY}/${phoneNumberId}/media`,
        body: form,
        timeoutMs: UPLOAD_TIMEOUT_MS,
        ...options,
      });
      return { id: requireText(id, "POST") };
    },
    async getMedia(mediaId, phoneNumberId, options) {
      const row = await one({
        path: path`${PROXY}/${mediaId}`,
        query: { phone_number_id: phoneNumberId },
        ...options,
      });
      const size = Number(row.file_size ?? NaN);
      return {
        id: requireText(row.id, "GET"),
        mimeType: textOf(row.mime_type),
        sha256: textOf(row.sha256),
        size: Number.isSafeInteger(size) ? size : undefined,
        downloadUrl: textOf(row.download_url),
        downloadUrlExpiresAt: textOf(row.download_url_expires_at),
      };
    },

    setConversationStatus: (id, status, options) =>
      one({
        method: "PATCH",
        path: path`${PLATFORM}/whatsapp/conversations/${id}`,
        body: { whatsapp_conversation: { status } },
        ...options,
      }),
    updateContact: (id, contact, options) =>
      one({
        method: "PATCH",
        path: path`${PLATFORM}/whatsapp/contacts/${id}`,
        body: { contact },
        ...options,
      }),
    assignConversation: (id, { userId, notes }, options) =>
      one({
        method: "POST",
        path: path`${PLATFORM}/whatsapp/conversations/${id}/assignments`,
        body: { assignment: { user_id: userId, active: true, ...(notes ? { notes } : {}) } },
        ...options,
      }),

    listTemplates: (businessAccountId, options = {}) =>
      walk(requester, path`${PROXY}/${businessAccountId}/message_templates`, {}, options),
    listPhoneNumbers: (options) =>
      readNumberedPages(requester, `${PLATFORM}/whatsapp/phone_numbers`, options?.signal),
    getPhoneNumber: (phoneNumberId, options) =>
      one({ path: path`${PLATFORM}/whatsapp/phone_numbers/${phoneNumberId}`, ...options }),
    getPhoneNumberHealth: (phoneNumberId, options) =>
      one({ path: path`${PLATFORM}/whatsapp/phone_numbers/${phoneNumberId}/health`, ...options }),

    listWebhooks: (phoneNumberId, options) =>
      readNumberedPages(
        requester,
        path`${PLATFORM}/whatsapp/phone_numbers/${phoneNumberId}/webhooks`,
        options?.signal,
      ),
    createWebhook: (phoneNumberId, settings, options) =>
      one({
        method: "POST",
        path: path`${PLATFORM}/whatsapp/phone_numbers/${phoneNumberId}/webhooks`,
        body: { whatsapp_webhook: settings },
        ...options,
      }),
    updateWebhook: (id, change, options) =>
      one({
        method: "PATCH",
        path: path`${PLATFORM}/whatsapp/webhooks/${id}`,
        body: { whatsapp_webhook: change },
        ...options,
      }),
    async testWebhook(id, event, options) {
      await requester.send({
        method: "POST",
        path: path`${PLATFORM}/whatsapp/webhooks/${id}/test`,
        body: { event_type: event },
        ...options,
      });
    },
    async listDeliveries(webhookId, { pageSize = 100, ...options } = {}) {
      const query = { webhook_id: webhookId, period: "24h", limit: pageSize };
      return readRows(
        await requester.send({ path: `${PLATFORM}/webhook_deliveries`, query, ...options }),
      );
    },

    async listWorkflows({ status, nameContains, ...options } = {}) {
      const query = { status, name_contains: nameContains };
      return readRows(await requester.send({ path: `${PLATFORM}/workflows`, query, ...options }));
    },
    getWorkflow: (id, options) => one({ path: path`${PLATFORM}/workflows/${id}`, ...options }),
    getWorkflowDefinition: (id, options) =>
      one({ path: path`${PLATFORM}/workflows/${id}/definition`, ...options }),
    async getWorkflowDefinitionText(id, options) {
      const request = { path: path`${PLATFORM}/workflows/${id}/definition`, isRaw: true };
      return await requester.send({ ...request, ...options }) as string | undefined ?? "";
    },
    updateWorkflow: (id, workflow, options) =>
      one({
        method: "PATCH",
        path: path`${PLATFORM}/workflows/${id}`,
        body: typeof workflow === "string" ? `{"workflow":${workflow}}` : { workflow },
        ...options,
      }),
    async listProviderModels(options) {
      return readRows(await requester.send({ path: `${PLATFORM}/provider_models`, ...options }));
    },
  };
}

/** Builds a path: the first value is its beginning, the others are ids. */
function path(strings: TemplateStringsArray, start: string, ...ids: string[]): string {
  return ids.reduce(
    (text, id, index) => `${text}${encodeId(id)}${strings[index + 2]}`,
    `${strings[0]}${start}${strings[1]}`,
  );
}

/** @throws {TypeError} for an id that would lead to another path. */
function encodeId(id: string): string {
  if (/^\.{0,2}$/.test(id)) throw new TypeError("An id of Kapso is missing");
  return encodeURIComponent(id);
}

function readSentMessage(answer: unknown): SentMessage {
  const body = isObject(answer) ? isObject(answer.data) ? answer.data : answer : {};
  const { messages, contacts } = body;
  const message = Array.isArray(messages) ? messages[0] : undefined;
  const contact = Array.isArray(contacts) ? contacts[0] : undefined;
  return {
    id: requireText(message?.id, "POST"),
    waId: textOf(contact?.wa_id),
    userId: textOf(contact?.user_id),
    status: textOf(message?.message_status),
  };
}

/** @throws {KapsoError} `unreadable_answer`; after a POST its effect is unknown. */
function requireText(value: unknown, method: "GET" | "POST"): string {
  const text = typeof value === "number" ? String(value) : textOf(value);
  if (text !== undefined) return text;
  throw new KapsoError({
    status: 200,
    code: "unreadable_answer",
    message: "Kapso's answer is not what its documentation says",
    isRetryable: false,
    isAmbiguous: method === "POST",
  });
}
