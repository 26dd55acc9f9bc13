/**
 * Exports a workspace into a folder. Prints nothing.
 *
 * @module
 */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type postgres from "postgres";
import { CommandError, usageError } from "../command_error.ts";
import type { Progress } from "../import/progress.ts";
import { readShapes } from "./catalogue.ts";
import { onSnapshot, type Sql, withoutTriggers } from "./database.ts";
import {
  type Chunk,
  type ExportedUser,
  ExportProgress,
  type Manifest,
  type PauseState,
  writeManifest,
} from "./manifest.ts";
import {
  ALL,
  conditionOf,
  copyToFile,
  countBytes,
  countUsers,
  digestFile,
  readBounds,
  readContents,
  type Scope,
  type Table,
} from "./rows.ts";
import { MOVED_TABLES } from "./tables.ts";

/** A workspace and the state of its pause. */
export interface Workspace {
  readonly id: string;
  readonly slug: string;
  /** Null where it is not paused. */
  readonly pause: PauseState | null;
}

/** Finds a workspace. @throws {CommandError} if there is none. */
export async function findWorkspace(sql: Sql, slug: string): Promise<Workspace> {
  const [found] = await sql<Workspace[]>`
    select workspace.id, workspace.slug, pause.state as pause
    from public.workspaces as workspace
    left join private.workspace_pauses as pause on pause.workspace_id = workspace.id
    where workspace.slug = ${slug}`;
  if (found === undefined) {
    throw usageError("There is no workspace with this slug in the database.");
  }
  return found;
}

/**
 * Pauses a workspace, and waits until nothing writes to it.
 *
 * @param settleSeconds How long a function may still store what it accepted before the pause.
 */
export async function pauseWorkspace(
  sql: postgres.Sql,
  { id }: Pick<Workspace, "id">,
  settleSeconds: number,
): Promise<void> {
  await withoutTriggers(sql, (transaction) => transaction`select private.pause_workspace(${id})`);
  for (;;) {
    const [state] = await sql<{ isSettled: boolean }[]>`
      select paused_at < clock_timestamp() - make_interval(secs => ${settleSeconds})
        and pg_snapshot_xmin(pg_current_snapshot()) > paused_in as "isSettled"
      from private.workspace_pauses where workspace_id = ${id}`;
    if (state === undefined) throw new CommandError("The pause was ended by another command.");
    if (state.isSettled) return;
    await delay(250);
  }
}

/** Ends a pause. @throws {CommandError} if there is none. */
export async function resumeWorkspace(sql: postgres.Sql, { id, pause }: Workspace): Promise<void> {
  if (pause === null) throw usageError("The workspace is not paused.");
  await withoutTriggers(
    sql,
    (transaction) =>
      transaction`select private.resume_workspace(${id}, ${transaction.json(pause)})`,
  );
}

/** What would be moved of a table. */
export interface TableSize {
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
}

/** Counts what an export would hold. */
export async function measureWorkspace(
  sql: postgres.Sql,
  workspace: Workspace,
): Promise<{ sizes: TableSize[]; outline: Outline }> {
  return await onSnapshot(sql, async (snapshot) => {
    const tables = await readTables(snapshot);
    const scope = await readScope(snapshot, workspace);
    const sizes: TableSize[] = [];
    for (const table of tables) {
      const [{ rows }, bytes] = [
        await countRows(snapshot, table, scope),
        await countBytes(snapshot, table, scope),
      ];
      sizes.push({ name: table.name, rows, bytes });
    }
    return { sizes, outline: await readOutline(snapshot, scope) };
  });
}

/** Options of {@linkcode exportWorkspace}. */
export interface ExportOptions {
  readonly workspace: Workspace;
  readonly folder: string;
  /** Ids of a table's chunk, such as conversations with all their messages. */
  readonly rowsPerChunk: number;
  readonly progress: Progress;
}

/** How an export came about. */
export interface ExportSummary {
  readonly manifest: Manifest;
  readonly outline: Outline;
  /** Chunks whose files an earlier run has written and whose rows are still the same. */
  readonly chunksKept: number;
}

/**
 * Writes a workspace, as it is at one moment, into a folder. Where an earlier run was cut off, or the workspace has
 * changed since, files whose rows are still the same stay.
 *
 * @throws {CommandError} if the folder belongs to another workspace, or the database fails.
 */
export async function exportWorkspace(
  sql: postgres.Sql,
  { workspace, folder, rowsPerChunk, progress }: ExportOptions,
): Promise<ExportSummary> {
  const earlier = await ExportProgress.open(folder, workspace.id);
  return await onSnapshot(sql, async (snapshot) => {
    const tables = await readTables(snapshot);
    const { pause } = await findWorkspace(snapshot, workspace.slug);
    const scope = await readScope(snapshot, { ...workspace, pause });
    let total = 0;
    for (const table of tables) total += (await countRows(snapshot, table, scope)).rows;
    progress.start(total);

    const chunks: Chunk[] = [];
    let chunksKept = 0;
    for (const table of tables) {
      let bounds = earlier.boundsOf(table.name);
      if (bounds === undefined) {
        bounds = await readBounds(snapshot, table, scope, rowsPerChunk);
        await earlier.setBounds(table.name, bounds);
      }
      const ends = [...bounds.toSorted(), null];
      for (const [index, until] of ends.entries()) {
        const range = { after: ends[index - 1] ?? null, until };
        const contents = await readContents(snapshot, table, scope, range);
        const known = earlier.find({ table: table.name, ...range });
        const isKept = known?.digest === contents.digest && known.rows === contents.rows &&
          (known.file === null || await digestFile(join(folder, known.file)) === known.sha256);
        if (isKept) {
          chunksKept++;
          chunks.push(known);
        } else {
          const file = contents.rows === 0 ? null : `${table.name}.${index}.copy.gz`;
          const copied = file === null
            ? { bytes: 0, sha256: "" }
            : await copyToFile(snapshot, table, scope, range, join(folder, file));
          const done = { table: table.name, ...range, ...contents, file, ...copied };
          await earlier.add(done);
          chunks.push(done);
        }
        progress.advance(contents.rows);
      }
    }

    const outline = await readOutline(snapshot, scope);
    const { waitingEvents: _, ...kept } = outline;
    const manifest: Manifest = {
      format: 1,
      exportedAt: new Date().toISOString(),
      workspace: { id: workspace.id, slug: workspace.slug },
      pause,
      keyIds: [...scope.keyIds],
      ...kept,
      users: await readUsers(snapshot, tables, scope, pause),
      columns: Object.fromEntries(tables.map(({ name, shape }) => [name, [...shape.columns]])),
      chunks,
    };
    await writeManifest(folder, manifest);
    await removeOthers(folder, chunks);
    return { manifest, outline, chunksKept };
  });
}

/** Reads the shapes of the tables that move. */
export async function readTables(sql: Sql): Promise<Table[]> {
  const shapes = await readShapes(sql);
  return MOVED_TABLES.map((table) => {
    const shape = shapes.get(table.name);
    if (shape === undefined) {
      throw new CommandError(
        `The database has no table ${table.name}: it has another version of the schema than this checkout.`,
      );
    }
    return { ...table, shape };
  });
}

async function countRows(sql: Sql, table: Table, scope: Scope): Promise<{ rows: number }> {
  const [found] = await sql.unsafe<{ rows: number }[]>(
    `select count(*)::integer as rows from ${table.name} as t where ${
      conditionOf(table, scope, ALL)
    }`,
  );
  return found!;
}

async function readScope(sql: Sql, { id, pause }: Workspace): Promise<Scope> {
  // A pause takes the workspace from keys that serve others as well.
  const linked = await sql<{ key_id: string }[]>`
    select key_id from public.agent_key_workspaces where workspace_id = ${id}`;
  const keyIds = new Set([...pause?.agent_keys ?? [], ...linked.map(({ key_id }) => key_id)]);
  return { workspaceId: id, keyIds: [...keyIds].sort() };
}

/** Facts about a workspace that an operator needs to know beforehand. */
export interface Outline extends
  Pick<
    Manifest,
    "schemaVersion" | "claims" | "sealedConnections" | "mediaFiles"
  > {
  /** Webhook events of its numbers that wait or have failed; they stay behind. */
  readonly waitingEvents: number;
}

async function readOutline(sql: Sql, { workspaceId, keyIds }: Scope): Promise<Outline> {
  const [found] = await sql<Outline[]>`
    select
      (select newest || ' ' || count from private.expected_migrations()) as "schemaVersion",
      jsonb_build_object(
        'connectionIds', coalesce(jsonb_agg(source.connection_id order by source.connection_id), '[]'),
        'phoneNumberIds', coalesce(
          jsonb_agg(source.phone_number_id order by source.phone_number_id)
            filter (where source.phone_number_id is not null), '[]'
        ),
        'agentKeys', (
          select coalesce(jsonb_agg(
            jsonb_build_object('id', secret.key_id, 'sha256', encode(secret.key_sha256, 'hex')) order by secret.key_id
          ), '[]')
          from private.agent_key_secrets as secret where secret.key_id = any (${keyIds as string[]}::uuid[])
        )
      ) as claims,
      (count(*) filter (
        where secret.webhook_secret is not null or secret.previous_webhook_secret is not null
          or secret.kapso_api_key is not null
      ))::integer as "sealedConnections",
      (
        select count(*)::integer from private.media_copies as copy
        where copy.workspace_id = ${workspaceId} and copy.path is not null
      ) as "mediaFiles",
      (
        select count(*)::integer from private.webhook_events as event
        where event.state in ('received', 'failed')
          and event.phone_number_id = any (array_agg(source.phone_number_id))
      ) as "waitingEvents"
    from public.connections as source
    left join private.connection_secrets as secret on secret.connection_id = source.id
    where source.workspace_id = ${workspaceId}`;
  return found!;
}

async function readUsers(
  sql: Sql,
  tables: readonly Table[],
  scope: Scope,
  pause: PauseState | null,
): Promise<ExportedUser[]> {
  const references = new Map<string, Record<string, number>>();
  for (const table of tables) {
    for (const { place, userId, rows } of await countUsers(sql, table, scope)) {
      references.set(userId, { ...references.get(userId), [place]: rows });
    }
  }
  const ids = [...references.keys()];
  const found = await sql<{ id: string; email: string | null; role: string | null }[]>`
    select account.id, lower(account.email) as email, member.role
    from auth.users as account
    left join public.workspace_members as member
      on member.user_id = account.id and member.workspace_id = ${scope.workspaceId}
    where account.id = any (${ids}::uuid[])
    order by account.id`;
  return found.map(({ id, email, role }) => ({
    id,
    email: email || null,
    role: pause?.roles[id] ?? role,
    references: references.get(id)!,
  }));
}

/** Removes files that an earlier run wrote of rows that no longer exist. */
async function removeOthers(folder: string, chunks: readonly Chunk[]): Promise<void> {
  const wanted = new Set(chunks.map(({ file }) => file));
  for await (const { name } of Deno.readDir(folder)) {
    if (/\.copy\.gz(?:\.part)?$/u.test(name) && !wanted.has(name)) {
      await Deno.remove(join(folder, name));
    }
  }
}
