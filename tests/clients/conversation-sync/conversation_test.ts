/**
 * A conversation as functions and as a scope: what an agent's code looks like, and what it notices of a
 * broken API, which is nothing.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";

import {
  addMessageToConversation,
  type ConversationStateService,
  ConversationSyncError,
  initializeConversationForUser,
  linkOrderToConversation,
  openConversation,
  syncGraphStateToApi,
} from "../../../clients/conversation-sync/src/mod.ts";
import {
  type Behaviour,
  cutOff,
  failure,
  type FakeApi,
  held,
  html,
  ok,
  serviceOn,
  startFakeApi,
  STATE,
} from "../../../fakes/agent_api.ts";

const userPhone = "+51999999999";
const { sessionId } = STATE;
const SESSION_PATH = `/api/v1/conversations/${sessionId}`;
const GRAPH_STATE = {
  current_intent: "order",
  order_stage: "cart",
  cart: { items: [{ name: "Pizza", quantity: 1, price: 15 }], total: 15 },
  messages: ["the graph's own"],
};
const CONTEXT = { selectedItems: [{ name: "Pizza", quantity: 1, price: 15 }], orderTotal: 15 };

/** An agent as it is written with functions. Returns what it answered the customer. */
async function answerWithFunctions(service: ConversationStateService): Promise<string> {
  const subDomain = "shop";
  const session = await initializeConversationForUser({ userPhone, subDomain }, service);
  if (session) {
    await addMessageToConversation(
      { sessionId: session, subDomain, role: "user", content: "Quiero una pizza" },
      service,
    );
    await syncGraphStateToApi({ sessionId: session, subDomain, graphState: GRAPH_STATE }, service);
    await addMessageToConversation(
      { sessionId: session, subDomain, role: "bot", content: "¡Perfecto!" },
      service,
    );
    await linkOrderToConversation({ sessionId: session, subDomain, orderId: "o1" }, service);
  }
  return "¡Perfecto!";
}

/** The same agent, written with a scope. */
async function answerInScope(service: ConversationStateService): Promise<string> {
  await using conv = await openConversation({ userPhone, subDomain: "shop" }, service);
  await conv.addUserMessage("Quiero una pizza");
  await conv.syncState(GRAPH_STATE);
  await conv.addBotMessage("¡Perfecto!");
  await conv.linkOrder("o1");
  return "¡Perfecto!";
}

/** Answers well, also where orders are asked for. */
const well: Behaviour = (request) =>
  ok(request.path.endsWith("/orders") ? { sessionId, currentOrderId: "o1" } : STATE)(request);

function sent(api: FakeApi): unknown[] {
  return api.requests.map(({ method, path, body }) => [method, path, body]);
}

for (const answer of [answerWithFunctions, answerInScope]) {
  Deno.test(`${answer.name}() sends a conversation in its order`, async () => {
    await using api = startFakeApi();
    api.always(well);
    const service = serviceOn(api);
    assertEquals(await answer(service), "¡Perfecto!");
    assertEquals(sent(api), [
      ["POST", "/api/v1/conversations", { userId: userPhone, subDomain: "shop" }],
      ["POST", `${SESSION_PATH}/messages`, {
        subDomain: "shop",
        role: "user",
        content: "Quiero una pizza",
      }],
      ["PUT", `/api/v1/whatsapp/agent/conversations/${sessionId}/sync`, {
        intent: "order",
        step: "cart",
        context: CONTEXT,
      }],
      ["POST", `${SESSION_PATH}/messages`, {
        subDomain: "shop",
        role: "bot",
        content: "¡Perfecto!",
      }],
      ["POST", `${SESSION_PATH}/orders`, { subDomain: "shop", orderId: "o1" }],
    ]);
    assertEquals(service.entries, []);
    assertEquals(service.metrics().syncs.total, 1);
  });

  Deno.test(`${answer.name}() answers the customer during any failure of the API, and recovers`, async () => {
    await using api = startFakeApi();
    const service = serviceOn(api, { retries: 1 });
    const troubles = [
      failure(500),
      failure(503, { headers: { "retry-after": "60" } }),
      failure(401),
      failure(404),
      failure(409),
      html(200),
      cutOff(),
    ];
    for (const trouble of troubles) {
      const before = service.entries.length;
      api.always(trouble);
      // From the first call on, and then in the middle of the conversation.
      assertEquals(await answer(service), "¡Perfecto!");
      api.next(well);
      assertEquals(await answer(service), "¡Perfecto!");
      assertEquals(service.entries.length, before + 5);
    }
    const { failed } = service.metrics().calls;
    assertEquals(failed, troubles.length * 5);
    api.always(well);
    const before = service.entries.length;
    await answer(service);
    assertEquals([service.entries.length, service.metrics().calls.failed], [before, failed]);
  });

  Deno.test(`${answer.name}() answers the customer in time when the API does not`, async () => {
    await using api = startFakeApi();
    using never = held();
    api.always(never.behaviour);
    const service = serviceOn(api, { timeoutMs: 50 });
    assertEquals(await answer(service), "¡Perfecto!");
    assertEquals(service.entries.map(({ fields }) => fields.kind), ["timeout"]);
  });

  Deno.test(`${answer.name}() does nothing if the sync is switched off`, async () => {
    await using api = startFakeApi();
    assertEquals(await answer(serviceOn(api, { enabled: false })), "¡Perfecto!");
    assertEquals(api.requests, []);
  });

  Deno.test(`${answer.name}() throws if that is requested`, async () => {
    await using api = startFakeApi();
    api.always(failure(400));
    const service = serviceOn(api, { throwOnError: true });
    await assertRejects(() => answer(service), ConversationSyncError);
  });
}

Deno.test("the functions say whether it worked", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api, { retries: 0 });
  const session = { sessionId, subDomain: "shop" };
  const message = { ...session, role: "user", content: "Hello" } as const;
  api.always(well);
  assertEquals(await initializeConversationForUser({ userPhone }, service), sessionId);
  assertEquals(await addMessageToConversation(message, service), true);
  assertEquals(await syncGraphStateToApi({ ...session, graphState: GRAPH_STATE }, service), true);
  assertEquals(await linkOrderToConversation({ ...session, orderId: "o1" }, service), true);
  api.always(failure(500));
  assertEquals(await initializeConversationForUser({ userPhone }, service), null);
  assertEquals(await addMessageToConversation(message, service), false);
  assertEquals(await syncGraphStateToApi({ ...session, graphState: GRAPH_STATE }, service), false);
  assertEquals(await linkOrderToConversation({ ...session, orderId: "o1" }, service), false);
});

Deno.test("a graph that says less changes only what it says", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api);
  const sync = (graphState: Record<string, unknown>) =>
    syncGraphStateToApi({ sessionId, graphState }, service);
  assertEquals(await sync({ cart: { total: 3 } }), true);
  assertEquals(await sync({ current_intent: "menu" }), true);
  assertEquals(await sync({ current_intent: "menu", payment_method: "cash" }), true);
  assertEquals(await sync({ messages: [] }), true);
  assertEquals(sent(api), [
    ["PATCH", `${SESSION_PATH}/context`, { subDomain: "shop", context: { orderTotal: 3 } }],
    ["PATCH", `${SESSION_PATH}/intent`, { subDomain: "shop", intent: "menu" }],
    ["PATCH", `${SESSION_PATH}/intent`, { subDomain: "shop", intent: "menu" }],
    ["PATCH", `${SESSION_PATH}/context`, { subDomain: "shop", context: { paymentMethod: "cash" } }],
  ]);
  api.next(failure(400));
  assertEquals(await sync({ current_intent: "menu", payment_method: "cash" }), false);
  assertEquals(api.requests.length, 5);
});

Deno.test("a graph state that cannot be read does not throw", async () => {
  await using api = startFakeApi();
  const graphState = {
    get current_intent(): string {
      throw new Error("Quiero una pizza");
    },
  };
  const service = serviceOn(api);
  assertEquals(await syncGraphStateToApi({ sessionId, graphState }, service), false);
  await using conv = await openConversation({ userPhone }, service);
  assertEquals(await conv.syncState(graphState), false);
  assertEquals(service.entries.length, 2);
  assert(!JSON.stringify(service.entries).includes("pizza"));
});

Deno.test("messageId and time of a message go along, and make it safe to repeat", async () => {
  await using api = startFakeApi();
  await using conv = await openConversation({ userPhone }, serviceOn(api));
  api.next(failure(500));
  const message = { messageId: "wamid.1", timestamp: "2026-02-01T10:00:00Z" };
  assertEquals(await conv.addUserMessage("Hello", message), true);
  assertEquals(await conv.addBotMessage("Hi"), true);
  assertEquals(
    api.requests.slice(1).map(({ body }) => [body.role, body.messageId, body.timestamp]),
    [
      ["user", "wamid.1", "2026-02-01T10:00:00Z"],
      ["user", "wamid.1", "2026-02-01T10:00:00Z"],
      ["bot", undefined, undefined],
    ],
  );
});

Deno.test("a scope shows what is known of the customer", async () => {
  await using api = startFakeApi();
  api.next(ok({ ...STATE, context: { customerName: "Ana" } }));
  const service = serviceOn(api);
  await using conv = await openConversation({ userPhone }, service);
  assertEquals([conv.sessionId, conv.state?.context.customerName], [sessionId, "Ana"]);
  api.next(failure(400));
  await using none = await openConversation({ userPhone }, service);
  assertEquals([none.sessionId, none.state], [null, null]);
});

Deno.test("a scope keeps the order of calls that are not awaited, and its end waits for them", async () => {
  await using api = startFakeApi();
  api.always(well);
  using slow = held();
  const service = serviceOn(api);
  const graphState: Record<string, unknown> = { current_intent: "menu", order_stage: "a" };
  let closed: Promise<void>;
  {
    const conv = await openConversation({ userPhone }, service);
    api.next(slow.behaviour);
    conv.addUserMessage("1");
    conv.syncState(graphState);
    graphState.order_stage = "b";
    conv.addBotMessage("2");
    await slow.arrived;
    // Were the others under way as well, they would be there before this.
    for (let call = 0; call < 5; call++) await service.health();
    assertEquals(api.requests.filter(({ path }) => path !== "/health").length, 2);
    closed = conv.close();
    assertEquals(await conv.addUserMessage("too late"), false);
  }
  slow[Symbol.dispose]();
  await closed;
  assertEquals(
    api.requests.flatMap(({ body }) => body?.content ?? body?.step ?? []),
    ["1", "a", "2"],
  );
  assertEquals(service.entries.map(({ fields }) => fields), [
    { operation: "addMessage", kind: "closed" },
  ]);
});

Deno.test("a failure in a scope does not hold up what comes after it", async () => {
  await using api = startFakeApi();
  const service = serviceOn(api, { throwOnError: true });
  const conv = await openConversation({ userPhone }, service);
  api.next(failure(400));
  const first = assertRejects(() => conv.addUserMessage("1"), ConversationSyncError);
  const second = conv.addUserMessage("2");
  await conv.close();
  await first;
  assertEquals(await second, true);
});
