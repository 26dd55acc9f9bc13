/**
 * The roles that log in to a database of Supabase, and what Supabase gives a new database before the first migration.
 *
 * @module
 */

import type postgres from "postgres";

/**
 * Who logs in: the superuser, the owner of the project's schema, the Auth service, the REST API. On one machine they
 * share a password, as with `supabase start`.
 */
export type LoginRole = "supabase_admin" | "postgres" | "supabase_auth_admin" | "authenticator";

/** The superuser that `initdb` makes. */
export const SUPERUSER: LoginRole = "supabase_admin";

/** The roles that `bootstrap.sql` creates without a password. */
const CREATED: readonly LoginRole[] = ["postgres", "supabase_auth_admin", "authenticator"];

/** The address of the same database for another role. */
export function asRole(databaseUrl: string, role: LoginRole): string {
  const url = new URL(databaseUrl);
  url.username = role;
  return url.href;
}

/**
 * Gives the database `postgres` of a new cluster what hosted Supabase has before the first migration (`bootstrap.sql`).
 *
 * @param admin A session of the superuser.
 * @param password The password of the roles that log in.
 */
export async function bootstrapSupabase(admin: postgres.Sql, password: string): Promise<void> {
  const statements = await Deno.readTextFile(new URL("bootstrap.sql", import.meta.url));
  await admin.begin(async (transaction) => {
    await transaction.unsafe(statements);
    for (const role of CREATED) {
      const [row] = await transaction`
        select format('alter role %I password %L', ${role}::text, ${password}::text) as statement`;
      await transaction.unsafe(row!.statement);
    }
  });
}
