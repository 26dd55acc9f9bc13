/**
 * The functions of the project and their processes: the first request starts one, the next request restarts it
 * after a crash or a change, and the stack stops it.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import type { EdgeDeno } from "./edge_deno.ts";
import { FunctionProcess } from "./function_process.ts";
import { logInfo } from "../log.ts";
import type { Project, ProjectConfig } from "../project.ts";

/** What `Functions` needs. */
export interface FunctionsOptions {
  readonly project: Project;
  /** What runs them. */
  readonly deno: EdgeDeno;
  /** Variables of every function. `supabase/functions/.env` adds to them and may replace them. */
  readonly env: Readonly<Record<string, string>>;
}

/** The part of a function's settings that callers act on. */
export interface FunctionSettings {
  readonly name: string;
  readonly verifyJwt: boolean;
}

/** All functions of a project. */
export class Functions {
  readonly #project: Project;
  readonly #deno: EdgeDeno;
  readonly #env: Readonly<Record<string, string>>;
  /** Those that get the next request: running or starting. */
  readonly #processes = new Map<string, FunctionProcess>();
  /** Those that are being stopped. */
  readonly #leaving = new Set<Promise<void>>();
  #config: ProjectConfig["functions"];
  #isStopped = false;

  constructor(options: FunctionsOptions) {
    this.#project = options.project;
    this.#deno = options.deno;
    this.#env = options.env;
    this.#config = options.project.config.functions;
  }

  /** Finds a function by the name in its URL. */
  find(name: string): FunctionSettings | undefined {
    if (!this.#processes.has(name) && !this.#exists(name)) return undefined;
    return { name, verifyJwt: this.#config[name]?.verify_jwt ?? true };
  }

  /**
   * Returns the process of a function, after starting it if necessary. Callers that come during
   * the start wait for the same process.
   *
   * @returns undefined if the function does not start.
   */
  async ensureRunning(name: string): Promise<FunctionProcess | undefined> {
    let process = this.#processes.get(name);
    if (!process || process.hasExited) {
      if (this.#isStopped) return undefined;
      process = this.#start(name);
      this.#processes.set(name, process);
    }
    if (await process.ready) return process;
    // The next request retries: the cause may be gone by then.
    if (this.#processes.get(name) === process) this.#processes.delete(name);
    return undefined;
  }

  /** Makes the next request start a function with its new code; without a name, every function. */
  restart(name?: string): void {
    for (const [each, process] of [...this.#processes]) {
      if (name !== undefined && each !== name) continue;
      logInfo(`${each} has changed; the next request restarts it`);
      this.#processes.delete(each);
      this.#release(process);
    }
  }

  /** Applies new settings of `config.toml`, and restarts every function. */
  configure(config: ProjectConfig["functions"]): void {
    this.#config = config;
    this.restart();
  }

  /** Stops all processes. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const process of this.#processes.values()) this.#release(process);
    this.#processes.clear();
    await Promise.all(this.#leaving);
  }

  #release(process: FunctionProcess): void {
    const gone = process.stop();
    this.#leaving.add(gone);
    gone.finally(() => this.#leaving.delete(gone));
  }

  #start(name: string): FunctionProcess {
    const importMap = this.#config[name]?.import_map;
    return new FunctionProcess({
      name,
      deno: this.#deno,
      entrypoint: this.#entrypoint(name),
      importMap: importMap && resolve(this.#project.supabaseDir, importMap),
      env: { ...this.#env, ...readDotEnv(join(this.#project.functionsDir, ".env")) },
    });
  }

  #exists(name: string): boolean {
    // Folders that begin with `_` hold shared code. A name with other characters could leave the folder.
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name)) return false;
    if (this.#config[name]?.enabled === false) return false;
    try {
      return Deno.statSync(this.#entrypoint(name)).isFile;
    } catch {
      return false;
    }
  }

  #entrypoint(name: string): string {
    const configured = this.#config[name]?.entrypoint;
    return configured
      ? resolve(this.#project.supabaseDir, configured)
      : join(this.#project.functionsDir, name, "index.ts");
  }
}

function readDotEnv(path: string): Record<string, string> {
  try {
    return parseEnv(Deno.readTextFileSync(path)) as Record<string, string>;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}
