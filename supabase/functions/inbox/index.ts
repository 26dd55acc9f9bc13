import { createCallerReader } from "../_shared/auth/caller.ts";
import { createCredentialCipher } from "../_shared/auth/credentials.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { wait } from "../_shared/http/retry.ts";
import { waitUntil } from "../_shared/http/wait_until.ts";
import { kapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import {
  installationCheck,
  reportInstallationWorkspaces,
} from "../_shared/kapso/api/installation_key.ts";
import { projectMedia } from "../_shared/kapso/media/project_library.ts";
import { createHandler } from "./handler.ts";
import { mediaLinkKeys } from "./media_links.ts";
import {
  createCredentialStore,
  createMediaSourceStore,
  createNumberStore,
  createOutboxStore,
} from "./store.ts";

const env = Deno.env.toObject();
const projectEnv = readSupabaseEnv(env);
const client = createServiceClient(projectEnv);
const cipher = env.CREDENTIALS_KEY ? await createCredentialCipher(env.CREDENTIALS_KEY) : undefined;
const kapsoFor = kapsoAccounts(client, cipher, {
  baseUrl: env.KAPSO_API_URL,
  apiKey: env.KAPSO_API_KEY,
  workspaces: env.KAPSO_WORKSPACES,
  // A person is waiting.
  maxWaitMs: 3_000,
});
reportInstallationWorkspaces(env.KAPSO_WORKSPACES, consoleLog);

Deno.serve(createHandler({
  readCaller: createCallerReader(projectEnv),
  outbox: createOutboxStore(client),
  credentials: createCredentialStore(client, cipher),
  numbers: createNumberStore(client),
  kapsoFor,
  media: projectMedia(client, {
    ...projectEnv,
    kapsoFor,
    kapsoBaseUrl: env.KAPSO_API_URL,
    mediaHosts: env.KAPSO_MEDIA_HOSTS,
    log: consoleLog,
  }),
  mediaSources: createMediaSourceStore(client),
  mediaLinkKeys: await mediaLinkKeys(projectEnv.secretKeys),
  // In a container, browsers reach the project at another address than the function does.
  inboxUrl: env.INBOX_URL ?? `${projectEnv.supabaseUrl}/functions/v1/inbox`,
  hasInstallationKey: env.KAPSO_API_KEY
    ? installationCheck(client, env.KAPSO_WORKSPACES)
    : () => Promise.resolve(false),
  webhookUrl: env.KAPSO_WEBHOOK_URL ?? `${projectEnv.supabaseUrl}/functions/v1/kapso-webhook`,
  waitUntil,
  log: consoleLog,
  now: () => Date.now(),
  monotonic: () => performance.now(),
  delay: wait,
}));
