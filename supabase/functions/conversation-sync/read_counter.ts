/**
 * Counts the requests of agents that only read. Functions that read write nothing, so that a read replica can run them;
 * what a request leaves behind, the count of its limit and `last_used_at` of its key, is a call of its own.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { rpc } from "../_shared/database/rpc.ts";

/** How long a key without a limit is not counted again, in milliseconds: `last_used_at` moves once a minute. */
const COUNTED_FOR_MS = 60_000;
/** Keys that are remembered. Anyone can send keys that do not exist, so there is an end. */
const MAX_KEYS = 1_000;

/**
 * Creates a function that counts a request.
 *
 * @param monotonic Clock, milliseconds.
 * @returns Takes the SHA-256 of a key. Makes a call for each request of a key with a limit, and for others one a
 *   minute. Throws rate_limited (429), or as `databaseError`. An unknown key is left to the read that follows.
 */
export function createReadCounter(
  client: DatabaseClient,
  monotonic: () => number,
): (keySha256: string) => Promise<void> {
  const countedAt = new Map<string, number>();
  return async (keySha256) => {
    const last = countedAt.get(keySha256);
    if (last !== undefined && monotonic() - last < COUNTED_FOR_MS) return;
    countedAt.delete(keySha256);
    const isLimited = await rpc(client, "count_agent_request", { key_sha256: keySha256 });
    if (isLimited) return;
    if (countedAt.size >= MAX_KEYS) countedAt.clear();
    countedAt.set(keySha256, monotonic());
  };
}
