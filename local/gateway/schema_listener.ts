/**
 * Notices changed tables and functions as PostgREST does: the database notifies the channel `pgrst`, by the
 * triggers of `bootstrap.sql` or by hand (`notify pgrst`).
 *
 * @module
 */

import postgres from "postgres";

/** A session that listens until it is closed. */
export interface SchemaListener {
  close(): Promise<void>;
}

/** Calls `onChange` after every change. Does not reconnect when the server goes away. */
export async function listenForSchemaChanges(
  databaseUrl: string,
  onChange: () => void,
): Promise<SchemaListener> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  await sql.listen("pgrst", onChange);
  return { close: () => sql.end({ timeout: 1 }) };
}
