/**
 * Closes, reopens and assigns a conversation, or marks it as unread.
 *
 * @module
 */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import type { Conversation } from "../api/rows.ts";
import { patchConversation } from "../conversations/queries.ts";
import { texts } from "../texts.ts";
import { showError, showToast } from "../ui/toast.ts";

/** What changes a conversation. */
interface ConversationChange {
  action: "close" | "reopen" | "assign" | "unread";
  body?: object;
}

interface ConversationAnswer {
  conversation: Conversation;
  /** Result of mirroring the change to Kapso. */
  kapso: "done" | "failed" | "not_connected";
}

/** Changes a conversation, and says so where Kapso could not be updated. */
export function useConversationChange(conversationId: string) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: ({ action, body }: ConversationChange) =>
      api.inbox<ConversationAnswer>({
        method: "POST",
        path: `conversations/${conversationId}/${action}`,
        body: body ?? {},
      }),
    onSuccess({ conversation, kapso }) {
      patchConversation(queryClient, conversation);
      if (kapso === "failed") showToast(texts.thread.kapsoFailed);
    },
    onError: showError,
  });
}
