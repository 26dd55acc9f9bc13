/**
 * The stack that is measured. `--ephemeral` does not wait for the disk, so this is a copy of the
 * project on data of its own, with Postgres as durable as a real one, removed afterwards.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import { basename, join } from "node:path";
import { findFreePort } from "../local/ports.ts";
import { type Stack, startStack } from "../local/spawn_stack.ts";

const ROOT = join(import.meta.dirname!, "..");

/**
 * Starts the project on fresh data with `fsync` on. Everything is gone when it is disposed of.
 *
 * @param env More environment, such as where Kapso is.
 */
export async function startDurableStack(env: Record<string, string>): Promise<Stack> {
  const folder = await Deno.makeTempDir({ prefix: "conversations-bench-" });
  const remove = () => Deno.remove(folder, { recursive: true });
  try {
    // Postgres may run as another user than the one who measures.
    await Deno.chmod(folder, 0o755);
    for (const name of ["supabase", "app", "import_map.json", "deno.json", "deno.lock"]) {
      await cp(join(ROOT, name), join(folder, name), {
        recursive: true,
        filter: (path) => !["node_modules", "dist"].includes(basename(path)),
      });
    }
    const config = join(folder, "supabase/config.toml");
    const text = await Deno.readTextFile(config);
    await Deno.writeTextFile(
      config,
      text.replace(/(\[db\]\nport = )\d+/, `$1${findFreePort()}`),
    );
    const stack = await startStack({ workdir: folder, args: ["--port", "0"], env });
    let disposal: Promise<void> | undefined;
    return {
      ...stack,
      [Symbol.asyncDispose]() {
        return disposal ??= stack.stop().then(remove);
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
