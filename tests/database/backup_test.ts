/**
 * Backup and restore, with the commands of docs/guides/deploy.md: nothing is lost, and the restored database
 * continues to store. On Debian's PostgreSQL 15, whose package has `pg_dump` and `psql`.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { prepareDatabase } from "../../local/postgres/database.ts";
import { asRole } from "../../local/postgres/roles.ts";
import { type ScratchServer, startScratchServer } from "../../local/postgres/scratch_server.ts";
import { readProject } from "../../local/project.ts";
import { generateSecrets } from "../../local/secrets.ts";
import { connect, type Sql } from "../support/database.ts";
import { DEBIAN_15, missingPrograms, named } from "../support/debian_postgres.ts";
import { conversation, ingest, messages, readConversation } from "../support/messages.ts";
import { createConnection, createWorkspace } from "../support/people.ts";

const ROOT = join(import.meta.dirname!, "../..");
const IS_SOAK = Deno.env.has("SOAK");
const CONVERSATIONS = IS_SOAK ? 2_000 : 60;
const MESSAGES = IS_SOAK ? 100 : 70;

const programs = ["initdb", "postgres", "pg_dump", "psql"].map((name) => join(DEBIAN_15, name));
const missing = missingPrograms(programs);

/** The commands of the guide, from the block below its heading. */
async function readCommands(): Promise<{ backup: string; restore: string }> {
  const guide = await Deno.readTextFile(join(ROOT, "docs/guides/deploy.md"));
  const block = guide.slice(guide.indexOf("## Backup and restore"));
  const backup = block.match(/^ {4}(pg_dump [^#]+?)\n\n/mu)?.[1];
  const restore = block.match(/^ {4}(psql [^#]+?)\n\n/mu)?.[1];
  if (backup === undefined || restore === undefined) throw new Error("the guide has no commands");
  return { backup, restore };
}

async function run(command: string, env: Record<string, string>, folder: string): Promise<number> {
  const startedAt = performance.now();
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-ec", command],
    cwd: folder,
    env: { ...env, PATH: `${DEBIAN_15}:${Deno.env.get("PATH")}` },
  }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
  return (performance.now() - startedAt) / 1000;
}

/** A database with the migrations. */
async function startDatabase(isSeeded: boolean): Promise<ScratchServer & { sql: Sql }> {
  await using cleanup = new AsyncDisposableStack();
  const server = cleanup.use(
    await startScratchServer({ initdb: programs[0]!, postgres: programs[1]! }),
  );
  const project = await readProject(ROOT);
  const { db } = project.config;
  const config = { ...project.config, db: { ...db, seed: { ...db.seed, enabled: isSeeded } } };
  const url = asRole(server.url, "postgres");
  const { signal } = new AbortController();
  await prepareDatabase({
    project: { ...project, config },
    secrets: generateSecrets(),
    url,
    signal,
  });
  const sql = connect(url, { max: 4 });
  cleanup.defer(() => sql.end());
  const owned = cleanup.move();
  return {
    url,
    password: server.password,
    sql,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A digest of the rows of every table that a backup has. */
async function digestTables(sql: Sql): Promise<Map<string, string>> {
  const tables = await sql`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname in ('public', 'private') or schemaname = 'auth' and tablename in ('users', 'identities')
    order by 1`;
  const digests = new Map<string, string>();
  for (const { name } of tables) {
    const [row] = await sql.unsafe(
      `select count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') as digest
       from ${name} as t`,
    );
    digests.set(name, row!.digest);
  }
  return digests;
}

Deno.test({
  name: named("a backup is restored into a new project, and nothing is lost", missing),
  ignore: missing.length > 0,
  fn: async () => {
    const commands = await readCommands();
    await using source = await startDatabase(true);
    const workspace = await createWorkspace(source.sql);
    const connection = await createConnection(source.sql, workspace);
    const batch = Array.from(
      { length: CONVERSATIONS },
      () => conversation({ messages: messages(MESSAGES) }),
    );
    for (let start = 0; start < batch.length; start += 20) {
      await ingest(source.sql, connection, batch.slice(start, start + 20));
    }
    const before = await digestTables(source.sql);
    assertMatch(before.get("public.conversation_archives")!, /^[1-9]/u);

    await using target = await startDatabase(false);
    // Filled by the migrations, and so left out of the backup.
    const filled = [...await digestTables(target.sql)].filter(([, digest]) => digest !== "0 ");
    assertEquals(filled.map(([name]) => name), ["private.country_calling_codes"]);
    const folder = await Deno.makeTempDir();
    try {
      const backupSeconds = await run(commands.backup, { SOURCE: source.url }, folder);
      const restoreSeconds = await run(commands.restore, { TARGET: target.url }, folder);
      if (IS_SOAK) {
        const { size } = await Deno.stat(join(folder, "backup.sql"));
        // deno-lint-ignore no-console -- the figures of a soak.
        console.log(
          `${CONVERSATIONS * MESSAGES} messages: backup ${backupSeconds.toFixed(1)} s, ` +
            `${(size / 1e6).toFixed(0)} MB, restore ${restoreSeconds.toFixed(1)} s`,
        );
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    assertEquals(await digestTables(target.sql), before);

    // The known is recognised, and the new gets new ids.
    const [first] = batch;
    const more = messages(3, 10_000);
    const rows = await ingest(target.sql, connection, [
      first!,
      { ...first!, messages: more },
      conversation({ messages: messages(2) }),
    ]);
    assertEquals(rows.map(({ outcome, messages_added }) => [outcome, messages_added]), [
      ["no_new_messages", 0],
      ["updated", 3],
      ["created", 2],
    ]);
    const row = await readConversation(target.sql, rows[1]!.id!);
    assertEquals(row.message_count, MESSAGES + 3);
  },
});
