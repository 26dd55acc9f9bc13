/**
 * The directory: written by its command, asked over HTTP.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import * as contract from "../../../supabase/functions/_shared/contracts/directory.ts";
import { createBusiness, createKey } from "../../support/agents.ts";
import { ContractCheck } from "../../support/contract.ts";
import { useDatabase } from "../../support/database.ts";
import { createPhoneNumber } from "../../support/kapso_webhook.ts";
import { unique } from "../../support/people.ts";
import { call, createBridge, signUp } from "../../support/users.ts";

const database = useDatabase();
const ROOT = new URL("../../../", import.meta.url);

async function write(slug: string, url: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", "cli/workspace/directory.ts", slug],
    cwd: ROOT,
    env: {
      TARGET_DATABASE_URL: database.info.db_url,
      DIRECTORY_DATABASE_URL: database.info.db_url,
      TARGET_SUPABASE_URL: url,
      TARGET_SUPABASE_PUBLISHABLE_KEY: "sb_publishable_test",
    },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("a workspace is found by exact names and by keys, and after a move in its new project", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const bridge = await createBridge(business, "telegram");
  const { phoneNumberId } = await createPhoneNumber(business);
  const second = await signUp(info);
  const sharedKey = await createKey(business, [business.workspaceId]);
  await sql`
    insert into public.agent_key_workspaces (key_id, workspace_id)
    select key_id, ${second.workspaceId} from private.agent_key_secrets
    where key_sha256 = sha256(convert_to(${sharedKey}, 'UTF8'))`;
  // The slug, two connections with a secret each, a number, a key of an agent.
  assertEquals(
    await write(business.slug, "https://one.example.com/"),
    "7 entries lead to https://one.example.com.\n",
  );

  const check = new ContractCheck(info.api_url, contract);
  const names = [
    { query: { workspace: business.slug } },
    { query: { connection_id: bridge.connection_id } },
    { query: { phone_number_id: phoneNumberId } },
    { headers: { "x-api-key": bridge.api_key } },
    { headers: { "x-api-key": business.key } },
  ];
  for (const name of names) {
    const found = await check.send(contract.findProject, { ...name, status: 200 });
    assertEquals(found, {
      project_url: "https://one.example.com",
      publishable_key: "sb_publishable_test",
    });
  }
  for (
    const unknown of [
      { query: { workspace: business.slug.slice(0, -1) } },
      { query: { workspace: `${business.slug}%` } },
      { query: { workspace: unique() } },
      { query: { phone_number_id: business.slug } },
      { headers: { "x-api-key": sharedKey } },
      { headers: { "x-api-key": "unknown" } },
    ]
  ) {
    const answer = await check.send(contract.findProject, { ...unknown, status: 404 });
    assertEquals([answer.code, answer.details], ["project_not_found", null]);
  }
  for (const wrong of [{}, { query: { workspace: "a", connection_id: "b" } }]) {
    await check.send(contract.findProject, { ...wrong, status: 400 });
  }
  check.assertComplete();

  await write(business.slug, "https://two.example.com");
  const moved = await call(info, `directory?workspace=${business.slug}`);
  assertEquals(moved.body.project_url, "https://two.example.com");
  assertEquals(moved.headers.get("cache-control"), "public, max-age=60");
  const byKey = await call(info, "directory", { headers: { "x-api-key": business.key } });
  assertEquals(byKey.headers.get("cache-control"), "no-store");
  const unknown = await call(info, `directory?workspace=${unique()}`);
  assertEquals(unknown.headers.get("cache-control"), "no-store");
});

Deno.test("guesses of names are limited, and keys are not", async () => {
  const { info, sql } = database;
  await sql`insert into private.limits (name, value) values ('directory_names_per_minute', 0)`;
  try {
    for (const path of [`directory?workspace=${unique()}`, "directory?workspace=acme"]) {
      const { status, body, headers } = await call(info, path);
      assertEquals([status, body.code], [429, "rate_limited"]);
      assertMatch(headers.get("retry-after")!, /^[1-9]\d?$/);
    }
    const byKey = await call(info, "directory", { headers: { "x-api-key": "unknown" } });
    assertEquals(byKey.status, 404);
  } finally {
    await sql`delete from private.limits where name = 'directory_names_per_minute'`;
  }
});
