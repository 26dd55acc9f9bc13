/**
 * Checks the types of the functions on the Deno that runs them, which knows fewer APIs than the one that runs the
 * tools. A part of `deno task check`.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { EDGE_DENO_OPTIONS, EDGE_PRELUDE, findEdgeDeno } from "../local/gateway/edge_deno.ts";

const root = new URL("..", import.meta.url);
const functions = new URL("supabase/functions/", root);

/**
 * Checks all functions, or downloads the packages they import.
 *
 * @returns Whether it succeeded. Deno writes its errors to the terminal.
 */
export async function runOnFunctions(command: "check" | "cache"): Promise<boolean> {
  const entrypoints = [...Deno.readDirSync(functions)]
    .filter((entry) => entry.isDirectory && !entry.name.startsWith("_"))
    .map(({ name }) => new URL(`${name}/index.ts`, functions));
  const { program, env } = await findEdgeDeno();
  const { success } = await new Deno.Command(program, {
    args: [
      command,
      ...EDGE_DENO_OPTIONS,
      `--import-map=${fileURLToPath(new URL("import_map.json", root))}`,
      ...[...EDGE_PRELUDE, ...entrypoints].map(({ href }) => href),
    ],
    env,
    stdin: "null",
  }).spawn().status;
  return success;
}

if (import.meta.main) Deno.exitCode = await runOnFunctions("check") ? 0 : 1;
