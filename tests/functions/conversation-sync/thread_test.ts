/**
 * Messages of agents in the customer's thread: each once, whichever copy of it comes first, and in the
 * thread the webhook uses.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { size, useDatabase } from "../../support/database.ts";
import { threadFaults } from "../../support/messages.ts";
import { unique } from "../../support/people.ts";
import {
  createPhoneNumber,
  deliverAll,
  messagesOf,
  receivedText,
} from "../../support/kapso_webhook.ts";
import { createBridge } from "../../support/users.ts";
import {
  AGENT,
  ask,
  type Business,
  createBusiness,
  createSession,
  data,
  uniquePhone,
} from "../../support/agents.ts";

const database = useDatabase();

function send(
  { key }: Business,
  sessionId: string,
  body: { role?: string; content?: string; messageId?: string; timestamp?: string },
) {
  return data(database.info, "POST", `${AGENT}/${sessionId}/messages`, {
    key,
    body: { role: "user", content: "bom dia", ...body },
  });
}

/** The webhook of an answer, as Kapso reports what became of it. */
function sentText(phoneNumberId: string, id: string, phone: string, status: string) {
  const body = receivedText(phoneNumberId, "de nada", { id, phone });
  const { from: _, ...message } = body.message as Record<string, unknown>;
  return {
    event: `whatsapp.message.${status}`,
    body: {
      ...body,
      message: {
        ...message,
        to: phone,
        kapso: {
          direction: "outbound",
          status,
          origin: "cloud_api",
          has_media: false,
          statuses: [{ id, status, timestamp: "1772442005", recipient_id: phone }],
        },
      },
    },
  };
}

interface Thread {
  id: string;
  external_conversation_id: string;
  person_id: string | null;
  message_count: number;
  unread_count: number;
}

async function threadsOf({ workspaceId }: Business): Promise<Thread[]> {
  return [
    ...await database.sql<Thread[]>`
      select id, external_conversation_id, person_id, message_count, unread_count
      from public.conversations where workspace_id = ${workspaceId}
      order by external_conversation_id collate "C"`,
  ];
}

async function pointersOf(sessionId: string) {
  const [row] = await database.sql<{ conversation_id: string | null; person_id: string | null }[]>`
    select conversation_id, person_id from public.agent_sessions where session_id = ${sessionId}`;
  return row!;
}

Deno.test("the webhook's copy first, then the agent's", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const phoneNumber = await createPhoneNumber(business);
  const phone = uniquePhone();
  const [question, answer] = [unique("wamid."), unique("wamid.")];
  await deliverAll(
    info,
    receivedText(phoneNumber.phoneNumberId, "bom dia", { id: question, phone }),
  );
  const session = await createSession(info, business, { userId: phone });
  const [thread] = await threadsOf(business);
  assertEquals(await pointersOf(session.sessionId), {
    conversation_id: thread!.id,
    person_id: thread!.person_id,
  }, "a new session finds what is there");
  const delivered = sentText(phoneNumber.phoneNumberId, answer, phone, "delivered");
  await deliverAll(info, delivered.body, { event: delivered.event });
  await send(business, session.sessionId, { messageId: question });
  const state = await send(business, session.sessionId, {
    role: "bot",
    content: "de nada",
    messageId: answer,
  });
  assertEquals((state.context.previousMessages as unknown[]).length, 2);
  assertEquals((await messagesOf(sql, phoneNumber.phoneNumberId)).map((each) => ({ ...each })), [
    { id: question, content: "bom dia", status: null },
    { id: answer, content: "de nada", status: "delivered" },
  ] as never);
  // The agent has answered.
  assertEquals((await threadsOf(business))[0]!.unread_count, 0);
});

Deno.test("the agent's copy first, then the webhook's", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const phoneNumber = await createPhoneNumber(business);
  const phone = uniquePhone();
  const [question, answer] = [unique("wamid."), unique("wamid.")];
  const session = await createSession(info, business, { userId: `+${phone}` });
  assertEquals(await pointersOf(session.sessionId), { conversation_id: null, person_id: null });
  await send(business, session.sessionId, {
    messageId: question,
    timestamp: "2026-03-02T09:00:00Z",
  });
  const [thread] = await threadsOf(business);
  assertEquals(
    [thread!.external_conversation_id, thread!.message_count, thread!.unread_count],
    [`${phoneNumber.phoneNumberId}:${phone}`, 1, 1],
  );
  assert(thread!.person_id !== null, "a person, as the webhook makes one");
  assertEquals(await pointersOf(session.sessionId), {
    conversation_id: thread!.id,
    person_id: thread!.person_id,
  });
  // The status comes before the message itself.
  const delivered = sentText(phoneNumber.phoneNumberId, answer, phone, "delivered");
  await deliverAll(info, delivered.body, { event: delivered.event });
  await send(business, session.sessionId, { role: "bot", content: "de nada", messageId: answer });
  const sent = sentText(phoneNumber.phoneNumberId, answer, phone, "sent");
  await deliverAll(info, sent.body, { event: sent.event });
  await deliverAll(
    info,
    receivedText(phoneNumber.phoneNumberId, "bom dia", { id: question, phone }),
  );
  assertEquals(
    (await messagesOf(sql, phoneNumber.phoneNumberId)).map(({ id, status }) => [id, status]),
    [[question, null], [answer, "delivered"]] as never,
  );
  assertEquals((await threadsOf(business)).map((each) => each.message_count), [2]);
  const people = await sql`select from public.people where workspace_id = ${business.workspaceId}`;
  assertEquals(people.length, 1);
});

Deno.test("the webhook's copy of a message wins, in either order of arrival", async (t) => {
  const { info, sql } = database;
  const kapso = { direction: "inbound", status: "received", origin: "cloud_api" };
  const file = { id: "7788", mime_type: "image/jpeg", sha256: "q1d0Zm9v=" };
  const media_url = "https://app.kapso.ai/rails/active_storage/blobs/redirect/tok--sig/p.jpg";
  const location = { latitude: -12.05, longitude: -77.04, name: "Plaza Mayor" };
  const kinds: Record<string, Record<string, unknown>> = {
    "an image": {
      type: "image",
      image: { ...file, caption: "the receipt" },
      kapso: { ...kapso, has_media: true, media_url },
    },
    "an image without a link": {
      type: "image",
      image: { ...file, caption: "the receipt" },
      kapso: { ...kapso, has_media: true },
    },
    "an answer": { context: { id: "wamid.question" } },
    "a location": { type: "location", location, text: undefined },
  };
  for (const [name, given] of Object.entries(kinds)) {
    await t.step(name, async () => {
      const stored: Record<string, unknown>[] = [];
      for (const isAgentFirst of [true, false]) {
        const business = await createBusiness(info);
        const { phoneNumberId } = await createPhoneNumber(business);
        const phone = uniquePhone();
        const body = receivedText(phoneNumberId, "the receipt", { id: "wamid.same", phone });
        Object.assign(body.message as Record<string, unknown>, given);
        const session = await createSession(info, business, { userId: phone });
        const byAgent = () =>
          send(business, session.sessionId, {
            content: "[image] A receipt of 31 soles",
            messageId: "wamid.same",
            timestamp: "2026-03-02T09:00:00Z",
          });
        const byWebhook = () => deliverAll(info, body);
        for (const bring of isAgentFirst ? [byAgent, byWebhook, byWebhook] : [byWebhook, byAgent]) {
          await bring();
        }
        stored.push(
          ...await sql`
          -- What became of the file is noted a little later.
          select (messages -> 0) #- '{metadata,media}' as message, message_count, unread_count,
            last_message_preview, last_message_type, last_message_at
          from public.conversations where workspace_id = ${business.workspaceId}`,
        );
      }
      assertEquals(stored[0], stored[1]);
      assertEquals([stored.length, stored[0]!.message_count, stored[0]!.unread_count], [2, 1, 1]);
    });
  }

  await t.step("if it has no text, such as a voice note, the agent's text stays", async () => {
    const business = await createBusiness(info);
    const { phoneNumberId } = await createPhoneNumber(business);
    const phone = uniquePhone();
    const body = receivedText(phoneNumberId, "", { id: "wamid.voice", phone });
    Object.assign(body.message as Record<string, unknown>, {
      type: "audio",
      text: undefined,
      audio: { id: "7788", mime_type: "audio/ogg", voice: true },
      kapso: { ...kapso, has_media: true, media_url },
    });
    const session = await createSession(info, business, { userId: phone });
    await send(business, session.sessionId, {
      content: "Quiero una pizza",
      messageId: "wamid.voice",
    });
    await deliverAll(info, body);
    const [thread] = await sql<{ messages: { type: string; content: string }[] }[]>`
      select messages from public.conversations where workspace_id = ${business.workspaceId}`;
    const { type, content } = thread!.messages[0]!;
    assertEquals([type, content], ["audio", "Quiero una pizza"]);
  });
});

Deno.test("both copies at once", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const phoneNumber = await createPhoneNumber(business);
  const customers = Array.from({ length: size(12, 200) }, () => ({
    phone: uniquePhone(),
    ids: [unique("wamid."), unique("wamid."), unique("wamid.")],
  }));
  await Promise.all(customers.map(async ({ phone, ids }) => {
    // Kapso's id of a conversation is one customer's: two with the same one would share a thread.
    const id = crypto.randomUUID();
    const ofCustomer = (body: Record<string, unknown>) => ({
      ...body,
      conversation: { ...body.conversation as Record<string, unknown>, id },
    });
    const session = await createSession(info, business, { userId: phone });
    await Promise.all(ids.flatMap((messageId) => [
      send(business, session.sessionId, { messageId }),
      send(business, session.sessionId, { messageId }),
      deliverAll(
        info,
        ofCustomer(receivedText(phoneNumber.phoneNumberId, "bom dia", { id: messageId, phone })),
      ),
    ]));
    const [row] = await sql<{ kept: number; version: number }[]>`
      select jsonb_array_length(messages) as kept, version::integer
      from public.agent_sessions where session_id = ${session.sessionId}`;
    assertEquals(row, { kept: 3, version: 4 });
  }));
  const threads = await threadsOf(business);
  assertEquals(threads.length, customers.length);
  for (const thread of threads) {
    assertEquals([thread.message_count, thread.unread_count], [3, 3]);
    assert(thread.person_id !== null);
    assertEquals(await threadFaults(sql, thread.id), []);
  }
  const people = await sql`select from public.people where workspace_id = ${business.workspaceId}`;
  assertEquals(people.length, customers.length);
});

Deno.test("a repeat changes nothing, also after 60 more messages and with an old version", async () => {
  const { info } = database;
  const business = await createBusiness(info);
  await createPhoneNumber(business);
  const session = await createSession(info, business);
  const first = { messageId: unique("wamid."), content: "the first" };
  await send(business, session.sessionId, first);
  for (let index = 0; index < 60; index++) {
    await send(business, session.sessionId, { content: `${index}` });
  }
  const last = await send(business, session.sessionId, { content: "the last" });
  assertEquals(await send(business, session.sessionId, first), last);
  const { body } = await ask(info, "POST", `${AGENT}/${session.sessionId}/messages`, {
    key: business.key,
    body: { role: "user", ...first, version: 1 },
  });
  assertEquals(body.data, last);
  assertEquals((await threadsOf(business))[0]!.message_count, 1);
});

Deno.test("another version undoes the link", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  await createPhoneNumber(business);
  const session = await createSession(info, business);
  const body = { role: "user", content: "x", messageId: unique("wamid."), version: 7 };
  const path = `${AGENT}/${session.sessionId}/messages`;
  const { status, body: refused } = await ask(info, "POST", path, { key: business.key, body });
  assertEquals([status, refused.code, refused.data], [409, "version_conflict", session]);
  assertEquals(await threadsOf(business), []);
  assertEquals(
    (await sql`select from public.people where workspace_id = ${business.workspaceId}`).length,
    0,
  );
  await data(info, "POST", path, { key: business.key, body: { ...body, version: 1 } });
  assertEquals((await threadsOf(business)).map((thread) => thread.message_count), [1]);
});

Deno.test("which conversation", async (t) => {
  const { info, sql } = database;

  await t.step("a session known by another key: the customer's, not a new one", async () => {
    const business = await createBusiness(info);
    const phoneNumber = await createPhoneNumber(business);
    const phone = uniquePhone();
    const body = receivedText(phoneNumber.phoneNumberId, "oi", { phone });
    const { from: _, ...message } = body.message as Record<string, unknown>;
    const { phone_number: __, ...conversation } = body.conversation as Record<string, unknown>;
    const bsuid = `BR.${unique().replace(/\D/g, "")}1`;
    // First by BSUID alone, then by both.
    await deliverAll(info, {
      ...body,
      message: { ...message, id: unique("wamid."), from_user_id: bsuid },
      conversation: { ...conversation, business_scoped_user_id: bsuid },
    });
    await deliverAll(info, {
      ...body,
      message: { ...message, from: phone, from_user_id: bsuid },
      conversation: { ...conversation, phone_number: `+${phone}`, business_scoped_user_id: bsuid },
    });
    for (const userId of [phone, bsuid]) {
      const session = await createSession(info, business, { userId });
      await send(business, session.sessionId, { messageId: unique("wamid.") });
    }
    const threads = await threadsOf(business);
    assertEquals(threads.map((thread) => thread.message_count), [4]);
  });

  await t.step("of several phone numbers, the named one", async () => {
    const business = await createBusiness(info);
    const phoneNumbers = [await createPhoneNumber(business), await createPhoneNumber(business)];
    const named = phoneNumbers[1]!.phoneNumberId;
    for (
      const given of [{ metadata: { phoneNumberId: named } }, { botId: named }, { localId: named }]
    ) {
      const session = await createSession(info, business, given);
      await send(business, session.sessionId, { messageId: unique("wamid.") });
      assertEquals(
        (await pointersOf(session.sessionId)).conversation_id,
        (await threadsOf(business)).find((thread) =>
          thread.external_conversation_id === `${named}:${session.userId}`
        )!.id,
      );
    }
  });

  await t.step("of several phone numbers, the only one the customer has written to", async () => {
    const business = await createBusiness(info);
    const phoneNumbers = [await createPhoneNumber(business), await createPhoneNumber(business)];
    const phone = uniquePhone();
    await deliverAll(info, receivedText(phoneNumbers[1]!.phoneNumberId, "oi", { phone }));
    const session = await createSession(info, business, { userId: phone });
    await send(business, session.sessionId, { messageId: unique("wamid.") });
    assertEquals((await threadsOf(business)).map((thread) => thread.message_count), [2]);
    // From both: it is unknown which, and the webhook brings it to the right one.
    await deliverAll(info, receivedText(phoneNumbers[0]!.phoneNumberId, "oi", { phone }));
    const state = await send(business, session.sessionId, { messageId: unique("wamid.") });
    assertEquals((state.context.previousMessages as unknown[]).length, 2);
    assertEquals((await threadsOf(business)).map((thread) => thread.message_count).sort(), [1, 2]);
  });

  await t.step("none: the message lives in the session", async () => {
    const business = await createBusiness(info);
    const phoneNumber = await createPhoneNumber(business);
    await createBridge(business);
    const cases: Record<string, unknown>[] = [
      { metadata: { phoneNumberId: "1" } },
      { metadata: { platform: "telegram" } },
      { userId: "@username" },
    ];
    for (const given of cases) {
      const session = await createSession(info, business, given);
      const state = await send(business, session.sessionId, { messageId: unique("wamid.") });
      assertEquals((state.context.previousMessages as unknown[]).length, 1);
    }
    await sql`update public.connections set is_active = false where id = ${phoneNumber.id}`;
    const session = await createSession(info, business);
    await send(business, session.sessionId, { messageId: unique("wamid.") });
    assertEquals(await threadsOf(business), []);
  });
});

Deno.test("a session points at the person, and at their conversation on another connection", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const phone = uniquePhone();
  const [person] = (await business.client.from("people")
    .insert({ workspace_id: business.workspaceId, name: "Ana", phone: `+${phone}` })
    .select("id")).data!;
  const first = await createSession(info, business, { userId: phone });
  assertEquals(await pointersOf(first.sessionId), {
    conversation_id: null,
    person_id: person!.id,
  });
  // A WhatsApp bridge, whose threads have ids of its own.
  const bridge = await createBridge(business);
  const [thread] = await sql<{ id: string }[]>`
    select id from public.ingest_conversations(${bridge.id}, ${
    sql.json([{
      external_conversation_id: unique("chat_"),
      participant_identifier: `+${phone}`,
      messages: [],
    }])
  })`;
  await send(business, first.sessionId, {});
  assertEquals(await pointersOf(first.sessionId), {
    conversation_id: thread!.id,
    person_id: person!.id,
  });
  // The session outlives both.
  await sql`delete from public.conversations where id = ${thread!.id}`;
  await sql`delete from public.people where id = ${person!.id}`;
  assertEquals(await pointersOf(first.sessionId), { conversation_id: null, person_id: null });
});
