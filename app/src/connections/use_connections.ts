/**
 * The connections of the workspace.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import type { Connection } from "../api/types.ts";
import { useWorkspace } from "../workspace/workspace.tsx";

/** Key of the connections of a workspace in the query cache. */
export function connectionsKey(workspaceId: string) {
  return ["connections", workspaceId] as const;
}

/** Reads them; again every so many milliseconds where that is given. */
export function useConnections(pollMs?: number) {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery({
    queryKey: connectionsKey(workspace.id),
    staleTime: 30_000,
    ...(pollMs === undefined ? {} : { refetchInterval: pollMs }),
    queryFn: async ({ signal }) => {
      const { connections } = await api.inbox<{ connections: Connection[] }>({
        method: "GET",
        path: `connections?workspace_id=${workspace.id}`,
        signal,
      });
      return connections;
    },
  });
}
