/**
 * `deno task start`: Supabase on this machine, without Docker. Reads the options, starts the stack,
 * prints how to reach it, and runs until a signal ends it.
 *
 * @module
 */

import { resolve } from "node:path";
import { explainError } from "../cli/command.ts";
import { CommandError } from "../cli/command_error.ts";
import { readArguments, wholeNumber } from "../cli/options.ts";
import { banner } from "./banner.ts";
import { REQUEST_LIMITS } from "./gateway/request_limits.ts";
import { watchLauncher } from "./launcher.ts";
import { logInfo, logWarning, print, sendConsoleToStderr } from "./log.ts";
import { type Stack, startStack } from "./stack.ts";

const HELP = `Starts Supabase on this machine: Postgres, Auth, REST and Edge Functions.

Usage: deno task start [options]

  --port <number>    where to listen on 127.0.0.1; 0 is any free port
                     (without it: [api] port of supabase/config.toml)
  --ephemeral        work on a fresh database that is removed at the end
  --json             print one line of JSON when ready, and nothing else, on stdout
  --max-requests <n> calls of functions at a time; more get 503 with Retry-After (${REQUEST_LIMITS.maxRequests})
  --with-fake-kapso  run a fake Kapso, whose customers write to the demo number
  --watch            restart a function when its files change (deno task dev)
  --workdir <folder> the project to start (without it: the one this program belongs to)
  --help             print this help

Data and secrets are kept in .local/ of the project. Delete that folder to start over.`;

interface Options {
  readonly port: number | undefined;
  readonly ephemeral: boolean;
  readonly json: boolean;
  readonly watch: boolean;
  readonly maxRequests: number;
  readonly withFakeKapso: boolean;
  readonly workdir: string;
}

/** Reads the options; undefined for `--help`. */
function readOptions(args: string[]): Options | undefined {
  const { values } = readArguments({
    args,
    options: {
      port: { type: "string" },
      ephemeral: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      watch: { type: "boolean", default: false },
      "max-requests": { type: "string", default: `${REQUEST_LIMITS.maxRequests}` },
      "with-fake-kapso": { type: "boolean", default: false },
      workdir: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    port: values.port === undefined
      ? undefined
      : wholeNumber(values.port, "port", { min: 0, max: 65535 }),
    ephemeral: values.ephemeral,
    json: values.json,
    watch: values.watch,
    maxRequests: wholeNumber(values["max-requests"], "max-requests", { min: 1, max: 100_000 }),
    withFakeKapso: values["with-fake-kapso"],
    workdir: values.workdir ?? resolve(import.meta.dirname!, ".."),
  };
}

/** Runs the stack until a signal ends it. @returns the exit code. */
async function main(): Promise<number> {
  const options = readOptions(Deno.args);
  if (!options) {
    print(HELP);
    return 0;
  }
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const interruption = new AbortController();
  const end = () => {
    ask();
    interruption.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, end);
  }
  watchLauncher(end);
  let stack: Stack;
  try {
    stack = await startStack({
      folder: options.workdir,
      port: options.port,
      isThrowaway: options.ephemeral,
      isWatching: options.watch,
      hasFakeKapso: options.withFakeKapso,
      limits: { maxRequests: options.maxRequests },
      signal: interruption.signal,
    });
  } catch (error) {
    if (interruption.signal.aborted) return 0;
    throw error;
  }
  print(options.json ? JSON.stringify(stack.info) : banner(stack.info));
  await asked;
  if (!options.json) logInfo("stopping");
  await stack.stop();
  return 0;
}

sendConsoleToStderr();
// The database driver throws where nothing can catch when its server is killed, and must not end the rest of
// the stack.
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  logWarning(describe(event.error));
});
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  logWarning(describe(event.reason));
});
let code: number;
try {
  code = await main();
} catch (error) {
  const isSentence = error instanceof CommandError;
  logInfo(isSentence ? explainError("deno task start", error) : `error: ${describe(error)}`);
  code = isSentence ? error.exitCode : 1;
}
Deno.exit(code);

/** The message of a command error, the stack trace of any other. */
function describe(error: unknown): string {
  if (error instanceof CommandError) return error.message;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
