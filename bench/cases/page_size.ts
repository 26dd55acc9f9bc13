/**
 * Compares page sizes: the ingest function with other constants.
 *
 * @module
 */

import type postgres from "postgres";
import { CONNECTION_ID, TABLES, toBatch, truncateAll } from "../contenders.ts";
import { median, type Runs, takeTurns } from "../measure.ts";
import { BenchThread, makeThreads } from "../messages.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, openDatabase, repeat } from "./case.ts";

const SIZES = [50, 100, 200] as const;

/** Compares page sizes by the cost of an append, of a batch, and by disk. */
export const measurePageSizes: BenchCase = async (context) => {
  if (context.isQuick) return [];
  const sql = openDatabase(context);
  try {
    for (const size of SIZES) await makeVariant(sql, size);
    await truncateAll(sql);
    await sql`vacuum analyze`;
    const single: Record<string, (round: number) => Promise<unknown>> = {};
    const many: Record<string, (round: number) => Promise<unknown>> = {};
    const one: Record<string, (round: number) => Promise<unknown>> = {};
    for (const size of SIZES) {
      const ingest = (batch: string) =>
        sql`select count(*) from ${
          sql(`bench.ingest_${size}`)
        }(${CONNECTION_ID}, ${batch}::text::jsonb)`;
      const threads = makeThreads(`pages-${size}`, 50);
      await ingest(toBatch(...threads.map((thread, index) => thread.next(200 + index * 4))));
      single[size] = (round) => ingest(toBatch(threads[round % threads.length]!.next(1)));
      many[size] = () => ingest(toBatch(...threads.map((thread) => thread.next(10))));
      let long = new BenchThread("");
      one[size] = (round) => {
        if (round % 5 === 0) long = new BenchThread(`pages-${size}-${round}`);
        return ingest(toBatch(long.next(500)));
      };
    }
    const singleMs = await measure(single, repeat(context, 300));
    const manyMs = await measure(many, repeat(context, 40));
    const oneMs = await measure(one, repeat(context, 40));
    const figures: Figure[] = [];
    for (const size of SIZES) {
      const title = `Pages of ${size}`;
      figures.push(
        figure(`pages.${size}.single.ms`, `${title}: one message`, median(singleMs[size]!), "ms"),
        figure(
          `pages.${size}.one_thread.rate`,
          `${title}: 500 messages into one conversation`,
          500_000 / median(oneMs[size]!),
          "messages/s",
        ),
        figure(
          `pages.${size}.many_threads.rate`,
          `${title}: 50 conversations × 10 messages`,
          500_000 / median(manyMs[size]!),
          "messages/s",
        ),
        figure(
          `pages.${size}.bytes`,
          `${title}: disk without ledger`,
          await disk(sql, size),
          "bytes/message",
        ),
      );
    }
    return figures;
  } finally {
    await sql.end();
  }
};

function measure(runs: Runs<string>, rounds: number) {
  return takeTurns(runs, rounds, 5);
}

/** Copies the ingest function, and the steps that know the page size, into the schema `bench` with another one. */
async function makeVariant(sql: postgres.Sql, size: number): Promise<void> {
  const copy = async (name: string, edit: (definition: string) => string) => {
    const [row] = await sql`select pg_get_functiondef(${name}::regproc) as definition`;
    const definition: string = row!.definition;
    const edited = edit(definition);
    if (edited === definition) throw new Error(`${name} has changed: nothing to replace`);
    await sql.unsafe(edited);
  };
  const steps = { archive_messages: "archive", append_message: "append" };
  const rename = (definition: string) =>
    Object.entries({ ...steps, store_conversations: "store", ingest_conversations: "ingest" })
      .reduce(
        (text, [name, short]) =>
          text
            .replaceAll(new RegExp(`(private|public)\\.${name}\\(`, "g"), `bench.${short}_${size}(`)
            .replaceAll(new RegExp(`(?<![.\\w])${name}\\.`, "g"), `${short}_${size}.`),
        definition,
      );
  for (const name of Object.keys(steps)) {
    await copy(`private.${name}`, (definition) => {
      if (!definition.includes("private.head_size()")) {
        throw new Error(`private.${name} does not ask for the size of a head`);
      }
      return rename(definition.replaceAll("private.head_size()", String(size)));
    });
  }
  await copy("private.store_conversations", rename);
  await copy("public.ingest_conversations", rename);
}

/** Stores new conversations in batches of 500, and returns the disk space of conversations and archives. */
async function disk(sql: postgres.Sql, size: number): Promise<number> {
  await truncateAll(sql);
  let count = 0;
  for (const thread of makeThreads("pages-disk", 20)) {
    for (let batch = 0; batch < 3; batch++, count += 500) {
      await sql`select count(*) from ${sql(`bench.ingest_${size}`)}(
        ${CONNECTION_ID}, ${toBatch(thread.next(500))}::text::jsonb)`;
    }
  }
  const tables = TABLES.ingest.filter((table) => table.startsWith("public."));
  for (const table of tables) await sql.unsafe(`vacuum ${table}`);
  const [row] = await sql`
    select sum(pg_total_relation_size(name::regclass))::float8 as bytes
    from unnest(${tables}::text[]) as name`;
  return row!.bytes / count;
}
