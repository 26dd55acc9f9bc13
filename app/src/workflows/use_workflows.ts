/**
 * Reads and writes workflow settings.
 *
 * @module
 */

import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import {
  callWorkflows,
  checkQuery,
  historyQuery,
  kapsoWorkflowsQuery,
  manualQuery,
  pathOf,
  putFinding,
  putSetting,
  refreshHistory,
  workflowKeys,
  workflowSettingsQuery,
} from "./queries.ts";
import type { WorkflowFinding, WorkflowSetting, WorkflowValues } from "../api/rows.ts";

/** All settings of the workspace, for owners and admins. */
export function useWorkflowSettings() {
  const api = useApi();
  const workspace = useWorkspace();
  const canManage = useCanManage();
  return useQuery({ ...workflowSettingsQuery(api, workspace.id), enabled: canManage });
}

/** Compares a setting with Kapso, when it is opened and on demand. */
export function useCheck(setting: WorkflowSetting) {
  return useQuery(checkQuery(useApi(), setting));
}

/** The workflows at Kapso; the error says why where Kapso could not be read. */
export function useKapsoWorkflows(connectionId: string) {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery(kapsoWorkflowsQuery(api, workspace.id, connectionId));
}

/** Instructions for Kapso's dashboard. */
export function useManual(setting: WorkflowSetting) {
  return useQuery(manualQuery(useApi(), setting));
}

/** Who changed what, newest first, page by page. */
export function useHistory(type: string) {
  const api = useApi();
  const workspace = useWorkspace();
  return useInfiniteQuery(historyQuery(api, workspace.id, type));
}

/** Creates a setting (`version` null), or changes the given version of it. */
export function useSaveWorkflow(type: string) {
  const api = useApi();
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: ({ version, changes }: {
      version: number | null;
      changes: Partial<WorkflowValues>;
    }) =>
      callWorkflows<{ setting: WorkflowSetting }>(api, "PUT", `${workspace.id}/${type}`, {
        body: { ...changes, ...(version !== null && { version }) },
      }),
    onSuccess({ setting }) {
      putSetting(queryClient, setting);
      refreshHistory(queryClient, setting);
    },
    // Another user may have saved in between: their values are needed now.
    onError: () => refresh(queryClient, workflowKeys.settings(workspace.id)),
  });
}

/** Removes a setting. Its history stays. */
export function useDeleteWorkflow(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  const { workspace_id, workflow_type } = setting;
  return useMutation({
    mutationFn: () => callWorkflows<undefined>(api, "DELETE", pathOf(setting)),
    onSuccess() {
      queryClient.setQueryData<WorkflowSetting[]>(
        workflowKeys.settings(workspace_id),
        (settings) => settings?.filter(({ id }) => id !== setting.id),
      );
      queryClient.removeQueries({ queryKey: workflowKeys.edit(workspace_id, workflow_type) });
      queryClient.removeQueries({ queryKey: workflowKeys.history(workspace_id, workflow_type) });
    },
  });
}

/** Asks what a sync would write. Changes nothing. */
export function useDryRun(setting: WorkflowSetting) {
  const api = useApi();
  return useMutation({
    mutationFn: () =>
      callWorkflows<WorkflowFinding>(api, "POST", `${pathOf(setting)}/sync`, {
        body: { dry_run: true, version: setting.version },
      }),
  });
}

/**
 * Writes this version of a setting to Kapso. With a fingerprint it also overwrites the values at Kapso that
 * the fingerprint stands for.
 */
export function useSync(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (overwrite: string | null) =>
      callWorkflows<WorkflowFinding>(api, "POST", `${pathOf(setting)}/sync`, {
        body: { version: setting.version, ...(overwrite !== null && { overwrite }) },
      }),
    onSuccess: (finding) => putFinding(queryClient, finding),
    // Another user may have changed it in between.
    onError: () => refresh(queryClient, workflowKeys.settings(setting.workspace_id)),
  });
}

/** Replaces the values of a setting with those at Kapso. */
export function useAdopt(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (fingerprint: string) =>
      callWorkflows<WorkflowFinding>(api, "POST", `${pathOf(setting)}/adopt`, {
        body: { fingerprint, version: setting.version },
      }),
    onSuccess: (finding) => putFinding(queryClient, finding),
    onError() {
      refresh(queryClient, workflowKeys.settings(setting.workspace_id));
      refresh(queryClient, workflowKeys.check(setting));
    },
  });
}

/** Confirms that the workflow at Kapso was updated manually. */
export function useConfirm(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: () =>
      callWorkflows<{ setting: WorkflowSetting }>(api, "POST", `${pathOf(setting)}/confirm`, {
        body: { version: setting.version },
      }),
    onSuccess(answer) {
      putSetting(queryClient, answer.setting);
      refreshHistory(queryClient, answer.setting);
      refresh(queryClient, workflowKeys.check(answer.setting));
    },
    onError: () => refresh(queryClient, workflowKeys.settings(setting.workspace_id)),
  });
}
