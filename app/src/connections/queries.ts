/**
 * Queries of connections: all of them, their backfills and their webhooks.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import type { Connection, SyncRun, WebhookHealth } from "../api/rows.ts";

/** A backfill and its progress. */
export type Backfill = Pick<
  SyncRun,
  | "id"
  | "connection_id"
  | "state"
  | "phase"
  | "conversations_total"
  | "conversations_done"
  | "conversations_failed"
  | "messages_read"
  | "messages_added"
  | "error"
  | "started_at"
  | "finished_at"
>;

const RUNNING_POLL_MS = 2_000;
const IDLE_POLL_MS = 30_000;
const BACKFILL_COLUMNS =
  "id, connection_id, state, phase, conversations_total, conversations_done, conversations_failed, messages_read, messages_added, error, started_at, finished_at";

/** Keys of the query cache. */
export const connectionKeys = {
  list: (workspaceId: string) => ["connections", workspaceId] as const,
  backfill: (connectionId: string) => ["backfill", connectionId] as const,
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
export function backfillQuery(api: ApiClient, connection: Connection) {
  return queryOptions<Backfill | null>({
    queryKey: connectionKeys.backfill(connection.id),
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.state === "running" ? RUNNING_POLL_MS : IDLE_POLL_MS,
    queryFn: async ({ signal }) => {
      const answer = await api.supabase.from("sync_runs").select(BACKFILL_COLUMNS)
        .eq("workspace_id", connection.workspace_id).eq("connection_id", connection.id)
        .eq("mode", "history").eq("is_dry_run", false)
        .order("started_at", { ascending: false }).limit(1).abortSignal(signal);
      return unwrap(answer)[0] ?? null;
    },
  });
}

/** The webhook of a number at Kapso. */
export function webhookQuery(api: ApiClient, connection: Connection) {
  return queryOptions({
    queryKey: [
      ...connectionKeys.webhook(connection.id),
      connection.has_kapso_key,
      connection.requested_phone_number_id ?? connection.phone_number_id,
    ],
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
