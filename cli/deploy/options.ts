/**
 * The command line of `deno task deploy`.
 *
 * @module
 */

import { usageError } from "../command_error.ts";
import { notEmpty, oneOf, readArguments } from "../options.ts";

/** What `--help` prints. */
export const HELP =
  `Deploys this checkout to a hosted Supabase project, step by step, and checks it.

  deno task deploy --project-ref <ref> [options]

  --project-ref <ref>        the 20 letters in the address of the project
  --env-file <file>          settings of the functions to set as secrets; supabase/functions/.env.example lists them
  --sign-up open|closed      who may create an account: anyone, or only people you invite. Asked without it
  --app-url <url>            where the app will be: links in emails lead there
  --read-url <url>           read replica or load balancer that the app reads from
  --workdir <folder>         the folder that holds supabase/, if it is not this one
  --dry-run                  print what would be done, and change nothing
  --help

Each step looks first and changes only what differs. If one fails, run the same command again.

Environment:
  SUPABASE_ACCESS_TOKEN   required: https://supabase.com/dashboard/account/tokens
  SUPABASE_DB_PASSWORD    password of the database; without it, a login for some minutes is created
  SUPABASE_URL            address of the project, if it has a domain of its own
  SUPABASE_API_URL        address of the Management API, if it is not https://api.supabase.com

Exit code: 0 done and no problem, 1 a step failed or the project has a problem, 2 wrong options.
docs/guides/deploy.md has more.
`;

/** The parsed command line. */
export interface DeployOptions {
  readonly ref: string;
  readonly envFile: string | undefined;
  readonly signUp: "open" | "closed" | undefined;
  /** Without a slash at its end. */
  readonly appUrl: string | undefined;
  /** Without a slash at its end. */
  readonly readUrl: string | undefined;
  /** The folder that holds `supabase/`; undefined: this one. */
  readonly workdir: string | undefined;
  readonly isDryRun: boolean;
}

/**
 * Reads the arguments.
 *
 * @returns The options, or `"help"`.
 * @throws {CommandError} with exit code 2, saying what to change.
 */
export function readOptions(args: readonly string[]): DeployOptions | "help" {
  const { values } = readArguments({
    args: [...args],
    options: {
      help: { type: "boolean", short: "h" },
      "project-ref": { type: "string" },
      "env-file": { type: "string" },
      "sign-up": { type: "string" },
      "app-url": { type: "string" },
      "read-url": { type: "string" },
      workdir: { type: "string" },
      "dry-run": { type: "boolean" },
    },
  });
  if (values.help) return "help";
  if (values["project-ref"] === undefined) throw usageError("--project-ref is missing.");
  return {
    ref: notEmpty(values["project-ref"], "project-ref"),
    envFile: values["env-file"] === undefined
      ? undefined
      : notEmpty(values["env-file"], "env-file"),
    signUp: values["sign-up"] === undefined
      ? undefined
      : oneOf(values["sign-up"], "sign-up", ["open", "closed"] as const),
    appUrl: readUrl("app-url", values["app-url"]),
    readUrl: readUrl("read-url", values["read-url"]),
    workdir: values.workdir === undefined ? undefined : notEmpty(values.workdir, "workdir"),
    isDryRun: values["dry-run"] ?? false,
  };
}

function readUrl(name: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const url = URL.parse(text.trim());
  if (url === null || !/^https?:$/u.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw usageError(`--${name} must be an address like https://inbox.example.com.`);
  }
  return url.href.replace(/\/+$/u, "");
}
