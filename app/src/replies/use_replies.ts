/**
 * The canned replies of a workspace, and what changes them.
 *
 * @module
 */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/api_error.ts";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import type { CannedReply } from "../api/types.ts";
import { texts } from "../texts.ts";
import { useWorkspace } from "../workspace/workspace.tsx";

const repliesKey = (workspaceId: string) => ["canned-replies", workspaceId] as const;

/** All of the current workspace, by title. They are read when they are first asked for. */
export function useReplies(isAsked: boolean) {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  return useQuery({
    queryKey: repliesKey(workspace.id),
    enabled: isAsked,
    queryFn: async ({ signal }) =>
      unwrap(
        await supabase.from("canned_replies").select("id, shortcut, title, content")
          .eq("workspace_id", workspace.id).order("title").order("id").abortSignal(signal),
      ) as CannedReply[],
  });
}

/** Makes a canned reply, or changes the one with the `id`. */
export function useSaveReply() {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  return useMutation({
    mutationFn: async ({ id, ...values }: Omit<CannedReply, "id"> & { id: string | undefined }) => {
      const answer = id === undefined
        ? await supabase.from("canned_replies").insert({ workspace_id: workspace.id, ...values })
        : await supabase.from("canned_replies").update(values).eq("id", id).select("id");
      if (answer.error) unwrap(answer);
      if (id !== undefined && answer.data?.length === 0) {
        throw new ApiError(404, "gone", texts.replies.gone);
      }
    },
    onSuccess: () => queryClient.invalidateQueries({ queryKey: repliesKey(workspace.id) }),
  });
}

/** Deletes a canned reply. */
export function useDeleteReply() {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  return useMutation({
    mutationFn: async (id: string) => {
      const answer = await supabase.from("canned_replies").delete().eq("id", id);
      if (answer.error) unwrap(answer);
    },
    onSuccess: () => queryClient.invalidateQueries({ queryKey: repliesKey(workspace.id) }),
  });
}
