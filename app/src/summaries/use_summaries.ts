/**
 * Reads summaries and their settings, and creates summaries on demand.
 *
 * @module
 */

import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { readAnswer, unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import { refresh } from "../api/query_client.ts";
import type { SummaryRun, SummarySettings } from "../api/rows.ts";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import {
  dayQuery,
  newestDayQuery,
  personSummariesQuery,
  summaryKeys,
  summaryRunQuery,
  summarySettingsQuery,
} from "./queries.ts";

const BUSY_MS = 2_000;

/** The newest day with summaries; null where there are none. */
export function useNewestDay(isWanted: boolean) {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery({ ...newestDayQuery(api, workspace.id), enabled: isWanted });
}

/** The summaries of a day: open questions first, then by number of messages. */
export function useDay(day: string, isOpenOnly: boolean) {
  const api = useApi();
  const workspace = useWorkspace();
  return useInfiniteQuery(dayQuery(api, { workspaceId: workspace.id, day, isOpenOnly }));
}

/** The summaries about a person, newest day first. */
export function usePersonSummaries(personId: string) {
  return useInfiniteQuery(personSummariesQuery(useApi(), personId));
}

/** When and how the workspace creates summaries. */
export function useSummarySettings() {
  const api = useApi();
  const workspace = useWorkspace();
  return useQuery(summarySettingsQuery(api, workspace.id));
}

/** Changes the settings. */
export function useSaveSummarySettings() {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async (settings: SummarySettings) => {
      const answer = await supabase.from("workspace_summary_settings")
        .upsert({ workspace_id: workspace.id, ...settings });
      if (answer.error) unwrap(answer);
    },
    onSuccess: () => refresh(queryClient, summaryKeys.settings(workspace.id)),
  });
}

/** The run that created the summaries of a day, for owners and admins; null where there was none. */
export function useRun(day: string) {
  const api = useApi();
  const workspace = useWorkspace();
  const canManage = useCanManage();
  return useQuery({ ...summaryRunQuery(api, workspace.id, day), enabled: canManage });
}

/** Creates the summaries of a day, slice by slice until all are there. */
export function useCreateSummaries(day: string) {
  const api = useApi();
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      for (let isFirst = true;; isFirst = false) {
        const response = await api.callFunction("daily-summary", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ workspace_id: workspace.id, date: day, continue: !isFirst }),
        });
        const { run, is_busy: isBusy } = await readAnswer<
          { run: SummaryRun; is_busy: boolean }
        >(response);
        queryClient.setQueryData(summaryKeys.run(workspace.id, day), run);
        if (run.state === "finished") return run;
        if (isBusy) await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
      }
    },
    onSettled() {
      refresh(queryClient, summaryKeys.run(workspace.id, day));
      refresh(queryClient, summaryKeys.day(workspace.id, day));
      refresh(queryClient, summaryKeys.newestDay(workspace.id));
      refresh(queryClient, summaryKeys.allPeople);
    },
  });
}
