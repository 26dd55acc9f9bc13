import { verifyApiKey } from "../_shared/auth/api_keys.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { supabaseStore } from "../_shared/messages/ingest_store.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { createHandler } from "./handler.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  store: supabaseStore(client),
  verifyApiKey: (apiKey, connectionId, platform) =>
    verifyApiKey(client, apiKey, connectionId, platform),
  log: consoleLog,
  now: () => performance.now(),
}));
