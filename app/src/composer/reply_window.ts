/**
 * The reply window: WhatsApp lets a business reply freely for 24 hours after the customer's last message.
 *
 * @module
 */

import { useEffect, useState } from "react";

/** The notice warns when less time is left. */
const SOON_MS = 2 * 3600_000;

/** State of the reply window: `open`, `closed`, or `never` opened because the customer has not written. */
export type ReplyWindow =
  | { state: "open"; leftMs: number; isClosingSoon: boolean }
  | { state: "closed" }
  | { state: "never" }
  /** Nothing is known of it. */
  | { state: "none" };

/**
 * The reply window of a conversation, updated twice a minute.
 *
 * @param endsAt As the server says; null: it never opened, undefined: the server has not answered.
 */
export function useReplyWindow(endsAt: string | null | undefined): ReplyWindow {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  if (endsAt === undefined) return { state: "none" };
  if (endsAt === null) return { state: "never" };
  const leftMs = Date.parse(endsAt) - now;
  if (leftMs <= 0) return { state: "closed" };
  return { state: "open", leftMs, isClosingSoon: leftMs < SOON_MS };
}
