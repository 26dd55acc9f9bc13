/**
 * What a delivery of Kapso means to this project: the output of `normalize`.
 *
 * @module
 */
import type { IngestConversation } from "../../contracts/ingest.ts";

/** One element of a delivery. Elements are independent: each is stored, or fails, on its own. */
export type NormalizedElement =
  | ConversationElement
  | IdentityChangeElement
  | MarketingPreferenceElement
  | IgnoredElement;

/** Messages, statuses and reactions of a thread, or news of its session. */
export interface ConversationElement {
  kind: "conversation";
  /** Our own line, as Meta numbers it: it decides which connection this belongs to. */
  phoneNumberId: string;
  conversation: KapsoConversation;
}

/** A conversation for the one door, with what only Kapso knows. */
export interface KapsoConversation extends IngestConversation {
  /**
   * Other values of `external_conversation_id` under which this thread may already be stored, because
   * an earlier event knew less, or something else, of the contact. The likeliest first.
   */
  thread_aliases: string[];
  /** Whom the thread is with. Absent for groups, and where the contact cannot be told. */
  person?: KapsoPerson;
  /** Kapso's conversation, which is one session of the thread. */
  session?: KapsoSession;
  /** Since when nobody has written, where Kapso reports inactivity. */
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

/** A session of a thread. A later one has another id. */
export interface KapsoSession {
  id: string;
  status?: "active" | "ended";
  /** When it had that status: of two reports, the later one holds. */
  at: string;
  /** When it began: of two sessions, the one that began later is the newer. */
  started_at?: string;
}

/** A contact is known by another number or BSUID than before. */
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
  /** How the contact is known: `+digits` or BSUID. */
  identifiers: string[];
  /** In lower case; `stopped` is what is known. */
  status: string;
  /** Of two preferences, the one with the higher sequence holds. */
  sequence?: number;
  occurredAt?: string;
}

/** Nothing to store. The raw event is kept by the caller all the same. */
export interface IgnoredElement {
  kind: "ignored";
  reason: IgnoredReason;
  phoneNumberId?: string;
}

/** Why nothing is stored. */
export type IgnoredReason =
  /** An event that this function has no use for, or does not know yet. */
  | "unknown_event"
  /** Payload version 1, whose ids would make doubles. The webhook must be set to v2. */
  | "v1_payload"
  /** It does not say which of our lines it is about. */
  | "no_phone_number_id"
  /** It does not say whom it is about, not even by Kapso's conversation. */
  | "no_contact"
  /** The body is not signed with the secret of the phone number that this element is about. */
  | "other_phone_number"
  /** A batch without elements. */
  | "empty"
  /** Not the shape it should have, or nothing that can be stored. */
  | "unreadable";
