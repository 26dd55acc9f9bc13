/**
 * What was sent to a conversation, polled while it is open.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { useIsLive } from "../api/live.ts";
import { REALTIME_POLL_MS, SENDING_POLL_MS, THREAD_POLL_MS } from "../api/query_client.ts";
import { isOnItsWay, outboxQuery } from "./queries.ts";

/** Rows of the outbox, newest first; polled more often while one is on its way. */
export function useOutbox(conversationId: string) {
  const api = useApi();
  const isLive = useIsLive();
  return useQuery({
    ...outboxQuery(api, conversationId),
    refetchInterval: ({ state }) =>
      state.data?.some(isOnItsWay) ? SENDING_POLL_MS : isLive ? REALTIME_POLL_MS : THREAD_POLL_MS,
  });
}
