/**
 * Marks a conversation read while somebody looks at its newest message.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { useApi } from "../api/context.tsx";
import type { Conversation } from "../api/types.ts";
import { patchConversation } from "../inbox/use_conversations.ts";

/** @returns what to call when the newest message is in sight. Nothing is sent from a hidden tab. */
export function useMarkRead(conversation: Conversation, canWrite: boolean) {
  const api = useApi();
  const queryClient = useQueryClient();
  const current = useRef(conversation);
  current.current = conversation;
  const newestSeen = useRef<string | undefined>(undefined);
  const sent = useRef<string | undefined>(undefined);

  const send = useCallback(async () => {
    const { id, unread_count } = current.current;
    const upTo = newestSeen.current;
    if (
      !canWrite || unread_count === 0 || upTo === undefined ||
      upTo === sent.current
    ) return;
    if (document.visibilityState !== "visible") return;
    sent.current = upTo;
    try {
      const { conversation } = await api.inbox<{ conversation: Conversation }>({
        method: "POST",
        path: `conversations/${id}/read`,
        body: { up_to: upTo },
      });
      patchConversation(queryClient, conversation);
    } catch {
      // It stays unread, which is what it would be without us; the next look tries again.
      sent.current = undefined;
    }
  }, [api, queryClient, canWrite]);

  useEffect(() => {
    document.addEventListener("visibilitychange", send);
    return () => document.removeEventListener("visibilitychange", send);
  }, [send]);
  // The count may come after the message.
  useEffect(() => void send(), [send, conversation.unread_count]);

  return useCallback((sentAt: string) => {
    newestSeen.current = sentAt;
    send();
  }, [send]);
}
