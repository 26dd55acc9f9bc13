/**
 * Turns rows of Kapso's lists into elements for the database. Messages of one conversation are merged into
 * one element, because each element costs a transaction.
 *
 * @module
 */
import { isObject } from "../_shared/contracts/text.ts";
import type {
  ConversationElement,
  KapsoConversation,
  KapsoPerson,
  NormalizedElement,
} from "../_shared/kapso/webhook/elements.ts";
import { normalize } from "../_shared/kapso/webhook/normalize.ts";

/** A row of a list, as Kapso sends it. */
export type Row = Record<string, unknown>;

/** A page for {@linkcode readPage}. */
export interface ListPage {
  phoneNumberId: string;
  messages: Row[];
  /** The conversation they belong to; undefined for a list of all messages of a phone number. */
  conversation?: Row;
  /** Messages sent before this epoch time in milliseconds are history: they count as read and start no automation. */
  historyBefore: number;
  /** When the run began: the time of messages that have none. */
  readAt: Date;
}

/** A page, ready to store. */
export interface ReadPage {
  elements: NormalizedElement[];
  /** Rows that cannot be stored: without an id or a contact, or unreadable. */
  unusable: number;
}

/**
 * Reads a page.
 *
 * @returns Elements, the oldest message first (Kapso lists the newest first); messages of one conversation
 *   are one element.
 */
export function readPage(page: ListPage): ReadPage {
  const merged = new Map<string, ConversationElement>();
  const others: NormalizedElement[] = [];
  let unusable = 0;
  const rows = page.messages.toReversed().map((message) => ({ message }));
  // A conversation without messages still has a contact and a session.
  const bodies: Row[] = rows.length > 0 || !page.conversation ? rows : [{}];
  for (const row of bodies) {
    const body = {
      ...row,
      phone_number_id: page.phoneNumberId,
      ...(page.conversation && { conversation: page.conversation }),
    };
    const event = "message" in row ? undefined : "whatsapp.conversation.created";
    for (const element of normalize({ event, arrivedAt: page.readAt }, body)) {
      if (element.kind === "ignored") unusable++;
      else if (element.kind !== "conversation") others.push(element);
      else merge(merged, markHistory(element, page.historyBefore));
    }
  }
  return { elements: [...merged.values(), ...others], unusable };
}

/** The contact of a conversation, for people who watch a run. */
export function contactOf(conversation: Row): { name: string | null; phone: string | null } {
  const kapso = isObject(conversation.kapso) ? conversation.kapso : {};
  const name = [kapso.contact_name, conversation.contact_name, conversation.username].find((
    value,
  ) => typeof value === "string" && value.trim() !== "");
  const phone = conversation.phone_number ?? conversation.business_scoped_user_id;
  return {
    name: typeof name === "string" ? name.trim() : null,
    phone: typeof phone === "string" && phone !== "" ? phone : null,
  };
}

function markHistory(element: ConversationElement, before: number): ConversationElement {
  const { conversation } = element;
  // In a list of old messages, one without a time is as old as the others.
  const isOld = conversation.messages.every(({ sent_at, metadata }) =>
    Date.parse(sent_at) < before || (before > 0 && metadata?.sent_at_is_arrival === true)
  );
  return isOld ? { ...element, conversation: { ...conversation, is_history: true } } : element;
}

function merge(merged: Map<string, ConversationElement>, element: ConversationElement): void {
  const { conversation } = element;
  const key = JSON.stringify([
    conversation.external_conversation_id,
    conversation.session?.id,
    conversation.is_history ?? false,
  ]);
  const known = merged.get(key);
  merged.set(
    key,
    known ? { ...element, conversation: join(known.conversation, conversation) } : element,
  );
}

/** Joins two conversations with the same id and session, the earlier one first. */
function join(earlier: KapsoConversation, later: KapsoConversation): KapsoConversation {
  const changes = [...earlier.changes ?? [], ...later.changes ?? []];
  const person = joinPeople(earlier.person, later.person);
  const name = later.participant_name ?? earlier.participant_name;
  const session = later.session ?? earlier.session;
  return {
    ...earlier,
    ...later,
    ...(name === undefined ? {} : { participant_name: name }),
    messages: [...earlier.messages, ...later.messages],
    ...(changes.length > 0 ? { changes } : {}),
    thread_aliases: [...new Set([...earlier.thread_aliases, ...later.thread_aliases])],
    ...(person === undefined ? {} : { person }),
    ...(session === undefined ? {} : { session }),
  };
}

function joinPeople(
  earlier: KapsoPerson | undefined,
  later: KapsoPerson | undefined,
): KapsoPerson | undefined {
  if (!earlier || !later) return later ?? earlier;
  return {
    ...earlier,
    ...later,
    identifiers: [...new Set([...earlier.identifiers, ...later.identifiers])],
  };
}
