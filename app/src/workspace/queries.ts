/**
 * Queries of workspaces and their members.
 *
 * @module
 */

import { queryOptions } from "@tanstack/react-query";
import { type ApiClient, unwrap } from "../api/client.ts";
import type { Workspace } from "../api/rows.ts";

const STALE_MS = 5 * 60_000;

/** The workspaces of a user, with the user's role in each, by name. */
export function workspacesQuery(api: ApiClient, userId: string) {
  return queryOptions({
    queryKey: ["workspaces", userId],
    staleTime: STALE_MS,
    async queryFn({ signal }) {
      const [workspaces, memberships] = await Promise.all([
        api.supabase.from("workspaces").select("id, slug, name, time_zone, has_message_search")
          .order("name")
          .abortSignal(signal),
        api.supabase.from("workspace_members").select("workspace_id, role").eq("user_id", userId)
          .abortSignal(signal),
      ]);
      const roles = new Map(
        unwrap(memberships).map(({ workspace_id, role }) => [workspace_id, role]),
      );
      return unwrap(workspaces).map((workspace): Workspace => ({
        ...workspace,
        role: roles.get(workspace.id) ?? "viewer",
      }));
    },
  });
}

/** The members of a workspace. */
export function membersQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: ["members", workspaceId],
    staleTime: STALE_MS,
    queryFn: ({ signal }) =>
      api.read("workspace_member_list", { workspace_id: workspaceId }, signal),
  });
}
