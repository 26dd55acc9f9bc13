import { createCallerReader } from "../_shared/auth/caller.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { createCredentialBox } from "../_shared/auth/credentials.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { kapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import {
  COPY_TIMEOUT_MS,
  createBackgroundCopier,
} from "../_shared/kapso/media/background_copier.ts";
import { projectMedia } from "../_shared/kapso/media/project_library.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { waitUntil } from "../_shared/http/wait_until.ts";
import { createHandler } from "./handler.ts";
import { supabaseRuns } from "./store.ts";
import { supabaseTargets } from "./target_store.ts";

const env = Deno.env.toObject();
const projectEnv = readSupabaseEnv(env);
const client = createServiceClient(projectEnv);
const box = env.CREDENTIALS_KEY ? await createCredentialBox(env.CREDENTIALS_KEY) : undefined;
// Shorter than a lease, which is kept by storing: what takes longer is for the next slice.
const kapso = {
  baseUrl: env.KAPSO_API_URL,
  apiKey: env.KAPSO_API_KEY,
  workspaces: env.KAPSO_WORKSPACES,
  maxWaitMs: 15_000,
  deadlineMs: 40_000,
};
const kapsoFor = kapsoAccounts(client, box, kapso);
const media = projectMedia(client, {
  ...projectEnv,
  kapsoBaseUrl: kapso.baseUrl,
  mediaHosts: env.KAPSO_MEDIA_HOSTS,
  kapsoFor,
  log: consoleLog,
});
const copyInBackground = createBackgroundCopier({ media, waitUntil });

Deno.serve(createHandler({
  readCaller: createCallerReader(projectEnv),
  ...supabaseTargets(client),
  runs: supabaseRuns(client),
  kapsoFor,
  onStored: (connectionId) => copyInBackground([connectionId]),
  onTick: () => media.copyDueMedia({ signal: AbortSignal.timeout(COPY_TIMEOUT_MS) }),
  waitUntil,
  // Edge Functions end after 150 seconds at the least, and after 2 seconds of processor time.
  budget: { duration: 45_000, pages: 150 },
  log: consoleLog,
  now: () => Date.now(),
  delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
}));
