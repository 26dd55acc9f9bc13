/**
 * `deno task schema:diff`: prints, object by object, what a new migration still has to do so that the migrations
 * make the same database as the schema files. Ends with code 1 if there is a difference.
 *
 * @module
 */

import { resolve } from "node:path";
import { readProject } from "../../local/project.ts";
import { print, runCommand } from "../command.ts";
import { compareCatalogues, describeDifference } from "./catalogue.ts";
import { readBothCatalogues } from "./databases.ts";

await runCommand("deno task schema:diff", async () => {
  const project = await readProject(resolve(import.meta.dirname!, "../.."));
  const { schemas, migrations } = await readBothCatalogues(project);
  const differences = compareCatalogues(migrations, schemas);
  for (const difference of differences) {
    print(`${describeDifference(difference, { left: "migrations", right: "schemas" })}\n`);
  }
  print(`${schemas.size} objects, ${differences.length} differences\n`);
  return differences.length > 0 ? 1 : 0;
});
