/**
 * Reads and changes the tags of a workspace.
 *
 * @module
 */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { ApiError } from "../api/api_error.ts";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { LIST_POLL_MS, REALTIME_POLL_MS, refresh } from "../api/query_client.ts";
import type { Conversation, Tag } from "../api/rows.ts";
import { useIsLive } from "../api/live.ts";
import { conversationKeys, patchConversation } from "../conversations/queries.ts";
import { texts } from "../texts.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import { tagKeys, tagsQuery } from "./queries.ts";

/** Tags by their id, in the order of their names. */
export type Tags = ReadonlyMap<string, Tag>;

/**
 * All tags of the current workspace.
 *
 * @param options.polls Whether to poll. One component is enough: the list, whose rows have only the ids of
 * tags.
 */
export function useTags({ polls = false } = {}) {
  const api = useApi();
  const isLive = useIsLive();
  const workspace = useWorkspace();
  const query = useQuery({
    ...tagsQuery(api, workspace.id),
    refetchInterval: polls && (isLive ? REALTIME_POLL_MS : LIST_POLL_MS),
  });
  const tags = useMemo<Tags>(
    () =>
      new Map(
        query.data?.toSorted((a, b) => a.name.localeCompare(b.name)).map((tag) => [tag.id, tag]),
      ),
    [query.data],
  );
  return { query, tags };
}

/** The tags with these ids, in the order of their names. Deleted ones are left out. */
export function tagsOf(tags: Tags, ids: readonly string[]): Tag[] {
  return ids.length === 0 ? [] : [...tags.values()].filter(({ id }) => ids.includes(id));
}

/** Creates a tag, or changes the one with the `id`. */
export function useSaveTag() {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  return useMutation({
    mutationFn: async ({ id, ...values }: Omit<Tag, "id"> & { id: string | undefined }) => {
      const answer = id === undefined
        ? await supabase.from("tags").insert({ workspace_id: workspace.id, ...values })
        : await supabase.from("tags").update(values).eq("id", id).select("id");
      if (answer.error) unwrap(answer);
      if (id !== undefined && answer.data?.length === 0) {
        throw new ApiError(404, "gone", texts.tags.gone);
      }
    },
    onSuccess: () => refresh(queryClient, tagKeys.all(workspace.id)),
  });
}

/** Deletes a tag, which removes it from all conversations. */
export function useDeleteTag() {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  return useMutation({
    mutationFn: async (id: string) => {
      const answer = await supabase.from("tags").delete().eq("id", id);
      if (answer.error) unwrap(answer);
    },
    onSuccess: () => refresh(queryClient, tagKeys.all(workspace.id)),
  });
}

/** Adds a tag to a conversation, or removes it. */
export function useTagging(conversation: Conversation, tagId: string) {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const { id, workspace_id } = conversation;
  return useMutation({
    mutationFn: async (isOn: boolean) => {
      const row = { workspace_id, conversation_id: id, tag_id: tagId };
      const answer = isOn
        ? await supabase.from("conversation_tags").insert(row)
        : await supabase.from("conversation_tags").delete().match(row);
      // Another user added it first.
      if (answer.error && answer.error.code !== "23505") unwrap(answer);
    },
    onSuccess(_, isOn) {
      const key = conversationKeys.one(id);
      const known = queryClient.getQueryData<Conversation>(key) ?? conversation;
      const others = known.tag_ids.filter((each) => each !== tagId);
      patchConversation(queryClient, { ...known, tag_ids: isOn ? [...others, tagId] : others });
      refresh(queryClient, key);
    },
    onError: () => refresh(queryClient, tagKeys.all(workspace_id)),
  });
}
