/**
 * Postgres is killed in the middle of a load: what was acknowledged is there exactly once, and sending
 * everything again completes the rest.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import type postgres from "postgres";
import { findFreePort } from "../../local/ports.ts";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import { connect, size, type Sql } from "../support/database.ts";
import {
  conversation,
  ingest,
  messages,
  readThread,
  type TestConversation,
  threadFaults,
} from "../support/messages.ts";
import { Random } from "../support/messages_model.ts";
import { type Connection, createConnection, createWorkspace } from "../support/people.ts";
import { type Stack, startStack } from "../../local/spawn_stack.ts";

const REPOSITORY = join(import.meta.dirname!, "../..");

/** Senders at the same time. */
const WRITERS = 4;
/** Batches that are acknowledged before the kill, at least. */
const BATCHES_BEFORE_KILL = size(40, 200);

/** A stack on data that stay, in a folder of its own: throw-away data are not written to the disk. */
async function startPersistentStack(root: string): Promise<Stack> {
  const folder = join(root, "supabase");
  await Deno.mkdir(join(folder, "functions"), { recursive: true });
  // Postgres may run as another user than the one who runs the tests.
  await Deno.chmod(root, 0o755);
  await Deno.symlink(join(REPOSITORY, "supabase/migrations"), join(folder, "migrations"));
  await Deno.copyFile(join(REPOSITORY, "supabase/seed.sql"), join(folder, "seed.sql"));
  await Deno.writeTextFile(join(folder, "config.toml"), `[db]\nport = ${findFreePort()}\n`);
  return await startStack({ workdir: root, args: ["--port", "0"] });
}

/**
 * A pool of one session, on a server that is about to die.
 *
 * It does not ask for the types of arrays when it connects: if the server dies on that question,
 * postgres.js 3.4.9 rejects a promise later that no caller can catch, and the whole file fails.
 */
function connectToMortal(url: string): postgres.Sql {
  return connect(url, { max: 1, connect_timeout: 2, fetch_types: false });
}

/**
 * Waits until the server has ended a session and answers again, and returns a pool on it.
 *
 * Every attempt has a pool of its own and a limit: a query of postgres.js that meets the end of its
 * server now and then never settles.
 */
async function reconnect(url: string, lostSession: number): Promise<postgres.Sql> {
  while (true) {
    const sql = connectToMortal(url);
    const { promise: tooLong, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("no answer")), 2_000);
    try {
      const [row] = await Promise.race([
        sql<{ lives: boolean }[]>`
          select exists (select from pg_stat_activity where pid = ${lostSession}) as lives`,
        tooLong,
      ]);
      if (!row!.lives) return connect(url, { max: 1 });
    } catch {
      // Not yet. Connecting takes its time, so the next attempt is the wait.
    } finally {
      clearTimeout(timer);
      sql.end({ timeout: 0 }).catch(() => {});
    }
  }
}

/** The process id of the server, which only its superuser may see. */
async function serverPid(url: string): Promise<number> {
  const sql = connect(asRole(url, SUPERUSER), { max: 1 });
  const [row] = await sql<{ pid: number }[]>`
    select split_part(pg_read_file('postmaster.pid'), e'\n', 1)::integer as pid`;
  await sql.end();
  return row!.pid;
}

interface Load {
  acknowledged: TestConversation[];
  unacknowledged: TestConversation[][];
}

/** Sends batches from several sessions, and kills one of them or the server in the middle. */
async function loadAndKill(
  url: string,
  connection: Connection,
  targets: TestConversation[],
  isWholeServer: boolean,
): Promise<Load & { sql: postgres.Sql }> {
  const acknowledged: TestConversation[] = [];
  const inFlight = new Set<TestConversation[]>();
  let batches = 0;
  const pools: postgres.Sql[] = [];
  const sessions: number[] = [];
  const server = await serverPid(url);
  for (let writer = 0; writer < WRITERS; writer++) {
    const pool = connectToMortal(url);
    pools.push(pool);
    const [row] = await pool<{ session: number }[]>`select pg_backend_pid() as session`;
    sessions.push(row!.session);
    await pool`set role service_role`;
  }
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const writers = pools.map(async (pool, writer) => {
    const random = new Random(Date.now() + writer);
    // Until it is cut off: sessions outlive the kill for a moment, and answer what they have begun.
    for (;;) {
      const batch = random.shuffle(targets).slice(0, 5).map((each) => ({
        ...each,
        messages: messages(1 + random.below(20), random.below(10_000)),
      }));
      inFlight.add(batch);
      const rows = await ingest(pool, connection, batch);
      assertEquals(rows.filter((row) => row.error !== null), []);
      inFlight.delete(batch);
      acknowledged.push(...batch);
      if (++batches === BATCHES_BEFORE_KILL) resolve();
    }
  });
  const failed = Promise.all(writers);
  // After the kill they all fail; before it, one that does ends the test.
  failed.catch(() => {});
  await Promise.race([enough, failed]);
  Deno.kill(isWholeServer ? server : sessions[0]!, "SIGKILL");

  const sql = await reconnect(url, sessions[1]!);
  // A call without an answer by now will get none.
  const load = { acknowledged: [...acknowledged], unacknowledged: [...inFlight] };
  for (const pool of pools) pool.end({ timeout: 0 }).catch(() => {});
  assert(load.unacknowledged.length > 0, "the kill came in the middle");
  return { ...load, sql };
}

async function storedIds(sql: Sql, targets: TestConversation[]): Promise<Map<string, string[]>> {
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

Deno.test("Postgres or a session of it is killed in the middle of a load", async (t) => {
  const root = await Deno.makeTempDir({ prefix: "crash-test-" });
  const stack = await startPersistentStack(root);
  try {
    const url = stack.info.db_url;
    for (let round = 0; round < size(2, 12); round++) {
      const isWholeServer = round % 2 === 0;
      await t.step(
        `round ${round + 1}: ${isWholeServer ? "the server" : "a session"}`,
        async () => {
          const sql = connect(url, { max: 1 });
          const [settings] = await sql`
            select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`;
          assertEquals(settings, { fsync: "on", commit: "on" });
          const connection = await createConnection(sql, await createWorkspace(sql));
          await sql.end();
          const targets = Array.from({ length: 10 }, () => conversation());
          const load = await loadAndKill(url, connection, targets, isWholeServer);
          await using cleanup = new AsyncDisposableStack();
          cleanup.defer(() => load.sql.end());

          const stored = await storedIds(load.sql, targets);
          const missing = load.acknowledged.flatMap((each) => {
            const known = new Set(stored.get(each.external_conversation_id));
            return each.messages.filter(({ id }) => !known.has(id));
          });
          assertEquals(missing, [], "every acknowledged message is there");
          for (const batch of load.unacknowledged) {
            const kept = batch.flatMap((each) => {
              const known = new Set(stored.get(each.external_conversation_id));
              return each.messages.map(({ id }) => known.has(id));
            });
            assertEquals(new Set(kept).size, 1, "a batch is stored as a whole or not at all");
          }

          const everything = [...load.acknowledged, ...load.unacknowledged.flat()];
          const rows = await ingest(load.sql, connection, everything);
          assertEquals(rows.filter((row) => row.error !== null), []);
          const complete = await storedIds(load.sql, targets);
          for (const [external, ids] of complete) {
            const sent = everything.filter((each) => each.external_conversation_id === external)
              .flatMap((each) => each.messages.map(({ id }) => id));
            assertEquals(ids.toSorted(), [...new Set(sent)].sort());
          }
        },
      );
    }
  } finally {
    await stack.stop();
    await Deno.remove(root, { recursive: true }).catch(() => {});
  }
});
