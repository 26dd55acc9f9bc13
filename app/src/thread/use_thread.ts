/**
 * The messages of a conversation: pages in a window, kept fresh at the newest end.
 *
 * @module
 */

import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { useApi } from "../api/context.tsx";
import { hasNewest, messagesOf } from "./message_pages.ts";
import { newestMessagesQuery, threadKeys, threadQuery } from "./queries.ts";

/**
 * The thread of a conversation.
 *
 * @param around Cursor of the message at which it begins; undefined for the newest one.
 * @param version Changes whenever the conversation changes; undefined while that is not known.
 */
export function useThread(
  conversationId: string,
  around: string | undefined,
  version: string | undefined,
) {
  const api = useApi();
  const queryClient = useQueryClient();
  const query = useInfiniteQuery(threadQuery(api, conversationId, around));
  const endsWithNewest = query.data === undefined || hasNewest(query.data);
  useQuery({
    ...newestMessagesQuery(api, conversationId, around, version),
    enabled: query.isSuccess && endsWithNewest && version !== undefined,
  });
  const messages = useMemo(() => messagesOf(query.data).reverse(), [query.data]);
  const reset = useCallback(
    () => queryClient.resetQueries({ queryKey: threadKeys.window(conversationId, undefined) }),
    [queryClient, conversationId],
  );
  return {
    /** Oldest first. */
    messages,
    query,
    /** Whether the newest messages are among them. */
    hasNewest: endsWithNewest,
    /** Drops the window at the newest message, so that it starts there again. */
    reset,
  };
}
