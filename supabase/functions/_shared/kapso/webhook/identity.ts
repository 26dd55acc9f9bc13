/**
 * The contact of a message: phone numbers, BSUIDs, names, and the keys of conversations made from them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { phoneDigits } from "../../phone/digits.ts";
import type { WireConversation, WireMessage } from "./wire.ts";

/** The contact of a conversation. */
export interface Contact {
  /** What follows the business's phone number in a conversation's key. */
  key: string;
  /** Other keys that an event with less knowledge may have given the same contact. */
  aliases: string[];
  /** What people are matched by: `+digits`, a user id as `readUserId` has it, or a text that matches no person. */
  identifier: string;
  /** Digits of the phone number. */
  phone?: string;
  /** Every identifier but `phone`: `+digits` or user id. */
  identifiers: string[];
}

const BSUID = /^[A-Za-z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}$/;
const PARENT_BSUID = /^[A-Za-z]{2}\.ENT\./;
/** In front of a business-scoped user id of digits, which would be read as a phone number without it. */
const DIGITS_PREFIX = "bsuid:";
const CONVERSATION_PREFIX = "conversation:";
const GROUP_PREFIX = "group:";
/** Characters of Kapso's own ids that a key of a conversation takes as they are; longer ids are hashed. */
const MAX_ID_IN_KEY = 200;
/** Characters of a name that are kept. */
const MAX_NAME_LENGTH = 300;

/** A business-scoped user id in its documented form, or undefined for anything else. */
function readBsuid(value: unknown): string | undefined {
  const trimmed = typeof value === "string" ? value.trim() : "";
  return BSUID.test(trimmed) ? trimmed : undefined;
}

/**
 * The value of a field for user ids: a BSUID, or `bsuid:<digits>` for one of digits alone. The field decides and not
 * the form: the same digits in a field for numbers are the phone of another person.
 */
export function readUserId(value: unknown): string | undefined {
  const trimmed = typeof value === "string" ? value.trim() : "";
  return /^[0-9]{1,128}$/.test(trimmed) ? `${DIGITS_PREFIX}${trimmed}` : readBsuid(trimmed);
}

/** The value of a field for numbers, or for numbers and user ids alike: `+digits` or a BSUID. */
export function readIdentifier(value: unknown): string | undefined {
  const digits = phoneDigits(value);
  return digits === undefined ? readBsuid(value) : `+${digits}`;
}

/** `external_conversation_id` of a conversation. */
export function externalConversationId(phoneNumberId: string, contactKey: string): string {
  return `${phoneNumberId}:${contactKey}`;
}

/**
 * The contact of a message or conversation.
 *
 * @param direction Of the message: the contact is its sender or its recipient, never the other one.
 */
export function readContact(
  message: WireMessage | undefined,
  conversation: WireConversation | undefined,
  direction: "inbound" | "outbound",
): Contact | undefined {
  const statuses = direction === "outbound" ? message?.kapso?.statuses ?? [] : [];
  // The conversation comes first: it has the same number in every event of a contact, where a message may
  // have it without its ninth digit or not at all.
  const numbers = [
    conversation?.phone_number,
    message?.kapso?.phone_number,
    ...(direction === "inbound" ? [message?.from] : [message?.to]),
    ...statuses.map((status) => status.recipient_id),
  ];
  const userIds = [
    conversation?.business_scoped_user_id,
    message?.kapso?.business_scoped_user_id,
    ...(direction === "inbound" ? [message?.from_user_id] : [message?.to_user_id]),
    ...statuses.map((status) => status.recipient_user_id),
    conversation?.parent_business_scoped_user_id,
    ...(direction === "inbound" ? [message?.from_parent_user_id] : [message?.to_parent_user_id]),
  ];
  const phones = unique(numbers.map(phoneDigits));
  const bsuids = unique([...numbers.map(readBsuid), ...userIds.map(readUserId)])
    .sort((one, other) => Number(PARENT_BSUID.test(one)) - Number(PARENT_BSUID.test(other)));
  const conversationId = conversation?.id ?? message?.kapso?.whatsapp_conversation_id;
  // The prefix keeps an id of digits from being read as a phone number.
  const fallback = conversationId ? [`${CONVERSATION_PREFIX}${idInKey(conversationId)}`] : [];
  const [key, ...aliases] = [...phones, ...bsuids, ...fallback];
  if (key === undefined) return undefined;
  const phone = phones[0];
  return {
    key,
    aliases,
    identifier: phone === undefined ? key : `+${phone}`,
    ...(phone === undefined ? {} : { phone }),
    identifiers: [...phones.slice(1).map((digits) => `+${digits}`), ...bsuids],
  };
}

/** Id of the group a message or conversation belongs to. */
export function readGroupId(
  message: WireMessage | undefined,
  conversation: WireConversation | undefined,
): string | undefined {
  return conversation?.group_id || message?.group_id ||
    (message?.recipient_type === "group" ? message.to : undefined) ||
    message?.kapso?.statuses?.find((status) => status.recipient_type === "group")?.recipient_id ||
    undefined;
}

/** Whether a key stands for a contact of whom only Kapso's conversation is known. */
export function isSessionKey(key: string): boolean {
  return key.startsWith(CONVERSATION_PREFIX);
}

/** The key of a group, in place of a contact's. */
export function groupKey(groupId: string): string {
  return `${GROUP_PREFIX}${idInKey(groupId)}`;
}

/** An id of Kapso's as keys of conversations have it. With a longer one, a key would be too long to store. */
function idInKey(id: string): string {
  return id.length <= MAX_ID_IN_KEY
    ? id
    : `sha256-${createHash("sha256").update(id).digest("hex")}`;
}

/**
 * The contact's profile name, from the three fields that may hold it.
 *
 * @param phone Digits of the contact: a name that only repeats them does not count.
 */
export function readContactName(
  message: WireMessage | undefined,
  conversation: WireConversation | undefined,
  direction: "inbound" | "outbound",
  phone: string | undefined,
): string | undefined {
  return [
    conversation?.kapso?.contact_name,
    conversation?.contact_name,
    // On an outbound message this may be the business's own name.
    direction === "inbound" ? message?.kapso?.contact_name : undefined,
  ].map((name) => cleanName(name, phone)).find((name) => name !== undefined);
}

/** The author of a message in a group. Its own field first: the conversation's name may be the group's. */
export function readSenderName(
  message: WireMessage,
  conversation: WireConversation | undefined,
  sender: Contact | undefined,
): string | undefined {
  return cleanName(message.kapso?.contact_name, undefined) ??
    readContactName(undefined, conversation, "inbound", sender?.phone) ??
    sender?.identifier;
}

function cleanName(name: string | undefined, phone: string | undefined): string | undefined {
  const trimmed = name?.toWellFormed().trim().slice(0, MAX_NAME_LENGTH).toWellFormed();
  if (!trimmed || (phone !== undefined && phoneDigits(trimmed) === phone)) return undefined;
  return trimmed;
}

/** The defined values, each once. */
export function unique(values: (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))];
}
