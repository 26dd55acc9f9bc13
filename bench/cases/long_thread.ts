/**
 * Measures a long conversation: appending to it, and opening it.
 *
 * @module
 */

import type postgres from "postgres";
import {
  type ContenderName,
  createContenders,
  type Ingest,
  toBatch,
  truncateAll,
} from "../contenders.ts";
import { median, takeTurns } from "../measure.ts";
import { BenchThread } from "../messages.ts";
import { type Figure, figure } from "../report.ts";
import { signIn } from "../session.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

const SHORT = 100;
const BATCH = 500;

/** Measures appending to and opening a conversation of 100 messages and a very long one. */
export const measureLongThread: BenchCase = async (context) => {
  const sql = openDatabase(context);
  try {
    await truncateAll(sql);
    const contenders = createContenders(sql);
    context.note(`loading conversations of ${inWords(context.size)} messages`);
    const threads = await load(context, sql, contenders);
    await sql`vacuum analyze`;
    // Opened first, while the short conversation still has its exact length.
    const reading = await measureOpening(context);
    return [...await measureAppending(context, contenders, threads), ...reading];
  } finally {
    await sql.end();
  }
};

type Threads = Readonly<Record<ContenderName, { short: BenchThread; long: BenchThread }>>;

async function load(
  context: BenchContext,
  sql: postgres.Sql,
  contenders: Record<ContenderName, Ingest>,
): Promise<Threads> {
  const fill = async (ingest: Ingest, name: string, size: number) => {
    const thread = new BenchThread(name);
    for (let count = 0; count < size; count += BATCH) {
      await ingest(toBatch(thread.next(Math.min(BATCH, size - count))));
    }
    return thread;
  };
  const fillBoth = async (ingest: Ingest) => ({
    short: await fill(ingest, "short", SHORT),
    long: await fill(ingest, "long", context.size),
  });
  const ingest = await fillBoth(contenders.ingest);
  const rows = await fillBoth(contenders.rows);
  // Loading it batch by batch would take an hour.
  await sql`
    insert into bench.naive (external_conversation_id, messages)
    select conversation.external_conversation_id, jsonb_agg(
      jsonb_build_object('id', message.id, 'direction', message.direction, 'type', message.type,
        'content', message.content, 'media_url', message.media_url, 'sent_at', message.sent_at)
      order by message.sent_at)
    from bench.conversations as conversation
    join bench.messages as message on message.conversation_id = conversation.id
    group by conversation.external_conversation_id`;
  return { ingest, rows, naive: rows };
}

async function measureAppending(
  context: BenchContext,
  contenders: Record<ContenderName, Ingest>,
  threads: Threads,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  const append = (name: ContenderName, length: "short" | "long") => () =>
    contenders[name](toBatch(threads[name][length].next(1)));
  // A multiple of the page size, so that each fill level of the head counts equally, and sealing pages too.
  const { ingestShort, ingestLong, rowsShort, rowsLong } = await takeTurns(
    {
      ingestShort: append("ingest", "short"),
      ingestLong: append("ingest", "long"),
      rowsShort: append("rows", "short"),
      rowsLong: append("rows", "long"),
    },
    context.isQuick ? 200 : 600,
    20,
  );
  const { naiveShort, naiveLong } = await takeTurns({
    naiveShort: append("naive", "short"),
    naiveLong: append("naive", "long"),
  }, repeat(context, 6));
  const compare = (
    name: ContenderName,
    title: string,
    short: number[],
    long: number[],
    target: "≤ 1.5" | null,
  ) => {
    figures.push(
      figure(`append.${name}.short.ms`, `Append at ${SHORT}: ${title}`, median(short), "ms"),
      figure(
        `append.${name}.long.ms`,
        `Append at ${inWords(context.size)}: ${title}`,
        median(long),
        "ms",
      ),
      figure(
        `append.${name}.ratio`,
        `Append at ${inWords(context.size)} / ${SHORT}: ${title}`,
        median(long) / median(short),
        "×",
        target,
      ),
    );
  };
  compare("ingest", "ingest function", ingestShort, ingestLong, "≤ 1.5");
  compare("rows", "row per message", rowsShort, rowsLong, null);
  compare("naive", "growing array", naiveShort, naiveLong, null);
  return figures;
}

async function measureOpening(context: BenchContext): Promise<Figure[]> {
  const sql = openDatabase(context);
  try {
    const ids = new Map(
      (await sql`select external_conversation_id as name, id from public.conversations`)
        .map(({ name, id }) => [name, id]),
    );
    await signIn(sql, context.info.demo.email);
    const open = (name: string) => async () => {
      const rows = await sql`select * from public.conversation_messages(${ids.get(name)})`;
      if (rows.length !== 50) throw new Error(`${name}: ${rows.length} messages`);
    };
    const { short, long } = await takeTurns(
      { short: open("short"), long: open("long") },
      repeat(context, 300),
      20,
    );
    const title = "Open the newest 50 messages";
    return [
      figure("open.short.ms", `${title}, conversation of ${SHORT}`, median(short), "ms"),
      figure(
        "open.long.ms",
        `${title}, conversation of ${inWords(context.size)}`,
        median(long),
        "ms",
      ),
      figure(
        "open.ratio",
        `${title}: ${inWords(context.size)} / ${SHORT}`,
        median(long) / median(short),
        "×",
        "≤ 2",
      ),
    ];
  } finally {
    await sql.end();
  }
}
