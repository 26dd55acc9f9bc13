/**
 * The role of a signed-in user in a workspace.
 *
 * @module
 */
import type { DatabaseClient } from "../database/clients.ts";
import { rpc } from "../database/rpc.ts";
import { refused } from "../database/errors.ts";
import { AppError } from "../http/errors.ts";

/** A member of a workspace. */
export interface Member {
  userId: string;
  role: string;
}

/**
 * Makes sure that a user has one of some roles in a workspace.
 *
 * @param client Acts as the user.
 * @throws {AppError} workspace_not_found (404) for a user who is not a member, role_too_low (403),
 *   invalid_token (401), or as `databaseError`.
 */
export async function requireRole(
  client: DatabaseClient,
  workspaceId: string,
  roles: readonly string[],
): Promise<Member> {
  const [member] = await rpc(client, "workspace_membership", { workspace_id: workspaceId });
  if (!member) throw refused("workspace_not_found");
  if (!roles.includes(member.role)) {
    throw new AppError(
      403,
      "role_too_low",
      `Your role in this workspace does not allow this: it needs ${roles.join(" or ")}`,
    );
  }
  return { userId: member.user_id, role: member.role };
}
