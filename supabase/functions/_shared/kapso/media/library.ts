/**
 * The files of messages. Kapso's links are public and expire at an unknown time, and Meta deletes a file after
 * days, so a file is copied to this project's own Storage soon after its message is stored. A message is
 * complete without its file.
 *
 * The database lists every message that has a file when it stores it, for webhooks and for runs alike
 * (`private.media_copies`). `copyMedia` works through the list of a connection. Any number of callers can
 * call it at any time, and a later call takes up what an interrupted one left:
 *
 * ```ts
 * const media = createMediaLibrary({
 *   store: createMediaCopyStore(client),
 *   storage: createMediaStorage(projectEnv),
 *   download: createDownload({ baseUrl: env.KAPSO_API_URL }),
 *   kapsoFor,
 *   log: consoleLog,
 * });
 * await media.copyMedia(connectionId, { signal: AbortSignal.timeout(20_000) }); // never throws
 * await media.copyDueMedia({ signal: AbortSignal.timeout(20_000) }); // of all connections: for a schedule
 * ```
 *
 * The outcome is `metadata.media` of the message: see {@linkcode MessageMedia}. `openMedia` streams the file
 * from Storage, Kapso or Meta, and `signedMediaLink` creates a link to the copy.
 *
 * @module
 */
import { type MessageMedia, messageMedia } from "../../contracts/message_media.ts";
import { errorNames } from "../../http/log.ts";
import { isObject } from "../../contracts/text.ts";
import { textOf } from "../webhook/content.ts";
import type { MediaCopyStore, MediaResult } from "./copies_store.ts";
import { type CopyDeps, copyFile } from "./copy_file.ts";
import type { OpenFile } from "./download.ts";
import { allowedType } from "./file_types.ts";
import { openSource } from "./open_source.ts";
import { pathOf } from "./storage.ts";

/** What the library needs of the outside world. */
export interface MediaDeps extends Omit<CopyDeps, "now"> {
  store: MediaCopyStore;
  /** Milliseconds since 1970. */
  now?: () => number;
  fetch?: typeof fetch;
}

/** A message whose file is wanted. The caller has checked who may read the conversation. */
export interface MediaRequest {
  workspaceId: string;
  conversationId: string;
  /** The connection of the conversation; without it only Storage and links are tried. */
  connectionId?: string | undefined;
  phoneNumberId?: string | undefined;
  /** Where the database says that the copy is; by default where {@linkcode pathOf} puts it. */
  copyPath?: string | undefined;
  /** As the conversation has it. */
  message: {
    id: string;
    media_url?: string | null;
    metadata?: Record<string, unknown> | undefined;
  };
  signal?: AbortSignal;
}

/** A file to show. */
export interface MediaFile extends OpenFile {
  filename: string | undefined;
}

/** The files of messages. */
export interface MediaLibrary {
  /**
   * Copies the files of a connection that are due. Never throws: failures are recorded, and retried later
   * where that can help.
   *
   * @param options `maxCopies`: no more than these, 200 by default.
   * @returns Number of attempts by their outcome.
   */
  copyMedia(
    connectionId: string,
    options?: { signal?: AbortSignal; maxCopies?: number },
  ): Promise<Record<MediaResult["state"], number>>;
  /**
   * Copies the files that are due of all connections, and deletes those of deleted conversations: for the
   * schedule. Never throws.
   */
  copyDueMedia(options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Opens a file: the copy, else by Kapso's link, else by Meta's id.
   *
   * @throws {MediaError}, or the signal's reason.
   */
  openMedia(request: MediaRequest): Promise<MediaFile>;
  /**
   * Creates a link to the copy in Storage.
   *
   * @param seconds How long it is valid.
   * @returns Undefined where there is no copy: `openMedia` may find the file elsewhere.
   * @throws {MediaError} `gone` or `unavailable`.
   */
  signedMediaLink(request: MediaRequest, seconds: number): Promise<string | undefined>;
}

/** Copies at the same time, limited by the memory of an Edge Function. */
const BATCH_SIZE = 4;
/** The same without a Storage, where nothing is downloaded. */
const LINK_BATCH_SIZE = 200;
const MAX_CONNECTIONS = 20;
const MAX_ORPHANS = 200;
const OPEN_TIMEOUT_MS = 60_000;

/** Creates the library of a project. */
export function createMediaLibrary(deps: MediaDeps): MediaLibrary {
  const { storage, log, fetch: send = fetch } = deps;
  const copyDeps: CopyDeps = { now: Date.now, ...deps };

  /** The copy in Storage; undefined where there is none, or Storage fails. */
  const openCopy = async (
    request: MediaRequest,
    signal: AbortSignal,
  ): Promise<OpenFile | undefined> => {
    const stored = findCopy(request);
    if (stored === undefined) return undefined;
    try {
      const response = await send(await storage.sign(stored.path, 60), { signal });
      if (response.ok && response.body !== null) {
        return { body: response.body, mimeType: stored.mimeType, size: stored.size };
      }
      await response.body?.cancel();
    } catch (error) {
      signal.throwIfAborted();
      // Kapso may still have it.
      log("error", "media_copy_unreadable", { cause: errorNames(error) });
    }
  };

  const library: MediaLibrary = {
    async copyMedia(connectionId, { signal, maxCopies = 200 } = {}) {
      const counts = { stored: 0, linked: 0, failed: 0, waiting: 0 };
      try {
        const hasStorage = await storage.isThere();
        for (let left = maxCopies; left > 0 && !signal?.aborted;) {
          const size = Math.min(left, hasStorage ? BATCH_SIZE : LINK_BATCH_SIZE);
          const copies = await deps.store.claim(connectionId, size);
          if (copies.length === 0) break;
          left -= copies.length;
          const results = await Promise.all(
            copies.map((copy) => copyFile(copyDeps, copy, connectionId, hasStorage, signal)),
          );
          await deps.store.finish(connectionId, results);
          for (const { state } of results) counts[state]++;
        }
      } catch (error) {
        log("error", "media_failed", {
          connection_id: connectionId,
          cause: errorNames(error),
        });
      }
      if (Object.values(counts).some((count) => count > 0)) {
        log("info", "media_copied", { connection_id: connectionId, ...counts });
      }
      return counts;
    },

    async copyDueMedia({ signal } = {}) {
      try {
        for (const connectionId of await deps.store.dueConnections(MAX_CONNECTIONS)) {
          if (signal?.aborted) return;
          await library.copyMedia(connectionId, signal === undefined ? {} : { signal });
        }
        if (signal?.aborted || !(await storage.isThere())) return;
        const paths = await deps.store.claimOrphans(MAX_ORPHANS);
        if (paths.length === 0) return;
        await storage.remove(paths);
        await deps.store.forgetOrphans(paths);
        log("info", "media_deleted", { files: paths.length });
      } catch (error) {
        log("error", "media_failed", { cause: errorNames(error) });
      }
    },

    async openMedia(request) {
      const { message } = request;
      const metadata = message.metadata ?? {};
      const timeout = AbortSignal.timeout(OPEN_TIMEOUT_MS);
      const signal = request.signal === undefined
        ? timeout
        : AbortSignal.any([request.signal, timeout]);
      const filename = textOf(metadata.file_name);
      const copy = await openCopy(request, signal);
      if (copy !== undefined) return { ...copy, filename };
      const details = metadata[textOf(metadata.kapso_type) ?? ""];
      const file = await openSource(
        deps,
        {
          link: message.media_url ?? undefined,
          mediaId: isObject(details) ? textOf(details.id) : undefined,
          phoneNumberId: request.phoneNumberId,
          mimeType: textOf(metadata.mime_type),
        },
        request.connectionId,
        signal,
      );
      return { ...file, filename };
    },

    async signedMediaLink(request, seconds) {
      const stored = findCopy(request);
      return stored === undefined ? undefined : await storage.sign(stored.path, seconds);
    },
  };
  return library;
}

/** The copy that a message's metadata names. */
function findCopy(
  request: MediaRequest,
): { path: string; mimeType: string; size: number | undefined } | undefined {
  const media: MessageMedia | undefined = messageMedia
    .safeParse(request.message.metadata?.media).data;
  const mimeType = allowedType(media?.mime_type);
  if (media?.state !== "stored" || media.path === undefined || mimeType === undefined) {
    return undefined;
  }
  // Metadata can come from any bridge, so a path may only lead to this message's own file.
  const own = request.copyPath ?? pathOf({ ...request, messageId: request.message.id }, mimeType);
  return media.path === own ? { path: own, mimeType, size: media.size } : undefined;
}
