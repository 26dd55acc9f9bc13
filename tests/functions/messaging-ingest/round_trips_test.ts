/**
 * A request is one call of the database: the key is checked where its messages are stored.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findKeyHolder, verifyApiKey } from "../../../supabase/functions/_shared/auth/api_keys.ts";
import { createServiceClient } from "../../../supabase/functions/_shared/database/clients.ts";
import { createConversationStore } from "../../../supabase/functions/_shared/messages/conversation_store.ts";
import { createHandler } from "../../../supabase/functions/messaging-ingest/handler.ts";
import { useDatabase } from "../../support/database.ts";
import { countCalls } from "../../support/call_counter.ts";
import { conversation, messages } from "../../support/messages.ts";
import { unique } from "../../support/people.ts";

const database = useDatabase();

Deno.test("one round trip for a request of any small size", async () => {
  const { demo, secret_key } = database.info;
  await using counter = countCalls(database.info.api_url);
  const client = createServiceClient({ supabaseUrl: counter.url, secretKey: secret_key });
  const handle = createHandler({
    store: createConversationStore(client),
    findKeyHolder: (apiKey) => findKeyHolder(client, apiKey),
    verifyApiKey: (apiKey, connectionId, platform) =>
      verifyApiKey(client, apiKey, connectionId, platform),
    log: () => {},
    monotonic: () => 0,
  });
  const send = async (key: string, conversations: unknown[]) => {
    counter.calls.length = 0;
    const response = await handle(
      new Request("http://localhost/messaging-ingest", {
        method: "POST",
        headers: { "x-api-key": key, "content-type": "application/json" },
        body: JSON.stringify({
          platform: "whatsapp",
          connection_id: demo.connection_id,
          conversations,
        }),
      }),
    );
    const { code } = await response.json();
    return [response.status, code, counter.calls.length];
  };
  const one = conversation({ messages: messages(1) });
  assertEquals(await send(demo.api_key, [one]), [200, undefined, 1]);
  assertEquals(await send(demo.api_key, [one, conversation({ messages: messages(20) })]), [
    200,
    undefined,
    1,
  ]);
  assertEquals(await send(unique("msg_"), [one]), [401, "invalid_api_key", 1]);
  // Nothing to store: the key is checked all the same.
  assertEquals(await send(demo.api_key, []), [200, undefined, 1]);
  assertEquals(await send(unique("msg_"), []), [401, "invalid_api_key", 1]);
  assertEquals(await send(demo.api_key, ["no conversation"]), [200, undefined, 1]);
  assertEquals(await send(unique("msg_"), Array(501).fill({})), [401, "invalid_api_key", 1]);
  assertEquals(await send(demo.api_key, Array(501).fill({})), [400, "too_many_conversations", 1]);
});
