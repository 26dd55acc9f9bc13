/**
 * The file of a message: `metadata.media`, and the outcome of copying it to Storage.
 *
 * @module
 */
import * as z from "zod";

/** Why there is no copy of a file. */
export const mediaReason = z.enum([
  /** The link is dead, and Kapso has no other. */
  "gone",
  /** The server that has the file fails. A retry can help. */
  "unavailable",
  "too_large",
  "type_not_allowed",
  /** The link leads to a host that is not on the list. */
  "host_not_allowed",
  /** The message has neither a link nor an id. */
  "no_source",
]);

/** Why there is no copy of a file. */
export type MediaReason = z.output<typeof mediaReason>;

/** `metadata.media` of a message. */
export const messageMedia = z.object({
  /** `stored`: in Storage. `linked`: the project has no Storage, so there is only `media_url` or Meta's id. */
  state: z.enum(["stored", "linked", "failed"]),
  /** In the bucket `media`. */
  path: z.string().optional(),
  /** The type of the content, which may differ from the declared one. */
  mime_type: z.string().optional(),
  /** In bytes. */
  size: z.int().optional(),
  /** Of the content, hexadecimal. */
  sha256: z.string().optional(),
  filename: z.string().optional(),
  /** When Meta deletes the file, where that is known. ISO 8601. */
  expires_at: z.string().optional(),
  /** Why copying failed. */
  reason: mediaReason.optional(),
  /** When copying ended. ISO 8601. */
  at: z.string(),
});

/** `metadata.media` of a message. */
export type MessageMedia = z.output<typeof messageMedia>;

/** The outcome of an attempt to copy: an element of `finish_media_copies(results)`. */
export interface MediaCopyResult {
  conversation_id: string;
  message_id: string;
  attempts: number;
  /** `waiting`: to be retried. */
  state: MessageMedia["state"] | "waiting";
  error: MediaReason | null;
  retry_seconds: number | null;
  /** For the message; null while the copy waits. */
  media: MessageMedia | null;
}
