/**
 * Measures the agent API with many stored sessions: look-up, sync and message over HTTP with 100,000 sessions
 * against 1,000. The small table is measured before and after the large one, so that other load on the machine
 * affects both.
 *
 * @module
 */

import type postgres from "postgres";
import { median, runConcurrently, type Samples, takeTurns } from "../measure.ts";
import { type Figure, figure } from "../report.ts";
import { type BenchCase, type BenchContext, inWords, openDatabase, repeat } from "./case.ts";

const SMALL = 1000;
const WORKERS = [1, 16] as const;
/** Requests per round. */
const REQUESTS = 16;
const OPERATIONS = ["lookup", "sync", "message"] as const;
const TITLES = { lookup: "look-up", sync: "sync", message: "message with an id" };

type Operation = typeof OPERATIONS[number];
type Name = `${Operation}.${typeof WORKERS[number]}`;

/** Measures conversation-sync. */
export const measureConversationSync: BenchCase = async (context) => {
  const sql = openDatabase(context);
  try {
    const measureAt = async (count: number) => {
      await store(sql, count, context.info.demo.workspace);
      context.note(`conversation_sync: ${inWords(count)} sessions`);
      return await measureRequests(context, sql, count);
    };
    const before = await measureAt(SMALL);
    const large = await measureAt(context.size);
    const after = await measureAt(SMALL);
    return WORKERS.flatMap((workers) =>
      OPERATIONS.flatMap((operation) => {
        const name: Name = `${operation}.${workers}`;
        const small = median([...before[name], ...after[name]]) / REQUESTS;
        return compare(context, name, small, median(large[name]) / REQUESTS);
      })
    );
  } finally {
    await sql`delete from public.agent_sessions where bot_id = 'bench'`;
    await sql.end();
  }
};

function compare(context: BenchContext, name: Name, small: number, large: number): Figure[] {
  const [operation, workers] = name.split(".") as [Operation, string];
  const title = `Agent's ${TITLES[operation]}, ${workers} at a time`;
  const id = `conversation_sync.${name}`;
  const count = inWords(context.size);
  return [
    figure(`${id}.small.ms`, `${title}: ${inWords(SMALL)} sessions`, small, "ms"),
    figure(`${id}.large.ms`, `${title}: ${count} sessions`, large, "ms"),
    figure(
      `${id}.ratio`,
      `${title}: ${count} / ${inWords(SMALL)}`,
      large / small,
      "×",
      "≤ 1.5",
    ),
  ];
}

/** The phone number of the customer with an index. */
function phone(index: number): string {
  return String(51_900_000_000 + index);
}

/** Fills the table to a size: sessions in progress, each with a context and messages. */
async function store(sql: postgres.Sql, count: number, slug: string): Promise<void> {
  await sql`delete from public.agent_sessions where bot_id = 'bench'`;
  await sql`
    insert into public.agent_sessions
      (session_id, workspace_id, participant_key, bot_id, current_intent, current_step, context, messages,
       last_user_message)
    select 'bench_' || number, workspace.id, (51900000000 + number)::text, 'bench', 'order', 'cart',
      jsonb_build_object(
        'customerName', 'Customer ' || number, 'orderTotal', number,
        'selectedItems', (
          select jsonb_agg(jsonb_build_object('id', item, 'name', 'Pizza ' || item, 'quantity', 1, 'price', 15.5))
          from generate_series(1, 4) as item
        )
      ),
      (
        select jsonb_agg(jsonb_build_object(
          'role', case when turn % 2 = 0 then 'bot' else 'user' end,
          'content', 'Is the blue one still there? ' || number || '/' || turn,
          'timestamp', '2026-03-02T09:00:00.000Z'
        ))
        from generate_series(1, 8) as turn
      ),
      'Is the blue one still there?'
    from public.workspaces as workspace, generate_series(0, ${count - 1}) as number
    where workspace.slug = ${slug}`;
  await sql`vacuum analyze public.agent_sessions`;
  await sql`checkpoint`;
}

async function measureRequests(
  context: BenchContext,
  sql: postgres.Sql,
  count: number,
): Promise<Samples<Name>> {
  const { api_url, demo } = context.info;
  const base = `${api_url}/functions/v1/conversation-sync/api/v1/whatsapp`;
  const send = async (path: string, method = "GET", body?: unknown) => {
    const response = await fetch(base + path, {
      method,
      headers: { authorization: `Bearer ${demo.agent_key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.text();
    if (response.status !== 200) throw new Error(`${response.status}: ${answer}`);
  };
  // Spread over the whole table. Each message is the first of its customer's conversation.
  await sql`delete from public.conversations where external_conversation_id like '%:519________'`;
  const rounds = repeat(context, 20);
  const warmup = 3;
  const step = Math.floor(count / ((rounds + warmup) * REQUESTS * WORKERS.length));
  if (step < 1) throw new RangeError("there are fewer sessions than requests");
  let next = 0;
  const requests: Record<Operation, (index: number) => Promise<void>> = {
    lookup: (index) => send(`/lookup/tenant/${phone(index)}`),
    sync: (index) =>
      send(`/agent/conversations/bench_${index}/sync`, "PUT", {
        intent: "payment",
        step: "processing_payment",
        context: { orderTotal: 50, paymentMethod: "yape" },
      }),
    message: (index) =>
      send(`/agent/conversations/bench_${index}/messages`, "POST", {
        role: "user",
        content: "Quiero una pizza",
        messageId: crypto.randomUUID(),
      }),
  };
  const runs = Object.fromEntries(
    WORKERS.flatMap((workers) =>
      OPERATIONS.map((operation) => [`${operation}.${workers}`, async () => {
        // Messages need sessions without messages; the other operations take any.
        const places = Array.from(
          { length: REQUESTS },
          () => operation === "message" ? step * next++ : Math.floor(Math.random() * count),
        );
        await runConcurrently(places, workers, requests[operation]);
      }])
    ),
  ) as Record<Name, () => Promise<void>>;
  return await takeTurns(runs, rounds, warmup);
}
