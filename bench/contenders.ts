/**
 * The contenders: the ingest function, a row per message, and one growing array. Each stores the same
 * conversations, and each call is one statement, one transaction and one commit.
 *
 * @module
 */

import type postgres from "postgres";
import { type BenchConversation, makeThreads } from "./messages.ts";

/** Names of the contenders. `ingest` is the ingest function, `naive` the growing array of bench/baselines.sql. */
export type ContenderName = "ingest" | "rows" | "naive";

/** Primary key of the connection `wa_business_123` of supabase/seed.sql. */
export const CONNECTION_ID = "00000000-0000-4000-8000-000000000011";

/** The tables that each contender fills. */
export const TABLES: Readonly<Record<ContenderName, readonly string[]>> = {
  ingest: ["public.conversations", "public.conversation_archives", "private.message_keys"],
  rows: ["bench.conversations", "bench.messages"],
  naive: ["bench.naive"],
};

/** Stores a batch, given as JSON text so that encoding it is not measured. */
export type Ingest = (batch: string) => Promise<number>;

/** Creates the contenders on a client. The calls of a client with one connection wait for each other. */
export function createContenders(sql: postgres.Sql): Record<ContenderName, Ingest> {
  return {
    ingest: (batch) =>
      countAdded(sql`
        select * from public.ingest_conversations(${CONNECTION_ID}, ${batch}::text::jsonb)`),
    rows: (batch) =>
      countAdded(sql`
        select * from bench.ingest_rows(${CONNECTION_ID}, ${batch}::text::jsonb)`),
    naive: async (batch) => {
      await sql`select bench.ingest_naive(${batch}::text::jsonb)`;
      return 0;
    },
  };
}

/** A batch as JSON text. */
export function toBatch(...conversations: BenchConversation[]): string {
  return JSON.stringify(conversations);
}

/** Empties all contenders. */
export async function truncateAll(sql: postgres.Sql): Promise<void> {
  await sql.unsafe(
    `truncate ${
      Object.values(TABLES).flat().join(", ")
    }, private.waiting_updates restart identity cascade`,
  );
}

/**
 * Empties the tables of the ingest function and of the rows, stores a little and gathers statistics, as autovacuum
 * does in production. Clients that plan statements after this plan them for a database in use.
 */
export async function startOver(sql: postgres.Sql): Promise<void> {
  await truncateAll(sql);
  const { ingest, rows } = createContenders(sql);
  for (const store of [ingest, rows]) {
    for (const thread of makeThreads("settled", 100)) await store(toBatch(thread.next(150)));
  }
  await sql`vacuum analyze`;
}

async function countAdded(
  query: postgres.PendingQuery<postgres.Row[]>,
): Promise<number> {
  let added = 0;
  for (const row of await query) added += row.messages_added;
  return added;
}
