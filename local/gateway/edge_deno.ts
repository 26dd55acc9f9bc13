/**
 * The Deno that runs the functions: the version of hosted Supabase, which is older than the one that runs the tools.
 *
 * @module
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { CommandError } from "../../cli/command_error.ts";

/** The version of Deno in the hosted Edge Runtime and in `supabase start`. */
export const EDGE_DENO_VERSION = "2.1.4";

/**
 * Options of every command of this Deno. It reads neither deno.json nor deno.lock: hosted Supabase has neither, and
 * this version cannot read a lock file of the newer one.
 */
export const EDGE_DENO_OPTIONS = ["--quiet", "--no-config", "--no-lock"];

/** The program, ready to run. */
export interface EdgeDeno {
  /** Its path. */
  readonly program: string;
  /** The environment of each of its commands. */
  readonly env: Readonly<Record<string, string>>;
}

/** The modules that run in a function's process before the function, in this order. */
export const EDGE_PRELUDE: readonly URL[] = ["function_address.ts", "function_parent_watch.ts"]
  .map((file) => new URL(file, import.meta.url));

const printer = fileURLToPath(new URL("print_edge_deno.ts", import.meta.url));
const infoSchema = z.object({ denoDir: z.string() });
let found: Promise<EdgeDeno> | undefined;

/**
 * Returns the program. The first call on a machine downloads it from npm into Deno's cache, 45 MB.
 *
 * @throws {CommandError} if it cannot be downloaded, or there is none for this platform.
 */
export function findEdgeDeno(): Promise<EdgeDeno> {
  return found ??= find();
}

async function find(): Promise<EdgeDeno> {
  const [program, denoDir] = await Promise.all([
    // A process of its own, because the package is not in the lock file of the stack.
    run(["run", "-A", "--quiet", "--no-config", "--no-lock", printer, EDGE_DENO_VERSION]),
    run(["info", "--json", "--no-config"]).then((text) =>
      infoSchema.parse(JSON.parse(text)).denoDir
    ),
  ]);
  return {
    program,
    env: {
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      // Newer versions trust the certificates of the system by default.
      DENO_TLS_CA_STORE: "system,mozilla",
      // A folder of its own: two versions in one folder empty each other's caches.
      DENO_DIR: join(denoDir, `edge-${EDGE_DENO_VERSION}`),
    },
  };
}

/** Runs a command of the Deno that runs the tools. */
async function run(args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    stdin: "null",
    // Ctrl-C ends the stack, which waits for this.
    detached: true,
  }).output();
  if (success) return new TextDecoder().decode(stdout).trim();
  throw new CommandError(
    `Deno ${EDGE_DENO_VERSION}, which runs the functions, could not be downloaded for this ` +
      `platform (${Deno.build.target}):\n${new TextDecoder().decode(stderr).trim()}`,
  );
}
