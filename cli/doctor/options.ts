/**
 * The command line of `deno task doctor`.
 *
 * @module
 */

import { readArguments } from "../options.ts";

/** What `--help` prints. */
export const HELP = `Checks a project, and says what to do about each problem.

  deno task doctor [options]

  --project-ref <ref>   a hosted project, found with SUPABASE_ACCESS_TOKEN
  --json                print the checks as JSON
  --help

Environment:
  SUPABASE_URL, SUPABASE_SECRET_KEY   the project; otherwise the one of deno task start
  SUPABASE_ACCESS_TOKEN               with --project-ref: https://supabase.com/dashboard/account/tokens

Exit code: 0 no problem, 1 a problem, 2 wrong options. Warnings are no problem.
docs/operations.md, Health, has more.
`;

/** The parsed command line. */
export interface DoctorOptions {
  isJson: boolean;
  /** The hosted project; undefined: the one of the environment or of this machine. */
  ref: string | undefined;
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
    options: {
      help: { type: "boolean", short: "h" },
      json: { type: "boolean" },
      "project-ref": { type: "string" },
    },
  });
  if (values.help) return "help";
  return { isJson: values.json ?? false, ref: values["project-ref"] };
}
