/**
 * Removes a workspace from the source of a move. Prints nothing.
 *
 * @module
 */

import type postgres from "postgres";
import { CommandError } from "../command_error.ts";
import type { Progress } from "../import/progress.ts";
import { onSnapshot, withoutTriggers } from "./database.ts";
import { readTables, type Workspace } from "./export_run.ts";
import { exportIdOf, type Manifest, type Receipt } from "./manifest.ts";
import { deleteRows, readContents, type Scope, type Table } from "./rows.ts";
import { BULK_TABLES } from "./tables.ts";

/** What goes with the conversations, and does not move. */
const INDEX_TABLES = ["private.message_blocks", "private.message_index_queue"];

/** Options of {@linkcode removeWorkspace}. */
export interface RemoveOptions {
  readonly workspace: Workspace;
  readonly manifest: Manifest;
  readonly receipt: Receipt | undefined;
  readonly progress: Progress;
}

/**
 * Deletes a workspace whose import was verified, chunk by chunk. Where an earlier run was cut off, it continues.
 *
 * @throws {CommandError} if the import was not verified, or the workspace has changed since its export.
 */
export async function removeWorkspace(
  sql: postgres.Sql,
  { workspace, manifest, receipt, progress }: RemoveOptions,
): Promise<void> {
  if (receipt?.exportId !== exportIdOf(manifest)) {
    throw new CommandError("No import of this export was verified, so nothing is removed.");
  }
  if (workspace.pause === null || workspace.id !== manifest.workspace.id) {
    throw new CommandError(
      "The workspace is not paused, so it may have changed. Nothing is removed.",
    );
  }
  const scope = { workspaceId: workspace.id, keyIds: manifest.keyIds };
  const tables = await readTables(sql);
  const isRemoving = "removing" in workspace.pause;
  if (!isRemoving) await checkUnchanged(sql, tables, scope, manifest);

  const bulkNames = new Set(BULK_TABLES.map(({ name }) => name));
  const last = tables.filter(({ name }) => !bulkNames.has(name) && name !== "public.workspaces");
  progress.start(manifest.chunks.reduce((sum, { rows }) => sum + rows, 0));
  // What makes it visible goes first. The row of the workspace stays, so that a run that is cut off can continue.
  await withoutTriggers(sql, async (transaction) => {
    await transaction`
      update private.workspace_pauses set state = state || '{"removing": true}' where workspace_id = ${workspace.id}`;
    await transaction`
      delete from private.limits
      where subject_id = ${workspace.id}
        or subject_id in (select id from public.connections where workspace_id = ${workspace.id})`;
    for (const table of last.toReversed()) {
      if (!table.isShared) await deleteRows(transaction, table, scope);
    }
    // Keys that serve other workspaces stay.
    await transaction`
      with unused as (
        delete from public.agent_keys as key
        where key.id = any (${manifest.keyIds}::uuid[])
          and not exists (select from public.agent_key_workspaces as linked where linked.key_id = key.id)
        returning key.id
      ),
      limits as (delete from private.limits where subject_id in (select id from unused))
      delete from private.agent_key_secrets where key_id in (select id from unused)`;
  });

  for (const chunk of manifest.chunks.toReversed()) {
    const table = tables.find(({ name }) => name === chunk.table)!;
    if (bulkNames.has(chunk.table)) {
      await withoutTriggers(sql, async (transaction) => {
        if (chunk.table === "private.media_copies" && receipt.areFilesMoved) {
          await abandonFiles(transaction, scope, chunk);
        }
        if (chunk.table === "public.conversations") {
          for (const name of INDEX_TABLES) {
            await deleteRows(transaction, ofConversations(name, table), scope, chunk);
          }
        }
        await deleteRows(transaction, table, scope, chunk);
      });
    }
    progress.advance(chunk.rows);
  }
  await withoutTriggers(sql, async (transaction) => {
    await transaction`delete from private.workspace_pauses where workspace_id = ${workspace.id}`;
    await transaction`delete from public.workspaces where id = ${workspace.id}`;
  });
}

async function checkUnchanged(
  sql: postgres.Sql,
  tables: readonly Table[],
  scope: Scope,
  manifest: Manifest,
): Promise<void> {
  await onSnapshot(sql, async (snapshot) => {
    for (const chunk of manifest.chunks) {
      const table = tables.find(({ name }) => name === chunk.table)!;
      if (table.changesBySchedule || table.isShared) continue;
      const found = await readContents(snapshot, table, scope, chunk);
      if (found.rows === chunk.rows && found.digest === chunk.digest) continue;
      throw new CommandError(
        `${chunk.table} has changed since the export, so nothing is removed. Compare both projects before you delete ` +
          "the workspace by hand.",
      );
    }
  });
}

/** Lists the files of a chunk of copies for deletion from the Storage of the source. */
async function abandonFiles(
  sql: postgres.TransactionSql,
  { workspaceId }: Scope,
  { after, until }: { after: string | null; until: string | null },
): Promise<void> {
  await sql`
    insert into private.media_orphans (path)
    select path from private.media_copies
    where workspace_id = ${workspaceId} and path is not null
      and (${after}::uuid is null or conversation_id > ${after})
      and (${until}::uuid is null or conversation_id <= ${until})
    on conflict do nothing`;
}

/** The part of the search index of a chunk of conversations. */
function ofConversations(name: string, { shape }: Table): Table {
  return { name, of: { column: "conversation_id", parent: "public.conversations" }, shape };
}
