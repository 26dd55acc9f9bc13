/**
 * What open inboxes are told, where Realtime is there. There is none here: stand-ins with its signatures
 * take its place, in a transaction that is rolled back.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { become, type Sql, useDatabase } from "../support/database.ts";
import { conversation, ingestOne, message } from "../support/messages.ts";
import { createConnection, createWorkspace } from "../support/people.ts";

const database = useDatabase();

const MIGRATION = new URL(
  "../../supabase/migrations/20261121001350_create_realtime_broadcast.sql",
  import.meta.url,
);

/** The part of Realtime that the migration looks for. */
const REALTIME = `
  create schema realtime;
  grant usage on schema realtime to authenticated;
  create table realtime.messages (topic text, extension text, payload jsonb, event text, private boolean);
  alter table realtime.messages enable row level security;
  grant select on realtime.messages to authenticated;
  create function realtime.send(payload jsonb, event text, topic text, private boolean default true)
  returns void language sql as $$
    insert into realtime.messages (topic, extension, payload, event, private)
    values (topic, 'broadcast', payload, event, private)
  $$;
  create function realtime.topic() returns text language sql stable
  as $$ select nullif(current_setting('realtime.topic', true), '') $$;
  grant execute on function realtime.topic() to authenticated;
`;

/** Runs work in a database with Realtime, and undoes everything. */
async function withRealtime(work: (sql: Sql) => Promise<void>): Promise<void> {
  const rollback = new Error("rolled back on purpose");
  const migration = await Deno.readTextFile(MIGRATION);
  await database.sql.begin(async (sql) => {
    await sql.unsafe(REALTIME);
    await sql`drop function private.broadcast_conversation_change()`;
    await sql.unsafe(migration);
    await work(sql);
    throw rollback;
  }).catch((error) => {
    if (error !== rollback) throw error;
  });
}

Deno.test("without Realtime there is neither trigger nor error", async () => {
  const found = await database.sql`
    select from pg_trigger where tgname = 'conversations_broadcast_change'`;
  assertEquals(found.length, 0);
});

Deno.test("a new message and a closing are told by id alone, to members alone", async () => {
  await withRealtime(async (sql) => {
    const [mine, theirs] = [await createWorkspace(sql), await createWorkspace(sql)];
    const connection = await createConnection(sql, mine);
    await sql`set local role service_role`;
    const id = await ingestOne(sql, connection, conversation({ messages: [message()] }));
    await sql`reset role`;
    const told = await sql`select distinct topic, event, payload, private from realtime.messages`;
    assertEquals([...told], [{
      topic: `workspace:${mine.id}`,
      event: "conversation_changed",
      payload: { conversation_id: id },
      private: true,
    }]);
    const before = (await sql`select from realtime.messages`).length;
    await become(sql, { userId: mine.agent });
    await sql`select public.set_conversation_status(${id}, 'closed')`;
    await sql`reset role`;
    assertEquals((await sql`select from realtime.messages`).length, before + 1);

    await sql`select set_config('realtime.topic', ${`workspace:${mine.id}`}, true)`;
    for (const [user, heard] of [[mine.viewer, true], [theirs.owner, false]] as const) {
      await become(sql, { userId: user });
      assertEquals((await sql`select from realtime.messages`).length > 0, heard);
      await sql`reset role`;
    }
    await sql`select set_config('realtime.topic', 'workspace:nonsense', true)`;
    await become(sql, { userId: mine.viewer });
    assertEquals((await sql`select from realtime.messages`).length, 0);
    await sql`reset role`;
  });
});
