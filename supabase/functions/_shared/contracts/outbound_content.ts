/**
 * What can be sent to WhatsApp, within WhatsApp's limits.
 *
 * @module
 */
import * as z from "zod";
import { storableText } from "./text.ts";

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

/** What is sent, by its type: the payload of an outbox row. */
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

/** Types of messages that can be sent. */
export const outboundType = z.enum([
  "text",
  "image",
  "video",
  "audio",
  "document",
  "sticker",
  "template",
  "reaction",
]);

/** Types of messages that carry an uploaded file. */
export const fileType = outboundType.extract(["image", "video", "audio", "document", "sticker"]);

/** A type of message that carries an uploaded file. */
export type FileType = z.output<typeof fileType>;

/** Whom a message goes to, in the words of Kapso's API: a number, a group or a business-scoped id. */
export type OutboundRecipient =
  | { to: string; recipient_type?: "group" }
  | { recipient: string };
