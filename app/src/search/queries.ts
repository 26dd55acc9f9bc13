/**
 * Queries of the search: contacts with their newest conversation, and messages in pages.
 *
 * @module
 */

import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import type { MessageHit, Person } from "../api/rows.ts";
import type { ConversationFilters, MessageFilters } from "../conversations/filters.ts";
import { startOfDay } from "../format.ts";

/** Contacts that are looked for at most. */
export const MAX_CONTACTS = 20;
/** Rows the REST API returns at most. */
const MAX_ROWS = 200;

/** Keys of the query cache. */
export const searchKeys = {
  contacts: (workspaceId: string) => ["search-contacts", workspaceId] as const,
  messages: (workspaceId: string) => ["search-messages", workspaceId] as const,
};

/** A contact that a search found. */
export interface ContactHit {
  person: Pick<Person, "id" | "name" | "kapso_name" | "phone" | "email">;
  /** The newest conversation; null where there is none. */
  conversationId: string | null;
}

/** Contacts whose name, number or email has each word of `text`, the last active first. */
export function contactSearchQuery(api: ApiClient, workspaceId: string, text: string) {
  return queryOptions({
    queryKey: [...searchKeys.contacts(workspaceId), text],
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }): Promise<ContactHit[]> => {
      const people = await api.rpc("search_people", {
        workspace_id: workspaceId,
        search: text,
        max_people: MAX_CONTACTS,
      }, signal);
      const newest = await newestConversations(
        api,
        workspaceId,
        people.map(({ id }) => id),
        signal,
      );
      return people.map((person) => ({ person, conversationId: newest.get(person.id) ?? null }));
    },
  });
}

/** Where and how to search for messages. */
export interface MessageSearch {
  workspaceId: string;
  userId: string;
  text: string;
  filters: Pick<ConversationFilters, "platform" | "assignee" | "tagId">;
  messageFilters: MessageFilters;
  /** In this conversation alone; undefined for all that match the filters. */
  conversationId?: string;
  /** Messages of a page, up to 100. */
  pageSize: number;
}

/** Messages that have each word of the text, in pages, newest first. */
export function messageSearchQuery(api: ApiClient, search: MessageSearch) {
  const { workspaceId, userId, text, filters, messageFilters, conversationId, pageSize } = search;
  const { direction, hasFile, from, to } = messageFilters;
  const { platform, assignee, tagId } = filters;
  return infiniteQueryOptions({
    queryKey: [...searchKeys.messages(workspaceId), {
      text,
      platform,
      assignee,
      tagId,
      ...messageFilters,
      conversationId,
    }],
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: MessageHit[]) =>
      page.length < pageSize ? undefined : page.at(-1)?.cursor,
    queryFn: ({ pageParam, signal }): Promise<MessageHit[]> =>
      api.rpc("search_messages", {
        workspace_id: workspaceId,
        search: text,
        conversation_id: conversationId,
        platform: platform === "all" ? undefined : platform,
        assigned_to: assignee === "mine" ? userId : undefined,
        is_unassigned: assignee === "unassigned" || undefined,
        tag_id: tagId ?? undefined,
        direction: direction === "all" ? undefined : direction,
        has_file: hasFile || undefined,
        sent_from: from === null ? undefined : startOfDay(from).toISOString(),
        sent_to: to === null ? undefined : startOfDay(to, 1).toISOString(),
        before: pageParam,
        max_messages: pageSize,
      }, signal),
  });
}

/** Ids of the newest conversations of people, by the id of the person. */
async function newestConversations(
  api: ApiClient,
  workspaceId: string,
  personIds: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const newest = new Map<string, string>();
  let missing = personIds;
  while (missing.length > 0) {
    const rows = unwrap(
      await api.supabase.from("conversation_list").select("id, person_id")
        .eq("workspace_id", workspaceId).in("person_id", missing)
        .order("activity_at", { ascending: false }).limit(MAX_ROWS).abortSignal(signal),
    );
    for (const { id, person_id } of rows) {
      if (person_id !== null && !newest.has(person_id)) newest.set(person_id, id);
    }
    // A person with very many conversations may have left no room for the others.
    if (rows.length < MAX_ROWS) break;
    missing = missing.filter((id) => !newest.has(id));
  }
  return newest;
}
