/**
 * Queries of workflow settings: all of them, their comparison with Kapso and their history.
 *
 * @module
 */

import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { type ApiClient, readAnswer } from "../api/client.ts";
import { refresh } from "../api/query_client.ts";
import type {
  KapsoWorkflow,
  WorkflowFinding,
  WorkflowHistoryEntry,
  WorkflowManual,
  WorkflowSetting,
} from "../api/rows.ts";

const HISTORY_PAGE = 20;
const CHECK_STALE_MS = 60_000;

/** Keys of the query cache. */
export const workflowKeys = {
  settings: (workspaceId: string) => ["workflow-settings", workspaceId] as const,
  check: ({ workspace_id, workflow_type, version }: WorkflowSetting) =>
    ["workflow-check", workspace_id, workflow_type, version] as const,
  history: (workspaceId: string, type: string) => ["workflow-history", workspaceId, type] as const,
  /** What is being edited. Never read from the server. */
  edit: (workspaceId: string, type: string) => ["workflow-edit", workspaceId, type] as const,
};

/** Calls the function `workflow-settings`. */
export async function callWorkflows<Result>(
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

/** Path of a setting below the function. */
export function pathOf(setting: WorkflowSetting): string {
  return `${setting.workspace_id}/${setting.workflow_type}`;
}

/** All settings of a workspace. */
export function workflowSettingsQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: workflowKeys.settings(workspaceId),
    queryFn: async ({ signal }) => {
      const { settings } = await callWorkflows<{ settings: WorkflowSetting[] }>(
        api,
        "GET",
        workspaceId,
        { signal },
      );
      return settings;
    },
  });
}

/** Compares a setting with Kapso, which records what it finds. */
export function checkQuery(api: ApiClient, setting: WorkflowSetting) {
  return queryOptions({
    queryKey: workflowKeys.check(setting),
    staleTime: CHECK_STALE_MS,
    retry: false,
    queryFn: async ({ signal, client }) => {
      const finding = await callWorkflows<WorkflowFinding>(
        api,
        "POST",
        `${pathOf(setting)}/check`,
        {
          body: {},
          signal,
        },
      );
      putSetting(client, finding.setting);
      // A comparison that finds a new status adds an entry to the history.
      if (finding.setting.sync_status !== setting.sync_status) {
        refreshHistory(client, finding.setting);
      }
      return finding;
    },
  });
}

/** The workflows at Kapso. The error says why where Kapso could not be read. */
export function kapsoWorkflowsQuery(api: ApiClient, workspaceId: string, connectionId: string) {
  return queryOptions({
    queryKey: ["kapso-workflows", workspaceId, connectionId],
    staleTime: CHECK_STALE_MS,
    retry: false,
    queryFn: async ({ signal }) => {
      const { workflows } = await callWorkflows<{ workflows: KapsoWorkflow[] }>(
        api,
        "GET",
        `${workspaceId}/kapso-workflows?connection_id=${connectionId}`,
        { signal },
      );
      return workflows;
    },
  });
}

/** Instructions for setting a workflow up in Kapso's dashboard. */
export function manualQuery(api: ApiClient, setting: WorkflowSetting) {
  return queryOptions({
    queryKey: ["workflow-manual", ...workflowKeys.check(setting)],
    staleTime: CHECK_STALE_MS,
    queryFn: async ({ signal }) => {
      const { manual } = await callWorkflows<{ manual: WorkflowManual }>(
        api,
        "GET",
        `${pathOf(setting)}/manual`,
        { signal },
      );
      return manual;
    },
  });
}

/** Who changed what in a setting, newest first. */
export function historyQuery(api: ApiClient, workspaceId: string, type: string) {
  return infiniteQueryOptions({
    queryKey: workflowKeys.history(workspaceId, type),
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }) => {
      const { history } = await callWorkflows<{ history: WorkflowHistoryEntry[] }>(
        api,
        "GET",
        `${workspaceId}/${type}/history?max=${HISTORY_PAGE}&before=${pageParam}`,
        { signal },
      );
      return history;
    },
    getNextPageParam: (page) => page.length < HISTORY_PAGE ? undefined : String(page.at(-1)!.id),
  });
}

/** Puts a setting that a request returned among the others. */
export function putSetting(queryClient: QueryClient, setting: WorkflowSetting): void {
  queryClient.setQueryData<WorkflowSetting[]>(
    workflowKeys.settings(setting.workspace_id),
    (settings) => {
      if (!settings) return settings;
      const known = settings.find(({ id }) => id === setting.id);
      // An answer that was slow may be older than what another request has brought since.
      if (known && known.version > setting.version) return settings;
      const others = settings.filter(({ id }) => id !== setting.id);
      return [...others, setting].sort((one, other) =>
        one.workflow_type.localeCompare(other.workflow_type)
      );
    },
  );
}

/** Puts the result of a comparison into the cache. */
export function putFinding(queryClient: QueryClient, finding: WorkflowFinding): void {
  putSetting(queryClient, finding.setting);
  queryClient.setQueryData<WorkflowFinding>(workflowKeys.check(finding.setting), finding);
  refreshHistory(queryClient, finding.setting);
}

/** Reads the history of a setting again. */
export function refreshHistory(queryClient: QueryClient, setting: WorkflowSetting): void {
  refresh(queryClient, workflowKeys.history(setting.workspace_id, setting.workflow_type));
}
