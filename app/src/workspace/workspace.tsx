/**
 * The workspace in the address, and the role of the user in it.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { useLocation } from "wouter";
import { useApi } from "../api/context.tsx";
import type { Member, Workspace } from "../api/rows.ts";
import { PAGES } from "../pages.ts";
import { useSignOut, useUser } from "../session/session.tsx";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { membersQuery, workspacesQuery } from "./queries.ts";

interface WorkspaceValue {
  workspace: Workspace;
  workspaces: Workspace[];
}

const WorkspaceContext = createContext<WorkspaceValue | undefined>(undefined);
const LAST_KEY = "inbox.workspace";

/** Loads the workspaces of the user and provides the current one. */
export function WorkspaceProvider(
  { children }: { children: (workspace: Workspace) => ReactNode },
) {
  const api = useApi();
  const user = useUser();
  const signOut = useSignOut();
  const [location, navigate] = useLocation();
  const query = useQuery(workspacesQuery(api, user.id));
  const workspaces = query.data ?? [];
  const slug = location.split("/")[1] ?? "";
  const named = workspaces.find((workspace) => workspace.slug === slug);
  const current = named ??
    workspaces.find((workspace) => workspace.slug === localStorage.getItem(LAST_KEY)) ??
    workspaces[0];

  useEffect(() => {
    if (named) localStorage.setItem(LAST_KEY, named.slug);
    // The address has no workspace, or one the user is not a member of.
    else if (current) navigate(`/${current.slug}${PAGES.inbox}`, { replace: true });
  }, [named, current, navigate]);

  if (query.isError && !query.data) {
    return (
      <main className="center-page">
        <LoadFailed error={query.error} onRetry={() => query.refetch()} />
      </main>
    );
  }
  if (query.isPending) return <PageSpinner />;
  if (!current) {
    return (
      <main className="center-page">
        <EmptyState
          title={texts.workspace.noneTitle}
          hint={texts.workspace.noneHint}
          action={{ label: texts.signIn.signOut, onClick: signOut }}
        />
      </main>
    );
  }
  return (
    <WorkspaceContext value={{ workspace: current, workspaces }}>
      {children(current)}
    </WorkspaceContext>
  );
}

/** The current workspace. */
export function useWorkspace(): Workspace {
  return useWorkspaceValue().workspace;
}

/** All workspaces of the user. */
export function useWorkspaces(): Workspace[] {
  return useWorkspaceValue().workspaces;
}

/** Whether the user may reply and edit in the current workspace. */
export function useCanWrite(): boolean {
  return useWorkspace().role !== "viewer";
}

/** Whether the user may manage connections, tags and settings of the current workspace. */
export function useCanManage(): boolean {
  const { role } = useWorkspace();
  return role === "owner" || role === "admin";
}

/** Whether the user owns the current workspace. */
export function useIsOwner(): boolean {
  return useWorkspace().role === "owner";
}

/** The members of the current workspace. */
export function useMembers(): Member[] {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery(membersQuery(api, workspace.id)).data ?? [];
}

/** Name or email of a member; a placeholder where neither is known. */
export function memberName(member: Member | undefined): string {
  return member?.name || member?.email || texts.common.someone;
}

function useWorkspaceValue(): WorkspaceValue {
  const value = useContext(WorkspaceContext);
  if (!value) throw new Error("outside of WorkspaceProvider");
  return value;
}
