/**
 * What a database consists of, object by object, and what differs between two of them. The test of the
 * schema files and `deno task schema:diff` both read it from here.
 *
 * @module
 */

import { diffLines } from "diff";
import type postgres from "postgres";

/** Each object by its kind and name, with everything that makes it what it is. */
export type Catalogue = ReadonlyMap<string, string>;

/** One object that two databases do not have alike. */
export interface Difference {
  /** Kind and name, e.g. `function private.search_key(text)`. */
  readonly object: string;
  /** Its definition on each side; undefined where it is missing. */
  readonly left: string | undefined;
  readonly right: string | undefined;
}

/**
 * Every kind of object in the schemas `public` and `private`, and what belongs to them elsewhere: triggers on
 * auth.users, policies on realtime.messages, publications, default privileges.
 *
 * Lists of privileges are sorted, because Postgres keeps them in the order they were granted. The position of a
 * column is left out: a migration can add one at the end alone.
 */
const QUERY = `
  with ours as (
    select oid, nspname from pg_namespace where nspname in ('public', 'private')
  ),
  parts (object, part, value) as (
    select 'schema ' || nspname, part.*
    from pg_namespace as schema,
      lateral (values
        ('privileges', (select string_agg(acl::text, E'\\n' order by acl::text) from unnest(nspacl) as acl)),
        ('comment', obj_description(schema.oid, 'pg_namespace'))
      ) as part
    where nspname in ('public', 'private', 'extensions')

    union all
    select 'extension ' || extname, 'schema', extnamespace::regnamespace::text from pg_extension

    union all
    select format(
        'default privileges of %s on %s%s',
        defaclrole::regrole,
        case defaclobjtype
          when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
          when 'T' then 'types' when 'n' then 'schemas' else defaclobjtype::text
        end,
        coalesce(' in ' || nullif(defaclnamespace, 0)::regnamespace::text, '')
      ),
      'privileges',
      (select string_agg(acl::text, E'\\n' order by acl::text) from unnest(defaclacl) as acl)
    from pg_default_acl

    union all
    select format(
        '%s %s',
        case relkind
          when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
          when 'S' then 'sequence' when 'c' then 'type' when 'i' then 'index' when 'f' then 'foreign table'
          else relkind::text
        end,
        relation.oid::regclass
      ),
      part.*
    from pg_class as relation
    join ours on ours.oid = relnamespace,
      lateral (values
        ('kind', concat(relkind, relpersistence, relreplident)),
        ('owner', relowner::regrole::text),
        ('privileges', (select string_agg(acl::text, E'\\n' order by acl::text) from unnest(relacl) as acl)),
        ('row level security', case when relrowsecurity then 'on' end),
        ('row level security of the owner', case when relforcerowsecurity then 'on' end),
        ('options', array_to_string(reloptions, ', ')),
        ('comment', obj_description(relation.oid, 'pg_class')),
        ('partition', pg_get_expr(relpartbound, relation.oid)),
        ('partitions', case when relkind = 'p' then pg_get_partkeydef(relation.oid) end),
        ('inherits', (select string_agg(inhparent::regclass::text, ', ') from pg_inherits where inhrelid = relation.oid)),
        ('query', case when relkind in ('v', 'm') then pg_get_viewdef(relation.oid) end),
        ('index', case when relkind in ('i', 'I') then pg_get_indexdef(relation.oid) end)
      ) as part
    where relkind <> 't'

    union all
    select 'sequence ' || sequence.seqrelid::regclass, part.*
    from pg_sequence as sequence
    join pg_class as relation on relation.oid = seqrelid
    join ours on ours.oid = relnamespace,
      lateral (values
        ('sequence', concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)),
        ('owned by', (
          select refobjid::regclass || '.' || attname
          from pg_depend
          join pg_attribute on attrelid = refobjid and attnum = refobjsubid
          where objid = seqrelid and classid = 'pg_class'::regclass and deptype in ('a', 'i')
        ))
      ) as part

    union all
    select format('column %s.%I', relation.oid::regclass, attname), part.*
    from pg_attribute as attribute
    join pg_class as relation on relation.oid = attrelid and relkind in ('r', 'p', 'v', 'm', 'c', 'f')
    join ours on ours.oid = relnamespace
    left join pg_attrdef on adrelid = attrelid and adnum = attnum,
      lateral (values
        ('type', format_type(atttypid, atttypmod)),
        ('collation', (
          select chosen.oid::regcollation::text from pg_collation as chosen
          join pg_type as type on type.oid = atttypid
          where chosen.oid = attcollation and attcollation <> typcollation
        )),
        ('nulls', case when attnotnull then 'not null' end),
        ('default', pg_get_expr(adbin, adrelid)),
        ('generated', nullif(attgenerated::text, '')),
        ('identity', nullif(attidentity::text, '')),
        ('storage', concat(attstorage, attcompression)),
        ('options', array_to_string(attoptions, ', ')),
        ('statistics', attstattarget::text),
        ('privileges', (select string_agg(acl::text, E'\\n' order by acl::text) from unnest(attacl) as acl)),
        ('comment', col_description(attrelid, attnum))
      ) as part
    where attnum > 0 and not attisdropped

    union all
    select format('constraint %s on %s', conname, coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text)),
      part.*
    from pg_constraint as rule
    join ours on ours.oid = connamespace,
      lateral (values
        ('constraint', pg_get_constraintdef(rule.oid)),
        ('comment', obj_description(rule.oid, 'pg_constraint'))
      ) as part

    union all
    select format('policy %s on %s', polname, polrelid::regclass), part.*
    from pg_policy as policy
    join pg_class as relation on relation.oid = polrelid,
      lateral (values
        ('kind', polcmd::text || case when polpermissive then '' else ' restrictive' end),
        ('to', (select string_agg(role::regrole::text, ', ' order by role::regrole::text) from unnest(polroles) as role)),
        ('using', pg_get_expr(polqual, polrelid)),
        ('with check', pg_get_expr(polwithcheck, polrelid)),
        ('comment', obj_description(policy.oid, 'pg_policy'))
      ) as part

    union all
    select format('trigger %s on %s', tgname, tgrelid::regclass), part.*
    from pg_trigger as trigger
    join pg_proc as function on function.oid = tgfoid
    join ours on ours.oid = pronamespace,
      lateral (values
        ('trigger', pg_get_triggerdef(trigger.oid)),
        ('enabled', tgenabled::text),
        ('comment', obj_description(trigger.oid, 'pg_trigger'))
      ) as part
    where not tgisinternal

    union all
    select 'function ' || function.oid::regprocedure, part.*
    from pg_proc as function
    join ours on ours.oid = pronamespace,
      lateral (values
        ('function', case when prokind in ('f', 'p', 'w') then pg_get_functiondef(function.oid) else prokind::text end),
        ('owner', proowner::regrole::text),
        ('privileges', (select string_agg(acl::text, E'\\n' order by acl::text) from unnest(proacl) as acl)),
        ('comment', obj_description(function.oid, 'pg_proc'))
      ) as part

    union all
    select 'type ' || type.oid::regtype, part.*
    from pg_type as type
    join ours on ours.oid = typnamespace,
      lateral (values
        ('kind', typtype::text),
        ('labels', (
          select string_agg(enumlabel, ', ' order by enumsortorder) from pg_enum where enumtypid = type.oid
        )),
        ('domain', case when typtype = 'd' then concat_ws(
          ' ', format_type(typbasetype, typtypmod), case when typnotnull then 'not null' end, typdefault
        ) end),
        -- The order of the attributes counts where a type is built with row(…).
        ('attributes', (
          select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum)
          from pg_attribute
          join pg_class on pg_class.oid = attrelid and relkind = 'c'
          where attrelid = typrelid and attnum > 0 and not attisdropped
        )),
        ('privileges', (select string_agg(acl::text, E'\\n' order by acl::text) from unnest(typacl) as acl)),
        ('comment', obj_description(type.oid, 'pg_type'))
      ) as part
    -- Every table has a type, and every type an array: those say nothing of their own.
    where typtype in ('e', 'd', 'r', 'm')
      or exists (select from pg_class where pg_class.oid = typrelid and relkind = 'c')

    union all
    select 'publication ' || pubname, part.*
    from pg_publication as publication,
      lateral (values
        ('operations', concat_ws(' ', puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot)),
        ('tables', (
          select string_agg(concat_ws(' ', schemaname || '.' || tablename, attnames::text, rowfilter), E'\\n'
            order by schemaname, tablename)
          from pg_publication_tables
          where pg_publication_tables.pubname = publication.pubname
        )),
        ('comment', obj_description(publication.oid, 'pg_publication'))
      ) as part

    union all
    select 'event trigger ' || evtname, 'event trigger', concat_ws(' ', evtevent, evtfoid::regprocedure, evtenabled)
    from pg_event_trigger

    -- Any other kind, such as an operator or a text search configuration: that it exists.
    union all
    select 'other ' || pg_describe_object(classid, objid, 0), 'exists', 'yes'
    from pg_depend
    join ours on ours.oid = refobjid and refclassid = 'pg_namespace'::regclass
    where deptype = 'n'
      and classid <> all (array[
        'pg_class', 'pg_proc', 'pg_type', 'pg_constraint', 'pg_default_acl', 'pg_extension'
      ]::regclass[])
  )
  select object, string_agg(part || ': ' || value, E'\\n' order by part, value) as definition
  from parts
  where value is not null
  group by object
`;

/** Reads everything there is in a database, and the rows that its schema files bring. */
export async function readCatalogue(sql: postgres.ISql): Promise<Catalogue> {
  const objects = await sql.unsafe<{ object: string; definition: string }[]>(QUERY);
  const catalogue = new Map(objects.map(({ object, definition }) => [object, definition]));
  const tables = await sql.unsafe<{ name: string }[]>(`
    select oid::regclass::text as name from pg_class
    where relkind in ('r', 'p') and not relispartition
      and relnamespace::regnamespace::text in ('public', 'private')`);
  for (const { name } of tables) {
    const rows = await sql.unsafe<{ row: string }[]>(
      `select to_jsonb(stored)::text as row from ${name} as stored order by 1`,
    );
    if (rows.length > 0) catalogue.set(`rows of ${name}`, rows.map(({ row }) => row).join("\n"));
  }
  return catalogue;
}

/** Lists the objects that two databases do not have alike, by name. */
export function compareCatalogues(left: Catalogue, right: Catalogue): Difference[] {
  return [...new Set([...left.keys(), ...right.keys()])]
    .sort()
    .map((object) => ({ object, left: left.get(object), right: right.get(object) }))
    .filter((each) => each.left !== each.right);
}

/**
 * Describes a difference for a person: which side lacks the object, or which lines of it differ, `-` as on the
 * left and `+` as on the right.
 */
export function describeDifference(
  { object, left, right }: Difference,
  names: { readonly left: string; readonly right: string },
): string {
  if (left === undefined) return `${object}: only in ${names.right}`;
  if (right === undefined) return `${object}: only in ${names.left}`;
  const lines = diffLines(`${left}\n`, `${right}\n`).flatMap((change) =>
    change.added || change.removed
      ? change.value.trimEnd().split("\n").map((line) => `  ${change.added ? "+" : "-"} ${line}`)
      : []
  );
  return [`${object}: differs (- ${names.left}, + ${names.right})`, ...lines].join("\n");
}
