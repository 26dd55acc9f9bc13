/**
 * Keys of agents, the sessions' clean-up, and what happens to them beside the API.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  refusalOf,
  size,
  type Sql,
  sqlStateOf,
  untilBlocked,
  useDatabase,
} from "../support/database.ts";
import {
  createConnection,
  createUser,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

async function createKey(workspace: Workspace): Promise<{ id: string; sha256: string }> {
  return await database.as({ userId: workspace.owner }, async (sql) => {
    const [row] = await sql<{ id: string; sha256: string }[]>`
      select id, encode(sha256(convert_to(secret, 'UTF8')), 'hex') as sha256
      from public.create_agent_key(array[${workspace.id}]::uuid[], 'Test')`;
    return row!;
  });
}

async function createSession(sql: Sql, sha256: string, workspace: Workspace, phone: string) {
  const [row] = await sql<{ outcome: string; data: { session_id: string } }[]>`
    select * from public.create_agent_session(${sha256}, ${phone}, ${workspace.slug})`;
  return { outcome: row!.outcome, sessionId: row!.data.session_id };
}

Deno.test("a key is made for workspaces of one owner, and stored as a hash", async () => {
  const { sql } = database;
  const [first, second] = [await createWorkspace(sql), await createWorkspace(sql)];
  // An admin of two businesses of different owners.
  await sql`
    insert into public.workspace_members (workspace_id, user_id, role)
    values (${second.id}, ${first.admin}, 'admin')`;
  const make = (userId: string, ids: (string | null)[]) =>
    database.attempt({ userId }, (member) =>
      member<{ id: string; secret: string }[]>`
        select * from public.create_agent_key(${ids as string[]}::uuid[], '  ')`);
  assertEquals((await make(first.admin, [first.id, second.id])).code, "PT422");
  assertEquals((await make(first.owner, [])).code, "22023");
  assertEquals((await make(first.owner, [first.id, null])).code, "22023");
  assertEquals((await make(first.owner, [crypto.randomUUID()])).code, "PT404");
  const { result } = await make(first.owner, [first.id, first.id]);
  assert(/^agt_[0-9a-f]{32}$/.test(result![0]!.secret));

  const { id } = await createKey(first);
  const seen = (userId: string) =>
    database.as({ userId }, (member) => member`select * from public.agent_keys where id = ${id}`);
  const [key] = await seen(first.owner);
  assertEquals([key!.name, key!.created_by, key!.revoked_at], ["Test", first.owner, null]);
  assertEquals(Object.keys(key!).sort(), [
    "created_at",
    "created_by",
    "id",
    "last_used_at",
    "name",
    "revoked_at",
  ]);
  assertEquals((await seen(first.agent)).length, 0);
  assertEquals((await seen(second.owner)).length, 0);
});

Deno.test("last_used_at moves once a minute, and no caller waits for it", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const key = await createKey(workspace);
  const use = (on: Sql) => on`select public.count_agent_request(${key.sha256})`;
  const usedAt = async () => {
    const [row] = await sql<{ used: string | null }[]>`
      select last_used_at::text as used from public.agent_keys where id = ${key.id}`;
    return row!.used;
  };
  assertEquals(await usedAt(), null);
  await use(service);
  const first = await usedAt();
  assert(first !== null);
  await use(service);
  assertEquals(await usedAt(), first);
  await sql`
    update public.agent_keys set last_used_at = now() - interval '2 minutes' where id = ${key.id}`;
  const past = await usedAt();
  // While one session holds the row, others continue without it.
  await sql.begin(async (holder) => {
    await holder`select from public.agent_keys where id = ${key.id} for update`;
    await service.begin(async (other) => {
      await other`set local lock_timeout = '2s'`;
      await use(other);
    });
  });
  assertEquals(await usedAt(), past);
  await use(service);
  assert((await usedAt())! > past!);
  // Functions that read leave it, and those that write move it.
  await sql`
    update public.agent_keys set last_used_at = now() - interval '2 minutes' where id = ${key.id}`;
  const before = await usedAt();
  await service`select public.find_agent_session(${key.sha256}, '51999999999')`;
  assertEquals(await usedAt(), before);
  await service`select public.create_agent_session(${key.sha256}, '51999999999', ${workspace.slug})`;
  assert((await usedAt())! > before!);
});

Deno.test("a key without a workspace opens nothing, nor does one that was revoked", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const key = await createKey(workspace);
  const refusal = () =>
    refusalOf(service`select public.find_agent_session(${key.sha256}, '51999999999')`);
  const invalid = { code: "PT401", message: "invalid_agent_key", details: null };
  assertEquals(await refusal(), null);
  const revoke = () =>
    database.as(
      { userId: workspace.admin },
      (member) => member<{ at: Date }[]>`select public.revoke_agent_key(${key.id}) as at`,
    );
  const [first] = await revoke();
  assertEquals(await refusal(), invalid);
  assertEquals((await revoke())[0], first, "a repeat changes nothing");
  await sql`update public.agent_keys set revoked_at = null where id = ${key.id}`;
  assertEquals(await refusal(), null);
  await sql`delete from public.workspaces where id = ${workspace.id}`;
  assertEquals(await refusal(), invalid);
});

Deno.test("prune_agent_sessions deletes what expired long ago, and nothing else", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const { sha256 } = await createKey(workspace);
  const connection = await createConnection(sql, workspace);
  await sql`
    update public.connections set phone_number_id = ${
    uniqueNumber().slice(1)
  } where id = ${connection.id}`;
  const ages = [0, 1, 29, 31, 400];
  const phones = ages.map(() => uniqueNumber().slice(1));
  for (const [index, phone] of phones.entries()) {
    const { sessionId } = await createSession(service, sha256, workspace, phone);
    await service`
      select * from public.add_agent_message(
        ${sha256}, ${sessionId}, 'user', 'x', message_id => ${unique("m")})`;
    await sql`
      update public.agent_sessions set expires_at = now() - make_interval(days => ${ages[index]!})
      where session_id = ${sessionId}`;
  }
  const left = async () =>
    (await sql<{ phone: string }[]>`
      select participant_key as phone from public.agent_sessions
      where workspace_id = ${workspace.id} order by expires_at desc`).map(({ phone }) => phone);
  await service`select public.prune_agent_sessions()`;
  assertEquals(await left(), phones.slice(0, 3));
  await service`select public.prune_agent_sessions(1)`;
  assertEquals((await left()).length, 1);
  assertEquals(await sqlStateOf(service`select public.prune_agent_sessions(0)`), "22023");
  const [kept] = await sql`
    select count(*)::integer as threads, sum(message_count)::integer as messages
    from public.conversations where workspace_id = ${workspace.id}`;
  assertEquals(kept, { threads: 5, messages: 5 }, "threads stay");
});

Deno.test("a session and its message ids go with the workspace", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const { sha256 } = await createKey(workspace);
  const { sessionId } = await createSession(service, sha256, workspace, "51999999999");
  await service`
    select * from public.add_agent_message(${sha256}, ${sessionId}, 'user', 'x', message_id => 'm')`;
  const [session] = await sql`
    select id from public.agent_sessions where session_id = ${sessionId}`;
  await sql`delete from public.workspaces where id = ${workspace.id}`;
  const [left] = await sql`
    select count(*)::integer as count from private.agent_message_keys
    where session_id = ${session!.id}`;
  assertEquals(left!.count, 0);
});

Deno.test("an answer without a time stays behind its question, also when the clock was set back", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const { sha256 } = await createKey(workspace);
  const { sessionId } = await createSession(service, sha256, workspace, "51999999999");
  const add = (role: string) =>
    service`select * from public.add_agent_message(${sha256}, ${sessionId}, ${role}, ${role})`;
  await add("user");
  // As if the clock had been a minute ahead at the question.
  await sql`
    update public.agent_sessions
    set messages = jsonb_set(messages, '{0,timestamp}', to_jsonb(now() + interval '1 minute'))
    where session_id = ${sessionId}`;
  await add("bot");
  const [session] = await sql`
    select messages from public.agent_sessions where session_id = ${sessionId}`;
  assertEquals(session!.messages.map(({ role }: { role: string }) => role), ["user", "bot"]);
});

Deno.test("only one of two can be active, however the table is written", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  const insert = () =>
    sql`
      insert into public.agent_sessions (session_id, workspace_id, participant_key)
      values (${unique()}, ${workspace.id}, '51999999999')`;
  await insert();
  assertEquals(await sqlStateOf(insert()), "23505");
});

Deno.test("a message waits for the contact, as the webhook does", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const { sha256 } = await createKey(workspace);
  const connection = await createConnection(sql, workspace);
  await sql`
    update public.connections set phone_number_id = ${
    uniqueNumber().slice(1)
  } where id = ${connection.id}`;
  const phone = uniqueNumber().slice(1);
  const { sessionId } = await createSession(service, sha256, workspace, phone);
  const other = database.connect({ max: 1, connection: { role: "service_role" } });
  try {
    let adding: Promise<unknown> | undefined;
    // A webhook event of this contact, in the middle of its processing.
    await sql.begin(async (webhook) => {
      await webhook`select private.lock_contacts(${
        webhook.json([{ kind: "marketing_preference", identifiers: [`+${phone}`] }])
      })`;
      adding = other`
        select outcome from public.add_agent_message(
          ${sha256}, ${sessionId}, 'user', 'x', message_id => 'm')`.then((rows) => rows[0]);
      await untilBlocked(sql);
      // Meanwhile other writers of the session do not wait.
      const [synced] = await service`
        select outcome from public.sync_agent_session(${sha256}, ${sessionId}, 'i', 's', '{"a": 1}')`;
      assertEquals(synced!.outcome, "ok");
    });
    assertEquals(await adding, { outcome: "ok" });
  } finally {
    await other.end();
  }
  const [state] = await sql`
    select context, version::integer from public.agent_sessions where session_id = ${sessionId}`;
  assertEquals(state, { context: { a: 1 }, version: 3 });
});

Deno.test("a stranger's user id owns nothing", async () => {
  const workspace = await createWorkspace(database.sql);
  const key = await createKey(workspace);
  const stranger = await createUser(database.sql);
  const { code } = await database.attempt(
    { userId: stranger },
    (sql) => sql`select public.revoke_agent_key(${key.id})`,
  );
  assertEquals(code, "PT404");
});

Deno.test("people and threads are deleted while agents write, and no message is refused", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const { sha256 } = await createKey(workspace);
  const connection = await createConnection(sql, workspace);
  await sql`
    update public.connections set phone_number_id = ${
    uniqueNumber().slice(1)
  } where id = ${connection.id}`;
  const sessions: string[] = [];
  for (let index = 0; index < 3; index++) {
    const phone = uniqueNumber().slice(1);
    sessions.push((await createSession(service, sha256, workspace, phone)).sessionId);
  }
  let isDone = false;
  const deleting = (async () => {
    while (!isDone) {
      for (const table of ["people", "conversations"]) {
        // Postgres decides which of two transactions that want the same rows continues.
        const code = await sqlStateOf(
          sql`delete from ${sql(`public.${table}`)} where workspace_id = ${workspace.id}`,
        );
        assert(code === null || code === "40P01", `${code}`);
      }
    }
  })();
  const outcomes = await Promise.all(
    Array.from({ length: size(160, 4_000) }, async (_, index) => {
      const sessionId = sessions[index % sessions.length]!;
      const messageId = index % 4 === 3 ? null : unique("m");
      const [row] = await service`
        select outcome from public.add_agent_message(
          ${sha256}, ${sessionId}, 'user', 'x', message_id => ${messageId})`;
      return row!.outcome;
    }),
  );
  isDone = true;
  await deleting;
  assertEquals([...new Set(outcomes)], ["ok"]);
  const [written] = await sql`
    select sum(version - 1)::integer as messages from public.agent_sessions
    where workspace_id = ${workspace.id}`;
  assertEquals(written!.messages, outcomes.length);
});

Deno.test("a refused write raises its code, and nothing of it is kept", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const { sha256 } = await createKey(workspace);
  const connection = await createConnection(sql, workspace);
  await sql`
    update public.connections set phone_number_id = ${
    uniqueNumber().slice(1)
  } where id = ${connection.id}`;
  const phone = uniqueNumber().slice(1);
  const { sessionId } = await createSession(service, sha256, workspace, phone);
  const { slug } = workspace;
  const large = service.json({ large: "x".repeat(300_000) });
  const refuse = (code: string, message: string) => ({ code, message, details: null });
  const add = (id: string) =>
    service`select from public.add_agent_message(${sha256}, ${id}, 'user', 'x', message_id => 'm')`;
  const sync = (context: unknown, metadata: unknown) =>
    service`
      select from public.sync_agent_session(
        ${sha256}, ${sessionId}, 'i', 's', ${context as string}, ${metadata as string})`;
  const write = (id: string) =>
    service`select from public.end_agent_session(${sha256}, ${id}, ${slug})`;

  assertEquals(await refusalOf(write("unknown")), refuse("PT404", "session_not_found"));
  assertEquals(await refusalOf(add("unknown")), refuse("PT404", "session_not_found"));
  assertEquals(await refusalOf(sync(large, "{}")), refuse("PT413", "context_too_large"));
  assertEquals(await refusalOf(sync("{}", large)), refuse("PT413", "metadata_too_large"));
  assertEquals(
    await refusalOf(service`select from public.create_agent_session(${sha256}, ${phone}, 'none')`),
    refuse("PT404", "workspace_not_found"),
  );
  await sql`
    update public.agent_sessions set expires_at = now() - interval '1 hour'
    where session_id = ${sessionId}`;
  assertEquals(await refusalOf(add(sessionId)), refuse("PT404", "session_not_active"));
  const [kept] = await sql`
    select session.version::integer, session.context, session.messages,
      (select count(*)::integer from private.agent_message_keys as key
        where key.session_id = session.id) as message_keys,
      (select count(*)::integer from public.conversations as conversation
        where conversation.workspace_id = session.workspace_id) as conversations
    from public.agent_sessions as session where session.session_id = ${sessionId}`;
  assertEquals(kept, { version: 1, context: {}, messages: [], message_keys: 0, conversations: 0 });
});
