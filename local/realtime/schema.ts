/**
 * Creates the schema of Realtime in a database that has none.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type postgres from "postgres";
import { maintainPartitions } from "./partitions.ts";

/** Path of the SQL file. */
export const REALTIME_SCHEMA = fileURLToPath(new URL("schema.sql", import.meta.url));

/** Creates the schema if it is missing, as a superuser. Migrations rely on it. */
export async function ensureRealtimeSchema(sql: postgres.Sql): Promise<void> {
  const [{ exists }] = await sql<[{ exists: boolean }]>`
    select to_regnamespace('realtime') is not null as exists`;
  if (exists) return;
  const text = await Deno.readTextFile(REALTIME_SCHEMA);
  await sql.begin((transaction) => transaction.unsafe(text));
  await maintainPartitions(sql, new Date());
}
