/**
 * Measures what the size of the whole installation changes: the same calls among ten thousand messages, and among ten
 * times as many, and so on, in 200 workspaces of very different sizes.
 *
 * @module
 */

import type postgres from "postgres";
import { createRandom, type Random } from "../../fakes/kapso/random.ts";
import { truncateAll } from "../contenders.ts";
import { quantile, type Runs, takeTurns } from "../measure.ts";
import { type Figure, figure } from "../report.ts";
import { signIn } from "../session.ts";
import { buildIndex, createMessages, EMAIL } from "../skewed_messages.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

/** With how many messages the others are compared. */
const COMPARED = 100_000;
/** The most that a median may grow from there. A search reads more where there is more to find. */
const MOST = "≤ 1.3";

/** A conversation of any workspace. */
interface Place {
  connectionId: string;
  phoneNumberId: string;
  key: string;
  /** The newest message. */
  messageId: string;
}

/** Measures the calls at every power of ten up to the size of the run. */
export const measureScale: BenchCase = async (context) => {
  const admin = openDatabase(context);
  const service = openDatabase(context);
  const member = openDatabase(context);
  try {
    const figures: Figure[] = [];
    const medians = new Map<string, number>();
    for (let count = 10_000; count <= context.size; count *= 10) {
      const workspaceId = await fill(context, admin, count);
      const calls = await prepare({ admin, service, member }, workspaceId);
      context.note("measuring");
      const all = await takeTurns(calls, repeat(context, 300), 20);
      for (const [name, samples] of Object.entries(all)) {
        const median = quantile(samples, 0.5);
        medians.set(`${name} ${count}`, median);
        const title = `${inWords(count)} messages: ${name}`;
        figures.push(
          figure(`scale.${name}.${count}.p50`, `${title}, median`, median, "ms"),
          figure(`scale.${name}.${count}.p99`, `${title}, p99`, quantile(samples, 0.99), "ms"),
        );
        if (count <= COMPARED) continue;
        figures.push(figure(
          `scale.${name}.${count}.ratio`,
          `${title}, median / of ${inWords(COMPARED)}`,
          median / medians.get(`${name} ${COMPARED}`)!,
          "×",
          name === "search" ? null : MOST,
        ));
      }
      figures.push(...await measureBytes(admin, count));
    }
    return figures;
  } finally {
    await Promise.all([admin, service, member].map((sql) => sql.end()));
  }
};

/** Creates the messages with their ledger and the index of their words. @returns the largest workspace. */
async function fill(context: BenchContext, sql: postgres.Sql, count: number): Promise<string> {
  context.note(`creating ${inWords(count)} messages`);
  await truncateAll(sql);
  await sql`delete from public.workspaces where slug like 'search-%'`;
  const workspaceId = await createMessages(sql, count);
  await sql`
    insert into private.message_keys (conversation_id, message_digest, sent_at)
    select page.id, private.ledger_digest(page.workspace_id, 'whatsapp', message.value ->> 'id'),
      (message.value ->> 'sent_at')::timestamptz
    from (
      select id, workspace_id, messages from public.conversations
      union all
      select conversation_id, workspace_id, messages from public.conversation_archives
    ) as page
    cross join lateral jsonb_array_elements(page.messages) as message (value)`;
  context.note("building the index of words");
  await buildIndex(sql);
  await sql`select gin_clean_pending_list('private.message_blocks_words_idx')`;
  await sql`vacuum analyze`;
  await sql`checkpoint`;
  return workspaceId;
}

/** How many conversations the calls go through. */
const PLACES = 500;

/** The calls, each in another conversation every time. */
async function prepare(
  { admin, service, member }: Record<"admin" | "service" | "member", postgres.Sql>,
  workspaceId: string,
): Promise<Runs<"append" | "status" | "webhook" | "list" | "thread" | "search">> {
  await service`set role service_role`;
  await member`reset role`;
  await signIn(member, EMAIL);
  const random = createRandom(3);
  // Busy workspaces have more of the calls, as they have more of the conversations.
  const places = await admin<Place[]>`
    select conversation.connection_id as "connectionId", source.phone_number_id as "phoneNumberId",
      conversation.external_conversation_id as key, conversation.messages -> -1 ->> 'id' as "messageId"
    from public.conversations as conversation
    join public.connections as source on source.id = conversation.connection_id
    order by md5(conversation.id::text)
    limit ${PLACES}`;
  const own = await admin<{ id: string }[]>`
    select id from public.conversations where workspace_id = ${workspaceId}
    order by md5(id::text) limit ${PLACES}`;
  const ingest = (place: Place, item: Record<string, unknown>) =>
    service`
      select from public.ingest_conversations(${place.connectionId}, ${
      JSON.stringify([{
        external_conversation_id: place.key,
        participant_identifier: `+${place.key.split(":")[1]}`,
        messages: [],
        ...item,
      }])
    }::text::jsonb)`;
  return {
    append: () => ingest(pick(places, random), { messages: [createMessage()] }),
    status: () => {
      const place = pick(places, random);
      return ingest(place, { changes: [{ message_id: place.messageId, status: "read" }] });
    },
    webhook: async () => {
      const place = pick(places, random);
      const [, phone] = place.key.split(":");
      const [event] = await service<{ state: string }[]>`
        select state from public.record_webhook_event(
          ${place.phoneNumberId}, 'whatsapp.message.received', ${crypto.randomUUID()}, 'e30=', ${
        JSON.stringify([{
          kind: "conversation",
          phoneNumberId: place.phoneNumberId,
          conversation: {
            external_conversation_id: place.key,
            thread_aliases: [],
            participant_identifier: `+${phone}`,
            person: { name: "Customer", phone: `+${phone}`, identifiers: [] },
            messages: [createMessage()],
          },
        }])
      }::text::jsonb)`;
      if (event!.state !== "processed") throw new Error(`the event is ${event!.state}`);
    },
    list: () =>
      member`
        select from public.search_conversations(
          workspace_id => ${workspaceId}, search => '', max_conversations => 50)`,
    thread: () => member`select from public.conversation_messages(${pick(own, random).id})`,
    search: () => member`select from public.search_messages(${workspaceId}, 'rareword ')`,
  };
}

const pick = <T>(items: readonly T[], random: Random): T => items[random.below(items.length)]!;

/** A customer's message of now. */
const createMessage = () => ({
  id: crypto.randomUUID(),
  direction: "inbound",
  type: "text",
  content: "Hello, I would like to know when my order arrives",
  media_url: null,
  sent_at: new Date().toISOString(),
});

/** What a message takes on the disk, with its key and its words. */
async function measureBytes(sql: postgres.Sql, count: number): Promise<Figure[]> {
  const [stored] = await sql<{ bytes: number }[]>`
    select sum(pg_total_relation_size(relation))::float8 as bytes
    from unnest(array[
      'public.conversations', 'public.conversation_archives', 'private.message_keys', 'private.message_blocks'
    ]::regclass[]) as relation`;
  return [figure(
    `scale.bytes.${count}`,
    `${inWords(count)} messages: on the disk, each`,
    stored!.bytes / count,
    "bytes",
  )];
}
