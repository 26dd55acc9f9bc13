/**
 * Listens for what changes in a workspace, where the project has Realtime. The news names a conversation
 * only; what it now says is read as always, under row level security.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useApi } from "../api/context.tsx";
import { setLive } from "./live.ts";
import { tagKeys } from "../tags/use_tags.ts";
import { conversationKeys } from "./use_conversations.ts";

/** News of a busy workspace are gathered for so long before the list is read again. */
const GATHER_MS = 400;

/** Keeps the list and the open thread fresh while the component is there. */
export function useLiveChanges(
  workspaceId: string,
  hasRealtime: boolean,
): void {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  useEffect(() => {
    if (!hasRealtime) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refreshList = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        queryClient.invalidateQueries({
          queryKey: conversationKeys.newest(workspaceId),
        });
      }, GATHER_MS);
    };
    const channel = supabase.channel(`workspace:${workspaceId}`, {
      config: { private: true },
    })
      .on("broadcast", { event: "conversation_changed" }, ({ payload }) => {
        const id = payload?.conversation_id;
        if (typeof id === "string") {
          queryClient.invalidateQueries({ queryKey: conversationKeys.one(id) });
          queryClient.invalidateQueries({ queryKey: ["outbox", id] });
        }
        refreshList();
      })
      .on("broadcast", { event: "tags_changed" }, () => {
        queryClient.invalidateQueries({ queryKey: tagKeys.all(workspaceId) });
        // Of all conversations that are kept, only the open one is read again now.
        queryClient.invalidateQueries({ queryKey: conversationKeys.any });
        refreshList();
      })
      .subscribe((status) => {
        // Refused, timed out or closed: until it is back, the app polls.
        setLive(status === "SUBSCRIBED");
        // What happened while the channel was away.
        if (status === "SUBSCRIBED") refreshList();
      });
    return () => {
      setLive(false);
      clearTimeout(timer);
      supabase.removeChannel(channel);
    };
  }, [supabase, queryClient, workspaceId, hasRealtime]);
}
