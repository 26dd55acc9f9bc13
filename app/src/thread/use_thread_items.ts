/**
 * Everything a thread shows: its messages, what the outbox has, and what the server does not have yet.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import type { Message, OutboxMessage } from "../api/rows.ts";
import { refresh } from "../api/query_client.ts";
import { outboxKeys } from "../outbox/queries.ts";
import { useOutbox } from "../outbox/use_outbox.ts";
import { forgetArrived, useUnsentMessages } from "../outbox/use_send_message.ts";
import { makeItems } from "./items.ts";

const NO_ROWS: readonly OutboxMessage[] = [];

/** The items, oldest first. */
export function useThreadItems(
  conversationId: string,
  messages: readonly Message[],
  hasNewest: boolean,
) {
  const queryClient = useQueryClient();
  const { data: outbox = NO_ROWS } = useOutbox(conversationId);
  const unsent = useUnsentMessages(conversationId);

  // A change of the thread may have settled what was sent. What is settled already is not read again.
  useEffect(() => {
    const known = queryClient.getQueryData<OutboxMessage[]>(outboxKeys.one(conversationId));
    if (known && isBehind(known, messages)) refresh(queryClient, outboxKeys.one(conversationId));
  }, [queryClient, conversationId, messages]);
  useEffect(() => {
    forgetArrived(queryClient, conversationId, outbox);
  }, [queryClient, conversationId, outbox]);

  return useMemo(
    () => makeItems({ messages, outbox, unsent, hasNewest }),
    [messages, outbox, unsent, hasNewest],
  );
}

/** Whether the thread may know more than these rows: one is not settled, or its message has failed since. */
function isBehind(outbox: readonly OutboxMessage[], messages: readonly Message[]): boolean {
  if (outbox.some(({ state }) => UNSETTLED.has(state))) return true;
  const states = new Map(outbox.map(({ message_id, state }) => [message_id, state]));
  return messages.some(({ id, status, direction }) =>
    direction === "outbound" && status === "failed" && states.get(id) !== "failed"
  );
}

const UNSETTLED: ReadonlySet<OutboxMessage["state"]> = new Set([
  "queued",
  "sending",
  "unconfirmed",
]);
