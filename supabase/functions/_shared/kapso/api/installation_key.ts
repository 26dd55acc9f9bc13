/**
 * Which workspaces may use the Kapso settings of the whole installation. Its key and its webhook secret
 * open every phone number of a Kapso project, and every user who signs up can create a connection with any
 * phone number, so only the workspaces that the operator names may use them.
 *
 * Named by their ids, which never change and are never given twice. A slug becomes free when a workspace is
 * renamed or deleted, and the next owner of the slug would read the operator's history.
 *
 * @module
 */
import * as z from "zod";
import type { DatabaseClient } from "../../database/clients.ts";
import { rows } from "../../database/rpc.ts";
import type { Log } from "../../http/log.ts";

const workspaceId = z.guid();

/** The workspaces that may use the settings of the installation. */
export interface InstallationWorkspaces {
  /** Every workspace, for installations where only the operator can sign up. */
  readonly isAll: boolean;
  readonly ids: ReadonlySet<string>;
  /** How many entries of the setting are neither an id nor `*`. They name no workspace. */
  readonly invalidCount: number;
  has(id: string): boolean;
}

/**
 * Reads `KAPSO_WORKSPACES`.
 *
 * @param setting Ids of workspaces separated by commas, or `*` for all. Undefined: none.
 */
export function readInstallationWorkspaces(setting: string | undefined): InstallationWorkspaces {
  const entries = (setting ?? "").split(",").map((entry) => entry.trim()).filter(Boolean);
  const isAll = entries.includes("*");
  const named = entries.filter((entry) => entry !== "*");
  const valid = named.filter((entry) => workspaceId.safeParse(entry).success);
  const ids = new Set(valid.map((id) => id.toLowerCase()));
  return {
    isAll,
    ids,
    invalidCount: named.length - valid.length,
    has: (id) => isAll || ids.has(id),
  };
}

/**
 * Logs an error where `KAPSO_WORKSPACES` has entries that name no workspace. Called when a function starts; it serves
 * the others nevertheless, because a function that does not start loses the webhooks of all of them.
 *
 * @param setting As {@linkcode readInstallationWorkspaces} takes it.
 */
export function reportInstallationWorkspaces(setting: string | undefined, log: Log): void {
  const { invalidCount } = readInstallationWorkspaces(setting);
  if (invalidCount === 0) return;
  log("error", "invalid_setting", {
    setting: "KAPSO_WORKSPACES",
    invalid_entries: invalidCount,
    what_to_do: "Name workspaces by their ids (UUIDs): Connections in the inbox shows the id",
  });
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
    if (workspaces.isAll) return true;
    if (workspaces.ids.size === 0) return false;
    const connection = await rows(
      client,
      client.from("connections").select("workspace_id").eq("id", connectionId).maybeSingle(),
    );
    return connection !== null && workspaces.has(connection.workspace_id);
  };
}
