/**
 * The secret key of the project that a command works on.
 *
 * @module
 */

/** Environment variables that may hold it: the present name first, then the legacy one. */
const NAMES = ["SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"] as const;

/**
 * Reads the secret key from `SUPABASE_SECRET_KEY`, or from the legacy `SUPABASE_SERVICE_ROLE_KEY`.
 *
 * @returns Nothing if neither is set.
 */
export function readSecretKey(env: Record<string, string | undefined>): string | undefined {
  return NAMES.map((name) => env[name]?.trim()).find((key) => key !== undefined && key !== "");
}
