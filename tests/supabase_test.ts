/**
 * The runner of `deno task test:supabase`, with a stand-in for the CLI: Docker is not needed here.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { globSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import type { StackInfo } from "../local/stack.ts";
import { runOnSupabase } from "./supabase.ts";
import { createSettings, envFile, readStatus, usesGivenStack } from "./support/supabase_stack.ts";

/** What the CLI prints for a project on the default ports. */
const STATUS = {
  API_URL: "http://127.0.0.1:54321",
  ANON_KEY: "anon.jwt",
  DB_URL: "postgresql://postgres:postgres@127.0.0.1:54322/postgres",
  JWT_SECRET: "not used",
  PUBLISHABLE_KEY: "sb_publishable_a",
  SECRET_KEY: "sb_secret_b",
  SERVICE_ROLE_KEY: "service.jwt",
};

Deno.test("the status of the CLI becomes the description of a stack", () => {
  const settings = createSettings();
  const info = readStatus(JSON.stringify(STATUS), settings);
  assertEquals(info.api_url, "http://127.0.0.1:54321");
  assertEquals(info.db_url, "postgresql://supabase_admin:postgres@127.0.0.1:54322/postgres");
  assertEquals([info.publishable_key, info.secret_key], ["anon.jwt", "service.jwt"]);
  assertEquals(info.demo.kapso_webhook_secret, settings.KAPSO_WEBHOOK_SECRET);
  assertEquals(info.demo.email, "demo@example.com");
});

Deno.test("a status without a service says which value is missing", () => {
  const { SERVICE_ROLE_KEY: _, ...rest } = STATUS;
  assertThrows(
    () => readStatus(JSON.stringify(rest), createSettings()),
    Error,
    "supabase status gives no SERVICE_ROLE_KEY",
  );
});

Deno.test("the settings of the functions survive the env file", () => {
  const settings = createSettings();
  assertEquals({ ...parseEnv(envFile(settings)) }, { ...settings });
  assertEquals(atob(settings.CREDENTIALS_KEY).length, 32);
});

Deno.test("files with a stack of their own are distinguished from those that use the given one", () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const using = globSync("tests/functions/**/*_test.ts", { cwd: root })
    .filter((file) => usesGivenStack(Deno.readTextFileSync(join(root, file))));
  assert(using.some((file) => file.endsWith("messaging-ingest/api_test.ts")), using.join());
  assert(!using.some((file) => file.endsWith("database_outage_test.ts")));
});

Deno.test("the tests run on the stack that the CLI has started, and it is stopped after them", async () => {
  await using project = await startStandIn();
  const test = join(project.folder, "given_test.ts");
  const seen = join(project.folder, "seen.json");
  await Deno.writeTextFile(
    test,
    `Deno.test("given", () => Deno.writeTextFile(${
      JSON.stringify(seen)
    }, Deno.env.get("TEST_STACK")!));`,
  );
  assertEquals(await runOnSupabase({ files: [test], cli: project.cli, output: "null" }), 0);
  const info: StackInfo = JSON.parse(await Deno.readTextFile(seen));
  assertEquals(info.api_url, project.url);
  assertEquals((await project.calls()).map((call) => call.replace(/\S+\.env$/, "<file>")), [
    "start --exclude imgproxy,logflare,mailpit,postgres-meta,studio,supavisor,vector",
    "status --output json",
    "functions serve --env-file <file>",
    "stop --no-backup",
  ]);
});

Deno.test("a failing test gives its exit code, and Supabase is stopped", async () => {
  await using project = await startStandIn();
  const test = join(project.folder, "failing_test.ts");
  await Deno.writeTextFile(test, `Deno.test("fails", () => { throw new Error("on purpose"); });`);
  assertEquals(await runOnSupabase({ files: [test], cli: project.cli, output: "null" }), 1);
  assertEquals((await project.calls()).at(-1), "stop --no-backup");
});

Deno.test("a CLI that cannot start ends the run, and what it started is stopped", async () => {
  await using project = await startStandIn();
  await assertRejects(
    () => runOnSupabase({ files: [], cli: [...project.cli, "--fail"], output: "null" }),
    Error,
    "supabase start",
  );
  assertEquals((await project.calls()).at(-1), "--fail stop --no-backup");
});

/** A gateway that answers, and a program in the place of the CLI that writes down how it is called. */
async function startStandIn() {
  const folder = await Deno.makeTempDir({ prefix: "supabase-cli-" });
  const gateway = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("ok"),
  );
  const url = `http://127.0.0.1:${gateway.addr.port}`;
  const log = join(folder, "calls");
  const script = join(folder, "supabase");
  await Deno.writeTextFile(
    script,
    `echo "$*" >> '${log}'
case "$1" in
  --fail) exit 1 ;;
  status) echo '${JSON.stringify({ ...STATUS, API_URL: url })}' ;;
  functions) exec sleep 600 ;;
esac
`,
  );
  return {
    folder,
    url,
    cli: ["sh", script],
    calls: async () => (await Deno.readTextFile(log)).trim().split("\n"),
    async [Symbol.asyncDispose]() {
      await gateway.shutdown();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
