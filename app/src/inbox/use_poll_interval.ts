/**
 * How often an open conversation is polled.
 *
 * @module
 */

import { useEffect, useState } from "react";
import { useIsLive } from "../api/live.ts";
import { REALTIME_POLL_MS, SENDING_POLL_MS, THREAD_POLL_MS } from "../api/query_client.ts";
import { useOutbox } from "../outbox/use_outbox.ts";

/** After a message was sent, its status changes within seconds: for this long, poll more often. */
const WATCH_MS = 20_000;

/** The interval, in milliseconds. */
export function usePollInterval(conversationId: string): number {
  const isLive = useIsLive();
  const sentAt = useOutbox(conversationId).data?.[0]?.created_at;
  const [watchedAt, setWatchedAt] = useState<string>();
  useEffect(() => {
    if (sentAt === undefined) return;
    const left = Date.parse(sentAt) + WATCH_MS - Date.now();
    const timer = setTimeout(() => setWatchedAt(sentAt), left);
    return () => clearTimeout(timer);
  }, [sentAt]);
  if (isLive) return REALTIME_POLL_MS;
  return sentAt !== undefined && watchedAt !== sentAt ? SENDING_POLL_MS : THREAD_POLL_MS;
}
