/**
 * The command line of `deno task doctor`.
 *
 * @module
 */

import { readArguments } from "../options.ts";

/** What `--help` prints. */
export const HELP = `Checks a project, and says what to do about each problem.

  deno task doctor [options]

  --json    print the checks as JSON
  --help

Environment:
  SUPABASE_URL, SUPABASE_SECRET_KEY   the project; otherwise the one of deno task start

Exit code: 0 no problem, 1 a problem, 2 wrong options. Warnings are no problem.
docs/operations.md, Health, has more.
`;

/** The parsed command line. */
export interface DoctorOptions {
  isJson: boolean;
}

/**
 * Reads the arguments.
 *
 * @returns The options, or `"help"`.
 * @throws {CommandError} with exit code 2, saying what to change.
 */
export function readOptions(args: readonly string[]): DoctorOptions | "help" {
  const { values } = readArguments({
    args: [...args],
    options: { help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
  });
  return values.help ? "help" : { isJson: values.json ?? false };
}
