/**
 * The database client of the functions.
 *
 * @module
 */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "./database.types.ts";
import type { SupabaseEnv } from "./env.ts";

/**
 * Milliseconds after which a call counts as failed. A database that hangs must not hang the caller: the
 * answer is 503 then, well before the platform would cut the request off.
 */
const TIMEOUT_MS = 20_000;

/** A client of this project's database. */
export type DatabaseClient = SupabaseClient<Database>;

/**
 * A client that passes row level security. Whoever uses it must carry the workspace or connection in
 * every call: nothing else keeps tenants apart there.
 */
export function createServiceClient(
  env: Pick<SupabaseEnv, "supabaseUrl" | "serviceRoleKey">,
): DatabaseClient {
  return createDatabaseClient(env, env.serviceRoleKey, {});
}

/**
 * A client that acts as a signed-in user: row level security holds for it.
 *
 * @param accessToken The user's token. PostgREST checks it with every call.
 */
export function createUserClient(
  env: Pick<SupabaseEnv, "supabaseUrl" | "anonKey">,
  accessToken: string,
): DatabaseClient {
  return createDatabaseClient(env, env.anonKey, { Authorization: `Bearer ${accessToken}` });
}

function createDatabaseClient(
  env: Pick<SupabaseEnv, "supabaseUrl">,
  key: string,
  headers: Record<string, string>,
): DatabaseClient {
  return createClient<Database>(env.supabaseUrl, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: {
      headers,
      fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    },
  });
}
