/**
 * Finds a message of the thread, scrolls to it and highlights it.
 *
 * @module
 */

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { texts } from "../texts.ts";
import { showToast } from "../ui/toast.ts";
import type { ThreadItem } from "./items.ts";
import type { useThread } from "./use_thread.ts";

/** Older pages that are loaded to find a message. */
const MAX_PAGES_BACK = 10;
const HIGHLIGHT_MS = 4_000;

/** The id of the highlighted message, and a stable function that goes to another one. */
export function useGoToMessage(
  items: readonly ThreadItem[],
  { query: { fetchNextPage } }: ReturnType<typeof useThread>,
  scrollTo: (index: number) => void,
) {
  const [highlighted, setHighlighted] = useState<string>();
  useEffect(() => {
    if (highlighted === undefined) return;
    const timer = setTimeout(() => setHighlighted(undefined), HIGHLIGHT_MS);
    return () => clearTimeout(timer);
  }, [highlighted]);

  const latestItems = useRef(items);
  useLayoutEffect(() => {
    latestItems.current = items;
  }, [items]);

  const goTo = useCallback(async (messageId: string) => {
    for (let page = 0; page <= MAX_PAGES_BACK; page++) {
      const index = latestItems.current.findIndex((item) => item.message?.id === messageId);
      if (index >= 0) {
        scrollTo(index);
        setHighlighted(messageId);
        return;
      }
      const { hasNextPage } = await fetchNextPage();
      await new Promise((resolve) => requestAnimationFrame(resolve));
      if (!hasNextPage && page > 0) break;
    }
    showToast(texts.thread.originalNotLoaded);
  }, [scrollTo, fetchNextPage]);
  return { highlighted, goTo };
}
