/**
 * Every request is one call of the database: the key is checked where the work is done.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createHandler } from "../../../supabase/functions/conversation-sync/handler.ts";
import { createSessionStore } from "../../../supabase/functions/conversation-sync/store.ts";
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
  const calls: string[] = [];
  await using counter = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      calls.push(pathname);
      return await fetch(info.api_url + pathname + search, {
        method: request.method,
        headers: request.headers,
        body: await request.arrayBuffer(),
      });
    },
  );
  const handle = createHandler({
    store: createSessionStore(createServiceClient({
      supabaseUrl: `http://127.0.0.1:${counter.addr.port}`,
      secretKey: info.secret_key,
    })),
    log: () => {},
    monotonic: () => 0,
  });
  const own = `${CONVERSATIONS}/${sessionId}`;
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
    ["GET", `${own}?subDomain=${subDomain}`],
    ["GET", `${CONVERSATIONS}/user/${userId}?subDomain=${subDomain}`],
    ["PATCH", `${own}/intent`, { subDomain, intent: "i" }],
    ["PATCH", `${own}/context`, { subDomain, context: {} }],
    ["POST", `${own}/messages`, { subDomain, role: "bot", content: "x" }],
    ["POST", `${own}/reset`, { subDomain }],
    ["POST", `${own}/extend`, { subDomain }],
    ["POST", `${own}/orders`, { subDomain, orderId: "o" }],
    ["GET", `${own}/orders?subDomain=${subDomain}`],
    ["POST", `${own}/end`, { subDomain }],
    ["GET", "/health"],
  ];
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
    assertEquals([response.status, calls.length], [200, 1], `${method} ${path}: ${answer}`);
  }
});
