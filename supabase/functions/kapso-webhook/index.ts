import { createServiceClient } from "../_shared/database/clients.ts";
import { createCredentialCipher } from "../_shared/auth/credentials.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { kapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import {
  installationCheck,
  reportInstallationWorkspaces,
} from "../_shared/kapso/api/installation_key.ts";
import { createBackgroundCopier } from "../_shared/kapso/media/background_copier.ts";
import { projectMedia } from "../_shared/kapso/media/project_library.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { wait } from "../_shared/http/retry.ts";
import { waitUntil } from "../_shared/http/wait_until.ts";
import { createBackgroundDrainer } from "./background_drainer.ts";
import { createHandler } from "./handler.ts";
import { createWebhookStore, drainEvents, findConnections } from "./store.ts";

const env = Deno.env.toObject();
const projectEnv = readSupabaseEnv(env);
const client = createServiceClient(projectEnv);
const cipher = env.CREDENTIALS_KEY ? await createCredentialCipher(env.CREDENTIALS_KEY) : undefined;
const kapso = {
  baseUrl: env.KAPSO_API_URL,
  apiKey: env.KAPSO_API_KEY,
  workspaces: env.KAPSO_WORKSPACES,
};
const media = projectMedia(client, {
  ...projectEnv,
  kapsoBaseUrl: kapso.baseUrl,
  mediaHosts: env.KAPSO_MEDIA_HOSTS,
  kapsoFor: kapsoAccounts(client, cipher, kapso),
  log: consoleLog,
});
reportInstallationWorkspaces(env.KAPSO_WORKSPACES, consoleLog);

const copyFiles = createBackgroundCopier({
  findConnections: (phoneNumberIds) => findConnections(client, phoneNumberIds),
  media,
  waitUntil,
  log: consoleLog,
});

Deno.serve(createHandler({
  store: createWebhookStore(client, {
    cipher,
    installation: {
      secret: env.KAPSO_WEBHOOK_SECRET,
      isFor: installationCheck(client, kapso.workspaces),
    },
  }),
  onQueued: createBackgroundDrainer({
    drain: (phoneNumberId) => drainEvents(client, phoneNumberId),
    onDrained: (phoneNumberId) => copyFiles([phoneNumberId]),
    waitUntil,
    log: consoleLog,
    delay: wait,
    monotonic: () => performance.now(),
  }),
  onFiles: copyFiles,
  log: consoleLog,
  now: () => new Date(),
  monotonic: () => performance.now(),
}));
