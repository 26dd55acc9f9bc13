/**
 * `deno task import`: brings exported Telegram and WhatsApp chats in through the messaging-ingest API.
 *
 * Reads the command line and prints; the work is in `import/`. Prints no message text and no key.
 *
 * @module
 */

import { createIngestClient, ingestUrl } from "./ingest_client.ts";
import { ImportProblem } from "./import_item.ts";
import { HELP, type ImportOptions, readOptions } from "./options.ts";
import { createProgress } from "./progress.ts";
import { exitCodeOf, formatSummary, runImport, summaryToJson } from "./run.ts";
import { openSource, type Source } from "./source_files.ts";

async function main(args: string[]): Promise<number> {
  try {
    const options = readOptions(args, Deno.env.toObject());
    if (options === "help") {
      print(HELP);
      return 0;
    }
    return await importFiles(options);
  } catch (error) {
    if (!(error instanceof ImportProblem)) throw error;
    printError(`${error.message}\n`);
    if (error.kind === "failed") return 1;
    printError("deno task import --help shows all options.\n");
    return 2;
  }
}

async function importFiles(options: ImportOptions): Promise<number> {
  const { isDryRun, isJson, files, batch, until } = options;
  for (const warning of options.warnings) printError(`Note: ${warning}\n`);
  const url = ingestUrl(options.url);

  // All files are understood before the first message is sent: a wrong option leaves nothing half done.
  const sources: Source[] = [];
  for (const file of files) {
    sources.push(await openSource(file, { ...options, hashAttachments: !isDryRun }));
  }
  const platforms = new Set(sources.map((source) => source.platform));
  if (platforms.size > 1 && options.platform === undefined) {
    throw new ImportProblem(
      "usage",
      "A connection belongs to one platform. Import Telegram and WhatsApp files separately.",
    );
  }
  if (sources.length > 1 && options.chats.length > 0 && platforms.has("whatsapp")) {
    throw new ImportProblem("usage", "--chat names one WhatsApp chat. Import them one at a time.");
  }
  for (const { name, description } of sources) printError(`${name}: ${description}\n`);
  if (platforms.has("whatsapp") && !options.isTimeZoneGiven) {
    printError(`Times are taken as ${options.timeZone}; --time-zone changes that.\n`);
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
          onRetry: ({ reason, attempt, retriesLeft }) =>
            progress.note(`${reason}. Trying again (${attempt} of ${attempt - 1 + retriesLeft}).`),
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

function print(text: string): void {
  writeAll(Deno.stdout, text);
}

function printError(text: string): void {
  writeAll(Deno.stderr, text);
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
