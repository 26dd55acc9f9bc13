/**
 * `deno task kapso:sync`: fetches the history of a workspace's Kapso numbers, through the function
 * kapso-sync. Reads the command line and prints; the work is in this folder. Prints no message text and
 * no key.
 *
 * @module
 */

import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { Problem } from "../../usage_error.ts";
import { syncKapso } from "./command.ts";
import { createDisplay } from "./display.ts";
import { HELP, readOptions, type SyncOptions } from "./options.ts";
import { findProject } from "./project.ts";
import { createJsonReport, createTextReport } from "./report.ts";

/** Milliseconds within which two signals are one key. */
const SAME_KEY_MS = 500;
const ROOT = resolve(import.meta.dirname!, "../../..");

async function main(args: string[]): Promise<number> {
  try {
    const env = Deno.env.toObject();
    const options = readOptions(args, env);
    if (options === "help") {
      print(HELP);
      return 0;
    }
    return await sync(options, env);
  } catch (error) {
    // Whoever read the output has gone, as head does: the run is put down, and the next one goes on.
    if (error instanceof Deno.errors.BrokenPipe) return 1;
    if (!(error instanceof Problem)) throw error;
    printError(`✗ ${error.message}\n`);
    return 1;
  }
}

async function sync(options: SyncOptions, env: Record<string, string>): Promise<number> {
  const project = await findProject(env, ROOT);
  if (/^http:\/\/(?!127\.|localhost[:/]|\[::1\])/iu.test(`${project.url}/`)) {
    printError("Note: SUPABASE_URL is http, so the key travels unencrypted.\n");
  }
  const report = options.isJson
    ? createJsonReport(print, printError)
    : createTextReport(createDisplay(Deno.stdout.isTerminal(), print), printError);
  const stop = new AbortController();
  let askedAt = 0;
  const interrupt = () => {
    if (stop.signal.aborted) {
      // One Ctrl-C can come twice: from the terminal, and from deno task, which passes it on.
      if (performance.now() - askedAt < SAME_KEY_MS) return;
      report.close();
      Deno.exit(130);
    }
    report.note("Stopping after the page that is being stored. Press Ctrl-C again to end at once.");
    askedAt = performance.now();
    stop.abort();
  };
  Deno.addSignalListener("SIGINT", interrupt);
  Deno.addSignalListener("SIGTERM", interrupt);
  try {
    return await syncKapso({
      project,
      report,
      delay: (ms, signal) => delay(ms, undefined, { signal }),
      stop: stop.signal,
    }, options);
  } finally {
    report.close();
    Deno.removeSignalListener("SIGINT", interrupt);
    Deno.removeSignalListener("SIGTERM", interrupt);
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
