/**
 * The output of `normalize`: what a delivery of Kapso means to this project.
 *
 * @module
 */
import type { IngestConversation } from "../../contracts/ingest_conversation.ts";

/** An element of a delivery. Each is stored, or fails, on its own. */
export type NormalizedElement =
  | ConversationElement
  | IdentityChangeElement
  | MarketingPreferenceElement
  | IgnoredElement;

/** Messages, statuses and reactions of a conversation, or a change of its session. */
export interface ConversationElement {
  kind: "conversation";
  /** Meta's id of the business's phone number: it decides which connection this belongs to. */
  phoneNumberId: string;
  conversation: KapsoConversation;
}

/** A conversation to store, with the facts that only Kapso has. */
export interface KapsoConversation extends IngestConversation {
  /**
   * Other values of `external_conversation_id` under which this conversation may be stored already, because
   * an earlier event had less, or other, facts about the contact. The likeliest first.
   */
  thread_aliases: string[];
  /** The contact. Absent for groups, and where it is unknown. */
  person?: KapsoPerson;
  /** Kapso's conversation: one session of this conversation. */
  session?: KapsoSession;
  /** Time of the last message, where Kapso reports inactivity. */
  inactive_since?: string;
}

/** A contact. */
export interface KapsoPerson {
  /** The profile name. Never empty. */
  name?: string;
  /** `+` and digits. */
  phone?: string;
  /** Every other identifier: BSUID, its parent form, a second form of the number. */
  identifiers: string[];
}

/** A session of a conversation. A later one has another id. */
export interface KapsoSession {
  id: string;
  status?: "active" | "ended";
  /** Time of that status: of two reports, the later one counts. */
  at: string;
  /** When it began: of two sessions, the later one is the newer. */
  started_at?: string;
}

/** A contact changed its phone number or BSUID. */
export interface IdentityChangeElement {
  kind: "identity_change";
  phoneNumberId: string;
  /** Identifiers (`+digits` or BSUID) that the contact no longer has. */
  previous: string[];
  /** Identifiers that the contact has now, the new ones first, with those that did not change. */
  current: string[];
  occurredAt?: string;
}

/** A contact stopped or resumed marketing messages. */
export interface MarketingPreferenceElement {
  kind: "marketing_preference";
  phoneNumberId: string;
  /** Identifiers of the contact: `+digits` or BSUID. */
  identifiers: string[];
  /** In lower case; `stopped` is the only documented one. */
  status: string;
  /** Of two preferences, the one with the higher sequence counts. */
  sequence?: number;
  occurredAt?: string;
}

/** Nothing to store. The raw event is recorded all the same. */
export interface IgnoredElement {
  kind: "ignored";
  reason: IgnoredReason;
  phoneNumberId?: string;
}

/** Why nothing is stored. */
export type IgnoredReason =
  /** An event that this project does not use or know. */
  | "unknown_event"
  /** Payload version 1, whose ids would store messages twice. The webhook must use v2. */
  | "v1_payload"
  /** It does not say which phone number it is about. */
  | "no_phone_number_id"
  /** It names no contact, and no conversation of Kapso. */
  | "no_contact"
  /** The body is not signed with the secret of the phone number that this element is about. */
  | "other_phone_number"
  /** A batch without elements. */
  | "empty"
  /** Its shape is wrong, or nothing in it can be stored. */
  | "unreadable";
