/**
 * What the catalogue of a database says about the tables that move.
 *
 * @module
 */

import type { Sql } from "./database.ts";

/** A reference from a table to another. */
export interface Reference {
  readonly name: string;
  readonly columns: readonly string[];
  /** With its schema. */
  readonly target: string;
  readonly targetColumns: readonly string[];
}

/** A table as an export needs to know it. */
export interface TableShape {
  /** Columns whose values move: neither generated nor numbered by the database. */
  readonly columns: readonly string[];
  /** Whether it has a `workspace_id`. */
  readonly hasWorkspaceId: boolean;
  /** Columns that hold the id of a user, and whether they may be empty. */
  readonly userColumns: readonly { readonly name: string; readonly isNullable: boolean }[];
  /** Columns that the database numbers: rows get new numbers, in the same order. */
  readonly identity: string | undefined;
  readonly references: readonly Reference[];
}

/** Reads the shape of every table of the schemas `public` and `private`, by its name. */
export async function readShapes(sql: Sql): Promise<Map<string, TableShape>> {
  const columns = await sql<
    {
      table: string;
      column: string;
      isGenerated: boolean;
      isIdentity: boolean;
      isNullable: boolean;
    }[]
  >`
    select format('%s.%s', relnamespace::regnamespace, relname) as table, attname as column,
      attgenerated <> '' as "isGenerated", attidentity <> '' as "isIdentity", not attnotnull as "isNullable"
    from pg_class join pg_attribute on attrelid = pg_class.oid
    where relnamespace in ('public'::regnamespace, 'private'::regnamespace) and relkind in ('r', 'p')
      and not relispartition and attnum > 0 and not attisdropped
    order by 1, attnum`;
  const references = await sql<(Reference & { table: string })[]>`
    select format('%s.%s', source.relnamespace::regnamespace, source.relname) as table, conname as name,
      (
        select array_agg(attname::text order by place)
        from unnest(conkey) with ordinality as key (number, place)
        join pg_attribute on attrelid = conrelid and attnum = key.number
      ) as columns,
      format('%s.%s', target.relnamespace::regnamespace, target.relname) as target,
      (
        select array_agg(attname::text order by place)
        from unnest(confkey) with ordinality as key (number, place)
        join pg_attribute on attrelid = confrelid and attnum = key.number
      ) as "targetColumns"
    from pg_constraint
    join pg_class as source on source.oid = conrelid
    join pg_class as target on target.oid = confrelid
    where contype = 'f'
      and source.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
    order by 1, 2`;
  const shapes = new Map<string, TableShape>();
  for (const [table, all] of Map.groupBy(columns, (column) => column.table)) {
    const own = references.filter((reference) => reference.table === table);
    const ofUsers = own.filter(({ target }) => target === "auth.users")
      .map(({ columns: [name] }) => name!);
    shapes.set(table, {
      columns: all.filter((column) => !column.isGenerated && !column.isIdentity)
        .map((column) => column.column),
      hasWorkspaceId: all.some((column) => column.column === "workspace_id"),
      userColumns: all.filter((column) => ofUsers.includes(column.column))
        .map(({ column: name, isNullable }) => ({ name, isNullable })),
      identity: all.find((column) => column.isIdentity)?.column,
      references: own,
    });
  }
  return shapes;
}
