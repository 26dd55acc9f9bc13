/**
 * The style guide of the database, as far as a query can check it. First what there is, so that no
 * check passes on an empty schema.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { resolve } from "node:path";
import { databaseFiles } from "../../local/postgres/migrate.ts";
import { readProject } from "../../local/project.ts";
import { useDatabase } from "../support/database.ts";

const database = useDatabase();
const project = await readProject(resolve(import.meta.dirname!, "../.."));

const OURS = ["public", "private"];

async function names(query: PromiseLike<readonly { name: string }[]>): Promise<string[]> {
  return (await query).map((row) => row.name);
}

// What there is ---------------------------------------------------------------------------------

// Every table and view is named in tests/database/rls_matrix/, with what each caller may do to it.

Deno.test("the schema is there, and no function has two definitions", async () => {
  const [found] = await database.sql`
    select
      (select count(*)::integer from pg_class
        where relnamespace::regnamespace::text = any (${OURS}) and relkind in ('r', 'v')) as relations,
      count(*)::integer as functions,
      count(distinct pronamespace::regnamespace || '.' || proname)::integer as names
    from pg_proc where pronamespace::regnamespace::text = any (${OURS})`;
  assert(found!.relations >= 40);
  assert(found!.functions >= 200);
  assertEquals(found!.names, found!.functions, "no overloads");
});

/** A function, and which roles of the API may execute it. */
interface Executable {
  readonly schema: string;
  readonly name: string;
  readonly roles: string[];
  readonly isTrigger: boolean;
  readonly isDefiner: boolean;
}

async function executables(): Promise<readonly Executable[]> {
  return await database.sql<Executable[]>`
    select function.pronamespace::regnamespace::text as schema, function.proname as name,
      array(
        select role.name
        from unnest(array['anon', 'authenticated', 'service_role']) as role (name)
        where has_function_privilege(role.name, function.oid, 'execute')
      ) as roles,
      function.prorettype = 'trigger'::regtype as "isTrigger",
      function.prosecdef as "isDefiner"
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})`;
}

/** Functions of `private` that policies, generated columns, views or several public functions call. */
const HELPERS_OF_MEMBERS = [
  "changed_conversation",
  "count_failed_events",
  "digits_in",
  "find_message_places",
  "fits",
  "folded",
  "fragment_patterns",
  "identity_key",
  "installation_health",
  "joined_parts",
  "message_fits",
  "message_marks",
  "message_text",
  "message_words",
  "messages_after",
  "messages_before",
  "messages_between",
  "number_endings",
  "number_word",
  "other_phone_keys",
  "pair_signs",
  "phone_digits_of",
  "phone_extension_pattern",
  "phone_key_of",
  "phone_numbers_in",
  "phrase_expression",
  "platforms",
  "query_words",
  "read_cursor",
  "read_search",
  "search_fragments",
  "search_key",
  "snippet",
  "split_numbers",
  "text_words",
  "with_ascii_digits",
  "word_signs",
  "workspaces_with_role",
];

Deno.test("functions may be executed by those the schema files name, and by no other role", async () => {
  const granted = new Map<string, string[]>();
  for (const file of databaseFiles(project).schemas) {
    const text = await Deno.readTextFile(file);
    for (
      const [, list, roles] of text.matchAll(/^grant execute on function([^;]+?)\bto ([^;]+);/gm)
    ) {
      for (const [, name] of list!.matchAll(/((?:public|private)\.[a-z0-9_]+)\(/g)) {
        // Types of arguments have a schema as well, and no bracket behind them.
        granted.set(name!, [...granted.get(name!) ?? [], ...roles!.split(", ")].sort());
      }
    }
  }
  const found = await executables();
  assertEquals(
    Object.fromEntries(found.map(({ schema, name, roles }) => [`${schema}.${name}`, roles])),
    Object.fromEntries(
      found.map(({ schema, name }) => [
        `${schema}.${name}`,
        granted.get(`${schema}.${name}`) ?? [],
      ]),
    ),
  );
  // Granted to a function that is not there: a typing error, or what a removed one left behind.
  const names = new Set(found.map(({ schema, name }) => `${schema}.${name}`));
  assertEquals([...granted.keys()].filter((name) => !names.has(name)), []);
});

Deno.test("members reach private functions through public ones alone", async () => {
  const found = await executables();
  const ofMembers = (schema: string) =>
    found.filter((each) => each.schema === schema && each.roles.includes("authenticated"))
      .map(({ name }) => name);
  const reachable = new Set(ofMembers("public"));
  assert(reachable.size >= 30);
  assertEquals(
    ofMembers("private").filter((name) => !reachable.has(name)).sort(),
    HELPERS_OF_MEMBERS,
  );
});

Deno.test("triggers are executed by no role, and definers are private and say why", async () => {
  const found = await executables();
  assertEquals(found.filter(({ isTrigger, roles }) => isTrigger && roles.length > 0), []);
  const definers = found.filter(({ isDefiner }) => isDefiner);
  assert(definers.length >= 40);
  assertEquals(definers.filter(({ schema }) => schema !== "private"), []);
  const reasons = new Set<string>();
  for (const file of databaseFiles(project).schemas) {
    const text = await Deno.readTextFile(file);
    const definitions = text.matchAll(
      /^create function private\.([a-z0-9_]+)\((?:(?!^as \$).)*?^-- Definer (?:because|so that) (?:(?!^as \$).)*?^security definer$/gms,
    );
    for (const [, name] of definitions) reasons.add(name!);
  }
  assertEquals(definers.filter(({ name }) => !reasons.has(name)).map(({ name }) => name), []);
});

// Safety ----------------------------------------------------------------------------------------

Deno.test("every table has row level security", async () => {
  const without = await names(database.sql<{ name: string }[]>`
    select relation.oid::regclass::text as name
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relkind in ('r', 'p') and not relation.relrowsecurity`);
  assertEquals(without, []);
});

Deno.test("every view applies the rights of its reader", async () => {
  const without = await names(database.sql<{ name: string }[]>`
    select relation.oid::regclass::text as name
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS}) and relation.relkind in ('v', 'm')
      and not coalesce('security_invoker=true' = any (relation.reloptions), false)`);
  assertEquals(without, []);
});

interface Policy {
  name: string;
  table: string;
  operation: string;
  roles: string[];
  using: string | null;
  check: string | null;
}

async function policies(): Promise<readonly Policy[]> {
  return await database.sql<Policy[]>`
    select policyname as name, schemaname || '.' || tablename as table, cmd as operation,
      roles::text[] as roles, qual as using, with_check as check
    from pg_policies where schemaname = any (${OURS})`;
}

Deno.test("policies: for signed-in people, one per operation, none for all", async () => {
  const found = await policies();
  assert(found.length >= 15);
  for (const policy of found) {
    assertEquals(policy.roles, ["authenticated"], policy.name);
    assert(["SELECT", "INSERT", "UPDATE", "DELETE"].includes(policy.operation), policy.name);
  }
  const operations = found.map((policy) => `${policy.table} ${policy.operation}`);
  assertEquals(operations.toSorted(), [...new Set(operations)].sort());
});

Deno.test("policies: the caller is asked once a statement, not once a row", async () => {
  for (const { name, using, check } of await policies()) {
    for (const condition of [using, check].filter((each) => each !== null)) {
      const wrapped = condition
        .replaceAll("( SELECT auth.uid() AS uid)", "")
        .replaceAll(
          /\( SELECT private\.workspaces_with_role\([^()]*\) AS workspaces_with_role\)/g,
          "",
        );
      assert(wrapped.length < condition.length, `${name} does not look at the caller`);
      assert(!/auth\.|workspaces_with_role\(/.test(wrapped), `${name}: ${condition}`);
    }
  }
});

Deno.test("policies: rows are checked as they were and as they become", async () => {
  for (const { name, operation, using, check } of await policies()) {
    assertEquals(using !== null, operation !== "INSERT", name);
    assertEquals(check !== null, ["INSERT", "UPDATE"].includes(operation), name);
  }
});

Deno.test("policies are sentences", async () => {
  for (const { name } of await policies()) {
    assert(/^[A-Z][a-z]+,?( [a-z]+,?)+$/.test(name), name);
  }
});

Deno.test("every function has an empty search path", async () => {
  const open = await names(database.sql<{ name: string }[]>`
    select function.oid::regprocedure::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and not coalesce('search_path=""' = any (function.proconfig), false)`);
  assertEquals(open, []);
});

Deno.test("a function that forbids kinds of plans forbids JIT", async () => {
  // A forbidden node costs so much that Postgres would compile the statement, which takes longer than running it.
  const compiled = await names(database.sql<{ name: string }[]>`
    select function.oid::regprocedure::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and exists (select from unnest(function.proconfig) as setting where setting like 'enable\_%=off')
      and not 'jit=off' = any (function.proconfig)`);
  assertEquals(compiled, []);
});

Deno.test("no function runs text as SQL, or continues after an arbitrary error", async () => {
  const { sql } = database;
  const executing = await names(sql<{ name: string }[]>`
    select function.oid::regproc::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and function.prosrc ~* '\\mexecute\\M'
    order by 1`);
  // The name of a table for a day is made of the day.
  assertEquals(executing, ["private.add_webhook_day", "private.drop_webhook_days"]);
  const catching = await names(sql<{ name: string }[]>`
    select function.oid::regproc::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and function.prosrc ~* 'when others'
    order by 1`);
  // They record the error beside the event, or the failed attempt beside the messages, and try again.
  assertEquals(catching, ["index_messages", "private.try_webhook_events"]);
});

Deno.test("escapes in strings mean the same in every version of Postgres", async () => {
  // Before 16, E'\v' is the letter v. What a version does not know loses its backslash.
  const unknown = await names(database.sql<{ name: string }[]>`
    select oid::regprocedure::text as name from pg_proc
    where pronamespace::regnamespace::text = any (${OURS})
      and prosrc ~ '(?<![a-zA-Z])E''[^'']*?(?<!\\\\)(\\\\\\\\)*\\\\[^0-7xuUbfnrt\\\\'']'`);
  assertEquals(unknown, []);
});

Deno.test("anonymous callers have no privilege", async () => {
  const { sql } = database;
  const tables = await names(sql<{ name: string }[]>`
    select relation.oid::regclass::text as name
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relkind in ('r', 'p', 'v', 'm', 'f')
      and (
        has_table_privilege(
          'anon', relation.oid, 'select, insert, update, delete, truncate, references, trigger'
        )
        or has_any_column_privilege('anon', relation.oid, 'select, insert, update, references')
      )`);
  assertEquals(tables, []);
  const sequences = await names(sql<{ name: string }[]>`
    select relation.oid::regclass::text as name
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS})
      -- Asked of sequences alone: the planner is free to test it first.
      and case when relation.relkind = 'S'
        then has_sequence_privilege('anon', relation.oid, 'usage, select, update') end`);
  assertEquals(sequences, []);
  const [schema] = await sql`select has_schema_privilege('anon', 'private', 'usage') as usage`;
  assertEquals(schema!.usage, false);
});

Deno.test("only the service may truncate, reference, or put triggers on a table", async () => {
  const found = await names(database.sql<{ name: string }[]>`
    select relation.oid::regclass::text as name
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relkind in ('r', 'p', 'v', 'm', 'f')
      and has_table_privilege('authenticated', relation.oid, 'truncate, references, trigger')`);
  assertEquals(found, []);
});

Deno.test("what a later migration makes is closed until it is granted", async () => {
  const rollback = new Error("rolled back on purpose");
  let rights: unknown;
  await database.sql.begin(async (sql) => {
    await sql.unsafe(`
      create table public.later (id bigint generated always as identity);
      create table private.later (id int);
      create function public.later_function() returns int language sql as 'select 1';
      create function private.later_function() returns int language sql as 'select 1';
    `);
    rights = [
      ...await sql`
        select role.name
        from unnest(array['anon', 'authenticated', 'service_role']) as role (name)
        where has_table_privilege(role.name, 'public.later', 'select, insert, update, delete')
          or has_table_privilege(role.name, 'private.later', 'select, insert, update, delete')
          or has_sequence_privilege(role.name, 'public.later_id_seq', 'usage, select, update')
          or has_function_privilege(role.name, 'public.later_function()', 'execute')
          or has_function_privilege(role.name, 'private.later_function()', 'execute')`,
    ];
    throw rollback;
  }).catch((error) => {
    if (error !== rollback) throw error;
  });
  assertEquals(rights, []);
});

// Care ------------------------------------------------------------------------------------------

Deno.test("everything has a comment", async () => {
  const without = await names(database.sql<{ name: string }[]>`
    select 'schema private' as name where obj_description('private'::regnamespace, 'pg_namespace') is null
    union all
    select 'relation ' || relation.oid::regclass
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relkind in ('r', 'p', 'v', 'm', 'f')
      and obj_description(relation.oid, 'pg_class') is null
    union all
    select 'column ' || relation.oid::regclass || '.' || attribute.attname
    from pg_class as relation
    join pg_attribute as attribute
      on attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relkind in ('r', 'p')
      and col_description(relation.oid, attribute.attnum) is null
    union all
    select 'function ' || function.oid::regprocedure
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and obj_description(function.oid, 'pg_proc') is null
    union all
    select 'type ' || type.oid::regtype
    from pg_type as type
    join pg_class as relation on relation.oid = type.typrelid and relation.relkind = 'c'
    where type.typnamespace::regnamespace::text = any (${OURS})
      and obj_description(type.oid, 'pg_type') is null
    union all
    -- An index that is neither a key nor just the columns of a foreign key says what it is for.
    select 'index ' || relation.oid::regclass
    from pg_index as index
    join pg_class as relation on relation.oid = index.indexrelid
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and not index.indisunique
      and (index.indpred is not null or index.indexprs is not null)
      and pg_get_expr(index.indpred, index.indrelid) is distinct from '(assigned_to IS NOT NULL)'
      and obj_description(relation.oid, 'pg_class') is null`);
  assertEquals(without, []);
});

Deno.test("comments that name a file name one that exists", async () => {
  const comments = await database.sql<{ text: string }[]>`
    select description as text from pg_description
    where description ~ '(supabase|docs)/[a-z_/.0-9-]+'
      and (
        objoid in (select oid from pg_class where relnamespace::regnamespace::text = any (${OURS}))
        or objoid in (select oid from pg_proc where pronamespace::regnamespace::text = any (${OURS}))
      )`;
  const paths = new Set(
    comments.flatMap(({ text }) => text.match(/supabase\/[a-z_/.0-9-]*[a-z0-9]/g) ?? []),
  );
  assert(paths.size > 0);
  for (const path of paths) {
    assert((await Deno.stat(new URL(`../../${path}`, import.meta.url))).isFile, path);
  }
});

Deno.test("every foreign key is indexed", async () => {
  const { sql } = database;
  const [all] = await sql`
    select count(*)::integer as count from pg_constraint
    where contype = 'f' and connamespace::regnamespace::text = any (${OURS})`;
  assert(all!.count >= 15);
  const without = await names(sql<{ name: string }[]>`
    select key.conrelid::regclass || ' ' || key.conname as name
    from pg_constraint as key
    where key.contype = 'f' and key.connamespace::regnamespace::text = any (${OURS})
      and not exists (
        select 1 from pg_index as index
        where index.indrelid = key.conrelid and index.indisvalid
          -- Its first columns are those of the key, in any order.
          and (index.indkey::smallint[])[0:cardinality(key.conkey) - 1] @> key.conkey
          and (
            index.indpred is null
            or pg_get_expr(index.indpred, index.indrelid) ~ '^\\([a-z_]+ IS NOT NULL\\)$'
          )
      )`);
  assertEquals(without, []);
});

Deno.test("every column that policies look at is indexed first", async () => {
  const without = await names(database.sql<{ name: string }[]>`
    select attribute.attrelid::regclass || '.' || attribute.attname as name
    from pg_attribute as attribute
    join pg_class as relation on relation.oid = attribute.attrelid and relation.relkind = 'r'
    where relation.relnamespace = 'public'::regnamespace
      and attribute.attname in ('workspace_id', 'user_id')
      and not exists (
        select 1 from pg_index as index
        where index.indrelid = attribute.attrelid and index.indkey[0] = attribute.attnum
          and index.indpred is null
      )`);
  assertEquals(without, []);
});

Deno.test("every jsonb column says what it holds", async () => {
  const { sql } = database;
  const columns = await sql<{ name: string; is_checked: boolean; comment: string | null }[]>`
    select attribute.attrelid::regclass || '.' || attribute.attname as name,
      exists (
        select 1 from pg_constraint as rule
        where rule.conrelid = attribute.attrelid and rule.contype = 'c'
          and attribute.attnum = any (rule.conkey)
          and pg_get_constraintdef(rule.oid) like '%jsonb_typeof(%'
      ) as is_checked,
      col_description(attribute.attrelid, attribute.attnum) as comment
    from pg_attribute as attribute
    join pg_class as relation on relation.oid = attribute.attrelid and relation.relkind = 'r'
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and attribute.atttypid = 'jsonb'::regtype and not attribute.attisdropped`;
  assert(columns.length >= 3);
  for (const { name, is_checked: isChecked, comment } of columns) {
    assert(isChecked, `${name} has no check of its jsonb_typeof`);
    assert(
      /supabase\/functions\/_shared\/|private\.[a-z_]+\(/.test(comment ?? ""),
      `${name} names neither a contract nor the function that makes it`,
    );
  }
});

Deno.test("times have a zone, and constraints and indexes are named after their columns", async () => {
  const { sql } = database;
  const times = await names(sql<{ name: string }[]>`
    select attribute.attrelid::regclass || '.' || attribute.attname as name
    from pg_attribute as attribute
    join pg_class as relation on relation.oid = attribute.attrelid and relation.relkind in ('r', 'v')
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and attribute.atttypid in ('timestamp'::regtype, 'timetz'::regtype)`);
  assertEquals(times, []);
  const badly = await names(sql<{ name: string }[]>`
    select relation.relname || ': ' || constrained.conname as name
    from pg_constraint as constrained
    join pg_class as relation on relation.oid = constrained.conrelid
    where constrained.connamespace::regnamespace::text = any (${OURS})
      and constrained.contype in ('p', 'u', 'f', 'c')
      -- A partition has the names of its table.
      and (constrained.coninhcount = 0 or constrained.contype <> 'c')
      and constrained.conname !~ ('^' || relation.relname || '_([a-z0-9_]+_)?(pkey|key|fkey|check)$')
    union all
    select indexed.relname || ': ' || relation.relname
    from pg_index as index
    join pg_class as relation on relation.oid = index.indexrelid
    join pg_class as indexed on indexed.oid = index.indrelid
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relname !~ ('^' || indexed.relname || '_([a-z0-9_]+_)?(pkey|key|idx)$')`);
  assertEquals(badly, []);
});

Deno.test("tables that change tell when", async () => {
  const without = await names(database.sql<{ name: string }[]>`
    select relation.oid::regclass::text as name
    from pg_class as relation
    where relation.relnamespace = 'public'::regnamespace and relation.relkind = 'r'
      and exists (
        select 1 from pg_attribute as attribute
        where attribute.attrelid = relation.oid and attribute.attname = 'updated_at'
      )
      -- ingest_conversations writes conversations, and sets it itself.
      and relation.relname <> 'conversations'
      and not exists (
        select 1 from pg_trigger as moved
        where moved.tgrelid = relation.oid and moved.tgname like '%\\_touch\\_updated\\_at'
      )`);
  assertEquals(without, []);
});
