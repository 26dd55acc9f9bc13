/**
 * The schema files hold every object once, and the migrations make the same database as they do.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { basename, resolve } from "node:path";
import { isReleased, readBaseline, readMigrations } from "../../cli/schema/baseline.ts";
import {
  type Catalogue,
  compareCatalogues,
  describeDifference,
  readCatalogue,
} from "../../cli/schema/catalogue.ts";
import { buildDatabase, provideSupabase, readBothCatalogues } from "../../cli/schema/databases.ts";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import { readHistory } from "../../local/postgres/history.ts";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import { startScratchServer } from "../../local/postgres/scratch_server.ts";
import { readProject } from "../../local/project.ts";
import { connect, useDatabase } from "../support/database.ts";

const database = useDatabase();
const project = await readProject(resolve(import.meta.dirname!, "../.."));

function describe(left: Catalogue, right: Catalogue): string {
  const names = { left: "migrations", right: "schemas" };
  return compareCatalogues(left, right).map((each) => describeDifference(each, names)).join("\n");
}

Deno.test("the migrations make the database of the schema files", async () => {
  const { schemas, migrations } = await readBothCatalogues(project);
  // Nothing would differ between two empty databases either.
  const kinds = new Set([...schemas.keys()].map((object) => object.split(" ")[0]));
  for (const kind of ["column", "constraint", "function", "index", "policy", "trigger", "type"]) {
    assert(kinds.has(kind), `no ${kind} was found`);
  }
  assertEquals(describe(migrations, schemas), "");
});

Deno.test("the baseline is what `deno task schema:baseline` writes, until the first release", async () => {
  if (await isReleased(project)) return;
  const [wanted, existing] = await Promise.all([readBaseline(project), readMigrations(project)]);
  assertEquals([...existing.keys()].sort(), [...wanted.keys()].sort());
  const outdated = [...wanted].filter(([name, text]) => existing.get(name) !== text);
  assertEquals(outdated.map(([name]) => name), [], "run `deno task schema:baseline`");
});

Deno.test("the stack recognises its own migrations", async () => {
  const { migrations } = databaseFiles(project);
  const versions = await readHistory(database.sql, migrations);
  assertEquals(versions.size, migrations.length);
});

Deno.test("each object stands in one schema file, once", async () => {
  const statement =
    /^create (?:or replace )?(?:unique )?(function|table|view|type|index|trigger|sequence|domain) ([a-z0-9_.]+)/gm;
  const places = new Map<string, string[]>();
  for (const file of databaseFiles(project).schemas) {
    const text = await Deno.readTextFile(file);
    for (const [, kind, name] of text.matchAll(statement)) {
      const object = `${kind} ${name}`;
      places.set(object, [...places.get(object) ?? [], basename(file)]);
    }
    // Columns and constraints stand in their table.
    assertEquals(text.match(/^alter table .*\b(?:add|drop|alter) /gm), null, file);
  }
  assert(places.size > 300);
  assertEquals([...places].filter(([, files]) => files.length > 1), []);
});

/** Statements that change one object each, and the object. */
const CHANGES: Record<string, string> = {
  "alter function private.search_key(text) stable": "function private.search_key(text)",
  "alter function private.match_person(uuid, text, text) set jit = on":
    "function private.match_person(uuid,text,text)",
  "grant execute on function private.media_rank(text) to anon": "function private.media_rank(text)",
  "comment on function private.phone_variants(text) is 'Another.'":
    "function private.phone_variants(text)",
  "create function private.added() returns int language sql as 'select 1'":
    "function private.added()",
  "alter table public.tags alter column colour drop default": "column tags.colour",
  "grant update (created_at) on public.tags to authenticated": "column tags.created_at",
  "comment on column public.tags.name is 'Another.'": "column tags.name",
  "grant truncate on public.tags to authenticated": "table tags",
  "alter table public.canned_replies disable row level security": "table canned_replies",
  "comment on table public.people is 'Another.'": "table people",
  "comment on index public.tags_workspace_id_name_key is 'Another.'":
    "index tags_workspace_id_name_key",
  "drop index public.conversation_tags_workspace_id_tag_id_conversation_id_idx":
    "index conversation_tags_workspace_id_tag_id_conversation_id_idx",
  "comment on constraint tags_name_check on public.tags is 'Another.'":
    "constraint tags_name_check on tags",
  [`alter policy "Owners and admins can delete tags" on public.tags using (false)`]:
    "policy Owners and admins can delete tags on tags",
  [`comment on policy "Owners and admins can make tags" on public.tags is 'Another.'`]:
    "policy Owners and admins can make tags on tags",
  [`drop policy "Members can listen to their workspaces" on realtime.messages`]:
    "policy Members can listen to their workspaces on realtime.messages",
  "alter table public.tags disable trigger tags_limit": "trigger tags_limit on tags",
  "comment on trigger tags_touch_updated_at on public.tags is 'Another.'":
    "trigger tags_touch_updated_at on tags",
  "drop trigger users_create_workspace on auth.users":
    "trigger users_create_workspace on auth.users",
  "create type private.mood as enum ('good', 'bad')": "type private.mood",
  "comment on type private.ingest_item is 'Another.'": "type private.ingest_item",
  "alter type private.ingest_head add attribute added int": "type private.ingest_head",
  "create domain private.positive as int check (value > 0)": "type private.positive",
  "create sequence private.added_seq increment 2": "sequence private.added_seq",
  "alter sequence private.webhook_events_id_seq cache 20": "sequence private.webhook_events_id_seq",
  "comment on schema private is 'Another.'": "schema private",
  "grant usage on schema public to pg_monitor": "schema public",
  "alter default privileges in schema private grant select on tables to anon":
    "default privileges of postgres on tables in private",
  "alter publication supabase_realtime add table public.tags": "publication supabase_realtime",
  "create statistics private.added (dependencies) on name, colour from public.tags":
    "other statistics object private.added",
  "delete from private.country_calling_codes where country = 'ID'":
    "rows of private.country_calling_codes",
};

Deno.test("a difference of every kind is noticed and described", async () => {
  await using server = await startScratchServer();
  const owner = await provideSupabase(server);
  const url = await buildDatabase(owner, "changing", databaseFiles(project).schemas);
  const sql = connect(url, { max: 1 });
  const before = await readCatalogue(sql);
  const admin = connect(asRole(url, SUPERUSER), { max: 1 });
  for (const statement of Object.keys(CHANGES)) {
    // The tables of Auth do not belong to the owner of the schema.
    await (statement.endsWith("auth.users") ? admin : sql).unsafe(statement);
  }
  await admin.end();
  const differences = compareCatalogues(before, await readCatalogue(sql));
  await sql.end();
  const objects = new Set(differences.map(({ object }) => object));
  assertEquals(Object.entries(CHANGES).filter(([, object]) => !objects.has(object)), []);

  const names = { left: "before", right: "after" };
  const text = differences.map((each) => describeDifference(each, names)).join("\n");
  assertMatch(text, /^function private\.added\(\): only in after$/m);
  assertMatch(text, /^index conversation_tags_[a-z_]+: only in before$/m);
  assertMatch(
    text,
    /^column tags\.name: differs \(- before, \+ after\)\n {2}- comment: .*\n {2}\+ comment: Another\.$/m,
  );
});
