/**
 * What an append reads does not depend on how many conversations its workspace has, nor on how many workspaces there are.
 * Counted in buffers, which a busy machine does not change.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Json, type Sql, useDatabase } from "../support/database.ts";
import { conversation, ingest, message, messages } from "../support/messages.ts";
import { type Connection, createConnection, createWorkspace } from "../support/people.ts";

const database = useDatabase({ own: true });
const CONVERSATIONS = 2_000;
const WORKSPACES = 200;

/** Buffers that one call of `ingest_conversations` touches. */
async function buffersOf(sql: Sql, connection: Connection, batch: unknown[]): Promise<number> {
  const [row] = await sql`
    explain (analyze, buffers, format json)
    select * from public.ingest_conversations(${connection.id}, ${sql.json(batch as Json)})`;
  const plan = row!["QUERY PLAN"][0].Plan;
  return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
}

/** What the cheapest of some appends of one message each to known conversations reads: others read the catalogue again. */
async function appendCost(sql: Sql, connection: Connection, targets: readonly string[]) {
  const costs: number[] = [];
  for (const external_conversation_id of targets) {
    costs.push(
      await buffersOf(sql, connection, [
        conversation({ external_conversation_id, messages: [message()] }),
      ]),
    );
  }
  return Math.min(...costs);
}

/** A business with a number of conversations. */
async function business(count: number) {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace);
  const ids: string[] = [];
  for (let stored = 0; stored < count; stored += 500) {
    const batch = Array.from(
      { length: Math.min(500, count - stored) },
      () => conversation({ messages: messages(1) }),
    );
    await ingest(database.service, connection, batch);
    ids.push(...batch.map(({ external_conversation_id }) => external_conversation_id));
  }
  return { connection, ids };
}

Deno.test("an append reads the same beside 2,000 conversations and 200 workspaces as beside 10", async () => {
  const { sql } = database;
  // As the function of a bridge calls it: as the service, in a session that has done it before.
  const service = database.connect({ max: 1, connection: { role: "service_role" } });
  const small = await business(10);
  const large = await business(CONVERSATIONS);
  await sql`
    insert into auth.users (id, email, raw_user_meta_data)
    select gen_random_uuid(), gen_random_uuid() || '@example.com', '{"workspace_name": "Small"}'
    from generate_series(1, ${WORKSPACES})`;
  await sql`analyze public.conversations`;
  const targets = (ids: string[]) => ids.slice(-7);
  await appendCost(service, small.connection, targets(small.ids));
  const few = await appendCost(service, small.connection, targets(small.ids));
  const many = await appendCost(service, large.connection, targets(large.ids));
  await service.end();
  assert(many <= few * 1.5, `${few} buffers with 10 conversations, ${many} with ${CONVERSATIONS}`);
});

Deno.test("the conversations of a batch are looked up one by one, never by reading the workspace", async () => {
  const service = database.connect({ max: 1, connection: { role: "service_role" } });
  const { connection, ids } = await business(1_000);
  const batch = (count: number) =>
    ids.slice(0, count).map((external_conversation_id) =>
      conversation({ external_conversation_id, messages: [] })
    );
  await buffersOf(service, connection, batch(1));
  const one = await buffersOf(service, connection, batch(1));
  const ten = await buffersOf(service, connection, batch(10));
  await service.end();
  assertEquals(ten < one * 10 + 100, true, `${one} buffers for one, ${ten} for ten`);
});
