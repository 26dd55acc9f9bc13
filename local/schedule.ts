/**
 * What pg_cron does on hosted Supabase: calls functions with the service key, every minute.
 *
 * @module
 */

import { logWarning } from "./log.ts";

/** Paths below `/functions/v1/` that are called, and how often, in seconds. The migrations schedule the same. */
const SCHEDULE = [
  { path: "kapso-sync/tick", everySeconds: 60 },
  { path: "inbox/tick", everySeconds: 60 },
  { path: "daily-summary/tick", everySeconds: 300 },
] as const;

/** What `startSchedule` needs. */
export interface ScheduleOptions {
  readonly apiUrl: string;
  readonly secretKey: string;
}

/** A running schedule. */
export interface Schedule {
  stop(): void;
}

/**
 * Starts the schedule. The first calls come after a whole interval, so that a start costs nothing. A call
 * that fails is made again when its time comes the next time.
 */
export function startSchedule(options: ScheduleOptions): Schedule {
  const stopped = new AbortController();
  const timers = SCHEDULE.map(({ path, everySeconds }) =>
    setInterval(() => call(path, options, stopped.signal), everySeconds * 1000)
  );
  return {
    stop() {
      stopped.abort();
      timers.forEach(clearInterval);
    },
  };
}

async function call(path: string, options: ScheduleOptions, signal: AbortSignal): Promise<void> {
  try {
    const response = await fetch(`${options.apiUrl}/functions/v1/${path}`, {
      method: "POST",
      headers: { apikey: options.secretKey, "content-type": "application/json" },
      body: "{}",
      signal,
    });
    await response.body?.cancel();
    if (!response.ok) logWarning(`the schedule called ${path} and got ${response.status}`);
  } catch (error) {
    if (!signal.aborted) logWarning(`the schedule could not call ${path}: ${error}`);
  }
}
