/**
 * Imports a workspace from a folder. Prints nothing.
 *
 * @module
 */

import { join } from "node:path";
import type postgres from "postgres";
import { CommandError } from "../command_error.ts";
import type { Progress } from "../import/progress.ts";
import { type Sql, whileLocked, withoutTriggers } from "./database.ts";
import { readTables } from "./export_run.ts";
import { type Chunk, exportIdOf, type Manifest } from "./manifest.ts";
import {
  conditionOf,
  copyFromFile,
  countUsers,
  deleteRows,
  digestFile,
  readContents,
  type Scope,
  type Table,
} from "./rows.ts";
import { type SealedSecret, storeSecrets } from "./secrets.ts";
import { BULK_TABLES } from "./tables.ts";
import { expectedReferences, type MatchedUsers, stateForTarget } from "./users.ts";

/** Options of {@linkcode importWorkspace}. */
export interface ImportOptions {
  readonly manifest: Manifest;
  readonly folder: string;
  readonly users: MatchedUsers;
  readonly secrets: readonly SealedSecret[];
  readonly progress: Progress;
  /** Runs when the bulk is stored, and before the workspace becomes visible. */
  readonly beforeLast: () => Promise<void>;
}

/** What was compared with the manifest. */
export interface VerifiedTable {
  readonly name: string;
  readonly rows: number;
  /** Rows of members that the target does not have. */
  readonly omitted: number;
  /** False where rows were omitted: then only their number is compared. */
  readonly isDigestCompared: boolean;
}

/**
 * Stores an export chunk by chunk, and in the last transaction verifies everything and makes the workspace visible.
 * Where an earlier run was cut off, it continues.
 *
 * @returns What was verified, table by table.
 * @throws {CommandError} if a file is damaged, or what is stored is not what was exported.
 */
export async function importWorkspace(
  sql: postgres.Sql,
  options: ImportOptions,
): Promise<VerifiedTable[]> {
  const { manifest, folder, users, progress } = options;
  const scope = { workspaceId: manifest.workspace.id, keyIds: manifest.keyIds };
  const tables = new Map((await readTables(sql)).map((table) => [table.name, table]));
  const bulkNames = new Set(BULK_TABLES.map(({ name }) => name));
  const bulk = manifest.chunks.filter(({ table }) => bulkNames.has(table));
  const last = manifest.chunks.filter(({ table }) => !bulkNames.has(table));
  const store = async (transaction: postgres.TransactionSql, chunk: Chunk) => {
    if (chunk.file === null) return;
    const path = join(folder, chunk.file);
    if (await digestFile(path) !== chunk.sha256) {
      throw new CommandError(
        `The file ${chunk.file} is missing or damaged. Run deno task workspace:export again: it replaces it.`,
      );
    }
    const table = tables.get(chunk.table)!;
    await copyFromFile(transaction, table, manifest.columns[chunk.table]!, users.ids, path);
  };

  return await locked(sql, scope, async () => {
    const done = await beginImport(sql, manifest);
    progress.start(manifest.chunks.reduce((sum, { rows }) => sum + rows, 0));
    for (const [index, chunk] of bulk.entries()) {
      if (index >= done) {
        await withoutTriggers(sql, async (transaction) => {
          await store(transaction, chunk);
          const table = tables.get(chunk.table)!;
          compare(chunk, await readContents(transaction, table, scope, chunk));
          await transaction`
            update private.workspace_imports set chunks_done = ${index + 1}, updated_at = now()
            where workspace_id = ${scope.workspaceId}`;
        });
      }
      progress.advance(chunk.rows);
    }
    await options.beforeLast();
    return await withoutTriggers(sql, async (transaction) => {
      for (const chunk of last) {
        await store(transaction, chunk);
        progress.advance(chunk.rows);
      }
      const verified = await verify(transaction, [...tables.values()], scope, manifest, users);
      await checkReferences(transaction, [...tables.values()], scope);
      await storeSecrets(transaction, options.secrets);
      await makeVisible(transaction, manifest, users);
      return verified;
    });
  });
}

/** Removes what an import that was cut off has stored. @returns the number of rows. */
export async function discardImport(
  sql: postgres.Sql,
  manifest: Manifest,
  progress: Progress,
): Promise<number> {
  const scope = { workspaceId: manifest.workspace.id, keyIds: manifest.keyIds };
  const tables = (await readTables(sql)).filter(({ name }) =>
    BULK_TABLES.some((bulk) => bulk.name === name)
  );
  return await locked(sql, scope, async () => {
    const [begun] = await sql`
      select from private.workspace_imports where workspace_id = ${scope.workspaceId}`;
    if (begun === undefined) throw new CommandError("No import of this workspace was cut off.");
    const chunks = manifest.chunks.filter(({ table }) => tables.some(({ name }) => name === table));
    progress.start(chunks.reduce((sum, { rows }) => sum + rows, 0));
    let deleted = 0;
    for (const chunk of chunks.toReversed()) {
      const table = tables.find(({ name }) => name === chunk.table)!;
      deleted += await withoutTriggers(
        sql,
        (transaction) => deleteRows(transaction, table, scope, chunk),
      );
      progress.advance(chunk.rows);
    }
    await sql`delete from private.workspace_imports where workspace_id = ${scope.workspaceId}`;
    return deleted;
  });
}

/**
 * One import of a workspace at a time, and no pruning: it would delete rows that are old, and they would be missing when
 * the tables are compared.
 */
async function locked<T>(sql: postgres.Sql, { workspaceId }: Scope, work: () => Promise<T>) {
  return await whileLocked(sql, async (transaction) => {
    const [own] = await transaction<{ isFree: boolean }[]>`
      select pg_try_advisory_xact_lock(hashtextextended('workspace import ' || ${workspaceId}::text, 0)) as "isFree"`;
    if (!own!.isFree) {
      throw new CommandError("Another command imports this workspace at this moment.");
    }
    await transaction`select pg_advisory_xact_lock(private.pruning_lock())`;
  }, work);
}

/** @returns How many chunks an earlier run has stored. */
async function beginImport(sql: Sql, manifest: Manifest): Promise<number> {
  const exportId = exportIdOf(manifest);
  const [begun] = await sql<{ chunks_done: number; export_id: string }[]>`
    insert into private.workspace_imports as known (workspace_id, export_id)
    values (${manifest.workspace.id}, ${exportId})
    on conflict (workspace_id) do update set export_id = known.export_id
    returning chunks_done, export_id`;
  if (begun!.export_id !== exportId) {
    throw new CommandError(
      "An import of another export of this workspace was cut off. Remove what it stored with --discard first.",
    );
  }
  return begun!.chunks_done;
}

function compare(
  chunk: Chunk,
  found: { rows: number; digest: string },
  expected: { rows: number; digest: string } = chunk,
): void {
  if (found.rows === expected.rows && found.digest === expected.digest) return;
  throw new CommandError(
    `${chunk.table} is not what was exported: ${found.rows} rows in place of ${expected.rows}` +
      `${
        found.rows === expected.rows ? ", with other values" : ""
      }. The workspace stays invisible.`,
  );
}

async function verify(
  sql: Sql,
  tables: readonly Table[],
  scope: Scope,
  manifest: Manifest,
  users: MatchedUsers,
): Promise<VerifiedTable[]> {
  const verified: VerifiedTable[] = [];
  const references = new Map<string, number>();
  for (const table of tables) {
    const needed = table.shape.userColumns.filter(({ isNullable }) => !isNullable);
    const omitted = users.missing.reduce(
      (sum, user) =>
        sum +
        needed.reduce(
          (rows, { name }) => rows + (user.references[`${table.name}.${name}`] ?? 0),
          0,
        ),
      0,
    );
    let rows = 0;
    for (const chunk of manifest.chunks.filter((each) => each.table === table.name)) {
      const found = await readContents(sql, table, scope, chunk);
      const digest = omitted === 0 ? chunk.digest : found.digest;
      compare(chunk, found, { rows: chunk.rows - omitted, digest });
      rows += found.rows;
    }
    verified.push({ name: table.name, rows, omitted, isDigestCompared: omitted === 0 });
    // What was there before an import is of no concern to it.
    if (table.isShared) continue;
    for (const { place, userId, rows } of await countUsers(sql, table, scope)) {
      references.set(`${place} ${userId}`, rows);
    }
  }
  const shared = new Set(tables.filter(({ isShared }) => isShared).map(({ name }) => name));
  for (const [key, rows] of expectedReferences(manifest, users)) {
    const [place] = key.split(" ") as [string];
    if (shared.has(place.slice(0, place.lastIndexOf(".")))) continue;
    if (references.get(key) === rows) continue;
    throw new CommandError(
      `${place} names users in ${
        references.get(key) ?? 0
      } rows in place of ${rows}. The workspace stays invisible.`,
    );
  }
  return verified;
}

/** Foreign keys are not checked without triggers: checks them here. */
async function checkReferences(sql: Sql, tables: readonly Table[], scope: Scope): Promise<void> {
  for (const table of tables) {
    for (const { name, columns, target, targetColumns } of table.shape.references) {
      const [found] = await sql.unsafe<{ rows: number }[]>(
        `select count(*)::integer as rows from ${table.name} as t
        where ${conditionOf(table, scope)}
          and ${columns.map((column) => `t."${column}" is not null`).join(" and ")}
          and not exists (
            select from ${target} as r
            where ${
          columns.map((column, index) => `r."${targetColumns[index]}" = t."${column}"`).join(
            " and ",
          )
        }
          )`,
      );
      if (found!.rows === 0) continue;
      throw new CommandError(
        `${
          found!.rows
        } rows of ${table.name} refer to rows of ${target} that do not exist (${name}). The workspace ` +
          "stays invisible.",
      );
    }
  }
}

async function makeVisible(sql: Sql, manifest: Manifest, users: MatchedUsers): Promise<void> {
  const { id } = manifest.workspace;
  const state = stateForTarget(manifest.pause!, users);
  await sql`select private.resume_workspace(${id}, ${sql.json(state)})`;
  // Events that arrived here before belong to no one, or to who had the number then.
  await sql`
    update public.connections set number_claimed_at = clock_timestamp()
    where workspace_id = ${id} and phone_number_id is not null`;
  let after: string | null | undefined = "00000000-0000-0000-0000-000000000000";
  // No row where the search in messages is switched off.
  while (after) {
    const [step]: { last_id: string | null }[] = await sql`
      select last_id from public.rebuild_message_index(${id}, ${after}, 5000)`;
    after = step?.last_id;
  }
  await sql`delete from private.workspace_imports where workspace_id = ${id}`;
}
