/**
 * Queries of statistics.
 *
 * @module
 */

import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { ApiClient } from "../api/client.ts";

const POLL_MS = 60_000;

/** Messages and response times of the last `days` days of a workspace. */
export function statisticsQuery(api: ApiClient, workspaceId: string, days: number) {
  return queryOptions({
    queryKey: ["statistics", workspaceId, days],
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      api.read("overview_statistics", { workspace_id: workspaceId, days }, signal),
  });
}
