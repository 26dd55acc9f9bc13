/**
 * How long answers are kept and when they are asked for again.
 *
 * @module
 */

import {
  type InvalidateOptions,
  type InvalidateQueryFilters,
  QueryClient,
  type QueryKey,
} from "@tanstack/react-query";
import { ApiError } from "./api_error.ts";

/** Between two looks at the open thread, in milliseconds. TanStack Query pauses them in a hidden tab. */
export const THREAD_POLL_MS = 10_000;
/** The same while something that was just sent is on its way. */
export const SENDING_POLL_MS = 2_000;
/** Between two looks at the list of conversations. */
export const LIST_POLL_MS = 30_000;
/** Between two looks where Realtime tells what is new: in case it missed something. */
export const REALTIME_POLL_MS = 120_000;

/**
 * The cache of all answers. What is invalidated while it is read for the first time is read again
 * afterwards: TanStack Query takes the answer that is on its way, which may be from before the change.
 */
class AnswerCache extends QueryClient {
  override async invalidateQueries<Key extends QueryKey = QueryKey>(
    filters?: InvalidateQueryFilters<Key>,
    options?: InvalidateOptions,
  ): Promise<void> {
    const firstReads = this.getQueryCache().findAll({ ...filters, fetchStatus: "fetching" })
      // Once invalidated, it is going to be read again already.
      .filter(({ state }) => state.data === undefined && !state.isInvalidated)
      .map(({ queryKey }) => queryKey);
    await super.invalidateQueries(filters, options);
    await Promise.all(
      firstReads.map((queryKey) => super.invalidateQueries({ queryKey, exact: true }, options)),
    );
  }
}

/** Makes the cache of all answers. */
export function createQueryClient(): QueryClient {
  return new AnswerCache({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        gcTime: 5 * 60_000,
        // A refusal stays a refusal; what is temporary is tried three times.
        retry: (failures, error) =>
          failures < 3 && !(error instanceof ApiError && !error.isTemporary),
      },
    },
  });
}
