/**
 * Who may use the Kapso settings of the whole installation. Its key and its webhook secret open every
 * number of a Kapso project, and anybody who signs up can make a connection with any number: so they are
 * for the workspaces that the operator names, and for no others.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import { databaseError } from "../../http/errors.ts";

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
 * @param workspaces `KAPSO_WORKSPACES`: slugs, with commas between them, or `*` for all, where nobody but the
 *   operator can sign up. Undefined: none.
 */
export function installationCheck(
  client: DatabaseClient,
  workspaces: string | undefined,
): InstallationCheck {
  const slugs = new Set((workspaces ?? "").split(",").map((slug) => slug.trim()).filter(Boolean));
  return async (connectionId) => {
    if (slugs.has("*")) return true;
    if (slugs.size === 0) return false;
    const { data, error, status } = await client.from("connections")
      .select("workspaces!connections_workspace_id_fkey(slug)")
      .eq("id", connectionId).maybeSingle();
    if (error) throw databaseError(error, status);
    return data !== null && slugs.has(data.workspaces.slug);
  };
}
