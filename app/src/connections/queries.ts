/**
 * Queries of connections: all of them, their backfills and their webhooks.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import type { Connection, WebhookHealth } from "../api/types.ts";

/** A row of `sync_runs`: a backfill and how far it is. */
export interface SyncRun {
  id: string;
  connection_id: string;
  state: "running" | "stopped" | "failed" | "partial" | "done";
  phase: string;
  conversations_total: number;
  conversations_done: number;
  conversations_failed: number;
  messages_read: number;
  messages_added: number;
  error: string | null;
  started_at: string;
  finished_at: string | null;
}

const RUNNING_POLL_MS = 2_000;
const IDLE_POLL_MS = 30_000;
const RUN_COLUMNS = "id, connection_id, state, phase, conversations_total, conversations_done, " +
  "conversations_failed, messages_read, messages_added, error, started_at, finished_at";

/** Keys of the query cache. */
export const connectionKeys = {
  list: (workspaceId: string) => ["connections", workspaceId] as const,
  run: (connectionId: string) => ["sync-run", connectionId] as const,
  webhook: (connectionId: string) => ["webhook-health", connectionId] as const,
};

/** All connections of a workspace. */
export function connectionsQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: connectionKeys.list(workspaceId),
    staleTime: 30_000,
    queryFn: async ({ signal }) => {
      const { connections } = await api.inbox<{ connections: Connection[] }>({
        method: "GET",
        path: `connections?workspace_id=${workspaceId}`,
        signal,
      });
      return connections;
    },
  });
}

/** The newest backfill of a connection; null where there was none. */
export function syncRunQuery(api: ApiClient, connection: Connection) {
  return queryOptions<SyncRun | null>({
    queryKey: connectionKeys.run(connection.id),
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.state === "running" ? RUNNING_POLL_MS : IDLE_POLL_MS,
    queryFn: async ({ signal }) => {
      const answer = await api.supabase.from("sync_runs").select(RUN_COLUMNS)
        .eq("workspace_id", connection.workspace_id).eq("connection_id", connection.id)
        .eq("mode", "history").eq("is_dry_run", false)
        .order("started_at", { ascending: false }).limit(1).abortSignal(signal);
      return (unwrap(answer) as unknown as SyncRun[])[0] ?? null;
    },
  });
}

/** The webhook of a number at Kapso. */
export function webhookQuery(api: ApiClient, connection: Connection) {
  return queryOptions({
    queryKey: [...connectionKeys.webhook(connection.id), connection.has_kapso_key],
    staleTime: 60_000,
    retry: false,
    queryFn: ({ signal }) =>
      api.inbox<{ webhook: WebhookHealth }>({
        method: "GET",
        path: `connections/${connection.id}/health`,
        signal,
      }),
  });
}
