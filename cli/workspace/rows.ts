/**
 * The rows of a workspace in a table: which they are, their count and digest, and copying and deleting them.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { rename } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { TableShape } from "./catalogue.ts";
import type { Sql } from "./database.ts";
import type { MovedTable } from "./tables.ts";

/** The workspace whose rows are meant. */
export interface Scope {
  readonly workspaceId: string;
  /** Ids of its agent keys. */
  readonly keyIds: readonly string[];
}

/** Ids from after one up to another, both included in none or all where they are null. */
export interface Range {
  readonly after: string | null;
  readonly until: string | null;
}

/** All rows. */
export const ALL: Range = { after: null, until: null };

/** How many rows there are, and what they hold. */
export interface Contents {
  readonly rows: number;
  readonly digest: string;
}

/** A file with the rows of a chunk. */
export interface CopiedFile {
  readonly bytes: number;
  readonly sha256: string;
}

/** A table with its shape. */
export interface Table extends MovedTable {
  readonly shape: TableShape;
}

/** Quotes an id for SQL; COPY takes no parameters. */
function quotedId(id: string): string {
  if (!/^[0-9a-f-]{36}$/u.test(id)) throw new Error("not a uuid");
  return `'${id}'`;
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
const listed = (names: readonly string[]) => names.map(quoted).join(", ");
/** Columns of the alias `t`. */
const columnsOf = (names: readonly string[]) => names.map((name) => `t.${quoted(name)}`).join(", ");

/** The condition for the rows of a workspace, of the alias `t`. */
export function conditionOf(table: Table, { workspaceId, keyIds }: Scope, range = ALL): string {
  const id = quotedId(workspaceId);
  const within = (column: string) =>
    (range.after === null ? "" : ` and ${column} > ${quotedId(range.after)}`) +
    (range.until === null ? "" : ` and ${column} <= ${quotedId(range.until)}`);
  if (table.name === "public.workspaces") return `t.id = ${id}`;
  if (table.ofKeys !== undefined) {
    return `t.${table.ofKeys} = any (array[${keyIds.map(quotedId).join(", ")}]::uuid[])`;
  }
  if (table.of !== undefined) {
    const { column, parent } = table.of;
    return `t.${column} in (select p.id from ${parent} as p where p.workspace_id = ${id}${
      within("p.id")
    })`;
  }
  return `t.workspace_id = ${id}${
    table.chunks === undefined ? "" : within(`t.${table.chunks.column}`)
  }`;
}

/** Ids that split the rows of a table into chunks: the last of each, but for the last chunk. */
export async function readBounds(
  sql: Sql,
  table: Table,
  { workspaceId }: Scope,
  rowsPerChunk: number,
): Promise<string[]> {
  if (table.chunks === undefined) return [];
  const found = await sql.unsafe<{ id: string }[]>(
    `select id from (
      select t.id, row_number() over (order by t.id) as place, count(*) over () as total
      from ${table.chunks.ids} as t where t.workspace_id = ${quotedId(workspaceId)}
    ) as numbered
    where place % ${rowsPerChunk} = 0 and place < total
    order by id`,
  );
  return found.map(({ id }) => id);
}

/**
 * Counts rows and digests what moves of them, in no order. Ids of users are left out: they differ between projects, and
 * `countUsers` compares them.
 */
export async function readContents(
  sql: Sql,
  table: Table,
  scope: Scope,
  range = ALL,
): Promise<Contents> {
  const users = table.shape.userColumns.map(({ name }) => name);
  const compared = table.shape.columns.filter((column) =>
    !users.includes(column) && !table.notCompared?.includes(column)
  );
  const [found] = await sql.unsafe<Contents[]>(
    `select count(*)::integer as rows,
      coalesce(md5(string_agg(hash, '' order by hash collate "C")), '') as digest
    from (
      select md5(row(${columnsOf(compared)})::text) as hash from ${table.name} as t
      where ${conditionOf(table, scope, range)}
    ) as hashed`,
  );
  return found!;
}

/** The bytes of the rows, as the database stores them. */
export async function countBytes(sql: Sql, table: Table, scope: Scope): Promise<number> {
  const [found] = await sql.unsafe<{ bytes: number }[]>(
    `select coalesce(sum(pg_column_size(t.*)), 0)::float8 as bytes from ${table.name} as t
    where ${conditionOf(table, scope)}`,
  );
  return found!.bytes;
}

/** How many rows name each user, by `table.column`. */
export async function countUsers(
  sql: Sql,
  table: Table,
  scope: Scope,
): Promise<{ place: string; userId: string; rows: number }[]> {
  const counted = [];
  for (const { name } of table.shape.userColumns) {
    const found = await sql.unsafe<{ userId: string; rows: number }[]>(
      `select t.${quoted(name)} as "userId", count(*)::integer as rows from ${table.name} as t
      where ${conditionOf(table, scope)} and t.${quoted(name)} is not null group by 1`,
    );
    counted.push(...found.map((row) => ({ ...row, place: `${table.name}.${name}` })));
  }
  return counted;
}

/** Writes rows to a file. The file appears under its name when it is complete. */
export async function copyToFile(
  sql: Sql,
  table: Table,
  scope: Scope,
  range: Range,
  path: string,
): Promise<CopiedFile> {
  const order = table.shape.identity === undefined
    ? ""
    : ` order by t.${quoted(table.shape.identity)}`;
  const rows = await sql.unsafe(
    `copy (select ${columnsOf(table.shape.columns)} from ${table.name} as t
    where ${conditionOf(table, scope, range)}${order}) to stdout`,
  ).readable();
  const hash = createHash("sha256");
  let bytes = 0;
  await pipeline(
    rows,
    createGzip({ level: 1 }),
    async function* (pieces: AsyncIterable<Uint8Array>) {
      for await (const piece of pieces) {
        hash.update(piece);
        bytes += piece.length;
        yield piece;
      }
    },
    createWriteStream(`${path}.part`, { mode: 0o600 }),
  );
  // The driver pauses its socket while the file takes the rows, and resumes it when more are asked for: after the last
  // ones never, so that the next statement would wait forever.
  rows._read(0);
  await rename(`${path}.part`, path);
  return { bytes, sha256: hash.digest("hex") };
}

/** The SHA-256 of a file in hexadecimal, undefined where it does not exist. */
export async function digestFile(path: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const piece of createReadStream(path)) hash.update(piece);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return hash.digest("hex");
}

/**
 * Stores the rows of a file.
 *
 * @param columns The columns of the file, in its order.
 * @param users The ids of the target's users by those of the source; others become empty, or cost their row where the
 *   column may not be.
 */
export async function copyFromFile(
  sql: Sql,
  table: Table,
  columns: readonly string[],
  users: ReadonlyMap<string, string>,
  path: string,
): Promise<void> {
  // Into a table without constraints first: the driver does not say why a COPY was refused after its last byte.
  await sql.unsafe(
    `create temporary table incoming on commit drop as select ${
      listed(columns)
    } from ${table.name} limit 0`,
  );
  const writable = await sql.unsafe(`copy incoming (${listed(columns)}) from stdin`).writable();
  await pipeline(createReadStream(path), createGunzip(), writable, { end: false });
  writable.end();
  // Waits for the end of the COPY, and fails where it failed.
  await sql.unsafe("select");

  const { userColumns } = table.shape;
  const values = columns.map((column) =>
    userColumns.some(({ name }) => name === column) ? mappedUser(column) : `t.${quoted(column)}`
  );
  const needed = userColumns.filter(({ isNullable }) => !isNullable)
    .map(({ name }) => `${mappedUser(name)} is not null`);
  await sql.unsafe(
    `insert into ${table.name} (${listed(columns)})
    select ${values.join(", ")} from incoming as t
    ${needed.length === 0 ? "" : `where ${needed.join(" and ")}`}
    ${table.isShared ? "on conflict do nothing" : ""}`,
    userColumns.length === 0 ? [] : [JSON.stringify(Object.fromEntries(users))],
  );
  await sql.unsafe("drop table incoming");
}

/** The id that a user of the source has in the target, by the first parameter. */
function mappedUser(column: string): string {
  return `($1::text::jsonb ->> t.${quoted(column)}::text)::uuid`;
}

/** Deletes rows. */
export async function deleteRows(
  sql: Sql,
  table: Table,
  scope: Scope,
  range = ALL,
): Promise<number> {
  const { count } = await sql.unsafe(
    `delete from ${table.name} as t where ${conditionOf(table, scope, range)}`,
  );
  return count;
}
