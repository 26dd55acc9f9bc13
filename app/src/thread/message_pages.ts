/**
 * Pages of a conversation's messages, in a window that slides over it: it begins at the newest message or around any
 * other one, and grows at both ends. Pages far away are dropped, so that memory does not grow with scrolling.
 *
 * @module
 */

import type { InfiniteData } from "@tanstack/react-query";
import { MAX_PAGES } from "../api/keyset_pages.ts";
import type { Message } from "../api/rows.ts";

/** Messages of a page. */
export const PAGE_SIZE = 80;

/** Where a page is: by the cursor of a message. `before: null` is the newest page. */
export type Place =
  | { readonly before: string | null }
  | { readonly around: string }
  | { readonly after: string };

/** A page, newest message first. */
export interface MessagePage {
  readonly rows: readonly Message[];
  /** Where the page of older messages starts; null at the beginning of the conversation. */
  readonly older: string | null;
  /** Whether it ends with the newest message. */
  readonly isNewest: boolean;
}

/** Pages in the shape of the query cache. */
export type MessagePages = InfiniteData<MessagePage, Place>;

/** A page from the messages that were found at a place. */
export function makePage(place: Place, rows: readonly Message[]): MessagePage {
  const isFull = rows.length >= PAGE_SIZE;
  const last = rows.at(-1)?.cursor ?? null;
  if ("after" in place) {
    return { rows, older: last ?? place.after, isNewest: !isFull };
  }
  return {
    rows,
    older: isFull ? last : null,
    // Half of the page is for newer messages. Fewer mean that there are no more.
    isNewest: "around" in place
      ? countNewer(rows, place.around) < Math.floor(PAGE_SIZE / 2)
      : place.before === null,
  };
}

/** The page of older messages. */
export function olderPlace({ older }: MessagePage): Place | undefined {
  return older === null ? undefined : { before: older };
}

/** The page of newer messages. */
export function newerPlace({ rows, isNewest }: MessagePage): Place | undefined {
  const first = rows[0];
  return isNewest || !first ? undefined : { after: first.cursor };
}

/** Whether the newest messages are loaded, so that new ones can be added to them. */
export function hasNewest(pages: { pages: readonly MessagePage[] }): boolean {
  return pages.pages[0]?.isNewest === true;
}

/** All messages of the pages, newest first. */
export function messagesOf(pages: { pages: readonly MessagePage[] } | undefined): Message[] {
  return pages?.pages.flatMap((page) => page.rows) ?? [];
}

/**
 * Splits messages into pages again, after some were added at the newest end. They must begin with the newest one.
 *
 * @param older Where the conversation continues after them; null at its beginning.
 */
export function cutIntoPages(rows: readonly Message[], older: string | null): MessagePages {
  const pages: MessagePage[] = [];
  const places: Place[] = [];
  for (
    let start = 0;
    start === 0 || (start < rows.length && pages.length < MAX_PAGES);
    start += PAGE_SIZE
  ) {
    const part = rows.slice(start, start + PAGE_SIZE);
    const isLast = start + PAGE_SIZE >= rows.length;
    places.push({ before: start === 0 ? null : rows[start - 1]!.cursor });
    pages.push({
      rows: part,
      older: isLast ? older : part.at(-1)!.cursor,
      isNewest: start === 0,
    });
  }
  return { pages, pageParams: places };
}

/** The place of the message with this cursor, newest first; where it is gone, that of the first older one. */
export function placeOfCursor(rows: readonly Message[], cursor: string): number {
  const exact = rows.findIndex((message) => message.cursor === cursor);
  if (exact >= 0) return exact;
  const time = Date.parse(cursor.split("~", 1)[0]!);
  return rows.findIndex(({ sent_at }) => Date.parse(sent_at) <= time);
}

function countNewer(rows: readonly Message[], cursor: string): number {
  const place = placeOfCursor(rows, cursor);
  return place < 0 ? rows.length : place;
}
