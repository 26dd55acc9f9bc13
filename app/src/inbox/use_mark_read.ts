/**
 * Marks a conversation as read while its newest message is in sight.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { useApi } from "../api/context.tsx";
import type { Conversation } from "../api/rows.ts";
import { patchConversation } from "../conversations/queries.ts";

/** @returns a stable function to call when the newest message is in sight. A hidden tab marks nothing. */
export function useMarkRead(
  conversation: Conversation,
  canWrite: boolean,
): (sentAt: string) => void {
  const api = useApi();
  const queryClient = useQueryClient();
  const { id, unread_count: unread } = conversation;
  const hasUnread = useRef(false);
  const newestSeen = useRef<string | undefined>(undefined);
  const marked = useRef<string | undefined>(undefined);

  const markRead = useCallback(async () => {
    const upTo = newestSeen.current;
    if (!hasUnread.current || upTo === undefined || upTo === marked.current) return;
    if (document.visibilityState !== "visible") return;
    marked.current = upTo;
    try {
      const answer = await api.inbox<{ conversation: Conversation }>({
        method: "POST",
        path: `conversations/${id}/read`,
        body: { up_to: upTo },
      });
      patchConversation(queryClient, answer.conversation);
    } catch {
      // It stays unread until the next message or the next visit marks it.
      marked.current = undefined;
    }
  }, [api, queryClient, id]);

  useEffect(() => {
    document.addEventListener("visibilitychange", markRead);
    return () => document.removeEventListener("visibilitychange", markRead);
  }, [markRead]);
  // The count may arrive after the message.
  useEffect(() => {
    hasUnread.current = canWrite && unread > 0;
    markRead();
  }, [markRead, canWrite, unread]);

  return useCallback((sentAt: string) => {
    newestSeen.current = sentAt;
    markRead();
  }, [markRead]);
}
