/**
 * Which workspaces may use the Kapso settings of the whole installation. Its key and its webhook secret
 * open every number of a Kapso project, and every user who signs up can create a connection with any
 * number, so only the workspaces that the operator names may use them.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import { rows } from "../../database/rpc.ts";

/**
 * Whether the connection's workspace may use the settings of the installation.
 *
 * @param connectionId Primary key of the connection.
 * @throws {AppError} as `databaseError`.
 */
export type InstallationCheck = (connectionId: string) => Promise<boolean>;

/**
 * {@linkcode InstallationCheck} on a service client.
 *
 * @param workspaces `KAPSO_WORKSPACES`: slugs separated by commas, or `*` for all, where only the operator
 *   can sign up. Undefined: none.
 */
export function installationCheck(
  client: DatabaseClient,
  workspaces: string | undefined,
): InstallationCheck {
  const slugs = new Set((workspaces ?? "").split(",").map((slug) => slug.trim()).filter(Boolean));
  return async (connectionId) => {
    if (slugs.has("*")) return true;
    if (slugs.size === 0) return false;
    const connection = await rows(
      client,
      client.from("connections")
        .select("workspaces!connections_workspace_id_fkey(slug)")
        .eq("id", connectionId).maybeSingle(),
    );
    return connection !== null && slugs.has(connection.workspaces.slug);
  };
}
