/**
 * The form of an upload: which files WhatsApp accepts, and as which type of message.
 *
 * @module
 */
import { type MultipartPart, parseMultipartRequest } from "@remix-run/multipart-parser";
import type { FileType } from "../_shared/contracts/outbound_content.ts";
import { id } from "../_shared/contracts/inbox/fields.ts";
import { AppError } from "../_shared/http/errors.ts";

/** A checked file. */
export interface UploadedFile {
  conversationId: string;
  file: Blob;
  fileName: string;
  mimeType: string;
  /** The type of message it is sent as. */
  type: FileType;
}

const MB = 1024 * 1024;
const MAX_NAME_LENGTH = 200;
/** The body of an upload: the largest file, and the form around it. */
export const MAX_UPLOAD_BYTES = 17 * MB;
/** The size of the body has been checked. */
const LIMITS = { maxParts: 10, maxFileSize: MAX_UPLOAD_BYTES, maxTotalSize: MAX_UPLOAD_BYTES };

/** WhatsApp's limits; a smaller one for documents, because a function holds the file in memory. */
const KINDS: readonly { type: FileType; pattern: RegExp; maxBytes: number }[] = [
  { type: "sticker", pattern: /^image\/webp$/, maxBytes: MB / 2 },
  { type: "image", pattern: /^image\/(?:jpeg|png)$/, maxBytes: 5 * MB },
  { type: "video", pattern: /^video\/(?:mp4|3gpp)$/, maxBytes: 16 * MB },
  { type: "audio", pattern: /^audio\/(?:aac|amr|mpeg|mp4|ogg)$/, maxBytes: 16 * MB },
  {
    type: "document",
    pattern:
      /^(?:text\/(?:plain|csv)|application\/(?:pdf|zip|msword|vnd\.ms-(?:excel|powerpoint)|vnd\.openxmlformats-officedocument\.[a-z.]+))$/,
    maxBytes: 16 * MB,
  },
];

/**
 * Reads the form of an upload.
 *
 * @throws {AppError} invalid_request (400), file_too_large (413), file_type_unsupported (415).
 */
export async function readUpload(request: Request): Promise<UploadedFile> {
  const { conversationId, file } = await readForm(request);
  if (conversationId === undefined || file === undefined || file.size === 0) {
    throw new AppError(400, "invalid_request", "conversation_id and a non-empty file are required");
  }
  if (!id.safeParse(conversationId).success) {
    throw new AppError(400, "invalid_request", "conversation_id must be a uuid");
  }
  const mimeType = (file.mediaType ?? "").trim().toLowerCase();
  const kind = KINDS.find(({ pattern }) => pattern.test(mimeType));
  if (kind === undefined) {
    throw new AppError(
      415,
      "file_type_unsupported",
      "WhatsApp does not accept this type of file. It accepts JPEG, PNG, WebP, MP4, AAC, MP3, OGG, PDF, Office, text and ZIP",
    );
  }
  if (file.size > kind.maxBytes) {
    throw new AppError(
      413,
      "file_too_large",
      `A file sent as ${kind.type} can have at most ${kind.maxBytes / MB} MB`,
    );
  }
  return {
    conversationId,
    // With the bare type: Meta compares it with the content.
    file: new Blob(file.content as BlobPart[], { type: mimeType }),
    fileName: cleanName(file.filename ?? ""),
    mimeType,
    type: kind.type,
  };
}

/** Reads the two fields. The form is parsed as it comes: `formData()` would hold the file five times over. */
async function readForm(
  request: Request,
): Promise<{ conversationId?: string; file?: MultipartPart }> {
  const form: { conversationId?: string; file?: MultipartPart } = {};
  try {
    for await (const part of parseMultipartRequest(request, LIMITS)) {
      if (part.name === "conversation_id" && part.isText) form.conversationId = part.text;
      if (part.name === "file" && part.isFile) form.file = part;
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError(400, "invalid_request", "The body must be multipart/form-data", { cause });
  }
  return form;
}

/** The last part of a name, without characters of a path and those that cannot be stored. */
function cleanName(name: string): string {
  const last = name.toWellFormed().split(/[/\\]/).at(-1)!;
  // deno-lint-ignore no-control-regex -- these are the characters to remove.
  return last.replace(/[\u0000-\u001f\u007f"]/g, "").trim().slice(-MAX_NAME_LENGTH) || "file";
}
