/**
 * Measures the disk space of the same messages: each contender with its tables, indexes and TOAST.
 *
 * @module
 */

import type postgres from "postgres";
import {
  type ContenderName,
  createContenders,
  TABLES,
  toBatch,
  truncateAll,
} from "../contenders.ts";
import { runConcurrently } from "../measure.ts";
import { type BenchConversation, makeThreads } from "../messages.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase } from "./case.ts";

const NAMES = ["ingest", "rows"] as const satisfies ContenderName[];
const WORKERS = 4;

/** Measures disk after loading in batches, and after loading message by message. */
export const measureDisk: BenchCase = async (context) => {
  const sql = openDatabase(context, { max: WORKERS });
  // Messages come a hundred times faster than in production, so autovacuum does too.
  await setNaptime(sql, "1s");
  try {
    return [
      ...await measure(
        context,
        sql,
        "batches",
        "in batches",
        context.isQuick ? 3 : 12,
        loadInBatches,
      ),
      ...await measure(
        context,
        sql,
        "one_by_one",
        "one by one",
        context.isQuick ? 0.4 : 2,
        loadOneByOne,
      ),
    ];
  } finally {
    await setNaptime(sql, "default");
    await sql.end();
  }
};

async function setNaptime(sql: postgres.Sql, value: "1s" | "default"): Promise<void> {
  await sql.unsafe(
    `alter system set autovacuum_naptime = ${value === "default" ? value : `'${value}'`}`,
  );
  await sql`select pg_reload_conf()`;
}

/** A few long conversations, more of 100 messages, many short ones; 10,000 messages at scale 1. */
function makeMix(name: string, scale: number) {
  return [[5, 1000], [30, 100], [100, 20]].flatMap(([threads, length]) =>
    makeThreads(`${name}-${length}`, Math.ceil(threads! * scale))
      .map((thread) => ({ thread, length: length! }))
  );
}

type Load = (
  sql: postgres.Sql,
  name: ContenderName,
  mix: ReturnType<typeof makeMix>,
) => Promise<void>;

const loadInBatches: Load = async (sql, name, mix) => {
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

const loadOneByOne: Load = async (sql, name, mix) => {
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

async function measure(
  context: BenchContext,
  sql: postgres.Sql,
  name: string,
  title: string,
  scale: number,
  load: Load,
): Promise<Figure[]> {
  await truncateAll(sql);
  await sql`vacuum analyze`;
  const count = makeMix(name, scale).reduce((sum, { length }) => sum + length, 0);
  context.note(`loading ${inWords(count)} messages ${title}`);
  for (const contender of NAMES) await load(sql, contender, makeMix(name, scale));
  const perMessage = async (vacuum: string) => {
    const bytes: Record<string, number> = {};
    for (const contender of NAMES) {
      for (const table of TABLES[contender]) await sql.unsafe(`${vacuum} ${table}`);
      bytes[contender] = await sizeOf(sql, TABLES[contender]) / count;
    }
    return bytes as Record<(typeof NAMES)[number], number>;
  };
  const plain = await perMessage("vacuum");
  const full = await perMessage("vacuum full");
  return [
    figure(
      `disk.${name}.ingest.bytes`,
      `Disk, loaded ${title}: ingest function`,
      plain.ingest,
      "bytes/message",
    ),
    figure(
      `disk.${name}.rows.bytes`,
      `Disk, loaded ${title}: row per message`,
      plain.rows,
      "bytes/message",
    ),
    figure(
      `disk.${name}.ratio`,
      `Disk, loaded ${title}: ingest function / row per message`,
      plain.ingest / plain.rows,
      "×",
      "≤ 0.5",
    ),
    figure(
      `disk.${name}.full_ratio`,
      `Disk, loaded ${title}, after VACUUM FULL`,
      full.ingest / full.rows,
      "×",
    ),
  ];
}

async function sizeOf(sql: postgres.Sql, tables: readonly string[]): Promise<number> {
  const [row] = await sql`
    select sum(pg_total_relation_size(name::regclass))::float8 as bytes
    from unnest(${[...tables]}::text[]) as name`;
  return row!.bytes;
}
