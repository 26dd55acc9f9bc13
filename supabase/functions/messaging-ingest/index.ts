import { findKeyHolder, verifyApiKey } from "../_shared/auth/api_keys.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { createConversationStore } from "../_shared/messages/conversation_store.ts";
import { createHandler } from "./handler.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  store: createConversationStore(client),
  findKeyHolder: (apiKey) => findKeyHolder(client, apiKey),
  verifyApiKey: (apiKey, connectionId, platform) =>
    verifyApiKey(client, apiKey, connectionId, platform),
  log: consoleLog,
  monotonic: () => performance.now(),
}));
