/**
 * Rows that members read through the REST API, beside those that the routes answer with.
 *
 * @module
 */
import type { Platform } from "../connection.ts";
import type { Message } from "../message.ts";

/** What a member may do in a workspace. */
export type Role = "owner" | "admin" | "agent" | "viewer";

/** Colours a tag can have. */
export type TagColour =
  | "grey"
  | "red"
  | "orange"
  | "green"
  | "teal"
  | "blue"
  | "purple"
  | "pink";

/** A row of `conversation_messages`: a stored message, with null for what it does not have. */
export interface InboxMessage {
  id: Message["id"];
  direction: Message["direction"];
  type: Message["type"];
  content: string;
  media_url: string | null;
  sent_at: string;
  status: NonNullable<Message["status"]> | null;
  status_at: string | null;
  error: NonNullable<Message["error"]> | null;
  reply_to: string | null;
  reactions: { sender: string; emoji: string; reacted_at: string }[] | null;
  edited_at: string | null;
  /** Its first text, where it was edited. */
  original_content: string | null;
  deleted_at: string | null;
  sender_name: string | null;
  metadata: Record<string, unknown> | null;
  /** Whether a backfill stored it. */
  is_history: boolean;
  /** Position in the conversation: an argument for the page before, the page after, and the page around. */
  cursor: string;
}

/** A row of `search_messages`: a message that a search found, and its conversation. */
export interface MessageHit {
  conversation_id: string;
  message_id: Message["id"];
  sent_at: string;
  direction: Message["direction"];
  type: Message["type"];
  sender_name: string | null;
  platform: Platform;
  participant_name: string | null;
  participant_identifier: string;
  person_id: string | null;
  person_name: string | null;
  conversation_status: "open" | "closed";
  assigned_to: string | null;
  /** Pieces of the text around what was found: every second one, from the second on, is what was found. */
  snippet: string[];
  /** Position of the message: the argument `around` of `conversation_messages`. */
  message_cursor: string;
  /** Position among the hits: an argument for the page after. */
  cursor: string;
}

/** The answer of `conversation_answering`: whether and how a conversation can be answered. */
export interface Answering {
  /** Why it cannot; null where it can. */
  refusal: "platform_without_sending" | "connection_not_ready" | "no_recipient" | null;
  /** The number that answers. */
  connection_id: string | null;
  /** Until then any message can be sent, afterwards templates alone. Null: the customer never wrote. */
  window_ends_at: string | null;
}

/** The answer of `overview_statistics`. */
export interface OverviewStatistics {
  /** Days of the workspace, oldest first; only those with messages. */
  days: { date: string; platform: Platform; inbound: number; outbound: number }[];
  /** Null where nothing was answered. */
  response_times: {
    median_seconds: number | null;
    p90_seconds: number | null;
    answered: number;
    conversations: number;
  } | null;
  open: number;
  unread: number;
  unassigned: number;
}

/** What a check of the installation comes to; `unknown`: it could not be checked, or has no result yet. */
export type HealthStatus = "ok" | "warning" | "problem" | "unknown";

/** A row of `installation_health`. */
export interface HealthCheck {
  name: string;
  status: HealthStatus;
  found: string;
  /** Null: nothing. */
  what_to_do: string | null;
  /** The clock of the database. */
  checked_at: string;
}
