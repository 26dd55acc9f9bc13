/**
 * The messages of a conversation: pages in a window, kept fresh at the newest end.
 *
 * @module
 */

import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { useApi } from "../api/context.tsx";
import { flatten, hasNewest } from "../api/keyset_pages.ts";
import { newestMessagesQuery, threadKeys, threadQuery } from "./queries.ts";

/**
 * The thread of a conversation.
 *
 * @param version Changes whenever the conversation changes; undefined while that is not known.
 */
export function useThread(conversationId: string, version: string | undefined) {
  const api = useApi();
  const queryClient = useQueryClient();
  const query = useInfiniteQuery(threadQuery(api, conversationId));
  useQuery({
    ...newestMessagesQuery(api, conversationId, version),
    enabled: query.isSuccess && version !== undefined,
  });
  const messages = useMemo(() => flatten(query.data).reverse(), [query.data]);
  const reset = useCallback(
    () => queryClient.resetQueries({ queryKey: threadKeys.one(conversationId) }),
    [queryClient, conversationId],
  );
  return {
    /** Oldest first. */
    messages,
    query,
    /** Whether the newest messages are among them. */
    hasNewest: query.data === undefined || hasNewest(query.data),
    /** Drops everything and starts at the newest messages. */
    reset,
  };
}
