/**
 * Starts a stack for tests and tools: `deno task start --ephemeral` in a process of its own, on free ports and a
 * fresh database.
 *
 * @module
 */

import { resolve } from "node:path";
import type { StackInfo } from "./stack.ts";

/** Options of {@linkcode startStack}. */
export interface StartStackOptions {
  /** The project folder; without it, this repository. */
  readonly workdir?: string;
  /** Restart functions when their files change. */
  readonly watch?: boolean;
  /** Options of `local/main.ts` instead of those of an ephemeral stack that takes every request. */
  readonly args?: readonly string[];
  /** Limits the files and connections that the stack may have open, as an administrator may. */
  readonly maxOpenFiles?: number;
  /** More environment, e.g. where the functions find a fake Kapso. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A stack that a test may use, and stop if it started it. */
export interface Stack extends AsyncDisposable {
  readonly info: StackInfo;
  /** The process id; undefined for a stack that the test runner started. */
  readonly pid: number | undefined;
  /** Its output on stderr so far. */
  log(): string;
  /** Stops it and resolves to its exit code. A shared stack keeps running. */
  stop(signal?: "SIGTERM" | "SIGINT"): Promise<number>;
  /** Kills it without a chance to clean up. */
  kill(): Promise<void>;
}

const MAIN = resolve(import.meta.dirname!, "./main.ts");
/** Tests at full size send hundreds of requests at once, more than a person's machine takes by default. */
export const MAX_REQUESTS = "2000";

/**
 * Starts a stack and resolves when it is ready.
 *
 * @throws If it ends before that, with its output on stderr.
 */
export async function startStack(options: StartStackOptions = {}): Promise<Stack> {
  const deno = [
    Deno.execPath(),
    "run",
    "-A",
    "--quiet",
    MAIN,
    "--json",
    ...(options.args ?? ["--ephemeral", "--port", "0", "--max-requests", MAX_REQUESTS]),
    ...(options.workdir === undefined ? [] : ["--workdir", options.workdir]),
    ...(options.watch ? ["--watch"] : []),
  ];
  const [program, ...args] = options.maxOpenFiles === undefined
    ? deno
    : ["sh", "-c", `ulimit -n ${options.maxOpenFiles} && exec "$@"`, "sh", ...deno];
  const child = new Deno.Command(program!, {
    args,
    ...(options.env === undefined ? {} : { env: options.env }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

  let log = "";
  const stderr = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text;
  })();
  const { promise: line, resolve: resolveLine } = Promise.withResolvers<string | undefined>();
  const stdout = (async () => {
    let text = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) resolveLine(text.slice(0, end));
    }
    resolveLine(undefined);
  })();

  const end = async () => {
    const { code } = await child.status;
    await Promise.all([stderr, stdout]);
    return code;
  };
  const json = await line;
  if (json === undefined) {
    throw new Error(`the stack ended with code ${await end()}:\n${log}`);
  }
  const stop = async (name: "SIGTERM" | "SIGINT" = "SIGTERM") => {
    signal(child, name);
    return await end();
  };
  return {
    info: JSON.parse(json),
    pid: child.pid,
    log: () => log,
    stop,
    async kill() {
      signal(child, "SIGKILL");
      await end();
    },
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/**
 * Returns the stack that the test runner has started (its JSON line is in `TEST_STACK`), or starts one for a test
 * file that runs alone.
 */
export async function sharedStack(): Promise<Stack> {
  const line = Deno.env.get("TEST_STACK");
  if (!line) return await startStack();
  return {
    info: JSON.parse(line),
    pid: undefined,
    log: () => "",
    stop: () => Promise.resolve(0),
    kill: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch { /* It has ended already. */ }
}
