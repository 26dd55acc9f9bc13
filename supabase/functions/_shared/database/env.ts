/**
 * Reads the environment of a function. The only place that may: everything else gets its settings as
 * arguments, so that it can be tested without an environment.
 *
 * @module
 */
import * as z from "zod";

/** What every function needs to reach its own project. */
export interface SupabaseEnv {
  /** Base URL of the project, without a slash at its end. */
  supabaseUrl: string;
  /** The key of the functions' own calls, which passes row level security. Never leaves the function. */
  secretKey: string;
  /**
   * Every key that callers may prove themselves with, `secretKey` first: while keys are exchanged, the old
   * and the new one are valid.
   */
  secretKeys: readonly string[];
  /** The key that may be public: what is sent beside the token of a user. */
  publishableKey: string;
}

/** Keys by their names, as the platform gives them: `{"default":"sb_secret_…"}`. */
const namedKeys = z.record(z.string(), z.string().trim().min(1));

/**
 * Reads the settings of this project. Supabase sets these variables for every function: `SUPABASE_URL`;
 * `SUPABASE_SECRET_KEYS` and `SUPABASE_PUBLISHABLE_KEYS`, each a JSON object of keys by name; and, on projects
 * that still have them, the legacy `SUPABASE_SERVICE_ROLE_KEY` and `SUPABASE_ANON_KEY`. One kind is enough.
 *
 * Source: https://supabase.com/docs/guides/functions/secrets
 *
 * @param env All variables, as `Deno.env.toObject()` gives them.
 * @throws {Error} if a variable is missing or wrong: a function must not start with half its settings.
 */
export function readSupabaseEnv(env: Record<string, string>): SupabaseEnv {
  const supabaseUrl = env.SUPABASE_URL?.trim().replace(/\/+$/, "");
  if (!supabaseUrl) {
    throw new Error("Cannot start: the environment variable SUPABASE_URL is not set");
  }
  const secretKeys = readKeys(env, "SUPABASE_SECRET_KEYS", "SUPABASE_SERVICE_ROLE_KEY");
  const publishableKeys = readKeys(env, "SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_ANON_KEY");
  return {
    supabaseUrl,
    secretKey: secretKeys[0],
    secretKeys,
    publishableKey: publishableKeys[0],
  };
}

/** The keys of one kind: the one named `default` first, the legacy one last. */
function readKeys(
  env: Record<string, string>,
  name: string,
  legacyName: string,
): [string, ...string[]] {
  const { default: preferred, ...others } = readNamedKeys(env, name);
  const given = [preferred, ...Object.values(others), env[legacyName]?.trim()];
  const [first, ...rest] = new Set(given.filter((key): key is string => Boolean(key)));
  if (first === undefined) {
    throw new Error(
      `Cannot start: neither of the environment variables ${name} and ${legacyName} is set`,
    );
  }
  return [first, ...rest];
}

function readNamedKeys(env: Record<string, string>, name: string): Record<string, string> {
  const text = env[name]?.trim();
  if (!text) return {};
  try {
    return namedKeys.parse(JSON.parse(text));
  } catch {
    // Not the error itself: it quotes the value.
    throw new Error(
      `Cannot start: the environment variable ${name} is no JSON object of keys by their names`,
    );
  }
}
