/**
 * Marks a conversation as read while its end is in sight.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { useApi } from "../api/context.tsx";
import type { Conversation } from "../api/rows.ts";
import { patchConversation } from "../conversations/queries.ts";

/**
 * What is marked is what had arrived: a message that comes while the request is on its way stays unread, whenever it was
 * sent.
 *
 * @returns a stable function to call with whether the end is in sight. A hidden tab marks nothing.
 */
export function useMarkRead(
  conversation: Conversation,
  canWrite: boolean,
): (isInSight: boolean) => void {
  const api = useApi();
  const queryClient = useQueryClient();
  const { id, unread_count: unread, inbound_arrivals: arrivals } = conversation;
  const present = useRef({ hasUnread: false, arrivals });
  const isInSight = useRef(false);
  const marked = useRef<number | undefined>(undefined);

  const markRead = useCallback(async () => {
    const { hasUnread, arrivals: seen } = present.current;
    if (!hasUnread || !isInSight.current || seen === marked.current) return;
    if (document.visibilityState !== "visible") return;
    marked.current = seen;
    try {
      const answer = await api.inbox<{ conversation: Conversation }>({
        method: "POST",
        path: `conversations/${id}/read`,
        body: { seen_arrivals: seen },
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
    present.current = { hasUnread: canWrite && unread > 0, arrivals };
    markRead();
  }, [markRead, canWrite, unread, arrivals]);

  return useCallback((isSeen: boolean) => {
    isInSight.current = isSeen;
    markRead();
  }, [markRead]);
}
