/**
 * A load of messages on a server that may be killed in the middle, and what is there afterwards.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type postgres from "postgres";
import { connect, type Sql } from "./database.ts";
import { ingest, messages, readThread, type TestConversation, threadFaults } from "./messages.ts";
import { Random } from "./messages_model.ts";
import type { Connection } from "./people.ts";

/** Batches of some conversations, sent by any number of sessions, and which of them were acknowledged. */
export class Load {
  readonly #connection: Connection;
  readonly #targets: readonly TestConversation[];
  readonly #acknowledged: TestConversation[][] = [];
  readonly #inFlight = new Set<TestConversation[]>();
  readonly #awaited = new Map<number, () => void>();
  #isStopped = false;

  constructor(connection: Connection, targets: readonly TestConversation[]) {
    this.#connection = connection;
    this.#targets = targets;
  }

  /** Batches that were acknowledged until now. */
  get acknowledged(): TestConversation[][] {
    return [...this.#acknowledged];
  }

  /** Batches that were sent and have no answer. */
  get unacknowledged(): TestConversation[][] {
    return [...this.#inFlight];
  }

  /** Sends batches until `stop` is called, or the session is cut off. */
  async send(sql: Sql, seed: number): Promise<void> {
    const random = new Random(seed);
    while (!this.#isStopped) {
      const batch = random.shuffle([...this.#targets]).slice(0, 5).map((each) => ({
        ...each,
        messages: messages(1 + random.below(20), random.below(10_000)),
      }));
      this.#inFlight.add(batch);
      const rows = await ingest(sql, this.#connection, batch);
      assertEquals(rows.filter((row) => row.error !== null), []);
      this.#inFlight.delete(batch);
      this.#acknowledged.push(batch);
      this.#awaited.get(this.#acknowledged.length)?.();
    }
  }

  /** Resolves when as many batches are acknowledged. */
  untilAcknowledged(batches: number): Promise<void> {
    return new Promise((resolve) => this.#awaited.set(batches, resolve));
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/**
 * A pool of one session, on a server that is about to die.
 *
 * It does not ask for the types of arrays when it connects: if the server dies on that question,
 * postgres.js 3.4.9 rejects a promise later that no caller can catch, and the whole file fails.
 */
export function connectToMortal(url: string): postgres.Sql {
  return connect(url, { max: 1, connect_timeout: 2, fetch_types: false });
}

/** The ids of the messages of conversations, by the key of each, after a look for faults. */
export async function storedIds(
  sql: Sql,
  targets: readonly TestConversation[],
): Promise<Map<string, string[]>> {
  const rows = await sql<{ id: string; external: string }[]>`
    select id, external_conversation_id as external from public.conversations
    where external_conversation_id = any (${targets.map((each) => each.external_conversation_id)})`;
  const found = new Map<string, string[]>();
  for (const { id, external } of rows) {
    assertEquals(await threadFaults(sql, id), []);
    found.set(external, (await readThread(sql, id)).map((each) => each.id));
  }
  return found;
}

/**
 * Checks that every acknowledged message of a load is there, that each other batch is there as a whole or not at all,
 * and that sending everything again completes the rest.
 */
export async function checkLoad(
  sql: Sql,
  connection: Connection,
  targets: readonly TestConversation[],
  acknowledged: readonly TestConversation[][],
  unacknowledged: readonly TestConversation[][],
): Promise<void> {
  const stored = await storedIds(sql, targets);
  const isStored = (each: TestConversation) => {
    const known = new Set(stored.get(each.external_conversation_id));
    return each.messages.map(({ id }) => known.has(id));
  };
  const missing = acknowledged.flat().filter((each) => isStored(each).includes(false));
  assertEquals(missing, [], "every acknowledged message is there");
  for (const batch of unacknowledged) {
    const kept = new Set(batch.flatMap(isStored));
    assertEquals(kept.size, 1, "a batch is stored as a whole or not at all");
  }

  const everything = [...acknowledged, ...unacknowledged].flat();
  const rows = await ingest(sql, connection, everything);
  assertEquals(rows.filter((row) => row.error !== null), []);
  for (const [external, ids] of await storedIds(sql, targets)) {
    const sent = everything.filter((each) => each.external_conversation_id === external)
      .flatMap((each) => each.messages.map(({ id }) => id));
    assertEquals(ids.toSorted(), [...new Set(sent)].sort());
  }
}
