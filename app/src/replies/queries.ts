/**
 * Queries of canned replies.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";

/** Keys of the query cache. */
export const replyKeys = {
  all: (workspaceId: string) => ["canned-replies", workspaceId] as const,
};

/** All canned replies of a workspace, by title. */
export function repliesQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: replyKeys.all(workspaceId),
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.from("canned_replies").select("id, shortcut, title, content")
          .eq("workspace_id", workspaceId).order("title").order("id").abortSignal(signal),
      ),
  });
}
