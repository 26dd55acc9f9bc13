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
/** Reactions of a message: those of the newest senders are kept. */
export const MAX_REACTIONS = 1000;
/** A media URL, in characters. */
export const MAX_URL_LENGTH = 2048;
/** `metadata` of a message, in bytes of its JSON. */
export const MAX_METADATA_BYTES = 16 * 1024;

/** The link to the file of a message; null where it has none. */
export const mediaUrl = z.string({ error: "must be a string or null" })
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
  /** Of those of one message the newest {@linkcode MAX_REACTIONS} are kept. */
  reactions: z.array(reaction.nullable().catch(null))
    .transform((list) => {
      const usable = list.filter((item) => item !== null);
      return usable.length === 0 && list.length > 0 ? undefined : usable;
    })
    .optional().catch(undefined),
};

const content = storableText.refine((text) => isAtMostBytes(text, MAX_CONTENT_BYTES), {
  error: `must be at most ${MAX_CONTENT_BYTES / 1024} KB`,
});

/** A message. Unknown keys are dropped. */
export const message = z.object({
  id: storableId(),
  direction: z.enum(["inbound", "outbound"], { error: requiredOr('"inbound" or "outbound"') }),
  type: z.enum(["text", "image", "audio", "video", "file", "location"], {
    error: requiredOr("one of text, image, audio, video, file, location"),
  }),
  content,
  media_url: mediaUrl,
  sent_at: instant,
  ...extras,
  /** When its text was last changed. */
  edited_at: instant.optional().catch(undefined),
  /** Its first text, where it was edited. */
  original_content: content.optional().catch(undefined),
  /** When its sender deleted it. Its text and file are dropped, unless the workspace keeps them. */
  deleted_at: instant.optional().catch(undefined),
  /** Id of the message that this one replies to. */
  reply_to: storableId().optional().catch(undefined),
  /** The author, in a group. */
  sender_name: storableText.pipe(z.string().min(1).max(300)).optional().catch(undefined),
  /** Other facts of the provider worth keeping. */
  metadata: storableObject(MAX_METADATA_BYTES).optional().catch(undefined),
}, { error: "must be an object" });

/** A stored message. */
export type Message = z.output<typeof message>;

/** A change of a message that may be stored already: what came later than the message. */
export const messageChange = z.object({
  message_id: storableId(),
  ...extras,
  media_url: mediaUrl.optional().catch(undefined),
  /** The new text. The newest edit wins, and the first text stays in `original_content`. */
  edit: z.object({ content, edited_at: instant }, { error: "must be an object" }).optional(),
  /** When the sender deleted it. */
  deleted_at: instant.optional(),
}, { error: "must be an object" });

/** A change to apply. */
export type MessageChange = z.output<typeof messageChange>;
