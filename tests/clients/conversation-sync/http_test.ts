/**
 * What the client does when the API does not do what it should: nothing ever throws unless asked to,
 * nothing takes longer than it may, and nothing is sent twice that must not be.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";

import {
  ConversationStateService,
  ConversationSyncError,
} from "../../../clients/conversation-sync/src/mod.ts";
import {
  type Behaviour,
  cutOff,
  failure,
  held,
  html,
  KEY,
  ok,
  serviceOn,
  startFakeApi,
  STATE,
  text,
} from "../../../fakes/agent_api.ts";

const PHONE = "+51999888777";
const TEXT = "I live at number 7";
const session = { sessionId: "bot_51999888777_1_x" };
type Call = (service: ConversationStateService) => Promise<unknown>;

/** Calls that may be repeated. */
const REPEATABLE: Record<string, Call> = {
  getConversationByPhone: (service) => service.getConversationByPhone(PHONE),
  createConversation: (service) => service.createConversation({ userId: PHONE }),
  syncConversationFromAgent: (service) =>
    service.syncConversationFromAgent({ ...session, intent: "order", step: "cart" }),
  updateIntent: (service) => service.updateIntent({ ...session, intent: "order" }),
  updateContext: (service) => service.updateContext({ ...session, context: {} }),
  extend: (service) => service.extend(session),
  "addMessage with messageId": (service) =>
    service.addMessage({ ...session, role: "user", content: TEXT, messageId: "wamid.1" }),
  "addMessageFromAgent with messageId": (service) =>
    service.addMessageFromAgent({ ...session, role: "bot", content: TEXT, messageId: "wamid.1" }),
  linkOrder: (service) => service.linkOrder({ ...session, orderId: "o1" }),
  "linkOrder with version": (service) =>
    service.linkOrder({ ...session, orderId: "o1", version: 3 }),
  end: (service) => service.end(session),
};

/** Calls that must be sent once. */
const ONCE: Record<string, Call> = {
  addMessage: (service) => service.addMessage({ ...session, role: "user", content: TEXT }),
  addMessageFromAgent: (service) =>
    service.addMessageFromAgent({ ...session, role: "bot", content: TEXT }),
  // To the API, an empty id is none.
  "addMessage with an empty messageId": (service) =>
    service.addMessage({ ...session, role: "user", content: TEXT, messageId: "" }),
  "addMessageFromAgent with an empty messageId": (service) =>
    service.addMessageFromAgent({ ...session, role: "bot", content: TEXT, messageId: "" }),
  "syncConversationFromAgent with version": (service) =>
    service.syncConversationFromAgent({ ...session, intent: "order", step: "cart", version: 3 }),
  "updateIntent with version": (service) =>
    service.updateIntent({ ...session, intent: "order", version: 3 }),
  "updateContext with version": (service) =>
    service.updateContext({ ...session, context: {}, version: 3 }),
  "extend with version": (service) => service.extend({ ...session, version: 3 }),
  reset: (service) => service.reset(session),
};

const CALLS_WITH_ONE_ARGUMENT = [
  "lookupTenantByPhone",
  "lookupBusiness",
  "getConversationByPhone",
  "syncConversationFromAgent",
  "addMessageFromAgent",
  "createConversation",
  "getConversation",
  "getConversationByUser",
  "updateIntent",
  "updateContext",
  "addMessage",
  "reset",
  "extend",
  "linkOrder",
  "listOrders",
  "end",
] as const;

/** What may pass, and what it is called. */
const TRANSIENT: Record<string, [Behaviour, ConversationSyncError["kind"]]> = {
  "500": [failure(500), "unavailable"],
  "502 as a page of HTML": [html(502), "unavailable"],
  "503": [failure(503), "unavailable"],
  "503 with Retry-After": [failure(503, { headers: { "retry-after": "0.01" } }), "unavailable"],
  "504 without a body": [text("", 504), "unavailable"],
  "429 with Retry-After": [failure(429, { headers: { "retry-after": "0" } }), "unavailable"],
  "an answer that is cut off": [cutOff(), "network"],
  "200 as a page of HTML": [html(200), "invalid_response"],
  "garbage": [text('{"type":"1","data":{'), "invalid_response"],
  "JSON of another program": [text('{"hello":"world"}'), "invalid_response"],
  "an answer without a session": [ok({ unexpected: true }), "invalid_response"],
};

/** What will not pass. */
const FINAL: Record<string, [Behaviour, ConversationSyncError["kind"]]> = {
  "400": [failure(400), "rejected"],
  "401": [failure(401), "unauthorized"],
  "403": [failure(403), "unauthorized"],
  "404 of the gateway": [
    text('{"code":"NOT_FOUND","message":"No such function"}', 404),
    "rejected",
  ],
  "404 of a path that is not there": [failure(404, { code: "not_found" }), "rejected"],
  "404 of a business that is not there": [
    failure(404, { code: "workspace_not_found" }),
    "not_found",
  ],
  "404 as a page of HTML": [html(404), "rejected"],
  "413": [failure(413), "rejected"],
  "an error with status 200": [text('{"type":"3","message":"no"}'), "rejected"],
  "a redirect": [
    () => new Response(null, { status: 307, headers: { location: "/elsewhere" } }),
    "rejected",
  ],
};

Deno.test("a call that may be repeated survives passing failures", async (t) => {
  await using api = startFakeApi();
  for (const [trouble, [behaviour]] of Object.entries(TRANSIENT)) {
    for (const [name, call] of Object.entries(REPEATABLE)) {
      await t.step(`${name}, ${trouble}`, async () => {
        api.requests.length = 0;
        const service = serviceOn(api);
        api.next(behaviour, behaviour);
        assert(await call(service) !== null);
        assertEquals(api.requests.length, 3);
        const [first, ...repeats] = api.requests.map(({ path, body }) => ({ path, body }));
        for (const repeat of repeats) assertEquals(repeat, first);
        assertEquals(service.entries, []);
        assertEquals([service.metrics().retries, service.metrics().calls.total], [2, 1]);
      });
    }
  }
});

Deno.test("a call that must be sent once is", async (t) => {
  await using api = startFakeApi();
  for (const [trouble, [behaviour, kind]] of Object.entries(TRANSIENT)) {
    for (const [name, call] of Object.entries(ONCE)) {
      await t.step(`${name}, ${trouble}`, async () => {
        api.requests.length = 0;
        const service = serviceOn(api);
        api.next(behaviour);
        assertEquals(await call(service), null);
        assertEquals(api.requests.length, 1);
        assertEquals(service.entries[0]?.fields.kind, kind);
      });
    }
  }
});

Deno.test("a lasting failure is not retried, and does not throw", async (t) => {
  await using api = startFakeApi();
  for (const [trouble, [behaviour, kind]] of Object.entries(FINAL)) {
    await t.step(trouble, async () => {
      api.requests.length = 0;
      const service = serviceOn(api);
      api.next(behaviour);
      assertEquals(await service.getConversationByPhone(PHONE), null);
      assertEquals(api.requests.length, 1);
      assertEquals(service.entries.map(({ fields }) => fields.kind), [kind]);
      api.next(behaviour);
      const error = await assertRejects(
        () => service.getConversationByPhone(PHONE, { throwOnError: true }),
        ConversationSyncError,
      );
      assertEquals(error.kind, kind);
    });
  }
});

Deno.test("a failure that lasts through all retries is reported", async () => {
  await using api = startFakeApi();
  api.always(failure(500));
  const service = serviceOn(api, { retries: 4 });
  assertEquals(await service.end(session), null);
  assertEquals(api.requests.length, 5);
  assertEquals(service.metrics().calls, { total: 1, failed: 1, averageMs: 0 });
});

Deno.test("an API that never answers takes no longer than the time limit", async () => {
  await using api = startFakeApi();
  using held1 = held();
  api.always(held1.behaviour);
  const service = serviceOn(api, { timeoutMs: 40 });
  assertEquals(await service.end(session), null);
  assertEquals(await service.end(session, { timeoutMs: 10 }), null);
  assertEquals(await service.health(), false);
  assertEquals(service.entries.map(({ fields }) => fields.kind), ["timeout", "timeout"]);
  assert(api.requests.length <= 3);
});

Deno.test("an answer that begins and never ends takes no longer than the time limit", async () => {
  await using api = startFakeApi();
  const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
  api.always(() =>
    new Response(
      new ReadableStream({
        async pull(controller) {
          controller.enqueue(new TextEncoder().encode("{"));
          await isOver;
          controller.close();
        },
      }, { highWaterMark: 0 }),
    )
  );
  const service = serviceOn(api, { timeoutMs: 40 });
  assertEquals(await service.end(session), null);
  assertEquals(service.entries[0]!.fields.kind, "timeout");
  end();
});

Deno.test("Retry-After is waited for", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api);
  api.next(failure(503, { headers: { "retry-after": "0.2" } }));
  assert(await service.end(session) !== null);
  const [first, second] = api.requests;
  assertGreaterOrEqual(second!.atMs - first!.atMs, 199);
});

Deno.test("Retry-After that does not fit into the time limit ends the call at once", async () => {
  await using api = startFakeApi();
  const headers = [
    { "retry-after": "3600" },
    { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() },
  ];
  for (const each of headers) {
    api.next(failure(503, { headers: each }));
    const service = serviceOn(api);
    const error = await assertRejects(
      () => service.end(session, { throwOnError: true }),
      ConversationSyncError,
    );
    assertEquals(error.kind, "unavailable");
    assertGreaterOrEqual(error.retryAfterMs!, 3_500_000);
  }
  assertEquals(api.requests.length, 2);
});

Deno.test("the waits before retries double, with jitter", async () => {
  await using api = startFakeApi();
  api.always(failure(500));
  const spread: number[] = [];
  const random = () => {
    spread.push(0.5);
    return 0.5;
  };
  await serviceOn(api, { retries: 3, retryDelayMs: 40, random }).end(session);
  const times = api.requests.map(({ atMs }) => atMs);
  const gaps = times.slice(1).map((time, index) => time - times[index]!);
  assertEquals(spread.length, 3);
  // Half of 40, 80 and 160; timers may be a little early.
  for (const [index, least] of [19, 39, 79].entries()) assertGreaterOrEqual(gaps[index]!, least);
});

Deno.test("no server: no throw", async () => {
  const api = startFakeApi();
  await api[Symbol.asyncDispose]();
  const service = serviceOn(api);
  assertEquals(await service.lookupTenantByPhone(PHONE), null);
  assertEquals(await service.health(), false);
  assertEquals(service.entries.map(({ fields }) => fields.kind), ["network"]);
});

Deno.test("a signal ends a call", async () => {
  await using api = startFakeApi();
  using slow = held();
  api.always(slow.behaviour);
  const service = serviceOn(api);
  const controller = new AbortController();
  const running = service.end(session, { signal: controller.signal });
  await slow.arrived;
  controller.abort();
  assertEquals(await running, null);
  assertEquals(await service.end(session, { signal: controller.signal }), null);
  assertEquals(await service.health({ signal: controller.signal }), false);
  assertEquals(service.entries.map(({ level, fields }) => [level, fields.kind]), [
    ["warn", "aborted"],
    ["warn", "aborted"],
  ]);
});

Deno.test("a signal ends the wait before a retry", async () => {
  await using api = startFakeApi();
  const controller = new AbortController();
  api.always((request) => {
    controller.abort();
    return failure(503, { headers: { "retry-after": "5" } })(request);
  });
  const service = serviceOn(api);
  assertEquals(await service.end(session, { signal: controller.signal }), null);
  assertEquals(api.requests.length, 1);
});

Deno.test("a key does not go where a redirect points", async () => {
  await using api = startFakeApi();
  await using elsewhere = startFakeApi();
  api.always(() => Response.redirect(`${elsewhere.url}/`, 302));
  assertEquals(await serviceOn(api).getConversationByPhone(PHONE), null);
  assertEquals(elsewhere.requests, []);
});

Deno.test("a conflict brings the state as it is", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api);
  const sync = { ...session, intent: "order", step: "cart", version: 3 };
  api.always(failure(409, { code: "version_conflict", data: { ...STATE, version: 4 } }));
  assertEquals(await service.syncConversationFromAgent(sync), null);
  const error = await assertRejects(
    () => service.syncConversationFromAgent(sync, { throwOnError: true }),
    ConversationSyncError,
  );
  assertEquals([error.kind, error.status, error.code], ["conflict", 409, "version_conflict"]);
  assertEquals(error.current?.version, 4);
});

Deno.test("neither the log nor an error holds a phone, a text, a session or a key", async () => {
  await using api = startFakeApi();
  const SECRETS = [
    "51999888777",
    "999 888 777",
    TEXT,
    session.sessionId,
    KEY,
    "The text of the API",
  ];
  const troubles: Behaviour[] = [
    ...[...Object.values(TRANSIENT), ...Object.values(FINAL)].map(([behaviour]) => behaviour),
    // A server that repeats what it was sent.
    ({ path, body }) =>
      Response.json({ type: "3", code: path, request_id: `${path} ${body?.content}` }, {
        status: 400,
      }),
  ];
  const calls = [...Object.values(REPEATABLE), ...Object.values(ONCE)];
  const service = serviceOn(api, { retries: 0, throwOnError: true });
  const errors: unknown[] = [];
  for (const behaviour of troubles) {
    for (const call of calls) {
      api.next(behaviour);
      await call(service).catch((error) => errors.push(error));
    }
  }
  const gone = startFakeApi();
  await gone[Symbol.asyncDispose]();
  const lonely = serviceOn(gone, { retries: 0, throwOnError: true });
  for (const call of calls) await call(lonely).catch((error) => errors.push(error));

  // Not a session that is not there: nothing, where it is only looked up.
  assertGreaterOrEqual(errors.length, (troubles.length + 1) * calls.length - 1);
  const written = JSON.stringify([service.entries, lonely.entries]) +
    errors.map((error) => Deno.inspect(error) + JSON.stringify(error)).join("\n");
  for (const secret of SECRETS) assert(!written.includes(secret), secret);
});

Deno.test("arguments that make no request are a failure like others", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api);
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const calls: Call[] = [
    (service) => service.lookupTenantByPhone(""),
    (service) => service.getConversation({ sessionId: ".." }),
    (service) => service.getConversationByUser({ userId: "." }),
    (service) => service.updateContext({ ...session, context: cyclic }),
    (service) => service.updateContext({ ...session, context: { big: 1n } }),
    (service) => service.end({ sessionId: undefined as unknown as string }),
    (service) => service.end({ ...session, subDomain: "" }),
    (service) => service.linkOrder({ ...session, orderId: " " }),
    (service) => service.end(session, { timeoutMs: NaN }),
    // As JavaScript can, unlike TypeScript.
    ...CALLS_WITH_ONE_ARGUMENT.flatMap((name): Call[] =>
      [undefined, null].map((nothing) => (service) => service[name](nothing as never))
    ),
  ];
  for (const call of calls) assertEquals(await call(service), null);
  assertEquals(
    service.entries.map(({ fields }) => fields.kind),
    calls.map(() => "invalid_argument"),
  );
  assertEquals(api.requests, []);
});

Deno.test("null is as good as nothing where something may be left out", async () => {
  await using api = startFakeApi();
  const nothing = null as unknown as undefined;
  await serviceOn(api).getConversation({ ...session, localId: nothing }, nothing);
  await serviceOn(api).addMessage(
    { ...session, role: "user", content: TEXT, messageId: nothing },
    nothing,
  );
  assertEquals(api.requests.map(({ path }) => path), [
    `/api/v1/conversations/${session.sessionId}?subDomain=shop`,
    `/api/v1/conversations/${session.sessionId}/messages`,
  ]);
});

Deno.test("a logger that fails is not in the way", async () => {
  await using api = startFakeApi();
  api.always(failure(500));
  const broken = () => {
    throw new Error("the disk is full");
  };
  const rejecting = () => Promise.reject(new Error("the disk is full"));
  for (const log of [broken, rejecting as () => void]) {
    const logger = { info: log, warn: log, error: log };
    assertEquals(await serviceOn(api, { logger }).end(session), null);
  }
});
