/**
 * The items of a thread, in order: messages with the dividers between them.
 *
 * @module
 */

import type { Message, OutboxMessage } from "../api/rows.ts";
import { localDay } from "../format.ts";
import type { UnsentMessage } from "../outbox/use_send_message.ts";

/** A row of the thread. Dividers belong to the message below them, so that older messages shift nothing. */
export interface ThreadItem {
  key: string;
  at: string;
  isOutbound: boolean;
  /** A message of the thread, and its row in the outbox if it was sent from here. */
  message?: Message;
  outbox?: OutboxMessage | undefined;
  /** A message the server does not have yet. */
  unsent?: UnsentMessage;
  /** Id of the message that this one answers. */
  replyTo: string | undefined;
  /** A new day starts here. */
  isNewDay: boolean;
  /** A new session at Kapso starts here. */
  isNewSession: boolean;
  /** It follows a message of the same sender within minutes. */
  isGrouped: boolean;
}

const GROUP_MS = 5 * 60_000;

/** Merges the thread, the outbox and the messages that are not sent yet. */
export function makeItems(options: {
  /** Oldest first. */
  messages: readonly Message[];
  outbox: readonly OutboxMessage[];
  unsent: readonly UnsentMessage[];
  /** Whether the newest messages are loaded. Messages on their way are shown below them only. */
  hasNewest: boolean;
}): ThreadItem[] {
  const { messages, outbox, unsent, hasNewest } = options;
  const sent = new Map(outbox.map((row) => [row.message_id, row]));
  const present = new Set(messages.map((message) => message.id));
  const items: ThreadItem[] = messages.map((message) => ({
    ...BARE,
    key: message.id,
    at: message.sent_at,
    isOutbound: message.direction === "outbound",
    message,
    outbox: sent.get(message.id),
    replyTo: message.reply_to ?? sent.get(message.id)?.reply_to ?? undefined,
  }));
  if (hasNewest) {
    const keys = new Set(outbox.map((row) => row.idempotency_key));
    const waiting: ThreadItem[] = [
      ...outbox
        .filter((row) =>
          row.type !== "reaction" && row.state !== "discarded" &&
          // The id of its message is known, but the message is not loaded yet.
          (row.message_id === null ||
            (!present.has(row.message_id) && isRecent(row)))
        )
        .map((row) => ({
          ...BARE,
          key: row.idempotency_key,
          at: row.created_at,
          outbox: row,
          replyTo: row.reply_to ?? undefined,
        })),
      ...unsent
        .filter(({ body }) => body.type !== "reaction" && !keys.has(body.idempotency_key))
        .map((row) => ({
          ...BARE,
          key: row.body.idempotency_key,
          at: row.createdAt,
          unsent: row,
          replyTo: row.body.reply_to ?? undefined,
        })),
    ];
    for (
      const item of waiting.sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    ) {
      insert(items, item);
    }
  }
  let before: ThreadItem | undefined;
  let session: unknown;
  for (const item of items) {
    const itemSession = item.message?.metadata?.conversation_id;
    item.isNewDay = before === undefined ||
      localDay(before.at) !== localDay(item.at);
    item.isNewSession = before !== undefined && itemSession !== undefined &&
      session !== undefined && session !== itemSession;
    item.isGrouped = before !== undefined && !item.isNewDay &&
      !item.isNewSession &&
      before.isOutbound === item.isOutbound &&
      before.message?.sender_name === item.message?.sender_name &&
      Date.parse(item.at) - Date.parse(before.at) < GROUP_MS;
    session = itemSession ?? session;
    before = item;
  }
  return items;
}

const BARE = {
  isOutbound: true,
  isNewDay: false,
  isNewSession: false,
  isGrouped: false,
};

/** A message that was sent longer ago and is not among the newest is further up in the thread. */
const SETTLED_MS = 60_000;

function isRecent(row: OutboxMessage): boolean {
  return Date.now() - Date.parse(row.created_at) < SETTLED_MS;
}

/** Inserts an item by its time, searching from the newest end, where it almost always belongs. */
function insert(items: ThreadItem[], item: ThreadItem): void {
  let place = items.length;
  while (place > 0 && Date.parse(items[place - 1]!.at) > Date.parse(item.at)) {
    place--;
  }
  items.splice(place, 0, item);
}
