/**
 * Builds the content of messages of every type that Kapso knows.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import type { JsonObject, Media } from "./state.ts";

/** A file of a scenario. */
export interface FileContent {
  type: "image" | "video" | "audio" | "document" | "sticker";
  caption?: string;
  filename?: string;
  mimeType?: string;
  bytes?: Uint8Array<ArrayBuffer>;
  /** Of a voice note. */
  transcript?: string;
  /** False: Kapso has no copy yet, only the id at Meta. */
  hasLink?: boolean;
}

/** The content of a message: a text, a file, or a type with Meta's object for it. */
export type Content = string | FileContent | { type: string; [field: string]: unknown };

/** Content as it is stored. */
export interface BuiltContent {
  type: string;
  content: JsonObject;
  extras: JsonObject;
}

const MIME_TYPES: Readonly<Record<FileContent["type"], [string, string]>> = {
  image: ["image/jpeg", "jpg"],
  video: ["video/mp4", "mp4"],
  audio: ["audio/ogg; codecs=opus", "ogg"],
  document: ["application/pdf", "pdf"],
  sticker: ["image/webp", "webp"],
};

/** Whether content is a file. */
export function isFile(content: Content): content is FileContent {
  return typeof content === "object" && Object.hasOwn(MIME_TYPES, content.type) &&
    !Object.hasOwn(content, content.type);
}

/** Adds the name and type of a file that has none. */
export function fileDefaults(file: FileContent): { filename: string; mimeType: string } {
  const [mimeType, extension] = MIME_TYPES[file.type];
  return {
    filename: file.filename ?? `file.${extension}`,
    mimeType: file.mimeType ?? mimeType,
  };
}

/**
 * Builds the stored form of content.
 *
 * @param media The stored file, for files.
 * @param link The address of the file that needs no key.
 */
export function buildContent(content: Content, media?: Media, link?: string): BuiltContent {
  if (typeof content === "string") {
    return { type: "text", content: { text: { body: content } }, extras: { content } };
  }
  if (isFile(content) && media !== undefined) return buildFile(content, media, link);
  const { type, ...content_ } = content as { type: string } & JsonObject;
  return { type, content: content_, extras: rendering(type, content_) };
}

function buildFile(file: FileContent, media: Media, link: string | undefined): BuiltContent {
  const object = {
    id: media.id,
    mime_type: media.mimeType,
    sha256: media.sha256,
    ...(file.caption === undefined ? {} : { caption: file.caption }),
    ...(file.type === "document" ? { filename: media.filename } : {}),
    ...(file.type === "audio" ? { voice: true } : {}),
    ...(file.type === "sticker" ? { animated: false } : {}),
    ...(link === undefined ? {} : { link }),
  };
  const size = `[Size: ${(media.bytes.length / 1024).toFixed(1)} KB | Type: ${media.mimeType}]`;
  const sentence = `${file.type} attached (${media.filename}) ${size}`;
  return {
    type: file.type,
    content: { [file.type]: object },
    extras: {
      content: [
        file.caption,
        sentence,
        link === undefined ? undefined : `URL: ${link}`,
        file.transcript === undefined ? undefined : `\nTranscript: ${file.transcript}`,
      ].filter((part) => part !== undefined).join(" "),
      ...(file.transcript === undefined ? {} : { transcript: { text: file.transcript } }),
      ...(file.caption === undefined ? {} : { message_type_data: { caption: file.caption } }),
      ...(link === undefined ? {} : {
        media_url: link,
        media_data: {
          url: link,
          filename: media.filename,
          content_type: media.mimeType,
          byte_size: media.bytes.length,
        },
      }),
    },
  };
}

/** Kapso's rendering of the other types. */
function rendering(type: string, content: JsonObject): JsonObject {
  const object = content[type] as JsonObject | undefined;
  if (type === "text") return { content: object?.body };
  if (type === "reaction") {
    const { message_id, emoji } = object ?? {};
    return {
      content: emoji
        ? `Reacted with ${emoji} to message ${message_id}`
        : `Reaction removed from message ${message_id}`,
      message_type_data: { message_id, ...(emoji ? { emoji } : {}) },
    };
  }
  if (type === "template") return { content: `[template: ${object?.name}]` };
  if (type === "button") return { content: object?.text };
  return {};
}
