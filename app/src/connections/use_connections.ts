/**
 * The connections of the workspace.
 *
 * @module
 */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { Connection, KapsoProblem } from "../api/rows.ts";
import { showError } from "../ui/toast.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import { connectionKeys, connectionsQuery } from "./queries.ts";

/** All connections, polled if an interval in milliseconds is given. */
export function useConnections(pollMs?: number) {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery({
    ...connectionsQuery(api, workspace.id),
    ...(pollMs === undefined ? {} : { refetchInterval: pollMs }),
  });
}

/** Changes name or state of a connection. */
export function useConnectionChange(connection: Connection) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (
      change: Partial<
        Pick<Connection, "name" | "is_active" | "phone_number_id">
      >,
    ) =>
      api.inbox<{ connection: Connection; number_problem: KapsoProblem | null }>({
        method: "PATCH",
        path: `connections/${connection.id}`,
        body: change,
      }),
    onSuccess: () => refresh(queryClient, connectionKeys.list(connection.workspace_id)),
    onError: showError,
  });
}
