/**
 * Repair: what webhooks missed is stored, live and not as history; and the health of a connection.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { deliver, uniquePhoneNumberId } from "../../support/kapso_webhook.ts";
import { rows } from "../../support/users.ts";
import {
  type Business,
  ending,
  kapsoIds,
  newBusiness,
  slice,
  storedIds,
  useWorld,
} from "../../support/kapso_sync.ts";

const world = useWorld();

function repair({ phoneNumber }: Business): ReturnType<typeof slice> {
  return slice(world.current.info, { connection_id: phoneNumber.id, mode: "repair" });
}

async function unread({ phoneNumber }: Business): Promise<number> {
  const [found] = await world.current.sql`
    select coalesce(sum(unread_count), 0)::integer as unread from public.conversations
    where connection_id = ${phoneNumber.id}`;
  return found!.unread;
}

Deno.test("messages whose events were lost arrive as unread, and none is stored twice", async () => {
  const { fake, info } = world.current;
  const business = await newBusiness(world.current);
  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber, name: "Ana" });
  const event = (id: string) =>
    fake.events.find(({ body }) => (body.message as { id?: string })?.id === id)!;
  const seen = fake.receiveMessage(contact, "this one came");
  await deliver(info, event(seen.id).body, { event: event(seen.id).event });
  assertEquals(await unread(business), 1);
  fake.receiveMessage(contact, "this one was lost");
  const reaction = fake.react(seen, "🎉", "business");
  assert(reaction);

  const first = ending(await repair(business));
  assertEquals([first.type, first.messages_added], ["done", 1]);
  assertEquals(
    await storedIds({ ...world.current, ...business }),
    kapsoIds(fake, business.fakePhoneNumber),
  );
  assertEquals(await unread(business), 2, "a lost message is a live one");

  const second = ending(await repair(business));
  assertEquals([second.type, second.messages_added], ["done", 0]);
  assertEquals(await unread(business), 2);
});

Deno.test("a repair begins at the last confirmed time, and runs without findings are not kept", async () => {
  const { fake, sql } = world.current;
  const business = await newBusiness(world.current);
  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
  fake.receiveMessage(contact, "hello");
  const [run] = await repair(business);
  assert(run?.type === "run");
  for (let time = 0; time < 3; time++) await repair(business);
  const runs = await sql`
    select run.messages_added, run.since, run.started_at, connection.confirmed_until
    from public.sync_runs as run
    join public.connections as connection on connection.id = run.connection_id
    where run.connection_id = ${business.phoneNumber.id} order by run.started_at`;
  assertEquals(runs.map((each) => each.messages_added), [1, 0]);
  assertEquals(runs[1]!.started_at, runs[1]!.confirmed_until);
  assert(runs[1]!.since.getTime() < runs[1]!.started_at.getTime() - 9 * 60 * 1000, "an overlap");
  assert(runs[1]!.since.getTime() > runs[1]!.started_at.getTime() - 11 * 60 * 1000);
});

Deno.test("undelivered messages are looked up, but not in every repair", async () => {
  const { fake, sql, info } = world.current;
  const business = await newBusiness(world.current);
  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
  const HOUR_MS = 60 * 60 * 1000;
  const messages = [2 * HOUR_MS, 26 * HOUR_MS].map((age) => {
    const sent = fake.sendMessage(contact, "on its way", { sentAt: Date.now() - age });
    fake.setStatus(sent, "sent", { at: Date.now() - age });
    // Kapso stored it then, so a repair that begins now does not list it.
    sent.createdAt = Date.now() - age;
    return sent;
  });
  for (
    const { body, event } of fake.events.filter(({ body }) =>
      body.phone_number_id === business.phoneNumber.phoneNumberId
    )
  ) {
    await deliver(info, body, { event });
  }
  await sql`update public.connections set confirmed_until = now() where id = ${business.phoneNumber.id}`;
  // The events of these were lost.
  for (const message of messages) fake.setStatus(message, "delivered");

  const statuses = async () =>
    (await sql`
      select message.value ->> 'status' as status
      from public.conversations as thread
      cross join lateral jsonb_array_elements(thread.messages) as message (value)
      where thread.connection_id = ${business.phoneNumber.id}`).map(({ status }) => status);
  assertEquals(await statuses(), ["sent", "sent"]);
  const run = ending(await repair(business));
  assertEquals([run.type, run.statuses_checked], ["done", 2]);
  assertEquals(await statuses(), ["delivered", "delivered"]);

  const stuck = fake.sendMessage(contact, "the phone is off", { sentAt: Date.now() - 2 * HOUR_MS });
  fake.setStatus(stuck, "sent");
  const asked = () => fake.requests.filter(({ path }) => path.endsWith(stuck.id)).length;
  await repair(business);
  await sql`update public.connections set statuses_checked_until = now() - interval '1 day' where id = ${business.phoneNumber.id}`;
  await repair(business);
  assertEquals(asked(), 1);
  await repair(business);
  assertEquals(asked(), 1, "it is not asked for again a moment later");
});

Deno.test("the first repair of a phone number reads a limited past", async () => {
  const { fake } = world.current;
  const business = await newBusiness(world.current);
  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
  const old = fake.receiveMessage(contact, "last month", { sentAt: Date.now() - 30 * 86_400_000 });
  old.createdAt = old.sentAt;
  fake.receiveMessage(contact, "now");
  assertEquals(ending(await repair(business)).messages_added, 1);
});

Deno.test("members alone see a connection's lag, last event, silence and failed events", async () => {
  const { fake, info } = world.current;
  const business = await newBusiness(world.current);
  const health = async ({ user, phoneNumber }: Business) =>
    (await rows(user.client.from("connection_health").select("*").eq("id", phoneNumber.id)))[0];
  const before = await health(business);
  assertEquals([before!.lag_seconds, before!.silence_seconds, before!.failed_events], [
    null,
    null,
    0,
  ]);

  const contact = fake.addContact({ phoneNumber: business.fakePhoneNumber });
  const message = fake.receiveMessage(contact, "hello");
  const { body, event } = fake.events.find(({ body }) =>
    (body.message as { id?: string })?.id === message.id
  )!;
  await deliver(info, body, { event });
  await repair(business);
  const after = await health(business);
  assert(after!.last_event_at !== null && after!.silence_seconds! < 60);
  assert(after!.lag_seconds! < 60);
  assertEquals(
    await health({ ...business, user: (await newBusiness(world.current)).user }),
    undefined,
  );
  // An event for a phone number without a connection belongs to no workspace.
  await deliver(info, { phone_number_id: uniquePhoneNumberId(), message: { id: "wamid.x" } });
  assertEquals((await health(business))!.failed_events, 0);
});
