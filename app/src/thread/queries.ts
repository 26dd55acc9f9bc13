/**
 * Queries of messages: the thread of a conversation in pages, its newest messages, and links to attachments.
 *
 * @module
 */

import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { ApiError } from "../api/api_error.ts";
import type { ApiClient } from "../api/client.ts";
import { MAX_PAGES } from "../api/keyset_pages.ts";
import { THREAD_POLL_MS } from "../api/query_client.ts";
import type { Message } from "../api/rows.ts";
import { safeUrl } from "../ui/linked_text.tsx";
import {
  cutIntoPages,
  hasNewest,
  makePage,
  type MessagePages,
  messagesOf,
  newerPlace,
  olderPlace,
  PAGE_SIZE,
  type Place,
} from "./message_pages.ts";

type Read = (place: Place, max: number) => Promise<Message[]>;

/** The newest messages are read again with every change, because their statuses move. */
const NEWEST_SIZE = 60;
/** Requests that may be made to catch up, before the thread starts over. */
const MAX_CATCH_UP = 5;
/** A link to an attachment is replaced this long before it expires. */
const LINK_MARGIN_MS = 30_000;
const LINK_RETRIES = 2;

/** Keys of the query cache. */
export const threadKeys = {
  /** A window over the conversation; `around` is the cursor it began at, undefined for the newest message. */
  window: (conversationId: string, around: string | undefined) =>
    ["thread", conversationId, around ?? null] as const,
};

/** The messages of a conversation, in pages, newest first: from the newest one, or around a cursor. */
export function threadQuery(api: ApiClient, conversationId: string, around: string | undefined) {
  const start: Place = around === undefined ? { before: null } : { around };
  return infiniteQueryOptions({
    queryKey: threadKeys.window(conversationId, around),
    initialPageParam: start,
    getNextPageParam: olderPlace,
    getPreviousPageParam: newerPlace,
    maxPages: MAX_PAGES,
    staleTime: Infinity,
    structuralSharing: false,
    queryFn: async ({ pageParam, signal }) =>
      makePage(pageParam, await reader(api, conversationId, signal)(pageParam, PAGE_SIZE)),
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
  around: string | undefined,
  version: string | undefined,
) {
  return queryOptions({
    queryKey: ["thread-newest", conversationId, around ?? null, version],
    staleTime: Infinity,
    // A change that could not be read must not wait for the next one.
    refetchInterval: ({ state }) => state.status === "error" ? THREAD_POLL_MS : false,
    gcTime: 0,
    queryFn: async ({ signal, client }) => {
      const queryKey = threadKeys.window(conversationId, around);
      await refreshNewest(client, queryKey, reader(api, conversationId, signal));
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
  return (place, max) => {
    const before = "before" in place ? place.before ?? undefined : undefined;
    const after = "after" in place ? place.after : undefined;
    const around = "around" in place ? place.around : undefined;
    // A cursor must not stand in a URL: it has the id of a message, and WhatsApp's have the customer's number.
    const call = (before ?? after ?? around) === undefined ? api.read : api.rpc;
    return call("conversation_messages", {
      conversation: conversationId,
      max_messages: max,
      before,
      after,
      around,
    }, signal);
  };
}

/** Reads the newest messages and merges them with those in the cache. */
async function refreshNewest(
  queryClient: QueryClient,
  queryKey: ReturnType<typeof threadKeys.window>,
  read: Read,
): Promise<void> {
  const before = queryClient.getQueryData<MessagePages>(queryKey);
  if (!before || !hasNewest(before)) return;
  const known = messagesOf(before);
  const fresh = await read({ before: null }, NEWEST_SIZE);
  let joint = fresh.length < NEWEST_SIZE ? -2 : placeOf(known, fresh.at(-1)!.id);
  for (let request = 0; joint === -1 && request < MAX_CATCH_UP; request++) {
    const older = await read({ before: fresh.at(-1)!.cursor }, PAGE_SIZE);
    fresh.push(...older);
    joint = older.length < PAGE_SIZE ? -2 : placeOf(known, older.at(-1)!.id);
  }
  if (joint === -1) return await queryClient.resetQueries({ queryKey });
  queryClient.setQueryData<MessagePages>(queryKey, (pages) => {
    if (!pages || pages.pages[0] !== before.pages[0]) return pages;
    const all = messagesOf(pages);
    const rows = fresh.map((message) => keepSame(all, message));
    // Either the whole thread was read, or it continues with the messages in the cache.
    if (joint === -2) return cutIntoPages(rows, null);
    const place = placeOf(all, fresh.at(-1)!.id);
    return cutIntoPages([...rows, ...all.slice(place + 1)], pages.pages.at(-1)?.older ?? null);
  });
}

function placeOf(messages: readonly Message[], id: string): number {
  return messages.findIndex((message) => message.id === id);
}

/** The object in the cache where nothing changed, so that its row is not drawn again. */
function keepSame(known: readonly Message[], message: Message): Message {
  const same = known.find(({ id }) => id === message.id);
  return same && JSON.stringify(same) === JSON.stringify(message) ? same : message;
}
