/**
 * ingest_conversations, one caller at a time: what is new, in which order it is kept, and what it does to the
 * row of the conversation.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Json, size, sqlStateOf, untilBlocked, useDatabase } from "../support/database.ts";
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
  type TestMessage,
  threadFaults,
} from "../support/messages.ts";
import { ModelThread, Random } from "../support/messages_model.ts";
import { createConnection, createWorkspace, unique } from "../support/people.ts";

const database = useDatabase({ own: true });

async function whatsapp() {
  return await createConnection(database.sql, await createWorkspace(database.sql));
}

function ids(thread: TestMessage[]): string[] {
  return thread.map((each) => each.id);
}

Deno.test("a conversation is created, updated, and left alone when nothing is new", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const first = conversation({ messages: messages(2) });
  const created = await ingest(service, connection, [first]);
  assertEquals(
    created.map(({ outcome, messages_added, error }) => [outcome, messages_added, error]),
    [
      ["created", 2, null],
    ],
  );
  const id = created[0]!.id!;
  assertEquals(created[0]!.external_conversation_id, first.external_conversation_id);

  const more = { ...first, messages: [...first.messages, message({ sent_at: at(60) })] };
  assertEquals(await ingest(service, connection, [more]), [
    {
      id,
      external_conversation_id: first.external_conversation_id,
      outcome: "updated",
      messages_added: 1,
      error: null,
    },
  ]);

  const before = await readConversation(service, id);
  assertEquals(await ingest(service, connection, [more]), [
    {
      id,
      external_conversation_id: first.external_conversation_id,
      outcome: "no_new_messages",
      messages_added: 0,
      error: null,
    },
  ]);
  assertEquals(await readConversation(service, id), before, "a replay writes nothing");
  assertEquals(await readThread(service, id), more.messages);
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("an empty batch answers with no rows", async () => {
  assertEquals(await ingest(database.service, await whatsapp(), []), []);
});

Deno.test("the same conversation twice in one batch is one thread", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const [early, shared, late] = messages(3) as [TestMessage, TestMessage, TestMessage];
  const first = conversation({ messages: [late, shared] });
  const rows = await ingest(service, connection, [
    first,
    conversation({ messages: messages(1) }),
    { ...first, messages: [shared, early] },
    { ...first, messages: [shared] },
  ]);
  assertEquals(rows.map(({ outcome, messages_added }) => [outcome, messages_added]), [
    ["created", 2],
    ["created", 1],
    ["updated", 1],
    ["no_new_messages", 0],
  ]);
  assertEquals(rows[0]!.id, rows[2]!.id);
  assertEquals(await readThread(service, rows[0]!.id!), [early, shared, late]);
  assertEquals(await threadFaults(service, rows[0]!.id!), []);
});

Deno.test("a message twice in one array is stored once, as it came first", async () => {
  const { service } = database;
  const given = message({ content: "first" });
  const [row] = await ingest(service, await whatsapp(), [
    conversation({ messages: [given, { ...given, content: "second", sent_at: at(99) }, given] }),
  ]);
  assertEquals(row!.messages_added, 1);
  assertEquals(await readThread(service, row!.id!), [given]);
  assertEquals(await threadFaults(service, row!.id!), []);
});

Deno.test("message ids are compared letter by letter, within one conversation", async () => {
  const { service } = database;
  const near = ["a", "A", " a", "a ", "á", "a\u0301", "ａ"];
  const rows = await ingest(service, await whatsapp(), [
    conversation({ messages: near.map((id) => message({ id })) }),
    conversation({ messages: near.map((id) => message({ id })) }),
  ]);
  assertEquals(rows.map((row) => row.messages_added), [near.length, near.length]);
});

Deno.test("external ids are compared letter by letter", async () => {
  const { service } = database;
  const name = unique();
  const near = ["a", "A", "a ", "á", "a\u0301"].map((tail) => name + tail);
  const rows = await ingest(
    service,
    await whatsapp(),
    near.map((id) => conversation({ external_conversation_id: id })),
  );
  assertEquals(rows.map((row) => row.outcome), near.map(() => "created"));
  assertEquals(rows.map((row) => row.external_conversation_id), near);
});

Deno.test("no messages: creates the conversation, and renames it", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const given = conversation({ participant_name: "Budi" });
  const id = await ingestOne(service, connection, given);
  assertEquals((await readConversation(service, id)).participant_name, "Budi");
  assertEquals((await readConversation(service, id)).last_message_at, null);

  const [row] = await ingest(service, connection, [{ ...given, participant_name: "Budi Santoso" }]);
  assertEquals([row!.outcome, row!.messages_added], ["no_new_messages", 0]);
  assertEquals((await readConversation(service, id)).participant_name, "Budi Santoso");
});

Deno.test("the newest non-empty name wins", async (t) => {
  const { service } = database;
  const connection = await whatsapp();
  const given = conversation({ participant_name: "One" });
  const id = await ingestOne(service, connection, given);
  const nameAfter = async (...batch: Partial<TestConversation>[]) => {
    await ingest(service, connection, batch.map((each) => ({ ...given, ...each })));
    return (await readConversation(service, id)).participant_name;
  };
  await t.step("an empty one changes nothing", async () => {
    assertEquals(await nameAfter({ participant_name: "" }), "One");
    assertEquals(await nameAfter({ participant_name: "   " }), "One");
    assertEquals(await nameAfter({ messages: messages(1), participant_name: "" }), "One");
  });
  await t.step("the last of a batch", async () => {
    assertEquals(
      await nameAfter({ participant_name: "Two" }, { participant_name: "Three" }, {
        participant_name: "",
      }),
      "Three",
    );
  });
  await t.step("history does not change one that is there", async () => {
    assertEquals(await nameAfter({ participant_name: "Old", is_history: true }), "Three");
  });
  await t.step("history gives one where there is none", async () => {
    const other = conversation({ participant_name: "From history", is_history: true });
    const otherId = await ingestOne(service, connection, other);
    assertEquals((await readConversation(service, otherId)).participant_name, "From history");
  });
  await t.step("a very long one is cut", async () => {
    assertEquals(await nameAfter({ participant_name: "n".repeat(5000) }), "n".repeat(300));
  });
});

Deno.test("messages of one instant keep the order in which they came", async (t) => {
  const { service } = database;
  const connection = await whatsapp();
  await t.step("in one batch", async () => {
    const given = messages(20).map((each) => ({ ...each, sent_at: at(5) }));
    const id = await ingestOne(service, connection, conversation({ messages: given }));
    assertEquals(ids(await readThread(service, id)), ids(given));
  });
  await t.step("350 of them, over pages and batches", async () => {
    const given = messages(350).map((each) => ({ ...each, sent_at: at(5) }));
    const target = conversation();
    let id = "";
    for (const [start, end] of [[0, 30], [30, 31], [31, 280], [280, 350]] as const) {
      id = await ingestOne(service, connection, { ...target, messages: given.slice(start, end) });
      assertEquals(await threadFaults(service, id), []);
    }
    assertEquals(ids(await readThread(service, id)), ids(given));

    // Around the run, then into it again: still behind those that were there.
    const before = messages(120, -500);
    const after = messages(250, 100);
    const inside = messages(150).map((each) => ({ ...each, sent_at: at(5) }));
    await ingest(service, connection, [{ ...target, messages: [...after, ...before] }]);
    await ingest(service, connection, [{ ...target, messages: inside.slice(0, 70) }]);
    await ingest(service, connection, [{ ...target, messages: inside.slice(70) }]);
    assertEquals(
      ids(await readThread(service, id)),
      ids([...before, ...given, ...inside, ...after]),
    );
    assertEquals(await threadFaults(service, id), []);
  });
});

Deno.test("the same instant in several spellings is one instant", async () => {
  const { service } = database;
  const times = [
    "2026-01-01T10:00:00Z",
    "2026-01-01T17:00:00+07:00",
    "2026-01-01T10:00:00.000000Z",
  ];
  const given = times.map((time) => message({ sent_at: time }));
  const id = await ingestOne(
    service,
    await whatsapp(),
    conversation({ messages: [message({ sent_at: "2026-01-01T11:30:00+02:00" }), ...given] }),
  );
  assertEquals(ids(await readThread(service, id)).slice(1), ids(given));
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("late messages go to their place, wherever that is", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const all = messages(1000);
  const isLate = (index: number) => index % 10 === 3 || (index >= 200 && index < 330) || index < 40;
  const target = conversation();
  const id = await ingestOne(service, connection, {
    ...target,
    messages: all.filter((_, index) => !isLate(index)),
  });
  await ingest(service, connection, [
    { ...target, messages: all.filter((_, index) => isLate(index)).reverse() },
  ]);
  assertEquals(await readThread(service, id), all);
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("a backfill that goes backwards in time is kept in order", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const all = messages(size(3_000, 100_000));
  const target = conversation({ is_history: true });
  let id = "";
  for (let end = all.length; end > 0; end -= 100) {
    id = await ingestOne(service, connection, {
      ...target,
      messages: all.slice(Math.max(0, end - 100), end).reverse(),
    });
  }
  assertEquals(ids(await readThread(service, id)), ids(all));
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("5,000 messages in one call: into one thread, and into fifty", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const all = messages(5_000);
  const one = await ingest(service, connection, [conversation({ messages: all })]);
  assertEquals(one.map((row) => row.messages_added), [5_000]);
  assertEquals(await threadFaults(service, one[0]!.id!), []);
  const fifty = await ingest(
    service,
    connection,
    Array.from(
      { length: 50 },
      (_, index) => conversation({ messages: all.slice(index * 100, index * 100 + 100) }),
    ),
  );
  assertEquals(fifty.map((row) => row.messages_added), fifty.map(() => 100));
});

Deno.test("any order, any split, any replay gives the thread of the model", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const runs = size(40, 1000);
  const firstSeed = size(1, Date.now() % 1_000_000);
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const random = new Random(seed);
    const count = random.pick([5, 60, 250, 700]);
    // Narrow: many messages at one instant. Wide: hardly any.
    const span = random.pick([3, 100, 100_000]);
    const pool = random.shuffle(
      messages(count).map((each) => ({
        ...each,
        sent_at: at(random.below(span)),
        direction: random.pick(["inbound", "outbound"]),
        type: random.pick(["text", "image"]),
        content: random.oneIn(5) ? "" : each.content,
      })),
    );
    const targets = Array.from({ length: random.pick([1, 1, 3]) }, () => conversation());
    const models = new Map(
      targets.map((each) => [each.external_conversation_id, new ModelThread()]),
    );
    const rowIds = new Map<string, string>();
    for (let sent = 0; sent < count;) {
      const batch: TestConversation[] = [];
      for (let element = 0; element < 1 + random.below(4); element++) {
        const length = random.pick([0, 1, 7, 90, 300]);
        const fresh = pool.slice(sent, sent + length);
        const replay = sent === 0 ? [] : pool.slice(random.below(sent)).slice(0, random.below(40));
        sent += length;
        batch.push({
          ...random.pick(targets),
          messages: random.oneIn(2) ? [...fresh, ...replay] : random.shuffle([...replay, ...fresh]),
          ...(random.oneIn(3) ? { is_history: true } : {}),
        });
      }
      const rows = await ingest(service, connection, batch);
      const expected = batch.map((each) => models.get(each.external_conversation_id)!.add(each));
      for (const model of models.values()) model.endBatch();
      assertEquals(rows.map((row) => row.messages_added), expected, `seed ${seed}`);
      for (const row of rows) rowIds.set(row.external_conversation_id!, row.id!);
    }
    for (const [externalId, id] of rowIds) {
      const model = models.get(externalId)!;
      assertEquals(await readThread(service, id), model.messages, `seed ${seed}`);
      assertEquals(await threadFaults(service, id), [], `seed ${seed}`);
      const row: Record<string, unknown> = { ...await readConversation(service, id) };
      const summary = model.summary();
      assertEquals(
        Object.fromEntries(
          Object.keys(summary).map((key) => {
            const value = row[key];
            return [key, value instanceof Date ? value.toISOString() : value];
          }),
        ),
        summary,
        `seed ${seed}`,
      );
    }
  }
});

function permutations<T>(things: readonly T[]): T[][] {
  if (things.length < 2) return [[...things]];
  return things.flatMap((first, index) =>
    permutations(things.toSpliced(index, 1)).map((rest) => [first, ...rest])
  );
}

/** A message with its reactions in an order that can be compared. */
function comparable(stored: TestMessage | undefined): unknown {
  const reactions = (stored?.reactions ?? []) as { sender: string }[];
  return { ...stored, reactions: reactions.toSorted((a, b) => a.sender < b.sender ? -1 : 1) };
}

/** What happens to one message, in some order. `m` is the message itself. */
const EVENTS: Record<
  string,
  { events: Record<string, unknown>[]; result: Record<string, unknown> }
> = {
  "statuses": {
    events: [
      { m: { status: "pending", status_at: at(1) } },
      { status: "sent", status_at: at(2) },
      { status: "delivered", status_at: at(3) },
      { status: "read", status_at: at(4) },
      { status: "delivered", status_at: at(9) },
    ],
    result: { status: "read", status_at: at(4), reactions: [] },
  },
  "a message that comes with its last status": {
    events: [
      { m: { status: "read", status_at: at(8) } },
      { status: "read", status_at: at(4) },
      { status: "sent", status_at: at(2) },
      { status: "read" },
    ],
    result: { status: "read", status_at: at(4), reactions: [] },
  },
  "a failure, which is final": {
    events: [
      { m: {} },
      { status: "sent", status_at: at(2) },
      { status: "failed", status_at: at(3), error: { code: 131047, message: "Re-engagement" } },
      { status: "delivered", status_at: at(4) },
      { status: "failed", status_at: at(5), error: { code: 1 } },
    ],
    result: {
      status: "failed",
      status_at: at(3),
      error: { code: 131047, message: "Re-engagement" },
      reactions: [],
    },
  },
  "reactions": {
    events: [
      { m: {} },
      { reactions: [{ sender: "ann", emoji: "👍", reacted_at: at(2) }] },
      { reactions: [{ sender: "ann", emoji: null, reacted_at: at(4) }] },
      { reactions: [{ sender: "ann", emoji: "❤️", reacted_at: at(3) }] },
      { reactions: [{ sender: "bob", emoji: "😂", reacted_at: at(1) }] },
    ],
    result: {
      reactions: [
        { sender: "ann", emoji: null, reacted_at: at(4) },
        { sender: "bob", emoji: "😂", reacted_at: at(1) },
      ],
    },
  },
  "reactions of one instant, told apart by their ids": {
    events: [
      { m: { reactions: [{ sender: "ann", emoji: "1", reacted_at: at(2), id: "a" }] } },
      { reactions: [{ sender: "ann", emoji: "3", reacted_at: at(2), id: "c" }] },
      { reactions: [{ sender: "ann", emoji: "2", reacted_at: at(2), id: "b" }] },
      { reactions: [{ sender: "ann", emoji: "0", reacted_at: at(2) }] },
    ],
    result: { reactions: [{ sender: "ann", emoji: "3", reacted_at: at(2), id: "c" }] },
  },
  "a reaction taken back in the second in which it was given": {
    events: [
      { m: {} },
      { reactions: [{ sender: "ann", emoji: "👍", reacted_at: at(2), id: "z" }] },
      { reactions: [{ sender: "ann", emoji: null, reacted_at: at(2), id: "a" }] },
    ],
    result: { reactions: [{ sender: "ann", emoji: null, reacted_at: at(2), id: "a" }] },
  },
  "edits": {
    events: [
      { m: { content: "first" } },
      { edit: { content: "second", edited_at: at(2) } },
      { edit: { content: "third", edited_at: at(3) } },
      { edit: { content: "of the same instant", edited_at: at(3) } },
      { status: "read", status_at: at(9) },
    ],
    result: {
      content: "third",
      edited_at: at(3),
      original_content: "first",
      status: "read",
      status_at: at(9),
      reactions: [],
    },
  },
  "a deletion": {
    events: [
      { m: { content: "not for you", type: "image", metadata: { note: "private" } } },
      { deleted_at: at(5), media_url: "https://example.com/a.jpg" },
      { edit: { content: "nor this", edited_at: at(6) } },
      { deleted_at: at(4) },
      {
        status: "read",
        status_at: at(3),
        reactions: [{ sender: "a", emoji: "1", reacted_at: at(2) }],
      },
    ],
    result: {
      type: "image",
      content: "",
      deleted_at: at(4),
      status: "read",
      status_at: at(3),
      reactions: [],
    },
  },
  "everything at once, with media that came late": {
    events: [
      { m: { reactions: [{ sender: "zoe", emoji: "✅", reacted_at: at(1) }] } },
      { status: "sent", status_at: at(2) },
      { status: "delivered", status_at: at(3), media_url: "https://example.com/a.jpg" },
      { reactions: [{ sender: "bob", emoji: "😂", reacted_at: at(1) }] },
      {
        reactions: [
          { sender: "zoe", emoji: "❌", reacted_at: at(5) },
          { sender: "bob", emoji: "🙃", reacted_at: at(6) },
        ],
      },
    ],
    result: {
      status: "delivered",
      status_at: at(3),
      media_url: "https://example.com/a.jpg",
      reactions: [
        { sender: "bob", emoji: "🙃", reacted_at: at(6) },
        { sender: "zoe", emoji: "❌", reacted_at: at(5) },
      ],
    },
  },
};

for (const [name, { events, result }] of Object.entries(EVENTS)) {
  Deno.test(`in any order, also twice, before the message and in the archive: ${name}`, async (t) => {
    const { service } = database;
    const connection = await whatsapp();
    const orders = permutations(events);
    const kinds = {
      "in the head": { others: 0, orders },
      "in the archive": {
        others: 130,
        orders: orders.filter((_, index) => index % Math.ceil(orders.length / size(12, 120)) === 0),
      },
    };
    for (const [kind, { others, orders }] of Object.entries(kinds)) {
      await t.step(kind, async () => {
        const threads = orders.map((order) => ({
          order,
          given: message(),
          target: conversation(),
        }));
        const newer = messages(others, 1_000);
        await ingest(
          service,
          connection,
          threads.map((each) => ({ ...each.target, messages: newer })),
        );
        // Each round sends one event to every thread; the second time everything is a replay.
        for (let round = 0; round < events.length * 2; round++) {
          const rows = await ingest(
            service,
            connection,
            threads.map(({ order, given, target }) => {
              const event = order[round % events.length]!;
              return event.m
                ? { ...target, messages: [{ ...given, ...event.m }] }
                : { ...target, changes: [{ message_id: given.id, ...event }] };
            }),
          );
          assertEquals(rows.filter((row) => row.outcome === "error"), []);
        }
        const stored = await service<{ external: string; messages: TestMessage[] }[]>`
          select external_conversation_id as external, messages from public.conversation_export
          where external_conversation_id = any (
            ${threads.map((each) => each.target.external_conversation_id)}
          )`;
        const threadOf = new Map(stored.map((row) => [row.external, row.messages]));
        for (const { order, given, target } of threads) {
          const thread = threadOf.get(target.external_conversation_id)!;
          assertEquals(thread.length, others + 1);
          assertEquals(comparable(thread[0]), { ...given, ...result }, JSON.stringify(order));
        }
        const [waiting] = await service`
          select count(*)::integer as count from private.waiting_updates
          where conversation_id in (
            select id from public.conversations where external_conversation_id = any (
              ${threads.map((each) => each.target.external_conversation_id)}
            )
          )`;
        assertEquals(waiting!.count, 0, "nothing waits any more");
      });
    }
  });
}

Deno.test("changes of a message that is never sent wait, once each", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const changes = [{ message_id: "missing", status: "read", status_at: at(1) }];
  const target = conversation({ messages: messages(1), changes });
  const id = await ingestOne(service, connection, target);
  await ingest(service, connection, [target, target]);
  const waiting = await service`
    select message_id, change from private.waiting_updates where conversation_id = ${id}`;
  assertEquals([...waiting], [{ message_id: "missing", change: changes[0] }]);
});

Deno.test("changes alone create no conversation, and wait for the one that has their message", async (t) => {
  const { sql, service } = database;
  for (const platform of ["whatsapp", "telegram"]) {
    await t.step(platform, async () => {
      const connection = await createConnection(sql, await createWorkspace(sql), { platform });
      const given = message();
      const target = conversation({
        changes: [{ message_id: given.id, status: "read", status_at: at(1) }],
      });
      for (let repeat = 0; repeat < 2; repeat++) {
        const [row] = await ingest(service, connection, [target]);
        assertEquals([row!.outcome, row!.id], ["no_new_messages", null]);
      }
      // On Telegram, ids are unique only within a conversation.
      const other = conversation({ messages: [message({ ...given, content: "of another" })] });
      const isNamed = platform === "telegram";
      if (isNamed) await ingestOne(service, connection, other);
      const id = await ingestOne(service, connection, {
        ...target,
        messages: [given],
        changes: [],
      });
      assertEquals(await readThread(service, id), [{
        ...given,
        status: "read",
        status_at: at(1),
      }]);
      const [waiting] = await service`
        select count(*)::integer as count from private.waiting_updates
        where workspace_id = ${connection.workspace_id}`;
      assertEquals(waiting!.count, 0);
    });
  }
});

Deno.test("a change finds its message by its id alone, wherever it lies", async (t) => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace, { platform: "whatsapp" });
  const stranger = await createConnection(sql, await createWorkspace(sql), {
    platform: "whatsapp",
  });
  const change = (changes: Record<string, unknown>[], to = connection) =>
    service`select * from public.apply_message_changes(${to.id}, ${sql.json(changes as Json)})`;
  const given = messages(120);
  const target = conversation({ messages: given });
  const id = await ingestOne(service, connection, target);
  const same = await ingestOne(service, stranger, conversation({ messages: [given[3]!] }));
  const edit = (content: string, seconds: number) => ({
    edit: { content, edited_at: at(seconds) },
  });

  await t.step("in the head and in the archive", async () => {
    assertEquals(
      [
        ...await change([
          { message_id: given[3]!.id, ...edit("new", 500) },
          { message_id: given[119]!.id, deleted_at: at(600) },
          { message_id: "never seen", ...edit("x", 1) },
        ]),
      ],
      [
        { message_id: given[3]!.id, outcome: "applied", error: null },
        { message_id: given[119]!.id, outcome: "applied", error: null },
        { message_id: "never seen", outcome: "waiting", error: null },
      ],
    );
    const thread = await readThread(service, id);
    assertEquals([thread[3]!.content, thread[3]!.original_content], ["new", given[3]!.content]);
    assertEquals([thread[119]!.content, thread[119]!.deleted_at], ["", at(600)]);
    assertEquals(await threadFaults(service, id), []);
    assertEquals((await readConversation(service, id)).last_message_preview, "[deleted]");
    assertEquals((await readThread(service, same))[0]!.content, given[3]!.content);
  });
  await t.step("where two conversations have the id, it must name one", async () => {
    const twice = message();
    const first = conversation({ messages: [twice] });
    const second = conversation({ messages: [twice] });
    const firstId = await ingestOne(service, connection, first);
    const secondId = await ingestOne(service, connection, second);
    const named = { external_conversation_id: second.external_conversation_id };
    assertEquals(
      (await change([
        { message_id: twice.id, ...edit("which?", 1) },
        { message_id: twice.id, ...edit("this", 2), ...named },
      ])).map((row) => [row.outcome, row.error]),
      [["error", "ambiguous_message"], ["applied", null]],
    );
    assertEquals((await readThread(service, firstId))[0]!.content, twice.content);
    assertEquals((await readThread(service, secondId))[0]!.content, "this");
  });
  await t.step(
    "a change that came in the same moment as its message is applied later",
    async () => {
      const late = message();
      // As if neither transaction had seen the other.
      await change([{ message_id: late.id, ...edit("in time", 1) }]);
      const waiting = await sql`
      delete from private.waiting_updates
      where workspace_id = ${connection.workspace_id} and message_id = ${late.id}
      returning workspace_id, message_id, message_digest, change`;
      const lateId = await ingestOne(service, connection, conversation({ messages: [late] }));
      await sql`insert into private.waiting_updates ${sql(waiting)}`;
      const settle = () => service`select public.settle_waiting_updates() as count`;
      assertEquals([...await settle(), ...await settle()], [{ count: 1 }, { count: 0 }]);
      assertEquals((await readThread(service, lateId))[0]!.content, "in time");
    },
  );
});

Deno.test("a workspace can keep what its customers delete", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  await sql`update public.workspaces set keeps_deleted_messages = true where id = ${workspace.id}`;
  const connection = await createConnection(sql, workspace, { platform: "whatsapp" });
  const given = message({ content: "regretted" });
  const target = conversation({ messages: [given] });
  const id = await ingestOne(service, connection, target);
  const changes = [{ message_id: given.id, deleted_at: at(9) }];
  await ingest(service, connection, [{ ...target, messages: [], changes }]);
  assertEquals(await readThread(service, id), [{ ...given, deleted_at: at(9) }]);
  assertEquals((await readConversation(service, id)).last_message_preview, "regretted");
});

Deno.test("the list shows the newer text of its message", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const given = messages(2).map((each) => ({ ...each, content: "the same" }));
  const target = conversation({ messages: given });
  const id = await ingestOne(service, connection, target);
  const preview = async (index: number, content: string) => {
    const edit = { content, edited_at: at(100 + index) };
    const changes = [{ message_id: given[index]!.id, edit }];
    await ingest(service, connection, [{ ...target, messages: [], changes }]);
    return (await readConversation(service, id)).last_message_preview;
  };
  assertEquals([await preview(0, "older"), await preview(1, "newer")], ["the same", "newer"]);
});

Deno.test("of the reactions of a message the newest thousand are kept", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const given = message();
  const target = conversation({ messages: [given] });
  const id = await ingestOne(service, connection, target);
  const reactions = Array.from({ length: 3000 }, (_, index) => ({
    sender: `member ${index % 1500}`,
    emoji: "👍",
    reacted_at: at(index),
  }));
  for (
    const changes of [
      reactions.map((reaction) => ({ message_id: given.id, reactions: [reaction] })),
      [{ message_id: given.id, reactions: reactions.slice(0, 2000) }],
    ]
  ) {
    // Within the 8 seconds that the role has.
    const [row] = await ingest(service, connection, [{ ...target, messages: [], changes }]);
    assertEquals(row!.error, null);
    const kept = (await readThread(service, id))[0]!.reactions as typeof reactions;
    assertEquals(
      kept.toSorted((a, b) => Date.parse(a.reacted_at) - Date.parse(b.reacted_at)),
      reactions.slice(2000),
    );
  }
});

Deno.test("history comes oldest first between messages that are there, however much of it", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const total = size(3_000, 150_000);
  const target = conversation({ messages: messages(120, total + 1000) });
  const id = await ingestOne(service, connection, target);
  await ingest(service, connection, [{ ...target, messages: messages(120, -1000) }]);
  for (let first = 0; first < total; first += 25) {
    const [row] = await ingest(service, connection, [{
      ...target,
      messages: messages(25, first),
      is_history: true,
    }]);
    assertEquals([row!.error, row!.messages_added], [null, 25], `after ${first} messages`);
  }
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("a change in the batch that brings its message", async () => {
  const { service } = database;
  const given = message();
  const id = await ingestOne(
    service,
    await whatsapp(),
    conversation({
      messages: [given],
      changes: [{ message_id: given.id, status: "delivered", status_at: at(5) }],
    }),
  );
  assertEquals(await readThread(service, id), [{
    ...given,
    status: "delivered",
    status_at: at(5),
  }]);
});

Deno.test("a repeated message brings its newer status, and nothing else of it changes", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const given = message({ direction: "outbound", status: "sent", status_at: at(1) });
  const target = conversation({ messages: [given] });
  const id = await ingestOne(service, connection, target);
  const [row] = await ingest(service, connection, [{
    ...target,
    messages: [{
      ...given,
      content: "edited",
      sent_at: at(500),
      status: "read",
      status_at: at(7),
      media_url: "https://example.com/late.jpg",
    }],
  }]);
  assertEquals([row!.outcome, row!.messages_added], ["no_new_messages", 0]);
  assertEquals(await readThread(service, id), [
    { ...given, status: "read", status_at: at(7), media_url: "https://example.com/late.jpg" },
  ]);
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("imported history is quiet", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const target = conversation({ messages: messages(3), is_history: true });
  const id = await ingestOne(service, connection, target);
  const row = await readConversation(service, id);
  assertEquals([row.unread_count, row.message_count, row.status], [0, 3, "open"]);
  assertEquals(
    await readThread(service, id),
    target.messages.map((each) => ({ ...each, is_history: true })),
  );

  // The same messages live are no news; newer ones are.
  await ingest(service, connection, [{ ...target, is_history: false }]);
  assertEquals((await readConversation(service, id)).unread_count, 0);
  await ingest(service, connection, [{ ...target, is_history: false, messages: messages(2, 50) }]);
  assertEquals((await readConversation(service, id)).unread_count, 2);
});

Deno.test("history and live messages in one batch", async () => {
  const { service } = database;
  const target = conversation();
  const rows = await ingest(service, await whatsapp(), [
    { ...target, messages: messages(4), is_history: true },
    { ...target, messages: messages(3, 10) },
  ]);
  const row = await readConversation(service, rows[0]!.id!);
  assertEquals([row.message_count, row.unread_count], [7, 3]);
});

Deno.test("a closed conversation is opened by a new inbound message alone", async (t) => {
  const { service } = database;
  const connection = await whatsapp();
  const target = conversation({ messages: messages(1) });
  const id = await ingestOne(service, connection, target);
  await service`
    update public.conversations set status = 'closed', closed_at = ${at(100)} where id = ${id}`;
  const statusAfter = async (given: Partial<TestConversation>) => {
    await ingest(service, connection, [{ ...target, ...given }]);
    return (await readConversation(service, id)).status;
  };
  const newer = message({ sent_at: at(200) });
  const quiet: Record<string, Partial<TestConversation>> = {
    "a replay": {},
    "an outbound message": { messages: [message({ sent_at: at(150), direction: "outbound" })] },
    "history": { messages: [message({ sent_at: at(160) })], is_history: true },
    "a status": { messages: [], changes: [{ message_id: target.messages[0]!.id, status: "read" }] },
  };
  for (const [name, given] of Object.entries(quiet)) {
    await t.step(name, async () => assertEquals(await statusAfter(given), "closed"));
  }
  await t.step("a new inbound message", async () => {
    assertEquals(await statusAfter({ messages: [newer] }), "open");
  });
});

const FAULTS: Record<string, (good: TestConversation) => unknown> = {
  "a date that is none": (good) => ({ ...good, messages: [message({ sent_at: "yesterday-ish" })] }),
  "a date that does not exist": (good) => ({
    ...good,
    messages: [message({ sent_at: "2026-02-30T00:00:00Z" })],
  }),
  "a message without id": (good) => ({ ...good, messages: [{ ...message(), id: null }] }),
  "a message without time": (good) => ({ ...good, messages: [{ ...message(), sent_at: null }] }),
  "a message that goes sideways": (good) => ({
    ...good,
    messages: [{ ...message(), direction: "sideways" }],
  }),
  "a message without direction": (good) => ({
    ...good,
    messages: [{ ...message(), direction: null }],
  }),
  "a message that is a text": (good) => ({ ...good, messages: ["hello"] }),
  "messages that are an object": (good) => ({ ...good, messages: { 0: message() } }),
  "messages that are a text": (good) => ({ ...good, messages: "hello" }),
  "changes that are no array": (good) => ({ ...good, changes: "read" }),
  "a change without message id": (good) => ({ ...good, changes: [{ status: "read" }] }),
  "no participant": (good) => ({ ...good, participant_identifier: null }),
  "an empty participant": (good) => ({ ...good, participant_identifier: "" }),
  "a participant that is too long": (good) => ({
    ...good,
    participant_identifier: "p".repeat(513),
  }),
  "no id": (good) => ({ ...good, external_conversation_id: null }),
  "an empty id": (good) => ({ ...good, external_conversation_id: "" }),
  "an id that is too long": (good) => ({ ...good, external_conversation_id: "x".repeat(513) }),
  "an id that is much too long": (good) => ({
    ...good,
    external_conversation_id: Array.from({ length: 5000 }, () => unique()).join(""),
  }),
  "a number": () => 5,
  "null": () => null,
  "an array": () => [],
  "a text": () => "conversation",
};

for (const [name, makeBad] of Object.entries(FAULTS)) {
  Deno.test(`one bad conversation never undoes the others: ${name}`, async () => {
    const { service } = database;
    const connection = await whatsapp();
    const known = conversation({ messages: messages(1) });
    await ingest(service, connection, [known]);
    const last = conversation({ messages: messages(2) });
    const rows = await ingest(service, connection, [
      { ...known, messages: messages(1, 60) },
      makeBad(conversation({ messages: messages(2) })),
      last,
      last,
    ]);
    assertEquals(rows.map((row) => [row.outcome, row.messages_added]), [
      ["updated", 1],
      ["error", 0],
      ["created", 2],
      ["no_new_messages", 0],
    ]);
    assertEquals(rows.map((row) => row.error !== null), [false, true, false, false]);
    assertMatch(rows[1]!.error!, /^(22|23|54)[0-9A-Z]{3} ./);
    for (const index of [0, 2]) {
      assertEquals(await threadFaults(service, rows[index]!.id!), []);
    }
  });
}

Deno.test("a bad part of a conversation that is there already leaves it as it was", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const target = conversation({ messages: messages(250) });
  const id = await ingestOne(service, connection, target);
  const before = await readConversation(service, id);
  const rows = await ingest(service, connection, [{
    ...target,
    messages: [...messages(150, 500), message({ sent_at: "soon" })],
  }]);
  assertEquals(rows.map((row) => row.outcome), ["error"]);
  assertEquals(await readConversation(service, id), before);
  assertEquals(await threadFaults(service, id), []);
});

Deno.test("an unknown connection, or a batch that is no array, is an error of the call", async () => {
  const { service } = database;
  const connection = await whatsapp();
  assertEquals(await sqlStateOf(ingest(service, { id: crypto.randomUUID() }, [])), "PT404");
  assertEquals(
    await sqlStateOf(service`select public.ingest_conversations(${connection.id}, '{}')`),
    "22023",
  );
  assertEquals(
    await sqlStateOf(service`select public.ingest_conversations(${connection.id}, null)`),
    "22023",
  );
});

Deno.test("a conversation deleted during the call is stored again", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const target = conversation({ messages: messages(1) });
  const other = conversation({ messages: messages(1) });
  const id = await ingestOne(service, connection, target);
  const deleting = await database.sql.reserve();
  try {
    await deleting`begin`;
    await deleting`delete from public.conversations where id = ${id}`;
    const sent = ingest(service, connection, [target, other]);
    await untilBlocked(database.sql);
    await deleting`commit`;
    const rows = await sent;
    assertEquals(rows.map((row) => [row.external_conversation_id, row.messages_added]), [
      [target.external_conversation_id, 1],
      [other.external_conversation_id, 1],
    ]);
  } finally {
    deleting.release();
  }
});

Deno.test("any text comes back as it was sent", async () => {
  const { service } = database;
  const texts = [
    "नमस्ते 你好 مرحبا שלום 👩‍👩‍👧‍👦 🇮🇩",
    "e\u0301 é \u200e\u200f\u202e \ufeff",
    "\t\r\n \\ \" ' ${} %s \u0001\u001f\u007f",
    "'; drop table public.conversations; --",
    "x".repeat(1_000_000),
    "🙂".repeat(100_000),
    "",
  ];
  const given = texts.map((content, index) => message({ content, sent_at: at(index) }));
  const id = await ingestOne(service, await whatsapp(), conversation({ messages: given }));
  assertEquals(await readThread(service, id), given);
});

Deno.test("the preview is short, on one line, and names the type where there is no text", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const previewOf = async (given: Partial<TestMessage>) => {
    const id = await ingestOne(service, connection, conversation({ messages: [message(given)] }));
    return (await readConversation(service, id)).last_message_preview;
  };
  assertEquals(await previewOf({ content: " one\n\n two\t three " }), "one two three");
  assertEquals(await previewOf({ content: "🙂".repeat(500) }), "🙂".repeat(200));
  assertEquals(await previewOf({ content: "", type: "image" }), "[image]");
  assertEquals(await previewOf({ content: " \n ", type: "audio" }), "[audio]");
});

Deno.test("two connections of one user and platform share the thread", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const one = await createConnection(sql, workspace);
  const two = await createConnection(sql, workspace);
  const target = conversation({ messages: messages(2) });
  const id = await ingestOne(service, one, target);
  const [row] = await ingest(service, two, [{
    ...target,
    messages: [...target.messages, message()],
  }]);
  assertEquals([row!.id, row!.outcome, row!.messages_added], [id, "updated", 1]);
  assertEquals((await readConversation(service, id)).connection_id, two.id);
});

Deno.test("another platform or workspace has threads of its own, another connection of the workspace has not", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connections = [
    await createConnection(sql, workspace),
    await createConnection(sql, workspace, { platform: "signal" }),
    await whatsapp(),
  ];
  const target = conversation({ messages: messages(1) });
  const found = new Set<string>();
  for (const connection of connections) {
    const [row] = await ingest(service, connection, [target]);
    assertEquals([row!.outcome, row!.messages_added], ["created", 1]);
    found.add(row!.id!);
  }
  assertEquals(found.size, connections.length);
  const second = await createConnection(sql, workspace, { userId: workspace.admin });
  const [known] = await ingest(service, second, [target]);
  assertEquals(known!.outcome, "no_new_messages");
  assert(found.has(known!.id!));
});

Deno.test("the time of the last batch of a connection moves, at most once a second", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const lastSyncedAt = async () => {
    const [row] =
      await service`select last_synced_at from public.connections where id = ${connection.id}`;
    return row!.last_synced_at as Date | null;
  };
  assertEquals(await lastSyncedAt(), null);
  await ingest(service, connection, [conversation()]);
  const first = await lastSyncedAt();
  assert(first !== null && Math.abs(Date.now() - first.getTime()) < 60_000);
  await service`
    update public.connections set last_synced_at = now() + interval '1 hour' where id = ${connection.id}`;
  const future = await lastSyncedAt();
  await ingest(service, connection, [conversation()]);
  assertEquals(await lastSyncedAt(), future);
});

Deno.test("a conversation takes its archives, ledger and waiting changes along", async (t) => {
  const { sql, service } = database;
  const remains = async (id: string) => {
    const [row] = await sql`
      select
        (select count(*) from public.conversation_archives where conversation_id = ${id})
        + (select count(*) from private.message_keys where conversation_id = ${id})
        + (select count(*) from private.waiting_updates where conversation_id = ${id}) as count`;
    return Number(row!.count);
  };
  const fill = async () => {
    const workspace = await createWorkspace(sql);
    const id = await ingestOne(
      service,
      await createConnection(sql, workspace),
      conversation({
        messages: messages(90),
        changes: [{ message_id: "missing", status: "read" }],
      }),
    );
    // One page of the archive, 90 keys, one waiting change.
    assertEquals(await remains(id), 92);
    return { id, workspace };
  };
  await t.step("when it is deleted", async () => {
    const { id } = await fill();
    await service`delete from public.conversations where id = ${id}`;
    assertEquals(await remains(id), 0);
  });
  await t.step("when an owner deletes the workspace", async () => {
    const { id, workspace } = await fill();
    await database.as({ userId: workspace.owner }, async (sql) => {
      await sql`delete from public.workspaces where id = ${workspace.id}`;
    });
    assertEquals(await remains(id), 0);
  });
  await t.step("but not when an account is deleted", async () => {
    const { id, workspace } = await fill();
    await sql`delete from auth.users where id = ${workspace.owner}`;
    assertEquals(await remains(id), 92);
  });
});

Deno.test("a conversation stays when its connection is deleted", async () => {
  const { service } = database;
  const connection = await whatsapp();
  const target = conversation({ messages: messages(1) });
  const id = await ingestOne(service, connection, target);
  await service`delete from public.connections where id = ${connection.id}`;
  const [forgotten] = await service`select public.forget_connections() as count`;
  assertEquals(forgotten!.count, 1);
  assertEquals((await readConversation(service, id)).connection_id, null);
  assertEquals(await readThread(service, id), target.messages);
});
