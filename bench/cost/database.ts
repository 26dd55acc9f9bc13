/**
 * What storing costs the database alone, beside a row per message: processor time of the session, the write-ahead log and
 * the disk.
 *
 * @module
 */

import type postgres from "postgres";
import { type BenchContext, callsPerTurn, inWords, openDatabase, repeat } from "../cases/case.ts";
import {
  createContenders,
  type Ingest,
  startOver,
  TABLES,
  toBatch,
  truncateAll,
} from "../contenders.ts";
import {
  type Load,
  loadInBatches,
  loadOneByOne,
  makeMix,
  setNaptime,
  sizeOf,
  walBytes,
  WORKERS,
} from "../loading.ts";
import { median, takeTurnsBy } from "../measure.ts";
import { makeThreads } from "../messages.ts";
import { sessionMeasure } from "../processes.ts";
import { type Figure, figure } from "../report.ts";

const NAMES = ["ingest", "rows"] as const;

/** Does one call of the database. */
type Call = () => Promise<unknown>;

/** Measures the session that stores messages, as the role of the functions. */
export async function measureSessions(
  context: BenchContext,
  admin: postgres.Sql,
): Promise<Figure[]> {
  context.note("sessions that store messages");
  await startOver(admin);
  const sql = openDatabase(context);
  try {
    const [session] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
    await sql`set role service_role`;
    const contenders = createContenders(sql);
    const compare = async (
      name: string,
      title: string,
      callsInFull: number,
      prepare: (ingest: Ingest) => Promise<Call>,
    ) => {
      const calls = callsPerTurn(context, callsInFull);
      const repeated = async (ingest: Ingest) => {
        const call = await prepare(ingest);
        return async () => {
          for (let count = 0; count < calls; count++) await call();
        };
      };
      const samples = await takeTurnsBy(
        sessionMeasure(session!.pid),
        { ingest: await repeated(contenders.ingest), rows: await repeated(contenders.rows) },
        repeat(context, 12),
        1,
      );
      const [ingestMs, rowsMs] = [median(samples.ingest) / calls, median(samples.rows) / calls];
      return [
        figure(`cost.session.${name}.ingest.ms`, `${title}: session, ingest`, ingestMs, "ms"),
        figure(`cost.session.${name}.rows.ms`, `${title}: session, rows`, rowsMs, "ms"),
        figure(
          `cost.session.${name}.ratio`,
          `${title}: session, ingest / rows`,
          ingestMs / rowsMs,
          "×",
          "≤ 1.2",
        ),
      ];
    };
    return [
      ...await compare("single", "One message", 200, prepareSingle),
      ...await compare("one_thread", "500 messages into one conversation", 10, prepareOneThread),
      ...await compare("many_threads", "50 conversations × 10 messages", 10, prepareManyThreads),
    ];
  } finally {
    await sql.end();
  }
}

/** Conversations of all lengths from 1 to 99, because the cost of an append depends on the length of the head. */
async function prepareSingle(ingest: Ingest): Promise<Call> {
  const threads = makeThreads("cost-single", 50);
  await ingest(toBatch(...threads.map((thread, index) => thread.next(index * 2 + 1))));
  let count = 0;
  return () => ingest(toBatch(threads[count++ % threads.length]!.next(1)));
}

/** Five batches a conversation: one creates it and four extend it. */
function prepareOneThread(ingest: Ingest): Promise<Call> {
  let threads = makeThreads("cost-one-0", 1);
  let count = 0;
  return Promise.resolve(() => {
    if (count > 0 && count % 5 === 0) threads = makeThreads(`cost-one-${count}`, 1);
    count++;
    return ingest(toBatch(threads[0]!.next(500)));
  });
}

async function prepareManyThreads(ingest: Ingest): Promise<Call> {
  const threads = makeThreads("cost-many", 50);
  await ingest(toBatch(...threads.map((thread, index) => thread.next(index * 2 + 1))));
  return () => ingest(toBatch(...threads.map((thread) => thread.next(10))));
}

/** Measures the log and the disk of messages that are loaded one by one and in batches. */
export async function measureStorage(context: BenchContext): Promise<Figure[]> {
  const sql = openDatabase(context, { max: WORKERS });
  await setNaptime(sql, "1s");
  try {
    return [
      ...await measureLoad(
        context,
        sql,
        "one_by_one",
        "one by one",
        context.isQuick ? 0.1 : 2,
        loadOneByOne,
      ),
      ...await measureLoad(
        context,
        sql,
        "batches",
        "in batches of 500",
        context.isQuick ? 0.4 : 2,
        loadInBatches,
      ),
    ];
  } finally {
    await setNaptime(sql, "default");
    await sql.end();
  }
}

async function measureLoad(
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
  const wal = { ingest: 0, rows: 0 };
  const disk = { ingest: 0, rows: 0 };
  for (const contender of NAMES) {
    // Both begin after one: it decides which pages are written to the log as a whole.
    await sql`checkpoint`;
    const before = await walBytes(sql);
    await load(sql, contender, makeMix(name, scale));
    // Cleaning up is a part of the cost.
    for (const table of TABLES[contender]) await sql.unsafe(`vacuum ${table}`);
    wal[contender] = (await walBytes(sql) - before) / count;
    disk[contender] = await sizeOf(sql, TABLES[contender]) / count;
  }
  const describe = (kind: string, what: string, bytes: typeof wal) => [
    figure(
      `cost.${kind}.${name}.ingest.bytes`,
      `${what}, loaded ${title}: ingest`,
      bytes.ingest,
      "bytes/message",
    ),
    figure(
      `cost.${kind}.${name}.rows.bytes`,
      `${what}, loaded ${title}: rows`,
      bytes.rows,
      "bytes/message",
    ),
    figure(
      `cost.${kind}.${name}.ratio`,
      `${what}, loaded ${title}: ingest / rows`,
      bytes.ingest / bytes.rows,
      "×",
    ),
  ];
  return [...describe("wal", "Log", wal), ...describe("disk", "Disk", disk)];
}
