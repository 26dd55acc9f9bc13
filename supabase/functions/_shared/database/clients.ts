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
export type DatabaseClient = SupabaseClient<Database> & {
  /** Whose rights its calls have: all of them, or those of a signed-in user. */
  readonly actsAs: "service" | "user";
};

/**
 * A client that bypasses row level security. Every call with it must carry the workspace or connection:
 * nothing else keeps tenants apart there.
 */
export function createServiceClient(
  env: Pick<SupabaseEnv, "supabaseUrl" | "secretKey">,
): DatabaseClient {
  return createDatabaseClient(env, env.secretKey, {}, "service");
}

/**
 * A client that acts as a signed-in user: row level security holds for it.
 *
 * @param accessToken The user's token. PostgREST checks it with every call.
 */
export function createUserClient(
  env: Pick<SupabaseEnv, "supabaseUrl" | "publishableKey">,
  accessToken: string,
): DatabaseClient {
  return createDatabaseClient(
    env,
    env.publishableKey,
    { Authorization: `Bearer ${accessToken}` },
    "user",
  );
}

function createDatabaseClient(
  env: Pick<SupabaseEnv, "supabaseUrl">,
  key: string,
  headers: Record<string, string>,
  actsAs: DatabaseClient["actsAs"],
): DatabaseClient {
  const client = createClient<Database>(env.supabaseUrl, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    global: {
      headers,
      fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    },
  });
  return Object.assign(client, { actsAs });
}
