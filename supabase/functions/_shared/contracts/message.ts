/**
 * Messages: the elements of `conversations.messages` and `conversation_archives.messages`.
 *
 * @module
 */
import * as z from "zod";
import {
  instant,
  isAtMostBytes,
  requiredOr,
  storableId,
  storableObject,
  storableText,
} from "./text.ts";

/** Content of a message, in bytes of UTF-8. */
export const MAX_CONTENT_BYTES = 64 * 1024;
/** A media URL, in characters. */
export const MAX_URL_LENGTH = 2048;
/** `metadata` of a message, in bytes of its JSON. */
export const MAX_METADATA_BYTES = 16 * 1024;

const mediaUrl = z.string({ error: "must be a string or null" })
  .transform((text) => text.trim())
  .refine((text) => text.length <= MAX_URL_LENGTH, {
    error: `must be at most ${MAX_URL_LENGTH} characters`,
  })
  .refine((text) => text === "" || isHttpUrl(text), { error: "must be an http or https URL" })
  .transform((text) => text === "" ? null : text)
  .nullish()
  .transform((text) => text ?? null);

function isHttpUrl(text: string): boolean {
  const url = text.isWellFormed() && !text.includes("\0") ? URL.parse(text) : null;
  return url !== null && (url.protocol === "https:" || url.protocol === "http:");
}

/**
 * Statuses of an outbound message, in their order: a status moves forward only, and `failed` is final. Every
 * other list of statuses derives from this one or is checked against it; `private.message_statuses` is the
 * same list in SQL.
 */
export const messageStatus = z.enum(["pending", "sent", "delivered", "read", "failed"]);

/** Status of an outbound message. */
export type MessageStatus = z.output<typeof messageStatus>;

/**
 * States of a message in the outbox: its status once Kapso has accepted it, and the outbox's own before
 * that. `unconfirmed` means that it is unknown whether it was sent.
 */
export const outboxState = z.enum([
  "queued",
  "sending",
  ...messageStatus.exclude(["pending"]).options,
  "unconfirmed",
  "discarded",
]);

/** State of a message in the outbox. */
export type OutboxState = z.output<typeof outboxState>;

/** Why a message failed. */
export const messageFailure = z.object({
  code: z.union([storableText, z.number()]).optional(),
  message: storableText.optional(),
});

/** One sender's reaction to a message. `emoji` null: removed. */
export const reaction = z.object({
  sender: storableId(),
  emoji: storableText.pipe(z.string().min(1).max(64)).nullable(),
  reacted_at: instant,
  /** Id of the reaction itself, where the platform gives it one; breaks ties of equal times. */
  id: storableId().optional(),
});

/**
 * The fields that this project adds to the ingest API. A bridge may use these names for something else,
 * and an extra must not cost the message: an invalid one is dropped.
 */
const extras = {
  status: messageStatus.optional().catch(undefined),
  status_at: instant.optional().catch(undefined),
  error: messageFailure.optional().catch(undefined),
  reactions: z.array(reaction).max(1000).optional().catch(undefined),
};

/** A message. Unknown keys are dropped. */
export const message = z.object({
  id: storableId(),
  direction: z.enum(["inbound", "outbound"], { error: requiredOr('"inbound" or "outbound"') }),
  type: z.enum(["text", "image", "audio", "video", "file", "location"], {
    error: requiredOr("one of text, image, audio, video, file, location"),
  }),
  content: storableText.refine((text) => isAtMostBytes(text, MAX_CONTENT_BYTES), {
    error: `must be at most ${MAX_CONTENT_BYTES / 1024} KB`,
  }),
  media_url: mediaUrl,
  sent_at: instant,
  ...extras,
  /** Id of the message that this one replies to. */
  reply_to: storableId().optional().catch(undefined),
  /** The author, in a group. */
  sender_name: storableText.pipe(z.string().min(1).max(300)).optional().catch(undefined),
  /** Other facts of the provider worth keeping. */
  metadata: storableObject(MAX_METADATA_BYTES).optional().catch(undefined),
}, { error: "must be an object" });

/** A stored message. */
export type Message = z.output<typeof message>;

/** A change of a message that may be stored already: a newer status, a reaction, media that came late. */
export const messageChange = z.object({
  message_id: storableId(),
  ...extras,
  media_url: mediaUrl.optional().catch(undefined),
}, { error: "must be an object" });

/** A change to apply. */
export type MessageChange = z.output<typeof messageChange>;
