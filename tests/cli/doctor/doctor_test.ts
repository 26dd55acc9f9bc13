/**
 * `deno task doctor`, as a process against the stack of the tests, and its checks against a gateway that refuses.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import type { Check } from "../../../cli/doctor/check.ts";
import { checkDatabase } from "../../../cli/doctor/database.ts";
import { checkFunctions, checkSettings, checkSignUp } from "../../../cli/doctor/outside.ts";
import { formatChecks } from "../../../cli/doctor/report.ts";
import { readProject } from "../../../local/project.ts";
import { readInstallationWorkspaces } from "../../../supabase/functions/_shared/kapso/api/installation_key.ts";
import { checkInstallationWorkspaces } from "../../../supabase/functions/kapso-sync/settings.ts";
import { useDatabase } from "../../support/database.ts";

const ROOT = join(import.meta.dirname!, "../../..");
const database = useDatabase();

async function doctor(args: string[], key = database.info.secret_key) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "cli/doctor/main.ts"), ...args],
    env: { SUPABASE_URL: database.info.api_url, SUPABASE_SECRET_KEY: key, NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A server that gives every request the same answer. */
function answering(respond: () => Response) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, respond);
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("the doctor checks the stack from inside and outside", async () => {
  const { code, stdout, stderr } = await doctor(["--json"]);
  const { url, healthy, checks } = JSON.parse(stdout);
  assertEquals(url, database.info.api_url);
  const found = new Map<string, Check>(checks.map((check: Check) => [check.name, check]));
  assertEquals(stderr, "");
  for (
    const name of [
      "rest",
      "clock",
      "schema version",
      "migrations",
      "table policies",
      "sign-up",
      "KAPSO_WORKSPACES",
    ]
  ) {
    assertEquals(found.get(name)?.status, "ok", name);
  }
  const { config } = await readProject(ROOT);
  for (const name of Object.keys(config.functions)) {
    assertEquals(found.get(`function ${name}`)?.status, "ok", name);
  }
  // Other tests leave failed events and messages in the same database.
  const problems = checks.filter(({ status }: Check) => status === "problem");
  assertEquals([healthy, code], problems.length === 0 ? [true, 0] : [false, 1]);
});

Deno.test("the doctor prints a table, and what to do about a refused key", async () => {
  const { code, stdout } = await doctor([], "sb_secret_wrong");
  assertEquals(code, 1);
  assertMatch(
    stdout,
    /✗ rest +The REST API refuses the key \(401\)\.\n +→ Set SUPABASE_SECRET_KEY/,
  );
  assertMatch(stdout, /✓ function inbox +Answers; version /);
  assert(!stdout.includes("sb_secret_wrong"));
});

Deno.test("a wrong option is exit code 2, and --help is 0", async () => {
  assertEquals((await doctor(["--nonsense"])).code, 2);
  const help = await doctor(["--help"]);
  assertEquals(help.code, 0);
  assertMatch(help.stdout, /Exit code: 0 no problem/);
});

Deno.test("a gateway that checks JWTs, and a function that is missing or old, are distinguished", async () => {
  const check = async (respond: () => Response) => {
    await using gateway = answering(respond);
    const [found] = await checkFunctions(gateway.url, ["inbox"], "1.2.3");
    return `${found!.status}: ${found!.found}`;
  };
  assertMatch(await check(() => new Response("", { status: 401 })), /^problem: .*asks for a JWT/);
  assertMatch(await check(() => new Response("", { status: 404 })), /^problem: Not deployed/);
  assertMatch(await check(() => new Response("", { status: 503 })), /^problem: Answers 503/);
  const versioned = (version: string) => () =>
    new Response("", { status: 404, headers: { "x-function-version": version } });
  assertEquals(await check(versioned("1.2.2")), "warning: Version 1.2.2; this checkout is 1.2.3.");
  assertEquals(await check(versioned("1.2.3")), "ok: Answers; version 1.2.3.");
});

Deno.test("the clock and the version of the schema are compared", async () => {
  const row = (name: string, found: string) => ({
    name,
    found,
    status: "ok",
    what_to_do: null,
    checked_at: new Date(Date.now() - 120_000).toISOString(),
  });
  await using rest = answering(() =>
    Response.json([row("schema version", "20260101000000"), row("outbox", "0 waiting.")])
  );
  const checks = await checkDatabase({ url: rest.url, serviceKey: "key" }, "20260202000000");
  assertEquals(checks.map(({ name, status }) => `${name} ${status}`), [
    "rest ok",
    "clock warning",
    "schema version problem",
    "outbox ok",
  ]);
  assertMatch(checks[2]!.what_to_do!, /supabase db push/);
});

Deno.test("a project that does not answer is a problem, and unknown settings stay unknown", async () => {
  const gone = answering(() => new Response());
  await gone[Symbol.asyncDispose]();
  const [rest] = await checkDatabase({ url: gone.url, serviceKey: "key" }, "1");
  assertEquals([rest!.name, rest!.status], ["rest", "problem"]);
  assertEquals((await checkFunctions(gone.url, ["inbox"], "1"))[0]!.status, "problem");
  assertEquals((await checkSignUp(gone.url, "key")).status, "unknown");
  await using closed = answering(() => Response.json({ disable_signup: true }));
  assertMatch((await checkSignUp(closed.url, "key")).found, /^Closed/);
});

Deno.test("KAPSO_WORKSPACES: what is no id is a problem, and what belongs to no workspace a warning", () => {
  const id = crypto.randomUUID();
  const check = (setting: string | undefined, known: number) => {
    const { status, found, what_to_do } = checkInstallationWorkspaces(
      readInstallationWorkspaces(setting),
      known,
    );
    assert(!found.includes("acme") && !(what_to_do ?? "").includes("acme"));
    return status;
  };
  assertEquals(check(undefined, 0), "ok");
  assertEquals(check("*", 0), "ok");
  assertEquals(check(`${id}, ${id.toUpperCase()}`, 1), "ok");
  assertEquals(check(id, 0), "warning");
  assertEquals(check("acme", 0), "problem");
  assertEquals(check(`*,acme`, 0), "problem");
});

Deno.test("settings that the functions do not tell are unknown", async () => {
  await using old = answering(() => new Response("", { status: 404 }));
  assertEquals((await checkSettings(old.url, "key"))[0]!.status, "unknown");
  await using odd = answering(() => Response.json({ checks: "none" }));
  assertEquals((await checkSettings(odd.url, "key"))[0]!.status, "unknown");
});

Deno.test("the table counts what it shows", () => {
  const text = formatChecks("http://127.0.0.1", [
    { name: "a", status: "ok", found: "Fine.", what_to_do: null },
    { name: "long", status: "problem", found: "Broken.", what_to_do: "Repair it." },
  ]);
  assertEquals(
    text,
    "http://127.0.0.1\n\n✓ a     Fine.\n✗ long  Broken.\n        → Repair it.\n\n" +
      "2 checks: 1 problems, 0 warnings, 0 unknown.\n",
  );
});
