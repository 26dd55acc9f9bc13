/**
 * `deno task advisors`: runs the security and performance advisors of the Supabase CLI on a throw-away
 * database with all migrations. Ends with code 1 when they find something.
 *
 * @module
 */

import * as z from "zod";
import { cliDatabase, SUPABASE_CLI } from "../local/supabase_cli.ts";
import { startStack } from "../local/spawn_stack.ts";

const findingsSchema = z.array(z.looseObject({
  name: z.string(),
  detail: z.string(),
  metadata: z.looseObject({ name: z.string().optional(), schema: z.string().optional() }),
}));

/** What an advisor has found, of level warn or error. */
export type Finding = z.output<typeof findingsSchema>[number];

/**
 * Checks a database.
 *
 * @param databaseUrl A database with all migrations applied.
 * @throws {Error} when the advisors could not be run.
 */
export async function runAdvisors(databaseUrl: string): Promise<Finding[]> {
  const target = cliDatabase(databaseUrl);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...SUPABASE_CLI.args,
      "db",
      "advisors",
      ...target.args,
      "--level",
      "warn",
    ],
    cwd: new URL("..", import.meta.url),
    env: { ...SUPABASE_CLI.env, ...target.env },
  }).output();
  const [output, log] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (success && /No issues found/.test(`${output}${log}`)) return [];
  const list = output!.slice(output!.indexOf("["));
  if (!success || list === "") throw new Error(`the advisors could not be run:\n${log}${output}`);
  return findingsSchema.parse(JSON.parse(list));
}

if (import.meta.main) {
  await using stack = await startStack();
  const findings = await runAdvisors(stack.info.db_url);
  const lines = [
    ...findings.map(({ name, detail }) => `${name}: ${detail}`),
    `${findings.length} findings`,
  ];
  await Deno.stdout.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
  if (findings.length > 0) Deno.exitCode = 1;
}
