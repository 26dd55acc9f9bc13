/**
 * What the app reads and writes, as it comes over the wire.
 *
 * @module
 */

/** Where a conversation comes from. */
export type Platform = "whatsapp" | "signal" | "telegram" | "wechat";
/** All of them, in the order they are offered. */
export const PLATFORMS: readonly Platform[] = [
  "whatsapp",
  "signal",
  "telegram",
  "wechat",
];

/** What a member may do. */
export type Role = "owner" | "admin" | "agent" | "viewer";

/** A tenant, with the caller's role in it. */
export interface Workspace {
  id: string;
  slug: string;
  name: string;
  time_zone: string;
  role: Role;
}

/** A row of `workspace_member_list`. */
export interface Member {
  user_id: string;
  role: Role;
  email: string | null;
  name: string | null;
}

/** A row of the view `conversation_list`. */
export interface Conversation {
  id: string;
  workspace_id: string;
  connection_id: string | null;
  platform: Platform;
  external_conversation_id: string;
  participant_identifier: string;
  participant_name: string | null;
  person_id: string | null;
  person_name: string | null;
  status: "open" | "closed";
  closed_at: string | null;
  assigned_to: string | null;
  message_count: number;
  unread_count: number;
  last_read_at: string | null;
  activity_at: string;
  last_message_at: string | null;
  last_message_preview: string | null;
  last_message_type: string | null;
  last_message_direction: "inbound" | "outbound" | null;
  last_inbound_at: string | null;
  updated_at: string;
  /** In no order that means anything; what they are called is in `useTags`. */
  tag_ids: string[];
}

/** Colours a tag can have, in the order they are offered. */
export const TAG_COLOURS = [
  "grey",
  "red",
  "orange",
  "green",
  "teal",
  "blue",
  "purple",
  "pink",
] as const;

/** A word of the workspace that can be put on conversations. */
export interface Tag {
  id: string;
  name: string;
  colour: typeof TAG_COLOURS[number];
}

/** A text to insert while answering. */
export interface CannedReply {
  id: string;
  /** What is typed after a slash to find it. */
  shortcut: string;
  title: string;
  content: string;
}

/** How far an outbound message has come. */
export type MessageStatus =
  | "pending"
  | "sent"
  | "delivered"
  | "read"
  | "failed";

/** A row of `conversation_messages`. */
export interface Message {
  id: string;
  direction: "inbound" | "outbound";
  type: "text" | "image" | "audio" | "video" | "file" | "location";
  content: string;
  media_url: string | null;
  sent_at: string;
  status: MessageStatus | null;
  status_at: string | null;
  error: { code?: string | number; message?: string } | null;
  reply_to: string | null;
  reactions: { sender: string; emoji: string; reacted_at: string }[] | null;
  sender_name: string | null;
  is_history: boolean;
  metadata: Record<string, unknown> | null;
  cursor: string;
}

/** Types of a message that is sent from here. */
export type OutboxType =
  | "text"
  | "image"
  | "video"
  | "audio"
  | "document"
  | "sticker"
  | "template"
  | "reaction";

/** A row of `outbox_messages`. */
export interface OutboxMessage {
  id: string;
  conversation_id: string;
  idempotency_key: string;
  type: OutboxType;
  content: string | null;
  reply_to: string | null;
  file_name: string | null;
  mime_type: string | null;
  state:
    | "queued"
    | "sending"
    | "sent"
    | "delivered"
    | "read"
    | "failed"
    | "unconfirmed"
    | "discarded";
  error_code: string | null;
  error_message: string | null;
  can_retry: boolean;
  message_id: string | null;
  created_by: string | null;
  created_at: string;
  sent_at: string | null;
}

/** What is posted to send a message. The key stays the same however often it is posted. */
export interface NewMessage {
  conversation_id: string;
  idempotency_key: string;
  type: OutboxType;
  text?: string;
  reply_to?: string;
  media_id?: string;
  caption?: string;
  emoji?: string;
  template?: {
    name: string;
    language: string;
    components: TemplateComponentValue[];
  };
  content?: string;
}

/** Parameters for one component of a template, as Meta takes them. */
export interface TemplateComponentValue {
  type: string;
  sub_type?: string;
  index?: string;
  parameters: Record<string, unknown>[];
}

/** A file that was uploaded to be sent. */
export interface Upload {
  media_id: string;
  type: OutboxType;
  file_name: string;
  mime_type: string;
  size: number;
}

/** An approved template, components as Meta has them. */
export interface Template {
  id: string;
  name: string;
  language: string;
  category: string;
  parameter_format: string | null;
  components: TemplateComponent[];
}

/** A part of a template. */
export interface TemplateComponent {
  type: string;
  format?: string;
  text?: string;
  buttons?: { type: string; text?: string; url?: string }[];
}

/** A contact. */
export interface Person {
  id: string;
  workspace_id: string;
  name: string | null;
  kapso_name: string | null;
  email: string | null;
  phone: string | null;
  avatar_url: string | null;
  last_activity_at: string | null;
}

/** How a person is known on a platform. */
export interface PersonIdentity {
  id: string;
  platform: Platform;
  identifier: string;
}

/** A note about a person. */
export interface PersonNote {
  id: string;
  person_id: string;
  kind: string;
  content: string;
  created_by: string | null;
  created_at: string;
}

/** A merge of two people that can be undone. */
export interface PersonMerge {
  id: string;
  kept_id: string;
  merged_id: string;
  created_at: string;
}

/** A bridge or a number, as `GET connections` returns it. */
export interface Connection {
  id: string;
  connection_id: string;
  workspace_id: string;
  platform: Platform;
  name: string;
  phone_number_id: string | null;
  is_active: boolean;
  created_at: string;
  last_synced_at: string | null;
  lag_seconds: number | null;
  is_silent: boolean;
  last_event_at: string | null;
  failed_events: number;
  has_kapso_key: boolean;
  has_webhook_secret: boolean;
  can_send: boolean;
}

/** State of a number's webhook at Kapso. */
export interface WebhookHealth {
  state: "active" | "paused" | "missing" | "incomplete" | "no_key" | "unknown";
  url: string | null;
  missing_events: string[];
  is_ours: boolean;
}

/** The result of `overview_statistics`. */
export interface Statistics {
  days: {
    date: string;
    platform: Platform;
    inbound: number;
    outbound: number;
  }[];
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
