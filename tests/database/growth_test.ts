/**
 * What a call reads does not grow with the database: not while it grows, and not with its size or the number of its
 * workspaces.
 *
 * On a database of its own, which is empty at first. Postgres keeps the plan of a statement for a session, so a plan that
 * was made for small tables serves large ones; and what it reads is counted in buffers, which a busy machine does not
 * change.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { startStack } from "../../local/spawn_stack.ts";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import { become, connect, type Json, size, type Sql } from "../support/database.ts";
import { conversation, message, messages, type TestConversation } from "../support/messages.ts";
import { createConnection, createWorkspace } from "../support/people.ts";

/** The most that a call may read, in buffers of 8 KB. */
const MAX_BUFFERS = 100;
/** Conversations of the largest workspace. */
const SIZES = [100, 5_000, ...(size(0, 1) ? [50_000] : [])];
const WORKSPACES = 200;
const PER_BATCH = 50;

let written = 0;

function batchOf(count: number): TestConversation[] {
  return Array.from({ length: count }, () => {
    const key = String(62_810_000_000 + ++written);
    return conversation({
      external_conversation_id: key,
      participant_identifier: key,
      messages: messages(20, 0, `m${key}`),
    });
  });
}

/** Buffers that a statement touches. */
async function buffersOf(sql: Sql, statement: string, args: unknown[]): Promise<number> {
  const [row] = await sql.unsafe(
    `explain (analyze, buffers, format json) ${statement}`,
    args as string[],
  );
  const plan = row!["QUERY PLAN"][0].Plan;
  return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
}

const INGEST = "select * from public.ingest_conversations($1, $2::text::jsonb)";

/** An empty stack with one business, and ways to let it grow. */
async function startBusiness() {
  await using cleanup = new AsyncDisposableStack();
  const stack = cleanup.use(await startStack());
  const sql = connect(asRole(stack.info.db_url, SUPERUSER), { max: 1 });
  const service = connect(stack.info.db_url, { max: 1 });
  const member = connect(stack.info.db_url, { max: 1 });
  for (const pool of [sql, service, member]) cleanup.defer(() => pool.end());
  await service`set role service_role`;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const known: TestConversation[] = [];
  /** Stores conversations until there are as many. @returns the buffers of each batch. */
  const grow = async (count: number) => {
    const costs: number[] = [];
    while (known.length < count) {
      const batch = batchOf(Math.min(PER_BATCH, count - known.length));
      costs.push(await buffersOf(service, INGEST, [connection.id, JSON.stringify(batch)]));
      known.push(...batch);
    }
    return costs;
  };
  const owned = cleanup.move();
  return {
    sql,
    service,
    member,
    workspace,
    connection,
    known,
    grow,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const median = (costs: number[]) => costs.toSorted((a, b) => a - b)[costs.length >> 1]!;

Deno.test("what a call reads does not grow while the database grows", async (t) => {
  await using business = await startBusiness();
  const { sql, service, workspace, grow } = business;
  // Nothing may tell Postgres that the tables have grown, as in the minute until autovacuum comes.
  for (const table of ["public.conversations", "public.people", "private.message_keys"]) {
    await sql.unsafe(`alter table ${table} set (autovacuum_enabled = off)`);
  }

  await t.step("an import into an empty database", async () => {
    const costs = await grow(size(2_500, 10_000));
    const [first, last] = [median(costs.slice(2, 8)), median(costs.slice(-6))];
    assert(
      last <= first * 1.3,
      `${first} buffers for ${PER_BATCH} conversations, ${last} at the end`,
    );
  });

  await t.step("contacts of a new workspace", async () => {
    const add = async (count: number) => {
      const numbers = Array.from({ length: count }, () => `+${62_850_000_000 + ++written}`);
      return await buffersOf(
        service,
        `select private.ensure_person($1, jsonb_build_object('phone', number, 'name', number,
          'identifiers', jsonb_build_array('id' || number)), true) from unnest($2::text[]) as number`,
        [workspace.id, numbers as never],
      );
    };
    await add(20);
    const first = await add(20);
    for (let added = 0; added < size(1_000, 5_000); added += 100) await add(100);
    const last = await add(20);
    assert(last <= first * 1.5, `${first} buffers for 20 contacts, ${last} at the end`);
  });
});

Deno.test("what a call reads does not depend on the size of the database", async (t) => {
  await using business = await startBusiness();
  const { sql, service, member, workspace, connection, known, grow } = business;
  const measure = async (label: string) => {
    await sql`vacuum analyze`;
    const pick = (place: number) => known[(place * 7919) % known.length]!;
    let place = 0;
    const one = (extra: (target: TestConversation) => Partial<TestConversation>) => () => {
      const target = pick(++place);
      const { external_conversation_id, participant_identifier } = target;
      return [service, INGEST, [
        connection.id,
        JSON.stringify([conversation({
          external_conversation_id,
          participant_identifier,
          ...extra(target),
        })]),
      ]] as const;
    };
    const calls: Record<string, () => readonly [Sql, string, readonly unknown[]]> = {
      // To a conversation with traffic at this moment.
      "an append": () => {
        const { external_conversation_id, participant_identifier } = known[7]!;
        const batch = [conversation({
          external_conversation_id,
          participant_identifier,
          messages: [message({ sent_at: new Date().toISOString() })],
        })];
        return [service, INGEST, [connection.id, JSON.stringify(batch)]];
      },
      "a status": one(({ messages }) => ({
        changes: [{
          message_id: messages[3]!.id,
          status: "read",
          status_at: `2026-02-01T00:00:00.${String(place % 1000).padStart(3, "0")}Z`,
        }],
      })),
      "an edit": one(({ messages }) => ({
        changes: [{
          message_id: messages[4]!.id,
          edit: {
            content: `Text ${place}`,
            edited_at: `2026-02-01T00:00:${String(place % 60).padStart(2, "0")}.000Z`,
          },
        }],
      })),
      "a page of a conversation": () => [
        member,
        "select * from public.conversation_messages($1, max_messages => 50)",
        [ids[++place % ids.length]],
      ],
      "a page of the list": () => [
        member,
        `select * from public.conversation_list where workspace_id = $1
        order by activity_at desc, id desc limit 25`,
        [workspace.id],
      ],
    };
    const ids = (await sql<{ id: string }[]>`
      select id from public.conversations where workspace_id = ${workspace.id} limit 50`).map(
      ({ id }) => id,
    );
    const costs: Record<string, number> = {};
    for (const [name, call] of Object.entries(calls)) {
      const samples: number[] = [];
      for (let run = 0; run < 12; run++) {
        const [pool, statement, args] = call();
        samples.push(
          pool === member
            ? await member.begin(async (transaction) => {
              await become(transaction, { userId: workspace.viewer });
              return await buffersOf(transaction, statement, args as Json[]);
            })
            : await buffersOf(pool, statement, args as Json[]),
        );
      }
      costs[name] = median(samples.slice(5));
    }
    const over = Object.entries(costs).filter(([, buffers]) => buffers > MAX_BUFFERS);
    assertEquals(over, [], `${label}: ${JSON.stringify(costs)}`);
  };

  for (const count of SIZES) {
    await t.step(`at ${count} conversations in one workspace`, async () => {
      await grow(count);
      await measure(`${count} conversations`);
    });
  }
  await t.step(`at ${SIZES.at(-1)} conversations among ${WORKSPACES} workspaces`, async () => {
    await sql`
      insert into auth.users (id, email, raw_user_meta_data)
      select gen_random_uuid(), gen_random_uuid() || '@example.com', '{"workspace_name": "Other"}'
      from generate_series(1, ${WORKSPACES})`;
    const others = await sql<{ id: string }[]>`
      insert into public.connections (workspace_id, platform, connection_id, name)
      select id, 'whatsapp', 'other-' || id, 'Other' from public.workspaces where name = 'Other'
      returning id`;
    assertEquals(others.length, WORKSPACES);
    for (const [made, { id }] of others.entries()) {
      await service.unsafe(INGEST, [id, JSON.stringify(batchOf(1 + made % 10))]);
    }
    await measure(`${WORKSPACES} workspaces`);
  });
});
