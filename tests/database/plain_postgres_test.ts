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
import { ensureRealtimeSchema } from "../../local/realtime/schema.ts";
import type postgres from "postgres";
import { become, connect } from "../support/database.ts";
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

/** With the schema of Realtime, a message is announced, and only members see the announcement. */
async function checkRealtime(sql: postgres.Sql, workspace: Workspace, id: string): Promise<void> {
  const topic = `workspace:${workspace.id}`;
  const announced = await sql`
    select distinct event, payload -> 'conversation_ids' as ids, private
    from realtime.messages where topic = ${topic}`;
  assertEquals([...announced], [{ event: "conversations_changed", ids: [id], private: true }]);
  const other = await createWorkspace(sql);
  for (const [userId, seen] of [[workspace.viewer, true], [other.owner, false]] as const) {
    await sql.begin(async (member) => {
      await member`select set_config('realtime.topic', ${topic}, true)`;
      await become(member, { userId });
      const rows = await member`select from realtime.messages where topic = ${topic}`;
      assertEquals(rows.length > 0, seen);
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
  if (hasRealtime) {
    await sql`create role postgres nologin`;
    await ensureRealtimeSchema(sql);
    await sql`grant supabase_realtime_admin to app_owner`;
  }
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
