import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { createHandler } from "./handler.ts";
import { createSessionStore } from "./store.ts";

const client = createServiceClient(readSupabaseEnv(Deno.env.toObject()));
const monotonic = () => performance.now();

Deno.serve(createHandler({
  store: createSessionStore(client, monotonic),
  log: consoleLog,
  monotonic,
}));
