/**
 * Workflow settings in the database: versions, the history that no write bypasses, and looks at Kapso that
 * come back late.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Json, refusalOf, sqlStateOf, useDatabase } from "../support/database.ts";
import { createConnection, createWorkspace, type Workspace } from "../support/people.ts";

const database = useDatabase({ own: true });

interface Setting {
  version: number;
  system_prompt: string | null;
  keywords: string[];
  sync_status: string;
  sync_reason: string | null;
  synced_values: Json;
  kapso_lock_version: number | null;
  last_synced_at: Date | null;
}

/** Saves as the owner. */
async function save(
  workspace: Workspace,
  version: number | null,
  changes: Record<string, Json>,
): Promise<Setting> {
  const [setting] = await database.as(
    { userId: workspace.owner },
    async (sql) =>
      await sql<Setting[]>`
      select * from public.save_workflow_settings(
        ${workspace.id}, 'sarah', ${version}, ${sql.json(changes)}
      )`,
  );
  return setting!;
}

/** What a look at Kapso found. */
async function record(
  workspace: Workspace,
  version: number,
  status: string,
  options: {
    reason?: string;
    action?: string;
    by?: string;
    values?: Record<string, Json>;
    lock?: number;
  } = {},
): Promise<Setting> {
  const { sql: _, service } = database;
  const [setting] = await service<Setting[]>`
    select * from public.record_workflow_sync(
      ${workspace.id}, 'sarah', ${version}, ${status}, ${options.reason ?? null},
      ${options.action ?? "synced"}, ${options.by ?? null},
      ${options.values === undefined ? null : service.json(options.values)}, ${options.lock ?? null}
    )`;
  return setting!;
}

async function historyOf(workspace: Workspace) {
  const rows = await database.sql<
    { action: string; version: number; sync_status: string; changed_by: string | null }[]
  >`
    select action, version, sync_status, changed_by from public.workflow_settings_history
    where workspace_id = ${workspace.id} order by id`;
  return rows.map((row) => [row.action, row.version, row.sync_status, row.changed_by]);
}

Deno.test("a change keeps what it leaves out, empties what is null, and counts", async () => {
  const workspace = await createWorkspace(database.sql);
  const made = await save(workspace, null, { system_prompt: "one", keywords: ["b", "a"] });
  assertEquals([made!.version, made!.keywords], [1, ["b", "a"]]);
  assertEquals((await save(workspace, 1, { system_prompt: null }))!.keywords, ["b", "a"]);
  assertEquals((await save(workspace, 2, { keywords: null }))!.keywords, []);
  assertEquals((await save(workspace, 3, { keywords: [] }))!.version, 3, "nothing changed");
  for (const version of [2, null]) {
    assertEquals(await refusalOf(save(workspace, version, { system_prompt: "late" })), {
      code: "PT409",
      message: "version_conflict",
      details: null,
    });
  }
  assertEquals(
    await historyOf(workspace),
    [["created", 1], ["updated", 2], ["updated", 3]].map((entry) => [
      ...entry,
      "pending",
      workspace.owner,
    ]),
  );
});

Deno.test("many who save at once: one wins each version, and nothing is lost", async () => {
  const workspace = await createWorkspace(database.sql);
  await save(workspace, null, {});
  let wins = 0;
  await Promise.all(Array.from({ length: 6 }, async (_, writer) => {
    for (let version = 1, tries = 0; tries < 5; tries++) {
      const refusal = await refusalOf(
        save(workspace, version, { system_prompt: `${writer} ${tries}` }),
      );
      if (refusal === null) wins++;
      const [row] = await database.sql`
        select version from public.workflow_settings where workspace_id = ${workspace.id}`;
      version = row!.version;
    }
  }));
  const [row] = await database.sql`
    select version from public.workflow_settings where workspace_id = ${workspace.id}`;
  assertEquals(row!.version, wins + 1);
  assertEquals((await historyOf(workspace)).length, wins + 1);
});

Deno.test("the history has every change, also those that go around the functions", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  await save(workspace, null, { system_prompt: "one" });
  await sql`
    update public.workflow_settings set system_prompt = 'by the superuser'
    where workspace_id = ${workspace.id}`;
  await sql`
    update public.workflow_settings set last_checked_at = now() where workspace_id = ${workspace.id}`;
  await record(workspace, 1, "conflict", {
    reason: "changed_at_kapso",
    action: "checked",
    by: workspace.admin,
  });
  await record(workspace, 1, "conflict", { reason: "changed_at_kapso", action: "checked" });
  await record(workspace, 1, "synced", {
    values: { a: { system_prompt: "x" } },
    by: workspace.owner,
  });
  await database.as(
    { userId: workspace.admin },
    async (member) => await member`delete from public.workflow_settings`,
  );
  assertEquals(await historyOf(workspace), [
    ["created", 1, "pending", workspace.owner],
    ["updated", 1, "pending", null],
    ["checked", 1, "conflict", workspace.admin],
    ["synced", 1, "synced", workspace.owner],
    ["deleted", 1, "synced", workspace.admin],
  ]);
});

Deno.test("what changes at Kapso is pending; what stays here is not", async () => {
  const workspace = await createWorkspace(database.sql);
  await save(workspace, null, { kapso_workflow_id: "w1", system_prompt: "one" });
  await record(workspace, 1, "synced", { values: { a: { system_prompt: "one" } }, lock: 3 });
  const named = await save(workspace, 1, {
    kapso_workflow_name: "Sarah",
    auto_reply_templates: { hi: "Hello" },
  });
  assertEquals(named!.sync_status, "synced");
  const changed = await save(workspace, 2, { system_prompt: "two" });
  assertEquals([changed!.sync_status, changed!.synced_values], [
    "pending",
    { a: { system_prompt: "one" } },
  ]);
  // What was known of one workflow says nothing of another.
  const moved = await save(workspace, 3, { kapso_workflow_id: "w2" });
  assertEquals([moved!.synced_values, moved!.kapso_lock_version, moved!.last_synced_at], [
    {},
    null,
    null,
  ]);
});

Deno.test("a setting that was changed while it was synced is pending", async () => {
  const workspace = await createWorkspace(database.sql);
  await save(workspace, null, { system_prompt: "one" });
  await save(workspace, 1, { system_prompt: "two" });
  const recorded = await record(workspace, 1, "synced", {
    values: { a: { system_prompt: "one" } },
  });
  assertEquals([recorded.sync_status, recorded.synced_values], [
    "pending",
    { a: { system_prompt: "one" } },
  ]);
});

Deno.test("of two looks at Kapso the newer one counts, in either order of arrival", async () => {
  const workspace = await createWorkspace(database.sql);
  await save(workspace, null, { system_prompt: "one" });
  await record(workspace, 1, "synced", { values: { a: { system_prompt: "new" } }, lock: 9 });
  const late = await record(workspace, 1, "conflict", {
    values: { a: { system_prompt: "old" } },
    lock: 8,
  });
  assertEquals([late.sync_status, late.synced_values], ["synced", { a: { system_prompt: "new" } }]);
});

Deno.test("a connection of another workspace is refused; one that is deleted is forgotten", async () => {
  const { sql } = database;
  const [mine, theirs] = [await createWorkspace(sql), await createWorkspace(sql)];
  const foreign = await createConnection(sql, theirs);
  assertEquals(await sqlStateOf(save(mine, null, { connection_id: foreign.id })), "23503");
  const own = await createConnection(sql, mine);
  await save(mine, null, { connection_id: own.id });
  await sql`delete from public.connections where id = ${own.id}`;
  const [row] = await sql`
    select connection_id from public.workflow_settings where workspace_id = ${mine.id}`;
  assertEquals(row!.connection_id, null);
});

Deno.test("a workspace goes with its settings and their history", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  await save(workspace, null, { system_prompt: "one" });
  await sql`delete from public.workspaces where id = ${workspace.id}`;
  assertEquals(await historyOf(workspace), []);
});
