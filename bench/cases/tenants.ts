/**
 * Measures an append in a workspace with very many conversations, beside one with few, among 200 workspaces of very
 * different sizes: what an append costs must not depend on them.
 *
 * @module
 */

import type postgres from "postgres";
import { truncateAll } from "../contenders.ts";
import { median, takeTurns } from "../measure.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, inWords, openDatabase, repeat } from "./case.ts";

const WORKSPACES = 200;
const FEW = 1_000;
const MANY = 60_000;
/** Reactions of the message that has many. */
const REACTIONS = 1_000;

/** Measures appends and reactions among many tenants. */
export const measureTenants: BenchCase = async (context) => {
  const admin = openDatabase(context);
  const service = openDatabase(context);
  try {
    const many = context.isQuick ? MANY / 10 : MANY;
    context.note(`creating ${WORKSPACES} workspaces, one with ${inWords(many)} conversations`);
    await truncateAll(admin);
    // Loading is not measured; the trigger that makes an owner wants a user.
    await admin`set session_replication_role = replica`;
    const small = await addTenant(admin, "few", FEW);
    const large = await addTenant(admin, "many", many);
    for (let index = 2; index < WORKSPACES; index++) {
      // A few large ones, most of them tiny.
      await addTenant(admin, `tenant-${index}`, Math.ceil(4_000 / index));
    }
    await admin`reset session_replication_role`;
    await admin`vacuum analyze`;
    await service`set role service_role`;
    const samples = await takeTurns(
      {
        few: () => append(service, small, "few", FEW),
        many: () => append(service, large, "many", many),
      },
      repeat(context, 300),
      20,
    );
    const [fewMs, manyMs] = [median(samples.few!), median(samples.many!)];
    return [
      figure(
        "tenants.few.ms",
        `Append among ${WORKSPACES} workspaces, ${inWords(FEW)} conversations in its own`,
        fewMs,
        "ms",
      ),
      figure(
        "tenants.many.ms",
        `Append among ${WORKSPACES} workspaces, ${inWords(many)} conversations in its own`,
        manyMs,
        "ms",
      ),
      figure(
        "tenants.ratio",
        `Append: ${inWords(many)} conversations / ${inWords(FEW)}`,
        manyMs / fewMs,
        "",
        "≤ 1.2",
      ),
      await measureReactions(service, small),
    ];
  } finally {
    await Promise.all([admin.end(), service.end()]);
  }
};

/** A workspace with conversations of one message each. @returns its connection. */
async function addTenant(sql: postgres.Sql, name: string, count: number): Promise<string> {
  const [tenant] = await sql<{ connection_id: string }[]>`
    with made as (
      insert into public.workspaces (slug, name) values (${`bench-${name}`}, ${name}) returning id
    )
    insert into public.connections (workspace_id, platform, connection_id, name)
    select made.id, 'telegram', ${`bench-${name}`}, ${name} from made
    returning id as connection_id`;
  await sql`
    insert into public.conversations
      (workspace_id, connection_id, platform, external_conversation_id, participant_identifier, messages,
        head_started_at, message_count, last_message_at)
    select connection.workspace_id, connection.id, 'telegram', ${name} || number, 'someone' || number,
      jsonb_build_array(jsonb_build_object('id', 'first', 'direction', 'inbound', 'type', 'text',
        'content', 'Hello', 'media_url', null, 'sent_at', '2026-01-01T00:00:00.000Z')),
      '2026-01-01', 1, '2026-01-01'
    from public.connections as connection
    cross join generate_series(1, ${count}::integer) as number
    where connection.id = ${tenant!.connection_id}`;
  return tenant!.connection_id;
}

let appended = 0;

/** Appends a message to one of the conversations. */
async function append(
  sql: postgres.Sql,
  connectionId: string,
  name: string,
  count: number,
): Promise<void> {
  const key = `${name}${1 + (++appended * 7919) % count}`;
  const [row] = await ingest(sql, connectionId, {
    external_conversation_id: key,
    participant_identifier: "someone",
    messages: [{
      id: `append ${appended}`,
      direction: "inbound",
      type: "text",
      content: "One more message",
      media_url: null,
      sent_at: "2026-01-02T00:00:00.000Z",
    }],
  });
  if (row!.messages_added !== 1) throw new Error(`nothing was added to ${key}`);
}

/** Stores the reactions of a large group to one message, in one call. */
async function measureReactions(sql: postgres.Sql, connectionId: string): Promise<Figure> {
  const times: number[] = [];
  const reacted = {
    id: "reacted",
    direction: "inbound",
    type: "text",
    content: "Who comes?",
    media_url: null,
    sent_at: "2026-01-02T00:00:00.000Z",
  };
  const group = { external_conversation_id: "few1", participant_identifier: "someone" };
  await ingest(sql, connectionId, { ...group, messages: [reacted] });
  for (let run = 0; run < 5; run++) {
    const changes = Array.from({ length: REACTIONS }, (_, index) => ({
      message_id: reacted.id,
      reactions: [{
        sender: `member ${index}`,
        emoji: "👍",
        reacted_at: new Date(Date.UTC(2026, 0, 2, 0, 0, run * REACTIONS + index)).toISOString(),
      }],
    }));
    const start = performance.now();
    await ingest(sql, connectionId, { ...group, messages: [], changes });
    times.push(performance.now() - start);
  }
  return figure(
    "tenants.reactions.ms",
    `${inWords(REACTIONS)} reactions to one message`,
    median(times),
    "ms",
    "≤ 100",
  );
}

function ingest(sql: postgres.Sql, connectionId: string, item: Record<string, unknown>) {
  return sql<{ messages_added: number }[]>`
    select messages_added from public.ingest_conversations(
      ${connectionId}, ${JSON.stringify([item])}::text::jsonb
    )`;
}
