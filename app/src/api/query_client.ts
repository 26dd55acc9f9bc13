/**
 * How long answers are kept and when they are asked for again.
 *
 * @module
 */

import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./api_error.ts";

/** Between two looks at the open thread, in milliseconds. TanStack Query pauses them in a hidden tab. */
export const THREAD_POLL_MS = 10_000;
/** The same while something that was just sent is on its way. */
export const SENDING_POLL_MS = 2_000;
/** Between two looks at the list of conversations. */
export const LIST_POLL_MS = 30_000;
/** Between two looks where Realtime tells what is new: in case it missed something. */
export const REALTIME_POLL_MS = 120_000;

/** Makes the cache of all answers. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
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
