/**
 * What is sent to WhatsApp: the payload of `outbox_messages`, the body of Kapso's API made of it, and the
 * message for the thread.
 *
 * @module
 */
import * as z from "zod";
import type { Message, MessageChange } from "../../contracts/message.ts";
import { storableId, storableText } from "../../contracts/text.ts";
import { MEDIA_TYPES } from "../webhook/content.ts";

/** A text, in characters: WhatsApp's limit. */
export const MAX_TEXT_LENGTH = 4096;
/** A caption, in characters: WhatsApp's limit. */
export const MAX_CAPTION_LENGTH = 1024;
/** A template's values, in characters of their JSON. */
const MAX_TEMPLATE_LENGTH = 16 * 1024;

/** WhatsApp counts code points, not UTF-16 units. */
const text = (max: number) =>
  storableText.refine((value) => value.trim() !== "" && [...value].length <= max, {
    error: `must have 1 to ${max} characters`,
  });

const mediaId = z.string().regex(/^[\w.-]{1,128}$/, { error: "must be the media_id of an upload" });
const caption = text(MAX_CAPTION_LENGTH).optional();

const template = z.object({
  name: z.string().regex(/^[a-z0-9_]{1,512}$/, { error: "must be the name of a template" }),
  language: z.string().regex(/^[A-Za-z]{2,3}(?:_[A-Za-z0-9]{2,8})*$/, {
    error: "must be a language code such as en_US",
  }),
  components: z.array(z.record(z.string(), z.unknown()), { error: "must be an array" }).max(20)
    .default([]),
}).refine((value) => JSON.stringify(value).length <= MAX_TEMPLATE_LENGTH, {
  error: "has too many values",
});

/** The payload of an outbox row, by its type. */
export const outboundContent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: text(MAX_TEXT_LENGTH) }),
  z.object({ type: z.literal("image"), media_id: mediaId, caption }),
  z.object({ type: z.literal("video"), media_id: mediaId, caption }),
  z.object({ type: z.literal("document"), media_id: mediaId, caption }),
  z.object({ type: z.literal("audio"), media_id: mediaId }),
  z.object({ type: z.literal("sticker"), media_id: mediaId }),
  z.object({ type: z.literal("template"), template }),
  z.object({
    type: z.literal("reaction"),
    emoji: storableText.refine((value) => value.length <= 64, { error: "must be one emoji" }),
  }),
], { error: "must be text, image, video, document, audio, sticker, template or reaction" });

/** What is sent. */
export type OutboundContent = z.output<typeof outboundContent>;

/** Whom it goes to, in the words of Kapso's API. */
export const outboundRecipient = z.union([
  z.object({ recipient_type: z.literal("group"), to: storableId() }),
  z.object({ to: z.string().min(1) }),
  z.object({ recipient: z.string().min(1) }),
]);

/** Whom it goes to. */
export type OutboundRecipient = z.output<typeof outboundRecipient>;

/** A message that is about to be sent. */
export interface Outbound {
  content: OutboundContent;
  recipient: OutboundRecipient;
  /** Id of the message it answers, or reacts to. */
  replyTo: string | null;
  /** Comes back with the webhooks of the message. */
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
 * The message as it goes into the thread once Kapso has accepted it. Its webhook brings the same id; where
 * that was quicker, this one adds nothing.
 *
 * @param text What a bubble shows.
 * @param wamid Kapso's answer.
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
    // Kapso has it. That WhatsApp has it too is what the webhook says.
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

/** A reaction of ours, as the change of the message it is put on. The webhook's copy has the same sender. */
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
 * What a bubble shows of a message that is being sent.
 *
 * @param rendered A template as it reads, where the sender knows.
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
