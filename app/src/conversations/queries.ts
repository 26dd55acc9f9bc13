/**
 * Queries of conversations: the list in pages, and one by its id.
 *
 * @module
 */

import {
  infiniteQueryOptions,
  type QueryClient,
  type QueryKey,
  queryOptions,
} from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import {
  cutIntoPages,
  FIRST_PAGE,
  flatten,
  hasNewest,
  MAX_PAGES,
  nextPage,
  type Page,
  type PageParam,
  type Pages,
  previousPage,
} from "../api/keyset_pages.ts";
import { refresh } from "../api/query_client.ts";
import type { Conversation } from "../api/rows.ts";
import type { ConversationFilters } from "./filters.ts";
import {
  type ConversationCursor,
  type ConversationRows,
  cursorOf,
  readConversations,
} from "./read_conversations.ts";

type ConversationPages = Pages<Conversation, ConversationCursor>;
type ConversationPage = Page<Conversation, ConversationCursor>;
type Read = (before: ConversationCursor | null, max: number) => Promise<ConversationRows>;

const PAGE_SIZE = 50;
/** Rows the REST API returns at most. */
const MAX_ROWS = 200;
/** Requests that may be made to catch up with the newest conversations, before the list starts over. */
const MAX_CATCH_UP = 3;

/** Keys of the query cache. */
export const conversationKeys = {
  /** Every list of every workspace. */
  allLists: ["conversations"] as const,
  lists: (workspaceId: string) => ["conversations", workspaceId] as const,
  newest: (workspaceId: string) => ["conversations-newest", workspaceId] as const,
  /** Every conversation that was opened. */
  all: ["conversation"] as const,
  one: (id: string) => ["conversation", id] as const,
};

/** Which list: of a workspace, as a user narrowed it. */
export interface ConversationListOptions {
  workspaceId: string;
  userId: string;
  filters: ConversationFilters;
}

/** The conversations that match, in pages, newest first. */
export function conversationListQuery(api: ApiClient, options: ConversationListOptions) {
  const queryKey = [...conversationKeys.lists(options.workspaceId), options.filters] as const;
  return infiniteQueryOptions({
    queryKey,
    initialPageParam: FIRST_PAGE as PageParam<ConversationCursor>,
    getNextPageParam: (page: ConversationPage) => nextPage(page),
    getPreviousPageParam: (page: ConversationPage) => previousPage(page),
    maxPages: MAX_PAGES,
    staleTime: Infinity,
    structuralSharing: false,
    queryFn: async ({ pageParam, signal, direction, client }): Promise<ConversationPage> => {
      const read = reader(api, options, signal);
      if (pageParam.cursor === null && direction === "backward") {
        // Back at the top: rows that were added since belong on this page too.
        const pages = client.getQueryData<ConversationPages>(queryKey);
        const end = pages?.pages[0]?.param.cursor ?? null;
        const fresh = await readUntil(read, end, PAGE_SIZE);
        return { param: pageParam, ...(fresh ?? await read(null, PAGE_SIZE)) };
      }
      return { param: pageParam, ...await read(pageParam.cursor, PAGE_SIZE) };
    },
  });
}

/** Reads the top of a list again and merges it into {@linkcode conversationListQuery}. */
export function newestConversationsQuery(api: ApiClient, options: ConversationListOptions) {
  const listKey = conversationListQuery(api, options).queryKey;
  return queryOptions({
    queryKey: [...conversationKeys.newest(options.workspaceId), options.filters],
    staleTime: 0,
    queryFn: async ({ signal, client }) => {
      await refreshNewest(client, listKey, reader(api, options, signal));
      return Date.now();
    },
  });
}

/** A conversation by its id; null where there is none, or none that the user may see. */
export function conversationQuery(api: ApiClient, workspaceId: string, id: string) {
  return queryOptions<Conversation | null>({
    queryKey: conversationKeys.one(id),
    staleTime: 0,
    queryFn: async ({ signal }) => {
      const answer = await api.supabase.from("conversation_list").select().eq("id", id)
        .eq("workspace_id", workspaceId).abortSignal(signal).maybeSingle();
      // The id is not a UUID, as in a mistyped address.
      if (answer.error?.code === "22P02") return null;
      return answer.error ? unwrap(answer) : answer.data;
    },
  });
}

/** Whether a workspace has any conversation. */
export function hasConversationsQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: ["has-conversations", workspaceId],
    queryFn: async ({ signal }) =>
      unwrap(
        await api.supabase.from("conversation_list").select("id").eq("workspace_id", workspaceId)
          .limit(1).abortSignal(signal),
      ).length > 0,
  });
}

/** A conversation as the lists in the cache have it. */
export function findInLists(
  queryClient: QueryClient,
  workspaceId: string,
  id: string,
): Conversation | undefined {
  const lists = queryClient.getQueriesData<ConversationPages>({
    queryKey: conversationKeys.lists(workspaceId),
  });
  for (const [, pages] of lists) {
    const row = flatten(pages).find((row) => row.id === id);
    if (row) return row;
  }
  return undefined;
}

/** Puts a row that a request returned into every list that shows it, and reads the top of the list again. */
export function patchConversation(queryClient: QueryClient, row: Conversation): void {
  queryClient.setQueryData(conversationKeys.one(row.id), row);
  queryClient.setQueriesData<ConversationPages>(
    { queryKey: conversationKeys.lists(row.workspace_id) },
    (pages) =>
      pages && {
        ...pages,
        pages: pages.pages.map((page) => ({
          ...page,
          rows: page.rows.map((shown) => shown.id === row.id ? row : shown),
        })),
      },
  );
  refresh(queryClient, conversationKeys.newest(row.workspace_id));
}

function reader(
  api: ApiClient,
  options: ConversationListOptions,
  signal: AbortSignal,
): Read {
  return (before, max) => readConversations(api, { ...options, before, max, signal });
}

/**
 * Reads the top of a list and merges it with the pages in the cache. If those changed in between, the answer
 * may be older than the change, so it reads again.
 */
async function refreshNewest(
  queryClient: QueryClient,
  queryKey: QueryKey,
  read: Read,
): Promise<void> {
  for (let attempt = 0; attempt < MAX_CATCH_UP; attempt++) {
    const before = queryClient.getQueryData<ConversationPages>(queryKey);
    const first = before?.pages[0];
    if (!before || !first || !hasNewest(before)) return;
    const fresh = await readUntil(read, first.next, first.rows.length);
    if (!fresh) return await queryClient.resetQueries({ queryKey });
    const pages = queryClient.getQueryData<ConversationPages>(queryKey);
    if (pages?.pages[0] !== first) continue;
    const ids = new Set(fresh.rows.map((row) => row.id));
    const older = flatten({ ...pages, pages: pages.pages.slice(1) })
      .filter((row) => !ids.has(row.id));
    const end = pages.pages.length > 1 ? pages.pages.at(-1)?.next ?? null : fresh.next;
    queryClient.setQueryData<ConversationPages>(
      queryKey,
      cutIntoPages([...fresh.rows, ...older], end, { pageSize: PAGE_SIZE, cursorOf }),
    );
    return;
  }
}

/**
 * Reads from the top to the given place, or one page where the list ended there.
 *
 * @returns undefined when too many rows were added to be worth it.
 */
async function readUntil(
  read: Read,
  end: ConversationCursor | null,
  expected: number,
): Promise<ConversationRows | undefined> {
  const rows: Conversation[] = [];
  let before: ConversationCursor | null = null;
  const max = Math.min(MAX_ROWS, Math.max(PAGE_SIZE, expected) + 10);
  for (let request = 0; request < MAX_CATCH_UP; request++) {
    const found: ConversationRows = await read(before, max);
    rows.push(...found.rows);
    if (end === null) return { rows, next: found.next };
    const past = rows.findIndex((row) => isOlder(row, end));
    if (past >= 0 || found.next === null) {
      return { rows: past >= 0 ? rows.slice(0, past) : rows, next: end };
    }
    before = found.next;
  }
  return undefined;
}

function isOlder(row: Conversation, place: ConversationCursor): boolean {
  const difference = Date.parse(row.activity_at) - Date.parse(place.activity_at);
  if (row.activity_at === place.activity_at) return row.id < place.id;
  // Postgres keeps microseconds, which Date drops.
  return difference !== 0 ? difference < 0 : row.activity_at < place.activity_at;
}
