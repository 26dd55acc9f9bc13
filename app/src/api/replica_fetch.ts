/**
 * Sends reads to a read replica, where the project has one. A replica gets a change a moment after the primary, so
 * after a change reads go to the primary for some seconds: what a member has just done must not disappear.
 *
 * @module
 */

/** For how long after a change reads go to the primary, in milliseconds. */
export const SETTLE_MS = 10_000;

/** What {@linkcode createReplicaFetch} returns. */
export interface ReplicaFetch {
  /** `fetch` for the client of Supabase. */
  fetch: typeof fetch;
  /** Says that something has changed, here or elsewhere, and that the app is about to read it. */
  noteChange(): void;
}

/**
 * Creates a `fetch` that sends GET requests to the REST API to another address than all other requests.
 *
 * @param apiUrl Address of the project, without a slash at its end.
 * @param readUrl Address for reads: that of a replica or of the load balancer; undefined where there is none.
 * @param now Clock, milliseconds.
 */
export function createReplicaFetch(
  apiUrl: string,
  readUrl: string | undefined,
  now: () => number = Date.now,
): ReplicaFetch {
  const base = `${apiUrl}/rest/v1/`;
  let changedAt = -Infinity;
  const noteChange = () => {
    changedAt = now();
  };
  return {
    noteChange,
    async fetch(input, init) {
      const url = input instanceof Request ? input.url : String(input);
      const method = (init?.method ?? "GET").toUpperCase();
      if (readUrl === undefined || !url.startsWith(base)) return await fetch(input, init);
      if (method !== "GET") {
        // The app calls SQL functions by POST to read too, with arguments that must not stand in a URL.
        if (url.startsWith(`${base}rpc/`)) return await fetch(input, init);
        // Once more at the end: the change may be seconds after the beginning.
        noteChange();
        return await fetch(input, init).finally(noteChange);
      }
      if (now() - changedAt < SETTLE_MS) return await fetch(input, init);
      // A replica can be away, and cancels a read that holds up its replication. The primary answers then.
      const answer = await fetch(readUrl + url.slice(apiUrl.length), init).catch(() => undefined);
      return answer !== undefined && answer.status < 500 ? answer : await fetch(input, init);
    },
  };
}
