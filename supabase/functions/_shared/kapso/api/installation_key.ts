/**
 * Which workspaces may use the Kapso settings of the whole installation. Its key and its webhook secret
 * open every phone number of a Kapso project, and every user who signs up can create a connection with any
 * phone number, so only the workspaces that the operator names may use them.
 *
 * @module
 */
import type { DatabaseClient } from "../../database/clients.ts";
import { rows } from "../../database/rpc.ts";

/** The workspaces that may use the settings of the installation. */
export interface InstallationWorkspaces {
  /** `*`: every workspace, for installations where only the operator can sign up. */
  readonly slugs: ReadonlySet<string>;
  has(slug: string): boolean;
}

/**
 * Reads `KAPSO_WORKSPACES`.
 *
 * @param setting Slugs separated by commas, or `*` for all. Undefined: none.
 */
export function readInstallationWorkspaces(setting: string | undefined): InstallationWorkspaces {
  const slugs = new Set((setting ?? "").split(",").map((slug) => slug.trim()).filter(Boolean));
  return { slugs, has: (slug) => slugs.has("*") || slugs.has(slug) };
}

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
 * @param setting As {@linkcode readInstallationWorkspaces} takes it.
 */
export function installationCheck(
  client: DatabaseClient,
  setting: string | undefined,
): InstallationCheck {
  const workspaces = readInstallationWorkspaces(setting);
  return async (connectionId) => {
    // Known without asking which workspace it is.
    if (workspaces.slugs.has("*")) return true;
    if (workspaces.slugs.size === 0) return false;
    const connection = await rows(
      client,
      client.from("connections")
        .select("workspaces!connections_workspace_id_fkey(slug)")
        .eq("id", connectionId).maybeSingle(),
    );
    return connection !== null && workspaces.has(connection.workspaces.slug);
  };
}
