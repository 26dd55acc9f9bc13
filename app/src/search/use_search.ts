/**
 * The three searches behind the one field: contacts, conversations and messages.
 *
 * @module
 */

import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { LIST_POLL_MS } from "../api/query_client.ts";
import type { ConversationFilters, MessageFilters } from "../conversations/filters.ts";
import { useConversationList } from "../conversations/use_conversation_list.ts";
import { useUser } from "../session/session.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { contactSearchQuery, messageSearchQuery } from "./queries.ts";

const MESSAGES_PAGE = 20;

/** What matches: of all statuses, read or not. What matched before stays until then. */
export function useSearch(filters: ConversationFilters, messageFilters: MessageFilters) {
  const api = useApi();
  const workspace = useWorkspace();
  const userId = useUser().id;
  const text = filters.search.trim();
  const contacts = useQuery(contactSearchQuery(api, workspace.id, text));
  const { query: conversations } = useConversationList(
    { ...filters, search: text, status: "all", isUnread: false },
    { keepsPrevious: true },
  );
  const messages = useInfiniteQuery({
    ...messageSearchQuery(api, {
      workspaceId: workspace.id,
      userId,
      // A space at the end matters to the server.
      text: filters.search,
      filters,
      messageFilters,
      pageSize: MESSAGES_PAGE,
    }),
    enabled: workspace.has_message_search,
    placeholderData: keepPreviousData,
    // Whether a change concerns the search, only the search can say. So it is not repeated with every change.
    refetchInterval: LIST_POLL_MS,
  });
  return { contacts, conversations, messages };
}
