/**
 * Queries of messages: the thread of a conversation in pages, its newest messages, and links to attachments.
 *
 * @module
 */

import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { ApiError } from "../api/api_error.ts";
import type { ApiClient } from "../api/client.ts";
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
import type { Message } from "../api/rows.ts";
import { safeUrl } from "../ui/linked_text.tsx";

type MessagePage = Page<Message, string>;
type MessagePages = Pages<Message, string>;
type Read = (before: string | null, max: number) => Promise<Message[]>;

const PAGE_SIZE = 80;
/** The newest messages are read again with every change, because their statuses move. */
const NEWEST_SIZE = 60;
/** Requests that may be made to catch up, before the thread starts over. */
const MAX_CATCH_UP = 5;
/** A link to an attachment is replaced this long before it expires. */
const LINK_MARGIN_MS = 30_000;
const LINK_RETRIES = 2;

/** Keys of the query cache. */
export const threadKeys = {
  one: (conversationId: string) => ["thread", conversationId] as const,
};

/** The messages of a conversation, in pages, newest first. */
export function threadQuery(api: ApiClient, conversationId: string) {
  const queryKey = threadKeys.one(conversationId);
  return infiniteQueryOptions({
    queryKey,
    initialPageParam: FIRST_PAGE as PageParam<string>,
    getNextPageParam: (page: MessagePage) => nextPage(page),
    getPreviousPageParam: (page: MessagePage) => previousPage(page),
    maxPages: MAX_PAGES,
    staleTime: Infinity,
    structuralSharing: false,
    queryFn: async ({ pageParam, signal, direction, client }): Promise<MessagePage> => {
      const read = reader(api, conversationId, signal);
      if (pageParam.cursor === null && direction === "backward") {
        // Back at the newest end, where messages were added since.
        const pages = client.getQueryData<MessagePages>(queryKey);
        const rows = await catchUp(read, pages?.pages[0]?.rows[0]?.id);
        if (rows) {
          const newer = pages?.pages[0]?.param.cursor ?? null;
          return { param: pageParam, rows, next: newer };
        }
      }
      const rows = await read(pageParam.cursor, PAGE_SIZE);
      return {
        param: pageParam,
        rows,
        next: rows.length < PAGE_SIZE ? null : rows.at(-1)!.cursor,
      };
    },
  });
}

/**
 * Reads the newest messages and merges them into {@linkcode threadQuery}, once per version.
 *
 * @param version Changes whenever the conversation changes.
 */
export function newestMessagesQuery(
  api: ApiClient,
  conversationId: string,
  version: string | undefined,
) {
  return queryOptions({
    queryKey: ["thread-newest", conversationId, version],
    staleTime: Infinity,
    // A change that could not be read must not wait for the next one.
    refetchInterval: ({ state }) => state.status === "error" ? THREAD_POLL_MS : false,
    gcTime: 0,
    queryFn: async ({ signal, client }) => {
      await refreshNewest(client, conversationId, reader(api, conversationId, signal));
      return version ?? "";
    },
  });
}

/** A link to the attachment of a message, which works for some minutes. Fails with 404 where there is none. */
export function attachmentLinkQuery(api: ApiClient, conversationId: string, message: Message) {
  return queryOptions<{ url: string | undefined; expiresAt: number }>({
    queryKey: ["attachment-link", conversationId, message.id, message.media_url],
    staleTime: ({ state }) => state.data ? Math.max(0, state.data.expiresAt - Date.now()) : 0,
    retry: (failures, error) =>
      failures < LINK_RETRIES && error instanceof ApiError && error.isTemporary,
    queryFn: async ({ signal }) => {
      const link = await api.inbox<{ url: string; expires_at: string }>({
        method: "POST",
        path: "media-links",
        body: { conversation_id: conversationId, message_id: message.id },
        signal,
      });
      return {
        url: safeUrl(link.url),
        expiresAt: Date.parse(link.expires_at) - LINK_MARGIN_MS,
      };
    },
  });
}

function reader(api: ApiClient, conversationId: string, signal: AbortSignal): Read {
  return (before, max) =>
    api.rpc("conversation_messages", {
      conversation: conversationId,
      max_messages: max,
      before: before ?? undefined,
    }, signal);
}

const cursorOf = (message: Message) => message.cursor;

/** Reads the newest messages and merges them with those in the cache. */
async function refreshNewest(
  queryClient: QueryClient,
  conversationId: string,
  read: Read,
): Promise<void> {
  const queryKey = threadKeys.one(conversationId);
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
    // Either the whole thread was read, or it continues with the messages in the cache.
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

/** Reads what is newer than a message; undefined where that is too much. */
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

/** The object in the cache where nothing changed, so that its row is not drawn again. */
function keepSame(known: readonly Message[], message: Message): Message {
  const same = known.find(({ id }) => id === message.id);
  return same && JSON.stringify(same) === JSON.stringify(message) ? same : message;
}
