/**
 * What the parsers produce and the ingest client sends, with the limits of the ingest API.
 *
 * Nothing here knows a file format or does I/O.
 *
 * @module
 */

/** A platform that the ingest API accepts. */
export type Platform = "whatsapp" | "signal" | "telegram" | "wechat";

/** Every {@linkcode Platform}, for checking an option. */
export const PLATFORMS: readonly Platform[] = ["whatsapp", "signal", "telegram", "wechat"];

/** The conversation a message belongs to. */
export interface ImportConversation {
  /** The same in every export, so that a second run finds the same conversation. */
  externalId: string;
  participantIdentifier: string;
  participantName?: string;
}

/** One message, ready to send. */
export interface ImportMessage {
  /** The same in every export: the ingest API stores an id once. */
  id: string;
  direction: "inbound" | "outbound";
  type: "text" | "image" | "audio" | "video" | "file" | "location";
  content: string;
  /** ISO 8601, UTC. */
  sentAt: string;
  senderName?: string;
  /** Id of the message that this one replies to. */
  replyTo?: string;
  metadata?: Record<string, unknown>;
}

/** What a parser yields: a message, or the reason why an entry of the file is skipped. */
export type ImportItem =
  | { kind: "message"; conversation: ImportConversation; message: ImportMessage }
  | { kind: "skipped"; reason: string };

/** The ingest API's limit on `content`, in UTF-8 bytes. */
export const MAX_CONTENT_BYTES = 64 * 1024;

/** The ingest API's limit on ids and identifiers, in characters. */
export const MAX_ID_LENGTH = 512;

/** The longest metadata string worth keeping; sixteen of them stay below the API's 16 KB. */
const MAX_METADATA_STRING_LENGTH = 300;

/**
 * Fits a message into the API's limits without losing any of its text.
 *
 * A text over 64 KB is cut into several messages; the first keeps the id, so it stays stable. Characters
 * Postgres cannot store (NUL, half of a surrogate pair) are replaced.
 *
 * @param message The message as a parser made it.
 * @returns The message, or its parts in order.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const message = { id: "1", direction: "inbound", type: "text", content: "é".repeat(40_000), sentAt: "" } as const;
 * assert(fitToLimits(message).map((part) => part.id).join() === "1,1/2");
 * ```
 */
export function fitToLimits(message: ImportMessage): ImportMessage[] {
  const content = storable(message.content);
  const clean: ImportMessage = { ...message, content };
  if (message.senderName !== undefined) {
    clean.senderName = storable(message.senderName).slice(0, MAX_ID_LENGTH);
  }
  if (message.metadata !== undefined) {
    clean.metadata = shortenStrings(message.metadata) as Record<string, unknown>;
  }
  // A UTF-16 unit is at most three UTF-8 bytes, so most messages need no encoding to be measured.
  if (content.length * 3 <= MAX_CONTENT_BYTES) return [clean];
  return splitUtf8(content, MAX_CONTENT_BYTES).map((part, index) =>
    index === 0
      ? { ...clean, content: part }
      : { ...clean, id: `${message.id}/${index + 1}`, content: part }
  );
}

/** Replaces characters that JSON in UTF-8 or a Postgres text cannot hold. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\uFFFD");
}

function shortenStrings(value: unknown): unknown {
  if (typeof value === "string") return storable(value.slice(0, MAX_METADATA_STRING_LENGTH));
  if (Array.isArray(value)) return value.slice(0, 20).map(shortenStrings);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, shortenStrings(inner)]),
  );
}

function splitUtf8(text: string, maxBytes: number): string[] {
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for (let start = 0; start < bytes.length;) {
    let end = Math.min(start + maxBytes, bytes.length);
    // Bytes 10xxxxxx continue a character: step back to where one begins.
    while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--;
    parts.push(decoder.decode(bytes.subarray(start, end)));
    start = end;
  }
  return parts;
}
