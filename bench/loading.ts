/**
 * Loads the same mix of conversations into the tables of a contender, and says what that took.
 *
 * @module
 */

import type postgres from "postgres";
import { type ContenderName, createContenders, toBatch } from "./contenders.ts";
import { runConcurrently } from "./measure.ts";
import { type BenchConversation, makeThreads } from "./messages.ts";

/** Workers that load messages one by one. */
export const WORKERS = 4;

/** Sets how often autovacuum looks for work: messages come a hundred times faster here than in production. */
export async function setNaptime(sql: postgres.Sql, value: "1s" | "default"): Promise<void> {
  await sql.unsafe(
    `alter system set autovacuum_naptime = ${value === "default" ? value : `'${value}'`}`,
  );
  await sql`select pg_reload_conf()`;
}

/** A few long conversations, more of 100 messages, many short ones; 10,000 messages at scale 1. */
export function makeMix(name: string, scale: number) {
  return [[5, 1000], [30, 100], [100, 20]].flatMap(([threads, length]) =>
    makeThreads(`${name}-${length}`, Math.ceil(threads! * scale))
      .map((thread) => ({ thread, length: length! }))
  );
}

/** Loads a mix into the tables of a contender. */
export type Load = (
  sql: postgres.Sql,
  name: ContenderName,
  mix: ReturnType<typeof makeMix>,
) => Promise<void>;

/** Up to 500 messages in a call, of one conversation or of several short ones. */
export const loadInBatches: Load = async (sql, name, mix) => {
  const ingest = createContenders(sql)[name];
  let batch: BenchConversation[] = [];
  let size = 0;
  const flush = async () => {
    if (size > 0) await ingest(toBatch(...batch));
    batch = [];
    size = 0;
  };
  for (const { thread, length } of mix) {
    for (let count = 0; count < length; count += 500) {
      const messages = Math.min(500, length - count);
      if (size + messages > 500) await flush();
      batch.push(thread.next(messages));
      size += messages;
    }
  }
  await flush();
};

/** One message in a call, from several workers. The client needs a connection for each. */
export const loadOneByOne: Load = async (sql, name, mix) => {
  const ingest = createContenders(sql)[name];
  // Conversations take turns, as in production. Each worker has its own, so that each comes in order.
  const workers = Array.from(
    { length: WORKERS },
    (_, worker) => mix.filter((_, index) => index % WORKERS === worker),
  );
  await runConcurrently(workers, WORKERS, async (own) => {
    const longest = Math.max(...own.map(({ length }) => length));
    for (let turn = 0; turn < longest; turn++) {
      for (const { thread, length } of own) {
        // Short conversations are spread over the whole time.
        if (
          turn % Math.floor(longest / length) === 0 && turn / Math.floor(longest / length) < length
        ) {
          await ingest(toBatch(thread.next(1)));
        }
      }
    }
  });
};

/** Bytes of tables with their indexes and TOAST. */
export async function sizeOf(sql: postgres.Sql, tables: readonly string[]): Promise<number> {
  const [row] = await sql`
    select sum(pg_total_relation_size(name::regclass))::float8 as bytes
    from unnest(${[...tables]}::text[]) as name`;
  return row!.bytes;
}

/** Bytes of the write-ahead log so far. Counted where records are inserted, so that nothing has to be flushed first. */
export async function walBytes(sql: postgres.Sql): Promise<number> {
  const [row] = await sql`select (pg_current_wal_insert_lsn() - '0/0')::float8 as bytes`;
  return row!.bytes;
}
