/**
 * Measures storing messages in conversations of usual length: one at a time, many for one conversation, many
 * conversations.
 *
 * @module
 */

import { createContenders, type Ingest, startOver, toBatch } from "../contenders.ts";
import { median, takeTurns } from "../measure.ts";
import { makeThreads } from "../messages.ts";
import { type Figure, figure, type Target } from "../report.ts";
import { type BenchCase, type BenchContext, openDatabase, repeat } from "./case.ts";

/** Measures the ingest function against a row per message. */
export const measureWriting: BenchCase = async (context) => {
  const sql = openDatabase(context);
  try {
    await startOver(sql);
    const { ingest, rows } = createContenders(sql);
    return [
      ...await measureSingle(context, ingest, rows),
      ...await measureOneThread(context, ingest, rows),
      ...await measureManyThreads(context, ingest, rows),
    ];
  } finally {
    await sql.end();
  }
};

async function measureSingle(
  context: BenchContext,
  ingest: Ingest,
  rows: Ingest,
): Promise<Figure[]> {
  const { ingest: ingestMs, rows: rowsMs } = await takeTurns(
    {
      ingest: await prepareSingle("single", ingest),
      rows: await prepareSingle("single", rows),
    },
    repeat(context, 500),
    50,
  );
  return [
    figure("single.ingest.ms", "One message: ingest function", median(ingestMs), "ms"),
    figure("single.rows.ms", "One message: row per message", median(rowsMs), "ms"),
    figure(
      "single.ratio",
      "One message: ingest function / row per message",
      median(ingestMs) / median(rowsMs),
      "×",
      "≤ 2.5",
    ),
  ];
}

/** Conversations of all lengths from 1 to 99, because the cost of an append depends on the length of the head. */
async function prepareSingle(name: string, ingest: Ingest) {
  const threads = makeThreads(name, 50);
  await ingest(toBatch(...threads.map((thread, index) => thread.next(index * 2 + 1))));
  return (round: number) => ingest(toBatch(threads[round % threads.length]!.next(1)));
}

async function measureOneThread(
  context: BenchContext,
  ingest: Ingest,
  rows: Ingest,
): Promise<Figure[]> {
  // Five batches per conversation: one creates it and four extend it.
  const prepare = (ingest: Ingest) => {
    const batches = makeThreads("one", 100).flatMap((thread) =>
      Array.from({ length: 5 }, () => () => thread.next(500))
    );
    return (round: number) => ingest(toBatch(batches[round]!()));
  };
  const { ingest: ingestMs, rows: rowsMs } = await takeTurns(
    { ingest: prepare(ingest), rows: prepare(rows) },
    repeat(context, 100),
    5,
  );
  return compareRates(
    "one_thread",
    "500 messages into one conversation",
    500,
    ingestMs,
    rowsMs,
    "≥ 0.8",
  );
}

async function measureManyThreads(
  context: BenchContext,
  ingest: Ingest,
  rows: Ingest,
): Promise<Figure[]> {
  const prepare = async (ingest: Ingest) => {
    const threads = makeThreads("many", 50);
    await ingest(toBatch(...threads.map((thread, index) => thread.next(index * 2 + 1))));
    return () => ingest(toBatch(...threads.map((thread) => thread.next(10))));
  };
  const { ingest: ingestMs, rows: rowsMs } = await takeTurns(
    { ingest: await prepare(ingest), rows: await prepare(rows) },
    repeat(context, 60),
    5,
  );
  return compareRates(
    "many_threads",
    "50 conversations × 10 messages",
    500,
    ingestMs,
    rowsMs,
    "≥ 0.5",
  );
}

function compareRates(
  name: string,
  title: string,
  messages: number,
  ingestMs: number[],
  rowsMs: number[],
  target: Target,
): Figure[] {
  const [ingest, rows] = [ingestMs, rowsMs].map((samples) => messages / median(samples) * 1000) as [
    number,
    number,
  ];
  return [
    figure(`${name}.ingest.rate`, `${title}: ingest function`, ingest, "messages/s"),
    figure(`${name}.rows.rate`, `${title}: row per message`, rows, "messages/s"),
    figure(
      `${name}.ratio`,
      `${title}: ingest function / row per message`,
      ingest / rows,
      "×",
      target,
    ),
  ];
}
