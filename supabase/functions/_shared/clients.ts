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
export function createServiceClient(env: SupabaseEnv): DatabaseClient {
  return createClient<Database>(env.supabaseUrl, env.serviceRoleKey, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: {
      fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    },
  });
}
