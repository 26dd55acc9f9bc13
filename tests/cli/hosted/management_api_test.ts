/**
 * The client of the Management API against a server that is slow, busy, cut off or wrong.
 *
 * @module
 */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import * as z from "zod";
import { CommandError } from "../../../cli/command_error.ts";
import { connectManagementApi, ManagementApi } from "../../../cli/hosted/management_api.ts";
import { readKeys } from "../../../cli/hosted/project.ts";

const REF = "abcdefghijklmnopqrst";
const schema = z.object({ name: z.string() });
const right = () => Response.json({ name: "Bakery" });

/** Asks a server that answers with each of the responses in turn, and with the last one for ever. */
async function ask(responses: (() => Response | Promise<Response>)[]) {
  let asked = 0;
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => responses[Math.min(asked++, responses.length - 1)]!(),
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  const api = new ManagementApi({ ref: REF, url, token: "sbp_token", backoffMs: 1 });
  return { answer: await api.get("", schema).catch((error) => error), asked };
}

const cutOff = () =>
  new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"name": "Ba'));
        controller.error(new Error("cut off"));
      },
    }),
  );
const html = (status: number) => () =>
  new Response("<html>Bad gateway</html>", { status, headers: { "content-type": "text/html" } });

Deno.test("a busy, broken or interrupted answer is asked for again", async () => {
  const { answer, asked } = await ask([
    () => Response.json({ message: "slow down" }, { status: 429, headers: { "retry-after": "0" } }),
    html(502),
    cutOff,
    () => Response.json({ message: "oops" }, { status: 500 }),
    right,
  ]);
  assertEquals([answer, asked], [{ name: "Bakery" }, 5]);
});

Deno.test("an API that stays broken is named after six attempts", async () => {
  const { answer, asked } = await ask([
    () => Response.json({ message: "Failed to do it." }, { status: 503 }),
  ]);
  assertEquals(asked, 6);
  assertEquals(
    answer.message,
    "GET of the project failed 6 times: the Management API answers 503: Failed to do it. Try again later.",
  );
});

Deno.test("a wait that is asked for and too long ends at once", async () => {
  const { asked } = await ask([
    () => new Response(null, { status: 429, headers: { "retry-after": "3600" } }),
  ]);
  assertEquals(asked, 1);
});

Deno.test("refusals say what to change, and are not repeated", async () => {
  for (
    const [status, hint] of [
      [401, "refuses SUPABASE_ACCESS_TOKEN (401)"],
      [403, "must belong to an owner or administrator"],
      [404, `Check the project ref ${REF}`],
      [400, "refuses GET of the project (400): no reason given."],
    ] as const
  ) {
    const { answer, asked } = await ask([
      () => Response.json({ message: "no reason given." }, { status }),
    ]);
    assertStringIncludes(answer.message, hint);
    assertEquals(asked, 1);
  }
});

Deno.test("an answer of another form is an error, not a wrong value", async () => {
  for (const wrong of [() => Response.json({ title: "x" }), html(200), () => new Response("")]) {
    const { answer } = await ask([wrong]);
    assertStringIncludes(answer.message, "in a form this version does not know");
  }
});

Deno.test("the command line and the environment are checked before anything is asked", async () => {
  const connect = (env: Record<string, string>, ref = REF) =>
    Promise.try(() => connectManagementApi(env, ref));
  const token = { SUPABASE_ACCESS_TOKEN: "sbp_token" };
  await assertRejects(() => connect(token, "short"), CommandError, "20 letters");
  await assertRejects(() => connect({}), CommandError, "SUPABASE_ACCESS_TOKEN is not set");
  await assertRejects(
    () => connect({ SUPABASE_ACCESS_TOKEN: "a b" }),
    CommandError,
    "characters that no token has",
  );
  await assertRejects(
    () => connect({ ...token, SUPABASE_API_URL: "nowhere" }),
    CommandError,
    "SUPABASE_API_URL is not an address",
  );
  assertEquals((await connect(token)).url, "https://api.supabase.com");
});

Deno.test("the key named default comes first, and legacy keys serve where there are no others", () => {
  const legacy = [
    { name: "anon", type: "legacy", api_key: "anon" },
    { name: "service_role", type: "legacy", api_key: "service" },
  ];
  assertEquals(readKeys(legacy), {
    publishable: "anon",
    secret: "service",
    allSecret: ["service"],
  });
  // An older form of the API has no types.
  assertEquals(readKeys([{ name: "anon", api_key: "a" }, { name: "service_role", api_key: "s" }]), {
    publishable: "a",
    secret: "s",
    allSecret: ["s"],
  });
  assertEquals(
    readKeys([
      { name: "schedule", type: "secret", api_key: "second" },
      { name: "default", type: "secret", api_key: "first" },
      { name: "web", type: "publishable", api_key: "web" },
      ...legacy,
    ]),
    { publishable: "web", secret: "first", allSecret: ["first", "second", "service"] },
  );
});
