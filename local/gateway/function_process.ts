/**
 * One Edge Function in a process of its own, on the Deno and with the permissions of the hosted Edge Runtime: the
 * network, its environment and the name of the host. Files are further out of reach than on hosted, where a function
 * sees its own code and a temporary folder.
 *
 * @module
 */

import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { forEachLine, logFrom } from "../log.ts";
import { EDGE_DENO_OPTIONS, EDGE_PRELUDE, type EdgeDeno } from "./edge_deno.ts";
import { canConnect, findFreePort, LOOPBACK } from "../ports.ts";

/** What a process needs. */
export interface FunctionProcessOptions {
  readonly name: string;
  readonly deno: EdgeDeno;
  readonly entrypoint: string;
  readonly importMap?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** Long enough to download packages at the first start. */
const BOOT_TIMEOUT_MS = 120_000;
const POLL_MS = 10;
const STOP_TIMEOUT_MS = 2_000;

/** Variables of the stack that Deno itself needs to download packages. */
const INHERITED = [
  "PATH",
  "HOME",
  "USERPROFILE",
  "LOCALAPPDATA",
  "TMPDIR",
  "DENO_CERT",
  "SSL_CERT_FILE",
  "NPM_CONFIG_REGISTRY",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
];

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

  /** Its id at the operating system. */
  get pid(): number {
    return this.#child.pid;
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
  const { name, deno, entrypoint, importMap, env } = options;
  const child = new Deno.Command(deno.program, {
    args: [
      "run",
      ...EDGE_DENO_OPTIONS,
      "--no-prompt",
      "--allow-net",
      "--allow-env",
      "--allow-import",
      "--allow-sys=hostname",
      ...(importMap ? [`--import-map=${importMap}`] : []),
      mainModule([...EDGE_PRELUDE, pathToFileURL(entrypoint)]),
      `${port}`,
    ],
    cwd: dirname(entrypoint),
    clearEnv: true,
    env: {
      ...inheritedEnv(),
      ...deno.env,
      ...env,
    },
    // Otherwise Ctrl-C ends functions before the requests they are answering.
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log = (line: string) => logFrom(name, line);
  forEachLine(child.stdout, log);
  forEachLine(child.stderr, log);
  return child;
}

/** A module that imports others in this order. Without a file, because a project's folder may be read only. */
function mainModule(modules: readonly URL[]): string {
  const code = modules.map(({ href }) => `import ${JSON.stringify(href)};`).join("");
  return `data:application/typescript,${encodeURI(code)}`;
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
