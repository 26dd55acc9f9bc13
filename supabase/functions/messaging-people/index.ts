import { verifyApiKey } from "../_shared/api_keys.ts";
import { createServiceClient } from "../_shared/clients.ts";
import { readSupabaseEnv } from "../_shared/env.ts";
import { consoleLog } from "../_shared/log.ts";
import { createHandler } from "./handler.ts";
import { supabasePeople } from "./people.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  verifyApiKey: (apiKey, connectionId) => verifyApiKey(client, apiKey, connectionId),
  listPeople: supabasePeople(client),
  log: consoleLog,
  now: () => performance.now(),
}));
