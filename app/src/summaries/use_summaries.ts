/**
 * Reads summaries and their settings, and makes them by hand.
 *
 * @module
 */

import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { readAnswer, unwrap } from "../api/client.ts";
import { useApi } from "../api/context.tsx";
import type { Conversation } from "../api/types.ts";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import {
  DEFAULT_SETTINGS,
  type PersonSummary,
  type SummaryNote,
  type SummaryRun,
  type SummarySettings,
} from "./types.ts";

const PAGE_SIZE = 30;
const CONTACT_PAGE_SIZE = 5;
const BUSY_MS = 2_000;
const NOTE = "id, person_id, local_date, content, metadata";
const SETTINGS = "is_enabled, hour, allow_external_ai, language";

/** A conversation of somebody who has a note. */
export type PersonConversation = Pick<Conversation, "id" | "person_id" | "platform">;

interface Page {
  notes: PersonSummary[];
  /** People with a note of that day, whatever the page. */
  total: number;
  conversations: PersonConversation[];
}

/** The newest day that has notes; null where none has. */
export function useNewestDay(isWanted: boolean) {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  return useQuery({
    queryKey: ["summaries-newest-day", workspace.id],
    enabled: isWanted,
    queryFn: async ({ signal }) => {
      const rows = unwrap(
        await supabase.from("person_notes").select("local_date").eq("workspace_id", workspace.id)
          .eq("kind", "daily_summary").order("local_date", { ascending: false }).limit(1)
          .abortSignal(signal),
      ) as { local_date: string }[];
      return rows[0]?.local_date ?? null;
    },
  });
}

/** The notes of a day: open questions first, then whoever wrote most. */
export function useDay(day: string, isOpenOnly: boolean) {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  return useInfiniteQuery({
    queryKey: ["summaries", workspace.id, day, isOpenOnly],
    initialPageParam: 0,
    queryFn: async ({ pageParam, signal }): Promise<Page> => {
      let request = supabase.from("person_notes")
        .select(`${NOTE}, people!inner(name, kapso_name, phone)`, { count: "exact" })
        .eq("workspace_id", workspace.id).eq("kind", "daily_summary").eq("local_date", day);
      if (isOpenOnly) request = request.contains("metadata", { has_open_question: true });
      const answer = await request
        .order("metadata->has_open_question", { ascending: false })
        .order("metadata->message_count", { ascending: false })
        .order("id")
        .range(pageParam, pageParam + PAGE_SIZE - 1)
        .abortSignal(signal);
      const notes = unwrap(answer) as unknown as PersonSummary[];
      if (notes.length === 0) return { notes, total: answer.count ?? 0, conversations: [] };
      const conversations = unwrap(
        await supabase.from("conversation_list").select("id, person_id, platform")
          .eq("workspace_id", workspace.id)
          .in("person_id", notes.map(({ person_id }) => person_id))
          .order("activity_at", { ascending: false }).limit(PAGE_SIZE * 10)
          .abortSignal(signal),
      ) as PersonConversation[];
      return { notes, total: answer.count ?? notes.length, conversations };
    },
    getNextPageParam: (page, pages) => {
      const shown = pages.reduce((sum, { notes }) => sum + notes.length, 0);
      return page.notes.length === PAGE_SIZE && shown < page.total ? shown : undefined;
    },
  });
}

/** The notes about a person, newest day first. */
export function usePersonSummaries(personId: string) {
  const { supabase } = useApi();
  return useInfiniteQuery({
    queryKey: ["person-summaries", personId],
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }) => {
      let request = supabase.from("person_notes").select(NOTE).eq("person_id", personId)
        .eq("kind", "daily_summary");
      if (pageParam !== "") request = request.lt("local_date", pageParam);
      return unwrap(
        await request.order("local_date", { ascending: false }).limit(CONTACT_PAGE_SIZE)
          .abortSignal(signal),
      ) as unknown as SummaryNote[];
    },
    getNextPageParam: (page) =>
      page.length < CONTACT_PAGE_SIZE ? undefined : page.at(-1)!.local_date,
  });
}

/** How the workspace wants its summaries. */
export function useSummarySettings() {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  return useQuery({
    queryKey: ["summary-settings", workspace.id],
    queryFn: async ({ signal }) => {
      const rows = unwrap(
        await supabase.from("workspace_summary_settings").select(SETTINGS)
          .eq("workspace_id", workspace.id).abortSignal(signal),
      ) as SummarySettings[];
      return rows[0] ?? DEFAULT_SETTINGS;
    },
  });
}

/** Changes it. */
export function useSaveSummarySettings() {
  const { supabase } = useApi();
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async (settings: SummarySettings) =>
      unwrap(
        await supabase.from("workspace_summary_settings")
          .upsert({ workspace_id: workspace.id, ...settings }).select(SETTINGS),
      ),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ["summary-settings"] }),
  });
}

function runKey(workspaceId: string, day: string) {
  return ["summary-run", workspaceId, day] as const;
}

/** How far the summaries of a day are, for who may make them; null where there were none. */
export function useRun(day: string) {
  const api = useApi();
  const workspace = useWorkspace();
  const canManage = useCanManage();
  return useQuery<SummaryRun | null>({
    queryKey: runKey(workspace.id, day),
    enabled: canManage,
    refetchInterval: ({ state }) => state.data?.state === "running" ? BUSY_MS : false,
    queryFn: async ({ signal }) => {
      const response = await api.callFunction("daily-summary", {
        path: `/${workspace.id}?date=${day}`,
        signal,
      });
      return (await readAnswer<{ run: SummaryRun | null }>(response)).run;
    },
  });
}

/** Makes the summaries of a day from the beginning, until they are finished. */
export function useMakeSummaries(day: string) {
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
        queryClient.setQueryData<SummaryRun | null>(runKey(workspace.id, day), run);
        if (run.state === "finished") return run;
        if (isBusy) await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
      }
    },
    onSettled() {
      queryClient.invalidateQueries({ queryKey: runKey(workspace.id, day) });
      queryClient.invalidateQueries({ queryKey: ["summaries", workspace.id, day] });
      queryClient.invalidateQueries({ queryKey: ["summaries-newest-day", workspace.id] });
      queryClient.invalidateQueries({ queryKey: ["person-summaries"] });
    },
  });
}
