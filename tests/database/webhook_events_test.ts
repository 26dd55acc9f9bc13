/**
 * Webhook events in the database: accepted first, processed in batches, kept by the day. Nothing is lost or doubled, and
 * the order of each conversation stays.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { type Json, size, type Sql, useDatabase } from "../support/database.ts";
import { message, readThread, threadFaults } from "../support/messages.ts";
import { Random } from "../support/messages_model.ts";
import {
  claimNumber,
  type Connection,
  createConnection,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

interface Line {
  workspace: Workspace;
  connection: Connection;
  number: string;
}

/** A workspace with a connection that has a number of its own. */
async function createLine(): Promise<Line> {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace);
  const number = uniqueNumber().replace("+", "9");
  await claimNumber(database.sql, connection, number);
  return { workspace, connection, number };
}

type Element = Record<string, unknown>;

/** What Kapso says of a customer of a line. */
function element(line: Line, phone: string, given: Record<string, unknown>): Element {
  return {
    kind: "conversation",
    phoneNumberId: line.number,
    conversation: {
      external_conversation_id: `${line.number}:${phone.slice(1)}`,
      thread_aliases: [],
      participant_identifier: phone,
      person: { name: "Customer", phone, identifiers: [] },
      messages: [],
      ...given,
    },
  };
}

/** Records an event; returns its id and state. */
async function record(
  client: Sql,
  line: Line,
  elements: Element[],
  key: string = unique(),
  body = "e30=",
): Promise<{ id: string; state: string }> {
  const [event] = await client<{ id: string; state: string }[]>`
    select * from public.record_webhook_event(
      ${line.number}, 'whatsapp.message.received', ${key}, ${body}, ${
    client.json(elements as Json)
  })`;
  return event!;
}

async function drain(client: Sql, number: string | null): Promise<number> {
  const [pass] = await client<{ drained: number; is_busy: boolean }[]>`
    select * from public.drain_webhook_events(${number})`;
  return pass!.drained;
}

async function drainAll(client: Sql, number: string): Promise<number[]> {
  const passes: number[] = [];
  while (true) {
    const drained = await drain(client, number);
    if (drained === 0) return passes;
    passes.push(drained);
  }
}

/** Runs while another session has the number, so that all events of it are only recorded. */
async function whileBusy<T>(line: Line, work: () => Promise<T>): Promise<T> {
  let result: T;
  await database.sql.begin(async (holder) => {
    await holder`select pg_advisory_xact_lock(private.webhook_lock_key(${line.number}))`;
    result = await work();
  });
  return result!;
}

async function statesOf(number: string): Promise<Record<string, number>> {
  const rows = await database.sql<{ state: string; count: number }[]>`
    select state, count(*)::integer as count from private.webhook_events
    where phone_number_id = ${number} group by state order by state`;
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

async function threadsOf(line: Line): Promise<{ id: string; key: string }[]> {
  return await database.sql<{ id: string; key: string }[]>`
    select id, external_conversation_id as key from public.conversations
    where workspace_id = ${line.workspace.id} order by external_conversation_id`;
}

async function messageIds(line: Line): Promise<string[]> {
  const ids: string[] = [];
  for (const { id } of await threadsOf(line)) {
    assertEquals(await threadFaults(database.sql, id), []);
    ids.push(...(await readThread(database.sql, id)).map((each) => each.id));
  }
  return ids.toSorted();
}

const at = (second: number) => new Date(Date.UTC(2026, 2, 2, 9, 0, second)).toISOString();

Deno.test("without a queue an event is processed at once; with one it waits, and a drain takes 50 at a time", async () => {
  const { service } = database;
  const line = await createLine();
  const phones = Array.from({ length: 20 }, () => uniqueNumber());
  const one = (index: number) =>
    element(line, phones[index % phones.length]!, { messages: [message({ id: `m${index}` })] });
  assertEquals((await record(service, line, [one(0)])).state, "processed");
  await whileBusy(line, async () => {
    for (let index = 1; index <= 120; index++) {
      assertEquals((await record(service, line, [one(index)])).state, "received");
    }
    const [busy] = await service`select * from public.drain_webhook_events(${line.number})`;
    assertEquals({ ...busy }, { drained: 0, is_busy: true });
  });
  // The lock is free, but others wait.
  assertEquals((await record(service, line, [one(121)])).state, "received");
  assertEquals(await drainAll(service, line.number), [50, 50, 21]);
  assertEquals(await statesOf(line.number), { processed: 122 });
  assertEquals((await messageIds(line)).length, 122);
  assertEquals((await record(service, line, [one(122)])).state, "processed");
  const [row] = await database.sql`
    select count(distinct workspace_id)::integer as workspaces, min(attempts) as least, max(attempts) as most,
      count(processed_at)::integer as times, (min(workspace_id::text)) as workspace
    from private.webhook_events where phone_number_id = ${line.number}`;
  assertEquals({ ...row }, {
    workspaces: 1,
    least: 1,
    most: 1,
    times: 123,
    workspace: line.workspace.id,
  });
});

Deno.test("a batch leaves behind what its events leave one after the other", async () => {
  const { service, sql } = database;
  const phone = uniqueNumber();
  const bsuid = `BR.${unique()}`;
  const session = (status: string, second: number) => ({ id: "s1", status, at: at(second) });
  const events = (line: Line): Element[][] => {
    const key = (name: string) => `${line.number}:${name}`;
    const sent = (id: string, second: number, more: object = {}) =>
      message({ id, sent_at: at(second), content: id, ...more });
    return [
      // A status before its message.
      [element(line, phone, { changes: [{ message_id: "b", status: "read", status_at: at(30) }] })],
      [element(line, phone, { messages: [sent("a", 1)], session: session("active", 1) })],
      // By another name, which only the next event connects.
      [element(line, phone, {
        external_conversation_id: key(bsuid),
        thread_aliases: [key(phone.slice(1))],
        person: { name: "Ana", phone, identifiers: [bsuid] },
        messages: [sent("b", 2, { direction: "outbound", status: "sent", status_at: at(2) })],
      })],
      [element(line, phone, {
        external_conversation_id: key(bsuid),
        person: { name: "Ana", identifiers: [bsuid] },
        messages: [sent("c", 3)],
      })],
      [element(line, phone, {
        changes: [{ message_id: "a", content: "edited", edited_at: at(4) }],
      })],
      [element(line, phone, {
        changes: [{ message_id: "a", content: "again", edited_at: at(5) }],
      })],
      // The customer's late message reopens what has just ended.
      [element(line, phone, { session: session("ended", 20) })],
      [element(line, phone, { messages: [sent("d", 6)] })],
      [{
        kind: "identity_change",
        phoneNumberId: line.number,
        previous: [phone],
        current: ["+5511900000001", bsuid],
      }],
      [element(line, "+5511900000001", {
        person: { name: "Ana", phone: "+5511900000001", identifiers: [] },
        messages: [sent("e", 7)],
      })],
      [{
        kind: "marketing_preference",
        phoneNumberId: line.number,
        identifiers: [phone],
        status: "stopped",
        sequence: 2,
      }],
      [{ kind: "ignored", reason: "unknown_event" }],
    ];
  };
  const look = async (line: Line) => {
    const [found] = await sql`
      select
        (
          select jsonb_agg(to_jsonb(shown) order by shown.external_conversation_id)
          from (
            select external_conversation_id, participant_identifier, participant_name, status, closed_at,
              message_count, unread_count, last_message_preview, last_message_at, messages,
              person_id is not null as has_person
            from public.conversations where workspace_id = ${line.workspace.id}
          ) as shown
        ) as conversations,
        (
          select jsonb_agg(jsonb_build_array(person.phone, person.name, person.kapso_name, person.marketing_status))
          from public.people as person where person.workspace_id = ${line.workspace.id}
        ) as people,
        (
          select jsonb_agg(identity.identifier order by identity.identifier collate "C")
          from public.person_identities as identity where identity.workspace_id = ${line.workspace.id}
        ) as identities,
        (
          select jsonb_agg(alias.alias order by alias.alias collate "C") from private.thread_aliases as alias
          where alias.workspace_id = ${line.workspace.id} and alias.alias not like 'phone:%'
        ) as aliases,
        (
          select jsonb_agg(to_jsonb(known) - 'conversation_id' - 'workspace_id')
          from public.conversation_sessions as known where known.workspace_id = ${line.workspace.id}
        ) as sessions,
        (
          select jsonb_agg(jsonb_build_array(event.state, event.error) order by event.id)
          from private.webhook_events as event where event.phone_number_id = ${line.number}
        ) as events`;
    return JSON.parse(JSON.stringify(found).replaceAll(line.number, "line"));
  };
  const alone = await createLine();
  for (const elements of events(alone)) await record(service, alone, elements);
  const batched = await createLine();
  await whileBusy(batched, async () => {
    for (const elements of events(batched)) await record(service, batched, elements);
  });
  const passes = await drainAll(service, batched.number);
  assert(passes.length < 8, `${passes}`);
  const expected = await look(alone);
  assertEquals(await look(batched), expected);
  assertEquals(expected.conversations.length, 1);
  assertEquals([expected.conversations[0].status, expected.conversations[0].message_count], [
    "open",
    5,
  ]);
});

Deno.test("an event that cannot be stored holds up no other", async () => {
  const { service, sql } = database;
  const line = await createLine();
  const phones = Array.from({ length: 10 }, () => uniqueNumber());
  const one = (index: number, content: string, more: Record<string, unknown> = {}) =>
    element(line, phones[index]!, {
      messages: [message({ id: `m${index}`, content, sent_at: at(index) })],
      ...more,
    });
  // As if a release were broken, for one customer and in the middle of everything.
  await sql.unsafe(`
    create function public.break_batch_for_test() returns trigger language plpgsql as $$
    begin
      if new.external_conversation_id = '${line.number}:${phones[3]!.slice(1)}' then
        raise exception 'broken' using errcode = 'XX000';
      end if;
      return new;
    end $$;
    create trigger break_batch_for_test before insert on public.conversations
      for each row execute function public.break_batch_for_test();`);
  const ids: string[] = [];
  try {
    await whileBusy(line, async () => {
      for (let index = 0; index < 10; index++) {
        const elements = index === 5
          // What the contract would have refused, and what only the person's table refuses.
          ? [one(5, "fine"), one(6, "bad", { messages: [{ id: "x", sent_at: "never" }] })]
          : index === 7
          ? [one(7, "fine", {
            session: { id: "x".repeat(600), status: "active", at: at(1) },
          })]
          : [one(index, "fine")];
        ids.push((await record(service, line, elements)).id);
      }
    });
    assertEquals(await drainAll(service, line.number), [10]);
  } finally {
    await sql`drop function public.break_batch_for_test() cascade`;
  }
  const states = await sql<{ state: string; error: string | null; attempts: number }[]>`
    select state, error, attempts from private.webhook_events where id = any (${ids}) order by id`;
  assertEquals(
    states.map(({ state, error }) => error ?? state),
    ids.map((_, index) =>
      index === 3 ? "XX000" : index === 5 ? "22007" : index === 7 ? "23514" : "processed"
    ),
  );
  assertEquals(states.every(({ attempts }) => attempts === 1), true);
  // What is good of a bad event is there, and a replay of the cured one stores the rest.
  assertEquals((await messageIds(line)).length, 8);
  const replayed = await service`
    select state from public.replay_webhook_events(${[ids[3]!]})`;
  assertEquals(replayed.map(({ state }) => state), ["processed"]);
  assertEquals((await messageIds(line)).length, 9);
});

Deno.test("the connection decides when an event is processed, not when it is accepted", async () => {
  const { service, sql } = database;
  const line = await createLine();
  const queue = (count: number) =>
    whileBusy(line, async () => {
      for (let index = 0; index < count; index++) {
        await record(service, line, [element(line, uniqueNumber(), { messages: [message()] })]);
      }
    });
  await queue(3);
  await sql`update public.connections set is_active = false where id = ${line.connection.id}`;
  assertEquals(await drainAll(service, line.number), [3]);
  assertEquals(await statesOf(line.number), { failed: 3 });
  await sql`update public.connections set is_active = true where id = ${line.connection.id}`;
  await queue(2);
  // The number goes to another workspace before the drain.
  await sql`update public.connections set phone_number_id = null where id = ${line.connection.id}`;
  const next = await createWorkspace(sql);
  const heir = await createConnection(sql, next);
  await claimNumber(sql, heir, line.number);
  await drainAll(service, line.number);
  assertEquals(await statesOf(line.number), { failed: 3, ignored: 2 });
  const [stored] = await sql`
    select count(*)::integer as count from public.conversations
    where workspace_id in (${line.workspace.id}, ${next.id})`;
  assertEquals(stored!.count, 0);
});

Deno.test("accepts, drains and replays at once, killed in the middle, lose and double nothing", async () => {
  const { sql, service } = database;
  const lines = [await createLine(), await createLine(), await createLine()];
  const phones = Array.from({ length: 12 }, () => uniqueNumber());
  const accepted = new Map<string, Set<string>>(lines.map(({ number }) => [number, new Set()]));
  let until = performance.now() + size(3, 60) * 1000;
  const seed = Math.floor(Math.random() * 1e6);
  let second = 0;
  // The latest edit of a message that customers of each line keep editing.
  const edits = new Map<string, string>();
  for (const line of lines) {
    await record(service, line, [
      element(line, phones[0]!, { messages: [message({ id: "edited", sent_at: at(0) })] }),
    ]);
    accepted.get(line.number)!.add("edited");
  }
  /** A session that is opened again when it was killed: its caller, as Kapso, does the work again. */
  const open = () => database.connect({ max: 1, connection: { role: "service_role" } });
  const sessions = Array.from({ length: 9 }, open);
  let kills = 0;
  const surviving = async (place: number, work: (client: Sql) => Promise<unknown>) => {
    try {
      await work(sessions[place]!);
      return true;
    } catch (error) {
      const code = (error as { code?: string }).code ?? "";
      if (!/^(57P01|57P03|ECONNRESET|EPIPE|CONNECTION_.*)$/.test(code)) throw error;
      kills++;
      await sessions[place]!.end({ timeout: 0 });
      sessions[place] = open();
      return false;
    }
  };
  const accept = async (place: number, random: Random) => {
    const line = lines[random.below(lines.length)]!;
    const id = unique("wamid.");
    const moment = at(++second);
    const phone = random.oneIn(3) ? phones[0]! : phones[random.below(phones.length)]!;
    const isEdit = random.oneIn(5);
    const elements = [element(
      line,
      isEdit ? phones[0]! : phone,
      isEdit
        ? { changes: [{ message_id: "edited", content: moment, edited_at: moment }] }
        : { messages: [message({ id, sent_at: moment })] },
    )];
    const key = unique();
    // As Kapso: the same delivery until it is answered.
    while (!await surviving(place, (client) => record(client, line, elements, key))) await delay(5);
    if (isEdit) {
      const latest = edits.get(line.number) ?? "";
      edits.set(line.number, moment > latest ? moment : latest);
    } else accepted.get(line.number)!.add(id);
  };
  const killer = (async () => {
    while (performance.now() < until) {
      await delay(120);
      await sql`
        select pg_terminate_backend(activity.pid)
        from pg_stat_activity as activity
        where activity.pid <> pg_backend_pid() and activity.datname = current_database()
          and activity.state = 'active' and activity.query ~ '(record|drain|replay)_webhook_event'
        order by random() limit 1`;
    }
  })();
  const works = sessions.map(async (_, place) => {
    const random = new Random(seed + place);
    while (performance.now() < until) {
      if (place < 6) await accept(place, random);
      else if (place < 8) await surviving(place, (client) => drain(client, null));
      else {
        await surviving(
          place,
          (client) => client`select from public.replay_webhook_events(max_events => 20)`,
        );
        await delay(50);
      }
    }
  });
  try {
    await Promise.all([killer, ...works]);
  } finally {
    // Where one failed, nothing is killed in the tests that follow.
    until = 0;
    await Promise.allSettled([killer, ...works]);
    await Promise.all(sessions.map((session) => session.end({ timeout: 1 })));
  }
  assert(kills > 3, `${kills} sessions were killed`);
  for (const line of lines) {
    await drainAll(service, line.number);
    const states = await statesOf(line.number);
    assertEquals(Object.keys(states), ["processed"], `seed ${seed}`);
    assertEquals(
      await messageIds(line),
      [...accepted.get(line.number)!].toSorted(),
      `seed ${seed}`,
    );
    const [events] = await sql`
      select count(*)::integer as events, count(distinct idempotency_key)::integer as keys
      from private.webhook_events where phone_number_id = ${line.number}`;
    assertEquals(events!.events, events!.keys, `seed ${seed}`);
    const [edited] = (await Promise.all(
      (await threadsOf(line)).map(({ id }) => readThread(sql, id)),
    )).flat().filter(({ id }) => id === "edited");
    assertEquals(edited!.content, edits.get(line.number) ?? edited!.content, `seed ${seed}`);
  }
});

Deno.test("events of a number are processed in order of arrival, however many drains run", async () => {
  const { service, sql } = database;
  const line = await createLine();
  const phone = uniqueNumber();
  const count = 230;
  await whileBusy(line, async () => {
    for (let index = 0; index < count; index++) {
      await record(service, line, [
        // All of one second: only arrival says which is later.
        element(line, phone, { messages: [message({ id: `m${index}`, sent_at: at(0) })] }),
      ]);
    }
  });
  await Promise.all(Array.from({ length: 6 }, async () => {
    while ((await statesOf(line.number)).received) await drain(service, line.number);
  }));
  const [thread] = await threadsOf(line);
  assertEquals(
    (await readThread(sql, thread!.id)).map(({ id }) => id),
    Array.from({ length: count }, (_, index) => `m${index}`),
  );
});

Deno.test("the schedule drains what a stopped function left, and a failed event waits for its retry", async () => {
  const { service, sql } = database;
  const line = await createLine();
  await whileBusy(line, async () => {
    for (let index = 0; index < 60; index++) {
      await record(service, line, [element(line, uniqueNumber(), { messages: [message()] })]);
    }
  });
  const owner = database.connect({ max: 1 });
  try {
    const [job] = await owner`
      select command from private.scheduled_jobs where name = 'drain-webhook-events'`;
    await owner.unsafe(job!.command);
  } finally {
    await owner.end();
  }
  assertEquals(await statesOf(line.number), { processed: 60 });
  // A conversation that another session holds for long.
  const [thread] = await threadsOf(line);
  let outcome: { id: string; state: string };
  await sql.begin(async (holder) => {
    await holder`select from public.conversations where id = ${thread!.id} for update`;
    outcome = await record(service, line, [
      element(line, `+${thread!.key.split(":")[1]}`, { messages: [message()] }),
    ]);
  });
  assertEquals(outcome!.state, "received");
  assertEquals(await drainAll(service, line.number), [1]);
  assertEquals(await statesOf(line.number), { processed: 61 });
});

Deno.test("a repeated delivery is one event two days later, until the days of its event are over", async () => {
  const { service, sql } = database;
  const line = await createLine();
  const key = unique();
  const elements = [element(line, uniqueNumber(), { messages: [message()] })];
  const first = await record(service, line, elements, key);
  const age = async (days: number) => {
    await sql`select private.ensure_webhook_days(array[now() - make_interval(days => ${days})])`;
    await sql`
      with moved as (
        update private.webhook_events set received_at = now() - make_interval(days => ${days})
        where id = ${first.id} returning id, received_at
      )
      update private.webhook_deliveries as known set received_at = moved.received_at
      from moved where known.event_id = moved.id`;
  };
  await age(2);
  assertEquals(await record(service, line, elements, key), { id: first.id, state: "processed" });
  await service`select public.prune_webhook_events()`;
  assertEquals(await record(service, line, elements, key), { id: first.id, state: "processed" });
  await age(9);
  await service`select public.prune_webhook_events()`;
  const later = await record(service, line, elements, key);
  assertNotEquals(later.id, first.id);
  assertEquals((await messageIds(line)).length, 1);
  const [kept] = await sql`
    select count(*)::integer as count from private.webhook_deliveries where event_id = ${first.id}`;
  assertEquals(kept!.count, 0);
});

Deno.test("days are made ahead and on demand, and dropped with what is finished in them", async () => {
  const { service, sql } = database;
  const line = await createLine();
  const days = async () =>
    (await sql<{ day: string }[]>`select day::text from private.webhook_days() order by 1`).map((
      { day },
    ) => day);
  const [today] = await sql<{ old: string; ahead: string }[]>`
    select (private.utc_day(now()) - 9)::text as old, (private.utc_day(now()) + 3)::text as ahead`;
  // The schedule has stopped, also for today.
  await sql.begin(async (owner) => {
    for (const { day_table } of await owner`select day_table::text from private.webhook_days()`) {
      await owner.unsafe(`drop table ${day_table}`);
    }
  });
  assertEquals(await days(), []);
  const health = async () => {
    const [check] = await service`
      select status, found from public.installation_health where name = 'webhook storage'`;
    return check!;
  };
  assertEquals((await health()).status, "unknown");
  const [one, other] = await Promise.all(
    [1, 2].map(() =>
      record(service, line, [element(line, uniqueNumber(), { messages: [message()] })])
    ),
  );
  await drainAll(service, line.number);
  assertEquals((await days()).length, 1);
  assertEquals((await health()).status, "warning");
  await sql`select private.keep_webhook_days()`;
  assertEquals((await days()).at(-1), today!.ahead);
  assertEquals((await health()).status, "ok");
  // As if they were nine days old.
  await sql`
    update public.connections set number_claimed_at = '-infinity' where id = ${line.connection.id}`;
  await sql`select private.ensure_webhook_days(array[now() - interval '9 days'])`;
  await sql`
    update private.webhook_events
    set received_at = now() - interval '9 days', state = case when id = ${
    one!.id
  } then 'failed' else state end
    where phone_number_id = ${line.number}`;
  assertEquals((await days())[0], today!.old);
  assertEquals((await health()).status, "warning");
  // While another session reads a day, it is not dropped, and pruning does not wait for long.
  await sql.begin(async (reader) => {
    await reader`select count(*) from private.finished_webhook_events`;
    const started = performance.now();
    assertEquals((await service`select public.prune_webhook_events() as count`)[0]!.count, "0");
    assert(performance.now() - started < 3000);
  });
  assertEquals((await days())[0], today!.old);
  assertEquals((await service`select public.prune_webhook_events() as count`)[0]!.count, "1");
  assertNotEquals((await days())[0], today!.old);
  assertEquals(await statesOf(line.number), { failed: 1 });
  // It still can be replayed, and goes with the next run.
  await service`select from public.replay_webhook_events(${[one!.id]})`;
  assertEquals(await statesOf(line.number), { processed: 1 });
  await service`select public.prune_webhook_events()`;
  assertEquals(await statesOf(line.number), {});
  assertNotEquals(other!.id, one!.id);
  // The tables of days are as closed as their table.
  const [open] = await sql`
    select count(*)::integer as count from private.webhook_days() as day
    join pg_class as relation on relation.oid = day.day_table
    where not relation.relrowsecurity or has_table_privilege('authenticated', relation.oid, 'select')
      or obj_description(relation.oid) is null`;
  assertEquals(open!.count, 0);
});

Deno.test("an operator sets how many days are kept, and null keeps all", async () => {
  const { sql } = database;
  const kept = async (value: number | null) => {
    const rollback = new Error();
    let left = false;
    await sql.begin(async (owner) => {
      await owner`
        insert into private.limits (name, value) values ('webhook_event_days', ${value})`;
      await owner`select private.ensure_webhook_days(array[now() - interval '9 days'])`;
      await owner`select public.prune_webhook_events()`;
      const found = await owner`
        select from private.webhook_days() where day = private.utc_day(now()) - 9`;
      left = found.count === 1;
      throw rollback;
    }).catch((error) => {
      if (error !== rollback) throw error;
    });
    return left;
  };
  assertEquals([await kept(7), await kept(9), await kept(null)], [false, true, true]);
});

Deno.test("accepting reads the same with 10 and with 100,000 events in the table", async () => {
  const { sql, service } = database;
  const line = await createLine();
  // One session, which has read the catalogue by its second call.
  const warm = database.connect({ max: 1, connection: { role: "service_role" } });
  const buffers = async () => {
    const costs: number[] = [];
    for (let index = 0; index < 7; index++) {
      const elements = [element(line, uniqueNumber(), { messages: [message()] })];
      const [row] = await warm`
        explain (analyze, buffers, format json)
        select * from public.record_webhook_event(${line.number}, 'e', ${unique()}, 'e30=', ${
        warm.json(elements as Json)
      })`;
      const plan = row!["QUERY PLAN"][0].Plan;
      costs.push(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]);
    }
    // Autovacuum may make it read the catalogue again.
    return Math.min(...costs);
  };
  // One that waits, so that the others do.
  await whileBusy(line, () => record(service, line, [element(line, uniqueNumber(), {})]));
  await buffers();
  const few = await buffers();
  await sql`
    insert into private.webhook_events (phone_number_id, body, elements, state)
    select ${line.number}, '', '[]', state
    from generate_series(1, 50000), unnest(array['received', 'processed']) as state`;
  await sql`
    insert into private.webhook_deliveries
    select gen_random_uuid(), event, now() from generate_series(1, 100000) as event`;
  const many = await buffers();
  await warm.end();
  await sql`delete from private.webhook_events where phone_number_id = ${line.number}`;
  // Each index is a level or two deeper.
  assert(many <= few + 12, `${few} buffers with 10 events, ${many} with 100,000`);
});
