/**
 * Queries of daily summaries, their settings and their runs.
 *
 * @module
 */

import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { type ApiClient, readAnswer, unwrap } from "../api/client.ts";
import type {
  Conversation,
  Person,
  PersonNote,
  SummaryMetadata,
  SummaryRun,
  SummarySettings,
} from "../api/rows.ts";

const PAGE_SIZE = 30;
const CONTACT_PAGE_SIZE = 5;
const RUNNING_POLL_MS = 2_000;
const NOTE_COLUMNS = "id, person_id, local_date, content, metadata";
const SETTINGS_COLUMNS = "is_enabled, hour, allow_external_ai, language";

/** Keys of the query cache. */
export const summaryKeys = {
  newestDay: (workspaceId: string) => ["summaries-newest-day", workspaceId] as const,
  day: (workspaceId: string, day: string) => ["summaries", workspaceId, day] as const,
  allPeople: ["person-summaries"] as const,
  person: (personId: string) => ["person-summaries", personId] as const,
  settings: (workspaceId: string) => ["summary-settings", workspaceId] as const,
  run: (workspaceId: string, day: string) => ["summary-run", workspaceId, day] as const,
};

/** Settings of a workspace that has set none. */
const DEFAULT_SETTINGS: SummarySettings = {
  is_enabled: true,
  hour: 20,
  allow_external_ai: false,
  language: "en",
};

/** A daily summary about a person. `local_date` is a day in the time zone of the workspace. */
export type SummaryNote = Pick<PersonNote, "id" | "person_id" | "content"> & {
  local_date: string;
  metadata: SummaryMetadata;
};

/** A daily summary with the person it is about. */
export type PersonSummary = SummaryNote & {
  people: Pick<Person, "name" | "kapso_name" | "phone">;
};

/** A conversation of a person who has a summary. */
export type PersonConversation = Pick<Conversation, "id" | "person_id" | "platform">;

/** Summaries of a day, a page of them. */
interface DayPage {
  notes: PersonSummary[];
  /** Summaries of the day on all pages. */
  total: number;
  conversations: PersonConversation[];
}

/** The newest day with summaries; null where there are none. */
export function newestDayQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: summaryKeys.newestDay(workspaceId),
    queryFn: async ({ signal }) => {
      const rows = unwrap(
        await api.supabase.from("person_notes").select("local_date")
          .eq("workspace_id", workspaceId).eq("kind", "daily_summary")
          .order("local_date", { ascending: false }).limit(1).abortSignal(signal),
      );
      return rows[0]?.local_date ?? null;
    },
  });
}

/** The summaries of a day: open questions first, then by number of messages. */
export function dayQuery(
  api: ApiClient,
  { workspaceId, day, isOpenOnly }: { workspaceId: string; day: string; isOpenOnly: boolean },
) {
  return infiniteQueryOptions({
    queryKey: [...summaryKeys.day(workspaceId, day), isOpenOnly],
    initialPageParam: 0,
    queryFn: async ({ pageParam, signal }): Promise<DayPage> => {
      let request = api.supabase.from("person_notes")
        .select(`${NOTE_COLUMNS}, people!inner(name, kapso_name, phone)` as const, {
          count: "exact",
        })
        .eq("workspace_id", workspaceId).eq("kind", "daily_summary").eq("local_date", day);
      if (isOpenOnly) request = request.contains("metadata", { has_open_question: true });
      const answer = await request
        .order("metadata->has_open_question", { ascending: false })
        .order("metadata->message_count", { ascending: false })
        .order("id")
        .range(pageParam, pageParam + PAGE_SIZE - 1)
        .abortSignal(signal);
      const notes = unwrap(answer) as PersonSummary[];
      if (notes.length === 0) return { notes, total: answer.count ?? 0, conversations: [] };
      const conversations = unwrap(
        await api.supabase.from("conversation_list").select("id, person_id, platform")
          .eq("workspace_id", workspaceId)
          .in("person_id", notes.map(({ person_id }) => person_id))
          .order("activity_at", { ascending: false }).limit(PAGE_SIZE * 10)
          .abortSignal(signal),
      );
      return { notes, total: answer.count ?? notes.length, conversations };
    },
    getNextPageParam: (page, pages) => {
      const shown = pages.reduce((sum, { notes }) => sum + notes.length, 0);
      return page.notes.length === PAGE_SIZE && shown < page.total ? shown : undefined;
    },
  });
}

/** The summaries about a person, newest day first. */
export function personSummariesQuery(api: ApiClient, personId: string) {
  return infiniteQueryOptions({
    queryKey: summaryKeys.person(personId),
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }) => {
      let request = api.supabase.from("person_notes").select(NOTE_COLUMNS)
        .eq("person_id", personId).eq("kind", "daily_summary");
      if (pageParam !== "") request = request.lt("local_date", pageParam);
      return unwrap(
        await request.order("local_date", { ascending: false }).limit(CONTACT_PAGE_SIZE)
          .abortSignal(signal),
      ) as SummaryNote[];
    },
    getNextPageParam: (page) =>
      page.length < CONTACT_PAGE_SIZE ? undefined : page.at(-1)!.local_date,
  });
}

/** When and how a workspace creates summaries. */
export function summarySettingsQuery(api: ApiClient, workspaceId: string) {
  return queryOptions({
    queryKey: summaryKeys.settings(workspaceId),
    queryFn: async ({ signal }) => {
      const rows = unwrap(
        await api.supabase.from("workspace_summary_settings").select(SETTINGS_COLUMNS)
          .eq("workspace_id", workspaceId).abortSignal(signal),
      );
      return rows[0] ?? DEFAULT_SETTINGS;
    },
  });
}

/** The run that created the summaries of a day; null where there was none. For owners and admins. */
export function summaryRunQuery(api: ApiClient, workspaceId: string, day: string) {
  return queryOptions<SummaryRun | null>({
    queryKey: summaryKeys.run(workspaceId, day),
    refetchInterval: ({ state }) => state.data?.state === "running" ? RUNNING_POLL_MS : false,
    queryFn: async ({ signal }) => {
      const response = await api.callFunction("daily-summary", {
        path: `/${workspaceId}?date=${day}`,
        signal,
      });
      return (await readAnswer<{ run: SummaryRun | null }>(response)).run;
    },
  });
}
