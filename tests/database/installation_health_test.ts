/**
 * `public.installation_health`: what it says of a sound installation, and of each fault. Each fault is made in a
 * transaction that is rolled back.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { basename, resolve } from "node:path";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import { versionOf } from "../../local/postgres/history.ts";
import { readProject } from "../../local/project.ts";
import { become, type Sql, useDatabase } from "../support/database.ts";
import { conversation, ingest, messages } from "../support/messages.ts";
import { createConnection, createWorkspace } from "../support/people.ts";

const database = useDatabase();
const project = await readProject(resolve(import.meta.dirname!, "../.."));

interface Check {
  name: string;
  status: string;
  found: string;
  what_to_do: string | null;
  checked_at: Date;
}

/** Makes a fault as the owner of the database, and reads the checks as the service. */
async function checksAfter(fault: (sql: Sql) => Promise<unknown>): Promise<Map<string, Check>> {
  let checks: Check[] = [];
  const rollback = new Error("rolled back on purpose");
  await database.sql.begin(async (sql) => {
    await fault(sql);
    await become(sql, "service_role");
    checks = await sql<Check[]>`select * from public.installation_health`;
    throw rollback;
  }).catch((error) => {
    if (error !== rollback) throw error;
  });
  return new Map(checks.map((check) => [check.name, check]));
}

function assertCheck(
  checks: Map<string, Check>,
  name: string,
  status: string,
  found: RegExp,
): void {
  assert(checks.has(name), `no check ${name}`);
  const check = checks.get(name)!;
  assertEquals(check.status, status, check.found);
  assertMatch(check.found, found);
  // What is wrong says what to do; what is right asks for nothing.
  if (status === "problem" || status === "warning") assert(check.what_to_do, name);
  if (status === "ok") assertEquals(check.what_to_do, null, name);
}

Deno.test("the expected migrations are those of the folder", async () => {
  const versions = databaseFiles(project).migrations.map((file) => versionOf(basename(file)));
  const [expected] = await database.sql`select * from private.expected_migrations()`;
  assertEquals({ ...expected }, { newest: versions.toSorted().at(-1), count: versions.length });
});

Deno.test("a sound installation has one row per check, in the order of reading", async () => {
  const checks = await checksAfter(async (sql) => {
    await sql`delete from private.job_runs`;
    await sql`delete from private.webhook_events`;
    await sql`delete from public.outbox_messages`;
  });
  assertEquals([...checks.keys()], [
    "schema version",
    "migrations",
    "extensions",
    "table policies",
    "realtime",
    "storage",
    "vault secrets",
    "schedule",
    ...checks.has("job kapso-sync")
      ? [
        "job daily-summary",
        "job drain-webhook-events",
        "job fold-message-counts",
        "job forget-connections",
        "job index-messages",
        "job kapso-sync",
        "job keep-webhook-days",
        "job prune-cron-runs",
        "job prune-records",
        "job retry-webhook-events",
        "job send-queued-messages",
        "job settle-outbox",
        "job settle-waiting-updates",
      ]
      : [],
    "webhook events",
    "webhook storage",
    "outbox",
    "kapso sync",
    "files",
    "summaries",
    "message counts",
    "waiting changes",
    "message search",
    "conversations",
  ]);
  assertCheck(checks, "migrations", "ok", /^Version 2026/);
  assertCheck(checks, "extensions", "ok", /pg_trgm [0-9.]+ in extensions/);
  assertCheck(checks, "table policies", "ok", /all \d+ tables/);
  assertCheck(checks, "storage", "ok", /no Storage/);
  assertCheck(checks, "webhook events", "ok", /^0 failed, 0 waiting\.$/);
  assertCheck(checks, "outbox", "ok", /^0 waiting/);
  const [now] = await database.sql<{ now: Date }[]>`select now()`;
  assert(Math.abs(checks.get("outbox")!.checked_at.getTime() - now!.now.getTime()) < 60_000);
});

Deno.test("the owner of the database reads it too, without a role", async () => {
  assert((await database.sql`select from public.installation_health`).count > 10);
});

Deno.test("faults of the set-up are problems", async () => {
  const checks = await checksAfter(async (sql) => {
    await sql`
      delete from supabase_migrations.schema_migrations
      where version = (select max(version) from supabase_migrations.schema_migrations)`;
    await sql`alter table public.tags disable row level security`;
    await sql.unsafe(`
      create schema storage;
      create table storage.buckets (id text, public boolean);
      insert into storage.buckets values ('media', true);
    `);
  });
  assertCheck(checks, "migrations", "problem", /^\d+ of \d+ migrations/);
  assertCheck(checks, "table policies", "problem", /No row level security on (public\.)?tags\./);
  assertCheck(checks, "storage", "problem", /is public/);
});

Deno.test("where there is Realtime, its policy and the triggers must be there", async (t) => {
  const [realtime] = await database
    .sql`select to_regclass('realtime.messages') is not null as present`;
  await t.step({
    name: "a missing trigger",
    ignore: !realtime!.present,
    fn: async () => {
      const sound = await checksAfter(() => Promise.resolve());
      assertCheck(sound, "realtime", "ok", /^Changes are broadcast/);
      const checks = await checksAfter((sql) =>
        sql`alter table public.conversations disable trigger conversations_broadcast_insert`
      );
      assertCheck(checks, "realtime", "problem", /lacks a trigger/);
    },
  });
});

Deno.test("a table that members cannot read is a problem", async () => {
  const checks = await checksAfter(async (sql) => {
    const policies = await sql<{ name: string }[]>`
      select policyname as name from pg_policies where schemaname = 'public' and tablename = 'tags'`;
    for (const { name } of policies) await sql`drop policy ${sql(name)} on public.tags`;
  });
  assertCheck(checks, "table policies", "problem", /Members can read nothing of (public\.)?tags/);
});

Deno.test("another scheduler is recognised by the runs it records, and the check shows each run", async () => {
  // Where pg_cron is, it is the scheduler.
  if (await hasCron(database.sql)) return;
  const checks = await checksAfter(async (sql) => {
    await sql`delete from private.job_runs`;
    await sql`select private.record_job_run('kapso-sync', 202)`;
    await sql`select private.record_job_run('daily-summary', 401)`;
    await sql`select private.record_job_run('send-queued-messages', null, 'the function could not be reached')`;
    await sql`select private.record_job_run('settle-outbox')`;
    await sql`select private.record_job_run('fold-message-counts', null, 'SQLSTATE 57014')`;
    await sql`
      insert into private.job_runs (job, started_at, finished_at)
      values ('prune-records', now() - interval '1 hour', now() - interval '1 hour')`;
  });
  assertCheck(checks, "schedule", "ok", /Another scheduler/);
  assertCheck(checks, "job kapso-sync", "ok", /^Succeeded at 20.*: answered 202/);
  assertCheck(checks, "job daily-summary", "problem", /^Failed at 20.*: answered 401/);
  assertMatch(checks.get("job daily-summary")!.what_to_do!, /service_key/);
  assertCheck(checks, "job send-queued-messages", "problem", /could not be reached/);
  assertCheck(checks, "job settle-outbox", "ok", /^Succeeded at/);
  assertCheck(checks, "job fold-message-counts", "problem", /^Failed at/);
  assertCheck(
    checks,
    "job prune-records",
    "problem",
    /^Last run at .* though due every 10 minutes/,
  );
  assertCheck(checks, "job prune-cron-runs", "unknown", /Has not run yet/);
});

async function hasCron(sql: Sql): Promise<boolean> {
  return (await sql`select from pg_extension where extname = 'pg_cron'`).count > 0;
}

Deno.test("a job keeps its last 20 runs", async () => {
  const { sql } = database;
  for (let run = 0; run < 30; run++) await sql`select private.record_job_run('trimmed', ${run})`;
  const kept =
    await sql`select status from private.job_runs where job = 'trimmed' order by started_at`;
  assertEquals(
    kept.map(({ status }) => status),
    Array.from({ length: 20 }, (_, index) => index + 10),
  );
  await sql`delete from private.job_runs where job = 'trimmed'`;
});

Deno.test("events and messages that wait too long are shown with their number and age", async () => {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace);
  const [stored] = await ingest(database.service, connection, [
    conversation({ messages: messages(1) }),
  ]);
  const queue = (sql: Sql, state: string, age: string) =>
    sql`
      insert into public.outbox_messages
        (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, state, queued_at)
      values (${workspace.id}, ${stored!
      .id!}, ${connection.id}, ${state}, 'text', 'Hi', '{}', ${state},
        now() - ${age}::interval)`;
  const late = await checksAfter(async (sql) => {
    await sql`delete from private.webhook_events`;
    await sql`delete from public.outbox_messages`;
    await sql`
      insert into private.webhook_events (body, elements, state, received_at)
      select '', '[]', 'failed', '2026-01-02T03:04:05Z' from generate_series(1, 1200)`;
    await queue(sql, "queued", "1 hour");
  });
  assertCheck(
    late,
    "webhook events",
    "problem",
    /^more than 1000 failed, 0 waiting; the oldest arrived at 2026-01-02 03:04:05 UTC\.$/,
  );
  assertCheck(late, "outbox", "problem", /^1 waiting, 0 with an unknown outcome; the oldest/);

  const unsure = await checksAfter(async (sql) => {
    await sql`delete from private.webhook_events`;
    await sql`delete from public.outbox_messages`;
    await sql`
      insert into private.webhook_events (body, elements, received_at)
      values ('', '[]', now() - interval '10 minutes')`;
    await queue(sql, "unconfirmed", "1 hour");
  });
  assertCheck(unsure, "webhook events", "warning", /^0 failed, 1 waiting/);
  assertCheck(unsure, "outbox", "warning", /1 with an unknown outcome/);
});
