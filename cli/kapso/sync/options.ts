/**
 * The command line of `deno task kapso:sync`.
 *
 * @module
 */

import { usageError } from "../../command_error.ts";
import { isHeaderSafe, pointInTime, readArguments, wholeNumber } from "../../options.ts";

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
  SUPABASE_URL, SUPABASE_SECRET_KEY   the project; otherwise the one of deno task start
  KAPSO_API_KEY                             instead of the key that the project has for the number

Exit code: 0 all done, 1 failed, 2 wrong options, 3 some conversations or numbers failed, 130 stopped
by Ctrl-C.
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
 * @throws {CommandError} with exit code 2, saying what to change.
 */
export function readOptions(
  args: readonly string[],
  env: Record<string, string | undefined>,
): SyncOptions | "help" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  if (positionals.length > 1) throw usageError("Give one workspace at a time.");
  const workspace = positionals[0]?.trim();
  if (workspace === "") throw usageError("The workspace's slug must not be empty.");
  const connection = (values.connection ?? env.PHONE_NUMBER_ID)?.trim();
  const kapsoApiKey = env.KAPSO_API_KEY?.trim();
  // `fetch` would throw an error that shows the key.
  if (kapsoApiKey && !isHeaderSafe(kapsoApiKey)) {
    throw usageError("KAPSO_API_KEY has characters that no key has.");
  }
  return {
    messages: values.messages === "all" ? "all" : wholeNumber(values.messages ?? "50", "messages", {
      min: 1,
      max: 1_000_000,
      or: ", or all",
    }),
    delayMs: wholeNumber(values["delay-ms"] ?? "100", "delay-ms", { min: 0, max: 10_000 }),
    isDryRun: values["dry-run"] ?? false,
    isJson: values.json ?? false,
    ...(workspace ? { workspace } : {}),
    ...(connection ? { connection } : {}),
    ...(kapsoApiKey ? { kapsoApiKey } : {}),
    ...(values.since === undefined ? {} : { since: pointInTime(values.since, "since") }),
  };
}

function parse(args: readonly string[]) {
  return readArguments({
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
}
