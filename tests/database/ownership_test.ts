/**
 * What belongs together: a workspace keeps its data when accounts go, and it changes hands; a contact and a number have
 * one conversation, under any key.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { become, size, type Sql, useDatabase } from "../support/database.ts";
import {
  at,
  conversation,
  ingest,
  ingestOne,
  message,
  messages,
  readConversation,
  readThread,
  type TestConversation,
  threadFaults,
} from "../support/messages.ts";
import {
  claimNumber,
  createConnection,
  createUser,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase();

async function as<T>(userId: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  let result: T;
  await database.sql.begin(async (transaction) => {
    await become(transaction, { userId });
    result = await work(transaction);
  });
  return result!;
}

/** A workspace whose connection was created by one of its members, with some conversations. */
async function business(creator: "owner" | "admin", count: number) {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace, {
    userId: workspace[creator],
  });
  await ingest(
    database.service,
    connection,
    Array.from({ length: count }, () => conversation({ messages: messages(2) })),
  );
  return { workspace, connection };
}

const deleteAccount = (id: string) => database.sql`delete from auth.users where id = ${id}`;

async function countOf(workspace: Workspace) {
  const [row] = await database.sql`
    select
      (select count(*)::integer from public.conversations where workspace_id = ${workspace.id}) as conversations,
      (select count(*)::integer from public.connections where workspace_id = ${workspace.id}) as connections`;
  return [row!.conversations, row!.connections];
}

const rolesOf = async (workspace: Workspace) =>
  Object.fromEntries(
    (await database.sql`
      select user_id, role from public.workspace_members where workspace_id = ${workspace.id}`)
      .map(({ user_id, role }) => [user_id, role]),
  );

Deno.test("the account of who connected a number is deleted, and the business keeps everything", async () => {
  const { workspace, connection } = await business("admin", 20);
  assertEquals(await countOf(workspace), [20, 1]);
  await deleteAccount(workspace.admin!);
  assertEquals(await countOf(workspace), [20, 1]);
  const target = conversation({ messages: messages(1) });
  const [stored] = await ingest(database.service, connection, [target]);
  assertEquals(stored!.outcome, "created");
});

Deno.test("the account of the owner is deleted: the admin follows, and it was said before", async () => {
  const { workspace } = await business("owner", 20);
  const said = await as(workspace.owner, (sql) =>
    sql`
      select outcome, new_owner from public.describe_account_deletion()
      where workspace_id = ${workspace.id}`);
  assertEquals({ ...said[0] }, { outcome: "handed_over", new_owner: workspace.admin });
  await deleteAccount(workspace.owner);
  assertEquals(await countOf(workspace), [20, 1]);
  assertEquals(await rolesOf(workspace), {
    [workspace.admin!]: "owner",
    [workspace.agent!]: "agent",
    [workspace.viewer!]: "viewer",
  });
  const [row] = await database.sql`
    select user_id from public.workspaces where id = ${workspace.id}`;
  assertEquals(row!.user_id, workspace.admin);
});

Deno.test("where no member may follow, the data stay for the service to hand over", async () => {
  const { workspace } = await business("owner", 3);
  await deleteAccount(workspace.admin!);
  await deleteAccount(workspace.agent!);
  const said = await as(workspace.owner, (sql) =>
    sql`
      select outcome, new_owner from public.describe_account_deletion()
      where workspace_id = ${workspace.id}`);
  assertEquals({ ...said[0] }, { outcome: "without_owner", new_owner: null });
  await deleteAccount(workspace.owner);
  assertEquals(await countOf(workspace), [3, 1]);
  assertEquals(await rolesOf(workspace), { [workspace.viewer!]: "viewer" });
  await database.service`select public.transfer_workspace(${workspace.id}, ${workspace.viewer!})`;
  assertEquals(await rolesOf(workspace), { [workspace.viewer!]: "owner" });
});

Deno.test("two admins, one number, deleted and connected again: one conversation, and no message twice", async () => {
  const workspace = await createWorkspace(database.sql);
  const second = await createUser(database.sql, "second");
  await database.sql`
    insert into public.workspace_members (workspace_id, user_id, role)
    values (${workspace.id}, ${second}, 'admin')`;
  const target = conversation({ messages: messages(3) });
  const first = await createConnection(database.sql, workspace, { userId: workspace.admin! });
  const [before] = await ingest(database.service, first, [target]);
  await database.sql`delete from public.connections where id = ${first.id}`;
  const again = await createConnection(database.sql, workspace, { userId: second });
  const [after] = await ingest(database.service, again, [
    { ...target, messages: [...target.messages, ...messages(1, 100)] },
  ]);
  assertEquals([after!.id, after!.outcome, after!.messages_added], [before!.id, "updated", 1]);
  assertEquals(await countOf(workspace), [1, 1]);
});

Deno.test("an owner hands the workspace over, and becomes an admin", async () => {
  const { workspace } = await business("owner", 1);
  await as(
    workspace.owner,
    (sql) => sql`select public.transfer_workspace(${workspace.id}, ${workspace.agent!})`,
  );
  const roles = await rolesOf(workspace);
  assertEquals([roles[workspace.owner], roles[workspace.agent!]], ["admin", "owner"]);
  await assertRejects(() =>
    as(
      workspace.owner,
      (sql) => sql`select public.transfer_workspace(${workspace.id}, ${workspace.owner})`,
    )
  );
});

Deno.test("what goes with a workspace is said before", async () => {
  const { workspace } = await business("owner", 4);
  const said = await as(
    workspace.owner,
    (sql) =>
      sql`select kind, count::integer from public.describe_workspace_deletion(${workspace.id})`,
  );
  assertEquals(Object.fromEntries(said.map(({ kind, count }) => [kind, count])), {
    members: 4,
    connections: 1,
    people: 0,
    conversations: 4,
    messages: 8,
    notes: 0,
  });
});

Deno.test("two accounts that go at once leave the workspace to the member who stays", async () => {
  const { workspace } = await business("owner", 2);
  const [first, second] = [await database.sql.reserve(), await database.sql.reserve()];
  try {
    await first`begin`;
    await first`delete from auth.users where id = ${workspace.owner}`;
    const other = second`delete from auth.users where id = ${workspace.admin!}`.execute();
    // It waits for the first.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await first`commit`;
    await other;
  } finally {
    first.release();
    second.release();
  }
  assertEquals(await rolesOf(workspace), {
    [workspace.agent!]: "owner",
    [workspace.viewer!]: "viewer",
  });
  assertEquals(await countOf(workspace), [2, 1]);
});

/** Runs `deno task merge:conversations`, and returns what it prints. */
async function mergeConversations(...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "cli/conversations/main.ts", ...args],
    env: { SUPABASE_URL: database.info.api_url, SUPABASE_SECRET_KEY: database.info.secret_key },
  }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
  return new TextDecoder().decode(stdout);
}

/** A number at Kapso, and a contact of it. */
async function numberAndContact() {
  const workspace = await createWorkspace(database.sql);
  const connection = await createConnection(database.sql, workspace);
  const phoneNumberId = uniqueNumber().replace("+", "9");
  await claimNumber(database.sql, connection, phoneNumberId);
  const phone = uniqueNumber();
  const digits = phone.slice(1);
  const of = (key: string, extra: Partial<TestConversation> = {}) =>
    conversation({
      external_conversation_id: key,
      participant_identifier: phone,
      messages: [message()],
      ...extra,
    });
  const keys = {
    kapso: `${phoneNumberId}:${digits}`,
    bridge: `${digits}@s.whatsapp.net`,
    import: digits,
    prefixed: `62811000111:${digits}`,
  };
  return { workspace, connection, phoneNumberId, phone, of, keys };
}

Deno.test("a contact and a number have one conversation, with any key first", async () => {
  const { service, sql } = database;
  for (const first of ["kapso", "bridge", "import", "prefixed"] as const) {
    const { workspace, connection, of, keys } = await numberAndContact();
    const id = await ingestOne(service, connection, of(keys[first]));
    for (const key of Object.values(keys)) {
      assertEquals(await ingestOne(service, connection, of(key)), id, `${first}, then ${key}`);
    }
    assertEquals((await readConversation(service, id)).message_count, 5);
    const answering = await as(workspace.owner, async (owner) => {
      const [row] = await owner`select public.conversation_answering(${id}) as answering`;
      return row!.answering;
    });
    assertEquals([answering.refusal, answering.connection_id], [null, connection.id], first);
    // All of a batch at once.
    const other = await numberAndContact();
    const rows = await ingest(
      service,
      other.connection,
      Object.values(other.keys).map((key) => other.of(key)),
    );
    assertEquals(new Set(rows.map((row) => row.id)).size, 1);
    assertEquals(rows.map((row) => row.messages_added), [1, 1, 1, 1]);
  }
  // A group, another number of the workspace and another contact have conversations of their own.
  const { workspace, connection, of, keys } = await numberAndContact();
  const second = await createConnection(sql, workspace);
  await claimNumber(sql, second, uniqueNumber().replace("+", "8"));
  const ids = [
    await ingestOne(service, connection, of(keys.kapso)),
    await ingestOne(service, connection, of("120363021234567890@g.us")),
    await ingestOne(service, connection, of(uniqueNumber().slice(1))),
    await ingestOne(service, second, of(keys.import)),
  ];
  assertEquals(new Set(ids).size, 4);
});

Deno.test("two first messages of a contact at once, under two keys, create one conversation", async () => {
  const { service, sql } = database;
  for (let round = 0; round < size(5, 50); round++) {
    const { workspace, connection, of, keys } = await numberAndContact();
    await Promise.all(
      [keys.kapso, keys.bridge, keys.import, keys.kapso].map((key) =>
        ingest(service, connection, [of(key)])
      ),
    );
    const rows = await sql`
      select message_count from public.conversations where workspace_id = ${workspace.id}`;
    assertEquals(rows.map((row) => row.message_count), [4]);
  }
});

Deno.test("why a conversation cannot be answered", async () => {
  const { service, sql } = database;
  const { workspace, connection, of, keys, phone } = await numberAndContact();
  const answering = (id: string, role: "owner" | "viewer" = "viewer") =>
    as(workspace[role], async (member) => {
      const [row] = await member`select public.conversation_answering(${id}) as answering`;
      return row!.answering;
    });
  const id = await ingestOne(
    service,
    connection,
    of(keys.kapso, { messages: [message({ sent_at: at(0) })] }),
  );
  assertEquals(await answering(id), {
    refusal: null,
    connection_id: connection.id,
    window_ends_at: "2026-01-02T00:00:00+00:00",
  });
  const bare = await createConnection(sql, workspace);
  const foreign = conversation({
    external_conversation_id: unique(),
    participant_identifier: phone,
  });
  assertEquals(
    (await answering(await ingestOne(service, bare, foreign))).refusal,
    "connection_not_ready",
  );
  const telegram = await createConnection(sql, workspace, { platform: "telegram" });
  assertEquals(
    (await answering(await ingestOne(service, telegram, conversation()))).refusal,
    "platform_without_sending",
  );
  await sql`update public.connections set is_active = false where id = ${connection.id}`;
  assertEquals((await answering(id)).refusal, "connection_not_ready");
});

Deno.test("conversations that exist twice are found and merged, and nothing is lost", async () => {
  const { service, sql } = database;
  const { workspace, connection, of, keys } = await numberAndContact();
  const shared = messages(4, 50);
  const kept = messages(130, 0);
  const merged = messages(160, 20);
  const id = await ingestOne(
    service,
    connection,
    of(keys.kapso, { messages: [...kept, ...shared], participant_name: "Ana" }),
  );
  // As they were stored before both were names of one conversation.
  await sql`delete from private.thread_aliases where conversation_id = ${id}`;
  await sql`update public.conversations set external_conversation_id = 'away' where id = ${id}`;
  const read = shared.map((each) => ({ ...each, status: "read", status_at: at(99) }));
  const other = await ingestOne(
    service,
    connection,
    of(keys.bridge, { messages: [...merged, ...read] }),
  );
  await sql`delete from private.thread_aliases where conversation_id = ${other}`;
  await sql`update public.conversations set external_conversation_id = ${keys.kapso} where id = ${id}`;
  await sql`
    insert into private.media_copies
      (conversation_id, message_id, workspace_id, connection_id, message_type, sent_at, state, path)
    values (${other}, ${
    merged[3]!.id
  }, ${workspace.id}, ${connection.id}, 'image', now(), 'stored', 'a/b/c.jpg')`;
  const unread = (await readConversation(service, id)).unread_count +
    (await readConversation(service, other)).unread_count;

  const found = await service`
    select keep_id, merge_id, messages_to_move
    from public.find_double_conversations(${workspace.id})`;
  assertEquals([...found], [{ keep_id: id, merge_id: other, messages_to_move: 164 }]);
  const name = `whatsapp ${other} into ${id}`;
  assertEquals(
    await mergeConversations(workspace.id, "--dry-run"),
    `${name}: up to 164 messages\n1 conversation to merge.\n`,
  );
  // As if the command was stopped after a step.
  const [step] = await service`
    select * from public.merge_conversations(${workspace.id}, ${id}, ${other}, 100)`;
  assertEquals(step, { messages_moved: 100, is_done: false });
  assertEquals(await threadFaults(service, id), []);
  assertEquals(
    await mergeConversations(workspace.id),
    `${name}: 60 messages moved\n1 conversation merged.\n`,
  );
  assertEquals(await threadFaults(service, id), []);
  const thread = await readThread(service, id);
  assertEquals(
    thread.map((each) => each.id).toSorted(),
    [...kept, ...merged, ...shared].map((each) => each.id).toSorted(),
  );
  assertEquals(thread.filter((each) => each.status === "read").length, 4);
  const row = await readConversation(service, id);
  assertEquals([row.participant_name, row.unread_count, row.message_count], ["Ana", unread, 294]);
  const [media] = await service`
    select copy_path from public.message_source(${id}, ${merged[3]!.id})`;
  assertEquals(media!.copy_path, "a/b/c.jpg");
  // Both keys lead there from now on.
  for (const key of [keys.bridge, keys.kapso]) {
    assertEquals(await ingestOne(service, connection, of(key)), id);
  }
  assertEquals(
    (await service`select from public.find_double_conversations(${workspace.id})`).count,
    0,
  );
});
