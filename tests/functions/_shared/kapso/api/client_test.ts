/**
 * The client of Kapso's API against a fake Kapso that misbehaves.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  createKapsoClient,
  type KapsoClientOptions,
  KapsoError,
  type Page,
} from "../../../../../supabase/functions/_shared/kapso/api/client.ts";
import { eventually } from "../../../../support/eventually.ts";
import { type FakeKapsoOptions, startFakeKapso } from "../../../../../fakes/kapso/fake_kapso.ts";
import type { Misbehaviour } from "../../../../../fakes/kapso/server.ts";

/** A fake, and a client that notes its waits instead of waiting. */
async function start(options: FakeKapsoOptions & { client?: Partial<KapsoClientOptions> } = {}) {
  const { client, ...rest } = options;
  const fake = await startFakeKapso({ timeScale: 0.01, ...rest });
  const waits: number[] = [];
  const kapso = createKapsoClient({
    baseUrl: fake.url,
    apiKey: fake.apiKey,
    delay: (ms) => {
      waits.push(Math.round(ms));
      return Promise.resolve();
    },
    random: () => 0,
    ...client,
  });
  return {
    fake,
    kapso,
    waits,
    phoneNumberId: fake.phoneNumber.phoneNumberId,
    [Symbol.asyncDispose]: () => fake.stop(),
  };
}

async function idsOf(pages: AsyncIterable<Page>): Promise<unknown[]> {
  return (await Array.fromAsync(pages)).flatMap(({ rows }) => rows.map(({ id }) => id));
}

const failure = (action: () => Promise<unknown>) => assertRejects(action, KapsoError);
/** Answers to one request after the other, without a network. */
const answers = (...given: (Response | Error)[]): typeof fetch => () => {
  const next = given.shift()!;
  return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
};
const json = (body: unknown, init?: ResponseInit) => Response.json(body, init);
const offline = (
  given: (Response | Error)[],
  options: Partial<KapsoClientOptions> = {},
) =>
  createKapsoClient({
    apiKey: "key",
    fetch: answers(...given),
    delay: () => Promise.resolve(),
    ...options,
  });

// Lists --------------------------------------------------------------------------------------------

Deno.test("lists are read to their end despite failures", async () => {
  await using setup = await start({ client: { maxAttempts: 10 } });
  const { fake, kapso, phoneNumberId } = setup;
  const contact = fake.addContact();
  const sent = Array.from({ length: 57 }, (_, index) => fake.receiveMessage(contact, `${index}`));
  fake.misbehave(
    { kind: "html", status: 502 },
    { kind: "status", status: 429, headers: { "Retry-After": "2" } },
    { kind: "cut", afterBytes: 40 },
    { kind: "status", status: 500, body: "" },
    { kind: "cut", afterBytes: 0 },
  );
  fake.failureRate = 0.2;
  const listed = await idsOf(kapso.listMessages(phoneNumberId, { pageSize: 10 }));
  assertEquals(listed, sent.map(({ id }) => id).reverse());
  fake.failureRate = 0;
  const [page] = await Array.fromAsync(kapso.listMessages(phoneNumberId, { direction: "inbound" }));
  assertEquals([page!.rows.length, page!.after], [57, undefined]);
  assert("statuses" in (page!.rows[0]!.kapso as object), "all of Kapso's extras are asked for");
  assertEquals(await idsOf(kapso.listMessages(phoneNumberId, { direction: "outbound" })), []);
});

Deno.test("a walk resumes from a stored cursor", async () => {
  await using setup = await start();
  const { fake, kapso, phoneNumberId } = setup;
  for (let index = 0; index < 25; index++) fake.receiveMessage(fake.addContact(), `${index}`);
  const all = await idsOf(kapso.listConversations(phoneNumberId));
  assertEquals(all.length, 25);
  for await (const page of kapso.listConversations(phoneNumberId, { pageSize: 10 })) {
    assertEquals(
      await idsOf(kapso.listConversations(phoneNumberId, { after: page.after! })),
      all.slice(10),
    );
    break;
  }
  assertEquals((await idsOf(kapso.listContacts(phoneNumberId, { pageSize: 4 }))).length, 25);
});

Deno.test("a cursor is found in either place, and a repeated one is not followed", async () => {
  const page = (id: string, paging: unknown) => json({ data: [{ id }], paging });
  const kapso = offline([
    page("1", { cursors: { after: "a" }, next: "other" }),
    page("2", { next: "b" }),
    page("3", { next: "https://api.kapso.ai/meta/whatsapp/v24.0/1/messages?limit=1&after=c" }),
    page("4", { cursors: { after: "d" } }),
    json({ data: [], paging: { cursors: { after: "d" } } }),
  ]);
  assertEquals(await idsOf(kapso.listMessages("1")), ["1", "2", "3", "4"]);

  const circle = offline([
    page("1", { cursors: { after: "a" } }),
    page("2", { cursors: { after: "b" } }),
    page("3", { cursors: { after: "a" } }),
  ]);
  const { code, isRetryable } = await failure(() => idsOf(circle.listMessages("1")));
  assertEquals([code, isRetryable], ["cursor_repeated", false]);
});

// Repeats ------------------------------------------------------------------------------------------

Deno.test("reads wait longer each time, and as long as Kapso asks", async () => {
  const unwell = () => new Response("<html>", { status: 503 });
  const ok = () => json({ data: { id: "1" } });
  const waits: number[] = [];
  const delay = (ms: number) => Promise.resolve(void waits.push(Math.round(ms)));
  await offline([unwell(), unwell(), unwell(), ok()], { delay, random: () => 0 }).getConversation(
    "1",
  );
  assertEquals(waits.splice(0), [500, 1000, 2000]);
  await offline([unwell(), ok()], { delay, random: () => 0.5 }).getConversation("1");
  assertEquals(waits.splice(0), [750]);
  const limited = (after: string) =>
    json({ error: "Rate limit exceeded" }, { status: 429, headers: { "Retry-After": after } });
  await offline([limited("7"), ok()], { delay, random: () => 0 }).getConversation("1");
  assertEquals(waits.splice(0), [7000]);
  const date = new Date(90_000).toUTCString();
  await offline([limited(date), ok()], { delay, random: () => 0, now: () => 81_000 })
    .getConversation("1");
  assertEquals(waits.splice(0), [9000]);

  const late = await failure(() =>
    offline([limited("3600"), ok()], { delay }).getConversation("1")
  );
  assertEquals([late.status, late.retryAfterMs, late.isRetryable], [429, 3_600_000, true]);
  assertEquals(waits, [], "longer than anybody wants to wait");
  const given = [unwell(), unwell(), ok()];
  const tired = await failure(() => offline(given, { delay, maxAttempts: 2 }).getConversation("1"));
  assertEquals([tired.status, tired.code, tired.isRetryable], [503, "server_error", true]);
});

Deno.test("after a 429 no read is sent before its wait is over, also of those at work at the same time", async () => {
  const sent: string[] = [];
  const limits = { limited: "3", refused: "3600" };
  const waits = new Map<number, () => void>();
  const start = () => {
    const failing = new Set<string>();
    return createKapsoClient({
      apiKey: "key",
      fetch: (input) => {
        const name = new URL(String(input)).pathname.split("/").at(-1)!;
        sent.push(name);
        if (failing.has(name)) return Promise.resolve(json({ data: { id: name } }));
        failing.add(name);
        const after = limits[name as keyof typeof limits];
        return Promise.resolve(
          after === undefined
            ? json({}, { status: 503 })
            : json({}, { status: 429, headers: { "Retry-After": after } }),
        );
      },
      delay: (ms) => new Promise((resolve) => waits.set(ms, resolve)),
      random: () => 0,
    });
  };
  const kapso = start();
  const reads = [kapso.getConversation("limited"), kapso.getConversation("unwell")];
  await eventually("both wait", () => waits.size === 2);
  waits.get(500)!();
  const later = kapso.getConversation("limited");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(sent.splice(0), ["limited", "unwell"]);
  waits.get(3000)!();
  assertEquals((await Promise.all([...reads, later])).map(({ id }) => id), [
    "limited",
    "unwell",
    "limited",
  ]);
  assertEquals(sent.splice(0).sort(), ["limited", "limited", "unwell"]);

  // Longer than this client waits: nothing is read until then.
  waits.clear();
  const other = start();
  const error = failure(() => other.getConversation("refused"));
  const unwell = failure(() => other.getConversation("unwell"));
  assertEquals((await error).retryAfterMs, 3_600_000);
  waits.get(500)!();
  assertEquals((await unwell).status, 429);
  assertEquals((await failure(() => other.getConversation("later"))).status, 429);
  assertEquals(sent, ["refused", "unwell"]);
});

Deno.test("reads slow down before the rate limit is used up", async () => {
  await using setup = await start({
    rateLimit: 20,
    timeScale: 1,
    startAt: Date.UTC(2026, 2, 2),
  });
  const { kapso, waits, phoneNumberId } = setup;
  for (let index = 0; index < 18; index++) await kapso.getPhoneNumber(phoneNumberId);
  assertEquals(waits, []);
  assertEquals(kapso.rateLimit(), { limit: 20, remaining: 2 });
  await kapso.getPhoneNumber(phoneNumberId);
  await kapso.getPhoneNumber(phoneNumberId);
  assertEquals(waits, [20_000, 30_000]);
});

Deno.test("a lasting refusal is requested once", async () => {
  await using setup = await start();
  const { fake, kapso, phoneNumberId } = setup;
  const cases: [Misbehaviour, Partial<KapsoError>][] = [
    [{ kind: "status", status: 400 }, { code: "invalid_request" }],
    [{ kind: "status", status: 401, body: "{}" }, { code: "unauthorized" }],
    [
      { kind: "status", status: 402, body: '{"error":"No credits","code":"insufficient_credits"}' },
      { code: "insufficient_credits", message: "No credits" },
    ],
    [{ kind: "html", status: 404 }, { code: "not_found", message: "Kapso answered 404" }],
    [{ kind: "status", status: 422, body: "" }, { code: "unprocessable" }],
  ];
  for (const [misbehaviour, expected] of cases) {
    fake.misbehave(misbehaviour);
    const before = fake.requests.length;
    const error = await failure(() => kapso.getPhoneNumber(phoneNumberId));
    assertEquals(fake.requests.length, before + 1);
    assertEquals([error.isRetryable, error.isAmbiguous], [false, false]);
    for (const [name, value] of Object.entries(expected)) {
      assertEquals(error[name as keyof KapsoError], value);
    }
  }
});

Deno.test("a walk and a wait end when they are aborted", async () => {
  await using setup = await start({ client: { delay: undefined as never } });
  const { fake, kapso, phoneNumberId } = setup;
  const given = new AbortController();
  fake.misbehave({ kind: "status", status: 429, headers: { "Retry-After": "30" } });
  const waiting = kapso.getPhoneNumber(phoneNumberId, { signal: given.signal });
  await eventually("the request has arrived", () => fake.requests.length > 0);
  given.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  fake.misbehave({ kind: "silent" });
  const slow = createKapsoClient({
    baseUrl: fake.url,
    apiKey: fake.apiKey,
    timeoutMs: 50,
    maxAttempts: 1,
  });
  const error = await failure(() => slow.getPhoneNumber(phoneNumberId));
  assertEquals([error.status, error.code, error.isRetryable], [0, "timeout", true]);
});

// Sending ------------------------------------------------------------------------------------------

Deno.test("a message is sent once, and a lost answer is ambiguous", async () => {
  await using setup = await start();
  const { fake, kapso, waits, phoneNumberId } = setup;
  const contact = fake.addContact({ phone: "5511988887777", waId: "551188887777" });
  fake.receiveMessage(contact, "hi");
  const body = { to: "5511988887777", type: "text", text: { body: "hello" } };
  const sent = await kapso.sendMessage(phoneNumberId, {
    ...body,
    biz_opaque_callback_data: "outbox-1",
  });
  assertEquals(sent.waId, "551188887777");
  assertEquals(fake.state.messagesById.get(sent.id)?.callbackData, "outbox-1");

  const patient = createKapsoClient({ baseUrl: fake.url, apiKey: fake.apiKey, timeoutMs: 100 });
  const lost: [Misbehaviour, string, number][] = [
    [{ kind: "cut", afterBytes: 0 }, "network", 0],
    [{ kind: "cut", afterBytes: 30 }, "network", 0],
    [{ kind: "silent" }, "timeout", 0],
    [{ kind: "html", status: 504 }, "server_error", 504],
    [{ kind: "status", status: 500 }, "server_error", 500],
  ];
  for (const [misbehaviour, code, status] of lost) {
    fake.misbehave(misbehaviour);
    const before = fake.state.messages.length;
    const error = await failure(() => patient.sendMessage(phoneNumberId, body));
    assertEquals([error.code, error.status, error.isAmbiguous, error.isRetryable], [
      code,
      status,
      true,
      false,
    ]);
    const isDone = !("status" in misbehaviour);
    assertEquals(fake.state.messages.length, before + (isDone ? 1 : 0), code);
  }
  assertEquals(waits, []);
  const unreadable = offline([json({ messages: [] })]);
  assertEquals((await failure(() => unreadable.sendMessage("1", body))).isAmbiguous, true);
});

Deno.test("a refused message says why, and whether it was not sent", async () => {
  await using setup = await start({ sendLatencyMs: 50 });
  const { fake, kapso, phoneNumberId } = setup;
  const open = fake.addContact({ phone: "5511988887777" });
  fake.receiveMessage(open, "hi");
  fake.addContact({ phone: "5511900000000" });
  const text = (to: string) => ({ to, type: "text", text: { body: "hello" } });

  const closed = await failure(() => kapso.sendMessage(phoneNumberId, text("5511900000000")));
  assertEquals([closed.status, closed.metaCode, closed.code], [422, 131047, "meta_131047"]);
  assertEquals([closed.isRetryable, closed.isAmbiguous], [false, false]);
  assertStringIncludes(closed.message, "24 hours");

  const first = kapso.sendMessage(phoneNumberId, text("5511988887777"));
  const second = await failure(() => kapso.sendMessage(phoneNumberId, text("5511988887777")));
  assertEquals([second.status, second.isRetryable, second.isAmbiguous], [409, true, false]);
  await first;
  fake.misbehave({ kind: "status", status: 429, headers: { "Retry-After": "60" } });
  const limited = await failure(() => kapso.sendMessage(phoneNumberId, text("5511988887777")));
  assertEquals([limited.isRetryable, limited.isAmbiguous, limited.retryAfterMs], [
    true,
    false,
    60_000,
  ]);
  const pair = '{"error":{"message":"(#131056) pair rate limit","code":131056}}';
  fake.misbehave({ kind: "status", status: 400, body: pair });
  assertEquals(
    (await failure(() => kapso.sendMessage(phoneNumberId, text("1")))).isRetryable,
    true,
  );
});

Deno.test("a Kapso that cannot be reached has sent nothing", async () => {
  const { url, ...fake } = await startFakeKapso();
  await fake.stop();
  const kapso = createKapsoClient({ baseUrl: url, apiKey: "key" });
  const error = await failure(() => kapso.sendMessage("1", { to: "1" }));
  assertEquals([error.code, error.isAmbiguous, error.isRetryable], ["network", false, true]);
  const given = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => kapso.sendMessage("1", {}, { signal: given }), Error, "enough");
});

// Keys, hosts, texts -------------------------------------------------------------------------------

Deno.test("the key goes to no other host", async () => {
  const seen: (string | null)[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    seen.push(request.headers.get("X-API-Key"));
    return new Response("{}");
  });
  await using setup = await start();
  const { fake, kapso, phoneNumberId } = setup;
  for (const host of [`http://127.0.0.1:${server.addr.port}`, fake.url]) {
    fake.misbehave({ kind: "status", status: 302, headers: { Location: `${host}/x` } });
    const error = await failure(() => kapso.getPhoneNumber(phoneNumberId));
    assertEquals([error.code, error.isRetryable], ["redirect_refused", false]);
  }
  assertEquals(seen, []);
  await server.shutdown();
});

Deno.test("a base URL may have a path of the API, and must be encrypted", () => {
  const baseUrl = (baseUrl: string) => createKapsoClient({ apiKey: "key", baseUrl }).baseUrl;
  assertEquals(createKapsoClient({ apiKey: "key" }).baseUrl, "https://api.kapso.ai");
  assertEquals(baseUrl("https://api.kapso.ai/meta/whatsapp/v23.0/"), "https://api.kapso.ai");
  assertEquals(baseUrl("https://proxy.example/kapso/platform/v1"), "https://proxy.example/kapso");
  assertEquals(baseUrl("http://127.0.0.1:8000/"), "http://127.0.0.1:8000");
  for (
    const bad of ["api.kapso.ai", "http://api.kapso.ai", "ftp://x", "https://user@api.kapso.ai"]
  ) {
    assertThrows(() => baseUrl(bad), TypeError);
  }
});

Deno.test("the version is in every path of the proxy, and an id cannot lead elsewhere", async () => {
  const paths: string[] = [];
  const kapso = createKapsoClient({
    apiKey: "key",
    fetch: (input) => {
      paths.push(new URL(String(input)).pathname);
      return Promise.resolve(json({ data: [{ id: "1" }], id: "1", messages: [{ id: "w" }] }));
    },
  });
  await kapso.sendMessage("10", {});
  await kapso.markRead("10", "wamid.A");
  await kapso.uploadMedia("10", new Blob(["x"], { type: "image/png" }), "x.png");
  await kapso.getMedia("77", "10");
  await kapso.getMessage("10", "wamid.A/../B=");
  for await (const _ of kapso.listTemplates("waba")) break;
  assertEquals(paths.filter((path) => !path.startsWith("/meta/whatsapp/v24.0/")), []);
  assertStringIncludes(paths[4]!, "wamid.A%2F..%2FB%3D");
  for (const id of ["", ".", ".."]) assertThrows(() => kapso.getConversation(id), TypeError);
});

Deno.test("an error message has no key, link or phone number", async () => {
  const said =
    "Bad key sk-secret for +55 11 98888-7777, 5511988887777 rita@example.com https://x.y/z";
  for (const error of [said, { message: said, code: 100 }]) {
    const kapso = offline([json({ error }, { status: 400 })], { apiKey: "sk-secret" });
    assertEquals(
      (await failure(() => kapso.getConversation("1"))).message,
      "Bad key … for …, … … …",
    );
  }
});

// Everything else ----------------------------------------------------------------------------------

Deno.test("files, read marks, conversations and contacts", async () => {
  await using setup = await start();
  const { fake, kapso, phoneNumberId } = setup;
  const contact = fake.addContact({ name: "Rita", phone: "5511988887777" });
  const message = fake.receiveMessage(contact, "hi");
  const session = fake.sessionOf(contact)!;

  const file = new Blob(["0123456789"], { type: "application/pdf" });
  const { id } = await kapso.uploadMedia(phoneNumberId, file, "receipt.pdf");
  const media = await kapso.getMedia(id, phoneNumberId);
  assertEquals([media.mimeType, media.size], ["application/pdf", 10]);
  assert(media.downloadUrl && media.downloadUrlExpiresAt);
  await kapso.sendMessage(phoneNumberId, { to: contact.phone, type: "document", document: { id } });
  assertEquals(fake.state.messages.at(-1)?.type, "document");

  await kapso.markRead(phoneNumberId, message.id, { typing: true });
  assertEquals((await failure(() => kapso.markRead(phoneNumberId, "wamid.X"))).metaCode, 131009);
  assertEquals((await kapso.getMessage(phoneNumberId, message.id)).id, message.id);
  assertEquals((await kapso.setConversationStatus(session.id, "ended")).status, "ended");
  assertEquals((await kapso.getConversation(session.id)).status, "ended");
  await kapso.updateContact(contact.id, { display_name: "Rita (VIP)", metadata: { vip: true } });
  assertEquals([contact.displayName, contact.metadata], ["Rita (VIP)", { vip: true }]);
  assertEquals((await kapso.listPhoneNumbers()).length, 1);
  assertEquals((await kapso.getPhoneNumber(phoneNumberId)).phone_number_id, phoneNumberId);
  assertEquals((await kapso.getPhoneNumberHealth(phoneNumberId)).status, "healthy");
});

Deno.test("webhooks of a number", async () => {
  await using setup = await start();
  const { fake, kapso, phoneNumberId } = setup;
  const settings = {
    url: "http://127.0.0.1:1/hook",
    secret_key: "secret",
    kind: "kapso",
    events: ["whatsapp.message.received"],
  };
  const { id } = await kapso.createWebhook(phoneNumberId, settings);
  assertEquals((await failure(() => kapso.createWebhook(phoneNumberId, settings))).status, 409);
  fake.misbehave({ kind: "status", status: 500 });
  const change = { active: false };
  assertEquals((await failure(() => kapso.updateWebhook(String(id), change))).isAmbiguous, true);
  fake.misbehave({ kind: "status", status: 500 });
  const changed = await kapso.updateWebhook(String(id), change, { isRepeatable: true });
  assertEquals(changed.active, false);
  await kapso.testWebhook(String(id), "whatsapp.message.received");
  await fake.settled();
  assertEquals((await kapso.listWebhooks(phoneNumberId)).map((row) => row.id), [id]);
  const [delivery] = await kapso.listDeliveries(String(id));
  assertEquals([delivery!.webhook_id, delivery!.status], [id, "failed"]);
});

Deno.test("templates, assignments and workflows", async () => {
  await using setup = await start();
  const { fake, kapso, phoneNumberId } = setup;
  for (let index = 0; index < 5; index++) fake.addTemplate({ name: `template_${index}` });
  const account = String((await kapso.getPhoneNumber(phoneNumberId)).business_account_id);
  assertEquals((await idsOf(kapso.listTemplates(account, { pageSize: 2 }))).length, 5);

  fake.receiveMessage(fake.addContact(), "hi");
  const session = fake.state.conversations[0]!;
  const user = fake.addUser("Maria");
  await kapso.assignConversation(session.id, { userId: user.id, notes: "hers" });
  assertEquals(session.assignedUserId, user.id);

  const { id } = fake.addWorkflow({ name: "Welcome" });
  assertEquals((await kapso.listWorkflows({ nameContains: "wel" })).length, 1);
  const { lock_version } = await kapso.getWorkflow(id);
  const { definition } = await kapso.getWorkflowDefinition(id);
  await kapso.updateWorkflow(id, { lock_version, definition, name: "Hello" });
  const stale = await failure(() => kapso.updateWorkflow(id, { lock_version, name: "Late" }));
  assertEquals([stale.status, stale.isAmbiguous], [409, false]);
  fake.workflowRefusal = 403;
  assertEquals((await failure(() => kapso.listWorkflows())).code, "forbidden");
});

Deno.test("a request that only reads ends in time, however long Kapso keeps silent", async () => {
  await using setup = await start({ client: { deadlineMs: 300, timeoutMs: 120 } });
  const { fake, kapso, phoneNumberId } = setup;
  fake.misbehave(...Array.from({ length: 4 }, () => ({ kind: "silent" } as const)));
  const error = await failure(() => kapso.getMessage(phoneNumberId, "wamid.unknown"));
  assertEquals([error.code, error.isRetryable, error.isAmbiguous], ["timeout", true, false]);
  // Four attempts of 120 ms would have been more.
  assertEquals(fake.requests.length, 3);
});
