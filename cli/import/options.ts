/**
 * The command line of `deno task import`.
 *
 * @module
 */

import { parseArgs } from "node:util";

import { ImportProblem, type Platform, PLATFORMS } from "./import_item.ts";
import type { DateOrder } from "./whatsapp_lines.ts";

/** What `--help` prints. */
export const HELP = `Imports exported chats through the messaging-ingest API.

  deno task import <file> … --connection <id> [options]

Files: result.json of Telegram Desktop (one chat or a whole account), or what WhatsApp's
“Export chat” makes (.txt or .zip). Running it again adds only what is new.

  --connection <id>     connection to import into             (or MESSAGING_CONNECTION_ID)
  --url <address>       the project, http://127.0.0.1:54321   (or SUPABASE_URL)
  --key <key>           API key of the connection. Better set MESSAGING_API_KEY:
                        other users of the machine can see command lines
  --platform <name>     whatsapp, telegram, signal or wechat; otherwise what the file is from
  --me <name>           your name (or Telegram id) in the export
  --participant <phone> the other party of a WhatsApp chat, like "+62 812 …"
  --chat <name or id>   Telegram: only this chat; may be repeated
                        WhatsApp: the chat's name, where the file name does not tell it
  --time-zone <zone>    where the exporting phone was, like Asia/Jakarta; otherwise this machine's
  --date-order <order>  dmy, mdy or ymd; otherwise detected
  --until <time>        only messages before it, like 2026-02-01 or 2026-02-01T09:00
  --batch <count>       messages per request, 1 to 5000; 500
  --dry-run             read the files and send nothing
  --json                print the summary as one line of JSON
  --help

Exit code: 0 all stored, 1 nothing stored, 2 wrong options, 3 partly stored.
docs/cli/import.md has more.
`;

/** The parsed command line. */
export interface ImportOptions {
  files: string[];
  url: string;
  /** Empty in a dry run. */
  apiKey: string;
  /** Empty in a dry run. */
  connectionId: string;
  platform?: Platform;
  me?: string;
  participant?: string;
  chats: string[];
  timeZone: string;
  isTimeZoneGiven: boolean;
  dateOrder?: DateOrder;
  until?: string;
  batch: number;
  isDryRun: boolean;
  isJson: boolean;
  /** Things worth saying before the import begins. */
  warnings: string[];
}

const DATE_ORDERS: readonly DateOrder[] = ["dmy", "mdy", "ymd"];

/**
 * Reads arguments and environment.
 *
 * @param args The arguments after the script's name.
 * @param env The environment.
 * @returns The options, or `"help"`.
 * @throws {ImportProblem} Of kind `usage`, saying what to change.
 */
export function readOptions(
  args: readonly string[],
  env: Record<string, string | undefined>,
): ImportOptions | "help" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  if (positionals.length === 0) throw usage("Give at least one exported file.");

  const warnings: string[] = [];
  const isDryRun = values["dry-run"] ?? false;
  if (values.key !== undefined) {
    warnings.push("--key can be seen in the process list; MESSAGING_API_KEY cannot.");
  }
  const apiKey = (values.key ?? env.MESSAGING_API_KEY ?? "").trim();
  const connectionId = (values.connection ?? env.MESSAGING_CONNECTION_ID ?? "").trim();
  if (!isDryRun) {
    if (apiKey === "") throw usage("Set MESSAGING_API_KEY to the API key of the connection.");
    // Anything else makes fetch throw an error that shows the value.
    if (!/^[\x21-\x7e]+$/u.test(apiKey)) throw usage("The API key has characters no key has.");
    if (connectionId === "") throw usage("Give the connection to import into: --connection <id>.");
  }
  const url = values.url ?? (env.SUPABASE_URL || "http://127.0.0.1:54321");
  if (/^http:\/\/(?!127\.|localhost|\[::1\])/iu.test(url)) {
    warnings.push("The address is http, so the key and the messages travel unencrypted.");
  }

  const batch = Number(values.batch ?? 500);
  if (!Number.isInteger(batch) || batch < 1 || batch > 5000) {
    throw usage("--batch must be a number from 1 to 5000.");
  }
  const timeZone = values["time-zone"] ?? Temporal.Now.timeZoneId();
  try {
    Temporal.Now.zonedDateTimeISO(timeZone);
  } catch {
    throw usage("--time-zone must be a name like Asia/Jakarta.");
  }
  const options: ImportOptions = {
    files: positionals,
    url,
    apiKey,
    connectionId,
    chats: values.chat ?? [],
    timeZone,
    isTimeZoneGiven: values["time-zone"] !== undefined,
    batch,
    isDryRun,
    isJson: values.json ?? false,
    warnings,
  };
  const { me, participant } = values;
  if (me !== undefined) options.me = notEmpty(me, "me");
  if (participant !== undefined) options.participant = notEmpty(participant, "participant");
  if (values.platform !== undefined) {
    options.platform = oneOf(values.platform, PLATFORMS, "platform");
  }
  if (values["date-order"] !== undefined) {
    options.dateOrder = oneOf(values["date-order"], DATE_ORDERS, "date-order");
  }
  if (values.until !== undefined) options.until = toInstant(values.until, timeZone);
  if (positionals.length > 1 && options.participant !== undefined) {
    throw usage("--participant belongs to one chat. Import such files one at a time.");
  }
  return options;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        batch: { type: "string" },
        chat: { type: "string", multiple: true },
        connection: { type: "string" },
        "date-order": { type: "string" },
        "dry-run": { type: "boolean" },
        help: { type: "boolean", short: "h" },
        json: { type: "boolean" },
        key: { type: "string" },
        me: { type: "string" },
        participant: { type: "string" },
        platform: { type: "string" },
        "time-zone": { type: "string" },
        until: { type: "string" },
        url: { type: "string" },
      },
    });
  } catch (error) {
    throw usage(error instanceof Error ? error.message.split(". ")[0] + "." : String(error));
  }
}

function toInstant(value: string, timeZone: string): string {
  try {
    const instant = /(?:z|[+-]\d{2}:?\d{2})$/iu.test(value)
      ? Temporal.Instant.from(value)
      : Temporal.PlainDateTime.from(value).toZonedDateTime(timeZone).toInstant();
    return new Date(instant.epochMilliseconds).toISOString();
  } catch {
    throw usage("--until must be a date like 2026-02-01 or a time like 2026-02-01T09:00.");
  }
}

function oneOf<Value extends string>(
  value: string,
  allowed: readonly Value[],
  option: string,
): Value {
  const found = allowed.find((candidate) => candidate === value);
  if (!found) throw usage(`--${option} must be one of ${allowed.join(", ")}.`);
  return found;
}

function notEmpty(value: string, option: string): string {
  if (value.trim() === "") throw usage(`--${option} must not be empty.`);
  return value.trim();
}

function usage(message: string): ImportProblem {
  return new ImportProblem("usage", message);
}
