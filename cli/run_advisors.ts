/**
 * The advisors of the Supabase CLI.
 *
 * @module
 */

/** The same version as migrates; see local/postgres/migrate.ts. */
const CLI = "npm:supabase@2.117.0";

/**
 * Check a database.
 *
 * @param databaseUrl A database with all migrations applied.
 * @returns `code` 1 where something of level warn or error was found, and what the CLI printed.
 */
export async function runAdvisors(databaseUrl: string): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      CLI,
      "db",
      "advisors",
      "--db-url",
      `${databaseUrl}?sslmode=disable`,
      "--level",
      "warn",
      "--fail-on",
      "warn",
    ],
    cwd: new URL("..", import.meta.url),
    env: { DO_NOT_TRACK: "1", SUPABASE_TELEMETRY_DISABLED: "1", NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  return { code, output: text.decode(stderr) + text.decode(stdout) };
}
