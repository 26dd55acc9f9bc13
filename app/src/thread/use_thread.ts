/**
 * The messages of a thread: pages in a window, kept fresh at the newest end.
 *
 * @module
 */

import {
  type QueryClient,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
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
import { THREAD_POLL_MS } from "../api/query_client.ts";
import type { Message } from "../api/types.ts";

type MessagePage = Page<Message, string>;
type MessagePages = Pages<Message, string>;
type Read = (before: string | null, max: number) => Promise<Message[]>;

const PAGE_SIZE = 80;
/** The newest messages are read again with every change: their statuses move. */
const NEWEST_SIZE = 60;
/** So many requests are made to catch up, before the thread is read anew. */
const MAX_CATCH_UP = 5;
const cursorOf = (message: Message) => message.cursor;

/** Key of a thread in the query cache. */
export function threadKey(conversationId: string) {
  return ["thread", conversationId] as const;
}

/**
 * The thread of a conversation.
 *
 * @param version Changes when the conversation has changed; undefined while that is not known.
 */
export function useThread(conversationId: string, version: string | undefined) {
  const { supabase } = useApi();
  const queryClient = useQueryClient();
  const read = (signal: AbortSignal): Read => async (before, max) =>
    unwrap(
      await supabase.rpc("conversation_messages", {
        conversation: conversationId,
        max_messages: max,
        ...(before === null ? {} : { before }),
      }).abortSignal(signal),
    );

  const query = useInfiniteQuery({
    queryKey: threadKey(conversationId),
    initialPageParam: FIRST_PAGE as PageParam<string>,
    getNextPageParam: (page: MessagePage) => nextPage(page),
    getPreviousPageParam: (page: MessagePage) => previousPage(page),
    maxPages: MAX_PAGES,
    staleTime: Infinity,
    structuralSharing: false,
    queryFn: async ({ pageParam, signal, direction }): Promise<MessagePage> => {
      if (pageParam.cursor === null && direction === "backward") {
        // Back at the newest end, where messages have come in.
        const pages = queryClient.getQueryData<MessagePages>(
          threadKey(conversationId),
        );
        const rows = await catchUp(read(signal), pages?.pages[0]?.rows[0]?.id);
        if (rows) {
          const newer = pages?.pages[0]?.param.cursor ?? null;
          return { param: pageParam, rows, next: newer };
        }
      }
      const rows = await read(signal)(pageParam.cursor, PAGE_SIZE);
      return {
        param: pageParam,
        rows,
        next: rows.length < PAGE_SIZE ? null : rows.at(-1)!.cursor,
      };
    },
  });

  useQuery({
    queryKey: ["thread-newest", conversationId, version],
    enabled: query.isSuccess && version !== undefined,
    staleTime: Infinity,
    // A change that could not be read must not wait for the next one.
    refetchInterval: ({ state }) => state.status === "error" ? THREAD_POLL_MS : false,
    gcTime: 0,
    queryFn: async ({ signal }) => {
      await refreshNewest(queryClient, conversationId, read(signal));
      return version ?? "";
    },
  });

  const messages = useMemo(() => flatten(query.data).reverse(), [query.data]);
  const reset = useCallback(
    () => queryClient.resetQueries({ queryKey: threadKey(conversationId) }),
    [queryClient, conversationId],
  );
  return {
    /** Oldest first. */
    messages,
    query,
    /** Whether the newest messages are among them. */
    hasNewest: query.data === undefined || hasNewest(query.data),
    /** Lets everything go and starts at the newest messages again. */
    reset,
  };
}

/** Reads the newest messages and joins them with those that are there. */
async function refreshNewest(
  queryClient: QueryClient,
  conversationId: string,
  read: Read,
): Promise<void> {
  const queryKey = threadKey(conversationId);
  const before = queryClient.getQueryData<MessagePages>(queryKey);
  if (!before || !hasNewest(before)) return;
  const known = flatten(before);
  const fresh = await read(null, NEWEST_SIZE);
  let joint = fresh.length < NEWEST_SIZE ? -2 : placeOf(known, fresh.at(-1)!.id);
  for (let request = 0; joint === -1 && request < MAX_CATCH_UP; request++) {
    const older = await read(fresh.at(-1)!.cursor, PAGE_SIZE);
    fresh.push(...older);
    joint = older.length < PAGE_SIZE ? -2 : placeOf(known, older.at(-1)!.id);
  }
  if (joint === -1) return await queryClient.resetQueries({ queryKey });
  queryClient.setQueryData<MessagePages>(queryKey, (pages) => {
    if (!pages || pages.pages[0] !== before.pages[0]) return pages;
    const all = flatten(pages);
    const rows = fresh.map((message) => keepSame(all, message));
    // The whole thread has come, or it goes on with what is known.
    if (joint === -2) {
      return cutIntoPages(rows, null, { pageSize: PAGE_SIZE, cursorOf });
    }
    const place = placeOf(all, fresh.at(-1)!.id);
    const next = pages.pages.at(-1)?.next ?? null;
    return cutIntoPages([...rows, ...all.slice(place + 1)], next, {
      pageSize: PAGE_SIZE,
      cursorOf,
    });
  });
}

/** Reads what is newer than a message; nothing where it is too much. */
async function catchUp(
  read: Read,
  knownId: string | undefined,
): Promise<Message[] | undefined> {
  const rows: Message[] = [];
  let before: string | null = null;
  for (let request = 0; request < MAX_CATCH_UP; request++) {
    const found = await read(before, PAGE_SIZE);
    const known = found.findIndex((message) => message.id === knownId);
    rows.push(...(known < 0 ? found : found.slice(0, known)));
    if (known >= 0) return rows;
    if (found.length < PAGE_SIZE) return undefined;
    before = found.at(-1)!.cursor;
  }
  return undefined;
}

function placeOf(messages: readonly Message[], id: string): number {
  return messages.findIndex((message) => message.id === id);
}

/** The object that is there already where nothing changed, so that its row is not drawn again. */
function keepSame(known: readonly Message[], message: Message): Message {
  const same = known.find(({ id }) => id === message.id);
  return same && JSON.stringify(same) === JSON.stringify(message) ? same : message;
}
