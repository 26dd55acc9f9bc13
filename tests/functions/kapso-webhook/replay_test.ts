/**
 * What is recorded can be processed again: by id, by state and by time, and nothing is doubled.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { useDatabase } from "../../support/database.ts";
import { uniqueNumber } from "../../support/people.ts";
import { signUp } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliverAll,
  eventOf,
  messagesOf,
  receivedText,
  uniquePhoneNumberId,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();

Deno.test("the events of an unknown number are recorded, and processed once it has a connection", async () => {
  const phoneNumber = uniquePhoneNumberId();
  const { id, state } = await deliverAll(db.info, receivedText(phoneNumber));
  assertEquals(state, "failed");
  assertEquals(await eventOf(db.sql, id), {
    id,
    state: "failed",
    error: "no connection has this phone_number_id",
    attempts: 1,
  });
  await createPhoneNumber(await signUp(db.info), phoneNumber);
  assertEquals(await replay([id]), [{ id, state: "processed", error: null }]);
  assertEquals((await messagesOf(db.sql, phoneNumber)).map(({ content }) => content), ["bom dia"]);
  assertEquals(await eventOf(db.sql, id), { id, state: "processed", error: null, attempts: 2 });
});

Deno.test("an inactive connection gets nothing until it is active again", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  await db.sql`update public.connections set is_active = false where id = ${phoneNumber.id}`;
  const { id, state } = await deliverAll(db.info, receivedText(phoneNumber.phoneNumberId));
  assertEquals([state, (await messagesOf(db.sql, phoneNumber.phoneNumberId)).length], [
    "failed",
    0,
  ]);
  await db.sql`update public.connections set is_active = true where id = ${phoneNumber.id}`;
  await replay([id]);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 1);
});

Deno.test("events for a number's former workspace are never stored for the next one", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const { phoneNumberId } = phoneNumber;
  await db.sql`update public.connections set is_active = false where id = ${phoneNumber.id}`;
  const { id } = await deliverAll(db.info, receivedText(phoneNumberId));
  await db.sql`delete from public.connections where id = ${phoneNumber.id}`;
  await createPhoneNumber(await signUp(db.info), phoneNumberId);
  assertEquals(await replay([id]), [{
    id,
    state: "failed",
    error: "the number belonged to another workspace when this arrived",
  }]);
  assertEquals(await messagesOf(db.sql, phoneNumberId), []);
  // What comes from now on is theirs.
  await deliverAll(db.info, receivedText(phoneNumberId));
  assertEquals((await messagesOf(db.sql, phoneNumberId)).length, 1);
});

Deno.test("a repeated delivery is one event", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const body = receivedText(phoneNumber.phoneNumberId);
  const key = crypto.randomUUID();
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => deliverAll(db.info, body, { key })),
  );
  assertEquals(new Set(answers.map(({ id }) => id)).size, 1);
  assertEquals((await eventOf(db.sql, answers[0]!.id))?.attempts, 1);
  // Under another key, as an element of a batch that was given up.
  const { id } = await deliverAll(db.info, body);
  assert(id !== answers[0]!.id);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 1);
  // A key of another number is another event.
  const other = await createPhoneNumber(await signUp(db.info));
  await deliverAll(db.info, receivedText(other.phoneNumberId), { key });
  assertEquals((await messagesOf(db.sql, other.phoneNumberId)).length, 1);
});

Deno.test("concurrent first messages create one person and one conversation", async () => {
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  const bsuid = "BR.7700000001";
  const phone = uniqueNumber().slice(1);
  const bodies = Array.from({ length: 12 }, (_, index) => {
    const body = receivedText(phoneNumber.phoneNumberId, `${index}`, {
      phone,
      timestamp: 1772442000 + index,
    }) as { message: Record<string, unknown>; conversation: Record<string, unknown> };
    body.message.from_user_id = bsuid;
    if (index % 2 === 0) {
      // Nothing but the BSUID.
      delete body.message.from;
      delete body.conversation.phone_number;
    }
    return body;
  });
  await Promise.all(bodies.map((body) => deliverAll(db.info, body)));
  const [counts] = await db.sql`
    select
      (select count(*)::integer from public.people where workspace_id = ${user.workspaceId}) as people,
      (select count(*)::integer from public.conversations where workspace_id = ${user.workspaceId}) as threads,
      (select string_agg(phone, ', ') from public.people where workspace_id = ${user.workspaceId}) as phones`;
  assertEquals(counts, { people: 1, threads: 1, phones: `+${phone}` });
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 12);
});

Deno.test("an event that cannot be stored is recorded with its error, answered with 200, and replayed", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  // As if a release were broken.
  await db.sql.unsafe(`
    create function public.break_for_test() returns trigger language plpgsql as $$
    begin
      if new.external_conversation_id like '${phoneNumber.phoneNumberId}:%' then
        raise exception 'broken' using errcode = 'XX000';
      end if;
      return new;
    end $$;
    create trigger break_for_test before insert on public.conversations
      for each row execute function public.break_for_test();`);
  let id: number;
  try {
    const answer = await deliverAll(db.info, receivedText(phoneNumber.phoneNumberId));
    id = answer.id;
    assertEquals(answer.state, "failed");
    assertEquals((await eventOf(db.sql, id))?.error, "XX000");
    assertEquals(await replay([id]), [{ id, state: "failed", error: "XX000" }]);
  } finally {
    await db.sql`drop function public.break_for_test() cascade`;
  }
  assertEquals(await replay([id]), [{ id, state: "processed", error: null }]);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 1);
});

Deno.test("replaying chooses by state and by time, and doubles nothing", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const ids: number[] = [];
  for (let index = 0; index < 4; index++) {
    const body = receivedText(phoneNumber.phoneNumberId, `${index}`, {
      timestamp: 1772442000 + index,
    });
    ids.push((await deliverAll(db.info, body)).id);
  }
  // A time of their own, so that no other events match.
  const year = 1900 + ids[0]! % 90;
  for (const [index, id] of ids.entries()) {
    await db.sql`
      update private.webhook_events
      set received_at = make_timestamptz(${year}, 1, 1 + ${index}::integer, 0, 0, 0, 'UTC'),
        state = ${["received", "failed", "processed", "processed"][index]!}
      where id = ${id}`;
  }
  const range = [`${year}-01-01T00:00:00Z`, `${year}-01-31T00:00:00Z`] as const;
  const run = async (states: string[], from: string, until: string, max = 1000) =>
    (await db.service<{ id: number }[]>`
      select id::integer from public.replay_webhook_events(
        null, ${states}, ${from}, ${until}, ${max})`).map(({ id }) => id);
  assertEquals(await run(["received", "failed"], ...range), ids.slice(0, 2));
  assertEquals(await run(["received", "failed"], ...range), []);
  assertEquals(await run(["processed"], `${year}-01-02T12:00:00Z`, range[1]), ids.slice(2));
  assertEquals(await run(["processed"], ...range, 1), ids.slice(0, 1));
  assertEquals(
    (await messagesOf(db.sql, phoneNumber.phoneNumberId)).map(({ content }) => content),
    ["0", "1", "2", "3"],
  );
});

Deno.test("deliveries and replays at once do not deadlock", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const phones = Array.from({ length: 6 }, () => uniqueNumber().slice(1));
  const bodies = Array.from(
    { length: 60 },
    (_, index) =>
      receivedText(phoneNumber.phoneNumberId, `${index}`, {
        phone: phones[index % phones.length]!,
        timestamp: 1772442000 + index,
      }),
  );
  const ids = (await Promise.all(bodies.map((body) => deliverAll(db.info, body)))).map((row) =>
    row.id
  );
  const answers = await Promise.all([
    replay(ids),
    replay(ids.toReversed()),
    ...bodies.map((body) => deliverAll(db.info, body)),
  ]);
  const states = answers.flat().map((answer) => (answer as { state: string }).state);
  assertEquals([...new Set(states)], ["processed"]);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 60);
});

Deno.test("pruning deletes old processed events, and no others", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const make = async (state: string, days: number) => {
    const { id } = await deliverAll(db.info, receivedText(phoneNumber.phoneNumberId));
    await db.sql`
      update private.webhook_events
      set state = ${state}, received_at = now() - make_interval(days => ${days}) where id = ${id}`;
    return id;
  };
  const gone = [await make("processed", 31), await make("ignored", 31)];
  const kept = [
    await make("processed", 29),
    await make("failed", 400),
    await make("received", 400),
  ];
  await db.service`select public.prune_webhook_events()`;
  const left = await db.sql<{ id: number }[]>`
    select id::integer from private.webhook_events
    where id in ${db.sql([...gone, ...kept])} order by id`;
  assertEquals(left.map(({ id }) => id), kept);
  assertEquals(
    (await db.attempt("service_role", (sql) => sql`select public.prune_webhook_events(0)`)).code,
    "22023",
  );
});

Deno.test("only the functions can record, replay or read events", async () => {
  for (const actor of ["anon", { userId: crypto.randomUUID() }] as const) {
    for (
      const statement of [
        "select * from public.record_webhook_event(null, null, null, '', '[]')",
        "select * from public.replay_webhook_events()",
        "select public.prune_webhook_events()",
        "select * from public.webhook_secrets('1')",
        "select public.set_webhook_secret(gen_random_uuid(), 'eA==')",
        "select * from private.webhook_events",
        "select * from private.thread_aliases",
      ]
    ) {
      assertEquals(
        (await db.attempt(actor, (sql) => sql.unsafe(statement))).code,
        "42501",
        statement,
      );
    }
  }
});

async function replay(ids: number[]) {
  return [
    ...await db.service<{ id: number; state: string; error: string | null }[]>`
      select id::integer, state, error from public.replay_webhook_events(${ids})`,
  ];
}
