/**
 * The migrations that a database has had, compared with those of this checkout.
 *
 * @module
 */

import { basename } from "node:path";
import type postgres from "postgres";
import { CommandError } from "../../cli/command_error.ts";

/** A migration as the Supabase CLI recorded it. */
interface Applied {
  readonly version: string;
  readonly name: string | null;
  readonly statements: readonly string[] | null;
}

/**
 * Reads which migrations a database has had.
 *
 * @returns their versions.
 * @throws {CommandError} when it has had others than the given files, as after a change to another checkout: there is
 * no way from there to here, and only the owner of the data may delete them.
 */
export async function readHistory(
  sql: postgres.Sql,
  files: readonly string[],
): Promise<Set<string>> {
  const history = await sql<Applied[]>`
    select version, name, statements from supabase_migrations.schema_migrations order by version`;
  const known = new Map(files.map((file) => [versionOf(file), file]));
  const missing = history.filter(({ version }) => !known.has(version));
  const changed: Applied[] = [];
  for (const applied of history) {
    const file = known.get(applied.version);
    if (file === undefined || applied.statements === null) continue;
    const text = withoutSpacing(await Deno.readTextFile(file));
    if (withoutSpacing(applied.statements.join("")) !== text) changed.push(applied);
  }
  if (missing.length + changed.length > 0) {
    const [{ data_directory: folder }] = await sql<
      [{ data_directory: string }]
    >`show data_directory`;
    throw new CommandError(
      "The local database was made by another version of this project: " +
        [
          ...describe(missing, "not in supabase/migrations"),
          ...describe(changed, "changed since then"),
        ].join(", ") +
        `. It cannot be brought up to date. To start over with new data, delete ${folder}; to keep ` +
        "the data, go back to the version that made it.",
    );
  }
  return new Set(history.map(({ version }) => version));
}

/** Returns the version in the name of a migration's file, or an empty string where the name has none. */
export function versionOf(file: string): string {
  return /^([0-9]+)_.*\.sql$/.exec(basename(file))?.[1] ?? "";
}

function describe(migrations: readonly Applied[], what: string): string[] {
  const [first] = migrations;
  if (first === undefined) return [];
  const name = `${first.version}_${first.name ?? ""}`;
  return migrations.length === 1
    ? [`the migration ${name} is ${what}`]
    : [`${migrations.length} of its migrations, such as ${name}, are ${what}`];
}

/** The CLI records statements without the semicolons and spaces between them. */
function withoutSpacing(text: string): string {
  return text.replaceAll(/[\s;]+/g, "");
}
