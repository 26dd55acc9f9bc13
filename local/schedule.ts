/**
 * What pg_cron does on hosted Supabase: runs the jobs of `private.scheduled_jobs`
 * (supabase/schemas/95_schedule.sql) at their times.
 *
 * @module
 */

import { Cron } from "croner";
import postgres from "postgres";
import { logWarning } from "./log.ts";

/** A job of the list: it has either a path or a command. */
export interface ScheduledJob {
  readonly name: string;
  /** Cron expression of five fields, in UTC. */
  readonly schedule: string;
  /** Path of an Edge Function below `/functions/v1/`. */
  readonly function_path: string | null;
  /** SQL. */
  readonly command: string | null;
}

/** What the jobs need. */
export interface ScheduleOptions {
  readonly databaseUrl: string;
  readonly apiUrl: string;
  readonly secretKey: string;
}

/** A running schedule. */
export interface Schedule {
  /** Stops the jobs; resolves when the connection to the database is closed. */
  stop(): Promise<void>;
}

/**
 * Starts the schedule. A job that fails is logged and runs again at its next time; one that still runs at its next
 * time is left alone.
 */
export async function startSchedule(options: ScheduleOptions): Promise<Schedule> {
  const sql = postgres(options.databaseUrl, { max: 1, onnotice: () => {} });
  const stopped = new AbortController();
  const timers = (await readJobs(sql)).map((job) =>
    new Cron(job.schedule, { timezone: "UTC", protect: true }, async () => {
      try {
        await runJob(job, sql, options, stopped.signal);
      } catch (error) {
        if (!stopped.signal.aborted) logWarning(`the scheduled job ${job.name} failed: ${error}`);
      }
    })
  );
  return {
    async stop() {
      stopped.abort();
      for (const timer of timers) timer.stop();
      await sql.end({ timeout: 1 });
    },
  };
}

/** Reads the list of jobs; a project without one has no scheduled work. */
export async function readJobs(sql: postgres.Sql): Promise<ScheduledJob[]> {
  const [list] = await sql`select to_regclass('private.scheduled_jobs') as name`;
  if (list!.name === null) return [];
  return await sql<ScheduledJob[]>`
    select name, schedule, function_path, command from private.scheduled_jobs order by name`;
}

/**
 * Runs a job once, and records what came of it for `public.installation_health`.
 *
 * @throws {Error} when the function does not answer with success, or the database refuses the command.
 */
export async function runJob(
  job: ScheduledJob,
  sql: postgres.Sql,
  project: Omit<ScheduleOptions, "databaseUrl">,
  signal?: AbortSignal,
): Promise<void> {
  const record = (status: number | null, error: string | null) =>
    sql`select private.record_job_run(${job.name}, ${status}, ${error})`;
  if (job.command !== null) {
    try {
      await sql.unsafe(job.command);
    } catch (error) {
      if (error instanceof postgres.PostgresError) await record(null, `SQLSTATE ${error.code}`);
      throw error;
    }
    await record(null, null);
    return;
  }
  let status: number;
  try {
    status = await callFunction(job, project, signal);
  } catch (error) {
    if (!signal?.aborted) await record(null, "the function could not be reached");
    throw error;
  }
  await record(status, null);
  if (status < 200 || status > 299) throw new Error(`${job.function_path} answered ${status}`);
}

async function callFunction(
  job: ScheduledJob,
  { apiUrl, secretKey }: Omit<ScheduleOptions, "databaseUrl">,
  signal: AbortSignal | undefined,
): Promise<number> {
  const response = await fetch(`${apiUrl}/functions/v1/${job.function_path}`, {
    method: "POST",
    headers: { apikey: secretKey, "content-type": "application/json" },
    body: "{}",
    ...(signal === undefined ? {} : { signal }),
  });
  await response.body?.cancel();
  return response.status;
}
