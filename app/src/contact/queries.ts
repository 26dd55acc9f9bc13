/**
 * Queries of contacts: one person with notes, merges and conversations, and the search for people.
 *
 * @module
 */

import { keepPreviousData, type QueryClient, queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import { refresh } from "../api/query_client.ts";
import { conversationKeys } from "../conversations/queries.ts";

const PERSON_COLUMNS = "id, workspace_id, name, kapso_name, email, phone, last_activity_at";
const MAX_NOTES = 50;
const MAX_CONVERSATIONS = 50;
const MAX_MERGES = 5;

/** Keys of the query cache. */
export const contactKeys = {
  person: (personId: string) => ["person", personId] as const,
  notes: (personId: string) => ["person-notes", personId] as const,
  allMerges: ["person-merges"] as const,
  merges: (personId: string) => ["person-merges", personId] as const,
  allConversations: ["person-conversations"] as const,
  conversations: (personId: string) => ["person-conversations", personId] as const,
};

/** A person and how they are known on each platform; `person` is null where it no longer exists. */
export function personQuery(api: ApiClient, personId: string) {
  return queryOptions({
    queryKey: contactKeys.person(personId),
    staleTime: 30_000,
    queryFn: async ({ signal }) => {
      const [person, identities] = await Promise.all([
        api.supabase.from("people").select(PERSON_COLUMNS).eq("id", personId)
          .abortSignal(signal).maybeSingle(),
        api.supabase.from("person_identities").select("id, platform, identifier")
          .eq("person_id", personId).order("created_at").abortSignal(signal),
      ]);
      if (person.error) unwrap(person);
      return {
        person: person.data,
        identities: unwrap(identities),
      };
    },
  });
}

/** The newest notes about a person. */
export function personNotesQuery(api: ApiClient, personId: string) {
  return queryOptions({
    queryKey: contactKeys.notes(personId),
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.from("person_notes").select().eq("person_id", personId)
          .eq("kind", "note").order("created_at", { ascending: false }).limit(MAX_NOTES)
          .abortSignal(signal),
      ),
  });
}

/** The newest merges into a person that can be undone. */
export function personMergesQuery(api: ApiClient, personId: string) {
  return queryOptions({
    queryKey: contactKeys.merges(personId),
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.from("person_merges").select().eq("kept_id", personId)
          .is("undone_at", null).order("created_at", { ascending: false }).limit(MAX_MERGES)
          .abortSignal(signal),
      ),
  });
}

/** The newest conversations of a person, on every platform. */
export function personConversationsQuery(api: ApiClient, workspaceId: string, personId: string) {
  return queryOptions({
    queryKey: contactKeys.conversations(personId),
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.from("conversation_list").select().eq("workspace_id", workspaceId)
          .eq("person_id", personId).order("activity_at", { ascending: false })
          .limit(MAX_CONVERSATIONS).abortSignal(signal),
      ),
  });
}

/** People of a workspace whose name, number or email has each word of `text`, without the one with `exceptId`. */
export function peopleSearchQuery(
  api: ApiClient,
  { workspaceId, text, exceptId }: {
    workspaceId: string;
    text: string;
    exceptId: string | undefined;
  },
) {
  return queryOptions({
    queryKey: ["people-search", workspaceId, text],
    enabled: text !== "",
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      api.rpc("search_people", { workspace_id: workspaceId, search: text }, signal),
    select: (people) => people.filter(({ id }) => id !== exceptId),
  });
}

/** Reads a person again, and everything that shows the person's name. */
export function refreshPerson(queryClient: QueryClient, personId: string): void {
  refresh(queryClient, contactKeys.person(personId));
  refresh(queryClient, contactKeys.allConversations);
  refresh(queryClient, contactKeys.allMerges);
  refresh(queryClient, conversationKeys.all);
  refresh(queryClient, conversationKeys.allLists);
}
