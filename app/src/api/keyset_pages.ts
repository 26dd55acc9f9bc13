/**
 * Pages of a long list in a sliding window: pages are fetched as they are needed, and those far away are
 * dropped, so that memory does not grow with scrolling.
 *
 * Pages are found by cursors (the place of the last row of the page before), never by number: rows that
 * are added above do not shift them.
 *
 * @module
 */

import type { InfiniteData } from "@tanstack/react-query";

/** Which page. Knows the one before it, so that a dropped page can be fetched again. */
export interface PageParam<Cursor> {
  /** Rows older than this; null for the newest. */
  readonly cursor: Cursor | null;
  /** Number of rows before this page, as counted when it was found. */
  readonly offset: number;
  readonly newer: PageParam<Cursor> | null;
}

/** A page, newest row first. */
export interface Page<Row, Cursor> {
  readonly param: PageParam<Cursor>;
  readonly rows: readonly Row[];
  /** Where the next page starts; null at the end of the list. */
  readonly next: Cursor | null;
}

/** Pages in the shape of the query cache. */
export type Pages<Row, Cursor> = InfiniteData<
  Page<Row, Cursor>,
  PageParam<Cursor>
>;

/** How many pages are kept. */
export const MAX_PAGES = 10;

/** The newest page. */
export const FIRST_PAGE: PageParam<never> = {
  cursor: null,
  offset: 0,
  newer: null,
};

/** The page after the last loaded one. */
export function nextPage<Row, Cursor>(
  page: Page<Row, Cursor>,
): PageParam<Cursor> | undefined {
  if (page.next === null) return undefined;
  return {
    cursor: page.next,
    offset: page.param.offset + page.rows.length,
    newer: page.param,
  };
}

/** The page before the first loaded one. */
export function previousPage<Row, Cursor>(
  page: Page<Row, Cursor>,
): PageParam<Cursor> | undefined {
  return page.param.newer ?? undefined;
}

/** Whether the newest rows are loaded, so that new rows can be added to them. */
export function hasNewest(pages: { pages: Page<unknown, unknown>[] }): boolean {
  return pages.pages[0]?.param.cursor === null;
}

/** All rows of the pages, newest first. */
export function flatten<Row>(
  pages: { pages: Page<Row, unknown>[] } | undefined,
): Row[] {
  return pages?.pages.flatMap((page) => page.rows) ?? [];
}

/**
 * Splits rows into pages again, after rows were added or removed at the top. The rows must begin with the
 * newest one.
 *
 * @param next Where the list continues after the rows; null at its end.
 */
export function cutIntoPages<Row, Cursor>(
  rows: readonly Row[],
  next: Cursor | null,
  options: { pageSize: number; cursorOf: (row: Row) => Cursor },
): Pages<Row, Cursor> {
  const { pageSize, cursorOf } = options;
  const pages: Page<Row, Cursor>[] = [];
  let param: PageParam<Cursor> = FIRST_PAGE;
  do {
    const start = pages.length * pageSize;
    const chunk = rows.slice(start, start + pageSize);
    const last = chunk.at(-1);
    const isLast = start + pageSize >= rows.length;
    const page: Page<Row, Cursor> = {
      param,
      rows: chunk,
      next: isLast || last === undefined ? next : cursorOf(last),
    };
    pages.push(page);
    if (isLast) break;
    param = nextPage(page) ?? param;
  } while (pages.length < MAX_PAGES);
  return { pages, pageParams: pages.map((page) => page.param) };
}
