/**
 * conversation-sync answers as its contract says.
 *
 * @module
 */
import * as contract from "../../../supabase/functions/_shared/contracts/conversation_sync/index.ts";
import { createBusiness, uniquePhone } from "../../support/agents.ts";
import { ContractCheck } from "../../support/contract.ts";
import { useDatabase } from "../../support/database.ts";
import { uniquePhoneNumberId } from "../../support/kapso_webhook.ts";
import { createBridge } from "../../support/users.ts";

const database = useDatabase();

Deno.test("every documented request of conversation-sync is answered as documented", async () => {
  const check = new ContractCheck(database.info.api_url, contract);
  const business = await createBusiness(database.info);
  const headers = { authorization: `Bearer ${business.key}` };
  const subDomain = business.slug;
  const phone = uniquePhone();
  const phoneNumberId = uniquePhoneNumberId();
  const bridge = await createBridge(business);
  await database.sql`
    update public.connections set phone_number_id = ${phoneNumberId} where id = ${bridge.id}`;

  const create = { headers, body: { userId: `+${phone}`, subDomain, localId: "branch" } };
  const { data } = await check.send(contract.createConversation, { ...create, status: 201 });
  await check.send(contract.createConversation, { ...create, status: 200 });
  const params = { sessionId: data.sessionId };
  const query = { subDomain };

  await check.send(contract.lookupTenant, {
    params: { phoneNumber: phone },
    headers,
    status: 200,
  });
  await check.send(contract.lookupBusiness, { params: { phoneNumberId }, headers, status: 200 });
  await check.send(contract.lookupConversation, {
    params: { phoneNumber: phone },
    headers,
    status: 200,
  });
  await check.send(contract.listConversations, { headers, query, status: 200 });
  await check.send(contract.getConversationOfUser, {
    params: { userId: phone },
    headers,
    query,
    status: 200,
  });

  const message = { role: "user", content: "Hola", messageId: `wamid.${crypto.randomUUID()}` };
  const item = { id: "p1", name: "Pizza", quantity: 1, price: 50 };
  const writes = [
    [contract.syncConversation, {
      intent: "order",
      step: "cart",
      context: { selectedItems: [item], deliveryAddress: { street: "Av. Sol" }, other: 1 },
      metadata: { phoneNumberId },
    }],
    [contract.addAgentMessage, message],
    [contract.addMessage, { subDomain, role: "bot", content: "¿Algo más?" }],
    [contract.updateIntent, { subDomain, intent: "payment", step: "card" }],
    [contract.updateContext, { subDomain, context: { orderTotal: 50 } }],
    [contract.linkOrder, { subDomain, orderId: "o1" }],
    [contract.extendConversation, { subDomain, hours: 48 }],
    [contract.resetConversation, { subDomain, keepHistory: true }],
    [contract.endConversation, { subDomain }],
  ] as const;
  for (const [route, body] of writes) {
    await check.send(route, { params, headers, body: { ...body, version: 999 }, status: 409 });
    await check.send(route, { params, headers, body, status: 200 });
    await check.send(route, { params: { sessionId: "none" }, headers, body, status: 404 });
    await check.send(route, { params, headers, body: [], status: 400 });
    await check.send(route, { params, body, status: 401 });
  }
  await check.send(contract.getOrders, { params, headers, query, status: 200 });
  await check.send(contract.getConversation, { params, headers, query, status: 200 });
  await check.send(contract.getConversation, { params, headers, status: 400 });
  await check.send(contract.lookupBusiness, {
    params: { phoneNumberId: "1" },
    headers,
    status: 404,
  });
  await check.send(contract.lookupTenant, { params: { phoneNumber: "1" }, status: 401 });
  await check.send(contract.checkHealth, { status: 200 });
  await check.send(contract.getOpenApi, { status: 200 });
  check.assertComplete();
});
