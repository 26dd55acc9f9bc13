/**
 * The search in messages: what it finds is what a look at every message would find, however much is indexed, waits or has
 * just changed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { createRandom, type Random } from "../../fakes/kapso/random.ts";
import { type Actor, size, sqlStateOf, useDatabase } from "../support/database.ts";
import {
  at,
  conversation,
  ingest,
  ingestOne,
  message,
  messages,
  type TestConversation,
} from "../support/messages.ts";
import { indexAll as indexOf, indexFaults as faultsOf } from "../support/message_index.ts";
import { createConnection, createWorkspace, unique, type Workspace } from "../support/people.ts";

const db = useDatabase({ own: true });

/** A row of `search_messages`. */
interface Hit {
  conversation_id: string;
  message_id: string;
  sent_at: Date;
  direction: string;
  type: string;
  conversation_status: string;
  snippet: string[];
  message_cursor: string;
  cursor: string;
}

/** Parameters of `search_messages` beside the workspace. */
type Search = Record<string, string | number | boolean | null>;

/** Asks as a member of the workspace. */
async function search(
  workspace: Workspace,
  given: Search,
  actor: Actor = { userId: workspace.viewer },
): Promise<Hit[]> {
  const names = Object.keys(given);
  const list = names.map((name, place) => `${name} => $${place + 2}`).join(", ");
  return await db.as(actor, async (sql) => [
    ...await sql.unsafe<Hit[]>(
      `select * from public.search_messages($1, ${list})`,
      [workspace.id, ...Object.values(given)],
    ),
  ]);
}

const ids = (hits: readonly Hit[]) => hits.map((hit) => hit.message_id);

/** Every hit, page by page. */
async function searchAll(workspace: Workspace, given: Search, pageSize: number): Promise<Hit[]> {
  const hits: Hit[] = [];
  let before: string | null = null;
  while (true) {
    const page = await search(workspace, { ...given, before, max_messages: pageSize });
    hits.push(...page);
    if (page.length < pageSize) return hits;
    before = page.at(-1)!.cursor;
  }
}

/** What a look at every message of the workspace finds, newest first. */
async function scan(workspace: Workspace, text: string): Promise<string[]> {
  const rows = await db.sql<{ id: string }[]>`
    select stored.message ->> 'id' as id
    from public.conversations as conversation
    cross join lateral private.messages_between(conversation.id, '-infinity', 'infinity') as stored
    where conversation.workspace_id = ${workspace.id}
      and private.message_fits(stored.message, private.read_search(${text}))
    order by stored.sent_at desc, conversation.id desc, stored.place desc`;
  return rows.map((row) => row.id);
}

const indexAll = (workspace: Workspace) => indexOf(db.service, workspace.id);
const indexFaults = (workspace: Workspace) => faultsOf(db.sql, workspace.id);

const WORDS = [
  ..."order invoice refund cake blue zebra-4711 ZEBRA4711 José straße 退款 申请 ราคา +628123456789"
    .split(" "),
  ..."don't shop.example.com привет заказ أحمد 학교 order-77 0042 Invoice_2025-11.pdf thanks".split(
    " ",
  ),
];

function randomText(random: Random): string {
  return Array.from(
    { length: 1 + random.below(6) },
    // Common words come first.
    () => WORDS[Math.floor(WORDS.length * random.below(100) * random.below(100) / 10_000)],
  ).join(" ");
}

/** Conversations of all lengths, with messages of one instant, late ones and files. */
function randomBatch(random: Random, keys: readonly string[]): TestConversation[] {
  return keys.map((key) =>
    conversation({
      external_conversation_id: key,
      participant_identifier: key,
      messages: Array.from({ length: 1 + random.below(40) }, () =>
        message({
          content: randomText(random),
          // Now and then more at one instant than a block holds.
          sent_at: at(random.below(3) === 0 ? 200 : random.below(400)),
          direction: random.below(2) === 0 ? "inbound" : "outbound",
          type: ["text", "text", "image", "file"][random.below(4)]!,
        })),
    })
  );
}

const SEARCHES = [
  "order",
  "order ",
  "ord",
  "invoice refund",
  "zebra-4711",
  "4711",
  "6789",
  "081234567",
  "退款",
  "ราคา",
  "привет зак",
  "احمد",
  '"blue zebra"',
  "order -invoice",
  "nothing-like-this",
  "o",
];

Deno.test("a search finds what a look at every message finds, on pages of any size", async () => {
  const random = createRandom(4);
  const workspaces = await Promise.all([0, 1].map(() => createWorkspace(db.sql)));
  const rounds = size(3, 40);
  for (const workspace of workspaces) {
    const connection = await createConnection(db.sql, workspace);
    const keys = Array.from({ length: size(5, 12) }, () => unique("x_"));
    for (let round = 0; round < rounds; round++) {
      await ingest(db.service, connection, randomBatch(random, keys));
      if (round === Math.floor(rounds / 2)) await indexAll(workspace);
    }
  }
  // Half is indexed, then all.
  for (const isIndexed of [false, true]) {
    for (const workspace of workspaces) {
      if (isIndexed) await indexAll(workspace);
      for (const text of SEARCHES) {
        const expected = await scan(workspace, text);
        for (const pageSize of text.endsWith("d") ? [7, 100] : [100]) {
          const found = await searchAll(workspace, { search: text }, pageSize);
          assertEquals(
            ids(found),
            expected,
            `${text}, pages of ${pageSize}, indexed: ${isIndexed}`,
          );
        }
      }
    }
  }
  assert((await scan(workspaces[0]!, "order")).length > 60);
  for (const workspace of workspaces) {
    assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });
  }
});

Deno.test("what was just stored, changed or deleted is found as it is now, and nothing else stays", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const given = conversation({
    messages: [
      ...messages(70),
      message({ id: "first", content: "pineapple juice", sent_at: at(80) }),
      message({ id: "second", content: "pineapple cake", sent_at: at(81) }),
    ],
  });
  const id = await ingestOne(db.service, connection, given);
  const change = async (changes: Record<string, unknown>[]) =>
    await ingest(db.service, connection, [{ ...given, messages: [], changes }]);
  const find = async (text: string) => ids(await search(workspace, { search: text }));
  const wordsLeft = async (word: string) =>
    (await db.sql`
      select from private.message_blocks
      where workspace_id = ${workspace.id} and words like ${`% ${word} %`}`).count;

  for (const isIndexed of [false, true]) {
    if (isIndexed) await indexAll(workspace);
    assertEquals(await find("pineapple"), ["second", "first"]);
  }
  assertEquals(await wordsLeft("pineapple"), 1);
  await change([
    { message_id: "first", edit: { content: "mango juice", edited_at: at(90) } },
    { message_id: "second", deleted_at: at(91) },
  ]);
  assertEquals(await wordsLeft("pineapple"), 0);
  assertEquals(await find("pineapple"), []);
  assertEquals(await find("mango"), ["first"]);
  assertEquals(await find("text of"), (await scan(workspace, "text of")).slice(0, 20));
  await indexAll(workspace);
  assertEquals(await find("mango"), ["first"]);
  assertEquals(await find("pineapple"), []);
  assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });

  await ingest(db.service, connection, [{ ...given, messages: [message({ content: "kiwi" })] }]);
  await db.sql`delete from public.conversations where id = ${id}`;
  assertEquals(await find("mango"), []);
  assertEquals(
    (await db.sql`
      select conversation_id from private.message_blocks where conversation_id = ${id}
      union all select conversation_id from private.message_index_queue where conversation_id = ${id}`)
      .count,
    0,
  );
});

Deno.test("a message that an agent filed is found by the text that replaced it", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const given = conversation({
    messages: [message({ id: "filed", content: "", metadata: { source: "agent" } })],
  });
  const id = await ingestOne(db.service, connection, given);
  await db.sql`
    insert into public.agent_sessions (session_id, workspace_id, conversation_id, participant_key)
    values (${unique()}, ${workspace.id}, ${id}, '628123')`;
  await indexAll(workspace);
  await ingest(db.service, connection, [{
    ...given,
    messages: [
      message({
        id: "filed",
        content: "the real passionfruit",
        status: "delivered",
        status_at: at(5),
        metadata: { kapso_type: "text" },
      }),
    ],
  }]);
  assertEquals(ids(await search(workspace, { search: "passionfruit" })), ["filed"]);
});

Deno.test("filters narrow a search, each alone and together", async () => {
  const workspace = await createWorkspace(db.sql);
  const [whatsapp, signal] = [
    await createConnection(db.sql, workspace),
    await createConnection(db.sql, workspace, { platform: "signal" }),
  ];
  const store = async (connection: typeof whatsapp, name: string, extra: object = {}) =>
    await ingestOne(
      db.service,
      connection,
      conversation({
        messages: [
          message({ id: `${name}-in`, content: "a mango", sent_at: at(10) }),
          message({
            id: `${name}-out`,
            content: "mango it is",
            direction: "outbound",
            sent_at: at(20),
          }),
          message({ id: `${name}-file`, content: "", type: "file", sent_at: at(30), ...extra }),
        ],
      }),
    );
  const first = await store(whatsapp, "first", {
    metadata: { file_name: "mango_2025-11.pdf", transcript: "spoken papaya" },
  });
  const second = await store(signal, "second", {
    metadata: {
      interactive: { action: { buttons: [{ reply: { id: "1", title: "Mango please" } }] } },
    },
  });
  const [person] = await db.sql<{ id: string }[]>`
    insert into public.people (workspace_id, name) values (${workspace.id}, 'Rita') returning id`;
  const [tag] = await db.sql<{ id: string }[]>`
    insert into public.tags (workspace_id, name, colour) values (${workspace.id}, 'vip', 'blue') returning id`;
  await db.sql`
    insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
    values (${workspace.id}, ${first}, ${tag!.id})`;
  await db.sql`
    update public.conversations
    set person_id = ${
    person!.id
  }, assigned_to = ${workspace.agent}, status = 'closed', closed_at = now()
    where id = ${first}`;

  for (const step of ["queued", "indexed", "among many"]) {
    if (step === "indexed") await indexAll(workspace);
    if (step === "among many") {
      // More than are looked into one by one.
      await db.sql`
        insert into public.conversations
          (workspace_id, connection_id, platform, external_conversation_id, participant_identifier)
        select ${workspace.id}, ${signal.id}, 'signal', 'many-' || number, 'many'
        from generate_series(1, 1001) as number`;
    }
    const find = async (given: Search) =>
      ids(await search(workspace, { search: "mango", ...given })).sort();
    const all = ["first-file", "first-in", "first-out", "second-file", "second-in", "second-out"];
    const ofFirst = all.slice(0, 3);
    assertEquals(await find({}), all);
    assertEquals(await find({ conversation_id: first }), ofFirst);
    assertEquals(await find({ platform: "signal" }), all.slice(3));
    assertEquals(await find({ connection_id: whatsapp.id }), ofFirst);
    assertEquals(await find({ person_id: person!.id }), ofFirst);
    assertEquals(await find({ assigned_to: workspace.agent }), ofFirst);
    assertEquals(await find({ is_unassigned: true }), all.slice(3));
    assertEquals(await find({ tag_id: tag!.id }), ofFirst);
    assertEquals(await find({ status: "closed" }), ofFirst);
    assertEquals(await find({ status: "open", direction: "inbound" }), [
      "second-file",
      "second-in",
    ]);
    assertEquals(await find({ direction: "outbound" }), ["first-out", "second-out"]);
    assertEquals(await find({ type: "file" }), ["first-file", "second-file"]);
    assertEquals(await find({ type: "text", conversation_id: second }), [
      "second-in",
      "second-out",
    ]);
    assertEquals(await find({ has_file: true, tag_id: tag!.id }), ["first-file"]);
    assertEquals(await find({ has_file: false, tag_id: tag!.id }), ["first-in", "first-out"]);
    assertEquals(await find({ sent_from: at(10), sent_to: at(20) }), ["first-in", "second-in"]);
    assertEquals(await find({ sent_from: at(20), sent_to: at(21) }), ["first-out", "second-out"]);
    assertEquals(await find({ search: "papaya" }), ["first-file"]);
    assertEquals(await find({ search: "please" }), ["second-file"]);
    // A filter is enough.
    assertEquals(await find({ search: "", has_file: true }), ["first-file", "second-file"]);
    assertEquals(await find({ search: "", person_id: person!.id }), ofFirst);
    assertEquals(await find({ search: "" }), []);
    assertEquals(await find({ search: "mango", conversation_id: crypto.randomUUID() }), []);
  }
});

Deno.test("messages of a workspace are found by its members alone", async () => {
  const workspace = await createWorkspace(db.sql);
  const other = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  await ingestOne(
    db.service,
    connection,
    conversation({ messages: [message({ content: "secret papaya" })] }),
  );
  for (const isIndexed of [false, true]) {
    if (isIndexed) await indexAll(workspace);
    const find = async (actor: Actor, of = workspace) =>
      await search(of, { search: "papaya" }, actor);
    assertEquals((await find({ userId: workspace.viewer })).length, 1);
    assertEquals(await find({ userId: other.owner }), []);
    assertEquals(await find({ userId: other.owner }, other), []);
    assertEquals(await find({ userId: crypto.randomUUID() }), []);
    assertEquals(await sqlStateOf(find("anon")), "42501");
    assertEquals(await sqlStateOf(find("service_role")), "42501");
  }
  await db.sql`
    delete from public.workspace_members where workspace_id = ${workspace.id} and user_id = ${workspace.viewer}`;
  assertEquals(await search(workspace, { search: "papaya" }), []);
});

Deno.test("a workspace without the search has no index, and gets it back", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const given = conversation({
    messages: messages(120).map((one) => ({ ...one, content: "mango" })),
  });
  await ingestOne(db.service, connection, given);
  await indexAll(workspace);
  const change = (isOn: boolean) =>
    db.as({ userId: workspace.owner }, (sql) =>
      sql`
        update public.workspaces set has_message_search = ${isOn} where id = ${workspace.id}`);
  const counts = async () =>
    (await db.sql<{ blocks: number; queued: number }[]>`
      select
        (select count(*)::integer from private.message_blocks where workspace_id = ${workspace.id}) as blocks,
        (select count(*)::integer from private.message_index_queue where workspace_id = ${workspace.id}) as queued`)[
      0
    ]!;
  await change(false);
  assertEquals(await counts(), { blocks: 0, queued: 0 });
  await ingest(db.service, connection, [{ ...given, messages: [message({ content: "mango" })] }]);
  assertEquals(await search(workspace, { search: "mango" }), []);
  await indexAll(workspace);
  assertEquals(await counts(), { blocks: 0, queued: 0 });
  await change(true);
  assertEquals((await searchAll(workspace, { search: "mango" }, 50)).length, 121);
  await indexAll(workspace);
  assertEquals((await searchAll(workspace, { search: "mango" }, 50)).length, 121);
  assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });

  // Made again while it is used.
  const [rebuilt] = await db.service<{ rows: string }[]>`
    select queued as rows from public.rebuild_message_index(${workspace.id})`;
  assert(Number(rebuilt!.rows) >= 3);
  assertEquals((await searchAll(workspace, { search: "mango" }, 50)).length, 121);
  await indexAll(workspace);
  assertEquals(await counts(), { blocks: 3, queued: 0 });
  assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });
});

Deno.test("a conversation that grows message by message has few blocks, and a bad row holds up no other", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const given = conversation();
  for (let count = 0; count < 130; count++) {
    await ingest(db.service, connection, [{ ...given, messages: messages(1, count) }]);
    if (count % 3 === 0) await indexAll(workspace);
  }
  await indexAll(workspace);
  const blocks = await db.sql<{ size: number }[]>`
    select cardinality(sent_ats) as size from private.message_blocks
    where workspace_id = ${workspace.id} order by first_sent_at`;
  assert(blocks.length <= 10, `${blocks.length} blocks`);
  assertEquals(blocks.reduce((sum, { size }) => sum + size, 0), 130);
  assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });

  // A message that no other way in could bring: its words cannot be made.
  const bad = conversation({ messages: [message({ content: "good" })] });
  const badId = await ingestOne(db.service, connection, bad);
  const goodId = await ingestOne(
    db.service,
    connection,
    conversation({ messages: [message({ content: "good" })] }),
  );
  await db.sql`
    update public.conversations
    set messages = jsonb_set(messages, '{0,sent_at}', '"no time"') where id = ${badId}`;
  await indexAll(workspace);
  const waiting = await db.sql<{ conversation_id: string; attempts: number }[]>`
    select conversation_id, attempts from private.message_index_queue where conversation_id in (${badId}, ${goodId})`;
  assertEquals([...waiting], [{ conversation_id: badId, attempts: 1 }]);
  await db.sql`delete from public.conversations where id = ${badId}`;
});

Deno.test("long texts, and many of one instant, are indexed and found", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const long = (word: string) =>
    `${Array.from({ length: 9000 }, (_, place) => `w${place}`).join(" ")} ${word}`.slice(
      -64 * 1024,
    );
  const count = size(8, 500);
  const given = conversation({
    messages: Array.from(
      { length: count },
      (_, place) => message({ content: long(`needle${place}`), sent_at: at(5) }),
    ),
  });
  for (let start = 0; start < count; start += 4) {
    await ingest(db.service, connection, [{
      ...given,
      messages: given.messages.slice(start, start + 4),
    }]);
  }
  await indexAll(workspace);
  for (const place of [0, count - 1]) {
    const hits = await search(workspace, { search: `needle${place} ` });
    assertEquals(ids(hits), [given.messages[place]!.id]);
    assert(hits[0]!.snippet.length >= 3 && hits[0]!.snippet.join("").length < 300);
  }
  assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });
});

Deno.test("a search without a hit reads a few pages of the database, however many messages there are", async () => {
  // Blocks without messages: a search without a hit does not read messages.
  const fill = async (count: number) => {
    const workspace = await createWorkspace(db.sql);
    const [source] = await db.sql<{ id: string }[]>`
      insert into public.conversations (workspace_id, platform, external_conversation_id, participant_identifier)
      values (${workspace.id}, 'telegram', ${unique()}, 'x') returning id`;
    await db.sql`
      insert into private.message_blocks (workspace_id, conversation_id, first_sent_at, last_sent_at, sent_ats, words)
      select ${workspace.id}, ${source!.id}, moment.at, moment.at, array[moment.at], line.words
      from generate_series(1, ${count}::integer) as number
      cross join lateral (select timestamptz '2026-01-01' + number * interval '1 minute' as at) as moment
      cross join lateral (
        select ' =in ' || string_agg(md5(number || ' ' || word), ' ') || ' ' as words
        from generate_series(1, 40) as word
      ) as line`;
    return workspace;
  };
  // Statistics that know another workspace alone, as after a large import.
  await fill(size(1000, 10000));
  await db.sql`analyze private.message_blocks`;
  const workspace = await fill(size(1500, 20000));
  const read = () =>
    db.as({ userId: workspace.viewer }, async (sql) => {
      const ask = () =>
        sql<{ "QUERY PLAN": { Plan: Record<string, number> }[] }[]>`
          explain (analyze, buffers, format json)
          select * from public.search_messages(${workspace.id}, 'nowhereatall ')`;
      const costs: number[] = [];
      for (let index = 0; index < 5; index++) {
        const [row] = await ask();
        const { Plan: plan } = row!["QUERY PLAN"][0]!;
        costs.push(plan["Shared Hit Blocks"]! + plan["Shared Read Blocks"]!);
      }
      // The first reads the catalogue, and so does one after autovacuum.
      return Math.min(...costs);
    });
  // As they are; with the sizes of now, as a vacuum leaves them; and with new statistics.
  await db.sql`select gin_clean_pending_list('private.message_blocks_words_idx')`;
  const buffers: number[] = [];
  for (
    const statement of ["select", "vacuum private.message_blocks", "analyze private.message_blocks"]
  ) {
    await db.sql.unsafe(statement);
    buffers.push(await read());
  }
  assert(buffers.every((count) => count <= 100), `${buffers} buffers`);
});

Deno.test("beside writers, deletions and indexing that is killed, what was acknowledged is found", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const other = await createConnection(db.sql, workspace);
  const until = Date.now() + size(3_000, 20_000);
  const random = createRandom(9);
  const keys = Array.from({ length: 40 }, () => unique("x_"));
  let searches = 0;
  let sent = 0;
  const misses: string[] = [];
  const waits: number[] = [];

  const write = async (place: number) => {
    await using sql = disposable(db.connect({ max: 1, connection: { role: "service_role" } }));
    while (Date.now() < until) {
      const word = unique("w");
      const count = random.below(5) === 0 ? 20 : 1;
      const isLate = random.below(10) === 0;
      const started = performance.now();
      await ingest(sql.value, connection, [conversation({
        external_conversation_id: keys[random.below(keys.length)]!,
        messages: Array.from(
          { length: count },
          () =>
            message({
              content: `${word} hello`,
              sent_at: at(isLate ? random.below(1000) : 10_000 + sent),
            }),
        ),
      })]);
      waits.push(performance.now() - started);
      sent += count;
      if (place !== 0) continue;
      searches++;
      const found = await search(workspace, { search: `hello ${word} `, max_messages: 100 });
      if (found.length !== count) misses.push(`${word}: ${found.length} of ${count}`);
    }
  };
  const index = async () => {
    while (Date.now() < until) {
      await using sql = disposable(db.connect({ max: 1, connection: { role: "service_role" } }));
      const [{ pid }] = await sql.value<[{ pid: number }]>`select pg_backend_pid() as pid`;
      const done = sql.value`select * from public.index_messages(300, '-1 second', ${workspace.id})`
        .catch(() => {});
      if (random.below(3) === 0) {
        await new Promise((resolve) => setTimeout(resolve, random.below(30)));
        await db.sql`select pg_terminate_backend(${pid})`;
      }
      await done;
    }
  };
  const remove = async () => {
    while (Date.now() < until) {
      const id = await ingestOne(db.service, other, conversation({ messages: messages(60) }));
      await new Promise((resolve) => setTimeout(resolve, 40));
      await db.sql`delete from public.conversations where id = ${id}`;
    }
  };
  await Promise.all([write(0), write(1), write(2), index(), index(), remove()]);
  assertEquals(misses, []);
  assert(searches >= 10 && sent > 100, `${searches} searches, ${sent} messages`);
  await indexAll(workspace);
  assertEquals(await indexFaults(workspace), { missing: 0, surplus: 0 });
  const [orphans] = await db.sql<{ count: number }[]>`
    select count(*)::integer as count from private.message_blocks as block
    where block.workspace_id = ${workspace.id}
      and not exists (select from public.conversations as known where known.id = block.conversation_id)`;
  assertEquals(orphans!.count, 0);
});

Deno.test("a conversation opens around a message, and continues in both directions", async () => {
  const workspace = await createWorkspace(db.sql);
  const connection = await createConnection(db.sql, workspace);
  const given = conversation({
    // Many of one instant, over the border of a page.
    messages: Array.from(
      { length: 230 },
      (_, place) =>
        message({ id: `m${place}`, sent_at: at(place >= 60 && place < 140 ? 60 : place) }),
    ),
  });
  const id = await ingestOne(db.service, connection, given);
  const read = async (given: Record<string, string | number>) => {
    const names = Object.keys(given);
    return await db.as({ userId: workspace.viewer }, async (sql) => [
      ...await sql.unsafe<{ id: string; cursor: string }[]>(
        `select id, cursor from public.conversation_messages($1, ${
          names.map((name, place) => `${name} => $${place + 2}`).join(", ")
        })`,
        [id, ...Object.values(given)],
      ),
    ]);
  };
  const all = await read({ max_messages: 500 });
  const expected = given.messages.map((one) => one.id).reverse();
  assertEquals(all.map((row) => row.id), expected);
  for (const place of [0, 5, 49, 50, 51, 60, 61, 99, 100, 101, 139, 140, 200, 228, 229]) {
    const anchor = all[place]!;
    const around = await read({ around: anchor.cursor, max_messages: 21 });
    const start = Math.max(0, place - 10);
    assertEquals(around.map((row) => row.id), expected.slice(start, start + 21), `around ${place}`);
    const after = await read({ after: anchor.cursor, max_messages: 7 });
    assertEquals(
      after.map((row) => row.id),
      expected.slice(Math.max(0, place - 7), place),
      `after ${place}`,
    );
    const before = await read({ before: anchor.cursor, max_messages: 7 });
    assertEquals(
      before.map((row) => row.id),
      expected.slice(place + 1, place + 8),
      `before ${place}`,
    );
  }
  // A message that is gone: its neighbours.
  const gone = all[120]!.cursor.replace(/~.*/, "~gone");
  assert((await read({ around: gone, max_messages: 10 })).length === 10);
  assertEquals(await sqlStateOf(read({ around: "no cursor" })), "22023");
  assertEquals(await sqlStateOf(read({ around: gone, before: gone })), "22023");
});

Deno.test("wrong parameters are refused with a sentence", async () => {
  const workspace = await createWorkspace(db.sql);
  const wrong: Search[] = [
    { max_messages: 0 },
    { max_messages: 101 },
    { max_messages: null },
    { direction: "sideways" },
    { type: "poem" },
    { before: "no cursor" },
    { before: "2026-01-01~" },
    { before: "2026-01-01T00:00:00Z~not-a-uuid~x" },
  ];
  for (const given of wrong) {
    assertEquals(
      await sqlStateOf(search(workspace, { search: "a", ...given })),
      "22023",
      JSON.stringify(given),
    );
  }
});

function disposable<Value extends { end: (options?: { timeout: number }) => Promise<void> }>(
  value: Value,
) {
  return { value, [Symbol.asyncDispose]: () => value.end({ timeout: 1 }) };
}
