/**
 * The list of conversations: pages in a window, kept fresh at the top.
 *
 * @module
 */

import {
  type QueryClient,
  type QueryKey,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
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
import { LIST_POLL_MS, REALTIME_POLL_MS } from "../api/query_client.ts";
import type { Conversation } from "../api/types.ts";
import { useUser } from "../session/session.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import type { ConversationFilters } from "./filters.ts";
import { useIsLive } from "./live.ts";
import {
  type ConversationCursor,
  type ConversationRows,
  cursorOf,
  readConversations,
} from "./read_conversations.ts";

type ConversationPages = Pages<Conversation, ConversationCursor>;
type ConversationPage = Page<Conversation, ConversationCursor>;
type Read = (
  before: ConversationCursor | null,
  max: number,
) => Promise<ConversationRows>;

const PAGE_SIZE = 50;
/** Rows the REST API returns at most. */
const MAX_ROWS = 200;
/** So many requests are made to fetch what came in since the last look, before everything is read anew. */
const MAX_CATCH_UP = 3;

/** Keys of the query cache. */
export const conversationKeys = {
  lists: (workspaceId: string) => ["conversations", workspaceId] as const,
  newest: (workspaceId: string) => ["conversations-newest", workspaceId] as const,
  any: ["conversation"] as const,
  one: (id: string) => ["conversation", id] as const,
};

/** The conversations that fit. */
export function useConversations(filters: ConversationFilters) {
  const { supabase } = useApi();
  const isLive = useIsLive();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  const userId = useUser().id;
  const queryKey = [...conversationKeys.lists(workspace.id), filters];
  const read = (signal: AbortSignal | undefined): Read => (before, max) =>
    readConversations(supabase, {
      workspaceId: workspace.id,
      userId,
      filters,
      before,
      max,
      signal,
    });

  const query = useInfiniteQuery({
    queryKey,
    initialPageParam: FIRST_PAGE as PageParam<ConversationCursor>,
    getNextPageParam: (page: ConversationPage) => nextPage(page),
    getPreviousPageParam: (page: ConversationPage) => previousPage(page),
    maxPages: MAX_PAGES,
    staleTime: Infinity,
    structuralSharing: false,
    queryFn: async (
      { pageParam, signal, direction },
    ): Promise<ConversationPage> => {
      if (pageParam.cursor === null && direction === "backward") {
        // Back at the top: new rows have come in, and they belong on this page too.
        const pages = queryClient.getQueryData<ConversationPages>(queryKey);
        const end = pages?.pages[0]?.param.cursor ?? null;
        const fresh = await readUntil(read(signal), end, PAGE_SIZE);
        return {
          param: pageParam,
          ...(fresh ?? await read(signal)(null, PAGE_SIZE)),
        };
      }
      return {
        param: pageParam,
        ...await read(signal)(pageParam.cursor, PAGE_SIZE),
      };
    },
  });

  const newest = useQuery({
    queryKey: [...conversationKeys.newest(workspace.id), filters],
    enabled: query.isSuccess,
    staleTime: 0,
    refetchInterval: isLive ? REALTIME_POLL_MS : LIST_POLL_MS,
    queryFn: async ({ signal }) => {
      await refreshNewest(queryClient, queryKey, read(signal));
      return Date.now();
    },
  });

  return {
    query,
    /** Whether the last look at what is new did not work. */
    isBehind: newest.isError,
  };
}

/**
 * Reads the top of a list anew and joins it with what is there. Where that has changed meanwhile, what was
 * read may be older than the change, and is read again: nobody else would before the next look.
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
 * Reads from the top to the given place; to the end of a page where the list had no more.
 *
 * @returns undefined when too much has come in to be worth it.
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
  const difference = Date.parse(row.activity_at) -
    Date.parse(place.activity_at);
  if (row.activity_at === place.activity_at) return row.id < place.id;
  // Times are kept to the microsecond, of which Date knows nothing.
  return difference !== 0 ? difference < 0 : row.activity_at < place.activity_at;
}

/** Puts a row that a request returned into every list that shows it, before the next look. */
export function patchConversation(
  queryClient: QueryClient,
  row: Conversation,
): void {
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
  queryClient.invalidateQueries({
    queryKey: conversationKeys.newest(row.workspace_id),
  });
}

/** One conversation, looked at again as often as its thread. */
export function useConversation(id: string, pollMs: number) {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const workspace = useWorkspace();
  return useQuery<Conversation | null>({
    queryKey: conversationKeys.one(id),
    refetchInterval: pollMs,
    staleTime: 0,
    queryFn: async ({ signal }) => {
      const answer = await supabase.from("conversation_list").select().eq(
        "id",
        id,
      )
        .eq("workspace_id", workspace.id).abortSignal(signal).maybeSingle();
      // An id that is none, as in a mistyped address.
      if (answer.error?.code === "22P02") return null;
      return answer.error ? unwrap(answer) : answer.data;
    },
    // What the list knows is shown until the answer is there.
    placeholderData: () => {
      for (
        const [, pages] of queryClient.getQueriesData<ConversationPages>({
          queryKey: conversationKeys.lists(workspace.id),
        })
      ) {
        const row = flatten(pages).find((row) => row.id === id);
        if (row) return row;
      }
      return undefined;
    },
  });
}
