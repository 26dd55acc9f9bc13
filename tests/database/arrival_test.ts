/**
 * Arrival decides: what is unread, what reopens a conversation, what the list shows and where. The clocks of
 * senders decide none of it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { become, type Sql, useDatabase } from "../support/database.ts";
import {
  at,
  conversation,
  ingest,
  ingestOne,
  message,
  messages,
  readConversation,
  readThread,
  type TestConversation,
  threadFaults,
} from "../support/messages.ts";
import { createConnection, createWorkspace } from "../support/people.ts";

const database = useDatabase({ own: true });

/** A connection, and what its members do. */
async function business() {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace);
  const as = async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
    let result: T;
    await database.sql.begin(async (transaction) => {
      await become(transaction, { userId: workspace.owner });
      result = await work(transaction);
    });
    return result!;
  };
  return {
    workspace,
    connection,
    store: (batch: Partial<TestConversation>[]) =>
      ingest(database.service, connection, batch as TestConversation[]),
    read: (id: string, seen: number | null = null) =>
      as((sql) => sql`select public.mark_conversation_read(${id}, ${seen})`),
    close: (id: string) => as((sql) => sql`select public.set_conversation_status(${id}, 'closed')`),
  };
}

const now = () => new Date().toISOString();
const inbound = (seconds: number, content = "in") => message({ sent_at: at(seconds), content });
const outbound = (seconds: number, content = "out") =>
  message({ sent_at: at(seconds), content, direction: "outbound" });

Deno.test("a message that arrives late is unread, and the list shows it", async () => {
  const { store, read, connection } = await business();
  const target = conversation({ messages: [inbound(300, "first")] });
  const id = await ingestOne(database.service, connection, target);
  await read(id);
  const before = await readConversation(database.service, id);
  await store([{ ...target, messages: [inbound(0, "late one")] }]);
  const after = await readConversation(database.service, id);
  assertEquals([before.unread_count, after.unread_count], [0, 1]);
  assertEquals(after.last_message_preview, "late one");
  assert(after.activity_at > before.activity_at);
  // Its place in the conversation is that of its time.
  assertEquals((await readThread(database.service, id)).map(({ content }) => content), [
    "late one",
    "first",
  ]);
  assertEquals(await threadFaults(database.service, id), []);
});

Deno.test("messages of the same second as the last one read are unread", async () => {
  const { store, read, connection } = await business();
  const target = conversation({ messages: [inbound(0)] });
  const id = await ingestOne(database.service, connection, target);
  await read(id);
  await store([{ ...target, messages: [inbound(0), inbound(0)] }]);
  assertEquals((await readConversation(database.service, id)).unread_count, 2);
});

Deno.test("a time in the future counts as now, and is kept as claimed", async () => {
  const { store, read, connection } = await business();
  const claimed = "2030-01-01T00:00:00.000Z";
  const target = conversation({ messages: [message({ sent_at: claimed, content: "fast clock" })] });
  const id = await ingestOne(database.service, connection, target);
  await read(id);
  const soon = new Date(Date.now() + 3 * 60_000).toISOString();
  await store([{ ...target, messages: [message({ sent_at: now(), content: "next" })] }]);
  await store([{ ...target, messages: [message({ sent_at: soon, content: "a little fast" })] }]);
  const row = await readConversation(database.service, id);
  assertEquals([row.unread_count, row.last_message_preview], [2, "a little fast"]);
  for (const time of [row.last_message_at, row.last_inbound_at, row.activity_at]) {
    assert(new Date(time!).getTime() <= Date.now() + 1000, `${time}`);
  }
  const thread = await readThread(database.service, id);
  assertEquals(thread.map(({ content }) => content), ["fast clock", "next", "a little fast"]);
  assert(Date.parse(thread[0]!.sent_at) <= Date.now() + 1000);
  assertEquals(thread[0]!.metadata, { claimed_sent_at: claimed });
  assertEquals(thread[2]!.sent_at, soon);
  // The same again is known, also when that time has come.
  const [again] = await store([target]);
  assertEquals(again!.outcome, "no_new_messages");
  assertEquals(await threadFaults(database.service, id), []);
});

Deno.test("an answer ends unread, wherever it was written", async () => {
  const { store, connection } = await business();
  const unreadAfter = async (...batches: ReturnType<typeof message>[][]) => {
    const target = conversation();
    const id = await ingestOne(database.service, connection, target);
    for (const batch of batches) await store([{ ...target, messages: batch }]);
    return (await readConversation(database.service, id)).unread_count;
  };
  assertEquals(await unreadAfter([inbound(0), inbound(1)], [outbound(2)]), 0);
  assertEquals(await unreadAfter([inbound(0)], [outbound(0)]), 0);
  assertEquals(await unreadAfter([inbound(0), outbound(1), inbound(2)]), 1);
  assertEquals(await unreadAfter([inbound(0)], [outbound(1), inbound(2), inbound(3)]), 2);
  // An echo that is only late answers nothing.
  assertEquals(await unreadAfter([inbound(10)], [outbound(5)]), 1);
  assertEquals(await unreadAfter([inbound(10), outbound(5)]), 1);
});

Deno.test("an answer in imported history, or in another element, ends unread only as it arrives", async () => {
  const { store } = await business();
  const target = conversation({ messages: [inbound(0)] });
  const [first] = await store([target, { ...target, messages: [outbound(1)], is_history: true }]);
  assertEquals((await readConversation(database.service, first!.id!)).unread_count, 1);
  await store([
    { ...target, messages: [outbound(2)] },
    { ...target, messages: [inbound(3)] },
  ]);
  assertEquals((await readConversation(database.service, first!.id!)).unread_count, 1);
});

Deno.test("a late message of the business does not cover a newer one in the list", async () => {
  const { store, connection } = await business();
  const target = conversation({ messages: [inbound(10, "question")] });
  const id = await ingestOne(database.service, connection, target);
  await store([{ ...target, messages: [outbound(5, "late echo")] }]);
  const row = await readConversation(database.service, id);
  assertEquals([row.last_message_preview, row.last_message_direction], ["question", "inbound"]);
});

Deno.test("what arrives after the closing reopens, whenever it was written", async () => {
  const { store, close, connection } = await business();
  const target = conversation({ messages: [inbound(100)] });
  const id = await ingestOne(database.service, connection, target);
  const statusAfter = async (given: Partial<TestConversation>) => {
    await close(id);
    await store([{ ...target, ...given }]);
    return (await readConversation(database.service, id)).status;
  };
  assertEquals(await statusAfter({ messages: [inbound(50)] }), "open");
  assertEquals(await statusAfter({ messages: [outbound(200)] }), "closed");
  assertEquals(await statusAfter({ messages: [inbound(60)], is_history: true }), "closed");
  assertEquals(await statusAfter({}), "closed");
});

Deno.test("the name of the newest message wins, and a repeated request changes nothing", async () => {
  const { store, connection } = await business();
  const target = conversation();
  const old = { ...target, participant_name: "Old Name", messages: [inbound(0)] };
  const id = await ingestOne(database.service, connection, old);
  await store([{ ...target, participant_name: "New Name", messages: [inbound(100)] }]);
  const before = await readConversation(database.service, id);
  assertEquals(before.participant_name, "New Name");
  await store([{ ...old, participant_identifier: "another person" }]);
  assertEquals(await readConversation(database.service, id), before);
  // Another message of that time, which only arrives now.
  await store([{ ...old, messages: [inbound(1)] }]);
  assertEquals((await readConversation(database.service, id)).participant_name, "New Name");
  // A mark of direction is no name.
  await store([{ ...target, participant_name: "\u200e", messages: [inbound(200)] }]);
  assertEquals((await readConversation(database.service, id)).participant_name, "New Name");
  await store([{ ...target, participant_name: "\u200eAna\u200f", messages: [inbound(300)] }]);
  assertEquals((await readConversation(database.service, id)).participant_name, "Ana");
});

Deno.test("reading covers what had arrived when it was seen", async () => {
  const { store, read, connection } = await business();
  const target = conversation({ messages: messages(3) });
  const id = await ingestOne(database.service, connection, target);
  const seen = (await readConversation(database.service, id)).inbound_arrivals;
  assertEquals(seen, 3);
  await store([{ ...target, messages: [inbound(-10), outbound(-20)] }]);
  await read(id, seen);
  assertEquals((await readConversation(database.service, id)).unread_count, 1);
  // Another member had seen less.
  await read(id, 1);
  assertEquals((await readConversation(database.service, id)).unread_count, 1);
  await read(id);
  assertEquals((await readConversation(database.service, id)).unread_count, 0);
});

Deno.test("conversations of one batch are listed in the order of their newest messages, and history stays quiet", async () => {
  const { store, workspace } = await business();
  const [first, second, third] = [5, 20, 10].map((seconds) =>
    conversation({ messages: [inbound(seconds)] })
  );
  const history = conversation({ messages: [inbound(1000)], is_history: true });
  const rows = await store([first!, second!, third!, history]);
  const listed = await database.sql`
    select id from public.conversations where workspace_id = ${workspace.id}
    order by activity_at desc, id desc`;
  const [a, b, c, old] = rows.map(({ id }) => id);
  assertEquals(listed.map(({ id }) => id), [b, c, a, old]);
  // History of a conversation that is live moves nothing, unless it is newer than all of it.
  const before = await readConversation(database.service, a!);
  await store([{ ...first!, messages: [inbound(900)], is_history: true }]);
  const after = await readConversation(database.service, a!);
  assertEquals([after.activity_at, after.unread_count], [before.activity_at, 1]);
});
