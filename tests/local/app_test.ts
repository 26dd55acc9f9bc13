/**
 * How the stack builds and serves the inbox app.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { cp } from "node:fs/promises";
import { basename, join } from "node:path";
import { buildApp } from "../../local/app_build.ts";
import { CommandError } from "../../cli/command_error.ts";
import { sharedStack } from "../../local/spawn_stack.ts";

const APP = join(import.meta.dirname!, "../../app");

Deno.test("the app is served as by a static host, with its settings and no secret key", async () => {
  await using stack = await sharedStack();
  const { info } = stack;
  const app = info.app_url!;
  assertEquals(app, `${info.api_url}/app/`);

  const page = await fetch(app);
  const html = await page.text();
  assertEquals(page.status, 200, html);
  assertMatch(page.headers.get("content-type")!, /^text\/html/);
  const policy = page.headers.get("content-security-policy")!;
  assertMatch(policy, /script-src 'self';/);
  assert(policy.includes(`connect-src 'self' ${info.api_url.replace("http", "ws")};`));
  assertEquals(page.headers.get("cache-control"), "no-cache");

  const script = await fetch(new URL(/src="([^"]+)"/.exec(html)![1]!, app));
  assertMatch(script.headers.get("content-type")!, /javascript/);
  assertMatch(script.headers.get("cache-control")!, /immutable/);
  assert(!(await script.text()).includes(info.secret_key));

  const config = await (await fetch(`${app}config.json`)).json();
  assertEquals(config, {
    api_url: info.api_url,
    publishable_key: info.publishable_key,
    has_realtime: true,
    demo: { email: info.demo.email, password: info.demo.password },
  });

  const redirect = await fetch(app.slice(0, -1), { redirect: "manual" });
  assertEquals([redirect.status, redirect.headers.get("location")], [308, "/app/"]);
  await redirect.body?.cancel();
  for (
    const path of [
      "nothing.js",
      "assets/",
      "..%2f..%2fdeno.json",
      "assets/%2e%2e/%2e%2e/secrets.json",
    ]
  ) {
    const response = await fetch(app + path);
    assertEquals(response.status, 404, path);
    await response.body?.cancel();
  }
  const posted = await fetch(app, { method: "POST" });
  assertEquals(posted.status, 405);
  await posted.body?.cancel();
});

Deno.test("a page on another address may sign in, read and call functions", async () => {
  await using stack = await sharedStack();
  for (
    const path of [
      "auth/v1/token",
      "rest/v1/rpc/search_conversations",
      "functions/v1/inbox/connections",
    ]
  ) {
    const response = await fetch(`${stack.info.api_url}/${path}`, {
      method: "OPTIONS",
      headers: {
        origin: "https://inbox.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey,authorization,content-type",
      },
    });
    await response.body?.cancel();
    assert(response.ok, path);
    assertEquals(response.headers.get("access-control-allow-origin"), "*", path);
    assertMatch(response.headers.get("access-control-allow-headers")!, /authorization/, path);
  }
  const refused = await fetch(`${stack.info.api_url}/auth/v1/token?grant_type=password`, {
    method: "POST",
    headers: { apikey: stack.info.publishable_key, "content-type": "application/json" },
    body: JSON.stringify({ email: "unknown@example.com", password: "wrong" }),
  });
  await refused.body?.cancel();
  assertEquals(refused.headers.get("access-control-allow-origin"), "*");
});

Deno.test("the same sources are built once, and an error in them is shown", async () => {
  const folder = await Deno.makeTempDir({ prefix: "app-build-" });
  try {
    const options = { appDir: join(folder, "app"), buildsDir: join(folder, "builds") };
    await cp(APP, options.appDir, {
      recursive: true,
      filter: (path) => !["node_modules", "dist"].includes(basename(path)),
    });
    const [first, second] = await Promise.all([buildApp(options), buildApp(options)]);
    assertEquals(first, second);
    assert((await Deno.stat(join(first, "index.html"))).isFile);

    await Deno.writeTextFile(join(options.appDir, "src/texts.ts"), "export const texts = {;\n");
    const failure = await assertRejects(() => buildApp(options), CommandError);
    assertMatch(failure.message, /texts\.ts/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
