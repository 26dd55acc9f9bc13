/**
 * Clients for the Kapso projects that connections belong to.
 *
 * @module
 */
import type { CredentialCipher } from "../../auth/credentials.ts";
import type { DatabaseClient } from "../../database/clients.ts";
import { rpc, withoutUndefined } from "../../database/rpc.ts";
import { AppError } from "../../http/errors.ts";
import { createKapsoClient, type KapsoClient } from "./client.ts";
import { readInstallationWorkspaces } from "./installation_key.ts";

/** Settings of {@linkcode kapsoAccounts}, from the environment. */
export interface KapsoAccountSettings {
  /** `KAPSO_API_URL`: the address of Kapso's API. Undefined: Kapso's own. */
  baseUrl: string | undefined;
  /** `KAPSO_API_KEY`: for connections that have no key of their own, of the workspaces named next. */
  apiKey: string | undefined;
  /** `KAPSO_WORKSPACES`: see {@linkcode readInstallationWorkspaces}. */
  workspaces: string | undefined;
  /** As `createKapsoClient` takes it. */
  maxWaitMs?: number;
  /** As `createKapsoClient` takes it. */
  deadlineMs?: number;
}

/**
 * A client for the Kapso project of a connection.
 *
 * @param connectionId Primary key of the connection. The caller has checked that it may act for it.
 * @param givenKey A key to use instead of the connection's.
 * @throws {AppError} kapso_api_key_missing (422), or as `databaseError`.
 */
export type KapsoAccounts = (connectionId: string, givenKey?: string) => Promise<KapsoClient>;

/**
 * {@linkcode KapsoAccounts} on a service client.
 *
 * @param cipher Decrypts the keys of connections; undefined where no CREDENTIALS_KEY is set.
 */
export function kapsoAccounts(
  client: DatabaseClient,
  cipher: CredentialCipher | undefined,
  settings: KapsoAccountSettings,
): KapsoAccounts {
  const { baseUrl, maxWaitMs, deadlineMs } = settings;
  const createClient = (apiKey: string) =>
    createKapsoClient({ apiKey, ...withoutUndefined({ baseUrl, maxWaitMs, deadlineMs }) });
  const installation = readInstallationWorkspaces(settings.workspaces);
  return async (connectionId, givenKey) => {
    if (givenKey) return createClient(givenKey);
    const [stored] = await rpc(client, "kapso_api_key", { connection_id: connectionId });
    if (stored?.api_key && !cipher) {
      throw new Error("CREDENTIALS_KEY is not set, so the connection's Kapso key cannot be read");
    }
    const apiKey = stored?.api_key
      ? await cipher!.decrypt(stored.api_key)
      : stored && installation.has(stored.workspace_id)
      ? settings.apiKey
      : undefined;
    if (!apiKey) {
      throw new AppError(
        422,
        "kapso_api_key_missing",
        "This connection has no Kapso API key: enter it in the settings of the connection, or set KAPSO_API_KEY and KAPSO_WORKSPACES",
      );
    }
    return createClient(apiKey);
  };
}
