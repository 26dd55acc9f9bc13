/**
 * Turns a delivery of Kapso into elements to store. Pure, and it never throws: what cannot be used becomes
 * an ignored element and does not affect the others.
 *
 * @module
 */
import { ingestConversation } from "../../contracts/ingest_conversation.ts";
import { isObject } from "../../contracts/text.ts";
import { readKapsoType, textOf } from "./content.ts";
import type {
  IdentityChangeElement,
  IgnoredReason,
  KapsoPerson,
  KapsoSession,
  NormalizedElement,
} from "./elements.ts";
import {
  type Contact,
  externalConversationId,
  groupKey,
  isSessionKey,
  readContact,
  readContactName,
  readGroupId,
  readIdentifier,
  readSenderName,
  readUserId,
  unique,
} from "./identity.ts";
import {
  type MessageOptions,
  type MessageParts,
  readDirection,
  readInstant,
  readMessage,
  readSentAt,
} from "./read_message.ts";
import {
  type WireConversation,
  wireConversation,
  type WireElement,
  wireElement,
  type WireMessage,
} from "./wire.ts";

/** What is known of a delivery besides its body: headers, which the body of a single event does not repeat, and its time. */
export interface DeliveryFacts {
  /** `X-Webhook-Event`. */
  event?: string | null | undefined;
  /** `X-Webhook-Payload-Version`. */
  payloadVersion?: string | null | undefined;
  /** When it arrived: the time of a message that has none. Without it such a message is unreadable. */
  arrivedAt?: Date;
}

/** Events that this project uses. */
export const EVENTS = [
  "whatsapp.message.received",
  "whatsapp.message.sent",
  "whatsapp.message.delivered",
  "whatsapp.message.read",
  "whatsapp.message.failed",
  "whatsapp.conversation.created",
  "whatsapp.conversation.ended",
  "whatsapp.conversation.inactive",
  "whatsapp.contact.identity_changed",
  "whatsapp.contact.marketing_preference_changed",
] as const;

const UNNAMED_MESSAGE = "whatsapp.message";

/**
 * Reads a delivery.
 *
 * @param facts Its headers and time; without an event there, the name comes from the body.
 * @param body The parsed body, of any shape: single, batched, or `data: […]` without `batch`.
 * @returns At least one element, in the order of the batch. One event can make two.
 *
 * @example
 * ```ts
 * const [element] = normalize({ event: "whatsapp.message.received" }, {
 *   phone_number_id: "10988",
 *   conversation: { id: "0b5c", phone_number: "+5511988887777" },
 *   message: { id: "wamid.A", timestamp: "1772442000", type: "text", text: { body: "bom dia" } },
 * });
 * if (element?.kind !== "conversation") throw new Error("expected a conversation");
 * console.assert(element.conversation.external_conversation_id === "10988:5511988887777");
 * ```
 */
export function normalize(facts: DeliveryFacts, body: unknown): NormalizedElement[] {
  const outer = wireElement.safeParse(body).data;
  if (outer === undefined) return [ignored("unreadable")];
  if (facts.payloadVersion?.trim().toLowerCase() === "v1") {
    return [ignored("v1_payload", findPhoneNumberId(outer))];
  }
  const elements = elementsOf(outer);
  if (elements.length === 0) return [ignored("empty", findPhoneNumberId(outer))];
  return elements.flatMap((value) => {
    // A body that is one event has been read already: that is a sixth of the work of a message.
    const element = value === outer ? outer : wireElement.safeParse(value).data;
    if (element === undefined) return [ignored("unreadable")];
    const event = facts.event?.trim() || outer.type || outer.event || element.type ||
      element.event;
    return normalizeElement(event, element, {
      phoneNumberId: findPhoneNumberId(element) ?? findPhoneNumberId(outer),
      arrivedAt: facts.arrivedAt?.toISOString(),
    });
  });
}

/**
 * Every phone number that a delivery is about. Read before the signature is checked, to find the secret to
 * check it with; so an element may be stored only if that secret belongs to its own phone number.
 */
export function readPhoneNumberIds(body: unknown): string[] {
  const outer = wireElement.safeParse(body).data;
  if (outer === undefined) return [];
  const parsed = elementsOf(outer).map((value) => wireElement.safeParse(value).data);
  return unique([outer, ...parsed].map((element) => element && findPhoneNumberId(element)));
}

/** The events of a body: of a batch its elements, else the body itself. */
function elementsOf(outer: WireElement): unknown[] {
  const { data } = outer;
  // A wrapper around one event, for old handlers.
  if (isObject(data) && outer.message === undefined) return [data];
  return Array.isArray(data) && outer.message === undefined ? data : [outer];
}

function findPhoneNumberId(element: WireElement): string | undefined {
  return [
    element.phone_number_id,
    element.conversation?.phone_number_id,
    element.message?.kapso?.phone_number_id,
    element.contact?.phone_number_id,
    element.whatsapp_config?.phone_number_id,
  ].filter((value) => typeof value === "string").find((value) => /^[\w.-]{1,128}$/.test(value));
}

function normalizeElement(
  event: string | undefined,
  element: WireElement,
  { phoneNumberId, arrivedAt }: {
    phoneNumberId: string | undefined;
    arrivedAt: string | undefined;
  },
): NormalizedElement[] {
  // Version 1 gives messages Kapso's own ids, under which every message would be stored again.
  if (element.whatsapp_config !== undefined || element.message?.message_type !== undefined) {
    return [ignored("v1_payload", phoneNumberId)];
  }
  // A message without the name of an event is still a message.
  const name = event ?? (element.message === undefined ? "" : UNNAMED_MESSAGE);
  if (name !== UNNAMED_MESSAGE && !EVENTS.some((known) => known === name)) {
    return [ignored("unknown_event", phoneNumberId)];
  }
  if (phoneNumberId === undefined) return [ignored("no_phone_number_id")];
  const eventKind = name.split(".")[2];
  if (name.startsWith("whatsapp.message")) {
    return readMessageEvent(element, { eventStatus: eventKind, phoneNumberId, arrivedAt });
  }
  if (name.startsWith("whatsapp.conversation.")) {
    return [readConversationEvent(element, eventKind, phoneNumberId)];
  }
  return eventKind === "identity_changed"
    ? [readIdentityChange(element, phoneNumberId)]
    : [readMarketingPreference(element, phoneNumberId)];
}

// Messages ---------------------------------------------------------------------------------------

function readMessageEvent(
  element: WireElement,
  { eventStatus, phoneNumberId, arrivedAt }: {
    eventStatus: string | undefined;
    phoneNumberId: string;
    arrivedAt: string | undefined;
  },
): NormalizedElement[] {
  const { message, conversation } = element;
  if (message === undefined) return [ignored("unreadable", phoneNumberId)];
  const direction = readDirection(message, eventStatus);
  const groupId = readGroupId(message, conversation);
  // In a group the conversation does not identify the sender.
  const contact = readContact(message, groupId === undefined ? conversation : undefined, direction);
  if (contact === undefined && groupId === undefined) return [ignored("no_contact", phoneNumberId)];
  const parts = readMessage(message, {
    direction,
    eventStatus,
    conversation,
    arrivedAt,
    senderKey: contact?.key,
    ...(groupId === undefined || direction === "outbound"
      ? {}
      : { groupSender: readGroupSender(message, conversation, contact) }),
  });
  if (parts === undefined) return [ignored("unreadable", phoneNumberId)];
  const stored = conversationElement(phoneNumberId, {
    parts,
    contact,
    groupId,
    name: groupId === undefined
      ? readContactName(message, conversation, direction, contact?.phone)
      : undefined,
    session: readSession(message, conversation, groupId),
    isHistory: message.kapso?.origin === "history_sync",
  });
  const change = readSystemChange(message, contact, phoneNumberId);
  return change === undefined ? [stored] : [stored, change];
}

/** The group member who wrote a message. */
function readGroupSender(
  message: WireMessage,
  conversation: WireConversation | undefined,
  contact: Contact | undefined,
): NonNullable<MessageOptions["groupSender"]> {
  const isKnown = contact !== undefined && !isSessionKey(contact.key);
  const name = readSenderName(message, conversation, isKnown ? contact : undefined);
  return { identifier: isKnown ? contact.identifier : undefined, name };
}

/** The change of identity that a system message reports. */
function readSystemChange(
  message: WireMessage,
  contact: Contact | undefined,
  phoneNumberId: string,
): IdentityChangeElement | undefined {
  const system = message.system;
  if (readKapsoType(message) !== "system" || !isObject(system)) return undefined;
  if (!/^user_changed_/.test(textOf(system.type) ?? "")) return undefined;
  // The old id stands only in the sentence "… changed from OLD to NEW".
  const sentence = textOf(system.body)?.trim() ?? "";
  const [, from, to] = /\bfrom\s+(\S+)\s+to\s+(\S+?)\.?$/.exec(sentence) ?? [];
  // The kind of change says which of the two the ids in the sentence are.
  const isNumber = system.type === "user_changed_number";
  const read = isNumber ? readIdentifier : readUserId;
  const known = knownIdentifiers(contact);
  // A change of number is reported under the old one.
  const old = isNumber ? known.filter((identifier) => identifier.startsWith("+")) : [];
  return identityChange(phoneNumberId, {
    previous: [read(from), ...old],
    current: [
      ...[system.user_id, system.parent_user_id].map(readUserId),
      ...[system.wa_id, system.new_wa_id].map(readIdentifier),
      read(to),
    ],
    kept: known,
    occurredAt: readSentAt(message, undefined),
  });
}

function knownIdentifiers(contact: Contact | undefined): string[] {
  if (contact === undefined) return [];
  return unique([
    contact.phone === undefined ? undefined : `+${contact.phone}`,
    ...contact.identifiers,
  ]);
}

// Conversations ----------------------------------------------------------------------------------

function readConversationEvent(
  element: WireElement,
  eventKind: string | undefined,
  phoneNumberId: string,
): NormalizedElement {
  const { conversation } = element;
  if (conversation === undefined) return ignored("unreadable", phoneNumberId);
  const groupId = readGroupId(undefined, conversation);
  const contact = readContact(undefined, conversation, "inbound");
  if (contact === undefined && groupId === undefined) return ignored("no_contact", phoneNumberId);
  const session = readSession(undefined, conversation, groupId);
  return conversationElement(phoneNumberId, {
    parts: { messages: [], changes: [] },
    contact,
    groupId,
    name: groupId === undefined
      ? readContactName(undefined, conversation, "inbound", contact?.phone)
      : undefined,
    session: session && eventKind === "ended" ? { ...session, status: "ended" } : session,
    inactiveSince: eventKind === "inactive"
      ? readInstant(element.since_message?.created_at) ?? readInstant(conversation.last_active_at)
      : undefined,
  });
}

/**
 * Reads the session in a row of Kapso's list of conversations.
 *
 * @param phoneNumberId The phone number it should belong to.
 * @returns undefined where the row has no session, or belongs to another phone number.
 */
export function readSessionRow(row: unknown, phoneNumberId: string): KapsoSession | undefined {
  const conversation = wireConversation.safeParse(row).data;
  if ((conversation?.phone_number_id ?? phoneNumberId) !== phoneNumberId) return undefined;
  return readSession(undefined, conversation, undefined);
}

function readSession(
  message: WireMessage | undefined,
  conversation: WireConversation | undefined,
  groupId: string | undefined,
): KapsoSession | undefined {
  // A group's message may come with the private conversation of its sender.
  if (groupId !== undefined && !conversation?.group_id) return undefined;
  const id = conversation?.id ?? message?.kapso?.whatsapp_conversation_id;
  const startedAt = readInstant(conversation?.created_at);
  const at = readInstant(conversation?.updated_at) ?? readInstant(conversation?.last_active_at) ??
    startedAt ?? (message === undefined ? undefined : readSentAt(message, conversation));
  if (!id || at === undefined) return undefined;
  const status = conversation?.status?.toLowerCase();
  return {
    id,
    ...(status === "active" || status === "ended" ? { status } : {}),
    at,
    ...(startedAt === undefined ? {} : { started_at: startedAt }),
  };
}

interface ConversationParts {
  parts: MessageParts;
  contact: Contact | undefined;
  groupId: string | undefined;
  name: string | undefined;
  session: KapsoSession | undefined;
  isHistory?: boolean;
  inactiveSince?: string | undefined;
}

/**
 * Puts a conversation together. It is validated although `wire.ts` has parsed the delivery: the wire schemas
 * let everything through, and the database relies on the limits of the contract.
 */
function conversationElement(phoneNumberId: string, of: ConversationParts): NormalizedElement {
  const { contact, groupId, name, session, inactiveSince, parts } = of;
  const key = groupId === undefined ? contact!.key : groupKey(groupId);
  const parsed = ingestConversation.safeParse({
    external_conversation_id: externalConversationId(phoneNumberId, key),
    participant_identifier: groupId === undefined ? contact!.identifier : key,
    ...(name === undefined ? {} : { participant_name: name }),
    messages: parts.messages,
    ...(parts.changes.length > 0 ? { changes: parts.changes } : {}),
    ...(of.isHistory ? { is_history: true } : {}),
  });
  if (!parsed.success) return ignored("unreadable", phoneNumberId);
  const person = groupId === undefined ? readPerson(contact!, name) : undefined;
  return {
    kind: "conversation",
    phoneNumberId,
    conversation: {
      ...parsed.data,
      thread_aliases: groupId === undefined
        ? contact!.aliases.map((alias) => externalConversationId(phoneNumberId, alias))
        : [],
      ...(person === undefined ? {} : { person }),
      ...(session === undefined ? {} : { session }),
      ...(inactiveSince === undefined ? {} : { inactive_since: inactiveSince }),
    },
  };
}

function readPerson(contact: Contact, name: string | undefined): KapsoPerson | undefined {
  if (contact.phone === undefined && contact.identifiers.length === 0) return undefined;
  return {
    ...(name === undefined ? {} : { name }),
    ...(contact.phone === undefined ? {} : { phone: `+${contact.phone}` }),
    identifiers: contact.identifiers,
  };
}

// Contacts ---------------------------------------------------------------------------------------

/** Fields with a contact's identifiers; never `phone_number_id`, which is the business's. */
const IDENTIFIER_FIELD =
  /^(?:(?:parent_)?business_scoped_user_id|(?:parent_)?user_id|(?:parent_)?bsuid|wa_id|phone|phone_number|identifier)$/;
/** Those that hold user ids and never a number. */
const USER_ID_FIELD = /(?:user_id|bsuid)$/;
const NEW_SIDE = /^(?:new|current|to|updated)$/;

/**
 * A contact's new identity. No sample of this event is public, so this tries every name that integrators have
 * seen or guessed: flat, under `contact` and in nested objects.
 */
function readIdentityChange(element: WireElement, phoneNumberId: string): NormalizedElement {
  const previous: Identifiers = [];
  const current: Identifiers = [];
  const kept: Identifiers = [];
  const places = [
    element,
    element.contact,
    element.conversation,
    element.identity_change,
    element.identity,
    element.change,
  ].filter(isObject);
  for (const place of places) {
    for (const [field, value] of Object.entries(place)) {
      const [, side, name] = /^(?:(previous|old|from|prior|new|current|to|updated)(?:_|$))?(.*)$/
        .exec(field) ?? [];
      const list = side === undefined ? kept : NEW_SIDE.test(side) ? current : previous;
      if (side !== undefined && isObject(value)) {
        list.push(...identifierFields(value));
      } else if (name === "" || IDENTIFIER_FIELD.test(name ?? "")) {
        list.push(readField(name ?? "", value));
      }
    }
  }
  const time = element.occurred_at ?? element.timestamp ?? element.contact?.updated_at;
  const change = identityChange(phoneNumberId, {
    previous,
    current,
    kept,
    occurredAt: typeof time === "string" || typeof time === "number"
      ? readInstant(time)
      : undefined,
  });
  return change ?? ignored("unreadable", phoneNumberId);
}

function identifierFields(value: Record<string, unknown>): Identifiers {
  return Object.entries(value)
    .flatMap(([name, item]) => IDENTIFIER_FIELD.test(name) ? [readField(name, item)] : []);
}

function readField(name: string, value: unknown): string | undefined {
  return USER_ID_FIELD.test(name) ? readUserId(value) : readIdentifier(value);
}

/** Identifiers of a contact; undefined for a field without a usable one. */
type Identifiers = (string | undefined)[];

interface IdentityParts {
  previous: Identifiers;
  current: Identifiers;
  /** Found beside them, and valid unless it is one of `previous`. */
  kept: Identifiers;
  occurredAt: string | undefined;
}

function identityChange(
  phoneNumberId: string,
  parts: IdentityParts,
): IdentityChangeElement | undefined {
  const current = unique(parts.current);
  const previous = unique(parts.previous)
    .filter((identifier) => !current.includes(identifier));
  const kept = unique(parts.kept)
    .filter((identifier) => !previous.includes(identifier));
  if (current.length + previous.length + kept.length === 0) return undefined;
  return {
    kind: "identity_change",
    phoneNumberId,
    previous,
    current: unique([...current, ...kept]),
    ...(parts.occurredAt === undefined ? {} : { occurredAt: parts.occurredAt }),
  };
}

function readMarketingPreference(element: WireElement, phoneNumberId: string): NormalizedElement {
  const { contact = {}, conversation } = element;
  const found = [
    element.marketing_preference,
    element.preference,
    contact.marketing_preference,
    element.marketing_preference_status,
  ].find((value) => isObject(value) || textOf(value) !== undefined);
  const preference = isObject(found) ? found : {};
  const status = textOf(isObject(found) ? preference.status ?? preference.value : found)
    ?.trim().toLowerCase().slice(0, 64).toWellFormed();
  const identifiers = unique([
    ...[
      contact.phone_number,
      contact.phone,
      contact.wa_id,
      conversation?.phone_number,
      element.phone_number,
      element.wa_id,
    ].map(readIdentifier),
    ...[
      contact.business_scoped_user_id,
      conversation?.business_scoped_user_id,
      element.business_scoped_user_id,
      contact.parent_business_scoped_user_id,
      conversation?.parent_business_scoped_user_id,
    ].map(readUserId),
  ]);
  if (status === undefined || identifiers.length === 0) return ignored("unreadable", phoneNumberId);
  const sequence = Number(preference.sequence ?? element.sequence ?? NaN);
  const time = preference.occurred_at ?? element.occurred_at ?? element.timestamp;
  const occurredAt = typeof time === "string" || typeof time === "number"
    ? readInstant(time)
    : undefined;
  return {
    kind: "marketing_preference",
    phoneNumberId,
    identifiers,
    status,
    ...(Number.isSafeInteger(sequence) ? { sequence } : {}),
    ...(occurredAt === undefined ? {} : { occurredAt }),
  };
}

function ignored(reason: IgnoredReason, phoneNumberId?: string): NormalizedElement {
  return {
    kind: "ignored",
    reason,
    ...(phoneNumberId === undefined ? {} : { phoneNumberId }),
  };
}
