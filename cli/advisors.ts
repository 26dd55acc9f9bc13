/**
 * `deno task advisors`: runs the security and performance advisors of the Supabase CLI on a throw-away
 * database with all migrations. Ends with code 1 when they find something.
 *
 * @module
 */

import { SUPABASE_CLI } from "../local/supabase_cli.ts";
import { startStack } from "../local/spawn_stack.ts";

/**
 * Checks a database.
 *
 * @param databaseUrl A database with all migrations applied.
 * @returns `code` 1 if something of level warn or error was found, and what the CLI printed.
 */
export async function runAdvisors(databaseUrl: string): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      SUPABASE_CLI.program,
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
    env: SUPABASE_CLI.env,
  }).output();
  const text = new TextDecoder();
  return { code, output: text.decode(stderr) + text.decode(stdout) };
}

if (import.meta.main) {
  await using stack = await startStack();
  const { code, output } = await runAdvisors(stack.info.db_url);
  await Deno.stdout.write(new TextEncoder().encode(output));
  Deno.exitCode = code;
}
