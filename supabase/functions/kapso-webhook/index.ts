import { createServiceClient } from "../_shared/clients.ts";
import { createCredentialBox } from "../_shared/credentials.ts";
import { readSupabaseEnv } from "../_shared/env.ts";
import { consoleLog } from "../_shared/log.ts";
import { createHandler } from "./handler.ts";
import { supabaseEvents, supabaseSecrets } from "./store.ts";

const env = Deno.env.toObject();
const client = createServiceClient(readSupabaseEnv(env));
const box = env.CREDENTIALS_KEY ? await createCredentialBox(env.CREDENTIALS_KEY) : undefined;

Deno.serve(createHandler({
  secretsFor: supabaseSecrets(client, box, env.KAPSO_WEBHOOK_SECRET),
  record: supabaseEvents(client),
  log: consoleLog,
  now: () => performance.now(),
}));
