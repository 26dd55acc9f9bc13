import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { createHandler } from "./handler.ts";
import { createDirectoryStore } from "./store.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));

Deno.serve(createHandler({
  store: createDirectoryStore(client),
  log: consoleLog,
  monotonic: () => performance.now(),
}));
