/**
 * The database on Debian's PostgreSQL 15 as hosted Supabase has it: migrations by the Supabase CLI as `postgres`, who is
 * no superuser, through pgbouncer; jobs run by pg_cron; Vault and pg_net present. pg_net is a stand-in that keeps the
 * requests, and so is the Vault.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, equal } from "@std/assert";
import { join } from "node:path";
import postgres from "postgres";
import { runAdvisors } from "../../cli/advisors.ts";
import { createRestApi } from "../../local/gateway/rest.ts";
import { asRole, bootstrapSupabase } from "../../local/postgres/roles.ts";
import { migrate } from "../../local/postgres/migrate.ts";
import { ensureSystemSchema } from "../../local/postgres/system_schema.ts";
import { readProject } from "../../local/project.ts";
import { ensureRealtimeSchema } from "../../local/realtime/schema.ts";
import { generateSecrets } from "../../local/secrets.ts";
import type { StackInfo } from "../../local/stack.ts";
import { DEMO } from "../../local/demo.ts";
import { become, connect, type Sql } from "../support/database.ts";
import {
  DEBIAN_PARTS,
  missingPrograms,
  named,
  startDebianPostgres,
  startPgBouncer,
} from "../support/debian_postgres.ts";
import { eventually } from "../support/eventually.ts";
import {
  conversation,
  ingest,
  messages,
  readConversation,
  threadFaults,
} from "../support/messages.ts";
import { createSchema } from "../support/own_database.ts";
import { createConnection, createWorkspace, type Workspace } from "../support/people.ts";

const REPOSITORY = join(import.meta.dirname!, "../..");
const TESTS = import.meta.dirname!;

/**
 * The Vault as far as the schedule reads it, which hosted projects have before the first migration; and pg_cron, which
 * belongs to supabase_admin there also when `postgres` creates it (supautils.privileged_extensions).
 */
const PROVIDED = `
  create extension pg_cron with schema pg_catalog;
  create schema vault;
  create view vault.decrypted_secrets as
    select * from (values ('project_url', 'https://project.example/'), ('service_key', 'sb_secret_example'))
      as secret (name, decrypted_secret);
  grant usage on schema vault to postgres;
  grant select on vault.decrypted_secrets to postgres;
`;

/** When pg_cron runs a job that is due every minute, at the latest, with time for the job itself. */
const A_MINUTE = { timeoutMs: 100_000, pauseMs: 500 };

const missing = missingPrograms(DEBIAN_PARTS);

Deno.test({
  name: named("the database on Debian's PostgreSQL 15 with pg_cron, as hosted", missing),
  ignore: missing.length > 0,
  fn: async (t) => {
    await using server = await startDebianPostgres();
    await using cleanup = new AsyncDisposableStack();
    const project = await readProject(REPOSITORY);
    const secrets = generateSecrets();
    const url = asRole(server.url, "postgres");
    const admin = connect(server.url, { max: 1 });
    cleanup.defer(() => admin.end());
    await bootstrapSupabase(admin, server.password);
    await ensureRealtimeSchema(admin);
    await ensureSystemSchema({ admin, databaseUrl: url, config: project.config, secrets });
    await admin.unsafe(PROVIDED);
    const bouncer = cleanup.use(await startPgBouncer(server));
    const sql = connect(url, { max: 8 });
    cleanup.defer(() => sql.end());

    await t.step("the CLI applies migrations and seed as postgres, through pgbouncer", async () => {
      const [owner] = await sql`
        select current_setting('server_version_num')::integer / 10000 as version, rolsuper
        from pg_roles where rolname = current_user`;
      assertEquals({ ...owner }, { version: 15, rolsuper: false });
      const pushUrl = new URL(bouncer.url);
      pushUrl.search = "";
      const { signal } = new AbortController();
      await migrate({ project, sql, databaseUrl: pushUrl.href, signal });
      const [done] = await sql`
        select (select count(*)::integer from supabase_migrations.schema_migrations) as migrations,
          (select count(*)::integer from public.workspaces where slug = ${DEMO.workspace}) as seeded`;
      const files = [...Deno.readDirSync(project.migrationsDir)].length;
      assertEquals({ ...done }, { migrations: files, seeded: 1 });
    });

    await t.step("extensions are out of the API, and nothing belongs to a superuser", async () => {
      const extensions = await sql`
        select extname, extnamespace::regnamespace::text as schema from pg_extension order by extname`;
      assertEquals(extensions.map(({ extname, schema }) => `${extname} ${schema}`), [
        "pg_cron pg_catalog",
        "pg_net extensions",
        "pg_trgm extensions",
        "pgcrypto extensions",
        "plpgsql pg_catalog",
        "uuid-ossp extensions",
      ]);
      const foreign = await sql`
        select oid::regclass::text from pg_class
        where relnamespace in ('public'::regnamespace, 'private'::regnamespace)
          and relowner <> 'postgres'::regrole
        union all
        select oid::regprocedure::text from pg_proc
        where pronamespace in ('public'::regnamespace, 'private'::regnamespace)
          and proowner <> 'postgres'::regrole`;
      assertEquals([...foreign], []);
    });

    await t.step(
      "what is written again and again is compressed fast, and archives are made small",
      async () => {
        const columns = await sql`
        select attrelid::regclass::text as name, attcompression as method
        from pg_attribute
        where attrelid in ('public.conversations'::regclass, 'public.conversation_archives'::regclass)
          and attname = 'messages'
        order by 1`;
        assertEquals(columns.map(({ name, method }) => `${name} ${method}`), [
          "conversation_archives ",
          "conversations l",
        ]);
      },
    );

    await t.step("the advisors find nothing, with pg_cron and pg_net installed", async () => {
      assertEquals(await runAdvisors(url), []);
    });

    await t.step("pg_cron has each job of the list once", async () => {
      const listed = await sql`select name, schedule from private.scheduled_jobs order by name`;
      const jobs = await sql`
        select jobname as name, schedule, username, active, command from cron.job order by jobname`;
      assertEquals(jobs.map(({ name, schedule }) => ({ name, schedule })), [...listed]);
      for (const { username, active } of jobs) assertEquals([username, active], ["postgres", true]);
      assertEquals(new Set(jobs.map(({ command }) => command)).size, jobs.length);
      // A later migration that changes the list calls this again.
      await sql`select private.schedule_jobs()`;
      assertEquals((await sql`select from cron.job`).count, jobs.length);
    });

    await t.step("pg_cron runs every job, and it does its work", async () => {
      const workspace = await createWorkspace(sql);
      const id = await prepareWork(sql, workspace);
      // Some have run before there was work.
      const [before] = await sql`select coalesce(max(runid), 0) as runid from cron.job_run_details`;
      await sql`select cron.alter_job(jobid, schedule := '* * * * *') from cron.job`;
      await eventually("every job has run", async () => {
        const [left] = await sql`
          select count(*)::integer as jobs from cron.job as job
          where not exists (
            select from cron.job_run_details as run
            where run.jobid = job.jobid and run.runid > ${before!.runid}
              and run.status in ('succeeded', 'failed')
          )`;
        return left!.jobs === 0;
      }, A_MINUTE);
      const done = { outbox: "failed", counted: 2, waiting: 0, oldRuns: 0 };
      // Two jobs may want the same row in the same second: then one leaves it to its next run. And a job that is
      // switched off while it runs has failed.
      const readOpen = async () => [
        await readWork(sql, workspace, id),
        [
          ...await sql`
          select job.jobname, run.status, run.return_message
          from cron.job_run_details as run join cron.job as job using (jobid)
          where run.status <> 'succeeded'`,
        ],
      ];
      await eventually(
        "their work is done, and none runs",
        async () => equal(await readOpen(), [done, []]),
        A_MINUTE,
      ).catch(async () => assertEquals(await readOpen(), [done, []]));
      await sql`select cron.alter_job(jobid, active := false) from cron.job`;
      const requests = await sql`
        select distinct url, headers ->> 'apikey' as key from net.recorded_requests order by url`;
      assertEquals(
        requests.map(({ url, key }) => `${url} ${key}`),
        ["daily-summary/tick", "inbox/tick", "kapso-sync/tick"].map((path) =>
          `https://project.example/functions/v1/${path} sb_secret_example`
        ),
      );
    });

    await t.step("the health view tells what pg_cron hides", async () => {
      await testHealth(sql);
    });

    await t.step("transaction pooling: sessions share connections and keep nothing", async () => {
      await testPooling(bouncer.url);
    });

    // They take minutes: in CI and at full size.
    const isThorough = Deno.env.get("CI") !== undefined || Deno.env.get("SOAK") === "1";
    await t.step({ name: "the database tests pass", ignore: !isThorough, fn: runOnThisDatabase });

    async function runOnThisDatabase(): Promise<void> {
      const rest = createRestApi({ databaseUrl: url, config: project.config, secrets });
      await using api = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        (request, { remoteAddr }) => rest.fetch(request, remoteAddr.hostname),
      );
      const info: StackInfo = {
        api_url: `http://127.0.0.1:${api.addr.port}`,
        db_url: url,
        publishable_key: secrets.publishable_key,
        secret_key: secrets.secret_key,
        app_url: null,
        demo: { ...DEMO, kapso_webhook_secret: secrets.kapso_webhook_secret },
      };
      // pg_cron has a session in its database, which then cannot be copied.
      await using templates = await startDebianPostgres({ hasCron: false });
      await createSchema(templates.url, project, secrets);
      try {
        await runDatabaseTests(info, asRole(templates.url, "postgres"));
      } finally {
        await rest.close();
      }
    }
  },
});

/** Gives each job that is an SQL command something to do, and returns the id of a conversation. */
async function prepareWork(sql: postgres.Sql, workspace: Workspace): Promise<string> {
  const connection = await createConnection(sql, workspace);
  const [stored] = await sql.begin(async (service) => {
    await become(service, "service_role");
    return await ingest(service, connection, [
      conversation({ messages: messages(2), changes: [{ message_id: "missing", status: "read" }] }),
    ]);
  });
  const id = stored!.id!;
  await sql`
    update private.waiting_updates set created_at = now() - interval '31 days'
    where conversation_id = ${id}`;
  await sql`
    insert into public.outbox_messages
      (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, queued_at)
    values (${workspace.id}, ${id}, ${connection.id}, 'forgotten', 'text', 'Hi', '{}', now() - interval '1 hour')`;
  await sql`
    insert into cron.job_run_details (runid, status, end_time)
    values (-1, 'succeeded', now() - interval '8 days')`;
  return id;
}

/** Reads what the jobs have made of it. */
async function readWork(sql: postgres.Sql, workspace: Workspace, id: string) {
  const [work] = await sql`
    select
      (select state from public.outbox_messages where conversation_id = ${id}) as outbox,
      (select sum(messages)::integer from private.message_counts where workspace_id = ${workspace.id}) as counted,
      (select count(*)::integer from private.waiting_updates where conversation_id = ${id}) as waiting,
      (select count(*)::integer from cron.job_run_details where runid = -1) as "oldRuns"`;
  return { ...work };
}

/** pg_cron says `succeeded` of every job; pg_net got 202, 401 and no answer. */
async function testHealth(sql: postgres.Sql): Promise<void> {
  const read = async (from: Sql = sql) => {
    const checks = await from<{ name: string; status: string; found: string }[]>`
      select name, status, found from public.installation_health`;
    return new Map(checks.map(({ name, status, found }) => [name, `${status}: ${found}`]));
  };
  assertMatch(
    (await read()).get("schedule")!,
    /^problem: .*switched off or changed: daily-summary/,
  );
  // Answers are remembered when pg_net has forgotten them.
  await sql`
    insert into net._http_response (id, status_code, error_msg)
    select run.request_id,
      case run.job when 'kapso-sync' then 202 when 'daily-summary' then 401 end,
      case run.job when 'send-queued-messages' then 'Timeout was reached' end
    from private.job_runs as run`;
  await sql`select private.collect_job_answers()`;
  await sql`delete from net._http_response`;

  const rollback = new Error("rolled back on purpose");
  await sql.begin(async (transaction) => {
    await transaction`select cron.alter_job(jobid, active := true) from cron.job`;
    await transaction`select private.schedule_jobs()`;
    const checks = await read(transaction);
    assertEquals(checks.get("schedule"), "ok: pg_cron has all jobs.");
    assertEquals(checks.get("vault secrets"), "ok: project_url and service_key are stored.");
    assertMatch(checks.get("extensions")!, /^ok: .*pg_net 0.14.0 in extensions/);
    assertMatch(checks.get("job kapso-sync")!, /^ok: Succeeded at .*: answered 202/);
    assertMatch(checks.get("job daily-summary")!, /^problem: Failed at .*: answered 401/);
    assertMatch(
      checks.get("job send-queued-messages")!,
      /^problem: No answer .*: Timeout was reached/,
    );
    for (
      const job of ["settle-outbox", "fold-message-counts", "prune-records", "prune-cron-runs"]
    ) {
      assertMatch(checks.get(`job ${job}`)!, /^ok: Succeeded at/);
    }
    throw rollback;
  }).catch((error) => {
    if (error !== rollback) throw error;
  });
}

/**
 * Twelve clients on three connections: batches of the same conversations at the same time, and readers of two
 * workspaces. Nothing that one sets or takes may reach another.
 */
async function testPooling(url: string): Promise<void> {
  const clients = Array.from({ length: 12 }, () => connect(url, { max: 1 }));
  try {
    const [sql] = clients as [postgres.Sql];
    const [workspace, other] = [await createWorkspace(sql), await createWorkspace(sql)];
    const connection = await createConnection(sql, workspace);
    const given = Array.from({ length: 4 }, () => conversation({ messages: messages(185) }));
    const ids = new Set<string>();
    const servers = new Set<number>();
    await Promise.all(clients.map(async (client, index) => {
      for (let round = 0; round < 5; round++) {
        await client.begin(async (service) => {
          await become(service, "service_role");
          // Of the 185 messages, each client sends 20, the last five of which the next one sends too.
          const batch = given.map((each) => ({
            ...each,
            messages: each.messages.slice(index * 15, index * 15 + 20),
          }));
          for (const row of await ingest(service, connection, batch)) {
            assertEquals(row.error, null);
            ids.add(row.id!);
          }
        });
        const userId = index % 2 === 0 ? workspace.viewer : other.viewer;
        await client.begin(async (member) => {
          await become(member, { userId });
          const seen = await member`select from public.conversation_list`;
          assertEquals(seen.count, index % 2 === 0 ? given.length : 0);
        });
        const [{ server, ...after }] = await client<
          [{ server: number; role: string; claims: string }]
        >`
          select pg_backend_pid() as server, current_user as role,
            coalesce(current_setting('request.jwt.claims', true), '') as claims`;
        servers.add(server);
        assertEquals(after, { role: "postgres", claims: "" });
      }
    }));
    assertEquals(ids.size, given.length);
    for (const id of ids) {
      assertEquals(await threadFaults(sql, id), []);
      assertEquals((await readConversation(sql, id)).message_count, 185);
    }
    assert(servers.size <= 3, `${servers.size} connections`);
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

/** Runs the other tests of this folder that need a stack or a database of their own, here. */
async function runDatabaseTests(info: StackInfo, templateServer: string): Promise<void> {
  const files: string[] = [];
  for (const { name } of Deno.readDirSync(TESTS)) {
    if (!name.endsWith("_test.ts")) continue;
    const text = await Deno.readTextFile(join(TESTS, name));
    // Not those that build databases on servers of their own.
    if (/^const \w+ = useDatabase\(.*\);$/m.test(text) && !text.includes("startScratchServer")) {
      files.push(join(TESTS, name));
    }
  }
  assert(files.length > 10);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", "--frozen", "--no-check", "--parallel", "--quiet", ...files],
    cwd: REPOSITORY,
    env: {
      TEST_STACK: JSON.stringify(info),
      TEST_TEMPLATE_SERVER: templateServer,
      DENO_JOBS: "2",
      NO_COLOR: "1",
    },
  }).output();
  const [output, log] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert(success, `${output!.slice(output!.indexOf(" ERRORS "))}\n${log}`);
}
