import { createCallerReader } from "../_shared/auth/caller.ts";
import { createCredentialCipher } from "../_shared/auth/credentials.ts";
import { createServiceClient } from "../_shared/database/clients.ts";
import { readSupabaseEnv } from "../_shared/database/env.ts";
import { consoleLog } from "../_shared/http/log.ts";
import { kapsoAccounts } from "../_shared/kapso/api/accounts.ts";
import { reportInstallationWorkspaces } from "../_shared/kapso/api/installation_key.ts";
import { createHandler } from "./handler.ts";
import { createConnect } from "./kapso.ts";
import { createSyncStore } from "./store.ts";

const env = Deno.env.toObject();
const supabaseEnv = readSupabaseEnv(env);
const client = createServiceClient(supabaseEnv);
const cipher = env.CREDENTIALS_KEY ? await createCredentialCipher(env.CREDENTIALS_KEY) : undefined;
const store = createSyncStore(client);
reportInstallationWorkspaces(env.KAPSO_WORKSPACES, consoleLog);

Deno.serve(createHandler({
  readCaller: createCallerReader(supabaseEnv),
  store,
  connect: createConnect({
    connectionsOf: store.connectionsOf,
    workspacesOf: store.workspacesOf,
    accounts: kapsoAccounts(client, cipher, {
      baseUrl: env.KAPSO_API_URL,
      apiKey: env.KAPSO_API_KEY,
      workspaces: env.KAPSO_WORKSPACES,
    }),
  }),
  log: consoleLog,
  monotonic: () => performance.now(),
}));
