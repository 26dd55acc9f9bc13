/**
 * `deno task import`: imports exported Telegram and WhatsApp chats through the messaging-ingest API.
 *
 * Reads the command line and prints; the other files do the work. Prints no message text and no key.
 *
 * @module
 */

import { print, printError, runCommand } from "../command.ts";
import { usageError } from "../command_error.ts";
import { createIngestClient, ingestUrl } from "./ingest_client.ts";
import { HELP, type ImportOptions, readOptions } from "./options.ts";
import { createProgress } from "./progress.ts";
import { exitCodeOf, formatSummary, runImport, summaryToJson } from "./run.ts";
import { openSource, type Source } from "./source_files.ts";

async function main(args: string[]): Promise<number> {
  const options = readOptions(args, Deno.env.toObject());
  if (options !== "help") return await importFiles(options);
  print(HELP);
  return 0;
}

async function importFiles(options: ImportOptions): Promise<number> {
  const { isDryRun, isJson, files, batch, until } = options;
  for (const warning of options.warnings) printError(`Note: ${warning}\n`);
  const url = ingestUrl(options.url);

  // Reads all files before it sends the first message: a wrong option leaves nothing half done.
  const sources: Source[] = [];
  for (const file of files) {
    sources.push(await openSource(file, { ...options, hashAttachments: !isDryRun }));
  }
  const platforms = new Set(sources.map((source) => source.platform));
  if (platforms.size > 1 && options.platform === undefined) {
    throw usageError(
      "A connection belongs to one platform. Import Telegram and WhatsApp files separately.",
    );
  }
  if (sources.length > 1 && options.chats.length > 0 && platforms.has("whatsapp")) {
    throw usageError("--chat names one WhatsApp chat. Import them one at a time.");
  }
  for (const { name, description } of sources) printError(`${name}: ${description}\n`);
  if (platforms.has("whatsapp") && !options.isTimeZoneGiven) {
    printError(`Times are read as ${options.timeZone}; --time-zone changes that.\n`);
  }

  const controller = new AbortController();
  const interrupt = () => controller.abort();
  Deno.addSignalListener("SIGINT", interrupt);
  const progress = createProgress(Deno.stderr.isTerminal(), printError);
  try {
    const { signal } = controller;
    const summary = await runImport(sources, {
      batch,
      progress,
      signal,
      ...(until === undefined ? {} : { until }),
      ...(isDryRun ? {} : {
        client: createIngestClient({
          url,
          apiKey: options.apiKey,
          connectionId: options.connectionId,
          platform: options.platform ?? sources[0]!.platform,
          signal,
          onRetry: ({ reason, attempt, retries }) =>
            progress.note(`${reason}. Retrying (${attempt} of ${retries}).`),
        }),
      }),
    });
    print(isJson ? summaryToJson(summary, isDryRun) : formatSummary(summary, isDryRun));
    print("\n");
    return exitCodeOf(summary);
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

if (import.meta.main) await runCommand("deno task import", main);
