/**
 * Copies of the files of messages. Kapso's links are open to whoever has them and live nobody knows how
 * long, and Meta forgets a file after days: so a file is copied to this project's own Storage soon after
 * its message is stored. A message is complete without its file.
 *
 * The database puts every message that has a file on a list when it stores it, for webhooks and for runs
 * alike (`private.media_copies`). `copyMedia` works off the list of a connection; it can be called from
 * anywhere, at any time and by several at once, and whatever is cut off is taken up by a later call:
 *
 * ```ts
 * const media = createMediaLibrary({
 *   store: supabaseMediaStore(client),
 *   storage: createMediaStorage(projectEnv),
 *   download: createDownload({ baseUrl: env.KAPSO_API_URL }),
 *   kapsoFor,
 *   log: consoleLog,
 * });
 * await media.copyMedia(connectionId, { signal: AbortSignal.timeout(20_000) }); // never throws
 * await media.copyDueMedia({ signal: AbortSignal.timeout(20_000) }); // of all connections: for a schedule
 * ```
 *
 * What became of a file stands in the message's `metadata.media`: see {@linkcode MessageMedia}. To show
 * it, `openMedia` streams it from wherever it is, and `signedMediaLink` leads to it for some seconds.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Log } from "../../http/log.ts";
import { isObject, textOf } from "../webhook/content.ts";
import { type KapsoClient, KapsoError } from "../api/client.ts";
import { type Download, MediaError, type OpenFile } from "./download.ts";
import type { MediaStorage } from "./storage.ts";
import type { MediaCopy, MediaResult, MediaStore, MessageMedia } from "./copies_store.ts";
import { allowedType, extensionOf } from "./file_types.ts";

export { createDownload, MediaError, type MediaReason } from "./download.ts";
export { createMediaStorage } from "./storage.ts";
export { type MessageMedia, supabaseMediaStore } from "./copies_store.ts";
export { isShowable } from "./file_types.ts";

/** What the library needs of the outside world. */
export interface MediaDeps {
  store: MediaStore;
  storage: MediaStorage;
  download: Download;
  /** A client for a connection; used for files that have no link, or a dead one. */
  kapsoFor: (connectionId: string) => Promise<Pick<KapsoClient, "getMedia">>;
  log: Log;
  /** Milliseconds since 1970. */
  now?: () => number;
  fetch?: typeof fetch;
}

/** A message whose file is wanted. Whoever asks has made sure that the caller may read the thread. */
export interface MediaRequest {
  workspaceId: string;
  conversationId: string;
  /** The Kapso number of the thread; without it only Storage and links are tried. */
  connectionId?: string | undefined;
  phoneNumberId?: string | undefined;
  /** As it is stored in the thread. */
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
   * Copy the files of a connection that are due. Never throws: what fails is noted, and tried again
   * later where that can help.
   *
   * @param options `maxCopies`: no more than these; 200 where it is not given.
   * @returns How many attempts ended in which way.
   */
  copyMedia(
    connectionId: string,
    options?: { signal?: AbortSignal; maxCopies?: number },
  ): Promise<Record<MediaResult["state"], number>>;
  /**
   * The same for every connection that has files to copy, and deletion of those whose conversation was
   * deleted: for whoever comes by regularly. Never throws.
   */
  copyDueMedia(options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Open a file: the copy, else through Kapso's link, else through Meta's id.
   *
   * @throws {MediaError}, or the signal's reason.
   */
  openMedia(request: MediaRequest): Promise<MediaFile>;
  /**
   * A link to the copy in Storage.
   *
   * @param seconds How long it leads there.
   * @returns undefined where there is no copy: `openMedia` may find the file elsewhere.
   * @throws {MediaError} `gone` or `unavailable`.
   */
  signedMediaLink(request: MediaRequest, seconds: number): Promise<string | undefined>;
}

/** After so many attempts a file counts as lost; the last one is about half a day after the first. */
const MAX_ATTEMPTS = 8;
const MAX_RETRY_SECONDS = 6 * 60 * 60;
/** At the same time, for the memory of an Edge Function. */
const BATCH_SIZE = 4;
/** Without a Storage nothing is fetched. */
const LINK_BATCH_SIZE = 200;
const MAX_CONNECTIONS = 20;
const MAX_ORPHANS = 200;
const COPY_TIMEOUT_MS = 90_000;
const OPEN_TIMEOUT_MS = 60_000;
/** How long Meta keeps a file that came with a message. */
const META_DAYS = 7;

/** The library of a project. */
export function createMediaLibrary(deps: MediaDeps): MediaLibrary {
  const { storage, download, log, now = Date.now, fetch: send = fetch } = deps;

  /** The file by its link, else by its id; the first failure that another attempt may mend counts most. */
  const open = async (
    of: Pick<MediaCopy, "link" | "mediaId" | "phoneNumberId" | "mimeType">,
    connectionId: string | undefined,
    signal: AbortSignal,
  ): Promise<OpenFile> => {
    const declaredType = of.mimeType;
    const failures: MediaError[] = [];
    const attempt = async (findUrl: () => Promise<string>) => {
      try {
        return await download(await findUrl(), { declaredType, signal });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof MediaError)) throw error;
        failures.push(error);
      }
    };
    const { link, mediaId, phoneNumberId } = of;
    const file = link === undefined ? undefined : await attempt(() => Promise.resolve(link));
    if (file !== undefined) return file;
    if (mediaId !== undefined && phoneNumberId !== undefined && connectionId !== undefined) {
      const file = await attempt(() =>
        findAtMeta({ mediaId, phoneNumberId, connectionId, signal })
      );
      if (file !== undefined) return file;
    }
    throw failures.find((failure) => failure.isPassing) ?? failures[0] ??
      new MediaError("no_source");
  };

  const findAtMeta = async (of: {
    mediaId: string;
    phoneNumberId: string;
    connectionId: string;
    signal: AbortSignal;
  }): Promise<string> => {
    const { signal } = of;
    try {
      const kapso = await deps.kapsoFor(of.connectionId);
      const { downloadUrl } = await kapso.getMedia(of.mediaId, of.phoneNumberId, { signal });
      if (downloadUrl !== undefined) return downloadUrl;
    } catch (error) {
      signal.throwIfAborted();
      const isGone = error instanceof KapsoError && !error.isRetryable &&
        (error.status === 404 || error.status === 400);
      throw new MediaError(isGone ? "gone" : "unavailable", error);
    }
    throw new MediaError("gone");
  };

  /** Fetch a file and put it into Storage. */
  const store = async (copy: MediaCopy, connectionId: string, signal: AbortSignal) => {
    const file = await open(copy, connectionId, signal);
    const path = await pathOf(copy, file.mimeType);
    const hash = createHash("sha256");
    let size = 0;
    let failure: unknown;
    const reader = file.body.getReader();
    // A stream that fails is told apart here: the upload only says that it was cut off.
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
      await storage.upload(path, body, file.mimeType);
    } catch (error) {
      await reader.cancel().catch(() => {});
      throw failure instanceof MediaError
        ? failure
        : failure === undefined
        ? error
        : new MediaError("unavailable", failure);
    }
    return { path, mime_type: file.mimeType, size, sha256: hash.digest("hex") };
  };

  const copyOne = async (
    copy: MediaCopy,
    connectionId: string,
    hasStorage: boolean,
    given: AbortSignal | undefined,
  ): Promise<MediaResult> => {
    const at = new Date(now()).toISOString();
    const filename = copy.filename === undefined ? {} : { filename: copy.filename };
    const failed = (reason: MediaError["reason"]): MediaResult => ({
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
        const media = { state: "linked", mime_type: mimeType, ...filename, ...expiryOf(copy), at };
        return { copy, state: "linked", media: media as MessageMedia };
      }
      const timeout = AbortSignal.timeout(COPY_TIMEOUT_MS);
      const signal = given === undefined ? timeout : AbortSignal.any([given, timeout]);
      const stored = await store(copy, connectionId, signal);
      return { copy, state: "stored", media: { state: "stored", ...stored, ...filename, at } };
    } catch (error) {
      const reason = error instanceof MediaError ? error.reason : "unavailable";
      if (reason !== "unavailable" || copy.attempt >= MAX_ATTEMPTS) return failed(reason);
      const retrySeconds = given?.aborted
        // Nobody's fault: whoever comes next goes on.
        ? 0
        : Math.min(60 * 4 ** (copy.attempt - 1), MAX_RETRY_SECONDS);
      return { copy, state: "waiting", reason, retrySeconds };
    }
  };

  const findCopy = async (request: MediaRequest): Promise<MessageMedia | undefined> => {
    const media = request.message.metadata?.media;
    const path = isObject(media) ? textOf(media.path) : undefined;
    if (!isObject(media) || media.state !== "stored" || path === undefined) return undefined;
    const mimeType = allowedType(textOf(media.mime_type));
    // Metadata can come from anywhere; a path leads nowhere but to this message's own file.
    const own = await pathOf({ ...request, messageId: request.message.id }, mimeType ?? "");
    if (mimeType === undefined || path !== own) return undefined;
    return { ...media as unknown as MessageMedia, path, mime_type: mimeType };
  };

  /** The copy in Storage; undefined where there is none, or it cannot be had. */
  const openCopy = async (
    request: MediaRequest,
    signal: AbortSignal,
  ): Promise<OpenFile | undefined> => {
    const stored = await findCopy(request);
    if (stored === undefined) return undefined;
    try {
      const response = await send(await storage.sign(stored.path!, 60), { signal });
      if (response.ok && response.body !== null) {
        return { body: response.body, mimeType: stored.mime_type!, size: stored.size };
      }
      await response.body?.cancel();
    } catch {
      // Kapso may have it all the same.
      signal.throwIfAborted();
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
            copies.map((copy) => copyOne(copy, connectionId, hasStorage, signal)),
          );
          await deps.store.finish(connectionId, results);
          for (const { state } of results) counts[state]++;
        }
      } catch (error) {
        log("error", "media_failed", {
          connection_id: connectionId,
          cause: error instanceof Error ? error.name : undefined,
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
        log("error", "media_failed", { cause: error instanceof Error ? error.name : undefined });
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
      const file = await open(
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
      const stored = await findCopy(request);
      if (stored === undefined) return undefined;
      return await storage.sign(stored.path!, seconds);
    },
  };
  return library;
}

/** Where a file is kept: told by the message alone, so that a second copy takes the place of the first. */
async function pathOf(
  of: Pick<MediaCopy, "workspaceId" | "conversationId" | "messageId">,
  mimeType: string,
): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(of.messageId));
  const name = new Uint8Array(digest).toHex();
  return `${of.workspaceId}/${of.conversationId}/${name}.${extensionOf(mimeType)}`;
}

/** When Meta forgets a file that Kapso has no copy of. */
function expiryOf(copy: MediaCopy): { expires_at?: string } {
  if (copy.link !== undefined) return {};
  const expiresAt = Date.parse(copy.sentAt) + META_DAYS * 24 * 60 * 60 * 1000;
  return { expires_at: new Date(expiresAt).toISOString() };
}
