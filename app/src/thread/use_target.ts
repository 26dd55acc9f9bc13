/**
 * Shows the message that the address names.
 *
 * @module
 */

import { type RefObject, useLayoutEffect } from "react";
import type { Message } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { showToast } from "../ui/toast.ts";
import { placeOfCursor } from "./message_pages.ts";

/** The message to show. */
export interface Target {
  cursor: string;
  /** Changes when it is asked for again. */
  visit: number;
}

/**
 * Goes to the target, once per visit.
 *
 * @param options.reachedRef The visit that has reached its target. Outlives the window.
 * @param options.onShow Called with the cursor where the window has to begin for the target to be in it.
 */
export function useTarget(target: Target | undefined, options: {
  reachedRef: RefObject<number | undefined>;
  /** Messages of the window, oldest first; undefined while they are not known. */
  messages: readonly Message[] | undefined;
  /** Where the window began. */
  around: string | undefined;
  goTo: (messageId: string) => void;
  onShow: (around: string) => void;
}): void {
  const { reachedRef, messages, around, goTo, onShow } = options;
  const { cursor, visit } = target ?? {};
  useLayoutEffect(() => {
    if (cursor === undefined || visit === undefined || messages === undefined) return;
    if (reachedRef.current === visit) return;
    const found = messages.find((message) => message.cursor === cursor);
    if (!found && around !== cursor) {
      onShow(cursor);
      return;
    }
    reachedRef.current = visit;
    const newestFirst = messages.toReversed();
    const nearest = found ?? newestFirst[placeOfCursor(newestFirst, cursor)] ?? messages[0];
    if (nearest) goTo(nearest.id);
    if (!found) showToast(texts.thread.messageGone);
  }, [reachedRef, cursor, visit, messages, around, goTo, onShow]);
}
