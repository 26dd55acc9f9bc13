/**
 * A workspace moves between two projects, with `deno task workspace:export` and `workspace:import`.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readShapes } from "../../../cli/workspace/catalogue.ts";
import { LEFT_BEHIND, MOVED_TABLES } from "../../../cli/workspace/tables.ts";
import { startFakeStorage } from "../../../fakes/storage.ts";
import { createCredentialCipher } from "../../../supabase/functions/_shared/auth/credentials.ts";
import { createWorld, type World } from "../../database/rls_matrix/callers.ts";
import { become, size, type Sql } from "../../support/database.ts";
import { missingPrograms, named, startPgBouncer } from "../../support/debian_postgres.ts";
import { eventually } from "../../support/eventually.ts";
import { conversation, ingest, ingestOne, messages } from "../../support/messages.ts";
import { createConnection, createWorkspace, ROLES, unique } from "../../support/people.ts";
import { type Side, TwoProjects } from "../../support/workspace_move.ts";

const projects = await TwoProjects.start();
const { source, target } = projects;
const folders = await Deno.makeTempDir();
Deno.test.afterAll(async () => {
  await projects[Symbol.asyncDispose]();
  await Deno.remove(folders, { recursive: true });
});

const SECRET = "a secret that Kapso signs with";
const TABLES = MOVED_TABLES.map(({ name }) => name);

/** A workspace with rows in every table that moves, in several chunks of some. */
async function fill(conversations = 5): Promise<World> {
  const { sql } = source;
  const world = await createWorld(sql);
  const { workspace, connection } = world;
  const cipher = await createCredentialCipher(projects.keys.source);
  await sql`
    update private.connection_secrets
    set webhook_secret = ${Buffer.from(await cipher.encrypt(SECRET), "base64")}
    where connection_id = ${connection.id}`;
  await sql`
    update public.connections set phone_number_id = ${`${Date.now()}${
    Math.floor(Math.random() * 1e6)
  }`}
    where id = ${connection.id}`;
  for (let count = 0; count < conversations; count++) {
    await ingestOne(sql, connection, conversation({ messages: messages(60) }));
  }
  await sql`
    update public.conversations set assigned_to = ${workspace.agent} where id = ${world.conversationId}`;
  await sql`
    insert into private.deleted_connections (connection_id, workspace_id) values (gen_random_uuid(), ${workspace.id})`;
  await sql`insert into private.message_count_parts values (${workspace.id}, '2026-01-03', 'whatsapp', 'inbound', 1)`;
  await sql`
    insert into private.limits (name, subject_id, value)
    values ('connection_requests_per_minute', ${connection.id}, 4711)`;
  return world;
}

/** What a user sees of every table of `public`, without ids of users and what a move changes. */
async function visible({ sql }: Side, userId: string, workspaceId: string) {
  const shapes = await readShapes(sql);
  const seen: Record<string, unknown> = {};
  await sql.begin(async (transaction) => {
    await become(transaction, { userId });
    for (const name of TABLES.filter((table) => table.startsWith("public."))) {
      const { columns, userColumns } = shapes.get(name)!;
      const compared = columns.filter((column) =>
        column !== "number_claimed_at" && !userColumns.some((user) => user.name === column)
      );
      const [row] = await transaction.unsafe(
        `select count(*)::integer as rows, md5(coalesce(string_agg(line, '' order by line), '')) as digest
        from (
          select row(${compared.map((column) => `t."${column}"`)})::text as line from ${name} as t
          where coalesce(to_jsonb(t) ->> 'workspace_id', '${workspaceId}') = '${workspaceId}'
            and ('${name}' <> 'public.workspaces' or to_jsonb(t) ->> 'id' = '${workspaceId}')
        ) as lines`,
      );
      seen[name] = { ...row };
    }
  });
  return seen;
}

/** Rows of a workspace in every table with a `workspace_id`, and in the ledger. */
async function rowsOf(sql: Sql, { workspace, conversationId, connection }: World) {
  const counts: Record<string, number> = {};
  for (const [name, { hasWorkspaceId }] of await readShapes(sql)) {
    if (!hasWorkspaceId) continue;
    const [row] = await sql.unsafe(
      `select count(*)::integer as rows from ${name} where workspace_id = '${workspace.id}'`,
    );
    if (row!.rows > 0) counts[name] = row!.rows;
  }
  const [more] = await sql`
    select
      (select count(*)::integer from public.workspaces where id = ${workspace.id}) as workspaces,
      (select count(*)::integer from private.message_keys where conversation_id = ${conversationId}) as keys,
      (select count(*)::integer from private.connection_secrets where connection_id = ${connection.id}) as secrets,
      (select count(*)::integer from private.limits where subject_id in (${workspace.id}, ${connection.id})) as limits`;
  for (const [name, rows] of Object.entries(more!)) if (rows > 0) counts[name] = rows;
  return counts;
}

/** Texts of all files of an export. */
async function readExport(folder: string): Promise<string> {
  let text = await Deno.readTextFile(join(folder, "manifest.json"));
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".gz")) {
      text += gunzipSync(await Deno.readFile(join(folder, name))).toString();
    }
  }
  return text;
}

const pauseNow = ["--pause", "--settle-seconds", "0"];

/** Exports a new workspace whose members have accounts in the target. */
async function exported(): Promise<{ world: World; folder: string }> {
  const world = await fill();
  await projects.inviteMembers(world.workspace);
  const folder = join(folders, unique());
  const { code, stderr } = await projects.run("export", [
    world.workspace.slug,
    "--folder",
    folder,
    ...pauseNow,
  ]);
  assertEquals([code, stderr.includes("error")], [0, false], stderr);
  return { world, folder };
}

Deno.test("a workspace moves with all that belongs to it, while another takes writes", async () => {
  const world = await fill();
  const { workspace, other, otherConnection, connection } = world;
  const members = await projects.inviteMembers(workspace);
  const folder = join(folders, unique());
  const before = await Promise.all(
    ROLES.map((role) => visible(source, workspace[role], workspace.id)),
  );
  assert(Object.values(before[0]!).every((seen) => (seen as { rows: number }).rows > 0));

  let isMoving = true;
  let acknowledged = 0;
  const writer = (async () => {
    while (isMoving) {
      await ingest(source.sql, otherConnection, [conversation({ messages: messages(3) })]);
      acknowledged += 3;
    }
  })();
  const countOther = async () => {
    const [row] = await source.sql`
      select sum(message_count)::integer as messages from public.conversations where workspace_id = ${other.id}`;
    return row!.messages - acknowledged;
  };
  try {
    const dry = await projects.run("export", [workspace.slug, "--dry-run"]);
    assertEquals(dry.code, 0, dry.stderr);
    assertMatch(dry.stdout, /^public\.conversations +6 +[\d.]+ kB$/m);
    assertMatch(dry.stdout, /1 connections have secrets under CREDENTIALS_KEY/);

    const args = [workspace.slug, "--folder", folder, "--chunk-rows", "2", ...pauseNow];
    const first = await projects.run("export", args);
    assertEquals(first.code, 0, first.stderr);
    assertMatch(first.stdout, /; 0 chunks were there already/);
    const again = await projects.run("export", args);
    const [, all, kept] = /in (\d+) chunks.*; (\d+) chunks/.exec(again.stdout)!;
    assertEquals(kept, all, "nothing has changed, so every file stays");

    const looked = await projects.run("import", [folder, "--dry-run"]);
    assertEquals([looked.code, looked.stdout.split("\n").at(-2)], [
      0,
      "Nothing stands in the way.",
    ]);
    const imported = await projects.run("import", [folder]);
    assertEquals(imported.code, 0, imported.stderr);
    for (const name of TABLES) {
      assertMatch(
        imported.stdout,
        new RegExp(`^${name.replace(".", "\\.")} +[1-9]\\d* +verified$`, "m"),
      );
    }
  } finally {
    isMoving = false;
    await writer;
  }

  // As before, for every role; a stranger sees nothing.
  const after = await Promise.all(
    ROLES.map((role) => visible(target, members[role]!, workspace.id)),
  );
  assertEquals(after, before);
  const [stranger] = await target
    .sql`insert into auth.users (id, email) values (gen_random_uuid(), ${unique()}) returning id`;
  const unseen = await visible(target, stranger!.id, workspace.id);
  assert(Object.values(unseen).every((seen) => (seen as { rows: number }).rows === 0));

  // Nothing of the other workspace, and no secret in clear.
  const text = await readExport(folder);
  assertStringIncludes(text, workspace.id);
  for (
    const hidden of [
      other.id,
      world.otherConversationId,
      otherConnection.id,
      world.otherPersonId,
      SECRET,
    ]
  ) {
    assert(!text.includes(hidden));
  }
  assertEquals(
    await rowsOf(target.sql, {
      ...world,
      workspace: other,
      conversationId: world.otherConversationId,
      connection: otherConnection,
    }),
    {},
  );
  assertEquals(await countOther(), 90, "the writes of others went on");

  const [secret] = await target.sql`
    select webhook_secret from private.connection_secrets where connection_id = ${connection.id}`;
  const cipher = await createCredentialCipher(projects.keys.target);
  assertEquals(
    await cipher.decrypt(Buffer.from(secret!.webhook_secret).toString("base64")),
    SECRET,
  );

  // No inbox was told about old rows, triggers changed none, and the limit of the connection is its own.
  const [told] = await target.sql`
    select count(*)::integer as messages from realtime.messages where topic = ${`workspace:${workspace.id}`}`;
  assertEquals(told!.messages, 0);
  const limits = await target.sql`
    select name, subject_id, value::integer from private.limits where subject_id in (${workspace.id}, ${connection.id})`;
  assertEquals([...limits], [
    { name: "connection_requests_per_minute", subject_id: connection.id, value: 4711 },
  ]);

  // What is known is recognised there, and the search finds what the schedule indexes.
  const [known] = await target
    .sql`select messages from public.conversations where id = ${world.conversationId}`;
  const [raw] = await target.sql`
    select external_conversation_id, participant_identifier from public.conversations where id = ${world.conversationId}`;
  const [stored] = await ingest(target.sql, connection, [{ ...raw, messages: known!.messages }]);
  assertEquals([stored!.id, stored!.outcome], [world.conversationId, "no_new_messages"]);
  for (let hasMore = true; hasMore;) {
    const [step] = await target
      .sql`select has_more from public.index_messages(1000, '-1 second', ${workspace.id})`;
    hasMore = step?.has_more ?? true;
  }
  const [indexed] = await target.sql`
    select sum(cardinality(sent_ats))::integer as messages from private.message_blocks where workspace_id = ${workspace.id}`;
  const [count] = await target.sql`
    select sum(message_count)::integer as messages from public.conversations where workspace_id = ${workspace.id}`;
  assertEquals(indexed!.messages, count!.messages);

  const second = await projects.run("import", [folder]);
  assertEquals(second.code, 1);
  assertStringIncludes(
    second.stderr,
    "The workspace is in the target already. An import does not add to it.",
  );

  const otherRows = {
    ...world,
    workspace: other,
    conversationId: world.otherConversationId,
    connection: otherConnection,
  };
  const othersBefore = await rowsOf(source.sql, otherRows);
  const removed = await projects.run("export", [workspace.slug, "--folder", folder, "--remove"]);
  assertEquals(
    [removed.code, removed.stdout],
    [
      0,
      `${workspace.slug} was verified at ${
        new URL(target.info.db_url).host
      }, and is removed here.\n`,
    ],
    removed.stderr,
  );
  assertEquals(await rowsOf(source.sql, world), {});
  assertEquals(await rowsOf(source.sql, otherRows), othersBefore);
  const [key] = await source
    .sql`select count(*)::integer as keys from public.agent_keys where id = ${world.agentKeyId}`;
  assertEquals(key!.keys, 0);
});

Deno.test("an export and an import that are killed continue, and nothing is visible before", async () => {
  const world = await fill(40);
  const { workspace } = world;
  const members = await projects.inviteMembers(workspace);
  const folder = join(folders, unique());
  const args = [workspace.slug, "--folder", folder, "--chunk-rows", "1", ...pauseNow];

  const exporting = projects.begin("export", args);
  const files = () =>
    [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".copy.gz")).length;
  await eventually("some files are there", () => {
    try {
      return files() >= 20;
    } catch {
      return false;
    }
  }, { pauseMs: 2 });
  await exporting.kill();
  const early = await projects.run("import", [folder]);
  assertEquals(early.code, 2);
  assertStringIncludes(early.stderr, "The folder holds no complete export.");
  const continued = await projects.run("export", args);
  assertEquals(continued.code, 0, continued.stderr);
  const [, total, kept] = /in (\d+) chunks.*; (\d+) chunks/.exec(continued.stdout)!;
  assert(
    Number(kept) >= 19 && Number(kept) < Number(total),
    `${kept} of ${total} chunks were kept`,
  );

  const importing = projects.begin("import", [folder]);
  const done = async () => {
    const [row] = await target.sql`
      select chunks_done from private.workspace_imports where workspace_id = ${workspace.id}`;
    return row?.chunks_done ?? 0;
  };
  await eventually("some chunks are stored", async () => await done() >= 60, { pauseMs: 2 });
  await importing.kill();
  const stored = await done();
  assert(stored >= 60);
  const found = await rowsOf(target.sql, world);
  assert(found["public.people"]! > 0);
  assertEquals([found.workspaces, found["public.connections"], found["public.workspace_members"]], [
    undefined,
    undefined,
    undefined,
  ]);
  for (const role of ROLES) {
    const seen = await visible(target, members[role]!, workspace.id);
    assertEquals(Object.entries(seen).filter(([, of]) => (of as { rows: number }).rows > 0), []);
  }
  // The server notices the end of the sessions on its own.
  await eventually("the locks of the killed import are gone", async () => {
    const [row] = await target
      .sql`select count(*)::integer as locks from pg_locks where locktype = 'advisory'`;
    return row!.locks === 0;
  });
  const resumed = await projects.run("import", [folder]);
  assertEquals(resumed.code, 0, resumed.stderr);
  assertEquals(await done(), 0);
  const seen = await visible(target, members.owner!, workspace.id);
  assertEquals((seen["public.conversations"] as { rows: number }).rows, 41);

  const removeArgs = [workspace.slug, "--folder", folder, "--remove"];
  const removing = projects.begin("export", removeArgs);
  await eventually("some rows are removed", async () => {
    const [row] = await source.sql`
      select count(*)::integer as rows from private.thread_aliases where workspace_id = ${workspace.id}`;
    return row!.rows === 0;
  }, { pauseMs: 2 });
  await removing.kill();
  const left = await rowsOf(source.sql, world);
  assert(left.workspaces === 1 && left["public.conversations"]! > 0);
  assertEquals([left["public.workspace_members"], left["public.connections"]], [
    undefined,
    undefined,
  ]);
  const removed = await projects.run("export", removeArgs);
  assertEquals(removed.code, 0, removed.stderr);
  assertEquals(await rowsOf(source.sql, world), {});
});

Deno.test("a large workspace moves in a time that grows with it", async () => {
  const { sql } = source;
  const workspace = await createWorkspace(sql);
  const connection = await createConnection(sql, workspace);
  await projects.inviteMembers(workspace);
  const conversations = size(20, 500);
  for (let count = 0; count < conversations; count += 20) {
    const batch = Array.from({ length: 20 }, () => conversation({ messages: messages(100) }));
    await ingest(sql, connection, batch);
  }
  const folder = join(folders, unique());
  const seconds: number[] = [];
  for (
    const [command, args] of [
      ["export", [workspace.slug, "--folder", folder, ...pauseNow]],
      ["export", [workspace.slug, "--folder", folder]],
      ["import", [folder]],
      ["export", [workspace.slug, "--folder", folder, "--remove"]],
    ] as const
  ) {
    const startedAt = performance.now();
    const { code, stderr } = await projects.run(command, args);
    assertEquals(code, 0, stderr);
    seconds.push((performance.now() - startedAt) / 1000);
  }
  const [moved] = await target.sql`
    select sum(message_count)::integer as messages from public.conversations where workspace_id = ${workspace.id}`;
  assertEquals(moved!.messages, conversations * 100);
  const [keys] = await target.sql`
    select count(*)::integer as rows from private.message_keys as key
    join public.conversations as conversation on conversation.id = key.conversation_id
    where conversation.workspace_id = ${workspace.id}`;
  assertEquals(keys!.rows, moved!.messages);
  if (Deno.env.get("SOAK") === "1") {
    let bytes = 0;
    for await (const { name } of Deno.readDir(folder)) {
      bytes += (await Deno.stat(join(folder, name))).size;
    }
    const [first, again, back, removed] = seconds.map((each) => each.toFixed(1));
    // deno-lint-ignore no-console -- the figures of a soak.
    console.log(
      `${moved!.messages} messages: export ${first} s, again ${again} s, ${
        (bytes / 1e6).toFixed(1)
      } MB, ` +
        `import ${back} s, remove ${removed} s`,
    );
  }
});

Deno.test("an import that was cut off can be discarded", async () => {
  const { world, folder } = await exported();
  // The last transaction fails.
  const [blocker] = await target.sql`
    insert into public.workspaces (slug, name, user_id)
    select ${unique()}, 'Other', id from auth.users limit 1 returning id`;
  const failing = projects.begin("import", [folder]);
  await eventually("it has begun", async () => {
    const [row] = await target.sql`
      update public.workspaces set slug = ${world.workspace.slug} where id = ${blocker!.id}
        and exists (select from private.workspace_imports where workspace_id = ${world.workspace.id}) returning id`;
    return row;
  }, { pauseMs: 2 });
  const { code, stderr } = await failing.printed;
  assertEquals(code, 1);
  assertStringIncludes(stderr, "(workspaces_slug_key). Nothing of this step is stored.");
  assert((await rowsOf(target.sql, world))["public.conversations"]! > 0);
  assertStringIncludes(
    (await projects.run("import", [folder, "--dry-run"])).stdout,
    `Another workspace of the target has the slug ${world.workspace.slug}. Rename one of them.`,
  );
  const discarded = await projects.run("import", [folder, "--discard"]);
  assertMatch(discarded.stdout, /^\d+ rows of the import that was cut off are removed\.\n$/);
  assertEquals(await rowsOf(target.sql, world), {});
});

Deno.test("what stands in the way is said in sentences, and nothing is stored", async () => {
  const { world, folder } = await exported();
  const { workspace, connection } = world;
  const refusal = async (env: Record<string, string> = {}) => {
    const { code, stderr } = await projects.run("import", [folder], env);
    assert(code > 0);
    return stderr;
  };
  const wrong = btoa("w".repeat(32));
  assertStringIncludes(
    await refusal({ SOURCE_CREDENTIALS_KEY: wrong }),
    "SOURCE_CREDENTIALS_KEY is not the CREDENTIALS_KEY of the source: it opens none of its secrets. Nothing was imported.",
  );
  assertStringIncludes(
    await refusal({ TARGET_CREDENTIALS_KEY: wrong }),
    "TARGET_CREDENTIALS_KEY is not the CREDENTIALS_KEY of the target",
  );
  assertStringIncludes(
    await refusal({ SOURCE_CREDENTIALS_KEY: "" }),
    "SOURCE_CREDENTIALS_KEY is not set.",
  );

  const [holder] = await target.sql`
    insert into public.workspaces (slug, name, user_id) select ${unique()}, 'Other', id from auth.users limit 1 returning id`;
  const [claimed] = await source
    .sql`select phone_number_id from public.connections where id = ${connection.id}`;
  await target.sql`
    insert into public.connections (connection_id, workspace_id, platform, name, phone_number_id)
    values (${connection.connection_id}, ${holder!.id}, 'whatsapp', 'Other', null),
      (${unique()}, ${holder!.id}, 'whatsapp', 'Other', ${claimed!.phone_number_id})`;
  await target
    .sql`delete from auth.users where id in (select user_id from public.workspace_members where false)`;
  const [agent] = await source.sql`select email from auth.users where id = ${workspace.agent}`;
  await target.sql`delete from auth.users where email = ${agent!.email}`;
  const taken = await refusal();
  assertStringIncludes(
    taken,
    `Another workspace of the target has a connection ${connection.connection_id}. Delete it there.`,
  );
  assertStringIncludes(
    taken,
    `has the number with the id ${claimed!.phone_number_id}. Remove it there.`,
  );
  assertMatch(
    taken,
    new RegExp(
      `No user of the target has the e-mail of ${
        agent!.email
      }, agent \\(.*public\\.conversations\\.assigned_to: 1`,
    ),
  );
  await target.sql`delete from public.workspaces where id = ${holder!.id}`;

  const manifest = JSON.parse(await Deno.readTextFile(join(folder, "manifest.json")));
  const [damaged] = manifest.chunks.filter(({ table }: { table: string }) =>
    table === "public.conversations"
  );
  const rewrite = (changed: unknown) =>
    Deno.writeTextFile(join(folder, "manifest.json"), JSON.stringify(changed, null, 2));
  await rewrite({ ...manifest, schemaVersion: "20200101000000 1" });
  assertStringIncludes(
    await refusal(),
    "The schema of the source is 20200101000000 1, that of the target",
  );
  await rewrite({ ...manifest, pause: null });
  assertStringIncludes(await refusal(), "The workspace was not paused when it was exported");
  await rewrite(manifest);
  const bytes = await Deno.readFile(join(folder, damaged.file));
  await Deno.writeFile(join(folder, damaged.file), bytes.slice(0, -1));
  const omit = () => projects.run("import", [folder, "--missing-users", "omit"]);
  assertStringIncludes((await omit()).stderr, `The file ${damaged.file} is missing or damaged.`);
  await Deno.writeFile(join(folder, damaged.file), bytes);

  const { code, stdout, stderr } = await omit();
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^public\.workspace_members +3 +number verified; 1 left out$/m);
  const [assigned] = await target
    .sql`select assigned_to from public.conversations where id = ${world.conversationId}`;
  assertEquals(assigned!.assigned_to, null);
});

Deno.test("nothing is removed before an import was verified, or after a change", async () => {
  const { world, folder } = await exported();
  const remove = () =>
    projects.run("export", [world.workspace.slug, "--folder", folder, "--remove"]);
  assertStringIncludes(
    (await remove()).stderr,
    "No import of this export was verified, so nothing is removed.",
  );
  assertEquals((await projects.run("import", [folder])).code, 0);
  await source.sql`update public.people set name = 'Changed' where id = ${world.personId}`;
  assertStringIncludes(
    (await remove()).stderr,
    "public.people has changed since the export, so nothing is removed.",
  );
  assert((await rowsOf(source.sql, world))["public.people"]! > 0);
});

Deno.test("a key of two workspaces moves with each of them", async () => {
  const [first, second] = [await fill(), await fill()];
  await source.sql`
    insert into public.agent_key_workspaces (key_id, workspace_id) values (${first.agentKeyId}, ${second.workspace.id})`;
  const linked = async ({ sql }: Side) => {
    const rows = await sql`
      select linked.workspace_id from private.agent_key_secrets as secret
      join public.agent_key_workspaces as linked on linked.key_id = secret.key_id
      where secret.key_id = ${first.agentKeyId}`;
    return rows.map(({ workspace_id }) => workspace_id).toSorted();
  };
  const both = [first.workspace.id, second.workspace.id].toSorted();
  assertEquals(await linked(source), both);
  for (const [index, { workspace }] of [first, second].entries()) {
    await projects.inviteMembers(workspace);
    const folder = join(folders, unique());
    for (
      const [command, args] of [
        ["export", [workspace.slug, "--folder", folder, ...pauseNow]],
        ["import", [folder]],
        ["export", [workspace.slug, "--folder", folder, "--remove"]],
      ] as const
    ) {
      const { code, stderr } = await projects.run(command, args);
      assertEquals(code, 0, stderr);
    }
    assertEquals(await linked(target), index === 0 ? [first.workspace.id] : both);
    assertEquals(await linked(source), index === 0 ? [second.workspace.id] : []);
  }
  for (const { sql } of [source, target]) {
    const limits = await sql`select from private.limits where subject_id = ${first.agentKeyId}`;
    assertEquals(limits.length, 0);
  }
});

Deno.test("files move from Storage to Storage, with their sizes", async () => {
  await using from = startFakeStorage();
  await using to = startFakeStorage();
  const world = await fill();
  await projects.inviteMembers(world.workspace);
  const paths = ["one.png", "two.pdf", "gone.png"].map((name) =>
    `${world.workspace.id}/${world.conversationId}/${name}`
  );
  from.buckets.set("media", { public: false });
  for (const [index, path] of paths.entries()) {
    await source.sql`
      insert into private.media_copies (conversation_id, message_id, workspace_id, message_type, sent_at, state, path)
      values (${world.conversationId}, ${path}, ${world.workspace.id}, 'image', now(), 'stored', ${path})`;
    const bytes = new Uint8Array(1000 * (index + 1)).fill(index);
    if (index < 2) from.objects.set(`media/${path}`, { bytes, contentType: "image/png" });
  }
  const folder = join(folders, unique());
  const exportedFiles = await projects.run("export", [
    world.workspace.slug,
    "--folder",
    folder,
    ...pauseNow,
  ]);
  assertStringIncludes(exportedFiles.stdout, "3 files are in Storage.");
  const env = {
    SOURCE_SUPABASE_URL: from.url,
    SOURCE_SUPABASE_SECRET_KEY: from.serviceKey,
    TARGET_SUPABASE_URL: to.url,
    TARGET_SUPABASE_SECRET_KEY: to.serviceKey,
  };
  const without = await projects.run("import", [folder]);
  assertStringIncludes(without.stdout, "3 files stay in the Storage of the source");
  const copied = await projects.run("import", [folder, "--files"], env);
  assertEquals(
    copied.stdout,
    "2 files copied, 0 were there already, 1 are missing in the source.\n",
    copied.stderr,
  );
  const again = await projects.run("import", [folder, "--files"], env);
  assertEquals(
    again.stdout,
    "0 files copied, 2 were there already, 1 are missing in the source.\n",
  );
  assertEquals(
    to.objects.get(`media/${paths[1]}`)!.bytes,
    from.objects.get(`media/${paths[1]}`)!.bytes,
  );
  // The schedule of the source deletes its own.
  assertEquals(
    (await projects.run("export", [world.workspace.slug, "--folder", folder, "--remove"])).code,
    0,
  );
  const orphans = await source
    .sql`select path from private.media_orphans where path = any (${paths}) order by path`;
  assertEquals(orphans.map(({ path }) => path), paths.toSorted());
});

const bouncers = missingPrograms(["/usr/sbin/pgbouncer"]);
Deno.test({
  name: named("a move goes through poolers in transaction mode", bouncers),
  ignore: bouncers.length > 0,
  fn: async () => {
    const behind = ({ info }: Side) =>
      startPgBouncer({
        url: info.db_url,
        password: decodeURIComponent(new URL(info.db_url).password),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    await using sourcePool = await behind(source);
    await using targetPool = await behind(target);
    const world = await fill();
    await projects.inviteMembers(world.workspace);
    const folder = join(folders, unique());
    const address = ({ url }: { url: string }) => {
      const plain = new URL(url);
      plain.search = "";
      return plain.href;
    };
    const env = {
      SOURCE_DATABASE_URL: address(sourcePool),
      TARGET_DATABASE_URL: address(targetPool),
    };
    const out = await projects.run("export", [
      world.workspace.slug,
      "--folder",
      folder,
      ...pauseNow,
    ], env);
    assertEquals(out.code, 0, out.stderr);
    const back = await projects.run("import", [folder], env);
    assertEquals(back.code, 0, back.stderr);
    const removed = await projects.run("export", [
      world.workspace.slug,
      "--folder",
      folder,
      "--remove",
    ], env);
    assertEquals(removed.code, 0, removed.stderr);
  },
});

Deno.test("tables that stay behind have a reason", () => {
  for (const reason of Object.values(LEFT_BEHIND)) assertMatch(reason, /\.$/);
});
