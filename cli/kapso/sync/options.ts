/**
 * The command line of `deno task kapso:sync`.
 *
 * @module
 */

import { parseArgs } from "node:util";

import { Problem } from "../../usage_error.ts";

/** What `--help` prints. */
export const HELP = `Fetches the history of a workspace's Kapso numbers.

  deno task kapso:sync [<workspace-slug>] [options]

Running it again adds only what is new. Without a slug: the only workspace with a Kapso number.

  --messages <count>    newest messages of each conversation, 1 to 1000000, or all; 50
  --delay-ms <ms>       pause between two conversations, 0 to 10000; 100
  --connection <id>     one number: connection_id, id or phone_number_id  (or PHONE_NUMBER_ID)
  --since <time>        only what Kapso stored since then, like 2026-02-01 or 2026-02-01T09:00
  --dry-run             read and count, store nothing
  --json                print events as NDJSON on standard output, and nothing else there
  --help

Environment:
  SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY   the project; otherwise the one of deno task start
  KAPSO_API_KEY                             instead of the key that the project has for the number

Exit code: 0 all done, 1 failed, 2 some conversations or numbers failed, 130 stopped by Ctrl-C.
docs/cli/kapso-sync.md has more.
`;

/** The parsed command line. */
export interface SyncOptions {
  /** Slug or id. */
  workspace?: string;
  /** connection_id, id or phone_number_id. */
  connection?: string;
  messages: number | "all";
  delayMs: number;
  /** ISO 8601, UTC. */
  since?: string;
  isDryRun: boolean;
  isJson: boolean;
  kapsoApiKey?: string;
}

/**
 * Reads arguments and environment.
 *
 * @param args The arguments after the script's name.
 * @param env The environment.
 * @returns The options, or `"help"`.
 * @throws {Problem} saying what to change.
 */
export function readOptions(
  args: readonly string[],
  env: Record<string, string | undefined>,
): SyncOptions | "help" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  if (positionals.length > 1) throw usage("Give one workspace at a time.");
  const workspace = positionals[0]?.trim();
  if (workspace === "") throw usage("The workspace's slug must not be empty.");
  const connection = (values.connection ?? env.PHONE_NUMBER_ID)?.trim();
  const kapsoApiKey = env.KAPSO_API_KEY?.trim();
  // Anything else makes fetch throw an error that shows the value.
  if (kapsoApiKey && !/^[\x21-\x7e]+$/u.test(kapsoApiKey)) {
    throw new Problem("KAPSO_API_KEY has characters no key has.");
  }
  return {
    messages: values.messages === "all"
      ? "all"
      : wholeNumber(values.messages ?? "50", 1, 1_000_000, "messages", ", or all"),
    delayMs: wholeNumber(values["delay-ms"] ?? "100", 0, 10_000, "delay-ms"),
    isDryRun: values["dry-run"] ?? false,
    isJson: values.json ?? false,
    ...(workspace ? { workspace } : {}),
    ...(connection ? { connection } : {}),
    ...(kapsoApiKey ? { kapsoApiKey } : {}),
    ...(values.since === undefined ? {} : { since: toInstant(values.since) }),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        connection: { type: "string" },
        "delay-ms": { type: "string" },
        "dry-run": { type: "boolean" },
        help: { type: "boolean", short: "h" },
        json: { type: "boolean" },
        messages: { type: "string" },
        since: { type: "string" },
      },
    });
  } catch (error) {
    throw usage(error instanceof Error ? error.message.split(". ")[0] + "." : String(error));
  }
}

function wholeNumber(text: string, min: number, max: number, option: string, or = ""): number {
  const value = /^\d+$/u.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw usage(`--${option} must be a whole number from ${min} to ${max}${or}.`);
}

function toInstant(text: string): string {
  try {
    const instant = /(?:z|[+-]\d{2}:?\d{2})$/iu.test(text)
      ? Temporal.Instant.from(text)
      : Temporal.PlainDateTime.from(text).toZonedDateTime(Temporal.Now.timeZoneId()).toInstant();
    return new Date(instant.epochMilliseconds).toISOString();
  } catch {
    throw usage("--since must be a date like 2026-02-01 or a time like 2026-02-01T09:00.");
  }
}

function usage(message: string): Problem {
  return new Problem(`${message}\ndeno task kapso:sync --help shows all options.`);
}
