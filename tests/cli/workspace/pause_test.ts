/**
 * What senders, agents and members see of a workspace that is paused for a move.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import {
  ask,
  CONVERSATIONS,
  createBusiness,
  createKey,
  failureOf,
  uniquePhone,
} from "../../support/agents.ts";
import { useDatabase } from "../../support/database.ts";
import { eventually } from "../../support/eventually.ts";
import { createPhoneNumber, deliver, receivedText } from "../../support/kapso_webhook.ts";
import { conversation, messages } from "../../support/messages.ts";
import { addPerson, createWorkspace } from "../../support/people.ts";
import { createBridge, post, rows, signUp } from "../../support/users.ts";

const database = useDatabase();
const ROOT = join(import.meta.dirname!, "../../..");

function start(...args: string[]): Promise<Deno.CommandOutput> {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", "cli/workspace/export.ts", ...args],
    cwd: ROOT,
    env: { SOURCE_DATABASE_URL: database.info.db_url },
  }).output();
}

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await start(...args);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("a paused workspace lets senders send again, loses nothing, and resumes as it was", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const second = await signUp(info);
  const sharedKey = await createKey(business, [business.workspaceId]);
  await sql`
    insert into public.agent_key_workspaces (key_id, workspace_id)
    select secret.key_id, ${second.workspaceId} from private.agent_key_secrets as secret
    where secret.key_sha256 = sha256(convert_to(${sharedKey}, 'UTF8'))`;
  const bridge = await createBridge(business, "telegram");
  const inactive = await createBridge(business, "signal");
  await sql`update public.connections set is_active = false where id = ${inactive.id}`;
  const { phoneNumberId } = await createPhoneNumber(business);
  await sql`
    insert into private.limits (name, subject_id, value) values ('connection_requests_per_minute', ${bridge.id}, 5000)`;
  const state = async () => [
    ...await sql`
      select id::text, is_active::text as value from public.connections where workspace_id = ${business.workspaceId}
      union all select user_id::text, role from public.workspace_members where workspace_id = ${business.workspaceId}
      union all select key_id::text, 'linked' from public.agent_key_workspaces where workspace_id = ${business.workspaceId}
      union all
      select name, value::text from private.limits
      where subject_id = ${business.workspaceId}
        or subject_id in (select id from public.connections where workspace_id = ${business.workspaceId})
      order by 1`,
  ];
  const before = await state();

  const folder = await Deno.makeTempDir();
  await run(business.slug, "--folder", folder, "--pause", "--settle-seconds", "0");
  // A run that is open stays so, and no other is opened.
  const summarise = async () => {
    await sql`select from public.claim_summary_slice(10, 180, ${business.workspaceId})`;
    const runs =
      await sql`select state from public.summary_runs where workspace_id = ${business.workspaceId}`;
    return runs.map(({ state: of }) => of);
  };
  await sql`
    insert into public.summary_runs (workspace_id, local_date, covered_until)
    values (${business.workspaceId}, '2026-01-01', now())`;
  assertEquals(await summarise(), ["running"]);
  const sent = conversation({ messages: messages(3) });
  const refused = await post(info, bridge, [sent]);
  assertEquals([refused.status, refused.body.code], [429, "rate_limited"]);
  assertMatch(refused.headers.get("retry-after")!, /^[1-9]\d?$/);
  const body = receivedText(phoneNumberId);
  const event = await deliver(info, body, { key: "same" });
  assertEquals([event.status, event.body.code], [429, "webhook_quota_exceeded"]);
  const [recorded] = await sql`
    select count(*)::integer as events from private.webhook_events where phone_number_id = ${phoneNumberId}`;
  assertEquals(recorded!.events, 0);
  const open = (key: string, subDomain: string) =>
    ask(info, "POST", CONVERSATIONS, { key, body: { userId: uniquePhone(), subDomain } });
  assertEquals((await open(business.key, business.slug)).status, 429);
  // A key of several workspaces keeps working for the others.
  const [other] = await rows(second.client.from("workspaces").select("slug"));
  assertEquals((await open(sharedKey, other!.slug)).status, 201);
  assertEquals(failureOf(await open(sharedKey, business.slug)), [404, "workspace_not_found"]);
  const [role] = await rows(business.client.from("workspace_members").select("role"));
  assertEquals(role!.role, "viewer");
  const denied = await business.client.from("tags").insert({
    workspace_id: business.workspaceId,
    name: "VIP",
  });
  assertEquals(denied.error?.code, "42501");
  const others = await createBridge(second, "telegram");
  assertEquals((await post(info, others, [conversation({ messages: messages(2) })])).status, 200);

  assertStringIncludes(await run(business.slug, "--resume"), "is no longer paused.");
  assertEquals(await state(), before);
  assertEquals(await summarise(), ["finished"]);
  const stored = await post(info, bridge, [sent]);
  assertEquals([stored.status, stored.body.results[0].messages_added], [200, 3]);
  assertEquals((await deliver(info, body, { key: "same" })).status, 200);
  assertEquals((await open(business.key, business.slug)).status, 201);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("an export waits for what is being stored when the pause begins", async () => {
  const { sql } = database;
  const workspace = await createWorkspace(sql);
  const folder = await Deno.makeTempDir();
  let exporting: Promise<string> | undefined;
  await sql.begin(async (transaction) => {
    await addPerson(transaction, workspace);
    exporting = run(workspace.slug, "--folder", folder, "--pause", "--settle-seconds", "0");
    await eventually("the workspace is paused", async () => {
      const [pause] = await sql`
        select from private.workspace_pauses where workspace_id = ${workspace.id}`;
      return pause !== undefined;
    });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), []);
  });
  await exporting!;
  const manifest = JSON.parse(await Deno.readTextFile(join(folder, "manifest.json")));
  const people = manifest.chunks.find(({ table }: { table: string }) => table === "public.people");
  assertEquals(people.rows, 1);
  await Deno.remove(folder, { recursive: true });
});
