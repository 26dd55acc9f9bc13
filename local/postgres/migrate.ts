/**
 * Applies `supabase/migrations` and `supabase/seed.sql` with the Supabase CLI, which also does it for hosted
 * projects. The CLI takes a second even if there is nothing to do, so this module checks first.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join, relative } from "node:path";
import { globSync } from "node:fs";
import type postgres from "postgres";
import { CommandError } from "../../cli/command_error.ts";
import { forEachLine, logFrom, logInfo, logWarning } from "../log.ts";
import { readHistory, versionOf } from "./history.ts";
import type { Project } from "../project.ts";
import { cliDatabase, SUPABASE_CLI } from "../supabase_cli.ts";

/** What `migrate` needs. */
export interface MigrateOptions {
  readonly project: Project;
  readonly sql: postgres.Sql;
  readonly databaseUrl: string;
  readonly signal: AbortSignal;
}

/**
 * Applies new migrations and the seed.
 *
 * @throws {CommandError} with the output of the CLI when a migration or the seed fails, and with what to do when the
 * database was made by another version of the project.
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  const { project, sql, databaseUrl, signal } = options;
  if (!await isBehind(project, sql)) return;
  logInfo("applying migrations and seed");
  const target = cliDatabase(databaseUrl);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...SUPABASE_CLI.args,
      "db",
      "push",
      "--workdir",
      project.root,
      ...target.args,
      "--include-all",
      ...(project.config.db.seed.enabled ? ["--include-seed"] : []),
      "--yes",
    ],
    // The lock file of this program covers the CLI too.
    cwd: import.meta.dirname!,
    env: { ...SUPABASE_CLI.env, ...target.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  const said: string[] = [];
  const keep = (line: string) => {
    said.push(line);
    logFrom("supabase", line);
  };
  const ended = Promise.all([forEachLine(child.stdout, keep), forEachLine(child.stderr, keep)])
    .then(() => child.status);
  // The CLI runs another program. A signal that comes before it listens does not reach that program, which then
  // holds the output open until the database stops. So an abort does not wait for its end.
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  const { success } = await Promise.race([ended, aborted]);
  signal.throwIfAborted();
  if (!success) throw new CommandError("The migrations could not be applied; see the lines above.");
}

/** The files of the database, each kind in the order of its application. */
export function databaseFiles(
  project: Project,
): { schemas: string[]; migrations: string[]; seeds: string[] } {
  const { migrations, seed } = project.config.db;
  const find = (patterns: readonly string[]) =>
    patterns.flatMap((pattern) => globSync(pattern, { cwd: project.supabaseDir }).sort())
      .map((path) => join(project.supabaseDir, path));
  return {
    schemas: find(migrations.schema_paths),
    migrations: find(["migrations/*.sql"]),
    seeds: seed.enabled ? find(seed.sql_paths) : [],
  };
}

async function isBehind(project: Project, sql: postgres.Sql): Promise<boolean> {
  const files = databaseFiles(project);
  const applied = await readHistory(sql, files.migrations);
  for (const file of files.migrations) {
    const version = versionOf(file);
    if (version !== "" && !applied.has(version)) return true;
  }
  if (files.seeds.length === 0) return false;
  const [table] = await sql`select to_regclass('supabase_migrations.seed_files') as name`;
  if (!table?.name) return true;
  const planted = new Map(
    (await sql`select path, hash from supabase_migrations.seed_files`).map((
      row,
    ) => [row.path, row.hash]),
  );
  let isChanged = false;
  for (const file of files.seeds) {
    const path = relative(project.root, file).replaceAll("\\", "/");
    const hash = createHash("sha256").update(await Deno.readFile(file)).digest("hex");
    if (planted.get(path) === hash) continue;
    isChanged = true;
    if (planted.has(path)) {
      logWarning(
        `${path} has changed. The CLI notes that and does not run it a second time; for the new ` +
          `sample data delete ${project.localDir}.`,
      );
    }
  }
  return isChanged;
}
