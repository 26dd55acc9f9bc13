/**
 * The read side: paging through a thread while it changes, the list without the arrays, search.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { size, type Sql, sqlStateOf, useDatabase } from "../support/database.ts";
import {
  at,
  conversation,
  ingest,
  ingestOne,
  message,
  messages,
  readThread,
} from "../support/messages.ts";
import { Random } from "../support/messages_model.ts";
import {
  addPerson,
  createConnection,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase({ own: true });

async function whatsapp() {
  const workspace = await createWorkspace(database.sql, { defaultCountry: "ID" });
  return { workspace, connection: await createConnection(database.sql, workspace) };
}

interface Row {
  id: string;
  sent_at: Date;
  cursor: string;
  reactions: unknown;
  is_history: boolean;
}

async function page(sql: Sql, id: string, before: string | null, limit: number): Promise<Row[]> {
  return [
    ...await sql<Row[]>`
      select * from public.conversation_messages(${id}, ${before}, ${limit})`,
  ];
}

/** Reads a thread to its beginning, and does something between the pages. */
async function readBackwards(
  workspace: Workspace,
  id: string,
  limit: number,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<string[]> {
  const seen: string[] = [];
  let before: string | null = null;
  while (true) {
    const rows: Row[] = await database.as(
      { userId: workspace.viewer },
      (sql) => page(sql, id, before, limit),
    );
    seen.push(...rows.map((row) => row.id));
    if (rows.length < limit) return seen;
    before = rows.at(-1)!.cursor;
    await between();
  }
}

Deno.test("a thread is read to its beginning while messages come in", async () => {
  const { service } = database;
  const { workspace, connection } = await whatsapp();
  const random = new Random(Date.now());
  const target = conversation();
  // Five messages an instant, so that pages of seven begin and end within one.
  const original = messages(1000).map((each, index) => ({
    ...each,
    sent_at: at(Math.floor(index / 5)),
  }));
  const id = await ingestOne(service, connection, { ...target, messages: original });
  const known = new Set(original.map((each) => each.id));
  const seen = await readBackwards(workspace, id, 7, async () => {
    // New ones, and late ones that fill pages until they are split.
    await ingest(service, connection, [{
      ...target,
      messages: Array.from(
        { length: 5 },
        () => message({ sent_at: at(random.oneIn(5) ? 5_000 : random.below(200)) }),
      ),
    }]);
  });
  assertEquals(
    seen.filter((each) => known.has(each)),
    original.map((each) => each.id).reverse(),
    "what was there at the start comes once, newest first",
  );
  assertEquals(new Set(seen).size, seen.length);
});

Deno.test("the pages of a conversation make up the conversation, at any limit", async () => {
  const { service } = database;
  const { workspace, connection } = await whatsapp();
  for (const [count, perInstant] of [[0, 1], [1, 1], [100, 1], [101, 1], [450, 300]] as const) {
    const id = await ingestOne(
      service,
      connection,
      conversation({
        messages: messages(count).map((each, index) => ({
          ...each,
          sent_at: at(Math.floor(index / perInstant)),
        })),
      }),
    );
    const thread = (await readThread(service, id)).map((each) => each.id).reverse();
    for (const limit of [1, 99, 100, 500].filter((each) => each > 1 || count <= 101)) {
      assertEquals(await readBackwards(workspace, id, limit), thread, `${count} by ${limit}`);
    }
  }
});

Deno.test("a cursor whose message is gone continues at its time", async () => {
  const { service } = database;
  const { connection } = await whatsapp();
  const id = await ingestOne(
    service,
    connection,
    conversation({ messages: messages(250, 0, "m") }),
  );
  const rows = await page(service, id, `${at(120)}~another one's`, 3);
  assertEquals(rows.map((row) => row.id), ["m_120", "m_119", "m_118"]);
});

Deno.test("ids with a tilde make cursors too", async () => {
  const { service } = database;
  const { connection } = await whatsapp();
  const id = await ingestOne(
    service,
    connection,
    conversation({ messages: messages(3, 0, "a~b~") }),
  );
  const [newest] = await page(service, id, null, 1);
  assertEquals((await page(service, id, newest!.cursor, 5)).map((row) => row.id), [
    "a~b~_1",
    "a~b~_0",
  ]);
});

Deno.test("what is no cursor, and limits out of range, are errors of the caller", async (t) => {
  const { service } = database;
  const { connection } = await whatsapp();
  const id = await ingestOne(service, connection, conversation({ messages: messages(3) }));
  for (const before of ["", "x", "~", "~m", "yesterday-ish~m", at(1), "2026-13-01~m"]) {
    await t.step(`before ${JSON.stringify(before)}`, async () => {
      assertEquals(await sqlStateOf(page(service, id, before, 5)), "22023");
    });
  }
  for (const limit of [0, -1, 501, null]) {
    await t.step(`max_messages ${limit}`, async () => {
      assertEquals(await sqlStateOf(page(service, id, null, limit as number)), "22023");
    });
  }
  for (const limit of [0, 201, null]) {
    await t.step(`max_conversations ${limit}`, async () => {
      assertEquals(
        await sqlStateOf(service`
          select * from public.search_conversations(
            ${connection.workspace_id}, max_conversations => ${limit}
          )`),
        "42501",
        "service_role does not search",
      );
      const { code } = await database.attempt("service_role", async (sql) => {
        await sql`reset role`;
        return await sql`
          select * from public.search_conversations(
            ${connection.workspace_id}, max_conversations => ${limit}
          )`;
      });
      assertEquals(code, "22023");
    });
  }
});

Deno.test("an unknown conversation is empty", async () => {
  assertEquals(await page(database.service, crypto.randomUUID(), null, 5), []);
});

Deno.test("messages come with everything that is known of them", async () => {
  const { service } = database;
  const { connection } = await whatsapp();
  const given = message({
    direction: "outbound",
    type: "image",
    media_url: "https://example.com/a.jpg",
    status: "failed",
    status_at: at(9),
    error: { code: 1, message: "No" },
    reply_to: "other",
    edited_at: at(20),
    original_content: "at first",
    sender_name: "Ani",
    metadata: { kapso: { a: [1, 2] } },
    reactions: [
      { sender: "ann", emoji: "👍", reacted_at: at(2) },
      { sender: "bob", emoji: null, reacted_at: at(3) },
    ],
  });
  const id = await ingestOne(
    service,
    connection,
    conversation({ messages: [given], is_history: true }),
  );
  const [row] = await page(service, id, null, 5);
  const { cursor, ...rest } = row!;
  assertEquals<unknown>(rest, {
    ...given,
    sent_at: new Date(given.sent_at),
    status_at: new Date(at(9)),
    edited_at: new Date(at(20)),
    original_content: "at first",
    deleted_at: null,
    is_history: true,
    // One that was taken back is not shown.
    reactions: [{ sender: "ann", emoji: "👍", reacted_at: at(2) }],
  });
  assert(cursor.length > 0);
});

Deno.test("conversation_list has no messages, and only what a list needs", async () => {
  const columns = await database.sql<{ name: string; type: string }[]>`
    select attribute.attname as name, format_type(attribute.atttypid, null) as type
    from pg_attribute as attribute
    where attribute.attrelid = 'public.conversation_list'::regclass and attribute.attnum > 0`;
  assert(columns.length > 10);
  assertEquals(columns.filter(({ type }) => type === "jsonb" || type.endsWith("[]")), [
    { name: "tag_ids", type: "uuid[]" },
  ]);
  assert(!columns.some(({ name }) => name === "messages" || name === "search_text"));
});

// Search ----------------------------------------------------------------------------------------

interface SearchArguments {
  search?: string;
  status?: string;
  platform?: string;
  assigned_to?: string;
  is_unassigned?: boolean;
  is_unread?: boolean;
  tag_id?: string;
  before_activity_at?: string;
  before_id?: string;
  max_conversations?: number;
}

interface Found {
  id: string;
  activity_at: Date;
  activity_text: string;
  external_conversation_id: string;
}

async function search(workspace: Workspace, given: SearchArguments): Promise<Found[]> {
  return await database.as({ userId: workspace.viewer }, async (sql) => [
    ...await sql<Found[]>`
      select id, external_conversation_id, activity_at, activity_at::text as activity_text
      from public.search_conversations(
        workspace_id => ${workspace.id},
        search => ${given.search ?? ""},
        status => ${given.status ?? null},
        platform => ${given.platform ?? null},
        assigned_to => ${given.assigned_to ?? null},
        is_unassigned => ${given.is_unassigned ?? false},
        is_unread => ${given.is_unread ?? false},
        tag_id => ${given.tag_id ?? null},
        before_activity_at => ${given.before_activity_at ?? "infinity"}::text::timestamptz,
        before_id => ${given.before_id ?? "ffffffff-ffff-ffff-ffff-ffffffffffff"},
        max_conversations => ${given.max_conversations ?? 50}
      )`,
  ]);
}

Deno.test("a conversation is found by name, number, preview and contact", async (t) => {
  const { sql, service } = database;
  const { workspace, connection } = await whatsapp();
  const number = "+62 812-3456-7890";
  await addPerson(sql, workspace, { phone: number, name: "Søren Müller-Łukasz" });
  const id = await ingestOne(
    service,
    connection,
    conversation({
      participant_identifier: number,
      participant_name: "José Ñuñez",
      messages: [message({ content: "Where is my ORDER #4711? 100% late, snake_case \\o/" })],
    }),
  );
  await ingest(service, connection, [
    conversation({
      participant_identifier: "+6598765432",
      participant_name: "Some One",
      messages: [message({ content: "1000 of them, snakeXcase" })],
    }),
  ]);
  const finds = [
    "José",
    "jose",
    "JOSE nunez",
    "ñuñez",
    "jose\u0301",
    "müller",
    "muller",
    number,
    "+6281234567890",
    "6281234567890",
    "62 812 3456 7890",
    "(812) 3456",
    "0812-3456-7890",
    "081234567890",
    "7890",
    "order #4711",
    "100%",
    "snake_case",
    "\\o/",
    "  jose  ",
  ];
  for (const text of finds) {
    await t.step(`finds ${text}`, async () => {
      assertEquals((await search(workspace, { search: text })).map((row) => row.id), [id]);
    });
  }
  for (const text of ["%%", "_____", "j_se", "order%late", "josé maria", "\\", "no one"]) {
    await t.step(`does not find ${text}`, async () => {
      const found = (await search(workspace, { search: text })).map((row) => row.id);
      assertEquals(found, text === "\\" ? [id] : []);
    });
  }
  await t.step("nothing to search for is everything", async () => {
    for (const text of ["", "   "]) {
      assertEquals((await search(workspace, { search: text })).length, 2);
    }
  });
});

Deno.test("search filters by status, platform and assignee, in one workspace", async () => {
  const { sql, service } = database;
  const { workspace, connection } = await whatsapp();
  const other = await whatsapp();
  const signal = await createConnection(sql, workspace, { platform: "signal" });
  const word = unique("word");
  const make = (on = connection) =>
    ingestOne(service, on, conversation({ messages: [message({ content: `Say ${word}` })] }));
  const [open, closed, assigned, onSignal] = [
    await make(),
    await make(),
    await make(),
    await make(signal),
  ];
  await make(other.connection);
  await service`
    update public.conversations set status = 'closed', closed_at = now() where id = ${closed}`;
  await service`
    update public.conversations set assigned_to = ${workspace.agent} where id = ${assigned}`;
  const found = async (given: SearchArguments) =>
    (await search(workspace, { search: word, ...given })).map((row) => row.id).sort();
  assertEquals(await found({}), [open, closed, assigned, onSignal].sort());
  assertEquals(await found({ status: "closed" }), [closed]);
  assertEquals(await found({ status: "open" }), [open, assigned, onSignal].sort());
  assertEquals(await found({ platform: "signal" }), [onSignal]);
  assertEquals(await found({ assigned_to: workspace.agent }), [assigned]);
  assertEquals(await found({ assigned_to: workspace.agent, status: "closed" }), []);
  assertEquals(await search(other.workspace, { search: word, platform: "signal" }), []);
});

Deno.test("paging by keyset gives every conversation once, newest first", async () => {
  const { service } = database;
  const { workspace, connection } = await whatsapp();
  const word = unique("word");
  // Three conversations an instant, so that pages of seven end within one.
  const batch = Array.from({ length: 100 }, (_, index) =>
    conversation({
      participant_name: index % 2 === 0 ? word : "Other",
      messages: index < 90 ? [message({ sent_at: at(Math.floor(index / 3)) })] : [],
    }));
  await ingest(service, connection, batch);
  for (const text of ["", word]) {
    const seen: Found[] = [];
    let last: Found | undefined;
    while (true) {
      const rows: Found[] = await search(workspace, {
        search: text,
        max_conversations: 7,
        ...(last ? { before_activity_at: last.activity_text, before_id: last.id } : {}),
      });
      seen.push(...rows);
      if (rows.length < 7) break;
      last = rows.at(-1);
    }
    const wanted = batch.filter((each) => text === "" || each.participant_name === text);
    assertEquals(
      seen.map((row) => row.external_conversation_id).sort(),
      wanted.map((each) => each.external_conversation_id).sort(),
      `search for "${text}"`,
    );
    const order = seen.map((row) => row.activity_at.getTime());
    assertEquals(order, order.toSorted((a, b) => b - a));
  }
});

Deno.test("the first page of a large inbox comes from an index", async (t) => {
  const { sql } = database;
  const { workspace } = await whatsapp();
  const word = unique();
  await sql`
    insert into public.conversations (
      workspace_id, user_id, platform, external_conversation_id, participant_identifier,
      participant_name, last_message_at, last_message_preview
    )
    select ${workspace.id}, ${workspace.owner}, 'whatsapp', ${unique("x_")} || '_' || n,
      '+62' || 81000000000 + n, 'Customer ' || md5(n::text),
      timestamptz '2026-01-01' + n * interval '1 minute',
      'Message ' || md5((n * 7)::text) || case when n % 1000 = 0 then ${word} else '' end
    from generate_series(1, ${size(10_000, 100_000)}) as n`;
  // One tag on every third conversation, and one on few, none of which are new.
  const [common, rare] = await sql<{ id: string }[]>`
    insert into public.tags (workspace_id, name)
    values (${workspace.id}, 'Common'), (${workspace.id}, 'Rare') returning id`;
  await sql`
    insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
    select conversation.workspace_id, conversation.id, tag.id
    from (
      select known.*, row_number() over (order by known.activity_at) as n
      from public.conversations as known
      where known.workspace_id = ${workspace.id}
    ) as conversation
    join (values (${common!.id}::uuid, 3, null), (${
    rare!.id
  }::uuid, 100, 2000)) as tag (id, every, until)
      on conversation.n % tag.every = 0 and conversation.n <= coalesce(tag.until, conversation.n)`;
  // Also moves what is new in the search index to its place, as autovacuum does.
  await sql`vacuum analyze public.conversations, public.conversation_tags`;

  /** How often this session has used an index, or read the whole table, since it last reported it. */
  const countScans = async (sql: Sql) => {
    const [counts] = await sql<{ search: number; inbox: number; table: number }[]>`
      select
        pg_stat_get_xact_numscans('public.conversations_search_text_idx'::regclass)::integer as search,
        pg_stat_get_xact_numscans(
          'public.conversations_workspace_id_activity_at_id_idx'::regclass
        )::integer as inbox,
        pg_stat_get_xact_numscans('public.conversations'::regclass)::integer
          + pg_stat_get_xact_numscans('public.conversation_tags'::regclass)::integer as table`;
    return counts!;
  };
  const scans = async (text: string, tag: string | null = null) =>
    await database.as({ userId: workspace.viewer }, async (sql) => {
      const before = await countScans(sql);
      const rows = await sql`
        select id from public.search_conversations(${workspace.id}, ${text}, tag_id => ${tag})`;
      const after = await countScans(sql);
      return {
        rows: rows.length,
        search: after.search - before.search,
        inbox: after.inbox - before.inbox,
        table: after.table - before.table,
      };
    });

  await t.step("a rare word: the search index", async () => {
    const { rows, search, table } = await scans(word);
    assertEquals([rows, table], [size(10, 50), 0]);
    assert(search > 0);
  });
  await t.step("a number: the search index", async () => {
    const { rows, search, table } = await scans("+62 81-0000-0012-3");
    assertEquals([rows, table], [1, 0]);
    assert(search > 0);
  });
  await t.step("no word: the order of the inbox", async () => {
    const { rows, inbox, table } = await scans("");
    assertEquals([rows, table], [50, 0]);
    assert(inbox > 0);
  });
  await t.step("a word without matches: no reading of the whole table", async () => {
    const { rows, table } = await scans(unique());
    assertEquals([rows, table], [0, 0]);
  });
  await t.step("a tag on many: the order of the inbox", async () => {
    const { rows, inbox, table } = await scans("", common!.id);
    assertEquals([rows, table], [50, 0]);
    assert(inbox > 0);
  });
  await t.step("a tag on few that are old: not the order of the inbox", async () => {
    const { rows, inbox, table } = await scans("", rare!.id);
    assertEquals([rows, inbox, table], [20, 0, 0]);
  });
  await sql`delete from public.workspaces where id = ${workspace.id}`;
});

// People, for bridges ---------------------------------------------------------------------------

interface ListedPerson {
  total: string;
  id: string | null;
  name: string | null;
  phone_number: string | null;
}

Deno.test("list_people pages, searches and counts within one workspace", async (t) => {
  const { sql, service } = database;
  const { workspace } = await whatsapp();
  const other = await whatsapp();
  const numbers = Array.from({ length: 25 }, uniqueNumber);
  for (const [index, phone] of numbers.entries()) {
    await addPerson(sql, workspace, { phone, name: `Zoë ${index}` });
  }
  await addPerson(sql, other.workspace, { phone: numbers[0]!, name: "Zoë elsewhere" });
  const list = async (given: Record<string, string | number | Date | null>) => [
    ...await service<ListedPerson[]>`
      select total, id, name, phone_number from public.list_people(
        ${workspace.id}, ${given.search ?? null}, ${given.phone ?? null},
        ${given.updated_since ?? null}, ${given.max_people ?? 100}, ${given.skip ?? 0}
      )`,
  ];
  await t.step("pages", async () => {
    const seen = [];
    for (let skip = 0; skip < 30; skip += 7) {
      const rows = await list({ max_people: 7, skip });
      assertEquals(new Set(rows.map((row) => Number(row.total))), new Set([25]));
      seen.push(...rows.map((row) => row.phone_number).filter((phone) => phone !== null));
    }
    assertEquals(seen.sort(), numbers.toSorted());
  });
  await t.step("an empty page still has the total", async () => {
    const rows = await list({ skip: 100 });
    assertEquals(rows.map((row) => [Number(row.total), row.id]), [[25, null]]);
  });
  await t.step("by name without accents", async () => {
    assertEquals((await list({ search: "zoe 7" })).map((row) => row.name), ["Zoë 7"]);
    assertEquals(Number((await list({ search: "ZOË 1" }))[0]!.total), 11);
    assertEquals(Number((await list({ search: "zo_" }))[0]!.total), 0);
  });
  await t.step("by number in any spelling", async () => {
    const number = numbers[3]!;
    for (const phone of [number, number.slice(1), `0${number.slice(3)}`, `00${number.slice(1)}`]) {
      assertEquals((await list({ phone })).map((row) => row.phone_number), [number], phone);
    }
    assertEquals((await list({ phone: uniqueNumber() })).map((row) => row.id), [null]);
  });
  await t.step("by the time of the last change", async () => {
    const [newest] = await sql<{ updated_at: Date }[]>`
      update public.people set name = 'Changed'
      where workspace_id = ${workspace.id} and phone = ${numbers[9]!} returning updated_at`;
    const rows = await list({ updated_since: newest!.updated_at });
    assertEquals(rows.map((row) => row.name), ["Changed"]);
  });
});
