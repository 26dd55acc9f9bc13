/**
 * Compares messaging-ingest with a peer that keeps each conversation as one array (bench/array_peer.ts): processor time
 * of all processes, and messages that are lost when several writers append at once. Neither has a gateway before it.
 *
 * @module
 */

import type postgres from "postgres";
import { type BenchContext, callsPerTurn, inWords, repeat } from "../cases/case.ts";
import { createContenders, toBatch } from "../contenders.ts";
import { median, runConcurrently, takeTurnsBy } from "../measure.ts";
import { BenchThread, makeThreads } from "../messages.ts";
import { type Peer, startPeer } from "../peers.ts";
import { findFunctionAddress, HAS_PROCESSOR_TIME, stackMeasure, totalTime } from "../processes.ts";
import { type Figure, figure, type Target } from "../report.ts";
import { atGateway, type Send, sendTo } from "./post.ts";

const LENGTHS = [100, 1_000, 10_000] as const;
const BATCH = 500;
const WRITERS = 16;
/** Messages of all writers. */
const WRITTEN = 400;

type Name = "ingest" | "array";
type Senders = Readonly<Record<Name, Send>>;

/** Measures the peer beside messaging-ingest. */
export async function measureArray(context: BenchContext, sql: postgres.Sql): Promise<Figure[]> {
  await using peer = await startPeer(context, "array_peer");
  const array = sendTo(context, peer.origin);
  const gateway = sendTo(context, atGateway(context, "messaging-ingest"));
  // The first call starts the function, so that its address is known.
  await gateway(makeThreads("array-start", 1).map((thread) => thread.next(1)));
  const losses = await measureLosses(context, sql, { ingest: gateway, array });
  if (!HAS_PROCESSOR_TIME) return losses;
  const ingest = sendTo(context, await findFunctionAddress(context.pid, "messaging-ingest"));
  const senders = { ingest, array };
  return [
    ...await measureAppends(context, sql, peer, senders),
    ...await measureConversations(context, peer, senders),
    ...await measureImport(context, peer, senders),
    ...losses,
  ];
}

async function measureAppends(
  context: BenchContext,
  sql: postgres.Sql,
  peer: Peer,
  senders: Senders,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const length of LENGTHS) {
    if (context.isQuick && length > 1_000) continue;
    context.note(`appends to arrays of ${inWords(length)} messages`);
    const name = `array-${length}`;
    await fill(sql, name, length);
    const append = (sender: Name, count: number) => {
      const thread = new BenchThread(name);
      thread.next(length);
      return { count, send: () => senders[sender]([thread.next(1)]) };
    };
    figures.push(
      ...await compare(
        context,
        peer,
        `append.${length}`,
        `Append at ${inWords(length)} messages`,
        // Enough to measure. A long array takes as much in fewer.
        { ingest: append("ingest", 40), array: append("array", length > 1_000 ? 4 : 20) },
      ),
    );
  }
  return figures;
}

async function measureConversations(
  context: BenchContext,
  peer: Peer,
  senders: Senders,
): Promise<Figure[]> {
  context.note("50 conversations × 10 messages");
  const sendAll = (sender: Name, count: number) => {
    const threads = makeThreads("array-many", 50);
    return { count, send: () => senders[sender](threads.map((thread) => thread.next(10))) };
  };
  return await compare(context, peer, "many_threads", "50 conversations × 10 messages", {
    ingest: sendAll("ingest", 8),
    array: sendAll("array", 2),
  });
}

async function measureImport(
  context: BenchContext,
  peer: Peer,
  senders: Senders,
): Promise<Figure[]> {
  context.note("first imports");
  const send = (sender: Name) => {
    let imported = 0;
    return {
      count: 20,
      send: () => senders[sender]([new BenchThread(`array-import-${imported++}`).next(BATCH)]),
    };
  };
  return await compare(
    context,
    peer,
    "import",
    `First import of ${BATCH} messages`,
    { ingest: send("ingest"), array: send("array") },
    "≤ 1",
  );
}

/** Stores a conversation on both sides. */
async function fill(sql: postgres.Sql, name: string, length: number): Promise<void> {
  const { ingest } = createContenders(sql);
  const thread = new BenchThread(name);
  for (let count = 0; count < length; count += BATCH) {
    await ingest(toBatch(thread.next(Math.min(BATCH, length - count))));
  }
  const all = new BenchThread(name).next(length);
  await sql`
    insert into public.bench_array_conversations
      (external_conversation_id, participant_identifier, messages, message_count)
    values (${name}, ${all.participant_identifier}, ${
    JSON.stringify(all.messages)
  }::text::jsonb, ${length})`;
}

async function compare(
  context: BenchContext,
  peer: Peer,
  name: string,
  title: string,
  sides: Readonly<Record<Name, { count: number; send: () => Promise<void> }>>,
  target: Target | null = null,
): Promise<Figure[]> {
  const counts = {
    ingest: callsPerTurn(context, sides.ingest.count),
    array: callsPerTurn(context, sides.array.count),
  };
  const repeated = (name: Name) => async () => {
    for (let sent = 0; sent < counts[name]; sent++) await sides[name].send();
  };
  const samples = await takeTurnsBy(
    stackMeasure(context.pid, [peer.pid]),
    { ingest: repeated("ingest"), array: repeated("array") },
    repeat(context, 8),
    2,
  );
  const ingestMs = median(samples.ingest.map(totalTime)) / counts.ingest;
  const arrayMs = median(samples.array.map(totalTime)) / counts.array;
  const id = `cost.array.${name}`;
  return [
    figure(`${id}.ingest.ms`, `${title}: messaging-ingest, processor time`, ingestMs, "ms"),
    figure(`${id}.array.ms`, `${title}: array written back`, arrayMs, "ms"),
    figure(
      `${id}.ratio`,
      `${title}: messaging-ingest / array written back`,
      ingestMs / arrayMs,
      "×",
      target,
    ),
  ];
}

/** Counts the messages that were acknowledged and are not stored, after several writers at once. */
async function measureLosses(
  context: BenchContext,
  sql: postgres.Sql,
  senders: Senders,
): Promise<Figure[]> {
  context.note(`${WRITERS} writers at once`);
  const write = async (sender: Name) => {
    const thread = new BenchThread("array-writers");
    const acknowledged: string[] = [];
    const items = Array.from({ length: WRITTEN }, () => thread.next(1));
    await runConcurrently(items, WRITERS, async (item) => {
      await senders[sender]([item]);
      acknowledged.push(item.messages[0]!.id);
    });
    const stored = new Set(await storedIds(sql, sender, "array-writers"));
    return acknowledged.filter((id) => !stored.has(id)).length;
  };
  const title = `${WRITTEN} messages by ${WRITERS} writers at once: acknowledged and lost`;
  return [
    figure(
      "cost.array.lost.ingest",
      `${title}, messaging-ingest`,
      await write("ingest"),
      "",
      "≤ 0",
    ),
    figure("cost.array.lost.array", `${title}, array written back`, await write("array"), ""),
  ];
}

async function storedIds(sql: postgres.Sql, sender: Name, name: string): Promise<string[]> {
  const rows = sender === "array"
    ? await sql<{ id: string }[]>`
      select message.value ->> 'id' as id
      from public.bench_array_conversations as conversation
      cross join lateral jsonb_array_elements(conversation.messages) as message (value)
      where conversation.external_conversation_id = ${name}`
    : await sql<{ id: string }[]>`
      select message.value ->> 'id' as id
      from public.conversations as conversation
      left join lateral (
        select archive.messages from public.conversation_archives as archive
        where archive.conversation_id = conversation.id
        union all
        select conversation.messages
      ) as page on true
      cross join lateral jsonb_array_elements(page.messages) as message (value)
      where conversation.external_conversation_id = ${name}`;
  return rows.map(({ id }) => id);
}
