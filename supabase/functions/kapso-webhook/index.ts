import { createServiceClient } from "../_shared/database/clients.ts";
import { createCredentialBox } from "../_shared/auth/credentials.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { kapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import { installationCheck } from "../_shared/kapso/api/installation_key.ts";
import { createBackgroundCopier } from "../_shared/kapso/media/background_copier.ts";
import { projectMedia } from "../_shared/kapso/media/project_library.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { waitUntil } from "../_shared/http/wait_until.ts";
import { createHandler } from "./handler.ts";
import { supabaseConnections, supabaseEvents, supabaseSecrets } from "./store.ts";

const env = Deno.env.toObject();
const projectEnv = readSupabaseEnv(env);
const client = createServiceClient(projectEnv);
const box = env.CREDENTIALS_KEY ? await createCredentialBox(env.CREDENTIALS_KEY) : undefined;
const kapso = {
  baseUrl: env.KAPSO_API_URL,
  apiKey: env.KAPSO_API_KEY,
  workspaces: env.KAPSO_WORKSPACES,
};
const media = projectMedia(client, {
  ...projectEnv,
  kapsoBaseUrl: kapso.baseUrl,
  mediaHosts: env.KAPSO_MEDIA_HOSTS,
  kapsoFor: kapsoAccounts(client, box, kapso),
  log: consoleLog,
});

Deno.serve(createHandler({
  secretsFor: supabaseSecrets(client, box, {
    secret: env.KAPSO_WEBHOOK_SECRET,
    isFor: installationCheck(client, kapso.workspaces),
  }),
  record: supabaseEvents(client),
  onFiles: createBackgroundCopier({
    findConnections: supabaseConnections(client),
    media,
    waitUntil,
  }),
  log: consoleLog,
  now: () => performance.now(),
}));
