/**
 * The cache of everything the app reads: how long answers stay, and how they are read again.
 *
 * @module
 */

import { hashKey, QueryClient, type QueryKey } from "@tanstack/react-query";
import { ApiError } from "./api_error.ts";

/** Between two polls of the open conversation, in milliseconds. TanStack Query pauses them in a hidden tab. */
export const THREAD_POLL_MS = 10_000;
/** The same while a message that was just sent is on its way. */
export const SENDING_POLL_MS = 2_000;
/** Between two polls of the list of conversations. */
export const LIST_POLL_MS = 30_000;
/** Between two polls while Realtime announces changes: it may have missed one. */
export const REALTIME_POLL_MS = 120_000;

const RETRIES = 3;

/** Creates the cache. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        gcTime: 5 * 60_000,
        // A refusal stays a refusal; only temporary failures are worth a retry.
        retry: (failures, error) =>
          failures < RETRIES && !(error instanceof ApiError && !error.isTemporary),
      },
    },
  });
}

/**
 * Marks answers as outdated and reads those on the screen again.
 *
 * @param queryKey Key of the answers, or the beginning of their keys.
 */
export async function refresh(queryClient: QueryClient, queryKey: QueryKey): Promise<void> {
  // TanStack Query would keep a first read that is under way, though it may be older than the change.
  await queryClient.cancelQueries({ queryKey });
  await queryClient.invalidateQueries({ queryKey });
}

/** Changes that are announced within this time are read together, in milliseconds. */
const GATHER_MS = 100;
/** Keys that are waiting or being read; true where they have changed again since their read began. */
const scheduled = new Map<string, boolean>();

/**
 * Does a {@linkcode refresh} a moment later. Calls with the same key until then cause one read, and calls
 * during the read cause one more after it: changes that follow each other faster than the server answers
 * would otherwise cancel every read.
 */
export function refreshSoon(queryClient: QueryClient, queryKey: QueryKey): void {
  const hash = hashKey(queryKey);
  if (scheduled.has(hash)) {
    scheduled.set(hash, true);
    return;
  }
  const run = async () => {
    scheduled.set(hash, false);
    await refresh(queryClient, queryKey);
    const hasChanged = scheduled.get(hash);
    scheduled.delete(hash);
    if (hasChanged) refreshSoon(queryClient, queryKey);
  };
  scheduled.set(hash, false);
  setTimeout(run, GATHER_MS);
}
