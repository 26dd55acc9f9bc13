/**
 * Who may do what: every table and view × every kind of caller × every operation, and every function that clients
 * may call × every kind of caller, allowed and denied. A denial is matched to what denies it. The cases are in
 * `rls_matrix/`.
 *
 * @module
 */

import { assert, assertEquals, assertExists } from "@std/assert";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { type Actor, sqlStateOf, useDatabase } from "../support/database.ts";
import { conversation, ingestOne, messages } from "../support/messages.ts";
import { createConnection, createWorkspace, unique, uniqueNumber } from "../support/people.ts";
import * as agents from "./rls_matrix/agents.ts";
import * as conversations from "./rls_matrix/conversations.ts";
import * as kapso from "./rls_matrix/kapso.ts";
import * as outbox from "./rls_matrix/outbox.ts";
import * as people from "./rls_matrix/people.ts";
import * as statistics from "./rls_matrix/statistics.ts";
import * as workspaces from "./rls_matrix/workspaces.ts";
import { actorOf, CALLERS, type Case, createWorld, NO, type World } from "./rls_matrix/callers.ts";

const database = useDatabase();

const PARTS = [workspaces, people, conversations, kapso, outbox, agents, statistics];
const TABLES = Object.assign({}, ...PARTS.map((part) => part.TABLES)) as typeof workspaces.TABLES;
const FUNCTIONS = Object.assign(
  {},
  ...PARTS.map((part) => part.FUNCTIONS),
) as typeof workspaces.FUNCTIONS;

/** Runs a case as each caller, and compares what comes of it. */
async function check({ before, run, outcomes }: Case, world: World): Promise<void> {
  const actual: Record<string, number | string> = {};
  for (const caller of CALLERS) {
    const { result, code } = await database.attempt(
      actorOf(caller, world),
      async (sql) => (await run(sql, world, caller)).count,
      async (sql) => await before?.(sql, world),
    );
    actual[caller] = code ?? result!;
  }
  assertEquals(
    actual,
    Object.fromEntries(CALLERS.map((caller, index) => [caller, outcomes[index]!])),
  );
}

Deno.test("the matrix names every table and view", async () => {
  const relations = await database.sql<{ name: string }[]>`
    select namespace.nspname || '.' || relation.relname as name
    from pg_class as relation
    join pg_namespace as namespace on namespace.oid = relation.relnamespace
    where namespace.nspname in ('public', 'private') and relation.relkind in ('r', 'p', 'v', 'm', 'f')
      -- Their names have dates; the test of webhook days looks at one.
      and relation.oid not in (select day_table from private.webhook_days())
    order by name`;
  assertEquals(relations.map((each) => each.name), Object.keys(TABLES).sort());
  for (const [name, cases] of Object.entries(TABLES)) {
    for (const operation of ["select", "insert", "update", "delete"]) {
      assert(
        Object.keys(cases).some((each) => each.startsWith(operation)),
        `${name} has no case for ${operation}`,
      );
    }
  }
});

Deno.test("every table and view × every caller × every operation", async (t) => {
  const world = await createWorld(database.sql);
  for (const [relation, cases] of Object.entries(TABLES)) {
    for (const [operation, each] of Object.entries(cases)) {
      await t.step(`${relation}: ${operation}`, () => check(each, world));
    }
  }
});

Deno.test("the matrix names every function of the API that a signed-in person may call", async () => {
  const rows = await database.sql<{ name: string }[]>`
    select function.proname as name
    from pg_proc as function
    where function.pronamespace = 'public'::regnamespace
      and has_function_privilege('authenticated', function.oid, 'execute')
    order by name`;
  assert(rows.length >= 30);
  const named = new Set(Object.keys(FUNCTIONS).map((name) => name.split(" ")[0]));
  assertEquals(rows.filter(({ name }) => !named.has(name)).map(({ name }) => name), []);
});

Deno.test("every function × every caller", async (t) => {
  const world = await createWorld(database.sql);
  for (const [name, each] of Object.entries(FUNCTIONS)) {
    await t.step(name, () => check(each, world));
  }
});

Deno.test("a stranger sees no row of any table or function", async () => {
  const world = await createWorld(database.sql);
  const stranger: Actor = { userId: world.newUser };
  await database.as(stranger, async (sql) => {
    for (
      const table of [
        "connections",
        "people",
        "person_identities",
        "conversations",
        "conversation_archives",
        "conversation_sessions",
        "agent_keys",
        "agent_key_workspaces",
        "agent_sessions",
        "conversation_list",
        "conversation_export",
        "outbox_messages",
        "person_merges",
        "person_notes",
        "tags",
        "conversation_tags",
        "canned_replies",
      ]
    ) {
      const rows = await sql`select from ${sql(`public.${table}`)}`;
      assertEquals(rows.length, 0, table);
    }
    // Their own workspace, and themselves.
    assertEquals((await sql`select from public.workspaces`).length, 1);
    assertEquals((await sql`select from public.workspace_members`).length, 1);
  });
});

Deno.test("a person who is added adopts conversations of their own workspace alone", async () => {
  const { sql, service } = database;
  const [mine, theirs] = [await createWorkspace(sql), await createWorkspace(sql)];
  const number = uniqueNumber();
  const id = await ingestOne(
    service,
    await createConnection(sql, theirs),
    conversation({ participant_identifier: number }),
  );
  await database.as({ userId: mine.agent }, async (member) => {
    await member`
      insert into public.people (workspace_id, name, phone) values (${mine.id}, 'X', ${number})`;
  });
  const [row] = await sql`select person_id from public.conversations where id = ${id}`;
  assertEquals(row!.person_id, null);
});

Deno.test("members cannot write what the database computes", async () => {
  const world = await createWorld(database.sql);
  const owner: Actor = { userId: world.workspace.owner };
  for (
    const column of [
      "kapso_name",
      "last_activity_at",
      "created_at",
      "updated_at",
      "workspace_id",
      "id",
    ]
  ) {
    const { code } = await database.attempt(
      owner,
      async (sql) => await sql`update public.people set ${sql(column)} = null`,
    );
    assertEquals(code, NO, column);
  }
  for (const column of ["user_id", "workspace_id", "connection_id", "platform", "last_synced_at"]) {
    const { code } = await database.attempt(
      owner,
      async (sql) => await sql`update public.connections set ${sql(column)} = null`,
    );
    assertEquals(code, NO, column);
  }
});

// Over HTTP -------------------------------------------------------------------------------------

/** A signed-in user, with the workspace of their sign-up. */
async function signUp(): Promise<{ client: SupabaseClient; userId: string; workspaceId: string }> {
  const { info } = database;
  const client = createClient(info.api_url, info.publishable_key, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const { data, error } = await client.auth.signUp({
    email: `${unique("http")}@example.com`,
    password: "a-password-for-tests",
  });
  assertEquals(error, null);
  assertExists(data.session);
  const { data: workspaces } = await client.from("workspaces").select("id");
  assertEquals(workspaces?.length, 1);
  return { client, userId: data.user!.id, workspaceId: workspaces![0]!.id };
}

Deno.test("over HTTP: a member reads, a stranger sees nothing", async (t) => {
  const { info } = database;
  const options = { auth: { persistSession: false, autoRefreshToken: false } };
  const member = await signUp();
  const stranger = await signUp();
  const anonymous = createClient(info.api_url, info.publishable_key, options);
  const service = createClient(info.api_url, info.secret_key, options);

  const connectionName = unique("c_");
  const made = await member.client.rpc("create_connection", {
    workspace_id: member.workspaceId,
    platform: "whatsapp",
    connection_id: connectionName,
  }).single<{ id: string; api_secret: string }>();
  assertEquals(made.error, null);
  const phone = uniqueNumber();
  const person = await member.client.from("people")
    .insert({ workspace_id: member.workspaceId, name: "Ani", phone }).select("id").single();
  assertEquals(person.error, null);
  const stored = await service.rpc("ingest_conversations", {
    connection_id: made.data!.id,
    conversations: [conversation({ participant_identifier: phone, messages: messages(150) })],
  }).single<{ id: string; outcome: string; messages_added: number }>();
  assertEquals([stored.data?.outcome, stored.data?.messages_added], ["created", 150]);
  const id = stored.data!.id;

  const views = ["conversations", "conversation_list", "conversation_export"];
  await t.step("the member", async () => {
    for (const view of views) {
      const { data } = await member.client.from(view).select("id, person_id").eq("id", id);
      assertEquals(data, [{ id, person_id: person.data!.id }], view);
    }
    const thread = await member.client.rpc("conversation_messages", {
      conversation: id,
      max_messages: 7,
    });
    assertEquals(thread.data?.length, 7);
    const found = await member.client.rpc("search_conversations", {
      workspace_id: member.workspaceId,
      search: "ani",
    });
    assertEquals(found.data?.map((each: { id: string }) => each.id), [id]);
  });

  await t.step("a stranger", async () => {
    for (
      const view of [
        ...views,
        "conversation_archives",
        "people",
        "person_identities",
        "connections",
      ]
    ) {
      const { data, error } = await stranger.client.from(view).select();
      assertEquals([data, error], [[], null], view);
    }
    const thread = await stranger.client.rpc("conversation_messages", { conversation: id });
    assertEquals(thread.data, []);
    const found = await stranger.client.rpc("search_conversations", {
      workspace_id: member.workspaceId,
    });
    assertEquals(found.data, []);
    const { error: creating } = await stranger.client.rpc("create_connection", {
      workspace_id: member.workspaceId,
      platform: "whatsapp",
      connection_id: unique("c_"),
    });
    assertEquals([creating?.code, creating?.message], ["PT404", "workspace_not_found"]);
    const { error: rotating } = await stranger.client.rpc("rotate_connection_secret", {
      id: made.data!.id,
    });
    assertEquals([rotating?.code, rotating?.message], ["PT404", "connection_not_found"]);
    const { error: adding } = await stranger.client.from("people")
      .insert({ workspace_id: member.workspaceId, name: "Spy" });
    assertEquals(adding?.code, NO);
    const { error: joining } = await stranger.client.from("workspace_members")
      .insert({ workspace_id: member.workspaceId, user_id: stranger.userId, role: "admin" });
    assertEquals(joining?.code, NO);
    const renaming = await stranger.client.from("connections")
      .update({ name: "Mine" }).eq("id", made.data!.id).select();
    assertEquals(renaming.data, []);
  });

  await t.step("not signed in", async () => {
    for (const view of [...views, "workspaces", "people", "connections"]) {
      const { error } = await anonymous.from(view).select();
      assertEquals(error?.code, NO, view);
    }
    for (
      const [name, args] of [
        ["conversation_messages", { conversation: id }],
        ["search_conversations", { workspace_id: member.workspaceId }],
        ["ingest_conversations", { connection_id: made.data!.id, conversations: [] }],
      ] as const
    ) {
      const { error } = await anonymous.rpc(name, args);
      assertEquals(error?.code, NO, name);
    }
  });

  await t.step("the member cannot call ingest_conversations itself", async () => {
    const { error } = await member.client.rpc("ingest_conversations", {
      connection_id: made.data!.id,
      conversations: [],
    });
    assertEquals(error?.code, NO);
    const { error: verifying } = await member.client.rpc("verify_connection_secret", {
      connection_id: connectionName,
      secret_sha256: "00",
    });
    assertEquals(verifying?.code, NO);
  });

  await t.step("the schema private cannot be reached by anybody", async () => {
    for (const client of [member.client, anonymous, service]) {
      for (
        const table of [
          "message_keys",
          "connection_secrets",
          "waiting_updates",
          "webhook_events",
          "open_webhook_events",
          "finished_webhook_events",
          "webhook_deliveries",
          "media_copies",
          "agent_key_secrets",
          "agent_message_keys",
          "limits",
          "limit_uses",
          "deleted_connections",
        ]
      ) {
        const hidden = await client.schema("private" as "public").from(table).select();
        assertEquals(hidden.data, null, table);
        assert(hidden.error);
        const guessed = await client.from(table).select();
        assertEquals(guessed.data, null, table);
        assert(guessed.error);
      }
      const called = await client.rpc("workspaces_with_role", { roles: ["owner"] });
      assert(called.error);
    }
  });
});

Deno.test("a trigger function cannot be called by any role", async () => {
  for (const role of ["anon", "authenticated", "service_role"]) {
    const rows = await database.sql`
      select function.oid::regprocedure::text as name
      from pg_proc as function
      where function.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
        and function.prorettype = 'trigger'::regtype
        and has_function_privilege(${role}, function.oid, 'execute')`;
    assertEquals([...rows], [], role);
  }
  assertEquals(await sqlStateOf(database.service`select private.touch_updated_at()`), NO);
});
