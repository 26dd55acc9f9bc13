/**
 * The role of a signed-in user in a workspace.
 *
 * @module
 */
import * as z from "zod";
import type { DatabaseClient } from "../database/clients.ts";
import { refused } from "../database/errors.ts";
import { rpc } from "../database/rpc.ts";
import { AppError } from "../http/errors.ts";

const MANAGER_ROLES = ["owner", "admin"];

/**
 * Makes sure that a user is an owner or admin of a workspace.
 *
 * @param client Acts as the user.
 * @param workspaceId Text that is no id is the id of no workspace.
 * @returns The id of the user.
 * @throws {AppError} workspace_not_found (404) for users who are not members, role_too_low (403),
 *   invalid_token (401), or as `databaseError`.
 */
export async function requireManager(client: DatabaseClient, workspaceId: string): Promise<string> {
  const [member] = z.guid().safeParse(workspaceId).success
    ? await rpc(client, "workspace_membership", { workspace_id: workspaceId })
    : [];
  if (!member) throw refused("workspace_not_found");
  if (!MANAGER_ROLES.includes(member.role)) {
    throw new AppError(403, "role_too_low", "Only an owner or admin of the workspace may do this");
  }
  return member.user_id;
}
