/**
 * Listens for changes in a workspace, where the project has Realtime. An announcement names a conversation
 * only; its content is read as always, under row level security.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useApi } from "../api/context.tsx";
import { setLive } from "../api/live.ts";
import { refresh, refreshSoon } from "../api/query_client.ts";
import { conversationKeys } from "../conversations/queries.ts";
import { outboxKeys } from "../outbox/queries.ts";
import { tagKeys } from "../tags/queries.ts";

/** Keeps the list and the open conversation fresh while the component is mounted. */
export function useLiveChanges(workspaceId: string): void {
  const { supabase, hasRealtime } = useApi();
  const queryClient = useQueryClient();
  useEffect(() => {
    if (!hasRealtime) return;
    const refreshList = () => refreshSoon(queryClient, conversationKeys.newest(workspaceId));
    const channel = supabase.channel(`workspace:${workspaceId}`, { config: { private: true } })
      .on("broadcast", { event: "conversation_changed" }, ({ payload }) => {
        const id = payload?.conversation_id;
        // A message that is being sent from here reads its conversation when it is done.
        const isOurs = typeof id === "string" &&
          queryClient.isMutating({ mutationKey: outboxKeys.send(id) }) > 0;
        if (typeof id === "string" && !isOurs) {
          refreshSoon(queryClient, conversationKeys.one(id));
        }
        refreshList();
      })
      .on("broadcast", { event: "tags_changed" }, () => {
        refresh(queryClient, tagKeys.all(workspaceId));
        // Of all conversations in the cache, only the open one is read again now.
        refresh(queryClient, conversationKeys.all);
        refreshList();
      })
      .subscribe((status) => {
        // Refused, timed out or closed: until it is back, the app polls.
        setLive(status === "SUBSCRIBED");
        // Changes while the channel was away were not announced.
        if (status === "SUBSCRIBED") refreshList();
      });
    return () => {
      setLive(false);
      supabase.removeChannel(channel);
    };
  }, [supabase, queryClient, workspaceId, hasRealtime]);
}
