/**
 * Reads the environment of a function. The only place that may: everything else gets its settings as
 * arguments, so that it can be tested without an environment.
 *
 * @module
 */

/** What every function needs to reach its own project. */
export interface SupabaseEnv {
  /** Base URL of the project, without a slash at its end. */
  supabaseUrl: string;
  /** The key that passes row level security. Never leaves the function. */
  serviceRoleKey: string;
  /** The key that may be public: what is sent beside the token of a user. */
  anonKey: string;
}

/**
 * Read the settings of this project. Supabase sets these variables for every function.
 *
 * @param env All variables, as `Deno.env.toObject()` gives them.
 * @throws {Error} if a variable is missing or empty: a function must not start with half its settings.
 */
export function readSupabaseEnv(env: Record<string, string>): SupabaseEnv {
  return {
    supabaseUrl: required(env, "SUPABASE_URL").replace(/\/+$/, ""),
    serviceRoleKey: required(env, "SUPABASE_SERVICE_ROLE_KEY"),
    anonKey: required(env, "SUPABASE_ANON_KEY"),
  };
}

function required(env: Record<string, string>, name: string): string {
  const value = env[name];
  if (!value) throw new Error(`Cannot start: the environment variable ${name} is not set`);
  return value;
}
