/**
 * Every path of the agent API: what it does, and each way it can refuse.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { AgentSession } from "../../../supabase/functions/_shared/contracts/conversation_sync/answers.ts";
import { useDatabase } from "../../support/database.ts";
import { unique } from "../../support/people.ts";
import { createPhoneNumber } from "../../support/kapso_webhook.ts";
import {
  AGENT,
  ask,
  CONVERSATIONS,
  createBusiness,
  createSession,
  data,
  failureOf,
  letPass,
  uniquePhone,
} from "../../support/agents.ts";

const database = useDatabase();

const STATE_KEYS = [
  "sessionId",
  "userId",
  "botId",
  "subDomain",
  "localId",
  "currentIntent",
  "currentStep",
  "previousIntent",
  "previousStep",
  "context",
  "metadata",
  "isActive",
  "lastActivity",
  "createdAt",
  "updatedAt",
  "expiresAt",
  "currentOrderId",
  "orderHistory",
  "version",
];
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

Deno.test("POST and GET of conversations", async (t) => {
  const { info } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  const userId = uniquePhone();
  const body = { userId: `+${userId}`, subDomain, localId: "branch01", botId: "bot123" };

  await t.step("a new session is 201, with the whole state", async () => {
    const { status, body: answer } = await ask(info, "POST", CONVERSATIONS, { key, body });
    assertEquals([status, answer.type], [201, "1"]);
    const state = answer.data as AgentSession;
    assertEquals(Object.keys(state), STATE_KEYS);
    assertMatch(state.sessionId, new RegExp(`^bot123_${userId}_\\d{13}_[0-9a-f]+$`));
    for (const time of ["lastActivity", "createdAt", "updatedAt", "expiresAt"] as const) {
      assertMatch(state[time], ISO);
    }
    assertEquals(Date.parse(state.expiresAt) - Date.parse(state.lastActivity), 24 * 3600 * 1000);
    const { sessionId: _, lastActivity, createdAt, updatedAt, expiresAt, ...rest } = state;
    assert(lastActivity && createdAt && updatedAt && expiresAt);
    assertEquals(rest, {
      userId,
      botId: "bot123",
      subDomain,
      localId: "branch01",
      currentIntent: "idle",
      currentStep: "initial",
      previousIntent: null,
      previousStep: null,
      context: {},
      metadata: {},
      isActive: true,
      currentOrderId: null,
      orderHistory: [],
      version: 1,
    });
  });

  const first = await data(info, "POST", CONVERSATIONS, { key, body });

  await t.step("the active one is 200, also without a branch and a bot", async () => {
    for (const given of [body, { userId, subDomain }, { ...body, localId: "", botId: null }]) {
      const again = await ask(info, "POST", CONVERSATIONS, { key, body: given });
      assertEquals([again.status, again.body.data.sessionId], [200, first.sessionId]);
    }
    assertEquals(first.version, 1, "a look is no write");
  });

  await t.step("another bot, branch or customer has another one", async () => {
    const ids = new Set([first.sessionId]);
    for (
      const given of [
        { ...body, botId: "bot456" },
        { ...body, localId: "branch02" },
        { ...body, userId: uniquePhone() },
        { ...body, userId: "BR.1234567890" },
        { ...body, userId: "@someone/else" },
      ]
    ) {
      const { status, body: answer } = await ask(info, "POST", CONVERSATIONS, { key, body: given });
      assertEquals(status, 201);
      ids.add(answer.data.sessionId);
      assertMatch(answer.data.sessionId, /^[A-Za-z0-9._-]+$/);
    }
    assertEquals(ids.size, 6);
  });

  await t.step("GET of one, by its id and by its user", async () => {
    const query = `?subDomain=${subDomain}`;
    assertEquals(
      await data(info, "GET", `${CONVERSATIONS}/${first.sessionId}${query}`, { key }),
      first,
    );
    const byUser = await data(
      info,
      "GET",
      `${CONVERSATIONS}/user/${userId}${query}&localId=branch01`,
      { key },
    );
    assertEquals([byUser.userId, byUser.localId], [userId, "branch01"]);
    const bsuid = await data(info, "GET", `${CONVERSATIONS}/user/BR.1234567890${query}`, { key });
    assertEquals(bsuid.userId, "BR.1234567890");
    const odd = encodeURIComponent("@someone/else");
    const other = await data(info, "GET", `${CONVERSATIONS}/user/${odd}${query}`, { key });
    assertEquals(other.userId, "@someone/else");
  });

  await t.step("GET of all: newest first, filtered, in pages", async () => {
    const list = (query: string) =>
      data<{ conversations: AgentSession[]; total: number; limit: number; offset: number }>(
        info,
        "GET",
        `${CONVERSATIONS}?subDomain=${subDomain}${query}`,
        { key },
      );
    const all = await list("");
    assertEquals([all.total, all.limit, all.offset], [6, 50, 0]);
    assertEquals(
      all.conversations.map((each) => each.createdAt),
      all.conversations.map((each) => each.createdAt).toSorted().toReversed(),
    );
    const paged = [await list("&limit=4"), await list("&limit=4&offset=4")];
    assertEquals(paged.map((page) => page.conversations.length), [4, 2]);
    assertEquals(paged.flatMap((page) => page.conversations), all.conversations);
    assertEquals(paged.map((page) => [page.total, page.limit, page.offset]), [[6, 4, 0], [
      6,
      4,
      4,
    ]]);
    assertEquals((await list("&botId=bot456")).total, 1);
    assertEquals((await list("&localId=branch02")).total, 1);
    assertEquals((await list("&intent=order")).conversations, []);
    assertEquals((await list("&intent=idle")).total, 6);
    assertEquals((await list("&offset=100")).total, 6);
  });

  await t.step("metadata that arrives later is stored", async () => {
    const known = await data(info, "POST", CONVERSATIONS, {
      key,
      body: { ...body, metadata: { channel: "x" } },
    });
    assertEquals([known.sessionId, known.metadata, known.version], [
      first.sessionId,
      { channel: "x" },
      2,
    ]);
  });
});

Deno.test("the look-ups", async (t) => {
  const { info } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  const phone = uniquePhone();
  const phoneNumber = await createPhoneNumber(business);
  const lookup = (path: string) => ask(info, "GET", `/api/v1/whatsapp/lookup/${path}`, { key });

  await t.step("no person yet", async () => {
    assertEquals(failureOf(await lookup(`tenant/${phone}`)), [404, "session_not_found"]);
    assertEquals(failureOf(await lookup(`conversation/${phone}`)), [404, "session_not_found"]);
    assertEquals(failureOf(await lookup("business/1")), [404, "business_not_found"]);
  });

  const session = await createSession(info, business, { userId: phone });

  await t.step("a business, by its phone number id", async () => {
    const { status, body } = await lookup(`business/${phoneNumber.phoneNumberId}`);
    assertEquals(status, 200);
    assertEquals(Object.keys(body.data), ["subDomain", "connectionId", "isActive"]);
    assertEquals([body.data.subDomain, body.data.isActive], [subDomain, true]);
    await database
      .sql`update public.connections set is_active = false where id = ${phoneNumber.id}`;
    const off = await lookup(`business/${phoneNumber.phoneNumberId}`);
    assertEquals([off.status, off.body.data.isActive], [200, false]);
  });

  await t.step("a customer, in every spelling", async () => {
    const spellings = [
      phone,
      `+${phone}`,
      `%2B${phone}`,
      `+${phone.slice(0, 2)} ${phone.slice(2, 5)} ${phone.slice(5)}`,
      `%2B${phone.slice(0, 2)}%20${phone.slice(2)}`,
      `%2B${phone.slice(0, 2)}+${phone.slice(2)}`,
      `${phone.slice(0, 2)}-${phone.slice(2)}`,
      `00${phone}`,
      `(${phone.slice(0, 2)})${phone.slice(2)}`,
    ];
    for (const spelling of spellings) {
      const tenant = await lookup(`tenant/${spelling}`);
      assertEquals(tenant.body.data, {
        subDomain,
        botId: null,
        sessionId: session.sessionId,
        isActive: true,
      }, spelling);
      assertEquals((await lookup(`conversation/${spelling}`)).body.data, session, spelling);
      for (const userId of [spelling, decodeURIComponent(spelling)]) {
        const { status, body } = await ask(info, "POST", CONVERSATIONS, {
          key,
          body: { userId, subDomain },
        });
        assertEquals([status, body.data.sessionId], [200, session.sessionId], userId);
      }
      const byUser = `${CONVERSATIONS}/user/${spelling}?subDomain=${subDomain}`;
      assertEquals((await data(info, "GET", byUser, { key })).sessionId, session.sessionId);
    }
  });

  await t.step("the newest one, or that of a bot", async () => {
    const newer = await createSession(info, business, {
      userId: phone,
      botId: "b2",
      localId: "l2",
    });
    const tenant = await lookup(`tenant/${phone}`);
    assertEquals(tenant.body.data, {
      subDomain,
      botId: "b2",
      sessionId: newer.sessionId,
      isActive: true,
      localId: "l2",
    });
    assertEquals((await lookup(`conversation/${phone}?botId=b2`)).body.data, newer);
    assertEquals(failureOf(await lookup(`conversation/${phone}?botId=b3`)), [
      404,
      "session_not_found",
    ]);
    await data(info, "POST", `${CONVERSATIONS}/${newer.sessionId}/end`, {
      key,
      body: { subDomain },
    });
    assertEquals((await lookup(`tenant/${phone}`)).body.data.sessionId, session.sessionId);
  });
});

Deno.test("what is written to a session", async (t) => {
  const { info } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  const { sessionId, userId } = await createSession(info, business);
  const own = `${CONVERSATIONS}/${sessionId}`;
  const write = (method: string, path: string, body: Record<string, unknown>) =>
    data(info, method, path, { key, body: { subDomain, ...body } });
  let version = 1;

  await t.step("sync", async () => {
    const first = await write("PUT", `${AGENT}/${sessionId}/sync`, {
      intent: "order",
      step: "cart",
      context: { selectedItems: [{ id: "1", name: "Pizza", quantity: 2, price: 15.5 }], a: null },
      metadata: { agentVersion: "1.0.0" },
    });
    assertEquals(
      [first.currentIntent, first.currentStep, first.previousIntent, first.previousStep],
      ["order", "cart", "idle", "initial"],
    );
    const second = await write("PUT", `${AGENT}/${sessionId}/sync`, {
      intent: "payment",
      step: "processing_payment",
      context: { orderTotal: 31, a: { b: ["ü", 1.5, true] } },
      metadata: { agentProcessedAt: "now" },
    });
    assertEquals(second.context, {
      selectedItems: [{ id: "1", name: "Pizza", quantity: 2, price: 15.5 }],
      a: { b: ["ü", 1.5, true] },
      orderTotal: 31,
    });
    assertEquals(second.metadata, { agentVersion: "1.0.0", agentProcessedAt: "now" });
    assertEquals([second.previousIntent, second.previousStep], ["order", "cart"]);
    assertEquals([second.isActive, second.version], [true, 3]);
    assert(second.lastActivity >= first.lastActivity && second.expiresAt >= first.expiresAt);
    const repeated = await write("PUT", `${AGENT}/${sessionId}/sync`, {
      intent: "payment",
      step: "processing_payment",
      context: {},
    });
    assertEquals([repeated.previousIntent, repeated.previousStep], ["order", "cart"]);
    version = repeated.version;
  });

  await t.step("intent, with and without a step, and one of its own making", async () => {
    const first = await write("PATCH", `${own}/intent`, { intent: "a brand new intent" });
    assertEquals(
      [first.currentIntent, first.currentStep, first.previousIntent, first.previousStep],
      ["a brand new intent", "processing_payment", "payment", "processing_payment"],
    );
    const second = await write("PATCH", `${own}/intent`, { intent: "menu", step: "browsing" });
    assertEquals([second.currentStep, second.previousIntent], ["browsing", "a brand new intent"]);
    assertEquals(second.version, version += 2);
  });

  await t.step("messages, of both kinds and by both paths", async () => {
    await write("POST", `${AGENT}/${sessionId}/messages`, {
      role: "user",
      content: "Quiero una pizza 🍕",
      timestamp: "2026-03-02T09:00:00+02:00",
    });
    const state = await write("POST", `${own}/messages`, { role: "bot", content: "¡Perfecto!" });
    const { previousMessages, lastUserMessage, ...rest } = state.context;
    const messages = previousMessages as { role: string; content: string; timestamp: string }[];
    assertEquals(messages.map(({ role, content }) => [role, content]), [
      ["user", "Quiero una pizza 🍕"],
      ["bot", "¡Perfecto!"],
    ]);
    assertEquals(messages[0]!.timestamp, "2026-03-02T07:00:00.000Z");
    assertMatch(messages[1]!.timestamp, ISO);
    assertEquals(lastUserMessage, "Quiero una pizza 🍕");
    assertEquals(Object.keys(rest).sort(), ["a", "orderTotal", "selectedItems"]);
    assertEquals(state.version, version += 2);
    // Later, but of an earlier time: in its place, and not the last one.
    const late = await write("POST", `${own}/messages`, {
      role: "user",
      content: "Hola",
      timestamp: "2026-03-02T06:59:00Z",
    });
    assertEquals(
      (late.context.previousMessages as typeof messages).map((message) => message.content),
      ["Hola", "Quiero una pizza 🍕", "¡Perfecto!"],
    );
    assertEquals(late.context.lastUserMessage, "Quiero una pizza 🍕");
    version++;
  });

  await t.step(
    "context, key by key and as a whole; an old copy of the messages is left out",
    async () => {
      const merged = await write("PATCH", `${own}/context`, {
        context: { customerName: "Ana", previousMessages: [], lastUserMessage: "old" },
      });
      assertEquals((merged.context.previousMessages as unknown[]).length, 3);
      assertEquals(merged.context.lastUserMessage, "Quiero una pizza 🍕");
      assertEquals([merged.context.customerName, merged.context.orderTotal], ["Ana", 31]);
      const replaced = await write("PATCH", `${own}/context`, { context: { b: 1 }, merge: false });
      assertEquals(Object.keys(replaced.context).sort(), [
        "b",
        "lastUserMessage",
        "previousMessages",
      ]);
      assertEquals(replaced.version, version += 2);
    },
  );

  await t.step("orders, each once", async () => {
    const link = (orderId: string) =>
      data<Record<string, unknown>>(info, "POST", `${own}/orders`, {
        key,
        body: { subDomain, orderId },
      });
    const read = () =>
      data<Record<string, unknown>>(info, "GET", `${own}/orders?subDomain=${subDomain}`, { key });
    assertEquals(await read(), { sessionId, currentOrderId: null, orderHistory: [] });
    await link("order-1");
    const both = { sessionId, currentOrderId: "order-2", orderHistory: ["order-1", "order-2"] };
    assertEquals(await link("order-2"), both);
    assertEquals(await link("order-2"), both);
    assertEquals(await link("order-1"), both, "a late repeat");
    assertEquals(await read(), both);
    const state = await data(info, "GET", `${own}?subDomain=${subDomain}`, { key });
    assertEquals([state.currentOrderId, state.orderHistory, state.version], [
      "order-2",
      ["order-1", "order-2"],
      version += 2,
    ]);
    assertEquals(state.context.currentOrderId, "order-2");
  });

  await t.step("orders written through the context are the same orders", async () => {
    const orders = (state: AgentSession) => {
      const { currentOrderId, orderHistory, context } = state;
      assertEquals(
        [context.currentOrderId, context.orderHistory],
        [currentOrderId ?? undefined, orderHistory.length > 0 ? orderHistory : undefined],
        "the context and the session say the same",
      );
      return [currentOrderId, orderHistory];
    };
    const { sessionId: id } = await data(info, "POST", "/api/v1/conversations", {
      key,
      body: { userId: uniquePhone(), subDomain },
    });
    const patch = (context: object, merge = true) =>
      data(info, "PATCH", `/api/v1/conversations/${id}/context`, {
        key,
        body: { subDomain, context, merge },
      });
    const sync = (context: object) =>
      data(info, "PUT", `/api/v1/whatsapp/agent/conversations/${id}/sync`, {
        key,
        body: { intent: "order", step: "paid", context },
      });
    // What agents send that have no order yet.
    const none = { a: 1, currentOrderId: null, orderHistory: [] };
    assertEquals(orders(await patch(none)), [null, []]);
    assertEquals(orders(await patch({ currentOrderId: "o-1" })), ["o-1", ["o-1"]]);
    const copy = (await sync({ currentOrderId: 2 })).context;
    assertEquals([copy.currentOrderId, copy.orderHistory], ["2", ["o-1", "2"]]);
    const linked = await data(info, "POST", `/api/v1/conversations/${id}/orders`, {
      key,
      body: { subDomain, orderId: "o-3" },
    });
    assertEquals(linked.currentOrderId, "o-3");
    // An old copy brings no old order back, and neither does a context without orders.
    const all = ["o-3", ["o-1", "2", "o-3"]];
    assertEquals(orders(await sync(copy)), all);
    assertEquals(orders(await patch(none)), all);
    assertEquals(orders(await patch({ b: 1 }, false)), all);
    const both = await sync({ orderHistory: ["o-1", "o-4"], currentOrderId: "o-5" });
    assertEquals(orders(both), ["o-5", ["o-1", "2", "o-3", "o-4", "o-5"]]);
    for (const wrong of [{ currentOrderId: { id: 1 } }, { orderHistory: ["x".repeat(201)] }]) {
      const answer = await ask(info, "PATCH", `/api/v1/conversations/${id}/context`, {
        key,
        body: { subDomain, context: wrong },
      });
      assertEquals([answer.status, answer.body.code], [400, "invalid_request"]);
    }
  });

  await t.step("reset, with and without its history", async () => {
    const kept = await write("POST", `${own}/reset`, { keepHistory: true });
    assertEquals([kept.currentIntent, kept.currentStep], ["idle", "initial"]);
    assertEquals((kept.context.previousMessages as unknown[]).length, 3);
    assertEquals(kept.context.b, undefined);
    const emptied = await write("POST", `${own}/reset`, {});
    assertEquals(emptied.context, {
      currentOrderId: "order-2",
      orderHistory: ["order-1", "order-2"],
    });
    version += 2;
  });

  await t.step("extend, never for less than it had", async () => {
    const hoursLeft = (state: AgentSession) =>
      Math.round((Date.parse(state.expiresAt) - Date.parse(state.lastActivity)) / 3_600_000);
    assertEquals(hoursLeft(await write("POST", `${own}/extend`, { hours: 72 })), 72);
    assertEquals(hoursLeft(await write("POST", `${own}/extend`, { hours: 0.5 })), 72);
    const after = await write("POST", `${own}/extend`, {});
    assertEquals(hoursLeft(after), 72, "24 by default");
    const written = await write("PATCH", `${own}/intent`, { intent: "menu" });
    assertEquals(hoursLeft(written), 72, "a write does not take it back");
    assertEquals(written.version, version += 4);
  });

  await t.step("end, once; a last message is still stored", async () => {
    const ended = await write("POST", `${own}/end`, {});
    assertEquals([ended.isActive, ended.version], [false, ++version]);
    assertEquals(await write("POST", `${own}/end`, {}), ended);
    const bye = await write("POST", `${own}/messages`, { role: "bot", content: "¡Gracias!" });
    assertEquals([bye.isActive, bye.version], [false, ++version]);
    assertEquals(
      failureOf(
        await ask(info, "PATCH", `${own}/intent`, { key, body: { subDomain, intent: "menu" } }),
      ),
      [404, "session_not_active"],
    );
    const next = await createSession(info, business, { userId });
    assert(next.sessionId !== sessionId);
  });

  await t.step("isActive false in a sync ends as well", async () => {
    const session = await createSession(info, business);
    const ended = await write("PUT", `${AGENT}/${session.sessionId}/sync`, {
      intent: "order",
      step: "done",
      context: { x: 1 },
      isActive: false,
    });
    assertEquals([ended.isActive, ended.context, ended.currentStep], [false, { x: 1 }, "done"]);
  });
});

/** Every request that names a session, with a body that is right. */
function requestsOf(sessionId: string, subDomain: string): [string, string, unknown?][] {
  const own = `${CONVERSATIONS}/${sessionId}`;
  return [
    ["PUT", `${AGENT}/${sessionId}/sync`, { intent: "i", step: "s", context: {} }],
    ["POST", `${AGENT}/${sessionId}/messages`, { role: "user", content: "x", messageId: unique() }],
    ["PATCH", `${own}/intent`, { subDomain, intent: "i" }],
    ["PATCH", `${own}/context`, { subDomain, context: {} }],
    ["POST", `${own}/messages`, { subDomain, role: "bot", content: "x" }],
    ["POST", `${own}/reset`, { subDomain }],
    ["POST", `${own}/extend`, { subDomain }],
    ["POST", `${own}/orders`, { subDomain, orderId: "o" }],
    ["POST", `${own}/end`, { subDomain }],
    ["GET", `${own}?subDomain=${subDomain}`],
    ["GET", `${own}/orders?subDomain=${subDomain}`],
  ];
}

/** Every request that names a customer or a business. */
function otherRequests(phone: string, subDomain: string): [string, string, unknown?][] {
  return [
    ["GET", `/api/v1/whatsapp/lookup/tenant/${phone}`],
    ["GET", `/api/v1/whatsapp/lookup/conversation/${phone}`],
    ["GET", `${CONVERSATIONS}/user/${phone}?subDomain=${subDomain}`],
    ["GET", `${CONVERSATIONS}?subDomain=${subDomain}`],
    ["POST", CONVERSATIONS, { userId: phone, subDomain }],
  ];
}

Deno.test("an expired session is read by its id, and by nothing else", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const { key, slug } = business;
  const session = await createSession(info, business, { metadata: { a: 1 } });
  await letPass(sql, session, 23);
  const lookup = `/api/v1/whatsapp/lookup/tenant/${session.userId}`;
  assertEquals((await ask(info, "GET", lookup, { key })).status, 200);
  await letPass(sql, session, 1);
  for (const [method, path, body] of requestsOf(session.sessionId, slug)) {
    const answer = await ask(info, method, path, { key, body });
    if (method === "GET" || path.endsWith("/end")) assertEquals(answer.status, 200, path);
    else assertEquals(failureOf(answer), [404, "session_not_active"], path);
  }
  const read = await data(info, "GET", `${CONVERSATIONS}/${session.sessionId}?subDomain=${slug}`, {
    key,
  });
  assertEquals([read.isActive, read.version, read.metadata], [false, 1, { a: 1 }]);
  const [get, find, byUser, list, create] = otherRequests(session.userId, slug);
  for (const [method, path] of [get!, find!, byUser!]) {
    assertEquals(failureOf(await ask(info, method, path, { key })), [404, "session_not_found"]);
  }
  assertEquals((await data<{ total: number }>(info, list![0], list![1], { key })).total, 0);
  const next = await ask(info, create![0], create![1], { key, body: create![2] });
  assertEquals([next.status, next.body.data.sessionId === session.sessionId], [201, false]);
});

Deno.test("a session that is about to expire is extended when it is read", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const session = await createSession(info, business);
  await letPass(sql, session, 23.5);
  const same = await createSession(info, business, { userId: session.userId });
  assertEquals(same.sessionId, session.sessionId);
  assert(Date.parse(same.expiresAt) > Date.now() + 23 * 3_600_000);
});

Deno.test("every write moves lastActivity and expiresAt", async () => {
  const { info, sql } = database;
  const business = await createBusiness(info);
  const session = await createSession(info, business);
  const writes = requestsOf(session.sessionId, business.slug)
    .filter(([method, path]) => method !== "GET" && !path.endsWith("/end"));
  for (const [index, [method, path, body]] of writes.entries()) {
    await letPass(sql, session, 20);
    await ask(info, method, path, { key: business.key, body });
    const state = await data(
      info,
      "GET",
      `${CONVERSATIONS}/${session.sessionId}?subDomain=${business.slug}`,
      { key: business.key },
    );
    assert(Date.parse(state.lastActivity) > Date.now() - 60_000, path);
    assert(Date.parse(state.expiresAt) > Date.now() + 23 * 3_600_000, path);
    assertEquals(state.version, index + 2, path);
  }
});

Deno.test("another tenant's key finds nothing, and changes nothing", async () => {
  const { info, sql } = database;
  const [mine, theirs] = [await createBusiness(info), await createBusiness(info)];
  const session = await createSession(info, mine);
  const phoneNumber = await createPhoneNumber(mine);
  const { key } = theirs;
  // Under the name of the right business, and under their own.
  for (const subDomain of [mine.slug, theirs.slug]) {
    for (const [method, path, body] of requestsOf(session.sessionId, subDomain)) {
      assertEquals(
        failureOf(await ask(info, method, path, { key, body })),
        [404, "session_not_found"],
        `${method} ${path}`,
      );
    }
  }
  const [tenant, find, byUser, list, create] = otherRequests(session.userId, mine.slug);
  for (const [method, path] of [tenant!, find!, byUser!]) {
    assertEquals(failureOf(await ask(info, method, path, { key })), [404, "session_not_found"]);
  }
  for (const [method, path, body] of [list!, create!]) {
    assertEquals(failureOf(await ask(info, method, path, { key, body })), [
      404,
      "workspace_not_found",
    ]);
  }
  assertEquals(
    failureOf(
      await ask(info, "GET", `/api/v1/whatsapp/lookup/business/${phoneNumber.phoneNumberId}`, {
        key,
      }),
    ),
    [404, "business_not_found"],
  );
  const [row] = await sql`
    select version::integer, messages from public.agent_sessions
    where session_id = ${session.sessionId}`;
  assertEquals(row, { version: 1, messages: [] });
  // A branch that is not the session's is not found either.
  const path = `${CONVERSATIONS}/${session.sessionId}?subDomain=${mine.slug}&localId=other`;
  assertEquals(failureOf(await ask(info, "GET", path, { key: mine.key })), [
    404,
    "session_not_found",
  ]);
});

Deno.test("no key, a wrong one, and one that was revoked", async () => {
  const { info } = database;
  const business = await createBusiness(info);
  const session = await createSession(info, business);
  const requests = [
    ...requestsOf(session.sessionId, business.slug),
    ...otherRequests(session.userId, business.slug),
    ["GET", "/api/v1/whatsapp/lookup/business/1"] as [string, string],
  ];
  for (const [method, path, body] of requests) {
    const send = (key?: string, headers?: Record<string, string>) =>
      ask(info, method, path, { key, body, ...(headers ? { headers } : {}) });
    assertEquals(failureOf(await send()), [401, "missing_agent_key"], path);
    for (const key of ["agt_00000000000000000000000000000000", info.publishable_key]) {
      assertEquals(failureOf(await send(key)), [401, "invalid_agent_key"], path);
    }
  }
  const path = `${CONVERSATIONS}?subDomain=${business.slug}`;
  // What a Supabase client puts into Authorization by itself does not stand in the way.
  for (const headers of [{}, { authorization: `Bearer ${info.publishable_key}` }]) {
    const answer = await ask(info, "GET", path, {
      headers: { ...headers, "x-api-key": business.key },
    });
    assertEquals(answer.status, 200);
  }
  const { data: keys } = await business.client.from("agent_keys").select();
  assertEquals(keys!.length, 1);
  assert(keys![0]!.last_used_at !== null);
  assert(!JSON.stringify(keys).includes(business.key));
  await business.client.rpc("revoke_agent_key", { id: keys![0]!.id });
  assertEquals(failureOf(await ask(info, "GET", path, { key: business.key })), [
    401,
    "invalid_agent_key",
  ]);
});

Deno.test("a key for several businesses of one owner", async () => {
  const { info } = database;
  const owner = await createBusiness(info);
  const slug = unique("second-");
  const { data: workspaces, error } = await owner.client.from("workspaces")
    .insert({ slug, name: "Second", user_id: (await owner.client.auth.getUser()).data.user!.id })
    .select("id");
  assertEquals(error, null);
  const [made] = (await owner.client.rpc("create_agent_key", {
    workspace_ids: [owner.workspaceId, workspaces![0]!.id],
    name: "Both",
  })).data!;
  const key = made!.secret;
  const userId = uniquePhone();
  const inFirst = await createSession(info, owner, { userId });
  const inSecond = await createSession(info, { ...owner, key, slug }, { userId });
  const lookup = `/api/v1/whatsapp/lookup/tenant/${userId}`;
  const newest = await data<{ subDomain: string }>(info, "GET", lookup, { key });
  assertEquals(newest.subDomain, slug);
  const first = await data<{ subDomain: string }>(info, "GET", lookup, { key: owner.key });
  assertEquals(first.subDomain, owner.slug);
  // By its id alone, and by the name of its own business only.
  const sync = { intent: "i", step: "s", context: {} };
  for (const session of [inFirst, inSecond]) {
    await data(info, "PUT", `${AGENT}/${session.sessionId}/sync`, { key, body: sync });
  }
  const path = (subDomain: string) =>
    `${CONVERSATIONS}/${inFirst.sessionId}?subDomain=${subDomain}`;
  assertEquals((await ask(info, "GET", path(owner.slug), { key })).status, 200);
  assertEquals(failureOf(await ask(info, "GET", path(slug), { key })), [404, "session_not_found"]);
});

Deno.test("requests that are wrong", async (t) => {
  const { info } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  const { sessionId } = await createSession(info, business);
  const own = `${CONVERSATIONS}/${sessionId}`;
  const sync = `${AGENT}/${sessionId}/sync`;
  const good = { intent: "i", step: "s", context: {} };
  const faults: [method: string, path: string, body: unknown, message: RegExp][] = [
    ["GET", CONVERSATIONS, undefined, /^subDomain is required$/],
    ["GET", own, undefined, /^subDomain is required$/],
    ["GET", `${own}/orders`, undefined, /^subDomain is required$/],
    ["GET", `${CONVERSATIONS}?subDomain=x&limit=101`, undefined, /^limit must .* 1 to 100$/],
    ["GET", `${CONVERSATIONS}?subDomain=x&limit=0`, undefined, /^limit must /],
    ["GET", `${CONVERSATIONS}?subDomain=x&offset=-1`, undefined, /^offset must /],
    ["GET", `/api/v1/whatsapp/lookup/tenant/${"1".repeat(201)}`, undefined, /^phoneNumber must /],
    ["GET", "/api/v1/whatsapp/lookup/tenant/%00", undefined, /^phoneNumber must /],
    ["POST", CONVERSATIONS, { subDomain }, /^userId is required$/],
    ["POST", CONVERSATIONS, { userId: "51999999999" }, /^subDomain is required$/],
    ["POST", CONVERSATIONS, { userId: 51999999999, subDomain }, /^userId must be a string$/],
    ["POST", CONVERSATIONS, { userId: " ", subDomain }, /^userId must not be empty$/],
    [
      "POST",
      CONVERSATIONS,
      { userId: "5", subDomain, metadata: [] },
      /^metadata must be an object/,
    ],
    [
      "POST",
      CONVERSATIONS,
      { userId: "5", subDomain, metadata: { x: "y".repeat(17_000) } },
      /^meta/,
    ],
    ["POST", CONVERSATIONS, { userId: "5", subDomain, localId: 7 }, /^localId must be a string$/],
    ["POST", CONVERSATIONS, [], /^The body must be an object$/],
    ["POST", CONVERSATIONS, "null", /^The body must be an object$/],
    ["PUT", sync, {}, /^intent is required$/],
    ["PUT", sync, { ...good, step: "" }, /^step must not be empty$/],
    ["PUT", sync, { ...good, context: "x" }, /^context must be an object$/],
    ["PUT", sync, { ...good, context: null }, /^context must be an object$/],
    [
      "PUT",
      sync,
      { ...good, context: { a: [{ b: "\0" }] } },
      /^context\.a\[0\]\.b must not .* NUL/,
    ],
    ["PUT", sync, { ...good, context: { a: { "\0": 1 } } }, /^context\.a must not have a NUL /],
    [
      "PUT",
      sync,
      '{"intent":"i","step":"s","context":{"a":1e999}}',
      /^context\.a must be a finite number$/,
    ],
    [
      "PUT",
      sync,
      `{"intent":"i","step":"s","context":{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}}`,
      /^context must be at most 32 levels deep$/,
    ],
    ["PUT", sync, { ...good, isActive: "no" }, /^isActive must be true or false$/],
    ["PUT", sync, { ...good, version: "1" }, /^version must be a whole number$/],
    ["PUT", sync, { ...good, version: 0 }, /^version must be at least 1$/],
    ["POST", `${own}/messages`, { role: "user", content: "x" }, /^subDomain is required$/],
    ["POST", `${own}/messages`, { subDomain, role: "ai", content: "x" }, /^role must be "user" or/],
    ["POST", `${own}/messages`, { subDomain, role: "bot" }, /^content is required$/],
    ["POST", `${own}/messages`, { subDomain, role: "bot", content: "\0" }, /^content must not/],
    [
      "POST",
      `${own}/messages`,
      { subDomain, role: "bot", content: "x", timestamp: "today" },
      /^timestamp must be an ISO/,
    ],
    ["PATCH", `${own}/intent`, { subDomain }, /^intent is required$/],
    ["PATCH", `${own}/context`, { subDomain }, /^context is required$/],
    ["PATCH", `${own}/context`, { subDomain, context: {}, merge: 1 }, /^merge must be true or/],
    ["POST", `${own}/reset`, { subDomain, keepHistory: "x" }, /^keepHistory must be true or/],
    ["POST", `${own}/extend`, { subDomain, hours: 0 }, /^hours must be more than 0$/],
    ["POST", `${own}/extend`, { subDomain, hours: 721 }, /^hours must be at most 720$/],
    ["POST", `${own}/extend`, { subDomain, hours: "9" }, /^hours must be a number$/],
    ["POST", `${own}/orders`, { subDomain }, /^orderId is required$/],
    ["POST", `${own}/end`, {}, /^subDomain is required$/],
  ];
  for (const [method, path, body, message] of faults) {
    await t.step(`${method} ${path.slice(0, 60)} ${message}`, async () => {
      const answer = await ask(info, method, path, { key, body });
      assertEquals(failureOf(answer), [400, "invalid_request"]);
      assertMatch(answer.body.message, message);
    });
  }

  await t.step("what is not JSON, not plain, or nothing", async () => {
    const send = (body: string, headers: Record<string, string> = {}) =>
      ask(info, "PUT", sync, { key, body, headers });
    assertEquals(failureOf(await send("{")), [400, "invalid_json"]);
    assertEquals(failureOf(await send("{}", { "content-type": "text/plain" })), [
      415,
      "unsupported_media_type",
    ]);
    assertEquals(failureOf(await send("{}", { "content-encoding": "gzip" })), [
      415,
      "unsupported_content_encoding",
    ]);
  });

  await t.step("other paths and methods", async () => {
    for (const path of ["/", "/api/v1", `${own}/nothing`, "/api/v2/conversations"]) {
      assertEquals(failureOf(await ask(info, "GET", path, { key })), [404, "not_found"]);
    }
    for (
      const [method, path, allow] of [
        ["DELETE", own, "GET, OPTIONS"],
        ["GET", sync, "PUT, OPTIONS"],
        ["DELETE", CONVERSATIONS, "POST, GET, OPTIONS"],
        ["POST", "/health", "GET, OPTIONS"],
      ] as const
    ) {
      const answer = await ask(info, method, path, { key });
      assertEquals(failureOf(answer), [405, "method_not_allowed"]);
      assertEquals(answer.headers.get("allow"), allow);
    }
  });

  await t.step("unknown fields are dropped", async () => {
    const state = await data(info, "PUT", sync, { key, body: { ...good, unknown: { deep: 1 } } });
    assertEquals(state.context, {});
  });

  await t.step("keys with a meaning in JavaScript are plain keys, except __proto__", async () => {
    const body = '{"intent":"i","step":"s","context":{"__proto__":{"a":1},"toString":1,' +
      '"b":{"__proto__":{"a":1},"constructor":{"prototype":2}}}}';
    const { context } = await data(info, "PUT", sync, { key, body });
    assertEquals(JSON.parse(JSON.stringify(context)), {
      toString: 1,
      b: { constructor: { prototype: 2 } },
    });
  });
});

Deno.test("sizes", async (t) => {
  const { info } = database;
  const business = await createBusiness(info);
  const { key, slug: subDomain } = business;
  const { sessionId } = await createSession(info, business);
  const sync = (context: Record<string, unknown>, metadata = {}) =>
    ask(info, "PUT", `${AGENT}/${sessionId}/sync`, {
      key,
      body: { intent: "i", step: "s", context, metadata },
    });
  const KB = 1024;

  await t.step("a context of at most 256 KB, in one request or in several", async () => {
    assertEquals((await sync({ a: "x".repeat(200 * KB) })).status, 200);
    assertEquals(failureOf(await sync({ b: "x".repeat(60 * KB) })), [413, "context_too_large"]);
    const { context, version } = (await sync({ c: 1 })).body.data;
    assertEquals([Object.keys(context), version], [["a", "c"], 3]);
    const own = `${CONVERSATIONS}/${sessionId}/context`;
    const replace = (text: string) =>
      ask(info, "PATCH", own, { key, body: { subDomain, context: { a: text }, merge: false } });
    assertEquals((await replace("x".repeat(256 * KB - '{"a": ""}'.length))).status, 200);
    assertEquals(failureOf(await replace("x".repeat(256 * KB))), [413, "context_too_large"]);
  });

  await t.step("a message of 64 KB, and 50 of them that come back with the context", async () => {
    const path = `${AGENT}/${sessionId}/messages`;
    const send = (content: string) =>
      ask(info, "POST", path, { key, body: { role: "user", content } });
    assertEquals(failureOf(await send("ü".repeat(32 * KB + 1))), [413, "message_too_large"]);
    for (let index = 0; index < 51; index++) {
      assertEquals((await send(`${index}`.padEnd(64 * KB, "x"))).status, 200);
    }
    const state = (await send("last")).body.data;
    const messages = state.context.previousMessages as { content: string }[];
    assertEquals([messages.length, messages[0]!.content.slice(0, 2)], [50, "2x"]);
    assertEquals(state.context.lastUserMessage, "last");
    const { a: _, ...echo } = state.context;
    assertEquals((await sync(echo)).status, 200);
  });

  await t.step("a body of more than 4 MB", async () => {
    assertEquals(failureOf(await sync({ a: "x".repeat(4 * KB * KB) })), [413, "body_too_large"]);
  });

  await t.step("metadata of 64 KB in all", async () => {
    for (const name of ["a", "b", "c", "d"]) {
      assertEquals((await sync({}, { [name]: "x".repeat(15 * KB) })).status, 200);
    }
    assertEquals(failureOf(await sync({}, { e: "x".repeat(15 * KB) })), [
      413,
      "metadata_too_large",
    ]);
  });
});

Deno.test("health needs no key", async () => {
  const { status, body } = await ask(database.info, "GET", "/health");
  assertEquals([status, body], [200, { status: "ok" }]);
});
