/**
 * What is recorded can be processed again: by id, by state and by time, and nothing is doubled.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { useDatabase } from "../../support/database.ts";
import { unique, uniqueNumber } from "../../support/people.ts";
import { rows, signUp } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliver,
  deliverAll,
  eventOf,
  messagesOf,
  receivedText,
  uniquePhoneNumberId,
  untilProcessed,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();

Deno.test("events of a number without proof are recorded, and never stored for its later owner", async () => {
  const phoneNumber = uniquePhoneNumberId();
  // A connection that names the number has not proven it.
  const stranger = await signUp(db.info);
  await rows(stranger.client.rpc("create_connection", {
    workspace_id: stranger.workspaceId,
    platform: "whatsapp",
    connection_id: unique("kapso_"),
    phone_number_id: phoneNumber,
  }));
  const { id, state } = await deliverAll(db.info, receivedText(phoneNumber));
  assertEquals(state, "ignored");
  assertEquals(await eventOf(db.sql, id), {
    id,
    state: "ignored",
    error: "no connection has proven this phone_number_id",
    attempts: 1,
  });
  await createPhoneNumber(await signUp(db.info), phoneNumber);
  assertEquals(await replay([id]), [{
    id,
    state: "ignored",
    error: "the connection got the number after this arrived",
  }]);
  assertEquals(await messagesOf(db.sql, phoneNumber), []);
  // What comes from now on is theirs.
  await deliverAll(db.info, receivedText(phoneNumber));
  assertEquals((await messagesOf(db.sql, phoneNumber)).length, 1);
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
    state: "ignored",
    error: "the connection got the number after this arrived",
  }]);
  assertEquals(await messagesOf(db.sql, phoneNumberId), []);
  // What comes from now on is theirs.
  await deliverAll(db.info, receivedText(phoneNumberId));
  assertEquals((await messagesOf(db.sql, phoneNumberId)).length, 1);
});

Deno.test("an event over the limit of its workspace is answered 429, and stored when Kapso sends it again", async () => {
  const user = await signUp(db.info);
  const phoneNumber = await createPhoneNumber(user);
  const [first, second] = [
    receivedText(phoneNumber.phoneNumberId),
    receivedText(phoneNumber.phoneNumberId),
  ];
  const bytes = JSON.stringify(first).length;
  await db.sql`
    insert into private.limits (name, subject_id, value)
    values ('webhook_bytes_per_day', ${user.workspaceId}, ${Math.floor(bytes * 1.5)})`;
  const key = crypto.randomUUID();
  await deliverAll(db.info, first);
  const refused = await deliver(db.info, second, { key });
  assertEquals([refused.status, refused.body.code], [429, "webhook_quota_exceeded"]);
  assert(Number(refused.headers.get("retry-after")) >= 1);
  assertMatch(refused.headers.get("ratelimit-policy")!, /^"webhook_quota_exceeded";q=\d+;w=86400$/);
  assertMatch(refused.headers.get("ratelimit")!, /^"webhook_quota_exceeded";r=0;t=\d+$/);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 1);
  // Others have their own.
  const other = await createPhoneNumber(await signUp(db.info));
  await deliverAll(db.info, receivedText(other.phoneNumberId));
  await db.sql`delete from private.limits where subject_id = ${user.workspaceId}`;
  assertEquals((await deliverAll(db.info, second, { key })).state, "processed");
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 2);
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

Deno.test("the same idempotency key with another body is another event, however long the key is", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const text = (content: string) => receivedText(phoneNumber.phoneNumberId, content);
  const keys = [crypto.randomUUID(), "k".repeat(300)];
  const sent: string[] = [];
  for (const key of keys) {
    for (const content of ["one", "two"]) {
      const body = text(`${content} ${sent.length}`);
      sent.push(`${content} ${sent.length}`);
      const first = await deliverAll(db.info, body, { key });
      assertEquals(first.state, "processed");
      assertEquals((await deliverAll(db.info, body, { key })).id, first.id, "a repeat");
    }
  }
  // Keys that differ after 200 characters only, with one body: two deliveries of one message.
  const body = text("three");
  const ids = await Promise.all(
    ["a", "b"].map((end) => deliverAll(db.info, body, { key: "k".repeat(300) + end })),
  );
  assert(ids[0]!.id !== ids[1]!.id);
  assertEquals(
    (await messagesOf(db.sql, phoneNumber.phoneNumberId)).map(({ content }) => content).sort(),
    [...sent, "three"].sort(),
  );
  // A body that names no number is recorded once as well.
  const key = crypto.randomUUID();
  const unnamed = await Promise.all([1, 2].map(() => deliverAll(db.info, { a: 1 }, { key })));
  assertEquals(unnamed[0]!.id, unnamed[1]!.id);
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
  await untilProcessed(db.sql, [phoneNumber.phoneNumberId]);
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

Deno.test("the schedule tries events again that others were in the way of, with growing waits", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const body = receivedText(phoneNumber.phoneNumberId);
  // As if it had failed, some minutes ago.
  const cases = [
    { error: "40P01", attempts: 1, minutes: 2, isRetried: true },
    { error: "55P03", attempts: 3, minutes: 5, isRetried: true },
    { error: "40001", attempts: 4, minutes: 5, isRetried: false },
    { error: "23514", attempts: 1, minutes: 90, isRetried: false },
  ];
  const ids: number[] = [];
  for (const { error, attempts, minutes } of cases) {
    const { id } = await deliverAll(db.info, body);
    ids.push(id);
    await db.sql`
      update private.webhook_events
      set state = 'failed', error = ${error}, attempts = ${attempts},
        processed_at = now() - make_interval(mins => ${minutes})
      where id = ${id}`;
  }
  await db.service`select public.retry_webhook_events(1000)`;
  const states = await db.sql`
    select state, attempts from private.webhook_events where id = any (${ids}) order by id`;
  assertEquals(
    states.map(({ state, attempts }) => [state, attempts]),
    cases.map(({ attempts, isRetried }) =>
      isRetried ? ["processed", attempts + 1] : ["failed", attempts]
    ),
  );
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
  await db.sql`
    update public.connections set number_claimed_at = '-infinity' where id = ${phoneNumber.id}`;
  // A time of their own, so that no other events match.
  const year = 1900 + ids[0]! % 90;
  for (const [index, id] of ids.entries()) {
    await db.sql`
      select private.ensure_webhook_days(
        array[make_timestamptz(${year}, 1, 1 + ${index}::integer, 0, 0, 0, 'UTC')])`;
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
  await untilProcessed(db.sql, [phoneNumber.phoneNumberId]);
  const answers = await Promise.all([
    replay(ids),
    replay(ids.toReversed()),
    ...bodies.map((body) => deliverAll(db.info, body)),
  ]);
  await untilProcessed(db.sql, [phoneNumber.phoneNumberId]);
  const states = await db.sql`
    select distinct state from private.webhook_events
    where id = any (${answers.flat().map((answer) => (answer as { id: number }).id)})`;
  assertEquals(states.map(({ state }) => state), ["processed"]);
  assertEquals((await messagesOf(db.sql, phoneNumber.phoneNumberId)).length, 60);
});

Deno.test("pruning deletes old processed events, and no others", async () => {
  const phoneNumber = await createPhoneNumber(await signUp(db.info));
  const make = async (state: string, days: number) => {
    const { id } = await deliverAll(db.info, receivedText(phoneNumber.phoneNumberId));
    await db.sql`select private.ensure_webhook_days(array[now() - make_interval(days => ${days})])`;
    await db.sql`
      update private.webhook_events
      set state = ${state}, received_at = now() - make_interval(days => ${days}) where id = ${id}`;
    return id;
  };
  const gone = [await make("processed", 9), await make("ignored", 9)];
  const kept = [
    await make("processed", 6),
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
