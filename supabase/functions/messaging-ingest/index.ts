import { verifyApiKey } from "../_shared/api_keys.ts";
import { createServiceClient } from "../_shared/clients.ts";
import { supabaseStore } from "../_shared/conversations/supabase_store.ts";
import { readSupabaseEnv } from "../_shared/env.ts";
import { consoleLog } from "../_shared/log.ts";
import { createHandler } from "./handler.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  store: supabaseStore(client),
  verifyApiKey: (apiKey, connectionId, platform) =>
    verifyApiKey(client, apiKey, connectionId, platform),
  log: consoleLog,
  now: () => performance.now(),
}));
