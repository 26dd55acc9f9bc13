/**
 * Daily summaries as the database has them.
 *
 * @module
 */

/** What a note knows about the day besides its text. */
export interface SummaryMetadata {
  message_count: number;
  inbound_count: number;
  outbound_count: number;
  first_inbound_at: string | null;
  first_answer_seconds: number | null;
  unanswered_count: number;
  has_open_question: boolean;
  source: "ai" | "extract";
  fallback_reason: string | null;
  /** Messages up to this moment are in the note. */
  covered_until: string;
}

/** A row of `person_notes` of the kind `daily_summary`. */
export interface SummaryNote {
  id: string;
  person_id: string;
  /** The day in the workspace's time zone, `2026-02-01`. */
  local_date: string;
  content: string;
  metadata: SummaryMetadata;
}

/** A note with who it is about. */
export interface PersonSummary extends SummaryNote {
  people: { name: string | null; kapso_name: string | null; phone: string | null };
}

/** How far the summaries of a day are. */
export interface SummaryRun {
  local_date: string;
  state: "running" | "finished";
  people_done: number;
  notes_written: number;
  ai_notes: number;
  covered_until: string;
  finished_at: string | null;
}

/** A row of `workspace_summary_settings`. */
export interface SummarySettings {
  is_enabled: boolean;
  /** 0 to 23, in the workspace's time zone. */
  hour: number;
  allow_external_ai: boolean;
  /** BCP 47. */
  language: string;
}

/** What holds for a workspace that has set nothing. */
export const DEFAULT_SETTINGS: SummarySettings = {
  is_enabled: true,
  hour: 20,
  allow_external_ai: false,
  language: "en",
};
