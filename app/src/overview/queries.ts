/**
 * Queries of statistics.
 *
 * @module
 */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import type { Statistics } from "../api/types.ts";

const POLL_MS = 60_000;

/** Messages and response times of the last `days` days of a workspace. */
export function statisticsQuery(api: ApiClient, workspaceId: string, days: number) {
  return queryOptions({
    queryKey: ["statistics", workspaceId, days],
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.rpc("overview_statistics", { workspace_id: workspaceId, days })
          .abortSignal(signal),
      ) as Statistics,
  });
}
