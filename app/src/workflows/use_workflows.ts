/**
 * Reads and writes workflow settings, and keeps what was read about Kapso.
 *
 * @module
 */

import {
  type QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { type ApiClient, readAnswer } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import type {
  Finding,
  HistoryEntry,
  KapsoWorkflow,
  Manual,
  WorkflowSetting,
  WorkflowValues,
} from "./types.ts";

const HISTORY_PAGE = 20;
const CHECK_STALE_MS = 60_000;

function settingsKey(workspaceId: string) {
  return ["workflow-settings", workspaceId] as const;
}

function checkKey({ workspace_id, workflow_type, version }: WorkflowSetting) {
  return ["workflow-check", workspace_id, workflow_type, version] as const;
}

function historyKey(workspaceId: string, type: string) {
  return ["workflow-history", workspaceId, type] as const;
}

/** Calls the function `workflow-settings`. */
async function request<Result>(
  api: ApiClient,
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  options: { body?: object; signal?: AbortSignal } = {},
): Promise<Result> {
  const { body, signal } = options;
  const response = await api.callFunction("workflow-settings", {
    method,
    path: `/${path}`,
    ...(body && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
    ...(signal && { signal }),
  });
  if (response.status === 204) return undefined as Result;
  return await readAnswer<Result>(response);
}

/** All settings of the workspace, for who may see them. */
export function useWorkflowSettings() {
  const api = useApi();
  const workspace = useWorkspace();
  const canManage = useCanManage();
  return useQuery({
    queryKey: settingsKey(workspace.id),
    enabled: canManage,
    queryFn: async ({ signal }) => {
      const { settings } = await request<{ settings: WorkflowSetting[] }>(
        api,
        "GET",
        workspace.id,
        { signal },
      );
      return settings;
    },
  });
}

/** Compares a setting with Kapso, when it is opened and on demand. */
export function useCheck(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useQuery({
    queryKey: checkKey(setting),
    staleTime: CHECK_STALE_MS,
    retry: false,
    queryFn: async ({ signal }) => {
      const finding = await request<Finding>(api, "POST", `${placeOf(setting)}/check`, {
        body: {},
        signal,
      });
      keepSetting(queryClient, finding.setting);
      // A look that finds something new is an entry of its own.
      if (finding.setting.sync_status !== setting.sync_status) {
        refreshHistory(queryClient, finding.setting);
      }
      return finding;
    },
  });
}

/** The workflows at Kapso; refused where Kapso cannot be read, and the error says why. */
export function useKapsoWorkflows(connectionId: string) {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery({
    queryKey: ["kapso-workflows", workspace.id, connectionId],
    staleTime: CHECK_STALE_MS,
    retry: false,
    queryFn: async ({ signal }) => {
      const { workflows } = await request<{ workflows: KapsoWorkflow[] }>(
        api,
        "GET",
        `${workspace.id}/kapso-workflows?connection_id=${connectionId}`,
        { signal },
      );
      return workflows;
    },
  });
}

/** Instructions for the dashboard. */
export function useManual(setting: WorkflowSetting) {
  const api = useApi();
  return useQuery({
    queryKey: ["workflow-manual", ...checkKey(setting)],
    staleTime: CHECK_STALE_MS,
    queryFn: async ({ signal }) => {
      const { manual } = await request<{ manual: Manual }>(
        api,
        "GET",
        `${placeOf(setting)}/manual`,
        { signal },
      );
      return manual;
    },
  });
}

/** Who changed what, newest first, page by page. */
export function useHistory(type: string) {
  const api = useApi();
  const workspace = useWorkspace();
  return useInfiniteQuery({
    queryKey: historyKey(workspace.id, type),
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }) => {
      const { history } = await request<{ history: HistoryEntry[] }>(
        api,
        "GET",
        `${workspace.id}/${type}/history?max=${HISTORY_PAGE}&before=${pageParam}`,
        { signal },
      );
      return history;
    },
    getNextPageParam: (page) => page.length < HISTORY_PAGE ? undefined : String(page.at(-1)!.id),
  });
}

/** Creates a setting (`version` null), or changes the one that was read in that version. */
export function useSaveWorkflow(type: string) {
  const api = useApi();
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: ({ version, changes }: {
      version: number | null;
      changes: Partial<WorkflowValues>;
    }) =>
      request<{ setting: WorkflowSetting }>(api, "PUT", `${workspace.id}/${type}`, {
        body: { ...changes, ...(version !== null && { version }) },
      }),
    onSuccess({ setting }) {
      keepSetting(queryClient, setting);
      queryClient.invalidateQueries({ queryKey: historyKey(workspace.id, type) });
    },
    // Somebody else was faster: their values are wanted now.
    onError: () => queryClient.invalidateQueries({ queryKey: settingsKey(workspace.id) }),
  });
}

/** Removes a setting. Its history stays. */
export function useDeleteWorkflow(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: () => request<undefined>(api, "DELETE", placeOf(setting)),
    onSuccess() {
      queryClient.setQueryData<WorkflowSetting[]>(
        settingsKey(setting.workspace_id),
        (settings) => settings?.filter(({ id }) => id !== setting.id),
      );
      queryClient.removeQueries({
        queryKey: ["workflow-edit", setting.workspace_id, setting.workflow_type],
      });
      queryClient.removeQueries({
        queryKey: historyKey(setting.workspace_id, setting.workflow_type),
      });
    },
  });
}

/** Asks what a sync would write. Changes nothing. */
export function useDryRun(setting: WorkflowSetting) {
  const api = useApi();
  return useMutation({
    mutationFn: () =>
      request<Finding>(api, "POST", `${placeOf(setting)}/sync`, {
        body: { dry_run: true, version: setting.version },
      }),
  });
}

/**
 * Writes to Kapso what stands in this version of a setting; with a fingerprint also over values that
 * somebody has looked at.
 */
export function useSync(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (overwrite: string | null) =>
      request<Finding>(api, "POST", `${placeOf(setting)}/sync`, {
        body: { version: setting.version, ...(overwrite !== null && { overwrite }) },
      }),
    onSuccess: (finding) => keepFinding(queryClient, finding),
    // Somebody else has changed it meanwhile.
    onError: () => queryClient.invalidateQueries({ queryKey: settingsKey(setting.workspace_id) }),
  });
}

/** Takes over what Kapso has. */
export function useAdopt(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (fingerprint: string) =>
      request<Finding>(api, "POST", `${placeOf(setting)}/adopt`, {
        body: { fingerprint, version: setting.version },
      }),
    onSuccess: (finding) => keepFinding(queryClient, finding),
    onError() {
      queryClient.invalidateQueries({ queryKey: settingsKey(setting.workspace_id) });
      queryClient.invalidateQueries({ queryKey: checkKey(setting) });
    },
  });
}

/** "I have updated Kapso". */
export function useConfirm(setting: WorkflowSetting) {
  const api = useApi();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: () =>
      request<{ setting: WorkflowSetting }>(api, "POST", `${placeOf(setting)}/confirm`, {
        body: { version: setting.version },
      }),
    onSuccess(answer) {
      keepSetting(queryClient, answer.setting);
      refreshHistory(queryClient, answer.setting);
      queryClient.invalidateQueries({ queryKey: checkKey(answer.setting) });
    },
    onError: () => queryClient.invalidateQueries({ queryKey: settingsKey(setting.workspace_id) }),
  });
}

function placeOf(setting: WorkflowSetting): string {
  return `${setting.workspace_id}/${setting.workflow_type}`;
}

function keepSetting(queryClient: QueryClient, setting: WorkflowSetting): void {
  queryClient.setQueryData<WorkflowSetting[]>(
    settingsKey(setting.workspace_id),
    (settings) => {
      if (!settings) return settings;
      const others = settings.filter(({ id }) => id !== setting.id);
      return [...others, setting].sort((one, other) =>
        one.workflow_type.localeCompare(other.workflow_type)
      );
    },
  );
}

function keepFinding(queryClient: QueryClient, finding: Finding): void {
  keepSetting(queryClient, finding.setting);
  queryClient.setQueryData<Finding>(checkKey(finding.setting), finding);
  refreshHistory(queryClient, finding.setting);
}

function refreshHistory(queryClient: QueryClient, setting: WorkflowSetting): void {
  queryClient.invalidateQueries({
    queryKey: historyKey(setting.workspace_id, setting.workflow_type),
  });
}
