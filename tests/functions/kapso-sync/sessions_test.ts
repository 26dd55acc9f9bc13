/**
 * Changes of sessions at Kapso whose events never arrive: a lost end, a reopening that has no webhook event,
 * and what members did in the meantime.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Contact, Conversation, Message } from "../../../fakes/kapso/state.ts";
import { deliver } from "../../support/kapso_webhook.ts";
import { rows } from "../../support/users.ts";
import { type Business, ending, newBusiness, slice, useWorld } from "../../support/kapso_sync.ts";

const world = useWorld();
const HOUR_MS = 60 * 60 * 1000;

function repair({ phoneNumber }: Business): ReturnType<typeof slice> {
  return slice(world.current.info, { connection_id: phoneNumber.id, mode: "repair" });
}

/** A customer who wrote some hours ago, with a stored conversation. */
async function wrote(
  business: Business,
  hours: number,
): Promise<{ contact: Contact; message: Message; session: Conversation }> {
  const { fake } = world.current;
  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
  const sentAt = Date.now() - hours * HOUR_MS;
  const message = fake.receiveMessage(contact, "hello", { sentAt });
  message.createdAt = sentAt;
  await hear(business);
  return { contact, message, session: message.conversation };
}

/** Delivers the pending events of a business. */
const heard = new WeakSet<object>();
async function hear({ phoneNumber }: Business): Promise<void> {
  const { fake, info } = world.current;
  for (const event of fake.events) {
    if (event.phoneNumberId !== phoneNumber.phoneNumberId || heard.has(event)) continue;
    heard.add(event);
    assertEquals((await deliver(info, event.body, { event: event.event })).status, 200);
  }
  // As if they had come when they were written.
  await world.current.sql`
    update public.conversations set last_arrival_at = last_message_at
    where connection_id = ${phoneNumber.id}`;
}

/** Drops the pending events of a business, as Kapso does after two minutes. */
function lose({ phoneNumber }: Business): void {
  for (const event of world.current.fake.events) {
    if (event.phoneNumberId === phoneNumber.phoneNumberId) heard.add(event);
  }
}

async function statusOf(session: Conversation): Promise<string> {
  const [found] = await world.current.sql`
    select thread.status
    from public.conversations as thread
    join public.conversation_sessions as known on known.conversation_id = thread.id
    where known.session_id = ${session.id}`;
  return found!.status;
}

/** Closes or opens a conversation as a member, while Kapso cannot be reached. */
async function set({ user, phoneNumber }: Business, status: "open" | "closed"): Promise<void> {
  const [{ id }] = await world.current.sql<[{ id: string }]>`
    select id from public.conversations where connection_id = ${phoneNumber.id}`;
  await rows(user.client.rpc("set_conversation_status", { conversation_id: id, status }).select());
}

/** Does something at a later time of Kapso's clock, in seconds from now. */
function later(seconds: number, action: () => void): void {
  const { clock } = world.current.fake;
  clock.advance(seconds);
  action();
  clock.advance(-seconds);
}

function asked(session: Conversation): number {
  return world.current.fake.requests.filter(({ path }) => path.endsWith(session.id)).length;
}

Deno.test("a conversation whose session ended without an event is closed, with one look-up", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  const { session } = await wrote(business, 2);
  const { session: fresh } = await wrote(business, 0.5);
  fake.endSession(session);
  fake.endSession(fresh);
  lose(business);
  const run = ending(await repair(business));
  assertEquals([run.type, run.sessions_checked, run.messages_added], ["done", 1, 0]);
  assertEquals([await statusOf(session), await statusOf(fresh)], ["closed", "open"]);
  assertEquals(ending(await repair(business)).sessions_checked, 0);
  assertEquals([asked(session), asked(fresh)], [1, 0]);
});

Deno.test("a session that was reopened at Kapso reopens its conversation, and its second end closes it", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  const { session } = await wrote(business, 7);
  fake.endSession(session);
  await hear(business);
  assertEquals(await statusOf(session), "closed");
  later(5, () => fake.reopenSession(session));
  await repair(business);
  assertEquals(await statusOf(session), "open");
  later(10, () => fake.endSession(session));
  await hear(business);
  assertEquals(await statusOf(session), "closed");
});

Deno.test("an earlier end does not close what a member opened, from a repair or a late event", async () => {
  const { fake, info } = world.current;
  const business = await newBusiness(world.current);
  const { session } = await wrote(business, 2);
  await set(business, "closed");
  fake.endSession(session);
  const late = fake.events.at(-1)!;
  lose(business);
  await set(business, "open");
  assertEquals(ending(await repair(business)).sessions_checked, 1);
  assertEquals(await statusOf(session), "open", "brought by a repair");
  await deliver(info, late.body, { event: late.event });
  assertEquals(await statusOf(session), "open", "brought by a late event");
  // It is reopened at Kapso as well, without an event, and ends there again.
  fake.reopenSession(session);
  later(60, () => fake.endSession(session));
  await hear(business);
  assertEquals(await statusOf(session), "closed");
});

Deno.test("what a member closed stays closed while Kapso's session is active", async () => {
  const { fake, info, sql } = world.current;
  const business = await newBusiness(world.current);
  const { contact, session } = await wrote(business, 7);
  // The beginning of this session is unknown: it was found by one of its messages.
  await sql`update public.conversation_sessions set started_at = now() where session_id = ${session.id}`;
  const answer = fake.sendMessage(contact, "bye", { sentAt: Date.now() - 7 * HOUR_MS });
  answer.createdAt = answer.sentAt;
  await hear(business);
  await set(business, "closed");
  fake.setStatus(answer, "read");
  await hear(business);
  assertEquals(await statusOf(session), "closed", "a receipt that knows when it began");
  assertEquals(ending(await repair(business)).sessions_checked, 1);
  assertEquals(await statusOf(session), "closed");
  const again = fake.receiveMessage(contact, "one more thing");
  await deliver(info, fake.events.at(-1)!.body, { event: fake.events.at(-1)!.event });
  assert(again);
  assertEquals(await statusOf(session), "open", "the customer wrote");
});

Deno.test("a repair looks up thirty of many sessions, and continues after one that Kapso refuses", async () => {
  const { fake, sql } = world.current;
  const business = await newBusiness(world.current);
  // All in one second, as replies to a broadcast are.
  const sentAt = Math.floor(Date.now() / 1000) * 1000 - 2 * HOUR_MS;
  const sessions = Array.from({ length: 35 }, () => {
    const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
    return fake.receiveMessage(contact, "hello", { sentAt }).conversation;
  });
  await slice(world.current.info, { connection_id: business.phoneNumber.id });
  for (const session of sessions) fake.endSession(session);
  const closed = async () =>
    (await sql`select from public.conversations where connection_id = ${business.phoneNumber.id} and status = 'closed'`)
      .count;
  assertEquals(await closed(), 0);
  const refuse = (status: number, body: string) =>
    fake.misbehaveOn("GET", /\/platform\/v1\/whatsapp\/conversations\//, {
      kind: "status",
      status,
      body,
    });
  refuse(404, '{"error":"Conversation not found"}');
  refuse(400, '{"error":"Something is wrong with this one"}');
  const first = ending(await repair(business));
  assertEquals([first.type, first.sessions_checked], ["done", 30]);
  assertEquals(await closed(), 28);

  // The rest, while the rate limit is used up: earlier results are kept.
  fake.misbehaveOn(
    "GET",
    /\/platform\/v1\/whatsapp\/conversations\//,
    { kind: "slow", ms: 1 },
    { kind: "slow", ms: 1 },
    { kind: "status", status: 429, headers: { "Retry-After": "1000000000000" } },
  );
  const limited = ending(await repair(business));
  assertEquals([limited.type, limited.code, limited.sessions_checked], [
    "paused",
    "kapso_rate_limited",
    2,
  ]);
  assertEquals(limited.retry_after_seconds, 86_400, "however long Kapso wants to be left alone");
  assertEquals(ending(await repair(business)).type, "done");
  assertEquals(await closed(), 33);
});

Deno.test("a message whose look-up always fails does not keep a repair from ending", async () => {
  const { fake, sql } = world.current;
  const business = await newBusiness(world.current);
  const sentAt = Math.floor(Date.now() / 1000) * 1000 - 2 * HOUR_MS;
  const sent = Array.from({ length: 12 }, () => {
    const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
    const message = fake.sendMessage(contact, "our offer", { sentAt });
    message.createdAt = sentAt;
    return message;
  });
  await hear(business);
  await sql`
    update public.connections set confirmed_until = now(), sessions_checked_until = now()
    where id = ${business.phoneNumber.id}`;
  for (const message of sent) fake.setStatus(message, "delivered");
  lose(business);
  // Four attempts at the first of them.
  fake.misbehaveOn(
    "GET",
    /\/messages\/wamid/,
    ...Array.from({ length: 4 }, () => ({ kind: "status", status: 500 } as const)),
  );
  const first = ending(await repair(business));
  assertEquals([first.type, first.code, first.statuses_checked], [
    "paused",
    "kapso_unavailable",
    1,
  ]);
  const second = ending(await repair(business));
  assertEquals([second.type, second.statuses_checked], ["done", 12], "all of one second");
  const [{ delivered }] = await sql<[{ delivered: number }]>`
    select count(*)::integer as delivered
    from public.conversations as thread
    cross join lateral jsonb_array_elements(thread.messages) as message (value)
    where thread.connection_id = ${business.phoneNumber.id} and message.value ->> 'status' = 'delivered'`;
  assertEquals(delivered, 11);
});
