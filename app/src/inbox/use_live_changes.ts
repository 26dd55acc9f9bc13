/**
 * Listens for changes in a workspace, where the project has Realtime. An announcement names conversations
 * only; their content is read as always, under row level security.
 *
 * @module
 */

import type { RealtimeChannel } from "@supabase/supabase-js";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { ApiClient } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { setLive } from "../api/live.ts";
import { refresh, refreshSoon } from "../api/query_client.ts";
import { contactKeys } from "../contact/queries.ts";
import { conversationKeys } from "../conversations/queries.ts";
import { outboxKeys } from "../outbox/queries.ts";
import { searchKeys } from "../search/queries.ts";
import { tagKeys } from "../tags/queries.ts";

/** After how long a channel that the server has closed is joined again, in milliseconds. */
const REJOIN_MS = 30_000;

/** Settles when the last channel has been left: until then realtime-js would return it for the same topic. */
let left: Promise<unknown> = Promise.resolve();

/** Keeps the list and the open conversation fresh while the component is mounted. */
export function useLiveChanges(workspaceId: string): void {
  const api = useApi();
  const queryClient = useQueryClient();
  useEffect(() => {
    if (!api.hasRealtime) return;
    return listen(api, queryClient, workspaceId);
  }, [api, queryClient, workspaceId]);
}

/** Listens until the returned function is called. */
function listen(
  { supabase, noteChange }: ApiClient,
  queryClient: QueryClient,
  workspaceId: string,
): () => void {
  let channel: RealtimeChannel | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let hasLeft = false;
  // The panel of the contact lists the person's conversations with a preview each.
  const refreshLists = () => {
    refreshSoon(queryClient, conversationKeys.newest(workspaceId));
    refreshSoon(queryClient, contactKeys.allConversations);
    // What is on the screen polls; other results are searched again when they are shown.
    queryClient.invalidateQueries({
      queryKey: searchKeys.messages(workspaceId),
      refetchType: "none",
    });
  };
  const join = () => {
    if (hasLeft) return;
    channel = supabase.channel(`workspace:${workspaceId}`, { config: { private: true } })
      .on("broadcast", { event: "conversations_changed" }, ({ payload }) => {
        noteChange();
        refreshConversations(queryClient, payload?.conversation_ids);
        refreshLists();
      })
      .on("broadcast", { event: "tags_changed" }, () => {
        noteChange();
        refresh(queryClient, tagKeys.all(workspaceId));
        // Of all conversations in the cache, only the open one is read again now.
        refreshSoon(queryClient, conversationKeys.all);
        refreshLists();
      })
      .subscribe((status) => {
        if (hasLeft) return;
        // Refused, timed out or closed: until it is back, the app polls.
        setLive(status === "SUBSCRIBED");
        // Changes while the channel was away were not announced.
        if (status === "SUBSCRIBED") {
          noteChange();
          refreshConversations(queryClient, null);
          refreshLists();
        }
        // The server closes a channel when its token has expired, and realtime-js leaves it closed.
        if (status === "CLOSED") timer = setTimeout(join, REJOIN_MS);
      });
  };
  left.then(join);
  return () => {
    hasLeft = true;
    clearTimeout(timer);
    setLive(false);
    if (channel) left = supabase.removeChannel(channel).catch(() => {});
  };
}

/** Reads conversations again that are on the screen; without a list of ids, whichever is open. */
function refreshConversations(queryClient: QueryClient, ids: unknown): void {
  if (!Array.isArray(ids)) {
    refreshSoon(queryClient, conversationKeys.all);
    return;
  }
  for (const id of ids) {
    // A message that is being sent from here reads its conversation when it is done.
    const isOurs = queryClient.isMutating({ mutationKey: outboxKeys.send(id) }) > 0;
    if (!isOurs) refreshSoon(queryClient, conversationKeys.one(id));
  }
}
