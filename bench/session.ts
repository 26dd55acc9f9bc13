/**
 * Database sessions as the REST API makes them for a person who is signed in.
 *
 * @module
 */

import type postgres from "postgres";

/** Turns a client with one connection into the session of a user: row level security applies from now on. */
export async function signIn(sql: postgres.Sql, email: string): Promise<void> {
  // Auth reads the first here and the second on hosted Supabase.
  await sql`
    select set_config('request.jwt.claim.sub', id::text, false),
      set_config('request.jwt.claims', json_build_object('sub', id, 'role', 'authenticated')::text, false)
    from auth.users
    where email = ${email}`;
  await sql`set role authenticated`;
}
