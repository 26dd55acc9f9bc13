/**
 * The style guide of the database, as far as a query can check it. First what there is, so that no
 * check passes on an empty schema.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { useDatabase } from "../support/database.ts";

const database = useDatabase();

const OURS = ["public", "private"];

async function names(query: PromiseLike<readonly { name: string }[]>): Promise<string[]> {
  return (await query).map((row) => row.name);
}

// What there is ---------------------------------------------------------------------------------

Deno.test("the tables and views are those we know", async () => {
  const found = await names(database.sql<{ name: string }[]>`
    select case relation.relkind when 'r' then 'table ' when 'v' then 'view ' else relation.relkind::text || ' ' end
      || relation.oid::regclass as name
    from pg_class as relation
    where relation.relnamespace::regnamespace::text = any (${OURS})
      and relation.relkind in ('r', 'p', 'v', 'm', 'f')`);
  assertEquals(
    found.sort(),
    [
      "table private.agent_key_secrets",
      "table private.agent_message_keys",
      "table private.connection_secrets",
      "table private.country_calling_codes",
      "table private.message_count_parts",
      "table private.released_numbers",
      "table private.message_counts",
      "table private.media_copies",
      "table private.media_orphans",
      "table private.message_keys",
      "table private.outbox_uploads",
      "table private.sync_conversations",
      "table private.thread_aliases",
      "table private.waiting_updates",
      "table private.webhook_events",
      "table public.agent_key_workspaces",
      "table public.agent_keys",
      "table public.agent_sessions",
      "table public.canned_replies",
      "table public.connections",
      "table public.conversation_archives",
      "table public.conversation_sessions",
      "table public.conversation_tags",
      "table public.conversations",
      "table public.outbox_messages",
      "table public.people",
      "table public.person_identities",
      "table public.person_merges",
      "table public.person_notes",
      "table public.summary_runs",
      "table public.sync_runs",
      "table public.tags",
      "table public.workflow_settings",
      "table public.workflow_settings_history",
      "table public.workspace_members",
      "table public.workspace_summary_settings",
      "table public.workspaces",
      "view public.connection_health",
      "view public.conversation_export",
      "view public.conversation_list",
    ].map((name) => name.replace("public.", "")).sort(),
  );
});

/** Every function, and who may execute it. Triggers are executed by nobody. */
const FUNCTIONS: Record<string, string[]> = {
  "private.abandon_media": [],
  "private.add_workspace_owner": [],
  "private.adopt_conversations": [],
  "private.adopt_conversations_of_identity": [],
  "private.adopt_conversations_of_person": [],
  "private.agent_answer": ["service_role"],
  "private.agent_session_state": ["service_role"],
  "private.apply_changes": ["service_role"],
  "private.apply_session": ["service_role"],
  "private.assign_conversation": ["authenticated"],
  "private.broadcast_conversation_change": [],
  "private.broadcast_tag_change": [],
  "private.call_function": [],
  "private.callback_data": ["service_role"],
  "private.change_agent_context": ["service_role"],
  "private.change_identity": ["service_role"],
  "private.change_marketing_preference": ["service_role"],
  "private.change_message": ["service_role"],
  "private.changed_conversation": ["authenticated"],
  "private.check_outbox": ["authenticated"],
  "private.check_sending": [],
  "private.check_time_zone": [],
  "private.confirm_workflow_settings": ["authenticated"],
  "private.connection_overview": ["authenticated"],
  "private.count_failed_events": ["authenticated"],
  "private.count_new_messages": ["service_role"],
  "private.create_agent_key": ["authenticated"],
  "private.create_connection": ["authenticated"],
  "private.create_workspace_of_new_user": [],
  "private.delete_message_keys": [],
  "private.discard_message": ["authenticated"],
  "private.enqueue_message": ["authenticated"],
  "private.ensure_person": ["service_role"],
  "private.failure_reason": ["service_role"],
  "private.file_agent_message": ["service_role"],
  "private.file_late_messages": ["service_role"],
  "private.follow_statuses": ["service_role"],
  "private.forget_sync_progress": [],
  "private.generate_secret": [],
  "private.have_same_last10": ["service_role"],
  "private.hold_sync_run": ["service_role"],
  "private.identity_key": ["authenticated", "service_role"],
  "private.is_too_large": ["service_role"],
  "private.kapso_side": [],
  "private.keep_newest_messages": ["service_role"],
  "private.keep_released_number": [],
  "private.keep_workflow_settings_history": [],
  "private.limit_canned_replies": [],
  "private.limit_tags": [],
  "private.line_of_agent_session": ["service_role"],
  "private.link_conversation": ["authenticated"],
  "private.local_day_end": ["service_role"],
  "private.locate_participant": ["service_role"],
  "private.lock_contacts": ["service_role"],
  "private.lock_conversation": [],
  "private.lock_conversations_of_person": [],
  "private.managed_connection": ["authenticated"],
  "private.mark_conversation_read": ["authenticated"],
  "private.mark_conversation_unread": ["authenticated"],
  "private.match_person": ["service_role"],
  "private.media_rank": ["service_role"],
  "private.merge_people": ["authenticated"],
  "private.mergeable_fields": [],
  "private.messages_of_day": ["service_role"],
  "private.open_agent_session": ["service_role"],
  "private.note_other_person": [],
  "private.open_due_summaries": ["service_role"],
  "private.overview_statistics": ["authenticated"],
  "private.person_day": ["service_role"],
  "private.phone_digits_of": ["authenticated", "service_role"],
  "private.phone_spellings": ["service_role"],
  "private.phone_variant_spellings": ["service_role"],
  "private.phone_variants": ["service_role"],
  "private.process_webhook_event": ["service_role"],
  "private.queue_media": ["service_role"],
  "private.recipient_of": ["service_role"],
  "private.refresh_activity": [],
  "private.require_active_source": ["service_role"],
  "private.require_agent_key": ["service_role"],
  "private.require_role": [],
  "private.response_times": [],
  "private.retry_message": ["authenticated"],
  "private.revoke_agent_key": ["authenticated"],
  "private.rotate_connection_secret": ["authenticated"],
  "private.save_workflow_settings": ["authenticated"],
  "private.seal_pages": ["service_role"],
  "private.search_conversations": ["authenticated"],
  "private.search_key": ["authenticated", "service_role"],
  "private.sending_connection": ["service_role"],
  "private.sending_side": ["authenticated"],
  "private.set_conversation_status": ["authenticated"],
  "private.settle_arrivals": ["service_role"],
  "private.settle_conversation": ["service_role"],
  "private.settle_outbox": ["service_role"],
  "private.spread": ["service_role"],
  "private.start_summary_run": ["authenticated"],
  "private.status_rank": ["service_role"],
  "private.stop_sync_run": ["authenticated", "service_role"],
  "private.store_conversations": ["service_role"],
  "private.store_kapso_conversation": ["service_role"],
  "private.store_sent_message": ["service_role"],
  "private.thread_id_of": ["service_role"],
  "private.thread_of": ["service_role"],
  "private.touch_updated_at": [],
  "private.try_webhook_event": ["service_role"],
  "private.unassign_former_member": [],
  "private.undo_merge": ["authenticated"],
  "private.update_connection": ["authenticated"],
  "private.workflow_setting_values": [],
  "private.workspace_member_list": ["authenticated"],
  "private.workspaces_of_agent_key": ["service_role"],
  "private.workspaces_with_role": ["authenticated"],
  "public.add_agent_message": ["service_role"],
  "public.add_sync_conversations": ["service_role"],
  "public.advance_sync_run": ["service_role"],
  "public.assign_conversation": ["authenticated"],
  "public.begin_due_sync_run": ["service_role"],
  "public.begin_sync_run": ["service_role"],
  "public.change_agent_intent": ["service_role"],
  "public.check_agent_key": ["service_role"],
  "public.check_outbox": ["authenticated"],
  "public.claim_media_copies": ["service_role"],
  "public.claim_media_orphans": ["service_role"],
  "public.claim_outbox_message": ["service_role"],
  "public.claim_summary_slice": ["service_role"],
  "public.confirm_workflow_settings": ["authenticated"],
  "public.connection_overview": ["authenticated"],
  "public.connections_to_sync": ["authenticated", "service_role"],
  "public.connections_with_due_media": ["service_role"],
  "public.conversation_messages": ["authenticated", "service_role"],
  "public.create_agent_key": ["authenticated"],
  "public.create_agent_session": ["service_role"],
  "public.create_connection": ["authenticated"],
  "public.discard_message": ["authenticated"],
  "public.due_session_checks": ["service_role"],
  "public.due_status_checks": ["service_role"],
  "public.due_sync_runs": ["service_role"],
  "public.end_agent_session": ["service_role"],
  "public.enqueue_message": ["authenticated"],
  "public.extend_agent_session": ["service_role"],
  "public.fail_sync_conversation": ["service_role"],
  "public.find_agent_business": ["service_role"],
  "public.find_agent_session": ["service_role"],
  "public.finish_media_copies": ["service_role"],
  "public.fold_message_counts": ["service_role"],
  "public.forget_media_orphans": ["service_role"],
  "public.ingest_conversations": ["service_role"],
  "public.is_database_up": ["service_role"],
  "public.kapso_api_key": ["service_role"],
  "public.link_agent_order": ["service_role"],
  "public.link_conversation": ["authenticated"],
  "public.list_agent_sessions": ["service_role"],
  "public.list_people": ["service_role"],
  "public.managed_connection": ["authenticated"],
  "public.mark_conversation_read": ["authenticated"],
  "public.mark_conversation_unread": ["authenticated"],
  "public.merge_people": ["authenticated"],
  "public.message_source": ["service_role"],
  "public.next_sync_conversations": ["service_role"],
  "public.note_status_checks": ["service_role"],
  "public.overview_statistics": ["authenticated"],
  "public.postpone_sync": ["service_role"],
  "public.prune_agent_sessions": ["service_role"],
  "public.prune_records": ["service_role"],
  "public.prune_webhook_events": ["service_role"],
  "public.read_agent_session": ["service_role"],
  "public.record_outbox_outcome": ["service_role"],
  "public.record_upload": ["service_role"],
  "public.record_webhook_event": ["service_role"],
  "public.record_workflow_sync": ["service_role"],
  "public.release_sync_run": ["service_role"],
  "public.replay_webhook_events": ["service_role"],
  "public.reset_agent_session": ["service_role"],
  "public.retry_media_copies": ["service_role"],
  "public.retry_message": ["authenticated"],
  "public.revoke_agent_key": ["authenticated"],
  "public.rotate_connection_secret": ["authenticated"],
  "public.save_workflow_settings": ["authenticated"],
  "public.search_conversations": ["authenticated"],
  "public.sending_side": ["authenticated"],
  "public.set_conversation_status": ["authenticated"],
  "public.set_kapso_api_key": ["service_role"],
  "public.set_webhook_secret": ["service_role"],
  "public.settle_outbox": ["service_role"],
  "public.start_summary_run": ["authenticated"],
  "public.stop_sync_run": ["authenticated", "service_role"],
  "public.store_session_checks": ["service_role"],
  "public.store_sync_page": ["service_role"],
  "public.summary_run": ["authenticated", "service_role"],
  "public.sync_agent_session": ["service_role"],
  "public.undo_merge": ["authenticated"],
  "public.update_connection": ["authenticated"],
  "public.verify_connection_secret": ["service_role"],
  "public.webhook_secrets": ["service_role"],
  "public.workspace_member_list": ["authenticated"],
  "public.workspace_membership": ["authenticated"],
  "public.write_agent_context": ["service_role"],
  "public.write_daily_summaries": ["service_role"],
};

Deno.test("the functions are those we know, each for those who need it", async () => {
  const rows = await database.sql<{ name: string; roles: string[] }[]>`
    select function.pronamespace::regnamespace || '.' || function.proname as name,
      array(
        select role.name
        from unnest(array['anon', 'authenticated', 'service_role']) as role (name)
        where has_function_privilege(role.name, function.oid, 'execute')
      ) as roles
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})`;
  const found = Object.fromEntries(rows.map(({ name, roles }) => [name, roles]));
  assertEquals(found, FUNCTIONS);
  assertEquals(rows.length, Object.keys(FUNCTIONS).length, "no overloads");
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

Deno.test("every view applies the rights of whoever reads it", async () => {
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

Deno.test("every function has an empty search path, and definers are private", async () => {
  const { sql } = database;
  const open = await names(sql<{ name: string }[]>`
    select function.oid::regprocedure::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and not coalesce('search_path=""' = any (function.proconfig), false)`);
  assertEquals(open, []);
  const definers = await names(sql<{ name: string }[]>`
    select function.pronamespace::regnamespace || '.' || function.proname as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS}) and function.prosecdef
    order by 1`);
  assertEquals(definers, [
    "private.abandon_media",
    "private.add_workspace_owner",
    "private.adopt_conversations",
    "private.adopt_conversations_of_identity",
    "private.adopt_conversations_of_person",
    "private.assign_conversation",
    "private.broadcast_conversation_change",
    "private.broadcast_tag_change",
    "private.check_outbox",
    "private.confirm_workflow_settings",
    "private.connection_overview",
    "private.count_failed_events",
    "private.create_agent_key",
    "private.create_connection",
    "private.create_workspace_of_new_user",
    "private.delete_message_keys",
    "private.discard_message",
    "private.enqueue_message",
    "private.keep_released_number",
    "private.keep_workflow_settings_history",
    "private.link_conversation",
    "private.lock_conversations_of_person",
    "private.managed_connection",
    "private.mark_conversation_read",
    "private.mark_conversation_unread",
    "private.merge_people",
    "private.overview_statistics",
    "private.retry_message",
    "private.revoke_agent_key",
    "private.rotate_connection_secret",
    "private.save_workflow_settings",
    "private.search_conversations",
    "private.sending_side",
    "private.set_conversation_status",
    "private.start_summary_run",
    "private.stop_sync_run",
    "private.unassign_former_member",
    "private.undo_merge",
    "private.update_connection",
    "private.workspace_member_list",
    "private.workspaces_with_role",
  ]);
});

Deno.test("no function runs text as SQL, or goes on after just any error", async () => {
  const { sql } = database;
  const executing = await names(sql<{ name: string }[]>`
    select function.oid::regproc::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and function.prosrc ~* '\\mexecute\\M'`);
  assertEquals(executing, []);
  const catching = await names(sql<{ name: string }[]>`
    select function.oid::regproc::text as name
    from pg_proc as function
    where function.pronamespace::regnamespace::text = any (${OURS})
      and function.prosrc ~* 'when others'
    order by 1`);
  // It records the error beside the event, and a replay tries again.
  assertEquals(catching, ["private.try_webhook_event"]);
});

Deno.test("nobody who is not signed in has any privilege", async () => {
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

Deno.test("nobody but service may truncate, refer to, or put triggers on a table", async () => {
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
    assert(comment?.includes("supabase/functions/_shared/"), `${name} names no schema`);
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
      -- The one door writes conversations, and sets it itself.
      and relation.relname <> 'conversations'
      and not exists (
        select 1 from pg_trigger as moved
        where moved.tgrelid = relation.oid and moved.tgname like '%\\_touch\\_updated\\_at'
      )`);
  assertEquals(without, []);
});
