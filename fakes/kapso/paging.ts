/**
 * Opaque cursors, as Kapso's lists have them: base64 of the last row's sort values.
 *
 * @module
 */

type Key = Record<string, string | number>;

/** What a list is asked for. */
export interface PageOptions {
  limit: number;
  after?: string;
  before?: string;
  onBadCursor: () => never;
}

/** A page of a list. */
export interface Page<Row> {
  rows: Row[];
  paging: {
    cursors: { before: string | null; after: string | null };
    next: string | null;
    previous: string | null;
  };
}

/**
 * Cut a page out of rows that are in order.
 *
 * @param by `key` gives the sort values of a row, `compare` orders them as the rows are ordered. A row
 *   whose values changed since the cursor was made is found where it is now: such lists move.
 */
export function page<Row>(
  rows: Row[],
  options: PageOptions,
  by: { key: (row: Row) => Key; compare: (one: Key, other: Key) => number },
): Page<Row> {
  const { limit, after, before } = options;
  const read = (cursor: string): Key => {
    try {
      return JSON.parse(atob(cursor));
    } catch {
      return options.onBadCursor();
    }
  };
  /** Of rows in order, the first of those for which something holds that holds for all after it. */
  const place = (holds: (row: Row) => boolean): number => {
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(rows[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  const key = after !== undefined ? read(after) : before !== undefined ? read(before) : undefined;
  const left = key === undefined
    ? rows
    : after !== undefined
    ? rows.slice(place((row) => by.compare(by.key(row), key) > 0))
    : rows.slice(0, place((row) => by.compare(by.key(row), key) >= 0));
  const isBackwards = after === undefined && before !== undefined;
  const found = isBackwards ? left.slice(-limit) : left.slice(0, limit);
  const write = (row: Row) => btoa(JSON.stringify(by.key(row)));
  const [first, last] = [found[0], found.at(-1)];
  const hasNext = last !== undefined && rows.at(-1) !== last;
  const hasPrevious = first !== undefined && rows[0] !== first;
  const next = hasNext ? write(last) : null;
  const previous = hasPrevious ? write(first) : null;
  return { rows: found, paging: { cursors: { before: previous, after: next }, next, previous } };
}
