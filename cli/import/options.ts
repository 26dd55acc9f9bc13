/**
 * The command line of `deno task import`.
 *
 * @module
 */

import { usageError } from "../command_error.ts";
import {
  isHeaderSafe,
  notEmpty,
  oneOf,
  pointInTime,
  readArguments,
  wholeNumber,
} from "../options.ts";
import { type Platform, PLATFORMS } from "./import_item.ts";
import type { DateOrder } from "./whatsapp_lines.ts";

/** What `--help` prints. */
export const HELP = `Imports exported chats through the messaging-ingest API.

  deno task import <file> … --connection <id> [options]

Files: result.json of Telegram Desktop (one chat or a whole account), or what WhatsApp's
“Export chat” makes (.txt or .zip). Running it again adds only what is new.

  --connection <id>     connection to import into             (or MESSAGING_CONNECTION_ID)
  --url <address>       the project, http://127.0.0.1:54321   (or SUPABASE_URL)
  --key <key>           API key of the connection. Prefer MESSAGING_API_KEY:
                        other users of the machine can see command lines
  --platform <name>     whatsapp, telegram, signal or wechat; otherwise the one of the file
  --me <name>           your name (or Telegram id) in the export
  --participant <phone> the other party of a WhatsApp chat, like "+62 812 …"
  --chat <name or id>   Telegram: only this chat; may be repeated
                        WhatsApp: the chat's name, if the file name does not say it
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
  /** Notes to print before the import begins. */
  warnings: string[];
}

const DATE_ORDERS: readonly DateOrder[] = ["dmy", "mdy", "ymd"];

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
): ImportOptions | "help" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  if (positionals.length === 0) throw usageError("Give at least one exported file.");

  const warnings: string[] = [];
  const isDryRun = values["dry-run"] ?? false;
  if (values.key !== undefined) {
    warnings.push("Other users can see --key in the process list. Use MESSAGING_API_KEY instead.");
  }
  const apiKey = (values.key ?? env.MESSAGING_API_KEY ?? "").trim();
  const connectionId = (values.connection ?? env.MESSAGING_CONNECTION_ID ?? "").trim();
  if (!isDryRun) {
    if (apiKey === "") throw usageError("Set MESSAGING_API_KEY to the API key of the connection.");
    // `fetch` would throw an error that shows the key.
    if (!isHeaderSafe(apiKey)) throw usageError("The API key has characters that no key has.");
    if (connectionId === "") {
      throw usageError("Give the connection to import into: --connection <id>.");
    }
  }
  const url = values.url ?? (env.SUPABASE_URL || "http://127.0.0.1:54321");
  if (/^http:\/\/(?!127\.|localhost|\[::1\])/iu.test(url)) {
    warnings.push("The address is http, so the key and the messages are sent unencrypted.");
  }

  const batch = wholeNumber(values.batch ?? "500", "batch", { min: 1, max: 5000 });
  const timeZone = values["time-zone"] ?? Temporal.Now.timeZoneId();
  try {
    Temporal.Now.zonedDateTimeISO(timeZone);
  } catch {
    throw usageError("--time-zone must be a name like Asia/Jakarta.");
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
    options.platform = oneOf(values.platform, "platform", PLATFORMS);
  }
  if (values["date-order"] !== undefined) {
    options.dateOrder = oneOf(values["date-order"], "date-order", DATE_ORDERS);
  }
  if (values.until !== undefined) options.until = pointInTime(values.until, "until", timeZone);
  if (positionals.length > 1 && options.participant !== undefined) {
    throw usageError("--participant belongs to one chat. Import such files one at a time.");
  }
  return options;
}

function parse(args: readonly string[]) {
  return readArguments({
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
}
