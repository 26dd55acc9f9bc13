/**
 * One Edge Function in a Deno process of its own, as the hosted Edge Runtime isolates it: the process
 * may use the network and its environment, and nothing else of the machine.
 *
 * @module
 */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { forEachLine, logFrom } from "../log.ts";
import { canConnect, findFreePort, LOOPBACK } from "../ports.ts";

/** What a process needs. */
export interface FunctionProcessOptions {
  readonly name: string;
  readonly entrypoint: string;
  readonly importMap?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** Long enough to download packages at the first start. */
const BOOT_TIMEOUT_MS = 120_000;
const POLL_MS = 10;
const STOP_TIMEOUT_MS = 2_000;

/** Variables of the stack that Deno itself needs to find its cache and to download packages. */
const INHERITED = [
  "PATH",
  "HOME",
  "USERPROFILE",
  "LOCALAPPDATA",
  "TMPDIR",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  "DENO_TLS_CA_STORE",
  "DENO_CERT",
  "SSL_CERT_FILE",
  "NPM_CONFIG_REGISTRY",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
];

const parentWatch = fileURLToPath(new URL("function_parent_watch.ts", import.meta.url));

/** A function that answers requests on a port of its own. */
export class FunctionProcess {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  #hasExited = false;

  /** Its address. */
  readonly origin: string;
  /** Resolves to true when it accepts connections, to false if it ended instead; the log says why. */
  readonly ready: Promise<boolean>;

  /** Starts a function. */
  constructor(options: FunctionProcessOptions) {
    const port = findFreePort();
    this.#name = options.name;
    this.#child = spawn(options, port);
    this.#child.status.then(() => this.#hasExited = true);
    this.origin = `http://${LOOPBACK}:${port}`;
    this.ready = this.#waitUntilReady(port);
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Resolves when the process has gone, for any reason. */
  get exited(): Promise<unknown> {
    return this.#child.status;
  }

  /** Ends the process, and with it the requests it is answering. */
  async stop(): Promise<void> {
    if (this.#hasExited) return;
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#child.status;
    clearTimeout(timer);
  }

  async #waitUntilReady(port: number): Promise<boolean> {
    const deadline = Date.now() + BOOT_TIMEOUT_MS;
    while (!this.#hasExited) {
      if (await canConnect(port)) return true;
      if (Date.now() > deadline) {
        logFrom(this.#name, "does not call Deno.serve; stopped waiting for it");
        await this.stop();
      }
      await delay(POLL_MS);
    }
    return false;
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch { /* It has gone already. */ }
  }
}

function spawn(options: FunctionProcessOptions, port: number): Deno.ChildProcess {
  const { name, entrypoint, importMap, env } = options;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-net",
      "--allow-env",
      `--preload=${parentWatch}`,
      ...(importMap ? [`--import-map=${importMap}`] : []),
      entrypoint,
    ],
    cwd: dirname(entrypoint),
    clearEnv: true,
    env: {
      ...inheritedEnv(),
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      ...env,
      DENO_SERVE_ADDRESS: `tcp:${LOOPBACK}:${port}`,
    },
    // Otherwise Ctrl-C ends functions before the requests they are answering.
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log = (line: string) => {
    // Deno announces the port, which only the gateway should call.
    if (!line.startsWith("Listening on http://")) logFrom(name, line);
  };
  forEachLine(child.stdout, log);
  forEachLine(child.stderr, log);
  return child;
}

function inheritedEnv(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of INHERITED) {
    for (const spelling of [name, name.toLowerCase()]) {
      const value = Deno.env.get(spelling);
      if (value !== undefined) env[spelling] = value;
    }
  }
  return env;
}
