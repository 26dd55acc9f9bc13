/**
 * Files of the messages that events brought, copied after the events were answered.
 *
 * @module
 */
import type { MediaLibrary } from "../_shared/kapso/media/library.ts";

/** An Edge Function lives for 150 seconds at the least. */
const TIMEOUT_MS = 60_000;

/** What the copier needs of the outside world. */
export interface FileCopierDeps {
  /** Primary keys of the connections of lines. */
  findConnections: (phoneNumberIds: string[]) => Promise<string[]>;
  media: Pick<MediaLibrary, "copyMedia">;
  /** Keeps the function alive until the work is done. */
  waitUntil: (work: Promise<unknown>) => void;
}

/**
 * Makes a starter of copies: it copies what is due for the lines it is given, and never throws. Events
 * come in bursts, so what comes while it is at work is done by the same work.
 */
export function createFileCopier(deps: FileCopierDeps): (phoneNumberIds: string[]) => void {
  const wanted = new Set<string>();
  let isAtWork = false;
  const work = async () => {
    while (wanted.size > 0) {
      const phoneNumberIds = [...wanted];
      wanted.clear();
      // What cannot be copied now is taken up by the schedule.
      const connections = await deps.findConnections(phoneNumberIds).catch(() => []);
      for (const connectionId of connections) {
        await deps.media.copyMedia(connectionId, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      }
    }
    isAtWork = false;
  };
  return (phoneNumberIds) => {
    for (const id of phoneNumberIds) wanted.add(id);
    if (isAtWork) return;
    isAtWork = true;
    deps.waitUntil(work());
  };
}
