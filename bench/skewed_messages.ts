/**
 * Messages in 200 workspaces of very different sizes, in texts of many languages: what searches and growth are measured
 * on.
 *
 * @module
 */

import type postgres from "postgres";
import { createRandom, type Random } from "../fakes/kapso/random.ts";

/** How many workspaces. */
export const WORKSPACES = 200;
/** Messages of a conversation, on average. */
const CONVERSATION = 23;
/** Messages of a page. */
const PAGE = 50;
/** The member of the largest workspace. */
export const EMAIL = "search-bench@example.com";

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
export function createVocabulary(script: number, random: Random): string[] {
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
export function createText(
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
export async function createMessages(sql: postgres.Sql, count: number): Promise<string> {
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
      insert into public.connections (workspace_id, platform, connection_id, name, phone_number_id, number_claimed_at)
      select made.id, 'whatsapp', made.slug, made.slug, 7000000 + split_part(made.slug, '-', 2)::integer, now() from made
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
        select id, workspace_id, connection_id, 'whatsapp', key, '+' || split_part(key, ':', 2), messages,
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
          key: `${7000001 + place}:62811${String(key).padStart(7, "0")}`,
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

/** Indexes what waits, until nothing does. */
export async function indexQueue(sql: postgres.Sql): Promise<void> {
  let hasMore = true;
  while (hasMore) {
    const [round] = await sql<{ has_more: boolean }[]>`
      select * from public.index_messages(5000, '-1 second')`;
    // No row while the schedule indexes.
    if (round) hasMore = round.has_more;
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Builds the index of the words of all messages from nothing. */
export async function buildIndex(sql: postgres.Sql): Promise<void> {
  await sql`truncate private.message_blocks, private.message_index_queue`;
  await sql`
    select public.rebuild_message_index(id, max_conversations => 1000000)
    from public.workspaces where slug like 'search-%'`;
  await indexQueue(sql);
}
