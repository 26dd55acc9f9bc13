/**
 * One conversation, polled while it is open.
 *
 * @module
 */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { conversationQuery, findInLists } from "./queries.ts";

/** The conversation; what the list knows about it is shown until the answer arrives. */
export function useConversation(id: string, pollMs: number) {
  const api = useApi();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  return useQuery({
    ...conversationQuery(api, workspace.id, id),
    refetchInterval: pollMs,
    placeholderData: () => findInLists(queryClient, workspace.id, id),
  });
}
