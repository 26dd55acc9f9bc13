/**
 * What can be done with the messages of a conversation.
 *
 * @module
 */

import type { Message, OutboxMessage } from "../api/rows.ts";
import type { UnsentMessage } from "../outbox/use_send_message.ts";

/** Actions of a row. The same object for every row. */
export interface MessageActions {
  reply: (message: Message) => void;
  /** Reacts with an emoji; an empty one removes the reaction. */
  react: (message: Message, emoji: string) => void;
  /** Scrolls to a message. */
  goTo: (messageId: string) => void;
  retry: (row: OutboxMessage, mayDouble: boolean) => void;
  discard: (row: OutboxMessage) => void;
  resend: (message: UnsentMessage) => void;
  discardUnsent: (message: UnsentMessage) => void;
}
