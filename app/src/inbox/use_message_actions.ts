/**
 * What the rows of a conversation can do: reply, react, and settle messages that failed.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { Message, OutboxMessage } from "../api/rows.ts";
import { outboxKeys, putOutboxRow } from "../outbox/queries.ts";
import type { useSendMessage } from "../outbox/use_send_message.ts";
import type { MessageActions } from "../thread/message_actions.ts";
import { showError } from "../ui/toast.ts";

/** The actions. Stable, so that rows are not drawn again when only their list changed. */
export function useMessageActions(
  conversationId: string,
  { sendMessage, resendMessage, discardUnsent }: ReturnType<typeof useSendMessage>,
  onReply: (message: Message) => void,
): Omit<MessageActions, "goTo"> {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMemo(() => {
    const settle = async (method: "POST" | "DELETE", path: string, body?: object) => {
      try {
        const answer = await api.inbox<{ message: OutboxMessage }>({ method, path, body });
        putOutboxRow(queryClient, answer.message);
      } catch (error) {
        showError(error);
        refresh(queryClient, outboxKeys.one(conversationId));
      }
    };
    return {
      reply: onReply,
      async react(message, emoji) {
        const error = await sendMessage({
          body: {
            conversation_id: conversationId,
            idempotency_key: crypto.randomUUID(),
            type: "reaction",
            reply_to: message.id,
            emoji,
          },
          content: emoji,
        });
        if (error) showError(error);
      },
      retry: (row, mayDouble) =>
        void settle(
          "POST",
          `messages/${row.id}/retry`,
          mayDouble ? { confirm_possible_double: true } : {},
        ),
      discard: (row) => void settle("DELETE", `messages/${row.id}`),
      resend: (message) => void resendMessage(message),
      discardUnsent,
    };
  }, [
    api,
    queryClient,
    conversationId,
    sendMessage,
    resendMessage,
    discardUnsent,
    onReply,
  ]);
}
