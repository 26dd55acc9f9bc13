/**
 * This project on data of its own that survives a crash, for benchmarks and for tests that kill things:
 * `--ephemeral` does not wait for the disk.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { basename, join } from "node:path";
import { findFreePort } from "./ports.ts";
import { MAX_REQUESTS, type Stack, startStack } from "./spawn_stack.ts";

/** Options of {@linkcode startDurableStack}. */
export interface DurableStackOptions {
  /** More environment, such as where Kapso is. */
  readonly env?: Readonly<Record<string, string>>;
  /** Serve the app as well. */
  readonly hasApp?: boolean;
}

/** A stack on a copy of the project. Disposing of it stops it and removes the copy. */
export interface DurableStack extends AsyncDisposable {
  readonly stack: Stack;
  readonly workdir: string;
}

const ROOT = join(import.meta.dirname!, "..");
const FILES = ["supabase", "import_map.json", "deno.json", "deno.lock"];

/** Starts the project on fresh data, with `fsync` on. */
export async function startDurableStack(options: DurableStackOptions = {}): Promise<DurableStack> {
  const workdir = await Deno.makeTempDir({ prefix: "durable-stack-" });
  const remove = () => Deno.remove(workdir, { recursive: true });
  try {
    // Postgres may run as another user than the one who starts the stack.
    await Deno.chmod(workdir, 0o755);
    for (const name of [...FILES, ...(options.hasApp ? ["app"] : [])]) {
      await cp(join(ROOT, name), join(workdir, name), {
        recursive: true,
        filter: (path) => !["node_modules", "dist"].includes(basename(path)),
      });
    }
    const config = join(workdir, "supabase/config.toml");
    const text = await Deno.readTextFile(config);
    await Deno.writeTextFile(
      config,
      text.replace(/(\[db\]\nport = )\d+/, `$1${findFreePort()}`),
    );
    const { env } = options;
    const stack = await startStack({
      workdir,
      args: ["--port", "0", "--max-requests", MAX_REQUESTS],
      ...(env === undefined ? {} : { env }),
    });
    let disposal: Promise<void> | undefined;
    return {
      stack,
      workdir,
      [Symbol.asyncDispose]: () => disposal ??= stack.stop().then(remove),
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
