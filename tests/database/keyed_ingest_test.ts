/**
 * What a bridge sends with its key: checked and stored in one call, and nothing stored where the key is wrong.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { type Json, useDatabase } from "../support/database.ts";
import { conversation, messages } from "../support/messages.ts";
import { createWorkspace, unique } from "../support/people.ts";

const database = useDatabase({ own: true });
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

async function setUp() {
  const workspace = await createWorkspace(database.sql);
  const name = unique("c_");
  const connection = await database.as({ userId: workspace.owner }, async (sql) => {
    const [row] = await sql<{ id: string; api_secret: string }[]>`
      select id, api_secret from public.create_connection(${workspace.id}, 'signal', ${name})`;
    return row!;
  });
  const store = (given: { name?: string; platform?: string; secret?: string; batch?: unknown }) =>
    database.service<{ connection: string; outcome: string }[]>`
      select connection, outcome from public.ingest_with_key(
        ${given.name ?? name}, ${given.platform ?? "signal"},
        ${sha256(given.secret ?? connection.api_secret)},
        ${
      database.service.json((given.batch ?? [conversation({ messages: messages(2) })]) as Json)
    })`;
  const count = async () => {
    const [row] = await database.sql<{ conversations: number; used: number }[]>`
      select
        (select count(*)::integer from public.conversations where workspace_id = ${workspace.id}) as conversations,
        (
          select coalesce(sum(used), 0)::integer from private.limit_uses where subject_id = ${connection.id}
        ) as used`;
    return row!;
  };
  return { workspace, connection, store, count };
}

async function refusal(statement: PromiseLike<unknown>): Promise<string[]> {
  try {
    await statement;
    return [];
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return [code, message];
  }
}

Deno.test("the right key stores, and everything else is refused and stores nothing", async () => {
  const { connection, store, count, workspace } = await setUp();
  const stored = await store({});
  assertEquals([...stored], [{ connection: connection.id, outcome: "created" }]);
  const other = await setUp();
  assertEquals(await refusal(store({ name: unique("c_") })), ["PT401", "invalid_connection"]);
  assertEquals(await refusal(store({ platform: "whatsapp" })), ["PT401", "invalid_connection"]);
  for (const secret of ["", "wrong", other.connection.api_secret]) {
    assertEquals(await refusal(store({ secret })), ["PT401", "invalid_api_key"]);
  }
  await database.as({ userId: workspace.owner }, (sql) =>
    sql`
      update public.connections set is_active = false where id = ${connection.id}`);
  assertEquals(await refusal(store({})), ["PT403", "connection_inactive"]);
  assertEquals((await count()).conversations, 1);
  assertEquals((await other.count()).conversations, 0);
});

Deno.test("a request is counted once, and one over the limit stores nothing", async () => {
  const { connection, store, count } = await setUp();
  await database.sql`
    insert into private.limits (name, subject_id, value)
    values ('connection_requests_per_minute', ${connection.id}, 3)`;
  // Of a stranger nothing counts.
  await refusal(store({ secret: "wrong" }));
  assertEquals(await count(), { conversations: 0, used: 0 });
  for (let sent = 1; sent <= 3; sent++) {
    await store({});
    assertEquals(await count(), { conversations: sent, used: sent });
  }
  assertEquals(await refusal(store({})), ["PT429", "rate_limited"]);
  assertEquals(await count(), { conversations: 3, used: 3 });
});

Deno.test("requests of a connection that has a limit do not wait for each other while they store", async () => {
  const { connection, store } = await setUp();
  await database.sql`
    insert into private.limits (name, subject_id, value)
    values ('connection_requests_per_minute', ${connection.id}, 1000)`;
  const held = conversation({ messages: messages(1) });
  await store({ batch: [held] });
  // A request that waits for a conversation holds no count.
  await using holder = await reserve();
  await holder.sql`begin`;
  await holder.sql`
    select from public.conversations where external_conversation_id = ${held.external_conversation_id} for update`;
  const waiting = store({ batch: [{ ...held, messages: messages(1) }] }).execute();
  for (let sent = 0; sent < 20; sent++) await store({});
  await holder.sql`commit`;
  assertEquals((await waiting)[0]!.outcome, "updated");
});

async function reserve() {
  const sql = await database.sql.reserve();
  return { sql, [Symbol.asyncDispose]: () => Promise.resolve(sql.release()) };
}
