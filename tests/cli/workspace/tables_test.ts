/**
 * Every table either moves with a workspace or stays behind for a reason.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readShapes } from "../../../cli/workspace/catalogue.ts";
import { BULK_TABLES, LEFT_BEHIND, MOVED_TABLES } from "../../../cli/workspace/tables.ts";
import { SEALED } from "../../../cli/workspace/secrets.ts";
import { useDatabase } from "../../support/database.ts";

const database = useDatabase();

Deno.test("every table moves, or stays behind for a reason", async () => {
  const shapes = await readShapes(database.sql);
  assert(shapes.size > 35);
  const listed = [...MOVED_TABLES.map(({ name }) => name), ...Object.keys(LEFT_BEHIND)];
  assertEquals(listed.toSorted(), [...shapes.keys()].toSorted());
});

Deno.test("how the rows of a table are found fits its columns", async () => {
  const shapes = await readShapes(database.sql);
  for (const table of MOVED_TABLES) {
    const { columns, hasWorkspaceId } = shapes.get(table.name)!;
    if (table.of !== undefined) {
      assert(columns.includes(table.of.column), table.name);
      assert(shapes.get(table.of.parent)!.hasWorkspaceId, table.name);
    } else if (table.ofKeys !== undefined) {
      assert(columns.includes(table.ofKeys), table.name);
    } else {
      assert(hasWorkspaceId || table.name === "public.workspaces", table.name);
    }
    if (table.chunks !== undefined) {
      assert(columns.includes(table.chunks.column), table.name);
      assert(shapes.get(table.chunks.ids)!.columns.includes("id"), table.name);
    }
    for (const column of table.notCompared ?? []) assert(columns.includes(column), table.name);
  }
  assertEquals(BULK_TABLES.filter(({ chunks }) => chunks === undefined), []);
});

Deno.test("every column with an encrypted secret is encrypted again", async () => {
  const columns = await database.sql<{ table: string; name: string }[]>`
    select format('%s.%s', relnamespace::regnamespace, relname) as table, attname as name
    from pg_class join pg_attribute on attrelid = pg_class.oid
    where relnamespace in ('public'::regnamespace, 'private'::regnamespace) and relkind in ('r', 'p')
      and not attisdropped and atttypid = 'bytea'::regtype`;
  const moved = new Set(MOVED_TABLES.map(({ name }) => name));
  // The others are hashes.
  const sealed = columns.filter(({ table, name }) => moved.has(table) && !name.endsWith("sha256"));
  assertEquals(
    sealed.map(({ table, name }) => `${table}.${name}`).toSorted(),
    SEALED.map((name) => `private.connection_secrets.${name}`).toSorted(),
  );
});
