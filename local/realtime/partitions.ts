/**
 * The partitions of `realtime.messages`, one per day in UTC: creates those of the next days and drops old ones, as
 * the Realtime service does.
 *
 * @module
 */

import type postgres from "postgres";

/** Days before today that keep their broadcasts. */
const KEPT_DAYS = 3;
/** Days after today that have a partition, in case the stack sleeps. */
const DAYS_AHEAD = 3;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Creates missing partitions and drops those that have expired. */
export async function maintainPartitions(sql: postgres.Sql, now: Date): Promise<void> {
  for (let offset = -1; offset <= DAYS_AHEAD; offset++) {
    const [from, to] = [dayOf(now, offset), dayOf(now, offset + 1)];
    const name = partitionOf(from);
    const [{ exists }] = await sql<[{ exists: boolean }]>`
      select to_regclass(${`realtime.${name}`}) is not null as exists`;
    if (exists) continue;
    await sql.begin(async (transaction) => {
      await transaction.unsafe(
        `create table realtime.${name} partition of realtime.messages for values from ('${from}') to ('${to}')`,
      );
      await transaction.unsafe(`alter table realtime.${name} owner to supabase_realtime_admin`);
    });
  }
  const oldest = partitionOf(dayOf(now, -KEPT_DAYS));
  const expired = await sql<{ name: string }[]>`
    select child.relname as name
    from pg_inherits
    join pg_class as child on child.oid = inhrelid
    where inhparent = 'realtime.messages'::regclass and child.relname < ${oldest}`;
  for (const { name } of expired) await sql`drop table if exists ${sql(`realtime.${name}`)}`;
}

function dayOf(now: Date, offset: number): string {
  return new Date(now.getTime() + offset * DAY_MS).toISOString().slice(0, 10);
}

function partitionOf(day: string): string {
  return `messages_${day.replaceAll("-", "_")}`;
}
