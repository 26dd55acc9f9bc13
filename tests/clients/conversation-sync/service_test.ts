/**
 * What each method sends and returns, and what the service remembers and counts.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";

import type { ConversationStateService } from "../../../clients/conversation-sync/src/mod.ts";
import { ConversationSyncError } from "../../../clients/conversation-sync/src/mod.ts";
import { TtlCache } from "../../../clients/conversation-sync/src/ttl_cache.ts";
import {
  failure,
  held,
  KEY,
  ok,
  serviceOn,
  startFakeApi,
  STATE,
} from "../../../fakes/agent_api.ts";

const PHONE = "+51 999-999 999";
const PATH_PHONE = "%2B51%20999-999%20999";
const sessionId = "bot/1_5199_1_x";
const PATH_SESSION = "bot%2F1_5199_1_x";
const TENANT = { subDomain: "shop", sessionId: "s1", botId: "b1", isActive: true, added: "later" };
const ORDERS = { sessionId, currentOrderId: "o1", orderHistory: ["o1"] };

interface Case {
  call: (service: ConversationStateService) => Promise<unknown>;
  method: string;
  path: string;
  body?: unknown;
  data?: unknown;
}

const CASES: Record<string, Case> = {
  lookupTenantByPhone: {
    call: (service) => service.lookupTenantByPhone(PHONE),
    method: "GET",
    path: `/api/v1/whatsapp/lookup/tenant/${PATH_PHONE}`,
    data: TENANT,
  },
  lookupBusiness: {
    call: (service) => service.lookupBusiness("709970042210245"),
    method: "GET",
    path: "/api/v1/whatsapp/lookup/business/709970042210245",
    data: { subDomain: "shop", connectionId: "wa_1", isActive: true },
  },
  getConversationByPhone: {
    call: (service) => service.getConversationByPhone(PHONE),
    method: "GET",
    path: `/api/v1/whatsapp/lookup/conversation/${PATH_PHONE}`,
  },
  "getConversationByPhone with a bot": {
    call: (service) => service.getConversationByPhone(PHONE, { botId: "b&1" }),
    method: "GET",
    path: `/api/v1/whatsapp/lookup/conversation/${PATH_PHONE}?botId=b%261`,
  },
  syncConversationFromAgent: {
    call: (service) =>
      service.syncConversationFromAgent({
        sessionId,
        intent: "payment",
        step: "processing_payment",
        context: { orderTotal: 50 },
        metadata: { agentVersion: "1.0.0" },
        isActive: true,
        version: 7,
      }),
    method: "PUT",
    path: `/api/v1/whatsapp/agent/conversations/${PATH_SESSION}/sync`,
    body: {
      intent: "payment",
      step: "processing_payment",
      context: { orderTotal: 50 },
      metadata: { agentVersion: "1.0.0" },
      isActive: true,
      version: 7,
    },
  },
  addMessageFromAgent: {
    call: (service) =>
      service.addMessageFromAgent({
        sessionId,
        role: "bot",
        content: "¡Perfecto!",
        messageId: "wamid.1",
        timestamp: "2026-02-01T10:00:00Z",
      }),
    method: "POST",
    path: `/api/v1/whatsapp/agent/conversations/${PATH_SESSION}/messages`,
    body: {
      role: "bot",
      content: "¡Perfecto!",
      messageId: "wamid.1",
      timestamp: "2026-02-01T10:00:00Z",
    },
  },
  createConversation: {
    call: (service) =>
      service.createConversation({
        userId: PHONE,
        localId: "branch01",
        botId: "b1",
        metadata: { phoneNumberId: "709970042210245" },
      }),
    method: "POST",
    path: "/api/v1/conversations",
    body: {
      userId: PHONE,
      subDomain: "shop",
      localId: "branch01",
      botId: "b1",
      metadata: { phoneNumberId: "709970042210245" },
    },
  },
  listConversations: {
    call: (service) =>
      service.listConversations({ intent: "order", botId: "b1", limit: 10, offset: 20 }),
    method: "GET",
    path: "/api/v1/conversations?subDomain=shop&botId=b1&intent=order&limit=10&offset=20",
    data: { conversations: [STATE], total: 21, limit: 10, offset: 20 },
  },
  getConversation: {
    call: (service) => service.getConversation({ sessionId, subDomain: "other", localId: "l1" }),
    method: "GET",
    path: `/api/v1/conversations/${PATH_SESSION}?subDomain=other&localId=l1`,
  },
  getConversationByUser: {
    call: (service) => service.getConversationByUser({ userId: PHONE }),
    method: "GET",
    path: `/api/v1/conversations/user/${PATH_PHONE}?subDomain=shop`,
  },
  updateIntent: {
    call: (service) => service.updateIntent({ sessionId, intent: "menu", step: "s", version: 2 }),
    method: "PATCH",
    path: `/api/v1/conversations/${PATH_SESSION}/intent`,
    body: { subDomain: "shop", version: 2, intent: "menu", step: "s" },
  },
  updateContext: {
    call: (service) => service.updateContext({ sessionId, context: { a: 1 }, merge: false }),
    method: "PATCH",
    path: `/api/v1/conversations/${PATH_SESSION}/context`,
    body: { subDomain: "shop", context: { a: 1 }, merge: false },
  },
  addMessage: {
    call: (service) => service.addMessage({ sessionId, role: "user", content: "Quiero una pizza" }),
    method: "POST",
    path: `/api/v1/conversations/${PATH_SESSION}/messages`,
    body: { subDomain: "shop", role: "user", content: "Quiero una pizza" },
  },
  reset: {
    call: (service) => service.reset({ sessionId, keepHistory: true }),
    method: "POST",
    path: `/api/v1/conversations/${PATH_SESSION}/reset`,
    body: { subDomain: "shop", keepHistory: true },
  },
  extend: {
    call: (service) => service.extend({ sessionId, hours: 48 }),
    method: "POST",
    path: `/api/v1/conversations/${PATH_SESSION}/extend`,
    body: { subDomain: "shop", hours: 48 },
  },
  linkOrder: {
    call: (service) => service.linkOrder({ sessionId, orderId: "o1" }),
    method: "POST",
    path: `/api/v1/conversations/${PATH_SESSION}/orders`,
    body: { subDomain: "shop", orderId: "o1" },
    data: ORDERS,
  },
  listOrders: {
    call: (service) => service.listOrders({ sessionId }),
    method: "GET",
    path: `/api/v1/conversations/${PATH_SESSION}/orders?subDomain=shop`,
    data: ORDERS,
  },
  end: {
    call: (service) => service.end({ sessionId }),
    method: "POST",
    path: `/api/v1/conversations/${PATH_SESSION}/end`,
    body: { subDomain: "shop" },
  },
};

Deno.test("every call goes where the contract says", async (t) => {
  await using api = startFakeApi();
  for (const [name, { call, method, path, body, data = STATE }] of Object.entries(CASES)) {
    await t.step(name, async () => {
      const service = serviceOn(api);
      api.next(ok(data));
      assertEquals(await call(service), data);
      const request = api.requests.pop()!;
      assertEquals([request.method, request.path, request.body], [method, path, body]);
      assertEquals(request.headers.get("authorization"), `Bearer ${KEY}`);
      assertEquals(
        request.headers.get("content-type"),
        body === undefined ? null : "application/json",
      );
    });
  }
});

Deno.test("404 is undefined for a look-up, and a failure for a write", async (t) => {
  await using api = startFakeApi();
  for (const [name, { call, method }] of Object.entries(CASES)) {
    await t.step(name, async () => {
      const service = serviceOn(api, { throwOnError: true });
      api.next(failure(404, { code: "session_not_found" }));
      if (method === "GET") {
        assertEquals(await call(service), null);
        assertEquals(service.metrics().calls.failed, 0);
        assertEquals(service.entries, []);
      } else {
        const error = await assertRejects(() => call(service), ConversationSyncError);
        assertEquals([error.kind, error.code], ["not_found", "session_not_found"]);
        assertEquals(service.entries[0]!.level, "warn");
      }
    });
  }
});

Deno.test("answers of older servers, with fields missing or of another type, are taken", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api);
  api.next(ok({ sessionId: "s1", version: "7", isActive: "yes", orderHistory: "none", own: [1] }));
  const state = await service.getConversation({ sessionId: "s1" });
  assertEquals(state!.sessionId, "s1");
  assertEquals(state!.context, {});
  assertEquals([state!.version, state!.isActive, state!.orderHistory], [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(state!.own, [1]);
});

Deno.test("health() tells whether the database answers, without a key and without a repeat", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api, { throwOnError: true });
  api.next(
    () => Response.json({ status: "ok" }),
    failure(503),
    () => Response.json({ status: "ko" }),
  );
  assertEquals([await service.health(), await service.health(), await service.health()], [
    true,
    false,
    false,
  ]);
  assertEquals(api.requests.map(({ path }) => path), ["/health", "/health", "/health"]);
  assertEquals(api.requests[0]!.headers.get("authorization"), null);
  assertEquals(service.metrics().calls.total, 0);
});

Deno.test("a tenant is looked up once for all spellings of the number", async () => {
  await using api = startFakeApi();
  api.always(ok(TENANT));
  const service = serviceOn(api);
  const first = await service.lookupTenantByPhone("+51999999999");
  first!.subDomain = "changed by the caller";
  for (const phone of ["51999999999", "+51 999 999 999", "+51999999999"]) {
    assertEquals(await service.lookupTenantByPhone(phone), TENANT);
  }
  await service.lookupTenantByPhone("51888888888");
  assertEquals(api.requests.length, 2);
  assertEquals([service.metrics().cacheHits, service.metrics().calls.total], [3, 2]);
});

Deno.test("digits in an identifier of another kind are not a number", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api);
  const identifiers = ["1234567890", "BR.1234567890", "@1234567890", "BR.ENT.1234567890", "%2B1"];
  for (const identifier of identifiers) {
    const tenant = { ...TENANT, sessionId: identifier };
    api.next(ok(tenant));
    assertEquals(await service.lookupTenantByPhone(identifier), tenant);
  }
  assertEquals(service.metrics().cacheHits, 0);
});

Deno.test("a tenant is forgotten after an hour", async () => {
  await using api = startFakeApi();
  api.always(ok(TENANT));
  let now = 0;
  const service = serviceOn(api, { now: () => now });
  await service.lookupTenantByPhone("1");
  now = 3_599_999;
  await service.lookupTenantByPhone("1");
  assertEquals(api.requests.length, 1);
  now = 3_600_000;
  await service.lookupTenantByPhone("1");
  assertEquals(api.requests.length, 2);
});

Deno.test("neither a missing tenant nor a failure is cached", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api, { retries: 0 });
  api.next(failure(404), failure(500), ok(TENANT));
  assertEquals(await service.lookupTenantByPhone("1"), null);
  assertEquals(await service.lookupTenantByPhone("1"), null);
  assertEquals(await service.lookupTenantByPhone("1"), TENANT);
});

Deno.test("a tenant whose session is over is forgotten at once", async (t) => {
  await using api = startFakeApi();
  const endings: Record<string, (service: ConversationStateService) => Promise<unknown>> = {
    "ended": (service) => service.end({ sessionId: "s1" }),
    "ended by a sync": (service) =>
      service.syncConversationFromAgent({
        sessionId: "s1",
        intent: "idle",
        step: "done",
        isActive: false,
      }),
    "found gone by a write": (service) => {
      api.next(failure(404, { code: "session_not_active" }));
      return service.addMessage({ sessionId: "s1", role: "user", content: "Hello" });
    },
    "found gone by a read": (service) => {
      api.next(failure(404));
      return service.getConversation({ sessionId: "s1" });
    },
    "another one begun": (service) => {
      api.next(ok({ ...STATE, sessionId: "s2" }, 201));
      return service.createConversation({ userId: "+1", subDomain: "other" });
    },
  };
  for (const [name, end] of Object.entries(endings)) {
    await t.step(name, async () => {
      const service = serviceOn(api);
      api.next(ok(TENANT));
      await service.lookupTenantByPhone("1");
      await end(service);
      api.next(ok({ ...TENANT, sessionId: "s3" }));
      assertEquals((await service.lookupTenantByPhone("1"))!.sessionId, "s3");
    });
  }
  await t.step("not while it continues", async () => {
    const service = serviceOn(api);
    api.next(ok(TENANT));
    await service.lookupTenantByPhone("1");
    api.next(ok({ ...STATE, sessionId: "s1" }), ok({ ...STATE, sessionId: "s9" }));
    await service.createConversation({ userId: "1" });
    await service.createConversation({ userId: "2" });
    assertEquals(await service.lookupTenantByPhone("1"), TENANT);
  });
});

Deno.test("a tenant looked up while its session was over is not remembered", async (t) => {
  await using api = startFakeApi();
  const cases: Record<string, [(service: ConversationStateService) => Promise<unknown>, boolean]> =
    {
      "ended": [(service) => service.end({ sessionId: "s1" }), false],
      "another one begun": [(service) => service.createConversation({ userId: "+1" }), false],
      "those of others": [async (service) => {
        await service.end({ sessionId: "s2" });
        await service.createConversation({ userId: "2" });
      }, true],
    };
  for (const [name, [meanwhile, isRemembered]] of Object.entries(cases)) {
    await t.step(name, async () => {
      const service = serviceOn(api);
      const { promise: isOver, resolve: letGo } = Promise.withResolvers<void>();
      const { promise: isAsked, resolve: ask } = Promise.withResolvers<void>();
      api.next(async (request) => {
        ask();
        await isOver;
        return ok(TENANT)(request);
      });
      const lookup = service.lookupTenantByPhone("1");
      await isAsked;
      await meanwhile(service);
      letGo();
      assertEquals((await lookup)!.sessionId, "s1");
      api.always(ok(TENANT));
      await service.lookupTenantByPhone("1");
      assertEquals(service.metrics().cacheHits, isRemembered ? 1 : 0);
      api.always(ok(STATE));
    });
  }
});

Deno.test("the cache is bounded, and lets go what was used longest ago", () => {
  const cache = new TtlCache<number>({ maxEntries: 1000, ttlMs: 10, now: () => 0 });
  for (let number = 0; number < 1000; number++) cache.set(String(number), number);
  assertEquals(cache.get("0"), 0);
  cache.set("1000", 1000);
  assertEquals([cache.size, cache.get("0"), cache.get("1")], [1000, 0, undefined]);
});

Deno.test("the cache can be switched off", async () => {
  await using api = startFakeApi();
  api.always(ok(TENANT));
  for (const options of [{ cacheMaxEntries: 0 }, { cacheTtlMs: 0 }]) {
    const service = serviceOn(api, options);
    await service.lookupTenantByPhone("1");
    await service.lookupTenantByPhone("1");
    assertEquals([service.metrics().cacheHits, service.metrics().calls.total], [0, 2]);
  }
});

Deno.test("metrics count syncs, failures and how long it took", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api, { retries: 0 });
  const sync = () =>
    service.syncConversationFromAgent({ sessionId: "s1", intent: "order", step: "cart" });
  assertEquals(service.metrics().syncs, { total: 0, failed: 0, averageMs: 0 });
  await sync();
  await sync();
  api.next(failure(500));
  await sync();
  await service.end({ sessionId: "s1" });
  const { syncs, calls } = service.metrics();
  assertEquals([syncs.total, syncs.failed], [3, 1]);
  assertEquals([calls.total, calls.failed], [4, 1]);
  assertGreater(syncs.averageMs, 0);
});

Deno.test("close() waits for what is under way, and then nothing is sent", async () => {
  await using api = startFakeApi();
  using slow = held();
  api.next(slow.behaviour);
  const service = serviceOn(api);
  const ended = service.end({ sessionId: "s1" });
  await slow.arrived;
  let isClosed = false;
  const closed = service.close().then(() => isClosed = true);
  assertEquals(await service.lookupTenantByPhone("1"), null);
  assertEquals(isClosed, false);
  slow[Symbol.dispose]();
  assert(await ended !== null);
  await closed;
  assertEquals(api.requests.length, 1);
  assertEquals(service.entries.map(({ fields }) => fields.kind), ["closed"]);
});

Deno.test("a service can be a scope", async () => {
  await using api = startFakeApi();
  let service: ConversationStateService;
  {
    await using scoped = serviceOn(api);
    service = scoped;
    assert(await service.end({ sessionId: "s1" }) !== null);
  }
  assertEquals(await service.end({ sessionId: "s1" }), null);
});
