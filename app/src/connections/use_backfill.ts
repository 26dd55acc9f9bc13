/**
 * Backfills: progress, start and stop. The database keeps the position, so the schedule continues a run when
 * this page is closed.
 *
 * @module
 */

import { type QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { readAnswer } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { Connection } from "../api/rows.ts";
import { conversationKeys } from "../conversations/queries.ts";
import { type Backfill, backfillQuery, connectionKeys } from "./queries.ts";

/** An event of the stream: counts, and how a slice ended. */
interface SyncEvent extends Partial<Omit<Backfill, "id" | "state" | "error">> {
  type: string;
  run_id?: string;
  error?: string | null;
  retry_after_seconds?: number | null;
}

/** The newest backfill of a connection; null where there was none. */
export function useBackfill(connection: Connection) {
  return useQuery(backfillQuery(useApi(), connection));
}

/** Starts or resumes a backfill, and continues until it ends or is stopped. */
export function useStartBackfill(connection: Connection) {
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
            // A run that was stopped during a pause stays stopped.
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
        // After a pause the next slice starts. Any other event is the end, or another request runs it.
        if (end?.type !== "paused") return undefined;
        runId = end.run_id;
        await new Promise((resolve) => setTimeout(resolve, (end.retry_after_seconds ?? 0) * 1000));
      }
    },
    onSettled: () => {
      refresh(queryClient, connectionKeys.backfill(connection.id));
      refresh(queryClient, connectionKeys.list(connection.workspace_id));
      refresh(queryClient, conversationKeys.allLists);
    },
  });
}

/** Asks a run to stop, which it does at its next page. */
export function useStopBackfill(connection: Connection) {
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
    onSettled: () => refresh(queryClient, connectionKeys.backfill(connection.id)),
  });
}

/** Progress of a run in percent; undefined while the conversations are being counted. */
export function percentOf(run: Backfill): number | undefined {
  if (run.state === "done" || run.state === "partial") return 100;
  if (run.phase === "conversations" || run.conversations_total === 0) {
    return undefined;
  }
  // New conversations may still be added, so only the end of the run is 100 %.
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
    : type as Backfill["state"];
  queryClient.setQueryData<Backfill | null>(connectionKeys.backfill(connectionId), (run) => ({
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

/** Parses lines of JSON as they arrive. */
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
