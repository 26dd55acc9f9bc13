/**
 * Opaque cursors like those of Kapso's lists: base64 of the last row's sort values.
 *
 * @module
 */

type Key = Record<string, string | number>;

/** The paging options of a request. */
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
 * Cuts a page out of sorted rows.
 *
 * @param by `key` returns the sort values of a row, `compare` orders them like the rows. A row whose values have
 *   changed since the cursor was made is at its new position: such lists move.
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
  /** Finds the first of the sorted rows for which a condition holds that also holds for all later ones. */
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
