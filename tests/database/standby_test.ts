/**
 * A hot standby, as a read replica of hosted Supabase is one: it answers every read of the API as the primary does, also
 * while messages arrive; and when the primary dies, it has everything that was acknowledged.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { createClient } from "@supabase/supabase-js";
import { SignJWT } from "jose";
import type postgres from "postgres";
import { createRestApi } from "../../local/gateway/rest.ts";
import { type Actor, become, connect, size, type Sql, sqlStateOf } from "../support/database.ts";
import { missingPrograms, named } from "../support/debian_postgres.ts";
import { eventually } from "../support/eventually.ts";
import { indexAll } from "../support/message_index.ts";
import { checkLoad, connectToMortal, Load } from "../support/load.ts";
import { conversation, ingest, message } from "../support/messages.ts";
import {
  type Connection,
  createConnection,
  createWorkspace,
  uniqueNumber,
} from "../support/people.ts";
import {
  catchUp,
  cutOff,
  killAtOnce,
  makeSynchronous,
  promote,
  type ReplicatedDatabase,
  STANDBY_PROGRAMS,
  startReplicatedDatabase,
} from "../support/standby.ts";
import { createWorld } from "./rls_matrix/callers.ts";

/** Senders at the same time. */
const WRITERS = 4;
/** Batches that are stored while everything is read again and again. */
const BATCHES_WHILE_READING = size(40, 500);
/** Batches that are acknowledged before the primary is killed, at least. */
const BATCHES_BEFORE_KILL = size(40, 1_000);

/** What the reads are about. */
interface Things {
  workspace: string;
  owner: string;
  conversation: string;
  connection: string;
  connectionName: string;
  numberId: string;
  secretHash: string;
  keyHash: string;
  participant: string;
  phone: string;
  session: string;
  slug: string;
  run: string;
  /** A message far up in the conversation, and its cursor. */
  messageId: string;
  cursor: string;
}

/** A read: who makes it, and a statement whose rows it returns. */
type Read = (sql: Sql, things: Things) => PromiseLike<readonly unknown[]>;

/** Functions that members call. */
const MEMBERS_READ: Readonly<Record<string, Read>> = {
  conversation_answering: (sql, { conversation }) =>
    sql`select public.conversation_answering(${conversation})`,
  "conversation_messages": (sql, { conversation }) =>
    sql`select * from public.conversation_messages(${conversation})`,
  "conversation_messages before": (sql, { conversation, cursor }) =>
    sql`select * from public.conversation_messages(${conversation}, before => ${cursor})`,
  "conversation_messages after": (sql, { conversation, cursor }) =>
    sql`select * from public.conversation_messages(${conversation}, after => ${cursor})`,
  "conversation_messages around": (sql, { conversation, cursor }) =>
    sql`select * from public.conversation_messages(${conversation}, around => ${cursor})`,
  // Seconds since something happened go on between the two answers.
  connection_overview: (sql, { workspace }) =>
    sql`
      select (to_jsonb(listed) - '{lag_seconds,silence_seconds}'::text[])
      from public.connection_overview(${workspace}) as listed`,
  connections_to_sync: (sql, { slug }) => sql`select * from public.connections_to_sync(${slug})`,
  describe_account_deletion: (sql) => sql`select * from public.describe_account_deletion()`,
  describe_workspace_deletion: (sql, { workspace }) =>
    sql`select * from public.describe_workspace_deletion(${workspace})`,
  managed_connection: (sql, { connection }) =>
    sql`select * from public.managed_connection(${connection})`,
  overview_statistics: (sql, { workspace }) =>
    sql`select public.overview_statistics(${workspace}, 92)`,
  search_conversations: (sql, { workspace }) =>
    sql`select * from public.search_conversations(${workspace})`,
  "search_conversations of a number": (sql, { workspace, phone }) =>
    sql`select * from public.search_conversations(${workspace}, ${phone})`,
  search_messages: (sql, { workspace }) =>
    sql`select * from public.search_messages(${workspace}, 'text')`,
  "search_messages of a conversation": (sql, { workspace, conversation }) =>
    sql`select * from public.search_messages(${workspace}, '"Text of"', ${conversation})`,
  search_people: (sql, { workspace }) =>
    sql`select * from public.search_people(${workspace}, 'someone')`,
  sending_side: (sql, { conversation }) => sql`select public.sending_side(${conversation})`,
  summary_run: (sql, { workspace }) =>
    sql`select * from public.summary_run(${workspace}, '2026-01-01')`,
  workspace_member_list: (sql, { workspace }) =>
    sql`select * from public.workspace_member_list(${workspace})`,
  workspace_membership: (sql, { workspace }) =>
    sql`select * from public.workspace_membership(${workspace})`,
};

/** Functions that the Edge Functions and the CLI call with the secret key. */
const SERVICE_READS: Readonly<Record<string, Read>> = {
  check_agent_key: (sql, { keyHash }) => sql`select public.check_agent_key(${keyHash})`,
  connections_to_sync: (sql, { slug }) => sql`select * from public.connections_to_sync(${slug})`,
  connections_with_due_media: (sql) =>
    sql`select * from public.connections_with_due_media() order by connection_id`,
  conversations_to_send: (sql) =>
    sql`select * from public.conversations_to_send() order by conversation_id`,
  due_session_checks: (sql, { connection }) =>
    sql`select * from public.due_session_checks(${connection})`,
  due_status_checks: (sql, { connection }) =>
    sql`select * from public.due_status_checks(${connection})`,
  find_agent_business: (sql, { keyHash, numberId }) =>
    sql`select public.find_agent_business(${keyHash}, ${numberId})`,
  find_agent_session: (sql, { keyHash, participant }) =>
    sql`select public.find_agent_session(${keyHash}, ${participant})`,
  find_connection_by_secret: (sql, { secretHash }) =>
    sql`select * from public.find_connection_by_secret(${secretHash})`,
  find_double_conversations: (sql, { workspace }) =>
    sql`select * from public.find_double_conversations(${workspace})`,
  is_database_up: (sql) => sql`select public.is_database_up()`,
  kapso_api_key: (sql, { connection }) => sql`select * from public.kapso_api_key(${connection})`,
  list_agent_sessions: (sql, { keyHash, slug }) =>
    sql`select public.list_agent_sessions(${keyHash}, ${slug})`,
  list_people: (sql, { workspace }) =>
    sql`select * from public.list_people(${workspace}, search => 'someone')`,
  message_source: (sql, { conversation, messageId }) =>
    sql`select * from public.message_source(${conversation}, ${messageId})`,
  next_sync_conversations: (sql, { run }) =>
    sql`select * from public.next_sync_conversations(${run}, 10)`,
  read_agent_session: (sql, { keyHash, session, slug }) =>
    sql`select public.read_agent_session(${keyHash}, ${session}, ${slug})`,
  verify_connection_secret: (sql, { connectionName, secretHash }) =>
    sql`select * from public.verify_connection_secret(${connectionName}, ${secretHash})`,
  webhook_secrets: (sql, { numberId }) => sql`select * from public.webhook_secrets(${numberId})`,
};

/** Columns of views that tell the time of the answer. */
const CLOCKS: Readonly<Record<string, string[]>> = {
  connection_health: ["lag_seconds", "silence_seconds"],
  installation_health: ["checked_at", "found"],
};

/** A table or view of the API, and who may read it. */
interface Relation {
  name: string;
  role: "authenticated" | "service_role";
}

async function relationsOf(sql: Sql): Promise<Relation[]> {
  return await sql<Relation[]>`
    select relname as name, role
    from pg_class, unnest(array['authenticated', 'service_role']) as role
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
      and has_table_privilege(role, pg_class.oid, 'select')
    order by 1, 2`;
}

/** Reads everything as members and the functions do, and returns the rows of each read as text, in their order. */
async function readAll(
  pool: postgres.Sql,
  things: Things,
  relations: readonly Relation[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const read = async (
    name: string,
    actor: Actor,
    query: (sql: Sql) => PromiseLike<readonly unknown[]>,
  ) => {
    // As PostgREST runs a GET.
    await pool.begin("read only", async (sql) => {
      await become(sql, actor);
      found.set(name, JSON.stringify(await query(sql)));
    });
  };
  const member = { userId: things.owner };
  for (const [name, query] of Object.entries(MEMBERS_READ)) {
    await read(`a member: ${name}`, member, (sql) => query(sql, things));
  }
  for (const [name, query] of Object.entries(SERVICE_READS)) {
    await read(`the service: ${name}`, "service_role", (sql) => query(sql, things));
  }
  for (const { name, role } of relations) {
    const [who, actor] = role === "service_role"
      ? ["the service", role] as const
      : ["a member", member];
    await read(`${who}: rows of ${name}`, actor, (sql) =>
      sql`
        select md5(string_agg(known.row, ',' order by known.row)) as digest
        from (
          select (to_jsonb(known) - ${CLOCKS[name] ?? []}::text[])::text as row
          from ${sql(`public.${name}`)} as known
        ) as known`);
  }
  return found;
}

/** Fills a workspace with at least a row for every read. */
async function createThings(
  sql: postgres.Sql,
): Promise<{ things: Things; connection: Connection }> {
  const { workspace, connection, conversationId, agentKeyId, agentSessionId } = await createWorld(
    sql,
  );
  const numberId = "106540352242922";
  await sql`
    update public.connections set phone_number_id = ${numberId}, statuses_checked_until = null
    where id = ${connection.id}`;
  await sql`update public.outbox_messages set queued_at = now() - interval '1 hour'`;
  await sql`update private.media_copies set next_attempt_at = now() - interval '1 hour'`;
  // Not delivered. Its checks are due after one hour and six, so none becomes due while the test runs.
  const sentAt = new Date(Date.now() - 3 * 3_600_000).toISOString();
  const sent = message({ id: "wamid.1", direction: "outbound", status: "sent", sent_at: sentAt });
  await ingest(sql, connection, [conversation({ messages: [sent] })]);
  // One contact twice, under the key of a bridge and that of Kapso.
  const contact = uniqueNumber();
  for (const key of [contact, `${numberId}:${contact.slice(1)}`]) {
    await sql`
      insert into public.conversations
        (workspace_id, connection_id, platform, external_conversation_id, participant_identifier)
      values (${workspace.id}, ${connection.id}, ${connection.platform}, ${key}, ${contact})`;
  }
  await sql`
    insert into private.limits (name, value)
    values ('connection_requests_per_minute', 1000), ('agent_key_requests_per_minute', 1000)`;
  const [rest] = await sql`
    select encode(sha256(uuid_send(${connection.id})), 'hex') as secret,
      (select encode(key_sha256, 'hex') from private.agent_key_secrets where key_id = ${agentKeyId}) as key,
      (select session_id from public.agent_sessions where id = ${agentSessionId}) as session,
      (select participant_key from public.agent_sessions where id = ${agentSessionId}) as participant,
      (select participant_identifier from public.conversations where id = ${conversationId}) as phone,
      (select id from public.sync_runs where workspace_id = ${workspace.id}) as run,
      (select messages #>> '{0,id}' from public.conversations where id = ${conversationId}) as message,
      (select cursor from public.conversation_messages(${conversationId}, max_messages => 40)
        order by sent_at limit 1) as cursor`;
  const things = {
    workspace: workspace.id,
    owner: workspace.owner,
    conversation: conversationId,
    connection: connection.id,
    connectionName: connection.connection_id,
    numberId,
    secretHash: rest!.secret,
    keyHash: rest!.key,
    participant: rest!.participant,
    phone: rest!.phone,
    session: rest!.session,
    slug: workspace.slug,
    run: rest!.run,
    messageId: rest!.message,
    cursor: rest!.cursor,
  };
  return { things, connection };
}

async function testReads(database: ReplicatedDatabase, t: Deno.TestContext): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const primary = connect(database.primary.url, { max: 4 });
  const standby = connect(database.standby.url, { max: 4 });
  cleanup.defer(() => Promise.all([primary.end(), standby.end()]).then(() => {}));
  const { things, connection } = await createThings(primary);
  const relations = await relationsOf(primary);
  await catchUp(primary, standby);

  await t.step("every function that promises to write nothing is among the reads", async () => {
    const rows = await primary<{ name: string }[]>`
      select proname as name from pg_proc
      where pronamespace = 'public'::regnamespace and prokind = 'f' and provolatile <> 'v'`;
    const read = [...Object.keys(MEMBERS_READ), ...Object.keys(SERVICE_READS)]
      .map((name) => name.split(" ")[0]!);
    assertEquals([...new Set(read)].sort(), rows.map(({ name }) => name).sort());
  });

  await t.step("the standby reads while the primary stores", async () => {
    const load = new Load(connection, Array.from({ length: 10 }, () => conversation()));
    let rounds = 0;
    const writing = load.send(primary, Date.now());
    try {
      while (rounds < 2 || load.acknowledged.length < BATCHES_WHILE_READING) {
        rounds++;
        await readAll(standby, things, relations);
        // As the schedule does, so that searches find words in both places.
        await primary`select from public.index_messages(5000, '-1 second')`;
      }
    } finally {
      load.stop();
    }
    await writing;
  });

  await t.step("and returns what the primary returns, once it has caught up", async () => {
    await indexAll(primary, things.workspace);
    await catchUp(primary, standby);
    const [there, here] = [
      await readAll(primary, things, relations),
      await readAll(standby, things, relations),
    ];
    for (const [name, rows] of there) {
      assertEquals(here.get(name), rows, name);
    }
    const empty = [...there].filter(([, rows]) => /^\[(\{"\w+":null\})?\]$/.test(rows));
    assertEquals(empty.map(([name]) => name), [], "reads that find nothing");
  });

  await t.step("by GET, through a REST API on the standby", async () => {
    await testRestApi(database, things);
  });

  await t.step("a function that writes is refused, as in a GET to the primary", async () => {
    for (const pool of [primary, standby]) {
      const writing = pool.begin("read only", (sql) => sql`select public.fold_message_counts()`);
      assertEquals(await sqlStateOf(writing), "25006");
    }
  });
}

/** What the app calls by GET, and a table. */
async function testRestApi(
  { standby, project, secrets }: ReplicatedDatabase,
  { owner, workspace: workspace_id, conversation }: Things,
): Promise<void> {
  const rest = createRestApi({ databaseUrl: standby.url, config: project.config, secrets });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rest.close());
  const methods = new Set<string>();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request, { remoteAddr }) => {
      methods.add(request.method);
      return rest.fetch(request, remoteAddr.hostname);
    },
  );
  const token = await new SignJWT({ role: "authenticated" })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(owner)
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secrets.jwt_secret));
  const url = `http://127.0.0.1:${server.addr.port}`;
  const client = createClient(url, secrets.publishable_key, {
    accessToken: () => Promise.resolve(token),
  });
  const read = (name: string, args: Record<string, unknown>) =>
    client.rpc(name, args, { get: true });
  const answers = await Promise.all([
    read("overview_statistics", { workspace_id, days: 14 }),
    read("conversation_answering", { conversation_id: conversation }),
    read("workspace_member_list", { workspace_id }),
    read("search_conversations", {
      workspace_id,
      search: "",
      status: "open",
      before_activity_at: "2100-01-01T00:00:00+00:00",
      before_id: conversation,
    }),
    read("conversation_messages", { conversation, max_messages: 50 }),
    client.from("conversation_list").select().eq("workspace_id", workspace_id),
  ]);
  for (const { data, error } of answers) {
    assertEquals(error, null);
    assert(!Array.isArray(data) || data.length > 0);
  }
  assertEquals([...methods], ["GET"]);
}

async function testFailover(database: ReplicatedDatabase): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const { primary, standby } = database;
  await makeSynchronous(primary);
  const setUp = connect(primary.url, { max: 1 });
  const [settings] = await setUp`
    select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`;
  assertEquals(settings, { fsync: "on", commit: "on" });
  const connection = await createConnection(setUp, await createWorkspace(setUp));
  await setUp.end();

  const targets = Array.from({ length: 10 }, () => conversation());
  const load = new Load(connection, targets);
  const pools = Array.from({ length: WRITERS }, () => connectToMortal(primary.url));
  for (const pool of pools) await pool`set role service_role`;
  const observer = connectToMortal(primary.adminUrl);
  await observer`select 1`;
  const enough = load.untilAcknowledged(BATCHES_BEFORE_KILL);
  const failed = Promise.all(pools.map((pool, writer) => load.send(pool, Date.now() + writer)));
  // After the kill they all fail; before it, one that does ends the test.
  failed.catch(() => {});
  await Promise.race([enough, failed]);
  // What commits from now on is on the primary alone, and must not be acknowledged.
  const reconnect = await cutOff(standby);
  await eventually("every sender waits for the standby, or for one that does", async () => {
    const [waiting] = await observer<{ standby: number; lock: number }[]>`
      select count(*) filter (where wait_event = 'SyncRep')::integer as standby,
        count(*) filter (where wait_event_type = 'Lock')::integer as lock
      from pg_stat_activity`;
    return waiting!.standby > 0 && waiting!.standby + waiting!.lock === WRITERS;
  });
  await killAtOnce(primary);
  reconnect();
  await promote(standby);
  observer.end({ timeout: 0 }).catch(() => {});
  for (const pool of pools) pool.end({ timeout: 0 }).catch(() => {});
  // A call without an answer by now will get none.
  const { acknowledged, unacknowledged } = load;
  assertEquals(unacknowledged.length, WRITERS);

  const sql = connect(standby.url, { max: 1 });
  cleanup.defer(() => sql.end());
  const [state] = await sql`select pg_is_in_recovery() as is_standby`;
  assertEquals(state, { is_standby: false });
  await checkLoad(sql, connection, targets, acknowledged, unacknowledged);
}

const missing = missingPrograms(STANDBY_PROGRAMS);

Deno.test({
  name: named("a hot standby answers every read, and loses nothing when it takes over", missing),
  ignore: missing.length > 0,
  fn: async (t) => {
    await using database = await startReplicatedDatabase();
    await testReads(database, t);
    await t.step(
      "the primary is killed: the standby has everything that was acknowledged",
      () => testFailover(database),
    );
  },
});
