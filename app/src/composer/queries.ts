/**
 * Queries of WhatsApp templates.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import type { ApiClient } from "../api/client.ts";
import type { Conversation, Template } from "../api/rows.ts";

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
