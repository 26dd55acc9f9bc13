/**
 * Who owns a workspace: its data stay when accounts go, and it changes hands.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { become, type Sql, useDatabase } from "../support/database.ts";
import { conversation, ingest, messages } from "../support/messages.ts";
import {
  createConnection,
  createUser,
  createWorkspace,
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
