/**
 * Files of the messages that runs brought, copied beside them.
 *
 * @module
 */
import type { MediaLibrary } from "../_shared/kapso/media/library.ts";

/** An Edge Function lives for 150 seconds at the least. */
const TIMEOUT_MS = 60_000;

/**
 * Makes a starter of copies: it copies what is due for a connection, one call at a time for each, and
 * never throws. What is left is taken up later.
 *
 * @param waitUntil Keeps the function alive until the work is done.
 */
export function createCopier(
  media: Pick<MediaLibrary, "copyMedia">,
  waitUntil: (work: Promise<unknown>) => void,
): (connectionId: string) => void {
  const busy = new Set<string>();
  return (connectionId) => {
    if (busy.has(connectionId)) return;
    busy.add(connectionId);
    const work = media.copyMedia(connectionId, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    waitUntil(work.finally(() => busy.delete(connectionId)));
  };
}

/** The longest that copies of all connections may take, at a call of the schedule. */
export const TICK_TIMEOUT_MS = TIMEOUT_MS;
