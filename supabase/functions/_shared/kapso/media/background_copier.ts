/**
 * Copies the files of messages after the request that stored them was answered.
 *
 * @module
 */
import { errorNames, type Log } from "../../http/log.ts";
import type { MediaLibrary } from "./library.ts";

/** How long copies may take after an answer, in milliseconds: an Edge Function lives for at least 150 s. */
export const COPY_TIMEOUT_MS = 60_000;

/** What {@linkcode createBackgroundCopier} needs of the outside world. */
export interface BackgroundCopierDeps {
  media: Pick<MediaLibrary, "copyMedia">;
  /** Keeps the function alive until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
  log: Log;
  /** Finds the connections of what the caller names, such as phone number ids; without it, it names connections. */
  findConnections?: (names: string[]) => Promise<string[]>;
}

/**
 * Creates a starter of copies: it copies what is due for the connections it is given, one connection at a
 * time, and never throws. Calls that come during the work are served by the same work, so that a burst of
 * events starts one copier. The schedule copies what is left.
 */
export function createBackgroundCopier(
  { media, waitUntil, log, findConnections = (names) => Promise.resolve(names) }:
    BackgroundCopierDeps,
): (names: string[]) => void {
  const wanted = new Set<string>();
  let isAtWork = false;
  const work = async () => {
    while (wanted.size > 0) {
      const names = [...wanted];
      wanted.clear();
      const connections = await findConnections(names).catch((error): string[] => {
        log("error", "media_failed", { cause: errorNames(error) });
        return [];
      });
      for (const connectionId of connections) {
        await media.copyMedia(connectionId, { signal: AbortSignal.timeout(COPY_TIMEOUT_MS) });
      }
    }
    isAtWork = false;
  };
  return (names) => {
    for (const name of names) wanted.add(name);
    if (isAtWork) return;
    isAtWork = true;
    waitUntil(work());
  };
}
