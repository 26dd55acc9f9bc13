/**
 * Queries of how a conversation can be answered, and of WhatsApp templates.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import type { ApiClient } from "../api/client.ts";
import type { Answering, Conversation, Template } from "../api/rows.ts";

/** The approved templates of the number that a conversation belongs to. */
export function templatesQuery(api: ApiClient, conversation: Conversation) {
  return queryOptions({
    queryKey: ["templates", conversation.connection_id],
    staleTime: 60_000,
    queryFn: async ({ signal }) => {
      const { templates } = await api.inbox<{ templates: Template[] }>({
        method: "GET",
        path: `templates?conversation_id=${conversation.id}`,
        signal,
      });
      return templates;
    },
  });
}

/** Whether and how a conversation can be answered. */
export function answeringQuery(api: ApiClient, conversation: Conversation) {
  return queryOptions<Answering>({
    // A new message of the customer opens the window again.
    queryKey: ["answering", conversation.id, conversation.last_inbound_at],
    staleTime: 60_000,
    placeholderData: (before, query) => query?.queryKey[1] === conversation.id ? before : undefined,
    queryFn: ({ signal }) =>
      api.read("conversation_answering", { conversation_id: conversation.id }, signal),
  });
}
