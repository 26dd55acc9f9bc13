/**
 * The scheduled work, which one list holds: pg_cron runs it on hosted Supabase, `local/schedule.ts` here.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Cron } from "croner";
import { readJobs, runJob, type ScheduledJob, startSchedule } from "../../local/schedule.ts";
import { eventually } from "../support/eventually.ts";
import { useDatabase } from "../support/database.ts";
import { createConnection, createWorkspace } from "../support/people.ts";
import { conversation, ingest, messages } from "../support/messages.ts";

const database = useDatabase();

async function run(job: ScheduledJob): Promise<void> {
  const { info, sql } = database;
  await runJob(job, sql, { apiUrl: info.api_url, secretKey: info.secret_key });
}

Deno.test("the list names each job once, with its times and either a function or a command", async () => {
  const jobs = await readJobs(database.sql);
  assertEquals(jobs.map(({ name, schedule }) => `${name}: ${schedule}`), [
    "daily-summary: */5 * * * *",
    "drain-webhook-events: * * * * *",
    "fold-message-counts: */5 * * * *",
    "forget-connections: * * * * *",
    "index-messages: * * * * *",
    "kapso-sync: * * * * *",
    "keep-webhook-days: */10 * * * *",
    "prune-cron-runs: 37 3 * * *",
    "prune-records: */10 * * * *",
    "retry-webhook-events: * * * * *",
    "send-queued-messages: * * * * *",
    "settle-outbox: * * * * *",
    "settle-waiting-updates: * * * * *",
  ]);
  for (const { name, schedule, function_path, command } of jobs) {
    assertEquals((function_path === null) === (command === null), false, name);
    // Five fields, as pg_cron reads them.
    assertEquals(schedule.split(" ").length, 5, name);
    assert(new Cron(schedule).nextRun() !== null, name);
  }
  const work = jobs.map((job) => job.function_path ?? job.command);
  assertEquals(new Set(work).size, jobs.length);
});

Deno.test("every job can be run, and does its work", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const [stored] = await ingest(service, connection, [
    conversation({ messages: messages(2), changes: [{ message_id: "missing", status: "read" }] }),
  ]);
  await sql`
    update private.waiting_updates set created_at = now() - interval '31 days'
    where conversation_id = ${stored!.id!}`;
  await sql`
    insert into public.outbox_messages
      (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, queued_at)
    values (${workspace.id}, ${stored!.id!}, ${connection.id}, 'forgotten', 'text', 'Hi', '{}',
      now() - interval '1 hour')`;

  const jobs = await readJobs(sql);
  for (const job of jobs) await run(job);

  assertEquals(
    (await sql`select from private.waiting_updates where conversation_id = ${stored!.id!}`).count,
    0,
  );
  // The sender may have the conversation for a moment, which the job leaves out then; the next run has it.
  const settle = jobs.find(({ name }) => name === "settle-outbox")!;
  const row = await eventually("the forgotten message is settled", async () => {
    const [message] = await sql`
      select state, error_code from public.outbox_messages where conversation_id = ${stored!.id!}`;
    if (message!.state !== "queued") return message;
    await run(settle);
  });
  assertEquals({ ...row }, { state: "failed", error_code: "not_sent" });
  const [count] = await sql`
    select sum(messages)::integer as messages from private.message_counts
    where workspace_id = ${workspace.id}`;
  assertEquals(count!.messages, 2);
});

Deno.test("a job that fails says so", async () => {
  const job = { name: "broken", schedule: "* * * * *", function_path: null, command: null };
  await assertRejects(() => run({ ...job, command: "select 1 / 0" }), Error, "division by zero");
  await assertRejects(() => run({ ...job, function_path: "nowhere" }), Error, "answered 404");
});

Deno.test("the schedule starts and stops with the stack", async () => {
  const { info } = database;
  const schedule = await startSchedule({
    databaseUrl: info.db_url,
    apiUrl: info.api_url,
    secretKey: info.secret_key,
  });
  await schedule.stop();
});
