/**
 * What was sent from here: rows of the outbox, and messages that have not reached the server yet.
 *
 * @module
 */

import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { ApiError } from "../api/api_error.ts";
import { type ApiClient, unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { REALTIME_POLL_MS, SENDING_POLL_MS, THREAD_POLL_MS } from "../api/query_client.ts";
import type { NewMessage, OutboxMessage } from "../api/types.ts";
import { useIsLive } from "../inbox/live.ts";
import { conversationKeys } from "../inbox/use_conversations.ts";

/** Rows that are looked at; older ones have long been settled. */
export const OUTBOX_SIZE = 100;

/** A message on its way to the server, or one that could not be handed over. */
export interface LocalMessage {
  body: NewMessage;
  /** What the bubble says. */
  content: string;
  fileName?: string | undefined;
  createdAt: string;
  error: ApiError | undefined;
}

/** Key of the outbox of a conversation in the query cache. */
export function outboxKey(conversationId: string) {
  return ["outbox", conversationId] as const;
}

/** Whether the state of a row will change by itself, soon. */
export function isOnItsWay(row: OutboxMessage): boolean {
  return row.state === "queued" || row.state === "sending";
}

/** What was sent from here to a conversation, newest first. */
export function useOutbox(conversationId: string) {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const isLive = useIsLive();
  return useQuery<OutboxMessage[]>({
    queryKey: outboxKey(conversationId),
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.some(isOnItsWay) ? SENDING_POLL_MS : isLive ? REALTIME_POLL_MS : THREAD_POLL_MS,
    queryFn: async ({ signal }) => {
      const known = queryClient.getQueryData<OutboxMessage[]>(outboxKey(conversationId));
      // This one also settles what was left behind when a sender died.
      if (known?.some(isOnItsWay)) {
        return unwrap(
          await supabase.rpc("check_outbox", { conversation_id: conversationId })
            .abortSignal(signal),
        );
      }
      return unwrap(
        await supabase.from("outbox_messages").select().eq("conversation_id", conversationId)
          .order("created_at", { ascending: false }).limit(OUTBOX_SIZE).abortSignal(signal),
      );
    },
  });
}

/**
 * Messages that the server does not have yet. Outside of components, so that one that is on its way goes
 * on when another conversation is opened.
 */
const local = new Map<string, LocalMessage[]>();
const listeners = new Set<() => void>();
const NONE: LocalMessage[] = [];

function change(
  conversationId: string,
  update: (rows: LocalMessage[]) => LocalMessage[],
) {
  local.set(conversationId, update(local.get(conversationId) ?? NONE));
  for (const listener of listeners) listener();
}

/** Forgets them all. */
export function clearLocalMessages(): void {
  local.clear();
  for (const listener of listeners) listener();
}

/** The messages of a conversation that have not reached the server. */
export function useLocalMessages(conversationId: string): LocalMessage[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => local.get(conversationId) ?? NONE,
  );
}

/** Puts a row that a request returned among the others. */
export function putOutboxRow(
  queryClient: QueryClient,
  row: OutboxMessage,
): void {
  queryClient.setQueryData<OutboxMessage[]>(
    outboxKey(row.conversation_id),
    (rows = []) => [row, ...rows.filter(({ id }) => id !== row.id)],
  );
  queryClient.invalidateQueries({ queryKey: outboxKey(row.conversation_id) });
  queryClient.invalidateQueries({
    queryKey: conversationKeys.one(row.conversation_id),
  });
}

/** Sends messages, again with the same key where there was no answer. */
export function useSend() {
  const api = useApi();
  const queryClient = useQueryClient();
  return {
    send: (message: Omit<LocalMessage, "createdAt" | "error">) => {
      const row = {
        ...message,
        createdAt: new Date().toISOString(),
        error: undefined,
      };
      change(row.body.conversation_id, (rows) => [...rows, row]);
      return post(api, queryClient, row);
    },
    sendAgain: (row: LocalMessage) => {
      const again = { ...row, error: undefined };
      change(
        row.body.conversation_id,
        (rows) =>
          rows.map((other) =>
            other.body.idempotency_key === row.body.idempotency_key ? again : other
          ),
      );
      return post(api, queryClient, again);
    },
    forget: (row: LocalMessage) => forget(row),
  };
}

/** Forgets those of a conversation that the server turns out to have. */
export function forgetArrived(conversationId: string, outbox: readonly OutboxMessage[]): void {
  const keys = new Set(outbox.map((row) => row.idempotency_key));
  const rows = local.get(conversationId);
  if (!rows?.some(({ body, error }) => error && keys.has(body.idempotency_key))) return;
  change(
    conversationId,
    (rows) => rows.filter(({ body, error }) => !error || !keys.has(body.idempotency_key)),
  );
}

function forget({ body }: LocalMessage): void {
  change(
    body.conversation_id,
    (rows) => rows.filter((other) => other.body.idempotency_key !== body.idempotency_key),
  );
}

async function post(
  api: ApiClient,
  queryClient: QueryClient,
  row: LocalMessage,
): Promise<void> {
  try {
    const { message } = await api.inbox<{ message: OutboxMessage }>({
      method: "POST",
      path: "messages",
      body: row.body,
    });
    putOutboxRow(queryClient, message);
    forget(row);
  } catch (thrown) {
    const error = thrown instanceof ApiError ? thrown : new ApiError(0, "network", "");
    // It may have got through, and only the answer was lost.
    if (error.isTemporary) {
      queryClient.invalidateQueries({ queryKey: outboxKey(row.body.conversation_id) });
    }
    change(
      row.body.conversation_id,
      (rows) =>
        rows.map((other) =>
          other.body.idempotency_key === row.body.idempotency_key ? { ...other, error } : other
        ),
    );
  }
}
