/**
 * Copies one file of a message to Storage.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { MediaReason, MessageMedia } from "../../contracts/message_media.ts";
import { errorNames, type Log } from "../../http/log.ts";
import type { MediaCopy, MediaResult } from "./copies_store.ts";
import { MediaError } from "./download.ts";
import { allowedType } from "./file_types.ts";
import { openSource, type SourceDeps } from "./open_source.ts";
import { type MediaStorage, pathOf } from "./storage.ts";

/** What copying needs of the outside world. */
export interface CopyDeps extends SourceDeps {
  storage: MediaStorage;
  log: Log;
  /** Milliseconds since 1970. */
  now: () => number;
}

/** A file counts as lost after this many attempts; the last is about half a day after the first. */
const MAX_ATTEMPTS = 8;
const MAX_RETRY_SECONDS = 6 * 60 * 60;
const COPY_TIMEOUT_MS = 90_000;
/** How long Meta keeps a file that came with a message. */
const META_DAYS = 7;

/**
 * Copies a file. Never throws: a failure is an outcome, and the log names the error of one that a retry may help.
 *
 * @param hasStorage False: the project has no Storage, and the file is only checked.
 * @param given Interrupts the copy, which is then retried at once.
 */
export async function copyFile(
  deps: CopyDeps,
  copy: MediaCopy,
  connectionId: string,
  hasStorage: boolean,
  given: AbortSignal | undefined,
): Promise<MediaResult> {
  const at = new Date(deps.now()).toISOString();
  const filename = copy.filename === undefined ? {} : { filename: copy.filename };
  const failed = (reason: MediaReason): MediaResult => ({
    copy,
    state: "failed",
    reason,
    media: { state: "failed", reason, ...filename, at },
  });
  try {
    if (!hasStorage) {
      const mimeType = allowedType(copy.mimeType);
      if (mimeType === undefined) return failed("type_not_allowed");
      if (copy.link === undefined && copy.mediaId === undefined) return failed("no_source");
      return {
        copy,
        state: "linked",
        media: { state: "linked", mime_type: mimeType, ...filename, ...expiryOf(copy), at },
      };
    }
    const timeout = AbortSignal.timeout(COPY_TIMEOUT_MS);
    const signal = given === undefined ? timeout : AbortSignal.any([given, timeout]);
    const stored = await storeFile(deps, copy, connectionId, signal);
    return { copy, state: "stored", media: { state: "stored", ...stored, ...filename, at } };
  } catch (error) {
    const reason = error instanceof MediaError ? error.reason : "unavailable";
    if (reason === "unavailable" && !given?.aborted) {
      deps.log("error", "media_copy_failed", {
        connection_id: connectionId,
        attempt: copy.attempt,
        cause: errorNames(error),
      });
    }
    if (reason !== "unavailable" || copy.attempt >= MAX_ATTEMPTS) return failed(reason);
    // Interrupted by the caller: the next one resumes at once.
    const retrySeconds = given?.aborted
      ? 0
      : Math.min(60 * 4 ** (copy.attempt - 1), MAX_RETRY_SECONDS);
    return { copy, state: "waiting", reason, retrySeconds };
  }
}

/** Streams a file from its source to Storage. */
async function storeFile(
  deps: CopyDeps,
  copy: MediaCopy,
  connectionId: string,
  signal: AbortSignal,
): Promise<Required<Pick<MessageMedia, "path" | "mime_type" | "size" | "sha256">>> {
  const file = await openSource(deps, copy, connectionId, signal);
  const path = pathOf(copy, file.mimeType);
  const hash = createHash("sha256");
  let size = 0;
  let failure: unknown;
  const reader = file.body.getReader();
  // Keeps the failure of the stream: the upload only reports that it was interrupted.
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        size += value.length;
        hash.update(value);
        controller.enqueue(value);
      } catch (error) {
        failure = error;
        controller.error(error);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
  try {
    await deps.storage.upload(path, body, file.mimeType);
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw failure instanceof MediaError
      ? failure
      : failure === undefined
      ? error
      : new MediaError("unavailable", failure);
  }
  return { path, mime_type: file.mimeType, size, sha256: hash.digest("hex") };
}

/** When Meta deletes a file that Kapso has no copy of. */
function expiryOf(copy: MediaCopy): { expires_at?: string } {
  if (copy.link !== undefined) return {};
  const expiresAt = Date.parse(copy.sentAt) + META_DAYS * 24 * 60 * 60 * 1000;
  return { expires_at: new Date(expiresAt).toISOString() };
}
