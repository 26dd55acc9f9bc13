/**
 * How this project runs the Supabase CLI.
 *
 * @module
 */

/** Arguments for Deno before those of the CLI, and the environment of the CLI. */
export const SUPABASE_CLI = {
  // This version has a program for every platform; some later ones lack one, and cannot be installed there.
  args: ["run", "-A", "--quiet", "npm:supabase@2.117.0"],
  env: { DO_NOT_TRACK: "1", SUPABASE_TELEMETRY_DISABLED: "1", NO_COLOR: "1" },
} as const;

/**
 * How to name a local database to the CLI. The password is in the environment and not in the arguments, which every
 * user of the machine can read in the list of processes.
 */
export function cliDatabase(databaseUrl: string): {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
} {
  const url = new URL(databaseUrl);
  const password = decodeURIComponent(url.password);
  url.password = "";
  // The CLI requires TLS by default, and 127.0.0.1 has none.
  url.searchParams.set("sslmode", "disable");
  return { args: ["--db-url", url.href], env: { PGPASSWORD: password } };
}
