/**
 * What a status event and an append cost the session that stores them, in workspaces of 1,000, 10,000 and 100,000
 * conversations of one database.
 *
 * @module
 */

import type postgres from "postgres";
import { type BenchContext, callsPerTurn, inWords, openDatabase, repeat } from "../cases/case.ts";
import { truncateAll } from "../contenders.ts";
import { median, runConcurrently, takeTurnsBy } from "../measure.ts";
import { sessionMeasure } from "../processes.ts";
import { type Figure, figure } from "../report.ts";

const SIZES = [1_000, 10_000, 100_000];
const QUICK_SIZES = [500, 2_000];
/** Conversations that a call of loading stores. */
const CHUNK = 500;
/** Sessions that load. */
const LOADERS = 2;
const START = Date.UTC(2026, 1, 1);

/** A number with conversations of one sent message each. */
interface Line {
  readonly connectionId: string;
  readonly phoneNumberId: string;
  readonly size: number;
}

/** Measures status events and appends in workspaces of different sizes. */
export async function measureGrowth(context: BenchContext, admin: postgres.Sql): Promise<Figure[]> {
  await truncateAll(admin);
  const lines: Line[] = [];
  for (const size of context.isQuick ? QUICK_SIZES : SIZES) {
    if (size <= context.size) lines.push(await addLine(context, admin, size));
  }
  await admin`vacuum analyze`;
  await admin`checkpoint`;
  context.note("status events and appends");
  const sql = openDatabase(context);
  try {
    const [session] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
    await sql`set role service_role`;
    const calls = callsPerTurn(context, 200);
    const samples = await takeTurnsBy(
      sessionMeasure(session!.pid),
      Object.fromEntries(lines.flatMap((line) => [
        [
          `status.${line.size}`,
          repeated(line, calls, (index, turn) => sendStatus(sql, line, index, turn)),
        ],
        [
          `append.${line.size}`,
          repeated(line, calls, (index, turn) => append(sql, line, index, turn)),
        ],
      ])),
      // At most two statuses of a message.
      repeat(context, 8),
      1,
    );
    const ms = (operation: string, { size }: Line) =>
      median(samples[`${operation}.${size}`]!) / calls;
    return [
      ...describe("status", "Status event", lines, (line) => ms("status", line)),
      ...describe("append", "Append", lines, (line) => ms("append", line)),
    ];
  } finally {
    await sql.end();
  }
}

function describe(
  name: "status" | "append",
  title: string,
  lines: readonly Line[],
  msOf: (line: Line) => number,
): Figure[] {
  const [smallest, largest] = [lines[0]!, lines.at(-1)!];
  return [
    ...lines.map((line) =>
      figure(
        `cost.growth.${name}.${line.size}.ms`,
        `${title}: session, ${inWords(line.size)} conversations`,
        msOf(line),
        "ms",
        name === "status" ? "≤ 1.5" : null,
      )
    ),
    figure(
      `cost.growth.${name}.ratio`,
      `${title}: ${inWords(largest.size)} conversations / ${inWords(smallest.size)}`,
      msOf(largest) / msOf(smallest),
      "×",
      "≤ 1.2",
    ),
  ];
}

/** Calls with the conversations of a line in turn, spread over all of them. */
function repeated(line: Line, calls: number, run: (index: number, turn: number) => Promise<void>) {
  let count = 0;
  return async () => {
    for (let call = 0; call < calls; call++) {
      const turn = Math.floor(count / line.size);
      await run((count++ * 7919) % line.size, turn);
    }
  };
}

/** Creates a workspace with a number of Kapso, and stores its conversations as events of Kapso do. */
async function addLine(context: BenchContext, sql: postgres.Sql, size: number): Promise<Line> {
  context.note(`creating ${inWords(size)} conversations`);
  const phoneNumberId = `60000000${String(size).padStart(7, "0")}`;
  // Without the trigger that makes the one who is signed in its owner.
  await sql`set session_replication_role = replica`;
  const [connection] = await sql<{ id: string }[]>`
    with made as (
      insert into public.workspaces (slug, name) values (${`bench-cost-${size}`}, 'Cost') returning id
    )
    insert into public.connections
      (workspace_id, platform, connection_id, name, phone_number_id, number_claimed_at)
    select made.id, 'whatsapp', ${`bench-cost-${size}`}, 'Cost', ${phoneNumberId}, now() from made
    returning id`;
  await sql`reset session_replication_role`;
  const line = { connectionId: connection!.id, phoneNumberId, size };
  const chunks = Array.from({ length: Math.ceil(size / CHUNK) }, (_, index) => index * CHUNK);
  const loaders = openDatabase(context, { max: LOADERS });
  await runConcurrently(chunks, LOADERS, (start) => load(loaders, line, start));
  await loaders.end();
  return line;
}

/** Stores some of the conversations of a line. */
async function load(sql: postgres.Sql, line: Line, start: number): Promise<void> {
  const conversations = Array.from(
    { length: Math.min(CHUNK, line.size - start) },
    (_, index) => conversation(line, start + index, sent(line, start + index, "sent", START)),
  );
  const [stored] = await sql<{ errors: number }[]>`
    select count(*) filter (where stored.outcome = 'error')::integer as errors
    from public.connections as source
    cross join lateral private.try_kapso_conversations(
      source, ${JSON.stringify(conversations)}::text::jsonb) as stored
    where source.id = ${line.connectionId}`;
  if (stored!.errors > 0) throw new Error(`${stored!.errors} conversations were not stored`);
}

const phoneOf = (index: number) => `5511${String(900_000_000 + index)}`;

/** A conversation as kapso-webhook hands it to the database. */
function conversation({ phoneNumberId }: Line, index: number, message: Record<string, unknown>) {
  const phone = phoneOf(index);
  const session = `session-${phoneNumberId}-${index}`;
  const startedAt = new Date(START).toISOString();
  return {
    external_conversation_id: `${phoneNumberId}:${phone}`,
    participant_identifier: `+${phone}`,
    messages: [message],
    thread_aliases: [`${phoneNumberId}:conversation:${session}`],
    person: { phone: `+${phone}`, identifiers: [] },
    session: { id: session, status: "active", at: startedAt, started_at: startedAt },
  };
}

/** The message that each conversation begins with, with a status. */
function sent({ phoneNumberId }: Line, index: number, status: string, at: number) {
  return {
    id: `wamid.${phoneNumberId}.${index}`,
    direction: "outbound",
    type: "text",
    content: "Your order is on its way and will be with you tomorrow before noon.",
    media_url: null,
    sent_at: new Date(START).toISOString(),
    status,
    status_at: new Date(at).toISOString(),
  };
}

/** A status event: recorded and processed, as kapso-webhook does with it. */
async function sendStatus(sql: postgres.Sql, line: Line, index: number, turn: number) {
  const message = sent(line, index, turn === 0 ? "delivered" : "read", START + 1000 * (turn + 1));
  const elements = [{
    kind: "conversation",
    phoneNumberId: line.phoneNumberId,
    conversation: conversation(line, index, message),
  }];
  const body = btoa(JSON.stringify({ message, phone_number_id: line.phoneNumberId }));
  const [recorded] = await sql`
    select state from public.record_webhook_event(
      ${line.phoneNumberId}, 'whatsapp.message.delivered', ${crypto.randomUUID()}, ${body},
      ${JSON.stringify(elements)}::text::jsonb)`;
  if (recorded!.state !== "processed") throw new Error(`a status is ${recorded!.state}`);
}

/** A new message of one of the conversations. */
async function append(sql: postgres.Sql, line: Line, index: number, turn: number) {
  const phone = phoneOf(index);
  const conversations = [{
    external_conversation_id: `${line.phoneNumberId}:${phone}`,
    participant_identifier: `+${phone}`,
    messages: [{
      id: `wamid.append.${line.phoneNumberId}.${index}.${turn}`,
      direction: "inbound",
      type: "text",
      content: "Thank you, I will be at home.",
      media_url: null,
      sent_at: new Date(START + 60_000 * (turn + 1)).toISOString(),
    }],
  }];
  const [stored] = await sql`
    select messages_added from public.ingest_conversations(
      ${line.connectionId}, ${JSON.stringify(conversations)}::text::jsonb)`;
  if (stored!.messages_added !== 1) throw new Error("nothing was appended");
}
