/**
 * Reads a message of Kapso, from a webhook or a list, as messages and changes to store.
 *
 * @module
 */
import {
  MAX_CONTENT_BYTES,
  MAX_URL_LENGTH,
  type Message,
  type MessageChange,
  type MessageStatus,
  messageStatus,
} from "../../contracts/message.ts";
import { cutToBytes, instant, isObject, unixMilliseconds } from "../../contracts/text.ts";
import { MEDIA_TYPES, readContent, readKapsoType, textOf } from "./content.ts";
import { makeMetadata } from "./metadata.ts";
import { type WireConversation, type WireError, type WireMessage, wireMessage } from "./wire.ts";

/** What is known about a message from its surroundings. */
export interface MessageOptions {
  direction: "inbound" | "outbound";
  /** The status in the name of the event: `whatsapp.message.read` → `read`. */
  eventStatus: string | undefined;
  conversation: WireConversation | undefined;
  /** When the message arrived here, as an instant: its time where it has none. */
  arrivedAt: string | undefined;
  /** Key of the author: the contact, in a group the member. */
  senderKey: string | undefined;
  /** For groups: identifier and name of the member. */
  groupSender?: { identifier: string | undefined; name: string | undefined };
}

/** What to store, before validation. Both empty: nothing. */
export interface MessageParts {
  messages: Message[];
  changes: MessageChange[];
}

/** Kapso's names of each status, in webhooks, in lists and in imported history. */
const KAPSO_STATUSES = {
  pending: ["pending", "accepted", "held_for_quality_assessment"],
  sent: ["sent"],
  delivered: ["delivered"],
  read: ["read", "played"],
  failed: ["failed", "error"],
} satisfies Record<MessageStatus, readonly string[]>;

/** Statuses by Kapso's names. */
const STATUSES: ReadonlyMap<string, MessageStatus> = new Map(
  messageStatus.options.flatMap((status) =>
    KAPSO_STATUSES[status].map((name): [string, MessageStatus] => [name, status])
  ),
);

/**
 * The direction of a message.
 *
 * @param eventStatus From the name of the event; used where the message itself says nothing.
 */
export function readDirection(
  message: WireMessage,
  eventStatus: string | undefined,
): "inbound" | "outbound" {
  // Typed on the business's phone.
  if (message.kapso?.origin === "business_app") return "outbound";
  const said = message.kapso?.direction?.toLowerCase();
  if (said === "inbound" || said === "outbound") return said;
  if (eventStatus !== undefined) return eventStatus === "received" ? "inbound" : "outbound";
  const isSent = (message.kapso?.statuses?.length ?? 0) > 0 || (message.from ?? "") === "";
  return isSent && message.to !== undefined ? "outbound" : "inbound";
}

/** Time of a message: its own, else the nearest known one. */
export function readSentAt(
  message: WireMessage,
  conversation: WireConversation | undefined,
): string | undefined {
  return readInstant(message.timestamp) ?? readInstant(message.created_at) ??
    message.kapso?.statuses?.map((status) => readInstant(status.timestamp))
      .filter((time) => time !== undefined).sort()[0] ??
    readInstant(conversation?.last_active_at);
}

/**
 * Reads a message.
 *
 * @returns undefined where it has no id, or is a reaction, an edit or a deletion without a message.
 */
export function readMessage(
  message: WireMessage,
  options: MessageOptions,
): MessageParts | undefined {
  const { id } = message;
  const ownTime = readSentAt(message, options.conversation);
  const sentAt = ownTime ?? options.arrivedAt;
  if (!id || sentAt === undefined) return undefined;
  const kapsoType = readKapsoType(message);
  const delivery = options.direction === "outbound" ? readDelivery(message, options) : {};

  if (kapsoType === "reaction") {
    // A reaction that never reached the phone is not shown.
    if (delivery.status === "failed") return { messages: [], changes: [] };
    const change = readReaction(message, id, sentAt, options);
    return change && { messages: [], changes: [change] };
  }

  if (kapsoType === "edit" || kapsoType === "revoke") {
    const change = readCorrection(message, kapsoType, sentAt);
    return change && { messages: [], changes: [change] };
  }

  const { type, content, isComplete } = readContent(message, kapsoType);
  if (!isComplete && options.direction === "outbound") {
    return {
      messages: [],
      changes: delivery.status === undefined ? [] : [{ message_id: id, ...delivery }],
    };
  }
  const replyTo = message.context?.id ?? message.context?.message_id;
  const conversationId = options.conversation?.id ?? message.kapso?.whatsapp_conversation_id;
  return {
    messages: [{
      id,
      direction: options.direction,
      type,
      content: cutContent(content),
      media_url: readMediaUrl(message, kapsoType),
      sent_at: sentAt,
      ...delivery,
      ...(typeof replyTo === "string" && replyTo !== "" ? { reply_to: replyTo } : {}),
      ...(options.groupSender?.name === undefined ? {} : { sender_name: options.groupSender.name }),
      metadata: makeMetadata(message, {
        kapsoType,
        hasArrivalTime: ownTime === undefined,
        conversationId,
        sender: options.groupSender?.identifier,
        username: message.username ?? options.conversation?.username,
      }),
    }],
    changes: [],
  };
}

/**
 * An instant from a unix time, also as text, or from ISO 8601. A unix time may be in seconds, milliseconds,
 * microseconds or nanoseconds.
 *
 * @returns As `2026-03-02T09:00:00.000Z`; undefined for anything else, zero and negative times.
 */
export function readInstant(time: string | number | undefined): string | undefined {
  if (time === undefined) return undefined;
  const number = typeof time === "number" || /^\s*\d+(?:\.\d+)?\s*$/.test(time)
    ? Number(time)
    : NaN;
  if (Number.isNaN(number)) return instant.safeParse(String(time)).data;
  const date = new Date(unixMilliseconds(number));
  if (!(number > 0) || number >= 1e19 || Number.isNaN(date.getTime())) return undefined;
  return instant.safeParse(date.toISOString()).data;
}

/** The newest status of an outbound message, with the time and the reason of its own entry. */
function readDelivery(
  message: WireMessage,
  options: MessageOptions,
): Pick<Message, "status" | "status_at" | "error"> {
  const entries = [
    ...(message.kapso?.statuses ?? []),
    // These have no time of their own, so an entry with the same status wins.
    { status: message.kapso?.status },
    { status: options.eventStatus },
    { status: message.history_context?.status },
  ].flatMap((entry) => {
    const status = STATUSES.get(entry.status?.toLowerCase() ?? "");
    if (status === undefined) return [];
    const at = "timestamp" in entry ? readInstant(entry.timestamp) : undefined;
    return [{ status, at, errors: "errors" in entry ? entry.errors : undefined }];
  });
  const status = messageStatus.options.findLast((name) =>
    entries.some((entry) => entry.status === name)
  );
  if (status === undefined) return {};
  const same = entries.filter((entry) => entry.status === status);
  // Of the same status twice, the earlier time is the true one.
  const at = same.map((entry) => entry.at).filter((time) => time !== undefined).sort()[0];
  const error = status === "failed"
    ? [...same.flatMap((entry) => entry.errors ?? []), ...(message.errors ?? [])][0]
    : undefined;
  return {
    status,
    ...(at === undefined ? {} : { status_at: at }),
    ...(error === undefined ? {} : { error: readFailure(error) }),
  };
}

function readFailure(error: WireError): NonNullable<Message["error"]> {
  const title = textOf(error.title);
  const details = textOf(error.error_data?.details) ?? textOf(error.message);
  const message = [
    // Avoids "Message undeliverable: Message undeliverable."
    details !== undefined && title !== undefined &&
      details.toLowerCase().startsWith(title.toLowerCase())
      ? undefined
      : title,
    details,
  ].filter((part) => part !== undefined).join(": ").slice(0, 1000);
  return {
    ...(error.code === undefined || error.code === "" ? {} : { code: error.code }),
    ...(message === "" ? {} : { message }),
  };
}

/** A reaction, as a change of the message it belongs to. Without an emoji it removes the earlier one. */
function readReaction(
  message: WireMessage,
  id: string,
  reactedAt: string,
  options: MessageOptions,
): MessageChange | undefined {
  const reaction = isObject(message.reaction) ? message.reaction : {};
  const summary = message.kapso?.message_type_data ?? {};
  const target = textOf(reaction.message_id) ?? textOf(summary.message_id);
  const sender = options.direction === "outbound"
    ? "business"
    : `contact:${options.senderKey ?? "unknown"}`;
  if (target === undefined) return undefined;
  const emoji =
    textOf((isObject(message.reaction) ? reaction : summary).emoji)?.toWellFormed().slice(0, 64)
      .toWellFormed() ?? null;
  return { message_id: target, reactions: [{ sender, emoji, reacted_at: reactedAt, id }] };
}

/**
 * An edit or a deletion, as a change of the message it is about. WhatsApp sends them to numbers that are also used in
 * the WhatsApp Business app: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/edit
 * and …/revoke.
 */
function readCorrection(
  message: WireMessage,
  kapsoType: "edit" | "revoke",
  at: string,
): MessageChange | undefined {
  const correction = message[kapsoType];
  if (!isObject(correction)) return undefined;
  const target = textOf(correction.original_message_id);
  if (target === undefined) return undefined;
  if (kapsoType === "revoke") return { message_id: target, deleted_at: at };
  const edited = wireMessage.safeParse(correction.message).data;
  if (edited === undefined) return undefined;
  const { content, isComplete } = readContent(edited, readKapsoType(edited));
  if (!isComplete) return undefined;
  return { message_id: target, edit: { content: cutContent(content), edited_at: at } };
}

/** Kapso's copy of the file. Never `url`: Meta's links expire within minutes. */
function readMediaUrl(message: WireMessage, kapsoType: string): string | null {
  const media = MEDIA_TYPES.has(kapsoType) ? message[kapsoType] : undefined;
  const links = [
    message.kapso?.media_url,
    message.kapso?.media_data?.url,
    isObject(media) ? media.link : undefined,
  ];
  return links.map(textOf).find((link) => link !== undefined && isHttpUrl(link))?.trim() ?? null;
}

function isHttpUrl(text: string): boolean {
  const url = text.length <= MAX_URL_LENGTH && text.isWellFormed() ? URL.parse(text.trim()) : null;
  return url !== null && (url.protocol === "https:" || url.protocol === "http:");
}

/** Content within the limit of messages. WhatsApp's own limit is 4096 characters, so few are cut. */
function cutContent(content: string): string {
  return cutToBytes(content.replaceAll("\0", "").toWellFormed(), MAX_CONTENT_BYTES, "…");
}
