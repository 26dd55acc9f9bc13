import { createCallerReader } from "../_shared/auth/caller.ts";
import { createCredentialCipher } from "../_shared/auth/credentials.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { wait } from "../_shared/http/retry.ts";
import { waitUntil } from "../_shared/http/wait_until.ts";
import { kapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import {
  readInstallationWorkspaces,
  reportInstallationWorkspaces,
} from "../_shared/kapso/api/installation_key.ts";
import {
  COPY_TIMEOUT_MS,
  createBackgroundCopier,
} from "../_shared/kapso/media/background_copier.ts";
import { projectMedia } from "../_shared/kapso/media/project_library.ts";
import { createHandler } from "./handler.ts";
import { createRunStore, createSyncStore } from "./store.ts";

const env = Deno.env.toObject();
const projectEnv = readSupabaseEnv(env);
const client = createServiceClient(projectEnv);
const cipher = env.CREDENTIALS_KEY ? await createCredentialCipher(env.CREDENTIALS_KEY) : undefined;
// Waits shorter than a lease, which storing renews. The next slice retries what takes longer.
const kapso = {
  baseUrl: env.KAPSO_API_URL,
  apiKey: env.KAPSO_API_KEY,
  workspaces: env.KAPSO_WORKSPACES,
  maxWaitMs: 15_000,
  deadlineMs: 40_000,
};
const kapsoFor = kapsoAccounts(client, cipher, kapso);
const media = projectMedia(client, {
  ...projectEnv,
  kapsoBaseUrl: kapso.baseUrl,
  mediaHosts: env.KAPSO_MEDIA_HOSTS,
  kapsoFor,
  log: consoleLog,
});
const copyInBackground = createBackgroundCopier({ media, waitUntil, log: consoleLog });
reportInstallationWorkspaces(env.KAPSO_WORKSPACES, consoleLog);

Deno.serve(createHandler({
  readCaller: createCallerReader(projectEnv),
  store: createSyncStore(client),
  runs: createRunStore(client),
  workspaces: readInstallationWorkspaces(env.KAPSO_WORKSPACES),
  kapsoFor,
  onStored: (connectionId) => copyInBackground([connectionId]),
  copyDueFiles: () => media.copyDueMedia({ signal: AbortSignal.timeout(COPY_TIMEOUT_MS) }),
  waitUntil,
  // Edge Functions live for at least 150 seconds, with 1 to 2 seconds of processor time.
  budget: { duration: 45_000, pages: 40 },
  log: consoleLog,
  monotonic: () => performance.now(),
  delay: wait,
}));
