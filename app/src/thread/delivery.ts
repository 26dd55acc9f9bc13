/**
 * How far an outbound message has come.
 *
 * @module
 */

import type { texts } from "../texts.ts";
import type { ThreadItem } from "./items.ts";

/** States that are shown. */
export type DeliveryState = keyof typeof texts.thread.status;

/** The state of an outbound item: the message's where the thread has it, else the outbox's. */
export function deliveryOf(
  { message, outbox, unsent, isOutbound }: ThreadItem,
): DeliveryState | undefined {
  if (!isOutbound) return undefined;
  if (unsent) return unsent.error ? "failed" : "sending";
  if (message?.status) return message.status;
  if (outbox && outbox.state !== "discarded") return outbox.state;
  return undefined;
}
