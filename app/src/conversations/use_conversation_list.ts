/**
 * The list of conversations: pages in a window, kept fresh at the top.
 *
 * @module
 */

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { useIsLive } from "../api/live.ts";
import { LIST_POLL_MS, REALTIME_POLL_MS } from "../api/query_client.ts";
import { useUser } from "../session/session.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import type { ConversationFilters } from "./filters.ts";
import { conversationListQuery, newestConversationsQuery } from "./queries.ts";

/**
 * The conversations that match.
 *
 * @param options.keepsPrevious Whether the conversations of the filters before stay until those of these are there.
 */
export function useConversationList(filters: ConversationFilters, { keepsPrevious = false } = {}) {
  const api = useApi();
  const isLive = useIsLive();
  const options = { workspaceId: useWorkspace().id, userId: useUser().id, filters };
  const query = useInfiniteQuery({
    ...conversationListQuery(api, options),
    ...(keepsPrevious && { placeholderData: keepPreviousData }),
  });
  const newest = useQuery({
    ...newestConversationsQuery(api, options),
    enabled: query.isSuccess && !query.isPlaceholderData,
    refetchInterval: isLive ? REALTIME_POLL_MS : LIST_POLL_MS,
  });
  return {
    query,
    /** Whether the last poll for new conversations failed. */
    isBehind: newest.isError,
  };
}
