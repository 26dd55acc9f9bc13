/**
 * `public.installation_health`: whose records it counts for whom. The owner of a workspace must learn nothing of other
 * workspaces, not even how much waits in them.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Actor, become, type Sql, useDatabase } from "../support/database.ts";
import { conversation, ingest, message } from "../support/messages.ts";
import {
  createConnection,
  createUser,
  createWorkspace,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

type Found = Map<string, string>;

/** Runs statements as the owner of the database, and undoes them. */
async function undone(work: (sql: Sql) => Promise<void>): Promise<void> {
  const rollback = new Error("rolled back on purpose");
  await database.sql.begin(async (sql) => {
    await work(sql);
    throw rollback;
  }).catch((error) => {
    if (error !== rollback) throw error;
  });
}

/** What a caller's checks found, by name. The owner of the database is no role. */
async function readAs(sql: Sql, caller: Actor | "database owner"): Promise<Found> {
  if (caller !== "database owner") await become(sql, caller);
  const checks = await sql<{ name: string; status: string; found: string }[]>`
    select name, status, found from public.installation_health`;
  await sql`select set_config('role', 'none', true)`;
  return new Map(checks.map(({ name, status, found }) => [name, `${status}: ${found}`]));
}

/** Puts as many records of every counted kind into a workspace, all of them old. */
async function fill(sql: Sql, workspace: Workspace, amount: number): Promise<void> {
  for (let each = 0; each < amount; each++) {
    const connection = await createConnection(sql, workspace);
    const number = uniqueNumber().slice(1);
    await sql`update public.connections set phone_number_id = ${number} where id = ${connection.id}`;
    await sql`
      update public.connections set number_claimed_at = now() - interval '1 day'
      where id = ${connection.id}`;
    const [stored] = await ingest(sql, connection, [
      conversation({
        messages: [message()],
        changes: [{ message_id: "missing", status: "read" }],
      }),
    ]);
    const conversationId = stored!.id!;
    await sql`select private.ensure_webhook_days(array[now() - interval '1 hour'])`;
    await sql`
      insert into private.webhook_events (phone_number_id, body, elements, state, received_at)
      select ${number}, '', '[]', state, now() - interval '1 hour'
      from unnest(array['failed', 'received', 'processed', 'ignored']) as state`;
    await sql`
      insert into public.outbox_messages
        (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, state, queued_at)
      select ${workspace.id}, ${conversationId}, ${connection.id}, ${number} || state, 'text', 'Hi', '{}', state,
        now() - interval '1 hour'
      from unnest(array['queued', 'unconfirmed', 'sent']) as state`;
    await sql`
      insert into public.sync_runs (workspace_id, connection_id, mode, phase, failures)
      values (${workspace.id}, ${connection.id}, 'history', 'conversations', 3)`;
    await sql`
      insert into private.media_copies
        (conversation_id, message_id, workspace_id, connection_id, message_type, sent_at, next_attempt_at)
      values (${conversationId}, 'm', ${workspace.id}, ${connection.id}, 'image', now(), now() - interval '2 hours')`;
    await sql`
      insert into public.summary_runs (workspace_id, local_date, covered_until)
      values (${workspace.id}, date '2026-01-01' + ${each}::integer, now())`;
  }
  await sql`delete from private.message_count_parts where workspace_id = ${workspace.id}`;
  await sql`
    insert into private.message_count_parts
    select ${workspace.id}, '2026-01-01', 'whatsapp', 'inbound', 1 from generate_series(1, ${amount})`;
}

/** Fails unless the checks counted as many records of each kind. */
function assertCounts(found: Found, amount: number): void {
  const expected = {
    "webhook events": `${amount} failed, ${amount} waiting`,
    "outbox": `${amount} waiting, ${amount} with an unknown outcome`,
    "kapso sync": `${amount} runs are open, ${amount} of them keep failing`,
    "files": `${amount} files wait to be copied, ${amount} of them for over an hour`,
    "summaries": `${amount} runs of more than two days ago are unfinished`,
    "message counts": `${amount} parts wait to be added up`,
    "waiting changes": `${amount} statuses, reactions and files wait for their message`,
    "conversations": `${amount} have unread messages, ${amount} belong to no contact`,
  };
  for (const [name, text] of Object.entries(expected)) {
    const [, counts] = /^\w+: ([^;.]*)/.exec(found.get(name)!)!;
    assertEquals(counts, text, name);
  }
}

/** How many of something the service found: the first number of a check. */
function countOf(found: Found, name: string): number {
  return Number(/\d+/.exec(found.get(name)!)![0]);
}

Deno.test("owners see counts of their own workspaces, the service and the database's owner of all", async () => {
  const [one, other, quiet] = [
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
  ];
  await undone(async (sql) => {
    await fill(sql, one, 1);
    await fill(sql, other, 2);
    const mine = await readAs(sql, { userId: one.owner });
    assertCounts(mine, 1);
    assertMatch(mine.get("webhook events")!, /^problem: /);
    assertMatch(mine.get("outbox")!, /^problem: /);
    assertCounts(await readAs(sql, { userId: other.owner }), 2);

    const nothing = await readAs(sql, { userId: quiet.owner });
    assertCounts(nothing, 0);
    for (const name of ["webhook events", "outbox", "kapso sync", "files", "summaries"]) {
      assertMatch(nothing.get(name)!, /^ok: /, name);
    }

    for (const caller of ["service_role", "database owner"] as const) {
      const all = await readAs(sql, caller);
      for (const name of ["webhook events", "outbox", "kapso sync", "files", "waiting changes"]) {
        assert(countOf(all, name) >= 3, `${caller}: ${name}: ${all.get(name)}`);
      }
    }
  });
});

Deno.test("an owner of two workspaces sees the sum, and other roles there add nothing", async () => {
  const [one, other] = [await createWorkspace(database.sql), await createWorkspace(database.sql)];
  await undone(async (sql) => {
    await fill(sql, one, 1);
    await fill(sql, other, 2);
    // Everyone has a workspace of their own, so these members are owners too, of an empty one.
    for (const member of [one.admin, one.agent, one.viewer]) {
      assertCounts(await readAs(sql, { userId: member }), 0);
    }
    await sql`
      insert into public.workspace_members (workspace_id, user_id, role)
      values (${other.id}, ${one.owner}, 'owner'), (${other.id}, ${one.viewer}, 'viewer')`;
    assertCounts(await readAs(sql, { userId: one.owner }), 3);
    assertCounts(await readAs(sql, { userId: one.viewer }), 0);
    await sql`delete from public.workspace_members where user_id = ${one.owner}`;
    assertEquals((await readAs(sql, { userId: one.owner })).size, 0);
  });
});

Deno.test("facts of the installation are the same for owners and the service", async () => {
  const owner = await createUser(database.sql);
  await undone(async (sql) => {
    const ofOwner = await readAs(sql, { userId: owner });
    const ofService = await readAs(sql, "service_role");
    assertEquals([...ofOwner.keys()], [...ofService.keys()]);
    const facts = [...ofService].slice(0, [...ofService.keys()].indexOf("schedule"));
    assertEquals(facts.length, 7);
    assertEquals(facts, facts.map(([name]) => [name, ofOwner.get(name)]));
  });
});

Deno.test("events of a number count for the connection that had it when they arrived", async () => {
  const [former, present] = [
    await createWorkspace(database.sql),
    await createWorkspace(database.sql),
  ];
  await undone(async (sql) => {
    const number = uniqueNumber().slice(1);
    const event = (age: string) =>
      sql`
        insert into private.webhook_events (phone_number_id, body, elements, state, received_at)
        values (${number}, '', '[]', 'failed', clock_timestamp() - ${age}::interval)`;
    const give = async (workspace: Workspace) => {
      await sql`delete from public.connections where phone_number_id = ${number}`;
      const connection = await createConnection(sql, workspace);
      await sql`
        update public.connections set phone_number_id = ${number} where id = ${connection.id}`;
    };
    const eventsOf = async (workspace: Workspace) => {
      const checks = await readAs(sql, { userId: workspace.owner });
      await become(sql, { userId: workspace.owner });
      const [card] = await sql<{ failed: number }[]>`
        select coalesce(sum(failed_events), 0)::integer as failed from public.connection_health`;
      await sql`select set_config('role', 'none', true)`;
      return [countOf(checks, "webhook events"), card!.failed];
    };
    await give(former);
    await event("0 s");
    assertEquals(await eventsOf(former), [1, 1]);
    await give(present);
    assertEquals(await eventsOf(present), [0, 0]);
    assertEquals(await eventsOf(former), [0, 0]);
    await event("0 s");
    assertEquals(await eventsOf(present), [1, 1]);
  });
});
