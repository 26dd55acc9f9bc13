/**
 * Tags and canned replies in the database: what names are taken, what goes with what, how many there may be,
 * and which conversations a tag finds.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { connect, sqlStateOf, untilBlocked, useDatabase } from "../support/database.ts";
import { conversation, ingest, ingestOne, message } from "../support/messages.ts";
import { createConnection, createWorkspace, type Workspace } from "../support/people.ts";

const database = useDatabase({ own: true });

async function createTag(workspace: Workspace, name: string): Promise<string> {
  const [tag] = await database.sql<{ id: string }[]>`
    insert into public.tags (workspace_id, name) values (${workspace.id}, ${name}) returning id`;
  return tag!.id;
}

/** Puts tags on a conversation, as an agent of the workspace. */
async function putOn(workspace: Workspace, conversationId: string, tagIds: string[]) {
  await database.as({ userId: workspace.agent }, (sql) =>
    sql`
      insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
      select ${workspace.id}, ${conversationId}, tag_id from unnest(${tagIds}::uuid[]) as tag_id`);
}

/** The list as a viewer sees it, narrowed by what is given. */
async function list(workspace: Workspace, given: {
  tag?: string;
  status?: string;
  platform?: string;
  assignedTo?: string;
  unassigned?: boolean;
  unread?: boolean;
  search?: string;
}) {
  return await database.as(
    { userId: workspace.viewer },
    (sql) =>
      sql<{ id: string; tag_ids: string[] }[]>`
      select id, tag_ids from public.search_conversations(
        workspace_id => ${workspace.id},
        search => ${given.search ?? ""},
        status => ${given.status ?? null},
        platform => ${given.platform ?? null},
        assigned_to => ${given.assignedTo ?? null},
        is_unassigned => ${given.unassigned ?? false},
        is_unread => ${given.unread ?? false},
        tag_id => ${given.tag ?? null}
      )`,
  );
}

Deno.test("a name is taken once, however its letters are cased, and fits", async () => {
  const { sql } = database;
  const [workspace, other] = [await createWorkspace(sql), await createWorkspace(sql)];
  const make = (owned: Workspace, name: string, colour = "red") =>
    sqlStateOf(sql`
      insert into public.tags (workspace_id, name, colour) values (${owned.id}, ${name}, ${colour})`);
  assertEquals(await make(workspace, "Größe"), null);
  assertEquals(await make(workspace, "GRÖße"), "23505");
  assertEquals(await make(other, "GRÖße"), null);
  assertEquals(await make(workspace, "é".repeat(40)), null);
  for (const name of ["", "   ", " VIP", "x".repeat(41)]) {
    assertEquals(await make(workspace, name), "23514", JSON.stringify(name));
  }
  assertEquals(await make(workspace, "Other", "ultraviolet"), "23514");

  const reply = (shortcut: string, { title = "Title", content = "Text" } = {}) =>
    sqlStateOf(sql`
      insert into public.canned_replies (workspace_id, shortcut, title, content)
      values (${workspace.id}, ${shortcut}, ${title}, ${content})`);
  assertEquals(await reply("Hours", { content: "x".repeat(4096) }), null);
  assertEquals(await reply("hOURS"), "23505");
  assertEquals(await reply("営業時間"), null);
  for (const shortcut of ["", "two words", "a/b", "x".repeat(41), "line\nbreak"]) {
    assertEquals(await reply(shortcut), "23514", JSON.stringify(shortcut));
  }
  assertEquals(await reply("a", { title: "x".repeat(61) }), "23514");
  assertEquals(await reply("a", { title: " " }), "23514");
  assertEquals(await reply("a", { content: "x".repeat(4097) }), "23514");
  assertEquals(await reply("a", { content: " \n" }), "23514");
});

Deno.test("there are at most 100 tags and 500 canned replies, also when two come at once", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  await sql`
    insert into public.tags (workspace_id, name)
    select ${workspace.id}, 'Tag ' || n from generate_series(1, 99) as n`;
  const other = connect(database.url, { max: 1 });
  let second: Promise<string | null> | undefined;
  await sql.begin(async (first) => {
    await first`insert into public.tags (workspace_id, name) values (${workspace.id}, 'The last')`;
    second = sqlStateOf(
      other`insert into public.tags (workspace_id, name) values (${workspace.id}, 'Too late')`,
    );
    await untilBlocked(sql);
  });
  assertEquals(await second, "PT422");
  await other.end();
  const replies = (count: number, prefix: string) =>
    sqlStateOf(sql`
      insert into public.canned_replies (workspace_id, shortcut, title, content)
      select ${workspace.id}, ${prefix} || n, 'Title', 'Text' from generate_series(1, ${count}::int) as n`);
  assertEquals(await replies(501, "many"), "PT422");
  assertEquals(await replies(500, "all"), null);
  assertEquals(await replies(1, "more"), "PT422");
});

Deno.test("a tag finds its conversations, together with every other filter", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const signal = await createConnection(sql, workspace, { platform: "signal" });
  const make = (on = connection, content = "Hello") =>
    ingestOne(
      service,
      on,
      conversation({ messages: [message({ content, direction: "inbound" })] }),
    );
  const [plain, vip, closed, mine, onSignal] = [
    await make(),
    await make(connection, "an orange"),
    await make(),
    await make(),
    await make(signal),
  ];
  const [tag, second, unused] = [
    await createTag(workspace, "VIP"),
    await createTag(workspace, "Second"),
    await createTag(workspace, "Unused"),
  ];
  for (const id of [vip, closed, mine, onSignal]) await putOn(workspace, id, [tag]);
  await putOn(workspace, vip, [second]);
  await service`
    update public.conversations set status = 'closed', closed_at = now() where id = ${closed}`;
  await service`
    update public.conversations set assigned_to = ${workspace.agent}, unread_count = 0
    where id = ${mine}`;
  const found = async (given: Parameters<typeof list>[1]) =>
    (await list(workspace, given)).map(({ id }) => id).sort();
  assertEquals(await found({}), [plain, vip, closed, mine, onSignal].sort());
  assertEquals(await found({ tag }), [vip, closed, mine, onSignal].sort());
  assertEquals(await found({ tag: second }), [vip]);
  assertEquals(await found({ tag: unused }), []);
  assertEquals(await found({ tag, status: "closed" }), [closed]);
  assertEquals(await found({ tag, platform: "signal" }), [onSignal]);
  assertEquals(await found({ tag, assignedTo: workspace.agent }), [mine]);
  assertEquals(await found({ tag, unassigned: true }), [vip, closed, onSignal].sort());
  assertEquals(await found({ tag, unread: true }), [vip, closed, onSignal].sort());
  assertEquals(
    await found({ unread: true, unassigned: true, status: "open" }),
    [
      plain,
      vip,
      onSignal,
    ].sort(),
  );
  assertEquals(await found({ tag, search: "orange" }), [vip]);
  assertEquals(await found({ tag: second, search: "hello" }), []);
  const shown = await list(workspace, { tag: second });
  assertEquals(shown[0]!.tag_ids, [tag, second].sort());
});

Deno.test("tags stay with a conversation, and go with it or when they are deleted", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  const thread = conversation();
  const id = await ingestOne(service, connection, thread);
  const other = await ingestOne(service, connection, conversation());
  const [kept, gone] = [await createTag(workspace, "Kept"), await createTag(workspace, "Gone")];
  await putOn(workspace, id, [kept, gone]);
  await putOn(workspace, other, [kept]);
  const tagsOf = async () =>
    (await sql<{ tag_ids: string[] }[]>`
      select tag_ids from public.conversation_list where id = ${id}`)[0]?.tag_ids;
  await ingest(service, connection, [{ ...thread, messages: [message()] }]);
  await database.as(
    { userId: workspace.agent },
    (member) => member`select public.set_conversation_status(${id}, 'closed')`,
  );
  assertEquals(await tagsOf(), [kept, gone].sort());
  assertEquals(
    await sqlStateOf(putOn(workspace, id, [kept])),
    "23505",
    "it is there already",
  );
  await database.as(
    { userId: workspace.admin },
    (member) => member`delete from public.tags where id = ${gone}`,
  );
  assertEquals(await tagsOf(), [kept]);
  await service`delete from public.conversations where id = ${id}`;
  const left = await sql`
    select conversation_id from public.conversation_tags where workspace_id = ${workspace.id}`;
  assertEquals([...left], [{ conversation_id: other }]);
  await database.as(
    { userId: workspace.owner },
    (member) => member`delete from public.workspaces where id = ${workspace.id}`,
  );
  assertEquals(
    (await sql`select from public.conversation_tags where workspace_id = ${workspace.id}`).length,
    0,
  );
});
