/**
 * From a connection to the Kapso project it belongs to.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import type { CredentialBox } from "../../auth/credentials.ts";
import { rpc } from "../../database/rpc.ts";
import { AppError } from "../../http/errors.ts";
import { createKapsoClient, type KapsoClient } from "./client.ts";
import { installationCheck } from "./installation_key.ts";

/** Settings of {@linkcode kapsoAccounts}, from the environment. */
export interface KapsoAccountSettings {
  /** `KAPSO_API_URL`: where Kapso's API answers. Undefined: Kapso itself. */
  baseUrl: string | undefined;
  /** `KAPSO_API_KEY`: for connections that have no key of their own, of the workspaces named next. */
  apiKey: string | undefined;
  /** `KAPSO_WORKSPACES`: see {@linkcode installationCheck}. */
  workspaces: string | undefined;
  /** As of `createKapsoClient`: how long a call may wait for Kapso. */
  maxWaitMs?: number;
  /** As of `createKapsoClient`: how long a call that only reads may take in all. */
  deadlineMs?: number;
}

/**
 * A client for the Kapso project of a connection.
 *
 * @param connectionId Primary key of the connection. The caller has made sure that it may act for it.
 * @param givenKey A key to use instead of the connection's.
 * @throws {AppError} kapso_api_key_missing (422), or as {@linkcode databaseError}.
 */
export type KapsoAccounts = (connectionId: string, givenKey?: string) => Promise<KapsoClient>;

/**
 * {@linkcode KapsoAccounts} on a service client.
 *
 * @param box Opens the keys of connections; undefined where no CREDENTIALS_KEY is set.
 */
export function kapsoAccounts(
  client: DatabaseClient,
  box: CredentialBox | undefined,
  settings: KapsoAccountSettings,
): KapsoAccounts {
  const createClient = (apiKey: string) =>
    createKapsoClient({
      apiKey,
      ...(settings.baseUrl === undefined ? {} : { baseUrl: settings.baseUrl }),
      ...(settings.maxWaitMs === undefined ? {} : { maxWaitMs: settings.maxWaitMs }),
      ...(settings.deadlineMs === undefined ? {} : { deadlineMs: settings.deadlineMs }),
    });
  const mayUseInstallation = installationCheck(client, settings.workspaces);
  return async (connectionId, givenKey) => {
    if (givenKey) return createClient(givenKey);
    const sealed = await rpc(client, "kapso_api_key", { connection_id: connectionId });
    if (sealed !== null && !box) {
      throw new Error("CREDENTIALS_KEY is not set, so the connection's Kapso key cannot be read");
    }
    const apiKey = sealed !== null
      ? await box!.open(sealed)
      : settings.apiKey && await mayUseInstallation(connectionId)
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
