import { createServiceClient } from "../_shared/clients.ts";
import { readSupabaseEnv } from "../_shared/env.ts";
import { consoleLog } from "../_shared/log.ts";
import { createHandler } from "./routes.ts";
import { supabaseSessions } from "./store.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  sessions: supabaseSessions(client),
  log: consoleLog,
  now: () => performance.now(),
}));
