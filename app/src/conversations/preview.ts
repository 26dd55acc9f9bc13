/**
 * One-line previews of messages, for the list of conversations and for quotes.
 *
 * @module
 */

import type { Conversation, Message } from "../api/rows.ts";
import { texts } from "../texts.ts";

const MAX_LENGTH = 140;

/** One line about a message: the start of its text, or its type where it has none. */
export function messagePreview(message: Message): string {
  if (message.deleted_at !== null && message.content === "") return texts.content.deleted;
  if (message.content && !/^\[\w+\]$/.test(message.content)) {
    return message.content.slice(0, MAX_LENGTH);
  }
  return message.type === "text" ? message.content : texts.list.types[message.type];
}

/** One line about the newest message of a conversation. */
export function conversationPreview(conversation: Conversation): string {
  const { last_message_preview: text, last_message_type: type } = conversation;
  if (text === null) return texts.list.noPreview;
  if (text === "[deleted]") return texts.content.deleted;
  const isBare = type !== null && text === `[${type}]`;
  const shown = isBare && type in texts.list.types
    ? texts.list.types[type as keyof typeof texts.list.types]
    : text;
  return conversation.last_message_direction === "outbound"
    ? texts.list.outboundPrefix + shown
    : shown;
}
