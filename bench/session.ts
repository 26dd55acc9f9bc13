/**
 * Database sessions like those of the REST API for a signed-in person.
 *
 * @module
 */

import type postgres from "postgres";

/** Turns a client with one connection into the session of a user, so that row level security applies. */
export async function signIn(sql: postgres.Sql, email: string): Promise<void> {
  // Auth reads the first here and the second on hosted Supabase.
  await sql`
    select set_config('request.jwt.claim.sub', id::text, false),
      set_config('request.jwt.claims', json_build_object('sub', id, 'role', 'authenticated')::text, false)
    from auth.users
    where email = ${email}`;
  await sql`set role authenticated`;
}
