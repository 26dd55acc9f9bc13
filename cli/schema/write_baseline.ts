/**
 * `deno task schema:baseline`: writes `supabase/migrations` from `supabase/schemas`, until v0.1.0 is tagged.
 *
 * @module
 */

import { resolve } from "node:path";
import { readProject } from "../../local/project.ts";
import { writeBaseline } from "./baseline.ts";

const project = await readProject(resolve(import.meta.dirname!, "../.."));
const changed = await writeBaseline(project);
const lines = [...changed, `${changed.length} migrations changed`];
Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
