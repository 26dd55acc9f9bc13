import { createCallerReader } from "../_shared/auth/caller.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { waitUntil } from "../_shared/http/wait_until.ts";
import { createAi, readAiSettings } from "./ai.ts";
import { createHandler } from "./handler.ts";
import { createNoteWriter } from "./notes.ts";
import { createSummaryStore } from "./store.ts";

const env = Deno.env.toObject();
const supabaseEnv = readSupabaseEnv(env);
const settings = readAiSettings(env);
const ai = settings && createAi(settings, consoleLog);

Deno.serve(createHandler({
  readCaller: createCallerReader(supabaseEnv),
  store: createSummaryStore(createServiceClient(supabaseEnv)),
  createWriter: () => createNoteWriter(ai, () => crypto.randomUUID()),
  waitUntil,
  // Edge Functions live for at least 150 seconds, and a slice takes up to 90.
  budgetMs: 45_000,
  log: consoleLog,
  monotonic: () => performance.now(),
}));
