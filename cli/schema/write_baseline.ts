/**
 * `deno task schema:baseline`: writes `supabase/migrations` from `supabase/schemas`, until v0.1.0 is tagged.
 *
 * @module
 */

import { resolve } from "node:path";
import { readProject } from "../../local/project.ts";
import { print, runCommand } from "../command.ts";
import { writeBaseline } from "./baseline.ts";

await runCommand("deno task schema:baseline", async () => {
  const project = await readProject(resolve(import.meta.dirname!, "../.."));
  const changed = await writeBaseline(project);
  print(`${[...changed, `${changed.length} migrations changed`].join("\n")}\n`);
  return 0;
});
