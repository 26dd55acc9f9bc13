/**
 * Queries of tags.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";

/** Keys of the query cache. */
export const tagKeys = {
  all: (workspaceId: string) => ["tags", workspaceId] as const,
};

/** All tags of a workspace. */
export function tagsQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: tagKeys.all(workspaceId),
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.from("tags").select("id, name, colour").eq("workspace_id", workspaceId)
          .abortSignal(signal),
      ),
  });
}
