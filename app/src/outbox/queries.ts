/**
 * Queries of the outbox: messages that were sent from this app, and how far they have come.
 *
 * @module
 */

import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import type { OutboxMessage } from "../api/rows.ts";

/** Rows that are read; older ones were settled long ago. */
const OUTBOX_SIZE = 100;

/** Keys of the query cache, and of the mutations that send. */
export const outboxKeys = {
  one: (conversationId: string) => ["outbox", conversationId] as const,
  send: (conversationId: string) => ["send", conversationId] as const,
};

/** What was sent to a conversation from this app, newest first. */
export function outboxQuery(api: ApiClient, conversationId: string) {
  const queryKey = outboxKeys.one(conversationId);
  return queryOptions<OutboxMessage[]>({
    queryKey,
    staleTime: 0,
    queryFn: async ({ signal, client }) => {
      const known = client.getQueryData<OutboxMessage[]>(queryKey);
      // This one also settles what was left behind when a sender died.
      if (known?.some(isOnItsWay)) {
        return await api.rpc("check_outbox", { conversation_id: conversationId }, signal);
      }
      return unwrap(
        await api.supabase.from("outbox_messages").select().eq("conversation_id", conversationId)
          .order("created_at", { ascending: false }).limit(OUTBOX_SIZE).abortSignal(signal),
      );
    },
  });
}

/** Whether a row is waiting to be sent, so that its state changes soon. */
export function isOnItsWay(row: OutboxMessage): boolean {
  return row.state === "queued" || row.state === "sending";
}

/** Puts a row that a request returned among the others. */
export function putOutboxRow(queryClient: QueryClient, row: OutboxMessage): void {
  queryClient.setQueryData<OutboxMessage[]>(
    outboxKeys.one(row.conversation_id),
    (rows = []) => [row, ...rows.filter(({ id }) => id !== row.id)],
  );
}
