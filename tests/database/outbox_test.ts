/**
 * The outbox in the database: claims, outcomes, what settles an unconfirmed message and what must not,
 * and what codes mean to people. Sending itself is tested through the function, in tests/functions/inbox.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { sqlStateOf, untilBlocked, useDatabase } from "../support/database.ts";
import { ingest, message, type TestMessage } from "../support/messages.ts";
import { createWorkspace, unique, uniqueNumber, type Workspace } from "../support/people.ts";

const database = useDatabase({ own: true });

/** A thread of a Kapso number, whose customer has just written. */
interface Thread {
  workspace: Workspace;
  connection: { id: string; connection_id: string; platform: string; workspace_id: string };
  id: string;
  key: string;
  phone: string;
}

async function createThread(): Promise<Thread> {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const number = String(crypto.getRandomValues(new BigUint64Array(1))[0]! % 10n ** 15n);
  const [connection] = await sql<Thread["connection"][]>`
    insert into public.connections
      (connection_id, workspace_id, user_id, platform, name, phone_number_id)
    values (${unique("c_")}, ${workspace.id}, ${workspace.owner}, 'whatsapp', 'Test', ${number})
    returning id, connection_id, platform, workspace_id`;
  const phone = uniqueNumber();
  const key = `${number}:${phone.slice(1)}`;
  const [stored] = await ingest(service, connection!, [{
    external_conversation_id: key,
    participant_identifier: phone,
    messages: [message({ sent_at: new Date().toISOString() })],
  }]);
  return { workspace, connection: connection!, id: stored!.id!, key, phone };
}

/** Queues a text as the agent. */
async function queue(
  thread: Thread,
  text: string,
  { key = unique(), replyTo = null }: { key?: string; replyTo?: string | null } = {},
): Promise<string> {
  return await database.as({ userId: thread.workspace.agent }, async (sql) => {
    const [row] = await sql`
      select stored ->> 'id' as id from public.enqueue_message(${thread.id}, ${key}, ${
      sql.json({ type: "text", content: text, payload: { type: "text", text }, reply_to: replyTo })
    })`;
    return row!.id;
  });
}

/** Queues a message again as the agent, and says what came of it. */
function retry(thread: Thread, id: string): Promise<string | null> {
  return sqlStateOf(database.as({ userId: thread.workspace.agent }, async (sql) => {
    await sql`select from public.retry_message(${id}, true)`;
  }));
}

async function claim(thread: Thread): Promise<{ id: string; token: string } | undefined> {
  const [row] = await database.service<{ id: string; token: string }[]>`
    select message ->> 'id' as id, message ->> 'attempt_token' as token
    from public.claim_outbox_message(${thread.id})`;
  return row && { ...row };
}

async function record(
  claimed: { id: string; token: string },
  outcome: string,
  more: { message?: TestMessage; code?: string } = {},
): Promise<{ state: string; message_id: string | null }> {
  const [row] = await database.service<{ state: string; message_id: string | null }[]>`
    select outbox_message ->> 'state' as state, outbox_message ->> 'message_id' as message_id
    from public.record_outbox_outcome(
      ${claimed.id}, ${claimed.token}, ${outcome},
      ${more.message === undefined ? null : database.sql.json(more.message as never)},
      ${more.code ?? null}
    )`;
  return { ...row! };
}

async function stateOf(id: string): Promise<string> {
  const [row] = await database.sql`select state from public.outbox_messages where id = ${id}`;
  return row!.state;
}

/** An outbound message as Kapso's webhook brings it, now. */
function webhookCopy(text: string, more: Partial<TestMessage> = {}): TestMessage {
  return message({
    direction: "outbound",
    content: text,
    sent_at: new Date(Math.floor(Date.now() / 1000) * 1000).toISOString(),
    status: "sent",
    metadata: { kapso_type: "text", origin: "cloud_api" },
    ...more,
  });
}

function arrive(thread: Thread, ...messages: TestMessage[]) {
  return ingest(database.service, thread.connection, [{
    external_conversation_id: thread.key,
    participant_identifier: thread.phone,
    messages,
  }]);
}

Deno.test("twenty claims at once: one message on its way, in the order of queueing", async () => {
  const thread = await createThread();
  const queued = [];
  for (const text of ["one", "two", "three"]) queued.push(await queue(thread, text));
  for (const expected of queued) {
    const claims = await Promise.all(Array.from({ length: 20 }, () => claim(thread)));
    const mine = claims.filter((each) => each !== undefined);
    assertEquals(mine.map(({ id }) => id), [expected]);
    await record(mine[0]!, "sent", { message: webhookCopy("x") });
  }
  assertEquals(await claim(thread), undefined);
});

Deno.test("an unconfirmed message is settled by its own copy and by no other", async () => {
  for (
    const [name, copy, isSettled] of [
      ["its id", { metadata: { biz_opaque_callback_data: "OWN" }, content: "anything" }, true],
      ["the id of another", { metadata: { biz_opaque_callback_data: crypto.randomUUID() } }, false],
      ["text and time", {}, true],
      ["another text", { content: "else" }, false],
      ["typed on the phone", { metadata: { kapso_type: "text", origin: "business_app" } }, false],
      ["of an hour ago", { sent_at: new Date(Date.now() - 3_600_000).toISOString() }, false],
      ["of the customer", { direction: "inbound" }, false],
      ["another type", { metadata: { kapso_type: "image", origin: "cloud_api" } }, false],
    ] as const
  ) {
    const thread = await createThread();
    const id = await queue(thread, "Hello");
    assertEquals((await record((await claim(thread))!, "unconfirmed")).state, "unconfirmed", name);
    const text = JSON.stringify(copy).replace("OWN", id);
    await arrive(thread, webhookCopy("Hello", JSON.parse(text)));
    assertEquals(await stateOf(id), isSettled ? "sent" : "unconfirmed", name);
  }
});

Deno.test("a copy that came before the answer was given up settles it at once", async () => {
  const thread = await createThread();
  const id = await queue(thread, "Hello");
  const claimed = (await claim(thread))!;
  const copy = webhookCopy("Hello");
  await arrive(thread, copy);
  // While the answer is awaited, a text alone proves nothing.
  assertEquals(await stateOf(id), "sending");
  assertEquals(await record(claimed, "unconfirmed"), { state: "sent", message_id: copy.id });
});

Deno.test("two of the same text, of which one was sent: one is settled", async () => {
  const thread = await createThread();
  const ids = [await queue(thread, "Hello"), await queue(thread, "Hello")];
  for (const _ of ids) await record((await claim(thread))!, "unconfirmed");
  await arrive(thread, webhookCopy("Hello"));
  assertEquals([await stateOf(ids[0]!), await stateOf(ids[1]!)], ["sent", "unconfirmed"]);
  await arrive(thread, webhookCopy("Hello"));
  assertEquals(await stateOf(ids[1]!), "sent");
});

Deno.test("an answer after the lease is over still counts, and puts the message into the thread", async () => {
  const { sql } = database;
  const thread = await createThread();
  const id = await queue(thread, "Hello");
  const claimed = (await claim(thread))!;
  await sql`update public.outbox_messages set lease_expires_at = now() - interval '1 s' where id = ${id}`;
  assertEquals(await claim(thread), undefined);
  assertEquals(await stateOf(id), "unconfirmed");
  const copy = webhookCopy("Hello", { status: "pending" });
  assertEquals(await record(claimed, "sent", { message: copy }), {
    state: "sent",
    message_id: copy.id,
  });
  // And of an attempt that was followed by another one, the message is kept all the same.
  const older = { ...claimed, token: crypto.randomUUID() };
  await record(older, "sent", { message: webhookCopy("Hello again") });
  const [row] = await sql`select message_count from public.conversations where id = ${thread.id}`;
  assertEquals(row!.message_count, 3);
  assertEquals(await stateOf(id), "sent");
  assertEquals((await record(older, "failed", { code: "131026" })).state, "sent");
});

Deno.test("a late failure of an earlier attempt is not the failure of the next one", async () => {
  const { sql } = database;
  const thread = await createThread();
  const id = await queue(thread, "Hello");
  const first = webhookCopy("Hello", { metadata: { biz_opaque_callback_data: id } });
  await record((await claim(thread))!, "unconfirmed");
  await retry(thread, id);
  const second = (await claim(thread))!;
  await arrive(thread, { ...first, status: "failed", error: { code: "131026" } });
  assertEquals(await stateOf(id), "sending");
  await record(second, "sent", { message: webhookCopy("Hello") });
  assertEquals(await stateOf(id), "sent");
  const [row] = await sql`select attempts from public.outbox_messages where id = ${id}`;
  assertEquals(row!.attempts, 2);
});

Deno.test("a retry while others look: everybody gets an answer", async () => {
  const { sql, service } = database;
  const thread = await createThread();
  const ids = [await queue(thread, "one"), await queue(thread, "two")];
  for (const _ of ids) await record((await claim(thread))!, "unconfirmed");
  const held = await sql.reserve();
  await held`begin`;
  await held`select from public.outbox_messages where id = ${ids[0]!} for update`;
  // Both need the rows of both messages.
  const look = sqlStateOf(service`select private.settle_conversation(${thread.id})`);
  await untilBlocked(sql);
  const retried = retry(thread, ids[1]!);
  await untilBlocked(sql, 2);
  await held`commit`;
  held.release();
  assertEquals([await look, await retried], [null, null]);
  assertEquals([await stateOf(ids[0]!), await stateOf(ids[1]!)], ["unconfirmed", "queued"]);
});

Deno.test("a copy that was taken for another message of the same text is given back to its own", async () => {
  const { sql } = database;
  const thread = await createThread();
  const lost = await queue(thread, "Hello");
  await record((await claim(thread))!, "unconfirmed");
  const sent = await queue(thread, "Hello");
  const claimed = (await claim(thread))!;
  // It names no message, and comes before the answer.
  const copy = webhookCopy("Hello");
  await arrive(thread, copy);
  assertEquals(await stateOf(lost), "sent");
  assertEquals(await record(claimed, "sent", { message: copy }), {
    state: "sent",
    message_id: copy.id,
  });
  const [row] = await sql`
    select state, message_id, error_code from public.outbox_messages where id = ${lost}`;
  assertEquals({ ...row }, { state: "unconfirmed", message_id: null, error_code: "no_answer" });
  assertEquals(await stateOf(sent), "sent");
});

Deno.test("an answer that comes when the message is queued again ends that", async () => {
  const thread = await createThread();
  const id = await queue(thread, "Hello");
  const claimed = (await claim(thread))!;
  await database
    .sql`update public.outbox_messages set lease_expires_at = now() - interval '1 s' where id = ${id}`;
  assertEquals(await retry(thread, id), null);
  assertEquals(await stateOf(id), "queued");
  await record(claimed, "sent", { message: webhookCopy("Hello") });
  assertEquals(await stateOf(id), "sent");
  assertEquals(await claim(thread), undefined);
});

Deno.test("a number that is switched off or deleted while Kapso answers", async () => {
  const { sql } = database;
  const thread = await createThread();
  const [first, second, third] = [
    await queue(thread, "one"),
    await queue(thread, "two"),
    await queue(thread, "three"),
  ];
  const one = (await claim(thread))!;
  await sql`update public.connections set is_active = false where id = ${thread.connection.id}`;
  const copy = webhookCopy("one");
  assertEquals((await record(one, "sent", { message: copy })).message_id, copy.id);
  const [next] = await database.service`
    select message ->> 'id' as id, message ->> 'attempt_token' as token, phone_number_id
    from public.claim_outbox_message(${thread.id})`;
  assertEquals([next!.id, next!.phone_number_id], [second, null]);
  await record({ id: next!.id, token: next!.token }, "failed", { code: "connection_not_ready" });
  await sql`update public.connections set is_active = true where id = ${thread.connection.id}`;
  const two = (await claim(thread))!;
  await sql`delete from public.connections where id = ${thread.connection.id}`;
  // It cannot be stored in the conversation any more, so its row keeps showing it.
  assertEquals(await record(two, "sent", { message: webhookCopy("three") }), {
    state: "sent",
    message_id: null,
  });
  assertEquals(
    [await stateOf(first), await stateOf(second), await stateOf(third)],
    ["sent", "failed", "sent"],
  );
});

Deno.test("a dead sender is found, however many threads wait to be looked at again", async () => {
  const { sql, service } = database;
  const threads = await Promise.all(Array.from({ length: 4 }, createThread));
  const [dead, ...others] = threads.sort((one, other) => other.id < one.id ? -1 : 1) as [
    Thread,
    ...Thread[],
  ];
  for (const thread of others) {
    await queue(thread, "Hello");
    await record((await claim(thread))!, "unconfirmed");
  }
  const id = await queue(dead, "Hello");
  await claim(dead);
  await sql`update public.outbox_messages set lease_expires_at = now() - interval '1 s' where id = ${id}`;
  // Other tests may have left some that are more urgent.
  for (let calls = 0; calls < 20; calls++) await service`select public.settle_outbox(1)`;
  assertEquals(await stateOf(id), "unconfirmed");
});

Deno.test("a sender that died long ago: its message is found on the page where it would be", async () => {
  const { sql } = database;
  const thread = await createThread();
  const id = await queue(thread, "Hello");
  await claim(thread);
  await sql`
    update public.outbox_messages
    set attempt_started_at = now() - interval '300 days', lease_expires_at = now() - interval '300 days'
    where id = ${id}`;
  const day = 86_400_000;
  const copy = webhookCopy("Hello", { sent_at: new Date(Date.now() - 300 * day).toISOString() });
  await arrive(
    thread,
    copy,
    ...Array.from(
      { length: 300 },
      (_, index) => message({ sent_at: new Date(Date.now() - (299 - index) * day).toISOString() }),
    ),
  );
  assertEquals(await stateOf(id), "sending");
  await claim(thread);
  const [row] = await sql`select state, message_id from public.outbox_messages where id = ${id}`;
  assertEquals({ ...row }, { state: "sent", message_id: copy.id });
});

Deno.test("a key is of its workspace, and a reply of its thread", async () => {
  const [mine, other] = [await createThread(), await createThread()];
  const key = unique();
  assert(await queue(mine, "Hello", { key }) !== await queue(other, "Hello", { key }));
  const [theirs] = await database.sql`
    select messages -> 0 ->> 'id' as id from public.conversations where id = ${other.id}`;
  await queue(other, "Yes", { replyTo: theirs!.id });
  assertEquals(await sqlStateOf(queue(mine, "Yes", { replyTo: theirs!.id })), "PT404");
});

Deno.test("statuses are followed forward only, also into the archive", async () => {
  const thread = await createThread();
  const id = await queue(thread, "Hello");
  const copy = webhookCopy("Hello", { status: "pending" });
  await record((await claim(thread))!, "sent", { message: copy });
  await arrive(
    thread,
    ...Array.from(
      { length: 120 },
      (_, index) => message({ sent_at: new Date(Date.now() + 60_000 + index).toISOString() }),
    ),
  );
  for (
    const [status, expected] of [["read", "read"], ["delivered", "read"], ["failed", "failed"]]
  ) {
    await ingest(database.service, thread.connection, [{
      external_conversation_id: thread.key,
      participant_identifier: thread.phone,
      messages: [],
      changes: [{ message_id: copy.id, status, error: { code: 131049 } }],
    }]);
    assertEquals(await stateOf(id), expected, status);
  }
  const [row] = await database.sql`
    select error_code, error_message, can_retry from public.outbox_messages where id = ${id}`;
  assertEquals([row!.error_code, row!.can_retry], ["131049", true]);
  assertMatch(row!.error_message, /too many/);
});

Deno.test("codes are explained in plain words, unknown ones too", async () => {
  const codes = [
    ["131047", false],
    ["131026", false],
    ["131049", true],
    ["131050", false],
    ["131051", false],
    ["131056", true],
    ["130429", true],
    ["131031", false],
    ["368", false],
    ["132000", false],
    ["132001", false],
    ["132007", false],
    ["132012", false],
    ["132015", false],
    ["132099", false],
    ["999999", true],
    [null, true],
  ] as const;
  const sentences = new Set<string>();
  for (const [code, canRetry] of codes) {
    const [reason] = await database.service`select * from private.failure_reason(${code})`;
    assertMatch(reason!.message, /^[A-Z].*\.$/, `${code}`);
    assert(!reason!.message.includes(String(code)), `${code} is not plain`);
    assertEquals(reason!.can_retry, canRetry, `${code}`);
    sentences.add(reason!.message);
  }
  // All differ but the last two.
  assertEquals(sentences.size, codes.length - 1);
});

Deno.test("messages are counted once, by the day of the workspace, however many add up at once", async () => {
  const { sql, service } = database;
  const thread = await createThread();
  const { workspace } = thread;
  await sql`update public.workspaces set time_zone = 'Asia/Jakarta' where id = ${workspace.id}`;
  // Not today, whose evening may be in the future.
  const day = new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10);
  // 16:59 and 17:01 UTC are two days in Jakarta.
  const messages = ["16:59", "17:01"].flatMap((time) =>
    ["inbound", "outbound", "outbound"].map((direction) =>
      message({ direction, sent_at: `${day}T${time}:00Z` })
    )
  );
  await sql`delete from private.message_count_parts where workspace_id = ${workspace.id}`;
  await Promise.all(Array.from({ length: 8 }, () => arrive(thread, ...messages)));
  const total = async () => {
    const rows = await sql`
      select local_date::text as day, direction, sum(messages)::integer as messages
      from (
        select * from private.message_counts
        union all
        select * from private.message_count_parts
      ) as counted
      where workspace_id = ${workspace.id}
      group by 1, 2 order by 1, 2`;
    return rows.map((row) => `${row.day} ${row.direction} ${row.messages}`);
  };
  const next = new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
  const expected = [day, next].flatMap((date) => [`${date} inbound 1`, `${date} outbound 2`]);
  assertEquals(await total(), expected);
  await Promise.all(Array.from({ length: 6 }, () => service`select public.fold_message_counts()`));
  assertEquals(await total(), expected);
  // Parts that another run is adding up are skipped, and gone a moment later.
  while (true) {
    const [left] = await sql`
      select count(*)::integer as parts from private.message_count_parts
      where workspace_id = ${workspace.id}`;
    if (left!.parts === 0) break;
    await service`select public.fold_message_counts()`;
  }
  assertEquals(await total(), expected);
});
