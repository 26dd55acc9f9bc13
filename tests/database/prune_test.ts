/**
 * What is deleted by age: that, and nothing that can still be needed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Sql, useDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { conversation, ingestOne, message } from "../support/messages.ts";
import {
  addPerson,
  createConnection,
  createWorkspace,
  unique,
  uniqueNumber,
} from "../support/people.ts";

const database = useDatabase({ own: true });

/** A workspace with two records of each kind, one old and one new, and the exceptions. Their names say what should stay. */
async function fill() {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const number = uniqueNumber().slice(1);
  await sql`update public.connections set phone_number_id = ${number} where id = ${connection.id}`;
  const thread = await ingestOne(
    service,
    connection,
    conversation({ participant_identifier: uniqueNumber(), messages: [message()] }),
  );
  for (
    const [name, state, years] of [
      ["old sent", "sent", 2],
      ["old read", "read", 2],
      ["old discarded", "discarded", 2],
      ["keep new sent", "sent", 0],
      ["keep old failed", "failed", 2],
      ["keep old unconfirmed", "unconfirmed", 2],
    ] as const
  ) {
    await sql`
      insert into public.outbox_messages
        (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, state,
          created_at, updated_at)
      select ${workspace.id}, ${thread}, ${connection.id}, ${name}, 'text', '', '{}', ${state}, moment, moment
      from (select now() - make_interval(years => ${years})) as age (moment)`;
  }
  for (const [name, days] of [["old", 3], ["keep new", 1]] as const) {
    await sql`
      insert into private.limit_uses (name, subject_id, begins_at, slot, used, counted_in)
      values (${name}, ${workspace.id}, now() - make_interval(days => ${days}), 0, 1, pg_current_xact_id())`;
  }
  for (const [name, days] of [["old", 31], ["keep new", 29]] as const) {
    await sql`
      insert into private.outbox_uploads (conversation_id, media_id, connection_id, type, mime_type, created_at)
      values (${thread}, ${name}, ${connection.id}, 'image', 'image/png', now() - make_interval(days => ${days}))`;
    await sql`
      insert into private.waiting_updates
        (workspace_id, conversation_id, message_id, message_digest, change, created_at)
      values (
        ${workspace.id}, ${thread}, ${name}, gen_random_uuid(), '{}',
        now() - make_interval(days => ${days})
      )`;
    await sql`
      insert into public.agent_sessions (session_id, workspace_id, participant_key, bot_id, expires_at)
      values (${
      unique("s_")
    }, ${workspace.id}, '1', ${name}, now() - make_interval(days => ${days}))`;
  }
  for (
    const [name, state, days] of [
      ["old", "processed", 31],
      ["keep new", "processed", 29],
      ["keep failed", "failed", 31],
    ] as const
  ) {
    await sql`select private.ensure_webhook_days(array[now() - make_interval(days => ${days})])`;
    await sql`
      insert into private.webhook_events (phone_number_id, idempotency_key, body, elements, state, received_at)
      values (${number}, ${name}, '', '[]', ${state}, now() - make_interval(days => ${days}))`;
  }
  for (
    const [name, mode, days] of [
      ["old", "history", 300],
      ["keep last", "history", 200],
      ["old", "repair", 200],
      ["keep last", "repair", 1],
    ] as const
  ) {
    await sql`
      insert into public.sync_runs
        (workspace_id, connection_id, mode, state, phase, error, started_at, finished_at)
      select ${workspace.id}, ${connection.id}, ${mode}, 'done', 'finished', ${name}, moment, moment
      from (select now() - make_interval(days => ${days})) as age (moment)`;
  }
  for (const days of [500, 400, 300]) {
    await sql`
      insert into public.summary_runs (workspace_id, local_date, state, was_scheduled, covered_until)
      values (${workspace.id}, current_date - ${days}::integer, 'finished', ${
      days !== 300
    }, now())`;
  }
  for (const isUndone of [true, false]) {
    const [kept, merged] = [await addPerson(sql, workspace), await addPerson(sql, workspace)];
    await database.as({ userId: workspace.agent }, async (agent) => {
      const [{ id }] = await agent`select id from public.merge_people(${kept}, ${merged})` as [
        { id: string },
      ];
      if (isUndone) await agent`select from public.undo_merge(${id})`;
    });
  }
  await sql`
    update public.person_merges
    set created_at = now() - interval '2 years', undone_at = undone_at - interval '1 year'
    where workspace_id = ${workspace.id}`;
  return { workspace, connection, thread, number };
}

async function left(
  sql: Sql,
  { workspace, connection, thread, number }: Awaited<ReturnType<typeof fill>>,
) {
  const [row] = await sql`
    select
      array(
        select idempotency_key from public.outbox_messages
        where conversation_id = ${thread} order by 1
      ) as outbox,
      array(select media_id from private.outbox_uploads where conversation_id = ${thread}) as uploads,
      array(select message_id from private.waiting_updates where conversation_id = ${thread}) as waiting,
      array(select name from private.limit_uses where subject_id = ${workspace.id} order by 1) as uses,
      array(select bot_id from public.agent_sessions where workspace_id = ${workspace.id}) as sessions,
      array(
        select idempotency_key from private.webhook_events where phone_number_id = ${number} order by 1
      ) as events,
      array(
        select mode || ' ' || error from public.sync_runs where connection_id = ${connection.id} order by 1
      ) as syncs,
      array(
        select current_date - local_date from public.summary_runs
        where workspace_id = ${workspace.id} order by 1
      ) as summaries,
      array(
        select undone_at is null from public.person_merges where workspace_id = ${workspace.id}
      ) as merges,
      (select message_count from public.conversations where id = ${thread}) as messages`;
  return { ...row! };
}

// What is deleted comes back: other tests have old records too.
Deno.test("what is old and done with goes, a little at a time; what can be needed stays", async () => {
  const filled = await fill();
  const before = await left(database.sql, filled);
  const { result } = await database.attempt("service_role", async (sql) => {
    await sql`select from public.prune_records(0)`;
    assertEquals(await left(sql, filled), before);
    while (true) {
      const deleted = await sql<{ deleted: number }[]>`select deleted from public.prune_records(2)`;
      assertEquals(deleted.filter((row) => row.deleted > 2), []);
      if (deleted.some((row) => row.deleted > 0)) continue;
      // Events go by the day.
      await sql`select from public.prune_webhook_events(30)`;
      return await left(sql, filled);
    }
  });
  assertEquals(result, {
    outbox: ["keep new sent", "keep old failed", "keep old unconfirmed"],
    uploads: ["keep new"],
    waiting: ["keep new"],
    uses: ["keep new"],
    sessions: ["keep new"],
    events: ["keep failed", "keep new"],
    syncs: ["history keep last", "repair keep last"],
    summaries: [300, 400],
    merges: [true],
    messages: 1,
  });
  // However old: a merge that was not undone can be.
  const [merge] = await database.sql`
    select id from public.person_merges
    where workspace_id = ${filled.workspace.id} and undone_at is null`;
  await database.as({ userId: filled.workspace.agent }, async (agent) => {
    await agent`select from public.undo_merge(${merge!.id})`;
  });
});

Deno.test("rows locked by another session do not hold up the rest", async () => {
  const filled = await fill();
  await database.sql.begin(async (busy) => {
    await busy`
      select from public.outbox_messages
      where conversation_id = ${filled.thread} and idempotency_key = 'old sent' for update`;
    const { result } = await database.attempt("service_role", async (sql) => {
      await sql`select from public.prune_records()`;
      return await left(sql, filled);
    });
    assertEquals(
      result!.outbox,
      ["keep new sent", "keep old failed", "keep old unconfirmed", "old sent"],
    );
    assertEquals(result!.uploads, ["keep new"]);
  });
});

Deno.test("two sessions never prune at once, so neither can wait for the other in a circle", async () => {
  await Promise.all(Array.from({ length: 4 }, fill));
  const prune = (work: (sql: Sql) => Promise<unknown>) => database.attempt("service_role", work);
  const { code, result } = await prune(async (first) => {
    await first`select from public.prune_records(1)`;
    const second = await prune(async (sql) => [...await sql`select from public.prune_records()`]);
    return second.result;
  });
  assertEquals([code, result], [undefined, []]);
  // A run in the same minute as another kind waits for it, instead of leaving its work to a run that meets it again.
  let waiting: Promise<{ source: string }[]>;
  await database.sql.begin(async (other) => {
    await other`select private.keep_webhook_days()`;
    waiting = database.service.begin((sql) =>
      sql<{ source: string }[]>`select source from public.prune_records(1)`
    );
    await eventually("it waits", async () => {
      const [row] = await other`
        select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`;
      return row !== undefined;
    });
  });
  assert((await waiting!).length > 5);
  // All that prune, at once, each with something to delete.
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      prune(
        [
          (sql: Sql) => sql`select from public.prune_records(3)`,
          (sql: Sql) => sql`select from public.prune_agent_sessions(30)`,
          (sql: Sql) => sql`select from public.prune_webhook_events(30)`,
        ][index % 3]!,
      )),
  );
  assertEquals(outcomes.map((outcome) => outcome.code), Array(12).fill(undefined));
});
