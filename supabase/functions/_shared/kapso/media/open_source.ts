/**
 * Opens the file of a message at its source: by Kapso's link, else by Meta's id.
 *
 * @module
 */
import { type KapsoClient, KapsoError } from "../api/client.ts";
import { type Download, MediaError, type OpenFile } from "./download.ts";

/** What opening a file needs of the outside world. */
export interface SourceDeps {
  download: Download;
  /** A client for a connection; used for files that have no link, or a dead one. */
  kapsoFor: (connectionId: string) => Promise<Pick<KapsoClient, "getMedia">>;
}

/** Where a file can be. */
export interface FileSource {
  link: string | undefined;
  /** Meta's id. */
  mediaId: string | undefined;
  phoneNumberId: string | undefined;
  /** The type in the message. */
  mimeType: string | undefined;
}

/**
 * Opens a file.
 *
 * @param connectionId The connection of the phone number; without it only the link is tried.
 * @throws {MediaError} The first failure that a retry can help, else the first; or the signal's reason.
 */
export async function openSource(
  deps: SourceDeps,
  { link, mediaId, phoneNumberId, mimeType: declaredType }: FileSource,
  connectionId: string | undefined,
  signal: AbortSignal,
): Promise<OpenFile> {
  const failures: MediaError[] = [];
  const attempt = async (findUrl: () => Promise<string>) => {
    try {
      return await deps.download(await findUrl(), { declaredType, signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof MediaError)) throw error;
      failures.push(error);
    }
  };
  if (link !== undefined) {
    const file = await attempt(() => Promise.resolve(link));
    if (file !== undefined) return file;
  }
  if (mediaId !== undefined && phoneNumberId !== undefined && connectionId !== undefined) {
    const file = await attempt(() =>
      findAtMeta(deps, { mediaId, phoneNumberId, connectionId, signal })
    );
    if (file !== undefined) return file;
  }
  throw failures.find((failure) => failure.isPassing) ?? failures[0] ??
    new MediaError("no_source");
}

/** A fresh link to a file at Meta. */
async function findAtMeta(
  deps: SourceDeps,
  of: { mediaId: string; phoneNumberId: string; connectionId: string; signal: AbortSignal },
): Promise<string> {
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
}
