/**
 * Backfills: how far they are, and how to work on one. The database keeps the place, so a run goes on
 * whoever works on it, and when this page is closed the schedule does.
 *
 * @module
 */

import { type QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { readAnswer, unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import type { Connection } from "../api/types.ts";

/** A row of `sync_runs`. */
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

/** Counts as a stream tells them, and how a slice ended. */
interface SyncEvent extends Partial<Omit<SyncRun, "id" | "state" | "error">> {
  type: string;
  run_id?: string;
  error?: string | null;
  retry_after_seconds?: number | null;
}

const RUNNING_POLL_MS = 2_000;
const IDLE_POLL_MS = 30_000;
const COLUMNS = "id, connection_id, state, phase, conversations_total, conversations_done, " +
  "conversations_failed, messages_read, messages_added, error, started_at, finished_at";

function runKey(connectionId: string) {
  return ["sync-run", connectionId] as const;
}

/** The newest backfill of a connection; null where there was none. */
export function useSyncRun(connection: Connection) {
  const { supabase } = useApi();
  return useQuery<SyncRun | null>({
    queryKey: runKey(connection.id),
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.state === "running" ? RUNNING_POLL_MS : IDLE_POLL_MS,
    queryFn: async ({ signal }) => {
      const answer = await supabase.from("sync_runs").select(COLUMNS)
        .eq("workspace_id", connection.workspace_id).eq(
          "connection_id",
          connection.id,
        )
        .eq("mode", "history").eq("is_dry_run", false)
        .order("started_at", { ascending: false }).limit(1).abortSignal(signal);
      return (unwrap(answer) as unknown as SyncRun[])[0] ?? null;
    },
  });
}

/** Begins a backfill or goes on with it, until it is done or somebody stops it. */
export function useRunSync(connection: Connection) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async (messagesPerConversation: number | "all") => {
      let runId: string | undefined;
      for (;;) {
        const response = await api.callFunction("kapso-sync", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            connection_id: connection.connection_id,
            messages_per_conversation: messagesPerConversation,
            // Whoever stops it during a pause has stopped it.
            run_id: runId,
          }),
        });
        if (!response.ok || !response.body) {
          return await readAnswer<undefined>(response);
        }
        let end: SyncEvent | undefined;
        for await (const event of readLines(response.body)) {
          end = event;
          showProgress(queryClient, connection.id, event);
        }
        // A slice is over, and the next one may begin. All else is the end, or somebody else's work.
        if (end?.type !== "paused") return undefined;
        runId = end.run_id;
        await new Promise((resolve) => setTimeout(resolve, (end.retry_after_seconds ?? 0) * 1000));
      }
    },
    onSettled: () => {
      queryClient.invalidateQueries({ queryKey: runKey(connection.id) });
      queryClient.invalidateQueries({ queryKey: ["connections"] });
      queryClient.invalidateQueries({ queryKey: ["conversations"] });
    },
  });
}

/** Asks a run to stop, which it does at its next page. */
export function useStopSync(connection: Connection) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async (runId: string) =>
      await readAnswer(
        await api.callFunction("kapso-sync", {
          method: "POST",
          path: `/runs/${runId}/stop`,
        }),
      ),
    onSettled: () => queryClient.invalidateQueries({ queryKey: runKey(connection.id) }),
  });
}

/** How much of a run is done, from 0 to 100; undefined while the conversations are being counted. */
export function percentOf(run: SyncRun): number | undefined {
  if (run.state === "done" || run.state === "partial") return 100;
  if (run.phase === "conversations" || run.conversations_total === 0) {
    return undefined;
  }
  // What came in meanwhile is still to be looked at, so it is not all until the run says so.
  return Math.min(
    99,
    Math.floor(run.conversations_done / run.conversations_total * 100),
  );
}

function showProgress(
  queryClient: QueryClient,
  connectionId: string,
  event: SyncEvent,
): void {
  const { type, run_id: id, error, retry_after_seconds: _, ...counts } = event;
  if (id === undefined || counts.phase === undefined) return;
  const state = type === "progress" || type === "paused" || type === "busy"
    ? "running"
    : type as SyncRun["state"];
  queryClient.setQueryData<SyncRun | null>(runKey(connectionId), (run) => ({
    conversations_total: 0,
    conversations_done: 0,
    conversations_failed: 0,
    messages_read: 0,
    messages_added: 0,
    phase: "conversations",
    started_at: new Date().toISOString(),
    finished_at: null,
    ...(run?.id === id ? run : {}),
    ...counts,
    id,
    connection_id: connectionId,
    state,
    error: error ?? null,
  }));
}

/** Lines of JSON as they come in. */
async function* readLines(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<SyncEvent> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value ?? "")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
    if (done) {
      if (rest.trim() !== "") yield JSON.parse(rest);
      return;
    }
  }
}
