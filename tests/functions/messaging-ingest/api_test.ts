/**
 * messaging-ingest over HTTP, on the real stack: the examples of the contract, repeats, concurrent
 * senders, limits, keys, and what becomes of a conversation.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";

import { useDatabase } from "../../support/database.ts";
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
import {
  type Bridge,
  call,
  createBridge,
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

Deno.test("a bad conversation does not prevent storing the others", async () => {
  const good = [conversation({ messages: messages(2) }), conversation({ messages: messages(1) })];
  const results = await send([
    good[0],
    conversation({ messages: [message(), message({ sent_at: "tomorrow" })] }),
    { participant_identifier: "+1", messages: [] },
    good[1],
    null,
    conversation({ participant_identifier: "" }),
    conversation({ messages: [message({ content: "a\0b" })] }),
  ]);
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
