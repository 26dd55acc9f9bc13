/**
 * What answers at the address of the stack: Auth, REST and functions over HTTP, with the statuses and
 * bodies of hosted Supabase.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { SignJWT } from "jose";
import postgres from "postgres";
import { EDGE_DENO_VERSION } from "../../local/gateway/edge_deno.ts";
import { eventually } from "../support/eventually.ts";
import { call, rest, ScratchProject, text } from "../support/scratch_project.ts";

const ECHO = `
Deno.serve((request) => {
  const { pathname, search } = new URL(request.url);
  if (pathname === "/echo/body") return new Response(request.body);
  return Response.json({
    method: request.method,
    path: pathname + search,
    headers: Object.fromEntries(request.headers),
    env: Deno.env.toObject(),
    deno: Deno.version.deno,
  }, { status: 201, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-own", "yes"]] });
});`;

const STREAM = `
const { promise: told, resolve: tell } = Promise.withResolvers();
let wasLeft = false;
Deno.serve((request) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/stream/tell") return new Response(String(tell()));
  if (pathname === "/stream/was-left") return Response.json(wasLeft);
  if (pathname === "/stream/forever") {
    return new Response(new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
      cancel: () => { wasLeft = true; },
    }));
  }
  return new Response(new ReadableStream({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode("first"));
      await told;
      controller.enqueue(new TextEncoder().encode("last"));
      controller.close();
    },
  }));
});`;

const MORTAL = `
Deno.serve((request) => request.url.endsWith("/die") ? Deno.exit(7) : new Response("alive"));`;

Deno.test("the stack", async (t) => {
  await using project = await ScratchProject.create({
    echo: ECHO,
    stream: STREAM,
    mortal: MORTAL,
    secure: `Deno.serve(() => new Response("let in"));`,
    broken: `throw new Error("broken at start");`,
  });
  await project.write("supabase/functions/_shared/index.ts", ECHO);
  await project.write("supabase/functions/.env", "FROM_FILE='some value'\n");
  await using stack = await project.start();
  const { info } = stack;

  await t.step("prints only its addresses, keys and demo data", () => {
    assertEquals(Object.keys(info), [
      "api_url",
      "db_url",
      "publishable_key",
      "secret_key",
      "app_url",
      "demo",
    ]);
    assertEquals(Object.keys(info.demo), [
      "email",
      "password",
      "workspace",
      "connection_id",
      "api_key",
      "agent_key",
      "kapso_phone_number_id",
      "kapso_webhook_secret",
    ]);
    assertMatch(info.api_url, /^http:\/\/127\.0\.0\.1:[0-9]+$/);
    assertMatch(info.demo.api_key, /^msg_[A-Za-z0-9]{32}$/);
    assertMatch(info.demo.agent_key, /^agt_[A-Za-z0-9]{32}$/);
  });

  await t.step("keeps its secrets from other users", async () => {
    const { mode } = await Deno.stat(`${project.root}/.local/secrets.json`);
    assertEquals(mode! & 0o777, 0o600);
  });

  await t.step("describes itself at /", async () => {
    assertMatch(await text(await fetch(info.api_url)), /Supabase/);
  });

  await t.step("answers 404 for a function that does not exist", async () => {
    for (const name of ["nothing", "_shared", "..%2Fescape", ""]) {
      const response = await call(stack, name);
      assertEquals(response.status, 404, name);
      assertEquals(await response.json(), {
        code: "NOT_FOUND",
        message: "Requested function was not found",
      });
    }
  });

  await t.step("forwards the method, path, headers and status of a function", async () => {
    const response = await call(stack, "echo/a/b?c=d", {
      method: "PUT",
      body: "text",
      headers: { "x-api-key": "key", connection: "close" },
    });
    assertEquals(response.status, 201);
    assertEquals(response.headers.getSetCookie(), ["a=1", "b=2"]);
    assertEquals(response.headers.get("x-own"), "yes");
    const seen = await response.json();
    assertEquals(seen.method, "PUT");
    assertEquals(seen.path, "/echo/a/b?c=d");
    assertEquals(seen.headers["x-api-key"], "key");
    assertEquals(seen.headers["content-length"], "4");
    assertEquals(seen.headers["x-forwarded-host"], new URL(info.api_url).host);
    assertEquals(seen.headers["x-forwarded-proto"], "http");
    assertEquals(seen.headers["x-forwarded-for"], "127.0.0.1");
    assertEquals(seen.headers.connection, undefined);
  });

  await t.step("gives a function only its own environment", async () => {
    const { env } = await (await call(stack, "echo")).json();
    assertEquals(env.SUPABASE_URL, info.api_url);
    assertEquals(JSON.parse(env.SUPABASE_SECRET_KEYS), { default: info.secret_key });
    assertEquals(JSON.parse(env.SUPABASE_PUBLISHABLE_KEYS), { default: info.publishable_key });
    assertEquals(env.SUPABASE_ANON_KEY, info.publishable_key);
    assertEquals(env.SUPABASE_SERVICE_ROLE_KEY, info.secret_key);
    assertEquals(env.SUPABASE_DB_URL, info.db_url);
    assertEquals(env.KAPSO_WEBHOOK_SECRET, info.demo.kapso_webhook_secret);
    assertEquals(env.FROM_FILE, "some value");
    assertEquals(Uint8Array.fromBase64(env.CREDENTIALS_KEY).length, 32);
    assertEquals(env.USER, undefined);
    assertEquals(env.PWD, undefined);
  });

  await t.step("runs functions on the Deno of hosted Supabase", async () => {
    const { deno } = await (await call(stack, "echo")).json();
    assertEquals([deno, EDGE_DENO_VERSION], ["2.1.4", "2.1.4"]);
    assert(deno !== Deno.version.deno, "the tools run on a newer one");
  });

  await t.step("does not let a function read files", async () => {
    await project.writeFunction(
      "reader",
      `Deno.serve(async () => new Response(await Deno.readTextFile("/etc/hosts")));`,
    );
    // `verify_jwt` is on for a function that config.toml does not name.
    const token = await sign(project, { role: "authenticated" }, "1h");
    const response = await call(stack, "reader", { headers: { authorization: `Bearer ${token}` } });
    await text(response, 500);
    await eventually("the error is logged", () => stack.log().includes("[reader] "));
  });

  await t.step("streams a response: its beginning arrives before its end is written", async () => {
    const reader = (await call(stack, "stream")).body!.pipeThrough(new TextDecoderStream())
      .getReader();
    assertEquals((await reader.read()).value, "first");
    await text(await call(stack, "stream/tell"));
    assertEquals((await reader.read()).value, "last");
    assert((await reader.read()).done);
  });

  await t.step("streams a request: the function reads before everything is sent", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const answered = call(stack, "echo/body", { method: "POST", body: readable });
    writer.write(new TextEncoder().encode("first"));
    const reader = (await answered).body!.pipeThrough(new TextDecoderStream()).getReader();
    assertEquals((await reader.read()).value, "first");
    writer.write(new TextEncoder().encode("last"));
    writer.close();
    assertEquals((await reader.read()).value, "last");
    assert((await reader.read()).done);
  });

  await t.step("aborts the request of a function when its caller has gone", async () => {
    const leaving = new AbortController();
    const response = await call(stack, "stream/forever", { signal: leaving.signal });
    await response.body!.getReader().read();
    leaving.abort();
    await eventually(
      "the function has noticed",
      async () => await (await call(stack, "stream/was-left")).json(),
    );
  });

  await t.step("restarts a function after a crash", async () => {
    assertEquals(await text(await call(stack, "mortal")), "alive");
    const response = await call(stack, "mortal/die");
    assertEquals(response.status, 502);
    assertEquals((await response.json()).code, "WORKER_ERROR");
    assertEquals(await text(await call(stack, "mortal")), "alive");
  });

  await t.step("starts a function once for many first requests", async () => {
    await call(stack, "mortal/die").then((response) => response.body?.cancel());
    const answers = await Promise.all(Array.from({ length: 20 }, () => call(stack, "mortal")));
    assertEquals(new Set(await Promise.all(answers.map((each) => text(each)))), new Set(["alive"]));
    const running = await project.processes();
    assertEquals(running.filter((line) => line.includes("functions/mortal/")).length, 1);
  });

  await t.step("answers 503 for a function that does not start, and logs why", async () => {
    const response = await call(stack, "broken");
    assertEquals(response.status, 503);
    assertEquals((await response.json()).code, "BOOT_ERROR");
    assertMatch(stack.log(), /\[broken\] .*broken at start/);
  });

  await t.step("accepts only signed-in callers if verify_jwt is on", async () => {
    const signUp = await fetch(`${info.api_url}/auth/v1/signup`, {
      method: "POST",
      headers: { apikey: info.publishable_key, "content-type": "application/json" },
      body: JSON.stringify({ email: "someone@example.com", password: "a-password" }),
    });
    const { access_token } = await signUp.json();
    const withHeader = (authorization: string) =>
      call(stack, "secure", { headers: { authorization } });

    assertEquals(await text(await withHeader(`Bearer ${access_token}`)), "let in");

    const missing = await call(stack, "secure");
    assertEquals(missing.status, 401);
    assertEquals(await missing.json(), { code: 401, message: "Missing authorization header" });

    const expired = await sign(project, { role: "authenticated" }, "-1h");
    const tampered = access_token.slice(0, -4) + "AAAA";
    for (const token of [expired, tampered, info.publishable_key, info.secret_key, "x"]) {
      const response = await withHeader(`Bearer ${token}`);
      assertEquals(response.status, 401);
      assertEquals(await response.json(), { code: 401, message: "Invalid JWT" });
    }
    assertEquals(await text(await call(stack, "secure", { method: "OPTIONS" })), "let in");
  });

  await t.step("takes a body of 10 MB in a REST call, and JSONB is not encoded twice", async () => {
    const items = Array.from({ length: 10_000 }, (_, index) => ({ index, text: "x".repeat(1000) }));
    const response = await rest(stack, "rpc/count_items", {
      method: "POST",
      body: JSON.stringify({ items }),
    });
    assertEquals(await text(response), "10000");
  });

  await t.step("leaves the grants of a private schema alone", async () => {
    await text(await rest(stack, "notes"));
    const sql = postgres(info.db_url, { max: 1 });
    const rows = await sql`
      select role, has_schema_privilege(role, 'private', 'usage') as usage,
        has_table_privilege(role, 'private.hidden', 'select, insert, update, delete') as access
      from unnest(array['anon', 'authenticated', 'service_role']) as role`;
    await sql.end();
    for (const { role, usage, access } of rows) {
      assertEquals([role, usage, access], [role, false, false]);
    }
    assertEquals(rows.length, 3);
  });

  await t.step("applies row level security by key", async () => {
    const insert = (headers: Record<string, string>) =>
      rest(stack, "notes", { method: "POST", body: `{"text":"new"}`, headers });
    assertEquals((await insert({})).status, 401);
    assertEquals((await insert({ apikey: info.secret_key })).status, 201);
    const withoutKey = await fetch(`${info.api_url}/rest/v1/notes`);
    assertEquals(withoutKey.status, 401);
  });

  await t.step("knows a new table without a restart", async () => {
    const sql = postgres(info.db_url, { max: 1 });
    await text(await rest(stack, "notes"));
    await sql`create table public.later as select 42 as answer`;
    await sql.end();
    await eventually(
      "the table is known",
      async () => (await (await rest(stack, "later")).text()) === `[{"answer":42}]`,
    );
  });

  await t.step("serves only the APIs", async () => {
    for (const path of ["/_system/info", "/storage/v1/bucket", "/rest/v2/notes"]) {
      const response = await fetch(info.api_url + path, { headers: { apikey: info.secret_key } });
      assertEquals(response.status, 404, path);
      await response.body?.cancel();
    }
  });
});

async function sign(from: ScratchProject, claims: Record<string, unknown>, until: string) {
  const { jwt_secret } = await from.secrets();
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(crypto.randomUUID())
    .setIssuedAt()
    .setExpirationTime(until)
    .sign(new TextEncoder().encode(jwt_secret));
}
