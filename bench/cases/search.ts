/**
 * Measures the search in messages: what it costs to store, index and find them, among 200 workspaces and in texts of
 * many languages.
 *
 * @module
 */

import type postgres from "postgres";
import { createRandom, type Random } from "../../fakes/kapso/random.ts";
import { truncateAll } from "../contenders.ts";
import { median, takeTurns, time } from "../measure.ts";
import { type Figure, figure } from "../report.ts";
import { signIn } from "../session.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

const WORKSPACES = 200;
/** Messages of a conversation, on average. */
const CONVERSATION = 23;
const PAGE = 50;
const EMAIL = "search-bench@example.com";

/**
 * Searches, the most a median of the first page may take with a million messages in milliseconds, and what to expect.
 * Words are those of {@linkcode createText}.
 */
const SEARCHES: readonly { name: string; text: string; maxMs: number; hasHits: boolean }[] = [
  { name: "a word that is nowhere", text: "nowhereatall ", maxMs: 30, hasHits: false },
  { name: "a rare word", text: "rareword ", maxMs: 30, hasHits: true },
  { name: "an order number", text: "order-4711 ", maxMs: 30, hasHits: true },
  { name: "a part of a phone number", text: "+62 812 3456", maxMs: 30, hasHits: true },
  { name: "two Chinese signs", text: "丁七", maxMs: 30, hasHits: true },
  { name: "a word of 5 % of the messages", text: "commonword ", maxMs: 150, hasHits: true },
  {
    name: "two words of 1 % each that are never together",
    text: "alphaone betatwo ",
    maxMs: 150,
    hasHits: false,
  },
  { name: "a beginning of three letters", text: "com", maxMs: 150, hasHits: true },
];

/** Measures storing, indexing and searching. */
export const measureSearch: BenchCase = async (context) => {
  const admin = openDatabase(context);
  const member = openDatabase(context);
  try {
    const count = context.size * 10;
    await truncateAll(admin);
    context.note(`creating ${inWords(count)} messages in ${WORKSPACES} workspaces`);
    const workspaceId = await createMessages(admin, count);
    const figures = [
      ...await measureIndexing(context, admin, count),
      ...await measureSearches(context, admin, member, workspaceId),
      ...await measureDoor(context, admin, workspaceId),
      ...await measureLiveIndexing(context, admin, workspaceId),
      ...await measureGrowth(context, admin),
    ];
    return figures;
  } finally {
    await Promise.all([admin.end(), member.end()]);
  }
};

const LETTERS = "abcdefghijklmnop";
/** The same words in five scripts: Latin, Cyrillic, Arabic, Chinese, Korean. */
const SCRIPTS = [
  LETTERS,
  "абвгдежзийклмноп",
  "ابتثجحخدذرزسشصضط",
  "一丁七万三上下不与专且世丘丙业东",
  "가나다라마바사아자차카타파하거너",
] as const;
const CHINESE = 3;
const VOCABULARY = 20_000;

/** 20,000 words of a script, of 3 to 10 letters; Chinese ones of two signs. */
function createVocabulary(script: number, random: Random): string[] {
  const letters = [...SCRIPTS[script]!];
  return Array.from({ length: VOCABULARY }, () => {
    const length = script === CHINESE ? 2 : 3 + random.below(8);
    return Array.from({ length }, () => letters[random.below(letters.length)]).join("");
  });
}

/**
 * A text of a customer. A word is as frequent as its place among the words says: few are frequent and most are rare.
 * Order numbers, phone numbers, addresses and names of files are among them.
 */
function createText(
  number: number,
  script: number,
  words: readonly string[],
  random: Random,
): string {
  const text = Array.from(
    { length: 5 + random.below(9) },
    () => words[Math.floor(Math.pow(VOCABULARY, random.next())) - 1],
  ).join(script === CHINESE ? "" : " ");
  const kind = number % 100;
  if (number % 4_000 === 99) return `${text} rareword`;
  if (kind < 5) return `${text} commonword`;
  if (kind === 10) return `${text} alphaone`;
  if (kind === 11) return `${text} betatwo`;
  if (kind >= 20 && kind < 23) return `${text} ORDER-${4711 + Math.floor(number / 100) % 500}`;
  if (kind >= 30 && kind < 32) {
    return `${text} +62 812-${3400 + Math.floor(number / 100) % 100}-${1000 + number % 9000}`;
  }
  if (kind >= 40 && kind < 42) return `${text} https://shop.example.com/${crypto.randomUUID()}`;
  if (kind >= 50 && kind < 53) return `${text} invoice_2025-${number % 1000}.pdf`;
  return text;
}

/** Workspaces whose sizes differ as 1 to 200. @returns the largest, with a member to search in it. */
async function createMessages(sql: postgres.Sql, count: number): Promise<string> {
  // Loading is not measured.
  await sql`set session_replication_role = replica`;
  await sql`delete from auth.users where email = ${EMAIL}`;
  await sql`insert into auth.users (id, email) values (gen_random_uuid(), ${EMAIL})`;
  const connections = await sql<{ id: string; workspace_id: string }[]>`
    with made as (
      insert into public.workspaces (slug, name)
      select 'search-' || number, 'Search ' || number from generate_series(1, ${WORKSPACES}::integer) as number
      returning id, slug
    ), owned as (
      insert into public.workspace_members (workspace_id, user_id, role)
      select made.id, member.id, 'owner' from made, auth.users as member
      where made.slug = 'search-1' and member.email = ${EMAIL}
    ), connected as (
      insert into public.connections (workspace_id, platform, connection_id, name)
      select made.id, 'telegram', made.slug, made.slug from made
      returning id, workspace_id, connection_id
    )
    select id, workspace_id from connected order by split_part(connection_id, '-', 2)::integer`;
  const random = createRandom(7);
  const vocabularies = SCRIPTS.map((_, script) => createVocabulary(script, random));
  const shares = connections.map((_, place) => 1 / (place + 1));
  const whole = shares.reduce((sum, share) => sum + share);
  let number = 0;
  let rows: Record<string, unknown>[] = [];
  const store = async () => {
    await sql`
      with given as (
        select * from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as row (
          id uuid, workspace_id uuid, connection_id uuid, key text, page integer, is_head boolean, count integer,
          messages jsonb
        )
      ), heads as (
        insert into public.conversations
          (id, workspace_id, connection_id, platform, external_conversation_id, participant_identifier, messages,
            head_started_at, message_count, archived_message_count, last_message_at)
        select id, workspace_id, connection_id, 'telegram', key, key, messages,
          (messages -> 0 ->> 'sent_at')::timestamptz, count, page * ${PAGE}::integer,
          (messages -> -1 ->> 'sent_at')::timestamptz
        from given where is_head
      )
      insert into public.conversation_archives
        (conversation_id, workspace_id, messages, message_count, first_sent_at, last_sent_at)
      select id, workspace_id, messages, ${PAGE}::integer, (messages -> 0 ->> 'sent_at')::timestamptz,
        (messages -> -1 ->> 'sent_at')::timestamptz
      from given where not is_head`;
    rows = [];
  };
  for (const [place, connection] of connections.entries()) {
    let left = Math.ceil(count * shares[place]! / whole);
    for (let key = 0; left > 0; key++) {
      const script = key % SCRIPTS.length;
      // Conversations of 1 to some hundred messages, each over some days of two years.
      const length = Math.min(
        left,
        Math.ceil(-Math.log(1 - random.next()) * CONVERSATION) || 1,
      );
      const start = Date.UTC(2024, 0, 1) + random.below(700 * 24 * 60) * 60_000;
      const messages = Array.from({ length }, (_, index) => ({
        id: `m${++number}`,
        direction: index % 2 === 0 ? "inbound" : "outbound",
        type: "text",
        content: createText(number, script, vocabularies[script]!, random),
        media_url: null,
        sent_at: new Date(start + index * 17 * 60_000).toISOString(),
      }));
      const id = crypto.randomUUID();
      const lastPage = Math.floor((length - 1) / PAGE);
      for (let page = 0; page <= lastPage; page++) {
        rows.push({
          id,
          workspace_id: connection.workspace_id,
          connection_id: connection.id,
          key: `c${place}-${key}`,
          page,
          is_head: page === lastPage,
          count: length,
          messages: messages.slice(page * PAGE, (page + 1) * PAGE),
        });
      }
      left -= length;
      if (rows.length >= 500) await store();
    }
  }
  await store();
  await sql`set session_replication_role = origin`;
  await sql`vacuum analyze public.conversations, public.conversation_archives`;
  return connections[0]!.workspace_id;
}

async function indexQueue(sql: postgres.Sql): Promise<void> {
  let hasMore = true;
  while (hasMore) {
    const [round] = await sql<{ has_more: boolean }[]>`
      select * from public.index_messages(5000, '-1 second')`;
    // No row while the schedule indexes.
    if (round) hasMore = round.has_more;
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Builds the index of everything, and measures its time and size. */
async function measureIndexing(
  context: BenchContext,
  sql: postgres.Sql,
  count: number,
): Promise<Figure[]> {
  context.note("building the index");
  const [stored] = await sql<{ messages: number }[]>`
    select sum(message_count)::integer as messages from public.conversations`;
  await sql`truncate private.message_blocks, private.message_index_queue`;
  const ms = await time(async () => {
    await sql`
      select public.rebuild_message_index(id, max_conversations => 1000000)
      from public.workspaces where slug like 'search-%'`;
    await indexQueue(sql);
  });
  await sql`vacuum analyze private.message_blocks`;
  await sql`select gin_clean_pending_list('private.message_blocks_words_idx')`;
  const [size] = await sql<{ bytes: number; words: number; blocks: number }[]>`
    select pg_total_relation_size('private.message_blocks')::float8 as bytes,
      pg_relation_size('private.message_blocks_words_idx')::float8 as words,
      (select count(*)::integer from private.message_blocks) as blocks`;
  const suffix = `of ${inWords(count)} messages`;
  return [
    figure(
      "search.build.us",
      `Search: building the index ${suffix}, each`,
      ms * 1000 / stored!.messages,
      "µs",
    ),
    figure(
      "search.bytes",
      `Search: index ${suffix}, each`,
      size!.bytes / stored!.messages,
      "bytes",
      "≤ 200",
    ),
    figure(
      "search.words.bytes",
      `Search: of this the index of words`,
      size!.words / stored!.messages,
      "bytes",
    ),
  ];
}

/** Searches in the largest workspace, as a member. */
async function measureSearches(
  context: BenchContext,
  admin: postgres.Sql,
  member: postgres.Sql,
  workspaceId: string,
): Promise<Figure[]> {
  context.note("searching");
  await signIn(member, EMAIL);
  const [size] = await admin<{ messages: number }[]>`
    select sum(message_count)::integer as messages from public.conversations where workspace_id = ${workspaceId}`;
  const find = (text: string, before: string | null = null) =>
    member<{ cursor: string }[]>`
      select cursor from public.search_messages(${workspaceId}, ${text}, before => ${before})`;
  const [middle] = await find("commonword ");
  const runs: Record<string, () => Promise<unknown>> = Object.fromEntries(
    SEARCHES.map(({ name, text, hasHits }) => [name, async (): Promise<void> => {
      const hits = await find(text);
      if ((hits.length > 0) !== hasHits) throw new Error(`${text}: ${hits.length} hits`);
    }]),
  );
  const deep = "a word of 5 % of the messages, from the middle on";
  runs[deep] = () =>
    find("commonword ", middle!.cursor.replace(/^[^~]+/, "2025-01-01T00:00:00.000Z"));
  const samples = await takeTurns(runs, repeat(context, 15), 2);
  return [...SEARCHES, { name: deep, maxMs: 150 }].map(({ name, maxMs }, place) =>
    figure(
      `search.${place + 1}.ms`,
      `Search among ${inWords(size!.messages)} messages: ${name}`,
      median(samples[name]!),
      "ms",
      `≤ ${maxMs}`,
    )
  );
}

/** What the queue costs those who store messages: in turns with a function that queues nothing. */
async function measureDoor(
  context: BenchContext,
  sql: postgres.Sql,
  workspaceId: string,
): Promise<Figure[]> {
  context.note("storing with and without the queue");
  const [source] = await sql<{ id: string }[]>`
    select id from public.connections where workspace_id = ${workspaceId}`;
  const [queue] = await sql<{ definition: string }[]>`
    select pg_get_functiondef('private.queue_for_index'::regproc) as definition`;
  const idle = queue!.definition.replace(/^begin$[^]*^end;$/m, "begin\n  return;\nend;");
  let number = 0;
  const store = async (key: string, count: number) => {
    const item = {
      external_conversation_id: key,
      participant_identifier: "someone",
      messages: Array.from({ length: count }, () => ({
        id: `door-${++number}`,
        direction: "inbound",
        type: "text",
        content: "Hello, I would like to know when my order arrives",
        media_url: null,
        sent_at: new Date(Date.UTC(2026, 1, 1) + number * 1000).toISOString(),
      })),
    };
    await sql`
      select from public.ingest_conversations(${source!.id}, ${
      JSON.stringify([item])
    }::text::jsonb)`;
  };
  const figures: Figure[] = [];
  for (const [count, calls] of [[1, 200], [500, 6]] as const) {
    const samples: Record<"with" | "without", number[]> = { with: [], without: [] };
    for (let round = 0; round < repeat(context, 12); round++) {
      for (
        const mode of round % 2 === 0 ? ["with", "without"] as const : ["without", "with"] as const
      ) {
        await sql.unsafe(mode === "with" ? queue!.definition : idle);
        // The first call plans again.
        await store("door", 1);
        for (let call = 0; call < calls; call++) {
          // One message into a conversation there is, or many into a new one.
          const key = count === 1 ? `door-${call}` : `door-${count}-${number}`;
          samples[mode].push(await time(() => store(key, count)));
        }
      }
    }
    figures.push(
      figure(
        `search.door.${count}`,
        `Storing ${
          count === 1 ? "a message" : `${count} messages`
        }: with the queue of the search / without`,
        median(samples.with) / median(samples.without),
        "",
        "≤ 1.05",
      ),
    );
  }
  await sql.unsafe(queue!.definition);
  await sql`truncate private.message_index_queue`;
  return figures;
}

/** What the job costs for messages that come one by one. */
async function measureLiveIndexing(
  context: BenchContext,
  sql: postgres.Sql,
  workspaceId: string,
): Promise<Figure[]> {
  context.note("messages that come one by one");
  const [source] = await sql<{ id: string }[]>`
    select id from public.connections where workspace_id = ${workspaceId}`;
  const keys = await sql<{ key: string }[]>`
    select external_conversation_id as key from public.conversations
    where workspace_id = ${workspaceId} order by random() limit 1000`;
  const append = async (place: number, each: number) => {
    const items = keys.slice(place, place + 20).map(({ key }) => ({
      external_conversation_id: key,
      participant_identifier: "someone",
      messages: Array.from({ length: each }, (_, index) => ({
        id: `${crypto.randomUUID()}`,
        direction: "inbound",
        type: "text",
        content: `A new message number ${index} of this morning, thank you`,
        media_url: null,
        sent_at: new Date(Date.UTC(2026, 5, 1, 0, 0, index)).toISOString(),
      })),
    }));
    await sql`
      select from public.ingest_conversations(${source!.id}, ${
      JSON.stringify(items)
    }::text::jsonb)`;
  };
  const figures: Figure[] = [];
  for (const each of [1, 5]) {
    for (let place = 0; place < keys.length; place += 20) await append(place, each);
    const [queued] = await sql<{ rows: number }[]>`
      select count(*)::integer as rows from private.message_index_queue`;
    await sql`checkpoint`;
    const ms = await time(() => indexQueue(sql));
    figures.push(
      figure(
        `search.live.${each}.us`,
        `Search: indexing ${each} new of each of ${inWords(queued!.rows)} conversations, a message`,
        ms * 1000 / (queued!.rows * each),
        "µs",
        each === 1 ? "≤ 500" : "≤ 250",
      ),
    );
  }
  return figures;
}

const indexBytes = async (sql: postgres.Sql) =>
  (await sql<{ bytes: number }[]>`
    select pg_total_relation_size('private.message_blocks')::float8 as bytes`)[0]!.bytes;

/** How large the index is when conversations have grown message by message: next to one that is made at once. */
async function measureGrowth(context: BenchContext, sql: postgres.Sql): Promise<Figure[]> {
  const conversations = Math.max(100, Math.min(2_000, context.size / 50));
  const rounds = 50;
  context.note(
    `${inWords(conversations)} conversations of ${rounds} messages that come one by one`,
  );
  await truncateAll(sql);
  await sql`truncate private.message_blocks, private.message_index_queue`;
  // Without the trigger that makes the one who is signed in its owner.
  await sql`set session_replication_role = replica`;
  const [source] = await sql<{ id: string; workspace_id: string }[]>`
    with made as (
      insert into public.workspaces (slug, name) values ('search-growth', 'Search growth') returning id
    )
    insert into public.connections (workspace_id, platform, connection_id, name)
    select made.id, 'telegram', 'search-growth', 'Search growth' from made
    returning id, workspace_id`;
  await sql`set session_replication_role = origin`;
  const random = createRandom(11);
  const vocabulary = createVocabulary(0, random);
  for (let round = 0; round < rounds; round++) {
    for (let start = 0; start < conversations; start += 200) {
      const items = Array.from({ length: Math.min(200, conversations - start) }, (_, place) => ({
        external_conversation_id: `growth-${start + place}`,
        participant_identifier: "someone",
        messages: [{
          id: `growth-${start + place}-${round}`,
          direction: "inbound",
          type: "text",
          content: createText(random.below(4_000), 0, vocabulary, random),
          media_url: null,
          sent_at: new Date(Date.UTC(2026, 1, 1) + round * 600_000).toISOString(),
        }],
      }));
      await sql`
        select from public.ingest_conversations(${source!.id}, ${
        JSON.stringify(items)
      }::text::jsonb)`;
    }
    await indexQueue(sql);
    // Autovacuum comes at this share of dead rows, a minute later at most; here a round takes a second.
    const [dead] = await sql<{ share: number }[]>`
      select n_dead_tup / greatest(n_live_tup, 1)::float8 as share, pg_stat_force_next_flush()
      from pg_stat_user_tables where relid = 'private.message_blocks'::regclass`;
    if (dead!.share > 0.2) await sql`vacuum private.message_blocks`;
  }
  const grown = await indexBytes(sql);
  await sql`truncate private.message_blocks`;
  await sql`select from public.rebuild_message_index(${
    source!.workspace_id
  }, max_conversations => 1000000)`;
  await indexQueue(sql);
  await sql`select gin_clean_pending_list('private.message_blocks_words_idx')`;
  return [
    figure(
      "search.growth",
      `Search: size of the index after ${rounds} messages one by one in each conversation / made at once`,
      grown / await indexBytes(sql),
      "",
      "≤ 2",
    ),
  ];
}
