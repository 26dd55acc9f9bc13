/**
 * messaging-ingest over HTTP, on the real stack: the examples of the contract, repeats, concurrent
 * senders, limits, keys, and what becomes of a conversation.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

import { size, useDatabase } from "../../support/database.ts";
import {
  at,
  conversation,
  message,
  messages,
  readConversation,
  readThread,
  threadFaults,
} from "../../support/messages.ts";
import { DEMO_CONNECTIONS } from "../../../local/demo.ts";
import { findEdgeDeno } from "../../../local/gateway/edge_deno.ts";
import { FunctionProcess } from "../../../local/gateway/function_process.ts";
import {
  type Bridge,
  call,
  createBridge,
  getPeople,
  type OwnBridge,
  post,
  postAll,
  postBody,
  type Result,
  rows,
  signUp,
  type User,
} from "../../support/users.ts";

const database = useDatabase();
const ROOT = new URL("../../../", import.meta.url);
const IS_SOAK = Deno.env.get("SOAK") === "1";
let owner: User;
let bridge: OwnBridge;
Deno.test.beforeAll(async () => {
  owner = await signUp(database.info);
  bridge = await createBridge(owner);
});

const send = (conversations: readonly unknown[], to: Bridge = bridge) =>
  postAll(database.info, to, conversations);

async function sendOne(given: unknown, to: Bridge = bridge): Promise<Result> {
  return (await send([given], to))[0]!;
}

/** The bodies of examples 1 and 2 of the contract, as they are printed there. */
const EXAMPLE_1 = `{
    "platform": "whatsapp",
    "connection_id": "wa_business_123",
    "conversations": [
      {
        "external_conversation_id": "chat_abc123",
        "participant_identifier": "+1234567890",
        "participant_name": "John Doe",
        "messages": [
          {
            "id": "msg_001",
            "direction": "inbound",
            "type": "text",
            "content": "Hi, I am interested in your product",
            "sent_at": "2026-02-01T10:30:00Z"
          },
          {
            "id": "msg_002",
            "direction": "outbound",
            "type": "text",
            "content": "Hello! Thanks for reaching out. How can I help?",
            "sent_at": "2026-02-01T10:32:00Z"
          }
        ]
      }
    ]
  }`;
const EXAMPLE_2 = `{
    "platform": "telegram",
    "connection_id": "tg_bot_456",
    "conversations": [
      {
        "external_conversation_id": "chat_user_1",
        "participant_identifier": "@johndoe",
        "participant_name": "John Doe",
        "messages": [
          {
            "id": "tg_msg_100",
            "direction": "inbound",
            "type": "image",
            "content": "Product photo",
            "media_url": "https://example.com/images/product.jpg",
            "sent_at": "2026-02-01T14:00:00Z"
          }
        ]
      },
      {
        "external_conversation_id": "chat_user_2",
        "participant_identifier": "@janedoe",
        "participant_name": "Jane Doe",
        "messages": [
          {
            "id": "tg_msg_200",
            "direction": "inbound",
            "type": "text",
            "content": "When will my order arrive?",
            "sent_at": "2026-02-01T15:30:00Z"
          }
        ]
      }
    ]
  }`;

Deno.test("the examples of the contract are stored, once, and linked to the demo people", async () => {
  const { sql, info } = database;
  await sql`
    delete from public.conversations
    where external_conversation_id in ('chat_abc123', 'chat_user_1', 'chat_user_2')`;
  const examples: [string, Bridge, expected: [string, number, person: string | null][]][] = [
    [EXAMPLE_1, DEMO_CONNECTIONS.whatsapp, [["chat_abc123", 2, "John Doe"]]],
    [EXAMPLE_2, DEMO_CONNECTIONS.telegram, [["chat_user_1", 1, null], [
      "chat_user_2",
      1,
      "Jane Doe",
    ]]],
  ];
  for (const [body, demo, expected] of examples) {
    const first = await postBody(info, demo, body);
    assertEquals([first.status, first.body], [200, {
      success: true,
      processed: expected.length,
      results: expected.map(([conversation_id, messages_added], index) => ({
        conversation_id,
        messages_added,
        status: "created",
        id: first.body.results[index].id,
      })),
    }]);
    const again = await postBody(info, demo, body);
    assertEquals(
      again.body.results.map((result: Result) => [result.status, result.messages_added, result.id]),
      first.body.results.map((result: Result) => ["no_new_messages", 0, result.id]),
    );
    const people = [];
    for (const { id } of first.body.results) {
      people.push((await sql`select person_name from conversation_list where id = ${id}`)[0]!);
      assertEquals(await threadFaults(sql, id), []);
    }
    assertEquals(people.map((row) => row.person_name), expected.map(([, , person]) => person));
  }
});

Deno.test("a conversation is created, then updated, then has no new messages", async () => {
  const given = conversation({ messages: messages(2) });
  const first = await sendOne(given);
  assertEquals([first.status, first.messages_added], ["created", 2]);
  assertEquals(first.conversation_id, given.external_conversation_id);

  const longer = { ...given, messages: [...given.messages, ...messages(3, 2)] };
  const steps: [typeof given, string, number][] = [
    [given, "no_new_messages", 0],
    [longer, "updated", 3],
    [longer, "no_new_messages", 0],
    [{ ...longer, messages: longer.messages.toReversed() }, "no_new_messages", 0],
    [{ ...longer, messages: [] }, "no_new_messages", 0],
  ];
  for (const [batch, status, added] of steps) {
    const result = await sendOne(batch);
    assertEquals([result.status, result.messages_added, result.id], [status, added, first.id]);
  }
  assertEquals(
    (await readThread(database.sql, first.id!)).map((each) => each.content),
    longer.messages.map((each) => each.content),
  );
  assertEquals((await sendOne(conversation())).status, "created");
});

Deno.test("the same conversation twice in a request has two results", async () => {
  const given = conversation({ messages: messages(2) });
  const results = await send([given, given, { ...given, messages: messages(1, 5) }]);
  assertEquals(
    results.map((result) => [result.status, result.messages_added, result.id === results[0]!.id]),
    [["created", 2, true], ["no_new_messages", 0, true], ["updated", 1, true]],
  );
});

/** Sends a request of any form, and returns its answer. */
async function request(body: Record<string, unknown>, headers?: Record<string, string>) {
  const { platform, connection_id } = bridge;
  return await postBody(
    database.info,
    bridge,
    JSON.stringify({ platform, connection_id, ...body }),
    headers,
  );
}

Deno.test("in the strict way a bad conversation does not prevent storing the others", async () => {
  const good = [conversation({ messages: messages(2) }), conversation({ messages: messages(1) })];
  const { body: { results } } = await request({
    conversations: [
      good[0],
      conversation({ messages: [message(), message({ sent_at: "tomorrow" })] }),
      { participant_identifier: "+1", messages: [] },
      good[1],
      null,
      conversation({ participant_identifier: "" }),
      conversation({ messages: [message({ content: "a\0b" })] }),
    ],
  }, { "x-ingest-mode": "strict" }) as { body: { results: Result[] } };
  assertEquals(results.map((result) => [result.conversation_id, result.status, result.code]), [
    [good[0]!.external_conversation_id, "created", undefined],
    [
      results[1]!.conversation_id,
      "error: messages[1].sent_at must be an ISO 8601 time such as 2026-02-01T10:30:00Z",
      "invalid_conversation",
    ],
    ["", "error: external_conversation_id is required", "invalid_conversation"],
    [good[1]!.external_conversation_id, "created", undefined],
    ["", "error: conversation must be an object", "invalid_conversation"],
    [
      results[5]!.conversation_id,
      "error: participant_identifier must not be empty",
      "invalid_conversation",
    ],
    [
      results[6]!.conversation_id,
      "error: messages[0].content must not contain a NUL character",
      "invalid_conversation",
    ],
  ]);
  const [{ count }] = await database.sql<[{ count: number }]>`
    select count(*)::integer from public.conversations
    where external_conversation_id = any (${results.map((result) => result.conversation_id)})`;
  assertEquals(count, 2);
});

/** What a bridge may send, and what becomes of it. */
const REPAIRS: Record<
  string,
  { given: Record<string, unknown>; stored: Record<string, unknown>; fields: string[] }
> = {
  "a text with NUL and half an emoji": {
    given: { content: "a\0b\ud83d", sender_name: "x\0" },
    stored: { content: "a\ufffdb\ufffd", sender_name: "x\ufffd" },
    fields: ["content", "sender_name"],
  },
  "metadata with NUL": {
    given: { metadata: { a: ["b\0", 1], c: null } },
    stored: { metadata: { a: ["b\ufffd", 1], c: null } },
    fields: ["metadata"],
  },
  "no content": { given: { content: null }, stored: { content: "" }, fields: ["content"] },
  "numeric ids": {
    given: { id: 4711, reply_to: 4710 },
    stored: { id: "4711", reply_to: "4710" },
    fields: ["id", "reply_to"],
  },
  "seconds": {
    given: { sent_at: 1769941800 },
    stored: { sent_at: "2026-02-01T10:30:00.000Z" },
    fields: ["sent_at"],
  },
  "milliseconds as digits": {
    given: { sent_at: "1769941800123" },
    stored: { sent_at: "2026-02-01T10:30:00.123Z" },
    fields: ["sent_at"],
  },
  "microseconds": {
    given: { sent_at: 1769941800123456 },
    stored: { sent_at: "2026-02-01T10:30:00.123456Z" },
    fields: ["sent_at"],
  },
  "a voice message of a file that cannot be reached": {
    given: { type: "ptt", media_url: "/files/1.ogg" },
    stored: {
      type: "audio",
      media_url: null,
      metadata: { original_type: "ptt", original_media_url: "/files/1.ogg" },
    },
    fields: ["type", "media_url"],
  },
  ...Object.fromEntries(
    Object.entries({
      voice: "audio",
      sticker: "image",
      document: "file",
      gif: "video",
      contact: "text",
      poll: "text",
    }).map(([type, nearest]) => [type, {
      given: { type },
      stored: { type: nearest, metadata: { original_type: type } },
      fields: ["type"],
    }]),
  ),
  "capital letters": {
    given: { type: "TEXT", direction: "Incoming" },
    stored: { type: "text", direction: "inbound" },
    fields: ["direction", "type"],
  },
  "a text over 64 KB": {
    given: { content: "é".repeat(40_000) },
    stored: { content: "é".repeat(32_763) + "… [cut]", metadata: { original_length: 40_000 } },
    fields: ["content"],
  },
  "a reaction with a numeric sender, beside one without a time": {
    given: {
      reactions: [{ sender: 7, emoji: "👍", reacted_at: 1769941800 }, { sender: "a", emoji: "x" }],
    },
    stored: { reactions: [{ sender: "7", emoji: "👍", reacted_at: "2026-02-01T10:30:00.000Z" }] },
    fields: ["reactions"],
  },
};

Deno.test("what has one meaning is repaired, and the answer says so", async (t) => {
  for (const [name, { given, stored, fields }] of Object.entries(REPAIRS)) {
    await t.step(name, async () => {
      const original = message();
      const result = await sendOne(conversation({ messages: [{ ...original, ...given }] }));
      assertEquals([result.status, result.messages_added], ["created", 1], JSON.stringify(result));
      assertEquals(result.repaired, Object.fromEntries(fields.map((field) => [field, 1])));
      assertEquals(await readThread(database.sql, result.id!), [{ ...original, ...stored }]);
    });
  }
  await t.step("the conversation's own fields", async () => {
    const id = Math.floor(Math.random() * 1e15);
    const result = await sendOne({
      external_conversation_id: id,
      participant_identifier: 12,
      is_history: "true",
      changes: [],
      messages: [message()],
    });
    assertEquals(result.conversation_id, String(id));
    const row = await readConversation(database.sql, result.id!);
    assertEquals([row.participant_identifier, row.unread_count], ["12", 0]);
  });
});

Deno.test("what has no meaning is rejected alone", async () => {
  const good = messages(2);
  const given = conversation({
    messages: [
      good[0]!,
      message({ id: "no time", sent_at: "tomorrow" }),
      null as never,
      { ...message(), id: 2 ** 60 } as never,
      good[1]!,
      message({ id: "fax", type: "fax" }),
    ],
    changes: [
      { message_id: good[0]!.id, edit: { content: "new", edited_at: 1769941800 } },
      { message_id: good[1]!.id, edit: { content: "new" } },
      { message_id: good[1]!.id, deleted_at: "yesterday" },
    ],
  });
  const result = await sendOne(given);
  assertEquals([result.status, result.messages_added], ["created", 2]);
  assertEquals(result.rejected?.map(({ index, id, code }) => [index, id, code]), [
    [1, "no time", "invalid_message"],
    [2, "", "invalid_message"],
    [3, "", "invalid_message"],
    [5, "fax", "invalid_message"],
  ]);
  assertEquals(result.rejected!.map(({ message }) => message), [
    "sent_at must be an ISO 8601 time such as 2026-02-01T10:30:00Z",
    "message must be an object",
    "id must be a string",
    "type must be one of text, image, audio, video, file, location",
  ]);
  assertEquals(result.rejected_changes, [
    {
      index: 1,
      id: good[1]!.id,
      code: "invalid_change",
      message: "edit.edited_at is required",
    },
    {
      index: 2,
      id: good[1]!.id,
      code: "invalid_change",
      message: "deleted_at must be an ISO 8601 time such as 2026-02-01T10:30:00Z",
    },
  ]);
  assertEquals((await readThread(database.sql, result.id!)).map(({ content }) => content), [
    "new",
    good[1]!.content,
  ]);
  const again = await sendOne({ ...given, messages: given.messages.slice(1, 4), changes: [] });
  assertEquals([again.status.slice(0, 25), again.code, again.rejected?.length], [
    "error: messages[0].sent_a",
    "invalid_conversation",
    3,
  ]);
});

Deno.test("changes at the top level find their messages, and are answered one by one", async () => {
  const given = messages(2);
  const stored = await sendOne(conversation({ messages: given }));
  const { body } = await request({
    conversations: [],
    changes: [
      { message_id: given[0]!.id, edit: { content: "edited", edited_at: at(50) } },
      { message_id: given[1]!.id, deleted_at: 1769941800 },
      { message_id: "nowhere", deleted_at: at(1) },
      { message_id: "bad", deleted_at: "soon" },
    ],
  }) as { body: { results: unknown[]; changes: unknown[] } };
  assertEquals([body.results, body.changes], [[], [
    { message_id: given[0]!.id, status: "applied" },
    { message_id: given[1]!.id, status: "applied" },
    { message_id: "nowhere", status: "waiting" },
    {
      message_id: "bad",
      status: "error: deleted_at must be an ISO 8601 time such as 2026-02-01T10:30:00Z",
      code: "invalid_change",
    },
  ]]);
  const thread = await readThread(database.sql, stored.id!);
  assertEquals(thread.map(({ content, original_content }) => [content, original_content]), [
    ["edited", given[0]!.content],
    ["", undefined],
  ]);
});

Deno.test("of 16 equal requests at once, one creates and nothing is doubled", async () => {
  const batch = Array.from({ length: 5 }, () => conversation({ messages: messages(20) }));
  const answers = await Promise.all(Array.from({ length: 16 }, () => send(batch)));
  for (let index = 0; index < batch.length; index++) {
    const results = answers.map((results) => results[index]!);
    assertEquals(results.map((result) => result.status).sort(), [
      "created",
      ...Array(15).fill("no_new_messages"),
    ]);
    assertEquals(results.reduce((sum, result) => sum + result.messages_added, 0), 20);
    assertEquals(new Set(results.map((result) => result.id)).size, 1);
    assertEquals(await threadFaults(database.sql, results[0]!.id!), []);
  }
});

Deno.test("a request may be large", async (t) => {
  await t.step("5,000 messages in one conversation", async () => {
    const result = await sendOne(conversation({ messages: messages(5000) }));
    assertEquals([result.status, result.messages_added], ["created", 5000]);
    assertEquals(await threadFaults(database.sql, result.id!), []);
  });
  await t.step("500 conversations with 10 messages each", async () => {
    const batch = Array.from({ length: 500 }, () => conversation({ messages: messages(10) }));
    const results = await send(batch);
    assertEquals(results.length, 500);
    assert(results.every((result) => result.status === "created" && result.messages_added === 10));
  });
  await t.step("4.9 MB", async () => {
    const content = "é".repeat(32_000);
    const given = conversation({ messages: messages(76).map((each) => ({ ...each, content })) });
    const body = { ...envelope(), conversations: [given], padding: "" };
    const size = new TextEncoder().encode(JSON.stringify(body)).length;
    body.padding = "x".repeat(4.9 * 2 ** 20 - size);
    const answer = await postBody(database.info, bridge, JSON.stringify(body));
    assertEquals([answer.status, answer.body.results?.[0].messages_added], [200, 76]);
  });
});

Deno.test("a request over 5 MB is refused, declared or not", async () => {
  const body = JSON.stringify({ ...envelope(), conversations: [] }).padEnd(5 * 2 ** 20 + 1);
  const bodies: BodyInit[] = [
    body,
    new Blob([body]).stream().pipeThrough(new TransformStream()),
  ];
  for (const each of bodies) {
    const answer = await postBody(database.info, bridge, each);
    assertEquals([answer.status, answer.body.code], [413, "body_too_large"]);
  }
  const fits = await postBody(database.info, bridge, body.slice(0, -1));
  assertEquals([fits.status, fits.body.processed], [200, 0]);
});

Deno.test("large bodies with a wrong key take no memory, and no other request waits for them", async (t) => {
  const process = new FunctionProcess({
    name: "messaging-ingest",
    deno: await findEdgeDeno(),
    entrypoint: fileURLToPath(new URL("supabase/functions/messaging-ingest/index.ts", ROOT)),
    importMap: fileURLToPath(new URL("import_map.json", ROOT)),
    env: {
      SUPABASE_URL: database.info.api_url,
      SUPABASE_ANON_KEY: database.info.publishable_key,
      SUPABASE_SERVICE_ROLE_KEY: database.info.secret_key,
    },
  });
  const megabytes = async (name: string) => {
    const status = await Deno.readTextFile(`/proc/${process.pid}/status`);
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]) / 1024;
  };
  const url = `${process.origin}/messaging-ingest`;
  const request = (apiKey: string, body: BodyInit) =>
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": apiKey },
      body,
    });
  // In a thread of its own, which does not hold up the request that is measured.
  using flood = startFlood();
  try {
    assertEquals(await process.ready, true);
    const other = JSON.stringify({ ...envelope(), conversations: [] });
    const warm = await request(bridge.api_key, other);
    assertEquals([warm.status, (await warm.json()).processed], [200, 0]);
    for (
      const [name, megabytesOfBody, isChunked] of [
        ["declared", 10, false],
        ["chunked", 10, true],
        ["of an allowed size", 4, false],
      ] as const
    ) {
      await t.step(name, async () => {
        const before = await megabytes("VmRSS");
        const answers = await flood.send({
          url,
          count: size(12, 48),
          megabytes: megabytesOfBody,
          isChunked,
        });
        const startedAt = performance.now();
        const answer = await request(bridge.api_key, other);
        assertEquals([answer.status, (await answer.json()).processed], [200, 0]);
        const tookMs = Math.round(performance.now() - startedAt);
        // Closed: the answer came while the body was still being sent.
        const known = ["401 invalid_api_key", "closed"];
        assertEquals((await answers.all).filter((each) => !known.includes(each)), []);
        const grown = Math.round(await megabytes("VmHWM") - before);
        assert(grown < 100, `the process grew by ${grown} MB`);
        if (IS_SOAK) {
          // deno-lint-ignore no-console -- the figures of a soak.
          console.log(`${name}: grew by ${grown} MB; another tenant waited ${tookMs} ms`);
          assert(tookMs < 1000, `another tenant waited ${tookMs} ms`);
        }
      });
    }
  } finally {
    await process.stop();
  }
});

/** Sends large bodies with a wrong key. */
function startFlood() {
  const worker = new Worker(
    `data:text/javascript,${
      encodeURIComponent(`
        onmessage = async ({ data: { url, count, megabytes, isChunked } }) => {
          const bytes = new Uint8Array(megabytes * 1024 * 1024).fill(0x20);
          const answers = Array.from({ length: count }, async () => {
            try {
              const answer = await fetch(url, {
                method: "POST",
                headers: { "content-type": "application/json", "x-api-key": "wrong" },
                body: isChunked ? new Blob([bytes]).stream() : bytes,
              });
              return answer.status + " " + (await answer.json()).code;
            } catch {
              return "closed";
            }
          });
          postMessage("started");
          postMessage(await Promise.all(answers));
        };
      `)
    }`,
    { type: "module" },
  );
  const next = () =>
    new Promise<unknown>((resolve) => {
      worker.addEventListener("message", ({ data }) => resolve(data), { once: true });
    });
  return {
    /** Resolves when all requests are on their way; `all` when they are answered. */
    async send(flood: { url: string; count: number; megabytes: number; isChunked: boolean }) {
      const started = next();
      worker.postMessage(flood);
      await started;
      return { all: next() as Promise<string[]> };
    },
    [Symbol.dispose]: () => worker.terminate(),
  };
}

Deno.test("a connection over its rate is refused with 429, and nothing of the request is stored", async () => {
  const [own, other] = [await createBridge(owner), await createBridge(owner)];
  await database.sql`
    insert into private.limits (name, subject_id, value)
    values ('connection_requests_per_minute', ${own.id}, 0)`;
  const given = conversation({ messages: messages(1) });
  const refused = await post(database.info, own, [given]);
  assertEquals([refused.status, refused.body.code], [429, "rate_limited"]);
  assertEquals(refused.headers.get("ratelimit-policy"), '"rate_limited";q=0;w=60');
  assertEquals(
    refused.headers.get("ratelimit"),
    `"rate_limited";r=0;t=${refused.headers.get("retry-after")}`,
  );
  assertEquals((await getPeople(database.info, own)).status, 429);
  // A stranger who names the connection learns no more, and its neighbours are served.
  const stranger = await post(database.info, { ...own, api_key: "wrong" }, [given]);
  assertEquals([stranger.status, stranger.body.code], [401, "invalid_api_key"]);
  assertEquals((await sendOne(given, other)).messages_added, 1);
  await database.sql`delete from private.limits where subject_id = ${own.id}`;
  assertEquals((await sendOne(given, own)).status, "no_new_messages");
});

Deno.test("a key opens the connection it belongs to, and no other", async () => {
  const { info } = database;
  const [second, telegram, stranger] = await Promise.all([
    createBridge(owner),
    createBridge(owner, "telegram"),
    signUp(info).then((user) => createBridge(user)),
  ]);
  const { whatsapp } = DEMO_CONNECTIONS;
  const cases: [string, Bridge, number, string | undefined][] = [
    ["its own", bridge, 200, undefined],
    ["another of the workspace", { ...second, api_key: bridge.api_key }, 401, "invalid_api_key"],
    ["of another workspace", { ...stranger, api_key: bridge.api_key }, 401, "invalid_api_key"],
    ["the demo's", { ...bridge, api_key: whatsapp.api_key }, 401, "invalid_api_key"],
    ["wrong platform", { ...telegram, platform: "whatsapp" }, 401, "invalid_connection"],
    ["no such connection", { ...bridge, connection_id: "unknown" }, 401, "invalid_connection"],
    [
      "capitals",
      { ...bridge, connection_id: bridge.connection_id.toUpperCase() },
      401,
      "invalid_connection",
    ],
    ["its primary key", { ...bridge, connection_id: bridge.id }, 401, "invalid_connection"],
    [
      "a part of the key",
      { ...bridge, api_key: bridge.api_key.slice(0, -1) },
      401,
      "invalid_api_key",
    ],
    ["the publishable key", { ...bridge, api_key: info.publishable_key }, 401, "invalid_api_key"],
  ];
  for (const [name, from, status, code] of cases) {
    const answer = await post(info, from, []);
    assertEquals([name, answer.status, answer.body.code], [name, status, code]);
  }
});

Deno.test("two connections of a user on one platform share their conversations", async () => {
  const given = conversation({ messages: messages(1) });
  const first = await sendOne(given);
  const [second, telegram] = [await createBridge(owner), await createBridge(owner, "telegram")];
  const same = await sendOne({ ...given, messages: messages(1, 1) }, second);
  assertEquals([same.status, same.id], ["updated", first.id]);
  assertEquals((await sendOne(given, telegram)).status, "created");
});

Deno.test("a connection can be switched off and on", async () => {
  const own = await createBridge(owner);
  const turn = (is_active: boolean) =>
    rows(owner.client.from("connections").update({ is_active }).eq("id", own.id).select("id"));
  await turn(false);
  const given = conversation({ messages: messages(1) });
  const refused = await post(database.info, own, [given]);
  assertEquals([refused.status, refused.body.error], [403, "Connection is inactive"]);
  const wrong = await post(database.info, { ...own, api_key: "wrong" }, [given]);
  assertEquals([wrong.status, wrong.body.error], [401, "Invalid API key"]);
  await turn(true);
  assertEquals((await sendOne(given, own)).status, "created");
});

Deno.test("after a rotation both secrets work, and the old one ends in time", async () => {
  const own = await createBridge(owner);
  const rotate = async (grace_hours?: number) => {
    const given = { id: own.id, ...(grace_hours === undefined ? {} : { grace_hours }) };
    return (await rows(owner.client.rpc("rotate_connection_secret", given)))[0]!.api_secret;
  };
  const statuses = async (...keys: string[]) => {
    const answers = keys.map((api_key) => post(database.info, { ...own, api_key }, []));
    return (await Promise.all(answers)).map((answer) => answer.status);
  };
  const second = await rotate();
  assertNotEquals(second, own.api_key);
  assertEquals(await statuses(own.api_key, second), [200, 200]);
  const third = await rotate();
  assertEquals(await statuses(own.api_key, second, third), [401, 200, 200]);
  const fourth = await rotate(0);
  assertEquals(await statuses(third, fourth), [401, 200]);
});

Deno.test("last_synced_at tells when a batch was last accepted", async () => {
  const own = await createBridge(owner);
  const lastSynced = async () =>
    (await rows(owner.client.from("connections").select("last_synced_at").eq("id", own.id)))[0]!
      .last_synced_at;
  assertEquals(await lastSynced(), null);
  await post(database.info, { ...own, api_key: "wrong" }, [conversation()]);
  assertEquals(await lastSynced(), null);
  await send([conversation()], own);
  const first = await lastSynced();
  assert(Math.abs(Date.parse(first!) - Date.now()) < 60_000, `${first}`);

  await database
    .sql`update public.connections set last_synced_at = '2026-01-01' where id = ${own.id}`;
  await send([conversation({ messages: messages(1) })], own);
  assert(Date.parse((await lastSynced())!) >= Date.parse(first!));
});

Deno.test("the newest non-empty name wins", async () => {
  const given = conversation({ participant_identifier: "+62 812-0001-0001" });
  const steps: [Record<string, unknown>, name: string | null][] = [
    [{}, null],
    [{ participant_name: "Sari" }, "Sari"],
    [{ participant_name: "" }, "Sari"],
    [{ participant_name: "   " }, "Sari"],
    [{ participant_name: null }, "Sari"],
    [{ participant_name: 7 }, "Sari"],
    [{}, "Sari"],
    [{ participant_name: "Old name", is_history: true }, "Sari"],
    [{ participant_name: "Sari Wijaya" }, "Sari Wijaya"],
    [{ participant_name: "x".repeat(400) }, "x".repeat(300)],
  ];
  for (const [change, name] of steps) {
    const { id } = await sendOne({ ...given, ...change });
    assertEquals((await readConversation(database.sql, id!)).participant_name, name);
  }
});

Deno.test("the identifier is the newest live one, as it was sent", async () => {
  const given = conversation({ participant_identifier: "+62 812-0002-0002" });
  const { id } = await sendOne(given);
  const identifier = async (change: Record<string, unknown>) => {
    assertEquals((await sendOne({ ...given, ...change })).id, id);
    return (await readConversation(database.sql, id!)).participant_identifier;
  };
  assertEquals(await identifier({}), "+62 812-0002-0002");
  assertEquals(await identifier({ participant_identifier: "(0812) 0003" }), "(0812) 0003");
  const old = { participant_identifier: "+62 999", is_history: true };
  assertEquals(await identifier(old), "(0812) 0003");
});

Deno.test("times are stored as instants, with microseconds", async () => {
  const given = conversation({
    messages: [
      message({ id: "late", sent_at: "2026-02-01T10:30:00.123456+07:00" }),
      message({ id: "early", sent_at: "2026-02-01T03:30:00.123455" }),
      message({ id: "same", sent_at: "2026-02-01 03:30:00.123456" }),
    ],
  });
  const { id } = await sendOne(given);
  assertEquals((await readThread(database.sql, id!)).map((each) => [each.id, each.sent_at]), [
    ["early", "2026-02-01T03:30:00.123455Z"],
    ["late", "2026-02-01T03:30:00.123456Z"],
    ["same", "2026-02-01T03:30:00.123456Z"],
  ]);
});

Deno.test("text of every kind comes back as it was sent", async () => {
  const contents = [
    "",
    " \t\r\n ",
    "'; drop table conversations; --",
    '"quotes" \\backslash\\ %s $1 {{x}}',
    "عربى 中文 हिन्दी 🇮🇩 👩‍👩‍👧",
    "\u0001\u001f\u007f\u200e\u2028",
    "e\u0301 is not é",
    "👍".repeat(16384),
  ];
  const ids = ["id with spaces", "日本", "a'b\"c\\d", "x".repeat(512), "A", "a", "%", "-1"];
  const given = conversation({
    external_conversation_id: `чат/${crypto.randomUUID()}?a=b&c`,
    messages: contents.map((content, index) =>
      message({ id: ids[index]!, content, sent_at: at(index) })
    ),
  });
  const { id, conversation_id } = await sendOne(given);
  assertEquals(conversation_id, given.external_conversation_id);
  const thread = await readThread(database.sql, id!);
  assertEquals(thread.map((each) => each.content), contents);
  assertEquals(thread.map((each) => each.id), ids);
});

Deno.test("history raises no unread count, live messages do", async () => {
  const given = conversation({ messages: messages(3), is_history: true });
  const { id } = await sendOne(given);
  const live = { ...given, is_history: false, messages: [message({ sent_at: at(10) })] };
  assertEquals((await readConversation(database.sql, id!)).unread_count, 0);
  await sendOne(live);
  assertEquals((await readConversation(database.sql, id!)).unread_count, 1);
});

Deno.test("changes reach stored messages, and messages that arrive later", async () => {
  const sent = message({
    direction: "outbound",
    status: "sent",
    reply_to: "q",
    sender_name: "Budi",
  });
  const reaction = { sender: "+62812", emoji: "👍", reacted_at: at(9) };
  const given = conversation({
    messages: [sent],
    changes: [
      { message_id: sent.id, status: "read", status_at: at(5) },
      { message_id: "later", reactions: [reaction] },
    ],
  });
  const { id } = await sendOne(given);
  await sendOne({
    ...given,
    changes: [
      { message_id: sent.id, status: "delivered", status_at: at(4) },
      { message_id: sent.id, media_url: "https://example.com/late.jpg" },
    ],
    messages: [message({ id: "later", sent_at: at(1), metadata: { forwarded: true } })],
  });
  const thread = await rows(
    owner.client.rpc("conversation_messages", { conversation: id! }),
  );
  assertEquals(
    thread.map((each) => [each.id, each.status, each.media_url, each.reply_to, each.sender_name]),
    [
      ["later", null, null, null, null],
      [sent.id, "read", "https://example.com/late.jpg", "q", "Budi"],
    ],
  );
  assertEquals(thread[0]!.metadata, { forwarded: true });
  assertEquals(thread[0]!.reactions, [{ ...reaction, reacted_at: at(9) }]);
});

Deno.test("paths, methods and encodings", async (t) => {
  const { info } = database;
  const headers = { "content-type": "application/json", "x-api-key": bridge.api_key };
  const body = JSON.stringify({ ...envelope(), conversations: [] });
  const gzipped = new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"));
  const requests: [string, RequestInit, number, string | undefined][] = [
    ["messaging-ingest", { method: "POST", body, headers }, 200, undefined],
    ["messaging-ingest/", { method: "POST", body, headers }, 200, undefined],
    ["messaging-ingest/batch", { method: "POST", body, headers }, 404, "not_found"],
    ["messaging-ingests", { method: "POST", body, headers }, 404, "NOT_FOUND"],
    ["messaging-ingest", { method: "GET", headers }, 405, "method_not_allowed"],
    ["messaging-ingest", { method: "DELETE", headers }, 405, "method_not_allowed"],
    ["messaging-ingest", { method: "POST", body }, 401, "missing_api_key"],
    [
      "messaging-ingest",
      { method: "POST", body: new URLSearchParams({ a: "b" }), headers: { "x-api-key": "k" } },
      415,
      "unsupported_media_type",
    ],
    [
      "messaging-ingest",
      {
        method: "POST",
        body: await new Response(gzipped).arrayBuffer(),
        headers: { ...headers, "content-encoding": "gzip" },
      },
      415,
      "unsupported_content_encoding",
    ],
    ["messaging-ingest", { method: "POST", body: "{", headers }, 400, "invalid_json"],
    ["messaging-ingest", { method: "POST", body: "{}", headers }, 400, "missing_fields"],
  ];
  for (const [path, init, status, code] of requests) {
    await t.step(`${init.method} ${path}: ${status} ${code ?? ""}`, async () => {
      const answer = await call(info, path, init);
      assertEquals([answer.status, answer.body.code], [status, code]);
    });
  }
  await t.step("OPTIONS", async () => {
    const answer = await call(info, "messaging-ingest", {
      method: "OPTIONS",
      headers: { origin: "https://example.com", "access-control-request-method": "POST" },
    });
    assertEquals([answer.status, answer.headers.get("access-control-allow-origin")], [204, "*"]);
  });
});

function envelope(): Pick<Bridge, "platform" | "connection_id"> {
  return { platform: bridge.platform, connection_id: bridge.connection_id };
}
