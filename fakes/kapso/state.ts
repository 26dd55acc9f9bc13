/**
 * The state of the fake Kapso: phone numbers, contacts, conversations (sessions), messages, files, templates and
 * workflows.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import type { MessageStatus } from "../../supabase/functions/_shared/contracts/message.ts";

/** A day, after which a session ends and the window for free-form messages closes. */
export const DAY_MS = 24 * 60 * 60 * 1000;

/** Every event a number's webhook can have. */
export const NUMBER_EVENTS = [
  "whatsapp.message.received",
  "whatsapp.message.sent",
  "whatsapp.message.delivered",
  "whatsapp.message.read",
  "whatsapp.message.failed",
  "whatsapp.conversation.created",
  "whatsapp.conversation.ended",
  "whatsapp.conversation.inactive",
  "whatsapp.contact.identity_changed",
  "whatsapp.contact.marketing_preference_changed",
];

/** Any JSON object. */
export type JsonObject = Record<string, unknown>;

/** A number of the business. */
export interface PhoneNumber {
  phoneNumberId: string;
  displayPhoneNumber: string;
  businessAccountId: string;
}

/** A customer. */
export interface Contact {
  id: string;
  phoneNumber: PhoneNumber;
  /** Digits; absent for customers with a username alone. */
  phone?: string;
  /** Digits as WhatsApp writes them, if they differ: Brazil without its ninth digit. */
  waId?: string;
  bsuid?: string;
  parentBsuid?: string;
  username?: string;
  name?: string;
  displayName?: string;
  metadata: JsonObject;
  marketing?: { status: string; sequence: number };
  /** Messages to them fail with 131026. */
  isUnreachable: boolean;
  lastInboundAt?: number;
  createdAt: number;
  updatedAt: number;
}

/** A session, which Kapso calls a conversation. */
export interface Conversation {
  id: string;
  phoneNumber: PhoneNumber;
  contact: Contact;
  status: "active" | "ended";
  createdAt: number;
  updatedAt: number;
  lastActiveAt: number;
  lastInboundAt?: number;
  lastOutboundAt?: number;
  lastMessage?: Message;
  messagesCount: number;
  /** In the order of `sequence`. */
  messages: Message[];
  assignments: Assignment[];
  /** User of the active assignment. */
  assignedUserId?: string;
}

/** The assignment of a conversation to a member of the Kapso project. */
export interface Assignment {
  id: string;
  userId: string;
  notes: string | null;
  active: boolean;
  createdAt: number;
}

/** A message template as Meta lists it. */
export interface Template {
  id: string;
  businessAccountId: string;
  name: string;
  /** Such as `pt_BR`. */
  language: string;
  category: "MARKETING" | "UTILITY" | "AUTHENTICATION";
  status: "APPROVED" | "PENDING" | "REJECTED" | "PAUSED";
  /** Such as `{type: "BODY", text: "Hi {{1}}"}`. */
  components: JsonObject[];
}

/** An automation. Nodes and edges of any type are stored as given. */
export interface Workflow {
  id: string;
  name: string;
  description: string | null;
  status: "draft" | "active" | "archived";
  lockVersion: number;
  nodes: JsonObject[];
  edges: JsonObject[];
  triggers: JsonObject[];
  messageDebounceSeconds: number;
  inboundMessageReadMode: string;
  createdAt: number;
  updatedAt: number;
}

/** A run of a workflow. */
export interface WorkflowExecution {
  id: string;
  workflow: Workflow;
  status: "running" | "waiting" | "handoff" | "ended" | "failed";
  conversationId?: string;
  createdAt: number;
  updatedAt: number;
}

/** A status object as Meta sends it. */
export interface StatusEntry {
  id: string;
  status: string;
  /** Unix seconds. */
  timestamp: string;
  recipient_id?: string;
  recipient_user_id?: string;
  biz_opaque_callback_data?: string;
  errors?: JsonObject[];
}

/** A message. */
export interface Message {
  /** The wamid. */
  id: string;
  /** The order in which Kapso stored it, which lists use. */
  sequence: number;
  conversation: Conversation;
  direction: "inbound" | "outbound";
  type: string;
  /** The object of the type, context, referral: all fields except `kapso`. */
  content: JsonObject;
  origin: "cloud_api" | "business_app" | "history_sync";
  /** Milliseconds: WhatsApp's time. */
  sentAt: number;
  /** Milliseconds: when Kapso stored it, for `since` and `until`. */
  createdAt: number;
  status: "received" | MessageStatus;
  statuses: StatusEntry[];
  /** Fields of `kapso` that depend on the content: content, media_url, transcript, … */
  extras: JsonObject;
  callbackData?: string;
  groupId?: string;
}

/** A stored file. */
export interface Media {
  id: string;
  bytes: Uint8Array<ArrayBuffer>;
  mimeType: string;
  filename: string;
  sha256: string;
  phoneNumber: PhoneNumber;
  /** Part of the link that needs no key. */
  token: string;
}

/** The whole state. */
export interface State {
  phoneNumbers: Map<string, PhoneNumber>;
  contacts: Contact[];
  conversations: Conversation[];
  conversationsById: Map<string, Conversation>;
  /** In the order of `sequence`. */
  messages: Message[];
  messagesById: Map<string, Message>;
  media: Map<string, Media>;
  templates: Template[];
  workflows: Map<string, Workflow>;
  /** Models that agent nodes can name. */
  models: { id: string; name: string }[];
  executions: Map<string, WorkflowExecution>;
  /** Members of the Kapso project. */
  users: { id: string; name: string; email: string }[];
}

/** Creates an empty state. */
export function emptyState(): State {
  return {
    phoneNumbers: new Map(),
    contacts: [],
    conversations: [],
    conversationsById: new Map(),
    messages: [],
    messagesById: new Map(),
    media: new Map(),
    templates: [],
    workflows: new Map(),
    models: [
      { id: "5b8f0c6e-0a51-4a51-8d0c-0d6f1f2a7a01", name: "google/gemini-2.5-flash" },
      { id: "5b8f0c6e-0a51-4a51-8d0c-0d6f1f2a7a02", name: "x-ai/grok-4.1-fast" },
      { id: "5b8f0c6e-0a51-4a51-8d0c-0d6f1f2a7a03", name: "openai/gpt-4.1-mini" },
    ],
    executions: new Map(),
    users: [],
  };
}
