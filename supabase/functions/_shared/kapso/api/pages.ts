/**
 * Reads Kapso's lists, page by page to their end.
 *
 * @module
 */
import { isObject } from "../../contracts/text.ts";
import { textOf } from "../webhook/content.ts";
import { KapsoError } from "./kapso_error.ts";
import type { Requester } from "./request.ts";

/** A row as Kapso sends it. */
export type Row = Record<string, unknown>;

/** A page of a list. */
export interface Page {
  rows: Row[];
  /** Cursor of the next page: the `after` to continue with. Undefined: this is the last page. */
  after: string | undefined;
}

/** Options of every list. */
export interface ListOptions {
  /** Continues after this cursor, which an earlier page returned. */
  after?: string;
  /** Rows on a page, from 1 to 100. */
  pageSize?: number;
  signal?: AbortSignal;
}

/** Kapso's own maximum. */
const MAX_PAGE_SIZE = 100;

/**
 * Reads a list whose pages are linked by cursors.
 *
 * @throws {KapsoError} `cursor_repeated` where a page names an earlier cursor.
 */
export async function* walk(
  requester: Requester,
  path: string,
  query: Record<string, string | number | undefined>,
  { after: start, pageSize = MAX_PAGE_SIZE, signal }: ListOptions,
): AsyncGenerator<Page> {
  const limit = Math.min(Math.max(Math.trunc(pageSize), 1), MAX_PAGE_SIZE);
  const seen = new Set<string>();
  let cursor = start;
  do {
    const answer = await requester.send({
      path,
      query: { ...query, limit, after: cursor },
      ...(signal === undefined ? {} : { signal }),
    });
    if (cursor !== undefined) seen.add(cursor);
    const page = readPage(answer, requester.baseUrl);
    if (page.after !== undefined && seen.has(page.after)) {
      throw new KapsoError({
        status: 200,
        code: "cursor_repeated",
        message: "Kapso's list does not end: a page names an earlier cursor",
        isRetryable: false,
      });
    }
    yield page;
    cursor = page.after;
  } while (cursor !== undefined);
}

/** Reads a list that has numbered pages. */
export async function readNumberedPages(
  requester: Requester,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Row[]> {
  const found: Row[] = [];
  for (let number = 1;; number++) {
    const rows = readRows(
      await requester.send({
        path,
        query: { per_page: MAX_PAGE_SIZE, page: number },
        ...(signal === undefined ? {} : { signal }),
      }),
    );
    found.push(...rows);
    if (rows.length < MAX_PAGE_SIZE) return found;
  }
}

/** The rows of a list. @throws {KapsoError} `unreadable_answer` for anything else. */
export function readRows(answer: unknown): Row[] {
  const rows = isObject(answer) ? answer.data : answer;
  if (!Array.isArray(rows)) throw unreadable();
  return rows.filter(isObject);
}

/** A single object: one API sends it bare, the other in `data`. */
export function readOne(answer: unknown): Row {
  if (!isObject(answer)) throw unreadable();
  return isObject(answer.data) ? answer.data : answer;
}

function readPage(answer: unknown, baseUrl: string): Page {
  const rows = readRows(answer);
  // Meta's lists name a cursor on their last page too, and end with an empty page.
  if (rows.length === 0) return { rows, after: undefined };
  const paging = isObject(answer) && isObject(answer.paging) ? answer.paging : {};
  const cursors = isObject(paging.cursors) ? paging.cursors : {};
  return { rows, after: textOf(cursors.after) ?? cursorOf(textOf(paging.next), baseUrl) };
}

/** The cursor of `paging.next`, which is a cursor itself or the address of the next page. */
function cursorOf(next: string | undefined, baseUrl: string): string | undefined {
  if (next === undefined || !/^(?:https?:\/\/|\/|\?)/.test(next)) return next;
  return URL.parse(next, `${baseUrl}/`)?.searchParams.get("after") || undefined;
}

function unreadable(): KapsoError {
  return new KapsoError({
    status: 200,
    code: "unreadable_answer",
    message: "Kapso's answer is not what its documentation says",
    isRetryable: false,
  });
}
