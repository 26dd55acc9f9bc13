/**
 * Every fixture, sent as Kapso sends it, and what it leaves in the database.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { signBody } from "../../../supabase/functions/_shared/kapso/webhook/signature.ts";
import type { ConversationElement } from "../../../supabase/functions/_shared/kapso/webhook/elements.ts";
import { type KapsoFixture, readFixtures } from "../../fixtures/kapso/coverage.ts";
import { type Sql, useDatabase } from "../../support/database.ts";
import { uniqueNumber } from "../../support/people.ts";
import { call, signUp, type User } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliverAll,
  eventOf,
  FIXTURE_PHONE_NUMBER_ID,
  receivedText,
  snapshot,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();

for (const fixture of await readFixtures()) {
  Deno.test(`kapso-webhook stores ${fixture.name}: ${fixture.about}`, async () => {
    const user = await signUp(db.info);
    const phoneNumber = await createPhoneNumber(user);
    const { headers, body, expected } = withLine(fixture, phoneNumber.phoneNumberId);
    if (expected[0]!.kind === "identity_change") await addContact(user, expected[0]!.previous[0]!);
    const text = JSON.stringify(body);
    const bytes = new TextEncoder().encode(text);

    const answer = await call(db.info, "kapso-webhook", {
      method: "POST",
      headers: {
        ...headers,
        "X-Idempotency-Key": crypto.randomUUID(),
        "X-Webhook-Signature": await signBody(bytes, db.info.demo.kapso_webhook_secret),
      },
      body: bytes,
    });

    assertEquals(answer.status, 200, JSON.stringify(answer.body));
    const isIgnored = expected.every((element) => element.kind === "ignored");
    assertEquals(answer.body.state, isIgnored ? "ignored" : "processed");
    const [recorded] = await db.sql`
      select convert_from(body, 'UTF8') as body, elements, error
      from private.webhook_events where id = ${answer.body.id}`;
    assertEquals(recorded, { body: text, elements: expected, error: null });
    for (const element of expected) {
      if (element.kind === "conversation") await checkConversation(db.sql, user, element);
      if (element.kind === "marketing_preference") {
        const { people } = await snapshot(db.sql, user.workspaceId, []);
        assertEquals(people.map((person) => [person.marketing_status, person.marketing_sequence]), [
          [element.status, element.sequence],
        ]);
      }
    }
  });
}

Deno.test("a new number or BSUID is the same person and the same conversation", async () => {
  const user = await signUp(db.info);
  const phoneNumber = (await createPhoneNumber(user)).phoneNumberId;
  await deliverAll(db.info, receivedText(phoneNumber, "old number", { phone: "5511988887777" }));
  const change = {
    previous_phone_number: "5511988887777",
    new_phone_number: "5511977776666",
    phone_number_id: phoneNumber,
  };
  await deliverAll(db.info, change, { event: "whatsapp.contact.identity_changed" });
  await deliverAll(
    db.info,
    receivedText(phoneNumber, "new number", { phone: "5511977776666", timestamp: 1772442100 }),
  );

  const { conversations, people } = await snapshot(db.sql, user.workspaceId, [phoneNumber]);
  assertEquals(
    conversations.map((thread) => [thread.external_conversation_id, thread.message_count]),
    [
      ["line 0:5511988887777", 2],
    ],
  );
  assertEquals(people.map((person) => person.phone), ["+5511988887777"]);
});

Deno.test("an identity change of an unknown contact is ignored, and can be replayed", async () => {
  const user = await signUp(db.info);
  const phoneNumber = (await createPhoneNumber(user)).phoneNumberId;
  const change = {
    previous_business_scoped_user_id: "BR.1111",
    new_business_scoped_user_id: "BR.2222",
    phone_number_id: phoneNumber,
  };
  const event = "whatsapp.contact.identity_changed";
  const { id, state } = await deliverAll(db.info, change, { event });
  assertEquals(state, "ignored");
  assertEquals((await eventOf(db.sql, id))?.error, "no person has these identifiers yet");
  await addContact(user, "BR.1111");
  await db.service`select public.replay_webhook_events(${[id]})`;
  assertEquals((await eventOf(db.sql, id))?.state, "processed");
  const { people } = await snapshot(db.sql, user.workspaceId, []);
  assertEquals(people.map(({ identities }) => identities), [["BR.1111", "BR.2222"]]);
});

Deno.test("a session that ended closes its thread, a late end of an older one does not", async () => {
  const user = await signUp(db.info);
  const phoneNumber = (await createPhoneNumber(user)).phoneNumberId;
  const session = (id: string, status: string, created_at: string, updated_at: string) => ({
    conversation: {
      id,
      phone_number: "+5511988887777",
      status,
      created_at,
      updated_at,
      phone_number_id: phoneNumber,
    },
    phone_number_id: phoneNumber,
  });
  const read = async () => {
    const { conversations: [thread] } = await snapshot(db.sql, user.workspaceId, [phoneNumber]);
    return [thread!.status, thread!.closed_at];
  };
  const old = session("one", "active", "2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z");
  await deliverAll(db.info, old, { event: "whatsapp.conversation.created" });
  assertEquals(await read(), ["open", null]);
  const ended = session("one", "ended", "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z");
  await deliverAll(db.info, ended, { event: "whatsapp.conversation.ended" });
  assertEquals(await read(), ["closed", "2026-03-02T10:00:00.000Z"]);
  const next = session("two", "active", "2026-03-03T09:00:00Z", "2026-03-03T09:00:00Z");
  await deliverAll(db.info, next, { event: "whatsapp.conversation.created" });
  assertEquals(await read(), ["open", null]);
  const late = session("zero", "ended", "2026-03-01T09:00:00Z", "2026-03-04T09:00:00Z");
  await deliverAll(db.info, late, { event: "whatsapp.conversation.ended" });
  assertEquals(await read(), ["open", null]);

  // A member closes it; what Kapso says of silence afterwards does not open it again.
  await db.sql`update public.conversations set status = 'closed', closed_at = now()
    where workspace_id = ${user.workspaceId}`;
  await deliverAll(db.info, { ...next, since_message: { created_at: "2026-03-03T09:30:00Z" } }, {
    event: "whatsapp.conversation.inactive",
  });
  assertEquals((await read())[0], "closed");
});

Deno.test("only members can read the sessions of their conversations", async () => {
  const [user, stranger] = [await signUp(db.info), await signUp(db.info)];
  const phoneNumber = (await createPhoneNumber(user)).phoneNumberId;
  await deliverAll(db.info, receivedText(phoneNumber));
  const read = async (someone: User) =>
    (await someone.client.from("conversation_sessions").select("session_id")
      .eq("workspace_id", user.workspaceId)).data;
  assertEquals(await read(user), [{ session_id: "3f2b6a52-6c0e-4b55-9d0f-0b6f1c2d7a10" }]);
  assertEquals(await read(stranger), []);
  assertEquals(
    (await db.attempt("anon", (sql) => sql`select * from public.conversation_sessions`)).code,
    "42501",
  );
  for (
    const write of [
      user.client.from("conversation_sessions").delete().eq("workspace_id", user.workspaceId),
      user.client.from("conversation_sessions").update({ ended_at: null })
        .eq("workspace_id", user.workspaceId),
    ]
  ) {
    assertEquals((await write).error?.code, "42501");
  }
});

/** Creates a person with an identifier. */
async function addContact(user: User, identifier: string): Promise<void> {
  await db.sql`
    with added as (
      insert into public.people (workspace_id, name) values (${user.workspaceId}, 'Known')
      returning id, workspace_id
    )
    insert into public.person_identities (workspace_id, person_id, platform, identifier)
    select workspace_id, id, 'whatsapp', ${identifier} from added`;
}

/** The fixture on another number. */
function withLine(fixture: KapsoFixture, phoneNumberId: string): KapsoFixture {
  return JSON.parse(JSON.stringify(fixture).replaceAll(FIXTURE_PHONE_NUMBER_ID, phoneNumberId));
}

async function checkConversation(
  sql: Sql,
  user: User,
  { conversation }: ConversationElement,
): Promise<void> {
  const [row] = await sql`
    select thread.id, thread.participant_identifier, thread.participant_name, thread.person_id,
      thread.unread_count, export.messages,
      (select coalesce(jsonb_agg(change order by message_id), '[]') from private.waiting_updates as waiting
        where waiting.conversation_id = thread.id) as waiting,
      (select array_agg(session_id) from public.conversation_sessions as session
        where session.conversation_id = thread.id) as sessions
    from public.conversations as thread
    join public.conversation_export as export using (id)
    where thread.workspace_id = ${user.workspaceId}
      and thread.external_conversation_id = ${conversation.external_conversation_id}`;
  if (row === undefined && conversation.messages.length === 0) {
    // Changes alone create no conversation. They wait for their message.
    const waiting = await sql`
      select change from private.waiting_updates
      where workspace_id = ${user.workspaceId} and conversation_id is null order by message_id`;
    assertEquals(waiting.map(({ change }) => change), conversation.changes);
    return;
  }
  if (row === undefined) throw new Error("the thread is not there");
  assertEquals(row.participant_identifier, conversation.participant_identifier);
  assertEquals(row.participant_name, conversation.participant_name ?? null);
  assertEquals(row.waiting, conversation.changes ?? []);
  const history = conversation.is_history ? { is_history: true } : {};
  for (const message of conversation.messages) {
    const stored = (row.messages as { id: string }[]).find(({ id }) => id === message.id);
    assertEquals(stored, { ...message, ...history } as unknown as { id: string });
  }
  if (conversation.is_history) assertEquals(row.unread_count, 0);
  if (conversation.session !== undefined) {
    assert(row.sessions.includes(conversation.session.id));
  }
  assertEquals(row.person_id !== null, conversation.person !== undefined);
  if (conversation.person === undefined) return;
  const [person] = await sql`
    select phone, name, kapso_name from public.people where id = ${row.person_id}`;
  const name = conversation.person.name ?? null;
  assertEquals(person, { phone: conversation.person.phone ?? null, name, kapso_name: name });
}

Deno.test("a BSUID of digits is never the customer whose phone has the same digits", async () => {
  const user = await signUp(db.info);
  const { phoneNumberId } = await createPhoneNumber(user);
  const digits = uniqueNumber().slice(1);
  await deliverAll(db.info, receivedText(phoneNumberId, "from the phone", { phone: digits }));
  const body = receivedText(phoneNumberId, "from the user id", { phone: digits });
  const { state } = await deliverAll(db.info, {
    ...body,
    message: { ...body.message as object, from: undefined, from_user_id: digits },
    conversation: {
      ...body.conversation as object,
      id: "another",
      phone_number: undefined,
      business_scoped_user_id: digits,
    },
  });
  assertEquals(state, "processed");
  const conversations = await db.sql`
    select thread.external_conversation_id as key, thread.participant_digits as digits, person.phone_digits as phone,
      private.recipient_of(thread) as recipient
    from public.conversations as thread
    join public.people as person on person.id = thread.person_id
    where thread.workspace_id = ${user.workspaceId}
    order by thread.external_conversation_id`;
  assertEquals([...conversations], [
    {
      key: `${phoneNumberId}:${digits}`,
      digits,
      phone: digits,
      recipient: { to: digits },
    },
    {
      key: `${phoneNumberId}:bsuid:${digits}`,
      digits: null,
      phone: null,
      recipient: { recipient: digits },
    },
  ]);
});

Deno.test("a message of a conversation with a very long id is stored, and one without a time too", async () => {
  const user = await signUp(db.info);
  const { phoneNumberId } = await createPhoneNumber(user);
  const body = receivedText(phoneNumberId, "long");
  const long = { ...body.conversation as object, id: "s".repeat(512) };
  assertEquals(
    (await deliverAll(db.info, { ...body, conversation: long })).state,
    "processed",
  );
  const undated = receivedText(phoneNumberId, "undated");
  const before = Date.now();
  const { state } = await deliverAll(db.info, {
    ...undated,
    message: { ...undated.message as object, timestamp: undefined },
    conversation: { phone_number: "+5511988887777", phone_number_id: phoneNumberId },
  });
  assertEquals(state, "processed");
  const [message] = await db.sql`
    select message.value ->> 'sent_at' as sent_at, message.value -> 'metadata' ->> 'sent_at_is_arrival' as mark
    from public.conversations as thread
    cross join lateral jsonb_array_elements(thread.messages) as message (value)
    where thread.workspace_id = ${user.workspaceId} and message.value ->> 'content' = 'undated'`;
  assertEquals(message!.mark, "true");
  assert(Math.abs(Date.parse(message!.sent_at) - before) < 3_600_000);
});
