/**
 * Checks of the functions' settings, for the doctor, who cannot read them. No check shows a value.
 *
 * @module
 */
import type { SettingCheck } from "../_shared/contracts/kapso_sync.ts";
import type { InstallationWorkspaces } from "../_shared/kapso/api/installation_key.ts";

/**
 * Checks `KAPSO_WORKSPACES`.
 *
 * @param knownCount How many of its ids belong to a workspace.
 */
export function checkInstallationWorkspaces(
  { isAll, ids, invalidCount }: InstallationWorkspaces,
  knownCount: number,
): SettingCheck {
  const name = "KAPSO_WORKSPACES";
  const unknownCount = ids.size - knownCount;
  if (invalidCount > 0) {
    return {
      name,
      status: "problem",
      found: `${invalidCount} of its entries are no ids, and name no workspace.`,
      what_to_do:
        "Name workspaces by their ids (UUIDs), separated by commas: the page Connections of the inbox shows the id.",
    };
  }
  if (unknownCount > 0) {
    return {
      name,
      status: "warning",
      found: `${unknownCount} of its ids belong to no workspace.`,
      what_to_do: "Remove the ids of workspaces that were deleted, and correct the others.",
    };
  }
  return {
    name,
    status: "ok",
    found: isAll
      ? "Every workspace may use the installation's Kapso key and webhook secret."
      : ids.size === 0
      ? "No workspace may use the installation's Kapso key and webhook secret."
      : `${ids.size} workspaces may use the installation's Kapso key and webhook secret.`,
    what_to_do: null,
  };
}
