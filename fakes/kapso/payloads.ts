/**
 * The JSON that Kapso writes: bodies of webhooks (payload v2) and rows of lists.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import type { Contact, Conversation, JsonObject, Message, PhoneNumber } from "./state.ts";

/** Extras of messages that lists return by default. */
export const DEFAULT_MESSAGE_EXTRAS = [
  "direction",
  "status",
  "processing_status",
  "phone_number",
  "has_media",
  "media_data",
  "media_url",
  "whatsapp_conversation_id",
  "contact_name",
  "message_type_data",
  "content",
  "flow_response",
  "flow_token",
  "flow_name",
  "order_text",
];

/** Formats milliseconds as ISO 8601 without fractions, like Kapso's webhooks. */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** Body of a message event. */
export function messageEventBody(message: Message, event: string, isNew: boolean): JsonObject {
  const isStatus = !/\.(received|sent)$/.test(event);
  return {
    message: {
      ...messageBase(message),
      kapso: {
        direction: message.direction,
        status: message.status,
        processing_status: message.direction === "inbound" ? "pending" : "completed",
        origin: message.origin,
        has_media: message.extras.media_url !== undefined,
        ...message.extras,
        ...(message.statuses.length > 0 ? { statuses: structuredClone(message.statuses) } : {}),
      },
    },
    conversation: conversationEventObject(message.conversation, !isStatus),
    is_new_conversation: isNew,
    phone_number_id: message.conversation.phoneNumber.phoneNumberId,
  };
}

/**
 * The `conversation` of an event.
 *
 * @param hasExtras Status events have none, and write the number without its plus sign.
 */
export function conversationEventObject(
  conversation: Conversation,
  hasExtras: boolean,
): JsonObject {
  const { contact } = conversation;
  return {
    id: conversation.id,
    phone_number: contact.phone === undefined
      ? null
      : hasExtras
      ? `+${contact.phone}`
      : contact.phone,
    ...conversationIdentity(contact),
    status: conversation.status,
    last_active_at: iso(conversation.lastActiveAt),
    created_at: iso(conversation.createdAt),
    updated_at: iso(conversation.updatedAt),
    metadata: {},
    phone_number_id: conversation.phoneNumber.phoneNumberId,
    ...(hasExtras ? { kapso: conversationExtras(conversation) } : {}),
  };
}

/** A row of a list of messages. */
export function messageRow(message: Message, extras: readonly string[] | "all"): JsonObject {
  const { contact } = message.conversation;
  const all: JsonObject = {
    direction: message.direction,
    // In lists, the status of received messages is delivered.
    status: message.direction === "inbound" ? "delivered" : message.status,
    processing_status: "completed",
    phone_number: contact.phone ?? null,
    has_media: message.extras.media_url !== undefined,
    whatsapp_conversation_id: message.conversation.id,
    contact_name: contact.name ?? null,
    ...message.extras,
    origin: message.origin,
    statuses: structuredClone(message.statuses),
  };
  const kapso = extras === "all"
    ? all
    : Object.fromEntries(Object.entries(all).filter(([name]) => extras.includes(name)));
  return {
    ...messageBase(message),
    ...(Object.keys(kapso).length > 0 ? { kapso } : {}),
  };
}

/** A row of a list of conversations. */
export function conversationRow(conversation: Conversation, hasExtras: boolean): JsonObject {
  const { contact } = conversation;
  return {
    id: conversation.id,
    phone_number: contact.phone ?? null,
    ...conversationIdentity(contact),
    phone_number_id: conversation.phoneNumber.phoneNumberId,
    status: conversation.status,
    last_active_at: iso(conversation.lastActiveAt),
    created_at: iso(conversation.createdAt),
    updated_at: iso(conversation.updatedAt),
    metadata: {},
    ...(hasExtras ? { kapso: conversationExtras(conversation) } : {}),
  };
}

/** A row of a list of contacts. */
export function contactRow(contact: Contact): JsonObject {
  return {
    id: contact.id,
    wa_id: contact.waId ?? contact.phone ?? null,
    business_scoped_user_id: contact.bsuid ?? null,
    parent_business_scoped_user_id: contact.parentBsuid ?? null,
    username: contact.username ?? null,
    profile_name: contact.name ?? null,
    display_name: contact.displayName ?? null,
    phone_number_id: contact.phoneNumber.phoneNumberId,
    customer_id: null,
    metadata: contact.metadata,
    created_at: iso(contact.createdAt),
    updated_at: iso(contact.updatedAt),
  };
}

/** A row of the list of numbers. */
export function phoneNumberRow(phoneNumber: PhoneNumber): JsonObject {
  return {
    phone_number_id: phoneNumber.phoneNumberId,
    internal_id: `internal-${phoneNumber.phoneNumberId}`,
    business_account_id: phoneNumber.businessAccountId,
    customer_id: null,
    display_phone_number: phoneNumber.displayPhoneNumber,
    is_coexistence: true,
    inbound_processing_enabled: true,
    status: "CONNECTED",
    quality_rating: "GREEN",
  };
}

function messageBase(message: Message): JsonObject {
  const { contact } = message.conversation;
  const address = contact.waId ?? contact.phone;
  const side = message.direction === "inbound" ? "from" : "to";
  return {
    id: message.id,
    timestamp: String(Math.floor(message.sentAt / 1000)),
    type: message.type,
    ...(address === undefined ? {} : { [side]: address }),
    ...(contact.bsuid === undefined ? {} : { [`${side}_user_id`]: contact.bsuid }),
    ...(contact.parentBsuid === undefined
      ? {}
      : { [`${side}_parent_user_id`]: contact.parentBsuid }),
    ...(contact.username === undefined ? {} : { username: contact.username }),
    ...(message.groupId === undefined ? {} : { group_id: message.groupId }),
    ...structuredClone(message.content),
  };
}

function conversationIdentity(contact: Contact): JsonObject {
  return {
    ...(contact.bsuid === undefined ? {} : { business_scoped_user_id: contact.bsuid }),
    ...(contact.parentBsuid === undefined
      ? {}
      : { parent_business_scoped_user_id: contact.parentBsuid }),
    ...(contact.username === undefined ? {} : { username: contact.username }),
  };
}

function conversationExtras(conversation: Conversation): JsonObject {
  const { contact, lastMessage } = conversation;
  const at = (ms: number | undefined) => ms === undefined ? null : iso(ms);
  return {
    ...(contact.name === undefined ? {} : { contact_name: contact.name }),
    messages_count: conversation.messagesCount,
    last_message_id: lastMessage?.id ?? null,
    last_message_type: lastMessage?.type ?? null,
    last_message_timestamp: at(lastMessage?.sentAt),
    last_message_text: lastMessage?.extras.content ?? null,
    last_inbound_at: at(conversation.lastInboundAt),
    last_outbound_at: at(conversation.lastOutboundAt),
  };
}
