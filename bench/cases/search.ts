/**
 * Measures the search in messages: what it costs to store, index and find them, among 200 workspaces and in texts of
 * many languages.
 *
 * @module
 */

import type postgres from "postgres";
import { createRandom } from "../../fakes/kapso/random.ts";
import { truncateAll } from "../contenders.ts";
import { median, takeTurns, time } from "../measure.ts";
import { type Figure, figure } from "../report.ts";
import { signIn } from "../session.ts";
import {
  buildIndex,
  createMessages,
  createText,
  createVocabulary,
  EMAIL,
  indexQueue,
  WORKSPACES,
} from "../skewed_messages.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

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

/** Builds the index of everything, and measures its time and size. */
async function measureIndexing(
  context: BenchContext,
  sql: postgres.Sql,
  count: number,
): Promise<Figure[]> {
  context.note("building the index");
  const [stored] = await sql<{ messages: number }[]>`
    select sum(message_count)::integer as messages from public.conversations`;
  const ms = await time(() => buildIndex(sql));
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
