/**
 * The list of conversations: pages in a window, kept fresh at the top.
 *
 * @module
 */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { useIsLive } from "../api/live.ts";
import { LIST_POLL_MS, REALTIME_POLL_MS } from "../api/query_client.ts";
import type { ConversationFilters } from "../conversations/filters.ts";
import { conversationListQuery, newestConversationsQuery } from "../conversations/queries.ts";
import { useUser } from "../session/session.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";

/** The conversations that match. */
export function useConversationList(filters: ConversationFilters) {
  const api = useApi();
  const isLive = useIsLive();
  const options = { workspaceId: useWorkspace().id, userId: useUser().id, filters };
  const query = useInfiniteQuery(conversationListQuery(api, options));
  const newest = useQuery({
    ...newestConversationsQuery(api, options),
    enabled: query.isSuccess,
    refetchInterval: isLive ? REALTIME_POLL_MS : LIST_POLL_MS,
  });
  return {
    query,
    /** Whether the last poll for new conversations failed. */
    isBehind: newest.isError,
  };
}
