/**
 * Reads and changes the canned replies of a workspace.
 *
 * @module
 */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/api_error.ts";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { CannedReply } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import { repliesQuery, replyKeys } from "./queries.ts";

/** All canned replies of the workspace, by title. They are read when they are first needed. */
export function useReplies(isNeeded: boolean) {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery({ ...repliesQuery(api, workspace.id), enabled: isNeeded });
}

/** Creates a canned reply, or changes the one with the `id`. */
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
    onSuccess: () => refresh(queryClient, replyKeys.all(workspace.id)),
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
    onSuccess: () => refresh(queryClient, replyKeys.all(workspace.id)),
  });
}
