/**
 * A message that is sent to WhatsApp: the body of Kapso's API for it, and the message for the conversation.
 *
 * @module
 */
import type { Message, MessageChange } from "../../contracts/message.ts";
import type { OutboundContent, OutboundRecipient } from "../../contracts/outbound_content.ts";
import { MEDIA_TYPES } from "../webhook/content.ts";

/** A message to send. */
export interface Outbound {
  content: OutboundContent;
  recipient: OutboundRecipient;
  /** Id of the message it replies or reacts to. */
  replyTo: string | null;
  /** Returned by the webhooks of the message. */
  callbackData: string;
  fileName: string | null;
  mimeType: string | null;
}

/** The body of `POST /{phone_number_id}/messages`. */
export function outboundBody(message: Outbound): Record<string, unknown> {
  const { content, recipient, replyTo } = message;
  return {
    ...recipient,
    type: content.type,
    [content.type]: contentObject(message),
    // A reaction names its message itself.
    ...(replyTo === null || content.type === "reaction"
      ? {}
      : { context: { message_id: replyTo } }),
    biz_opaque_callback_data: message.callbackData,
  };
}

function contentObject({ content, replyTo, fileName }: Outbound): Record<string, unknown> {
  switch (content.type) {
    case "text":
      return { body: content.text, preview_url: /https?:\/\//i.test(content.text) };
    case "template": {
      const { name, language, components } = content.template;
      return {
        name,
        language: { code: language },
        ...(components.length > 0 ? { components } : {}),
      };
    }
    case "reaction":
      return { message_id: replyTo, emoji: content.emoji };
    case "audio":
    case "sticker":
      return { id: content.media_id };
    default:
      return {
        id: content.media_id,
        ...(content.caption === undefined ? {} : { caption: content.caption }),
        ...(content.type === "document" && fileName !== null ? { filename: fileName } : {}),
      };
  }
}

/**
 * The message that goes into the conversation once Kapso has accepted it. Its webhook brings the same id;
 * where that arrived first, this one adds nothing.
 *
 * @param text The text of the bubble.
 * @param wamid Id of the message at WhatsApp, from Kapso's answer.
 * @param sentAt ISO 8601.
 */
export function outboundMessage(
  message: Outbound,
  text: string,
  wamid: string,
  sentAt: string,
): Message {
  const { content } = message;
  return {
    id: wamid,
    direction: "outbound",
    type: MEDIA_TYPES.get(content.type) ?? "text",
    content: text,
    media_url: null,
    sent_at: sentAt,
    // Kapso has accepted it; a webhook reports when WhatsApp has.
    status: "pending",
    status_at: sentAt,
    ...(message.replyTo === null ? {} : { reply_to: message.replyTo }),
    metadata: {
      kapso_type: content.type,
      origin: "cloud_api",
      biz_opaque_callback_data: message.callbackData,
      ...(message.fileName === null ? {} : { file_name: message.fileName }),
      ...(message.mimeType === null ? {} : { mime_type: message.mimeType }),
      ...("media_id" in content ? { [content.type]: { id: content.media_id } } : {}),
      ...("template" in content ? { template: { name: content.template.name } } : {}),
    },
  };
}

/** Our reaction, as a change of the message it belongs to. The webhook's copy has the same sender. */
export function outboundReaction(
  message: Outbound,
  wamid: string,
  reactedAt: string,
): MessageChange {
  const { content, replyTo } = message;
  if (content.type !== "reaction" || replyTo === null) throw new TypeError("not a reaction");
  return {
    message_id: replyTo,
    reactions: [{
      sender: "business",
      emoji: content.emoji === "" ? null : content.emoji,
      reacted_at: reactedAt,
      id: wamid,
    }],
  };
}

/**
 * The text of the bubble of a message that is sent.
 *
 * @param rendered The text of a template with its values, where the sender gives it.
 */
export function outboundText(content: OutboundContent, rendered: string | undefined): string {
  switch (content.type) {
    case "text":
      return content.text;
    case "template":
      return rendered ?? `[${content.template.name}]`;
    case "reaction":
      return content.emoji;
    case "audio":
    case "sticker":
      return "";
    default:
      return content.caption ?? "";
  }
}
