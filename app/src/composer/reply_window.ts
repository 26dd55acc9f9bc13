/**
 * The reply window: WhatsApp lets a business reply freely for 24 hours after the customer's last message.
 *
 * @module
 */

import { useEffect, useState } from "react";
import type { Conversation } from "../api/rows.ts";

const WINDOW_MS = 24 * 3600_000;
/** The notice warns when less time is left. */
const SOON_MS = 2 * 3600_000;

/** State of the reply window: `open`, `closed`, or `never` opened because the customer has not written. */
export type ReplyWindow =
  | { state: "open"; leftMs: number; isClosingSoon: boolean }
  | { state: "closed" }
  | { state: "never" }
  /** The platform has no such rule. */
  | { state: "none" };

/** The reply window of a conversation, updated twice a minute. */
export function useReplyWindow(conversation: Conversation): ReplyWindow {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  const { platform, last_inbound_at: lastInboundAt } = conversation;
  if (platform !== "whatsapp") return { state: "none" };
  if (lastInboundAt === null) return { state: "never" };
  const leftMs = Date.parse(lastInboundAt) + WINDOW_MS - now;
  if (leftMs <= 0) return { state: "closed" };
  return { state: "open", leftMs, isClosingSoon: leftMs < SOON_MS };
}
