/**
 * Postgres is killed in the middle of a load that is indexed at the same time: what was acknowledged is there
 * exactly once and found by a search, and sending everything again completes the rest.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import type postgres from "postgres";
import { findFreePort } from "../../local/ports.ts";
import { asRole, SUPERUSER } from "../../local/postgres/roles.ts";
import { become, connect, size } from "../support/database.ts";
import { indexAll, indexFaults } from "../support/message_index.ts";
import { checkLoad, connectToMortal, Load } from "../support/load.ts";
import { conversation, type TestMessage } from "../support/messages.ts";
import { createConnection, createWorkspace, type Workspace } from "../support/people.ts";
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

/** What is killed: the server, a session that stores, or the one that indexes. */
const VICTIMS = ["server", "writer", "indexer"] as const;
type Victim = typeof VICTIMS[number];

/** Sends batches from several sessions while another one indexes, and kills one of them or the server in the middle. */
async function loadAndKill(
  url: string,
  load: Load,
  victim: Victim,
): Promise<postgres.Sql> {
  const pools: postgres.Sql[] = [];
  const sessions: number[] = [];
  const server = await serverPid(url);
  // The last one indexes.
  for (let session = 0; session <= WRITERS; session++) {
    const pool = connectToMortal(url);
    pools.push(pool);
    const [row] = await pool<{ session: number }[]>`select pg_backend_pid() as session`;
    sessions.push(row!.session);
    await pool`set role service_role`;
  }
  const enough = load.untilAcknowledged(BATCHES_BEFORE_KILL);
  const indexer = pools[WRITERS]!;
  const index = async () => {
    for (;;) await indexer`select from public.index_messages(50, '-1 second')`;
  };
  // Until they are cut off: sessions outlive the kill for a moment, and answer what they have begun.
  const writers = pools.slice(0, WRITERS).map((pool, writer) =>
    load.send(pool, Date.now() + writer)
  );
  const failed = Promise.all([...writers, index()]);
  // After the kill they all fail; before it, one that does ends the test.
  failed.catch(() => {});
  await Promise.race([enough, failed]);
  const killed = { server, writer: sessions[0]!, indexer: sessions[WRITERS]! };
  Deno.kill(killed[victim], "SIGKILL");

  const sql = await reconnect(url, sessions[1]!);
  for (const pool of pools) pool.end({ timeout: 0 }).catch(() => {});
  return sql;
}

/** Which of some messages a search does not find: each has a text of its own. */
async function unfoundIds(
  sql: postgres.Sql,
  workspace: Workspace,
  sought: readonly TestMessage[],
): Promise<string[]> {
  return await sql.begin(async (member) => {
    await become(member, { userId: workspace.viewer });
    const rows = await member<{ id: string }[]>`
      select sought.id
      from jsonb_to_recordset(${member.json(sought as never)}) as sought (id text, content text)
      where not exists (
        select from public.search_messages(${workspace.id}, '"' || sought.content || '"', max_messages => 100) as hit
        where hit.message_id = sought.id
      )`;
    return rows.map(({ id }) => id);
  });
}

Deno.test("Postgres or a session of it is killed in the middle of a load", async (t) => {
  const root = await Deno.makeTempDir({ prefix: "crash-test-" });
  const stack = await startPersistentStack(root);
  try {
    const url = stack.info.db_url;
    for (let round = 0; round < size(3, 15); round++) {
      const victim = VICTIMS[round % 3]!;
      await t.step(
        `round ${round + 1}: the ${victim}`,
        async () => {
          const sql = connect(url, { max: 1 });
          const [settings] = await sql`
            select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`;
          assertEquals(settings, { fsync: "on", commit: "on" });
          const workspace = await createWorkspace(sql);
          const connection = await createConnection(sql, workspace);
          await sql.end();
          const targets = Array.from({ length: 10 }, () => conversation());
          const load = new Load(connection, targets);
          const after = await loadAndKill(url, load, victim);
          await using cleanup = new AsyncDisposableStack();
          cleanup.defer(() => after.end());
          // A call without an answer by now will get none.
          const { acknowledged, unacknowledged } = load;
          assert(unacknowledged.length > 0, "the kill came in the middle");

          const samples = acknowledged.flat().slice(-50).map((each) => each.messages[0]!);
          assertEquals(
            await unfoundIds(after, workspace, samples),
            [],
            "what was acknowledged is found",
          );
          await checkLoad(after, connection, targets, acknowledged, unacknowledged);
          await indexAll(after, workspace.id);
          assertEquals(await indexFaults(after, workspace.id), { missing: 0, surplus: 0 });
        },
      );
    }
  } finally {
    await stack.stop();
    await Deno.remove(root, { recursive: true }).catch(() => {});
  }
});
