/**
 * What the database announces to open inboxes: what people see, once per statement and workspace, and never to
 * others than its members.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { become, size, type Sql, useDatabase } from "../support/database.ts";
import { at, conversation, ingest, ingestOne, message, messages } from "../support/messages.ts";
import { createConnection, createWorkspace, type Workspace } from "../support/people.ts";

const database = useDatabase({ own: true });

interface Announcement {
  event: string;
  conversation_ids: string[] | null;
}

/** What was announced to a workspace, during some work or ever. */
async function announced(
  { id }: Pick<Workspace, "id">,
  work: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Announcement[]> {
  const read = () =>
    database.sql<(Announcement & { row: string })[]>`
      select id as row, event, payload -> 'conversation_ids' as conversation_ids
      from realtime.messages where topic = ${`workspace:${id}`}`;
  const before = new Set((await read()).map(({ row }) => row));
  await work();
  return (await read()).filter(({ row }) => !before.has(row))
    .map(({ event, conversation_ids }) => ({ event, conversation_ids }));
}

async function createShop() {
  const workspace = await createWorkspace(database.sql);
  return { workspace, connection: await createConnection(database.sql, workspace) };
}

const CHANGED = "conversations_changed";

Deno.test("a message is announced once, with the id of its conversation", async () => {
  const { service } = database;
  const { workspace, connection } = await createShop();
  const thread = conversation({ messages: messages(1) });
  let id = "";
  const first = await announced(workspace, async () => {
    id = await ingestOne(service, connection, thread);
  });
  assertEquals(first, [{ event: CHANGED, conversation_ids: [id] }]);
  const next = { ...thread, messages: messages(3, 60) };
  const once = [{ event: CHANGED, conversation_ids: [id] }];
  assertEquals(await announced(workspace, () => ingest(service, connection, [next])), once);
  // Sent again: nothing is new.
  assertEquals(await announced(workspace, () => ingest(service, connection, [next])), []);
  const read = {
    ...thread,
    changes: [{ type: "status", message_id: next.messages[0]!.id, status: "read" }],
  };
  assert((await announced(workspace, () => ingest(service, connection, [read]))).length <= 1);
});

Deno.test("what members do is announced", async () => {
  const { workspace, connection } = await createShop();
  const id = await ingestOne(database.service, connection, conversation({ messages: messages(2) }));
  const agent = { userId: workspace.agent };
  const once = [{ event: CHANGED, conversation_ids: [id] }];
  const acts: ((sql: Sql) => PromiseLike<unknown>)[] = [
    (sql) => sql`select public.mark_conversation_read(${id})`,
    (sql) => sql`select public.set_conversation_status(${id}, 'closed')`,
    (sql) => sql`select public.assign_conversation(${id}, ${workspace.agent})`,
  ];
  for (const act of acts) {
    const work = () => database.as(agent, async (sql) => void await act(sql));
    assertEquals(await announced(workspace, work), once);
    assertEquals(await announced(workspace, work), [], "doing it again changes nothing");
  }
  // Without rights of their own in the conversations: a foreign key takes the member off.
  const leave = () => database.sql`delete from auth.users where id = ${workspace.agent}`;
  assertEquals(await announced(workspace, async () => void await leave()), once);
});

Deno.test("a batch is a handful of announcements, however many conversations it has", async () => {
  const { service } = database;
  const { workspace, connection } = await createShop();
  for (const isHistory of [false, true]) {
    const batch = Array.from(
      { length: 500 },
      () => conversation({ messages: messages(2), is_history: isHistory }),
    );
    const news = await announced(workspace, () => ingest(service, connection, batch));
    assert(news.length >= 1 && news.length <= 3, `${news.length} announcements`);
    // Too many to name: everything on the screen is read again.
    assertEquals(news[0], { event: CHANGED, conversation_ids: null });
    const more = batch.map((each) => ({ ...each, messages: [message({ sent_at: at(3600) })] }));
    const again = await announced(workspace, () => ingest(service, connection, more));
    assert(again.length >= 1 && again.length <= 3, `${again.length} announcements`);
  }
});

Deno.test("a connection is deleted at once, however many conversations forget it later", async () => {
  const { sql, service } = database;
  const { workspace, connection } = await createShop();
  const count = size(5_000, 110_000);
  await fill(workspace, connection.id, count);
  const buffers = async () => {
    const [row] = await sql`
      explain (analyze, buffers, format json)
      delete from public.connections where id = ${connection.id}`;
    const plan = row!["QUERY PLAN"][0].Plan;
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
  };
  assertEquals(
    await announced(workspace, async () => {
      assert(await buffers() < 100);
    }),
    [],
  );
  const news = await announced(workspace, async () => {
    for (let left = count; left > 0;) {
      // Within the 8 seconds that the service has.
      const [row] = await service`select public.forget_connections(2000) as count`;
      assert(row!.count > 0 && row!.count <= 2000);
      left -= row!.count;
    }
  });
  assertEquals(news.length, Math.ceil(count / 2000));
  const [row] = await sql`
    select count(*)::integer as count from public.conversations
    where workspace_id = ${workspace.id} and connection_id is not null`;
  assertEquals(row!.count, 0);
});

Deno.test("conversations that are deleted take their tags along in silence", async () => {
  const { sql } = database;
  const { workspace, connection } = await createShop();
  await fill(workspace, connection.id, 300);
  const tag = async (name: string) => {
    const [made] = await sql<{ id: string }[]>`
      insert into public.tags (workspace_id, name) values (${workspace.id}, ${name}) returning id`;
    await sql`
      insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
      select workspace_id, id, ${
      made!.id
    } from public.conversations where workspace_id = ${workspace.id}`;
    return made!.id;
  };
  let vip = "";
  const tagged = await announced(workspace, async () => {
    vip = await tag("VIP");
    await tag("Late");
  });
  assertEquals(tagged.map(({ event }) => event), Array(4).fill("tags_changed"));
  const untagged = await announced(workspace, async () => {
    await sql`delete from public.tags where id = ${vip}`;
  });
  assert(untagged.length >= 1 && untagged.length <= 2);
  const gone = await announced(workspace, async () => {
    await sql`delete from public.conversations where workspace_id = ${workspace.id}`;
  });
  assertEquals(gone, []);
});

Deno.test("one statement announces each workspace its own conversations", async () => {
  const { sql } = database;
  const shops = [await createShop(), await createShop()];
  const ids = await Promise.all(
    shops.map(({ connection }) =>
      ingestOne(database.service, connection, conversation({ messages: messages(1) }))
    ),
  );
  for (const [index, { workspace }] of shops.entries()) {
    const news = await announced(workspace, async () => {
      await sql`update public.conversations set updated_at = now() where id = any(${ids})`;
    });
    assertEquals(news, [{ event: CHANGED, conversation_ids: [ids[index]!] }]);
  }
  // What no list and no conversation shows.
  const unseen = await announced(shops[0]!.workspace, async () => {
    await sql`update public.conversations set head_started_at = head_started_at where id = any(${ids})`;
  });
  assertEquals(unseen, []);
});

Deno.test("members can listen to their workspace, and no one can send", async () => {
  const { sql } = database;
  const [workspace, other] = [await createWorkspace(sql), await createWorkspace(sql)];
  const topic = `workspace:${workspace.id}`;
  await sql`select realtime.send('{}', ${CHANGED}, ${topic})`;
  const seen = async (userId: string, asked: string) => {
    const { result } = await database.attempt({ userId }, async (member) => {
      await member`select set_config('realtime.topic', ${asked}, true)`;
      return (await member`select from realtime.messages where topic = ${topic}`).length;
    });
    return result;
  };
  for (const role of ["owner", "admin", "agent", "viewer"] as const) {
    assertEquals(await seen(workspace[role], topic), 1, role);
  }
  assertEquals(await seen(workspace.owner, "workspace:nonsense"), 0);
  assertEquals(await seen(other.owner, topic), 0);
  await sql`delete from public.workspace_members where user_id = ${workspace.viewer} and workspace_id = ${workspace.id}`;
  assertEquals(await seen(workspace.viewer, topic), 0);
  await sql.begin(async (member) => {
    await become(member, { userId: workspace.owner });
    await member`select set_config('realtime.topic', ${topic}, true)`;
    const sent = await member.savepoint((inner) =>
      inner`insert into realtime.messages (topic, extension) values (${topic}, 'broadcast')`
    ).then(() => "", (error) => error.code);
    assertEquals(sent, "42501");
  });
});

/** Adds many conversations at once. */
async function fill(workspace: Workspace, connectionId: string, count: number) {
  await database.sql`
    insert into public.conversations (
      workspace_id, user_id, connection_id, platform, external_conversation_id, participant_identifier, messages
    )
    select
      ${workspace.id}, ${workspace.owner}, ${connectionId}, 'whatsapp', 'many-' || number, 'someone-' || number,
      jsonb_build_array(jsonb_build_object('id', number::text, 'content', repeat('text ', 50)))
    from generate_series(1, ${count}::integer) as number`;
}
