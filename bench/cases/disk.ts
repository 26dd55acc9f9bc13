/**
 * Measures the disk space of the same messages: each contender with its tables, indexes and TOAST.
 *
 * @module
 */

import type postgres from "postgres";
import { type ContenderName, TABLES, truncateAll } from "../contenders.ts";
import {
  type Load,
  loadInBatches,
  loadOneByOne,
  makeMix,
  setNaptime,
  sizeOf,
  WORKERS,
} from "../loading.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase } from "./case.ts";

const NAMES = ["ingest", "rows"] as const satisfies ContenderName[];

/** Measures disk after loading in batches, and after loading message by message. */
export const measureDisk: BenchCase = async (context) => {
  const sql = openDatabase(context, { max: WORKERS });
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
