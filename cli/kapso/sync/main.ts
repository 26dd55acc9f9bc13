/**
 * `deno task kapso:sync`: fetches the history of a workspace's Kapso numbers through the function kapso-sync.
 * Reads the command line and prints; the other files do the work. Prints no message text and no key.
 *
 * @module
 */

import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { print, printError, runCommand } from "../../command.ts";
import { syncKapso } from "./command.ts";
import { createDisplay } from "./display.ts";
import { HELP, readOptions, type SyncOptions } from "./options.ts";
import { findProject } from "../../project.ts";
import { createJsonReport, createTextReport } from "./report.ts";

/** Two signals within this many milliseconds count as one key press. */
const SAME_KEY_MS = 500;
const ROOT = resolve(import.meta.dirname!, "../../..");

async function main(args: string[]): Promise<number> {
  const env = Deno.env.toObject();
  const options = readOptions(args, env);
  if (options !== "help") return await sync(options, env);
  print(HELP);
  return 0;
}

async function sync(options: SyncOptions, env: Record<string, string>): Promise<number> {
  const project = await findProject(env, ROOT);
  if (/^http:\/\/(?!127\.|localhost[:/]|\[::1\])/iu.test(`${project.url}/`)) {
    printError("Note: SUPABASE_URL is http, so the key is sent unencrypted.\n");
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
    report.note("Stopping after the current page. Press Ctrl-C again to stop now.");
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

if (import.meta.main) await runCommand("deno task kapso:sync", main);
