/**
 * Every request is one call of the database: the key is checked where the work is done. Requests that only read are
 * counted by another call, once a minute.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createHandler } from "../../../supabase/functions/conversation-sync/handler.ts";
import { createSessionStore } from "../../../supabase/functions/conversation-sync/store.ts";
import { countCalls } from "../../support/call_counter.ts";
import { useDatabase } from "../../support/database.ts";
import { unique } from "../../support/people.ts";
import { createPhoneNumber } from "../../support/kapso_webhook.ts";
import { AGENT, CONVERSATIONS, createBusiness, createSession } from "../../support/agents.ts";

const database = useDatabase();

Deno.test("one round trip for every request", async () => {
  const { info } = database;
  const business = await createBusiness(info);
  const { slug: subDomain } = business;
  const { phoneNumberId } = await createPhoneNumber(business);
  const { sessionId, userId } = await createSession(info, business);
  await using counter = countCalls(info.api_url);
  const { calls } = counter;
  const handle = createHandler({
    store: createSessionStore(
      createServiceClient({ supabaseUrl: counter.url, secretKey: info.secret_key }),
      () => 0,
    ),
    log: () => {},
    monotonic: () => 0,
  });
  const session = `${CONVERSATIONS}/${sessionId}`;
  const lookup = "/api/v1/whatsapp/lookup";
  const messageId = unique("wamid.");
  const requests: [method: string, path: string, body?: unknown][] = [
    ["GET", `${lookup}/tenant/${userId}`],
    ["GET", `${lookup}/business/${phoneNumberId}`],
    ["GET", `${lookup}/conversation/${userId}`],
    ["PUT", `${AGENT}/${sessionId}/sync`, { intent: "i", step: "s", context: { a: 1 } }],
    ["POST", `${AGENT}/${sessionId}/messages`, { role: "user", content: "x", messageId }],
    ["POST", CONVERSATIONS, { userId, subDomain }],
    ["GET", `${CONVERSATIONS}?subDomain=${subDomain}`],
    ["GET", `${session}?subDomain=${subDomain}`],
    ["GET", `${CONVERSATIONS}/user/${userId}?subDomain=${subDomain}`],
    ["PATCH", `${session}/intent`, { subDomain, intent: "i" }],
    ["PATCH", `${session}/context`, { subDomain, context: {} }],
    ["POST", `${session}/messages`, { subDomain, role: "bot", content: "x" }],
    ["POST", `${session}/reset`, { subDomain }],
    ["POST", `${session}/extend`, { subDomain }],
    ["POST", `${session}/orders`, { subDomain, orderId: "o" }],
    ["GET", `${session}/orders?subDomain=${subDomain}`],
    ["POST", `${session}/end`, { subDomain }],
    ["GET", "/health"],
  ];
  const counts: string[] = [];
  for (const [method, path, body] of requests) {
    calls.length = 0;
    const response = await handle(
      new Request(`http://localhost/conversation-sync${path}`, {
        method,
        headers: { "x-api-key": business.key, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    );
    const answer = await response.text();
    const own = calls.filter((call) => !call.endsWith("/count_agent_request"));
    assertEquals([response.status, own.length], [200, 1], `${method} ${path}: ${answer}`);
    if (own.length < calls.length) counts.push(path);
  }
  assertEquals(counts, [requests[0]![1]]);
});
