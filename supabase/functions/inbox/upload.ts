/**
 * The form of an upload: which files WhatsApp accepts, and as which type of message.
 *
 * @module
 */
import type { FileType } from "../_shared/contracts/outbound_content.ts";
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
    maxBytes: 20 * MB,
  },
];

/**
 * Reads the form of an upload.
 *
 * @throws {AppError} invalid_request (400), file_too_large (413), file_type_unsupported (415).
 */
export async function readUpload(request: Request): Promise<UploadedFile> {
  let form: FormData;
  try {
    form = await request.formData();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError(400, "invalid_request", "The body must be multipart/form-data", { cause });
  }
  const conversationId = form.get("conversation_id");
  const file = form.get("file");
  if (typeof conversationId !== "string" || !(file instanceof File) || file.size === 0) {
    throw new AppError(400, "invalid_request", "conversation_id and a non-empty file are required");
  }
  const mimeType = file.type.split(";")[0]!.trim().toLowerCase();
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
    // A copy with the bare type: Meta compares it with the content.
    file: new Blob([await file.arrayBuffer()], { type: mimeType }),
    fileName: cleanName(file.name),
    mimeType,
    type: kind.type,
  };
}

/** The last part of a name, without characters of a path and those that cannot be stored. */
function cleanName(name: string): string {
  const last = name.toWellFormed().split(/[/\\]/).at(-1)!;
  // deno-lint-ignore no-control-regex -- these are the characters to remove.
  return last.replace(/[\u0000-\u001f\u007f"]/g, "").trim().slice(-MAX_NAME_LENGTH) || "file";
}
