import { verifyApiKey } from "../_shared/auth/api_keys.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { createHandler } from "./handler.ts";
import { createPeopleStore } from "./store.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  verifyApiKey: (apiKey, connectionId) => verifyApiKey(client, apiKey, connectionId),
  store: createPeopleStore(client),
  log: consoleLog,
  monotonic: () => performance.now(),
}));
