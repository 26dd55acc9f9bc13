/**
 * The baseline: the migrations that make a new database, one per schema file and identical to it. It is remade
 * until v0.1.0 is tagged; from then on, migrations that exist never change.
 *
 * @module
 */

import { basename, join } from "node:path";
import { CommandError } from "../command_error.ts";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import type { Project } from "../../local/project.ts";

/** The first release, after which databases exist that only migrations can change. */
const FIRST_RELEASE = "v0.1.0";
/** Its migrations carry this day; the number of the schema file gives the minute. */
const BASELINE_DAY = "20261130";

/** Names the migration of a schema file: `10_workspaces.sql` becomes `20261130001000_workspaces.sql`. */
export function baselineName(schemaFile: string): string {
  const [, number, noun] = /^([0-9]{2})_([a-z0-9_]+)\.sql$/.exec(basename(schemaFile)) ?? [];
  if (number === undefined) {
    throw new CommandError(
      `${schemaFile} is not named like a schema file, such as 10_workspaces.sql.`,
    );
  }
  const hours = Math.floor(Number(number) / 60);
  const minutes = Number(number) % 60;
  const time = [hours, minutes, 0].map((part) => String(part).padStart(2, "0")).join("");
  return `${BASELINE_DAY}${time}_${noun}.sql`;
}

/** Reads what the baseline should be: the text of each migration by its file name. */
export async function readBaseline(project: Project): Promise<Map<string, string>> {
  const { schemas } = databaseFiles(project);
  return new Map(
    await Promise.all(
      schemas.map(async (file) => [baselineName(file), await Deno.readTextFile(file)] as const),
    ),
  );
}

/** Reads the migrations there are: the text of each by its file name. */
export async function readMigrations(project: Project): Promise<Map<string, string>> {
  const { migrations } = databaseFiles(project);
  return new Map(
    await Promise.all(
      migrations.map(async (file) => [basename(file), await Deno.readTextFile(file)] as const),
    ),
  );
}

/** Says whether the first release is tagged in the project's repository. */
export async function isReleased(project: Project): Promise<boolean> {
  const { stdout } = await new Deno.Command("git", {
    args: ["tag", "--list", FIRST_RELEASE],
    cwd: project.root,
    stderr: "null",
  }).output();
  return stdout.length > 0;
}

/**
 * Makes the migrations the baseline, and removes the others.
 *
 * @returns the names of the files that were written or removed.
 * @throws {CommandError} after the first release.
 */
export async function writeBaseline(project: Project): Promise<string[]> {
  if (await isReleased(project)) {
    throw new CommandError(
      `${FIRST_RELEASE} is released, so its migrations stay as they are. Write a migration that holds ` +
        "the difference; `deno task schema:diff` prints what it still lacks.",
    );
  }
  const [wanted, existing] = await Promise.all([readBaseline(project), readMigrations(project)]);
  const changed: string[] = [];
  for (const name of existing.keys()) {
    if (wanted.has(name)) continue;
    await Deno.remove(join(project.migrationsDir, name));
    changed.push(name);
  }
  for (const [name, text] of wanted) {
    if (existing.get(name) === text) continue;
    await Deno.writeTextFile(join(project.migrationsDir, name), text);
    changed.push(name);
  }
  return changed;
}
