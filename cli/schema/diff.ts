/**
 * `deno task schema:diff`: prints, object by object, what a new migration still has to do so that the migrations
 * make the same database as the schema files. Ends with code 1 where there is a difference.
 *
 * @module
 */

import { resolve } from "node:path";
import { readProject } from "../../local/project.ts";
import { compareCatalogues, describeDifference } from "./catalogue.ts";
import { readBothCatalogues } from "./databases.ts";

const project = await readProject(resolve(import.meta.dirname!, "../.."));
const { schemas, migrations } = await readBothCatalogues(project);
const differences = compareCatalogues(migrations, schemas);
const write = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
for (const difference of differences) {
  write(describeDifference(difference, { left: "migrations", right: "schemas" }));
}
write(`${schemas.size} objects, ${differences.length} differences`);
if (differences.length > 0) Deno.exitCode = 1;
