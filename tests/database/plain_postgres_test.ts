/**
 * The migrations apply to a Postgres not prepared for Supabase, with the roles and the bit
 * of `auth` that they rely on: version 17, which comes with the project, and 15 where it is installed.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import type { PostgresBinaries } from "../../local/postgres/binaries.ts";
import { installedBinaries, startScratchServer } from "../../local/postgres/scratch_server.ts";
import type postgres from "postgres";
import { become, connect, type Sql } from "../support/database.ts";
import { DEBIAN_15, missingPrograms, named } from "../support/debian_postgres.ts";
import { conversation, ingest, messages, readThread, threadFaults } from "../support/messages.ts";
import { addPerson, createConnection, createWorkspace, type Workspace } from "../support/people.ts";

const REPOSITORY = join(import.meta.dirname!, "../..");
const MIGRATIONS = join(REPOSITORY, "supabase/migrations");

/** What Supabase has before the first migration, as far as the migrations need it, and an owner with few rights. */
const BOOTSTRAP = `
  create role anon nologin noinherit;
  create role authenticated nologin noinherit;
  create role service_role nologin noinherit bypassrls;
  grant usage on schema public to anon, authenticated, service_role;
  create schema auth;
  grant usage on schema auth to anon, authenticated, service_role;
  create table auth.users (id uuid primary key, email text, raw_user_meta_data jsonb);
  create function auth.uid() returns uuid language sql stable
    as $$ select nullif(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
  create role app_owner login password 'app_owner';
  alter database postgres owner to app_owner;
  grant usage on schema auth to app_owner;
  grant select, references, trigger on auth.users to app_owner;
`;

/** The part of Realtime that migrations look for: where it is not there, as elsewhere in the tests, inboxes poll. */
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
  grant usage on schema realtime to app_owner;
  alter table realtime.messages owner to app_owner;
`;

/** The broadcast names the changed conversation by its id alone, and only members receive it. */
async function checkRealtime(sql: postgres.Sql, workspace: Workspace, id: string): Promise<void> {
  const told = await sql`select distinct topic, event, payload, private from realtime.messages`;
  assertEquals([...told], [{
    topic: `workspace:${workspace.id}`,
    event: "conversation_changed",
    payload: { conversation_id: id },
    private: true,
  }]);
  const [before] = await sql`select count(*)::integer as messages from realtime.messages`;
  const other = await createWorkspace(sql);
  const asMember = (userId: string, topic: string, work: (member: Sql) => Promise<unknown>) =>
    sql.begin(async (member) => {
      await member`select set_config('realtime.topic', ${topic}, true)`;
      await become(member, { userId });
      await work(member);
    });
  const topic = `workspace:${workspace.id}`;
  await asMember(workspace.agent, topic, async (member) => {
    await member`select public.set_conversation_status(${id}, 'closed')`;
    assertEquals(
      (await member`select from realtime.messages`).length,
      before!.messages + 1,
    );
  });
  const [tag] = await sql`
    insert into public.tags (workspace_id, name) values (${workspace.id}, 'VIP') returning id`;
  await asMember(workspace.agent, topic, async (member) => {
    await member`
      insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
      values (${workspace.id}, ${id}, ${tag!.id})`;
    await member`delete from public.conversation_tags where tag_id = ${tag!.id}`;
    const news = await member`select from realtime.messages where event = 'tags_changed'`;
    assertEquals(news.length, 3);
  });
  for (const [user, asked] of [[other.owner, topic], [workspace.viewer, "workspace:nonsense"]]) {
    await asMember(user!, asked!, async (listener) => {
      assertEquals((await listener`select from realtime.messages`).length, 0);
    });
  }
}

async function testMigrations(
  binaries: PostgresBinaries,
  version: number,
  { hasRealtime = false } = {},
): Promise<void> {
  await using scratch = await startScratchServer(binaries);
  await using cleanup = new AsyncDisposableStack();
  const sql = connect(scratch.url, { max: 1 });
  cleanup.defer(() => sql.end());
  const [server] = await sql`
    select current_setting('server_version_num')::integer / 10000 as version`;
  assertEquals(server!.version, version);

  await sql.unsafe(BOOTSTRAP);
  if (hasRealtime) await sql.unsafe(REALTIME);
  const files = [...Deno.readDirSync(MIGRATIONS)].map((entry) => entry.name).sort();
  const ownerUrl = new URL(scratch.url);
  ownerUrl.username = ownerUrl.password = "app_owner";
  const owner = connect(ownerUrl.href, { max: 1 });
  cleanup.defer(() => owner.end());
  for (const file of files) {
    // One transaction per file, as the CLI does it.
    await owner.begin(async (migration) => {
      await migration.unsafe(await Deno.readTextFile(join(MIGRATIONS, file)));
    });
  }

  // And work there.
  const workspace = await createWorkspace(sql, { defaultCountry: "ID" });
  const connection = await createConnection(sql, workspace);
  const personId = await addPerson(sql, workspace, { phone: "0812 3456 7890" });
  const given = conversation({
    participant_identifier: "+6281234567890",
    messages: messages(350),
    changes: [{ message_id: "missing", status: "read" }],
  });
  await sql`set role service_role`;
  const late = { ...given, messages: messages(120, 50) };
  const rows = [
    ...await ingest(sql, connection, [given]),
    ...await ingest(sql, connection, [late]),
  ];
  assertEquals(rows.map((row) => [row.outcome, row.messages_added, row.error]), [
    ["created", 350, null],
    ["updated", 120, null],
  ]);
  await sql`reset role`;
  const id = rows[0]!.id!;
  assertEquals(await threadFaults(sql, id), []);
  await sql.begin(async (member) => {
    await member`
      select set_config('role', 'authenticated', true),
        set_config('request.jwt.claim.sub', ${workspace.viewer}, true)`;
    assertEquals((await readThread(member, id)).length, 470);
    assertEquals(
      (await member`select id from public.conversation_messages(${id}, null, 500)`).count,
      470,
    );
    const found = await member`
      select id, person_id from public.search_conversations(${workspace.id}, '0812')`;
    assertEquals([...found], [{ id, person_id: personId }]);
  });
  if (hasRealtime) await checkRealtime(sql, workspace, id);

  // The health view says what is not there, also to an owner with few rights.
  const checks = await owner<{ name: string; status: string; found: string }[]>`
    select name, status, found from public.installation_health`;
  const found = new Map(checks.map((check) => [check.name, `${check.status}: ${check.found}`]));
  assertMatch(found.get("migrations")!, /^unknown: This database does not record/);
  assertMatch(found.get("schedule")!, /^unknown: pg_cron is not here/);
  assertMatch(found.get("storage")!, /^ok: This database has no Storage/);
  assertMatch(found.get("realtime")!, hasRealtime ? /^ok: Changes/ : /^ok: This database has no/);
  assertEquals(checks.filter(({ status }) => status === "problem"), []);
}

Deno.test("migrations apply to plain Postgres 17, with Realtime", async () => {
  await testMigrations(await installedBinaries(), 17, { hasRealtime: true });
});

const missing = missingPrograms([join(DEBIAN_15, "postgres")]);
Deno.test({
  name: named("migrations apply to plain Postgres 15", missing),
  ignore: missing.length > 0,
  fn: async () => {
    await testMigrations(
      { initdb: join(DEBIAN_15, "initdb"), postgres: join(DEBIAN_15, "postgres") },
      15,
    );
  },
});
