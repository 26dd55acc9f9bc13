/**
 * The client against the real API: the three ways to use it, and what is in the database afterwards.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";

import {
  addMessageToConversation,
  ConversationStateService,
  type ConversationStateServiceOptions,
  ConversationSyncError,
  initializeConversationForUser,
  linkOrderToConversation,
  openConversation,
  silentLogger,
  syncGraphStateToApi,
} from "../../../clients/conversation-sync/src/mod.ts";
import { useDatabase } from "../../support/database.ts";
import { unique, uniqueNumber } from "../../support/people.ts";
import { recordingLogger } from "../../../fakes/agent_api.ts";

const database = useDatabase();
const subDomain = "demo";
const GRAPH_STATE = {
  current_intent: "order",
  order_stage: "cart",
  cart: { items: [{ id: "p1", name: "Pizza", quantity: 1, price: 15 }], total: 15 },
  delivery_address: "Av. Larco 1",
};
const CONTEXT = {
  selectedItems: [{ id: "p1", name: "Pizza", quantity: 1, price: 15 }],
  orderTotal: 15,
  deliveryAddress: "Av. Larco 1",
};

/** A service of the demo agent. It must not fail: its log is silent, and failures throw. */
function demoService(
  options: ConversationStateServiceOptions = {},
): ConversationStateService {
  return new ConversationStateService({
    env: {
      CARTAAI_API_BASE_URL: `${database.info.api_url}/functions/v1/conversation-sync`,
      CARTAAI_API_KEY: database.info.demo.agent_key,
      CARTAAI_SUBDOMAIN: subDomain,
      USE_CARTAAI_API: "true",
      // Not the default: other tests keep this machine busy.
      CONVERSATION_API_TIMEOUT: "60",
    },
    throwOnError: true,
    logger: silentLogger,
    ...options,
  });
}

Deno.test("a conversation with functions", async () => {
  const service = demoService();
  const userPhone = uniqueNumber();
  const messageId = unique("wamid.");
  const sessionId = await initializeConversationForUser({
    userPhone,
    subDomain,
    localId: "branch01",
    botId: "bot123",
    metadata: { phoneNumberId: database.info.demo.kapso_phone_number_id },
  }, service);
  assert(sessionId?.startsWith(`bot123_${userPhone.slice(1)}_`));
  // The same customer again, before the first answer: the same session.
  assertEquals(await initializeConversationForUser({ userPhone, subDomain }, service), sessionId);

  const session = { sessionId: sessionId!, subDomain };
  const question = { ...session, role: "user", content: "Quiero una pizza", messageId } as const;
  assertEquals(await addMessageToConversation(question, service), true);
  assertEquals(await addMessageToConversation(question, service), true);
  assertEquals(await syncGraphStateToApi({ ...session, graphState: GRAPH_STATE }, service), true);
  assertEquals(
    await addMessageToConversation({ ...session, role: "bot", content: "¡Perfecto!" }, service),
    true,
  );
  for (let repeat = 0; repeat < 2; repeat++) {
    assertEquals(await linkOrderToConversation({ ...session, orderId: "o1" }, service), true);
  }

  const state = await service.getConversation(session);
  const { previousMessages, lastUserMessage, ...context } = state!.context;
  assertEquals(previousMessages!.map(({ role, content }) => [role, content]), [
    ["user", "Quiero una pizza"],
    ["bot", "¡Perfecto!"],
  ]);
  assertEquals(lastUserMessage, "Quiero una pizza");
  assertEquals(context, { ...CONTEXT, currentOrderId: "o1", orderHistory: ["o1"] });
  assertEquals([state!.currentIntent, state!.currentStep], ["order", "cart"]);
  assertEquals([state!.localId, state!.botId, state!.orderHistory], ["branch01", "bot123", ["o1"]]);

  const threads = await database.sql`
    select conversation.message_count, conversation.messages #>> '{0,id}' as first_id
    from public.agent_sessions as session
    join public.conversations as conversation on conversation.id = session.conversation_id
    where session.session_id = ${sessionId}`;
  assertEquals([...threads], [{ message_count: 1, first_id: messageId }]);
});

Deno.test("a conversation in scopes, one for each message of the customer", async () => {
  const service = demoService();
  const userPhone = uniqueNumber();
  {
    await using conv = await openConversation(
      { userPhone, subDomain, localId: "branch01" },
      service,
    );
    assertEquals(conv.state?.currentIntent, "idle");
    assertEquals(await conv.addUserMessage("Quiero una pizza"), true);
    assertEquals(await conv.syncState(GRAPH_STATE), true);
    assertEquals(await conv.addBotMessage("¡Perfecto!"), true);
    assertEquals(await conv.linkOrder("o1"), true);
  }
  // With another spelling of the number, and without waiting for anything but the end.
  const spelling = `${userPhone.slice(0, 3)} ${userPhone.slice(3, 6)}-${userPhone.slice(6)}`;
  {
    await using conv = await openConversation({ userPhone: spelling, subDomain }, service);
    assertEquals(conv.state?.context.orderTotal, 15);
    assertEquals(conv.state?.currentOrderId, "o1");
    conv.addUserMessage("¿Cuándo llega?");
    conv.syncState({ current_intent: "delivery" });
    conv.addBotMessage("En 20 minutos");
  }
  const state = await service.getConversationByPhone(userPhone);
  assertEquals(state!.context.previousMessages!.map(({ content }) => content), [
    "Quiero una pizza",
    "¡Perfecto!",
    "¿Cuándo llega?",
    "En 20 minutos",
  ]);
  assertEquals([state!.currentIntent, state!.previousIntent], ["delivery", "order"]);
  assertEquals(service.metrics().syncs, { ...service.metrics().syncs, total: 1, failed: 0 });
});

Deno.test("every call of the API itself", async () => {
  await using service = demoService();
  const userId = uniqueNumber();
  assertEquals(await service.health(), true);
  assertEquals(await service.lookupTenantByPhone(userId), null);
  assertEquals(await service.getConversationByPhone(userId), null);
  assertEquals(await service.getConversationByUser({ userId }), null);
  assertEquals(await service.getConversation({ sessionId: unique() }), null);
  assertEquals(await service.lookupBusiness(unique()), null);
  const business = await service.lookupBusiness(database.info.demo.kapso_phone_number_id);
  assertEquals([business!.subDomain, business!.isActive], [subDomain, true]);

  const botId = unique("bot");
  const created = await service.createConversation({ userId, botId });
  const { sessionId } = created!;
  const tenant = await service.lookupTenantByPhone(userId);
  assertEquals(tenant, { subDomain, botId, sessionId, isActive: true });
  assertEquals((await service.getConversationByPhone(userId, { botId }))!.sessionId, sessionId);
  assertEquals((await service.getConversationByUser({ userId }))!.sessionId, sessionId);
  const page = await service.listConversations({ botId, limit: 10 });
  assertEquals([page!.total, page!.conversations[0]!.sessionId], [1, sessionId]);

  const synced = await service.syncConversationFromAgent({
    sessionId,
    intent: "payment",
    step: "processing_payment",
    context: { orderTotal: 50, paymentMethod: "yape" },
    metadata: { agentVersion: "1.0.0" },
    version: created!.version!,
  });
  assertEquals(synced!.version, created!.version! + 1);
  assertEquals(synced!.metadata, { agentVersion: "1.0.0" });
  const conflict = await assertRejects(() =>
    service.syncConversationFromAgent({
      sessionId,
      intent: "menu",
      step: "browsing",
      version: created!.version!,
    }), ConversationSyncError);
  assertEquals([conflict.kind, conflict.current?.currentIntent], ["conflict", "payment"]);

  const intent = await service.updateIntent({ sessionId, intent: "support" });
  assertEquals([intent!.currentIntent, intent!.previousIntent], ["support", "payment"]);
  const merged = await service.updateContext({ sessionId, context: { customerName: "Ana" } });
  assertEquals(merged!.context, {
    orderTotal: 50,
    paymentMethod: "yape",
    customerName: "Ana",
  });
  const replaced = await service.updateContext({ sessionId, context: { a: 1 }, merge: false });
  assertEquals(replaced!.context, { a: 1 });
  const timestamp = "2026-02-01T10:00:00.000Z";
  await service.addMessageFromAgent({ sessionId, role: "user", content: "Hola", timestamp });
  const said = await service.addMessage({ sessionId, role: "bot", content: "¿Qué tal?" });
  assertEquals(said!.context.previousMessages![0], { role: "user", content: "Hola", timestamp });
  await service.linkOrder({ sessionId, orderId: "o1" });
  const orders = await service.linkOrder({ sessionId, orderId: "o2" });
  assertEquals(orders, { sessionId, currentOrderId: "o2", orderHistory: ["o1", "o2"] });
  const reset = await service.reset({ sessionId });
  assertEquals([reset!.currentIntent, reset!.currentStep], ["idle", "initial"]);
  assertEquals(await service.listOrders({ sessionId }), orders);
  const extended = await service.extend({ sessionId, hours: 48 });
  assert(Date.parse(extended!.expiresAt!) > Date.now() + 47 * 3_600_000);

  assertEquals((await service.end({ sessionId }))!.isActive, false);
  assertEquals((await service.end({ sessionId }))!.isActive, false);
  assertEquals(await service.lookupTenantByPhone(userId), null);
  const ended = await assertRejects(
    () => service.syncConversationFromAgent({ sessionId, intent: "menu", step: "browsing" }),
    ConversationSyncError,
  );
  assertEquals([ended.kind, ended.code], ["not_found", "session_not_active"]);
  assertEquals((await service.getConversation({ sessionId }))!.isActive, false);
  const next = await service.createConversation({ userId, botId });
  assert(next!.sessionId !== sessionId);
});

Deno.test("another's workspace and a wrong key are no reason to stop", async () => {
  const logger = recordingLogger();
  const userPhone = uniqueNumber();
  const stranger = demoService({ throwOnError: false, logger });
  assertEquals(
    await initializeConversationForUser({ userPhone, subDomain: unique() }, stranger),
    null,
  );
  assertEquals(await stranger.listConversations({ subDomain: unique() }), null);
  const locked = demoService({ throwOnError: false, logger, apiKey: unique("agt_") });
  assertEquals(await initializeConversationForUser({ userPhone }, locked), null);
  const lost = demoService({
    throwOnError: false,
    logger,
    apiBaseUrl: `${database.info.api_url}/functions/v1/no-such-function`,
  });
  assertEquals(await lost.lookupTenantByPhone(userPhone), null);
  assertEquals(logger.entries.map(({ fields }) => [fields.kind, fields.code]), [
    ["not_found", "workspace_not_found"],
    ["not_found", "workspace_not_found"],
    ["unauthorized", "invalid_agent_key"],
    ["rejected", undefined],
  ]);
});
