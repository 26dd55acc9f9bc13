/**
 * Which messages are drawn: those in sight and a few around them. The place that is being read stays where
 * it is while older and newer messages are added.
 *
 * @module
 */

import { useVirtualizer } from "@tanstack/react-virtual";
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { ThreadItem } from "./items.ts";
import type { useThread } from "./use_thread.ts";

/** A distance to the end that counts as being there, in pixels. */
const END_THRESHOLD = 80;
/** More messages are fetched when this many rows are left to the edge of the loaded ones. */
const FETCH_AHEAD = 12;
/** The scrolling to an item is over when nothing has moved in this many frames. */
const SETTLED_FRAMES = 8;
/** Rows that are drawn above and below those in sight. */
const OVERSCAN = 10;

/**
 * The virtual list, and where it is scrolled to. Fetches further pages ahead of the scrolling.
 *
 * @param options.startsAtEnd Whether it is scrolled to its end at first. If not, the caller has to scroll it.
 * @param options.onShowNewest Called where the newest message is in no window that begins here.
 */
export function useMessageWindow(
  items: readonly ThreadItem[],
  { query, hasNewest, reset }: ReturnType<typeof useThread>,
  { startsAtEnd, onShowNewest }: { startsAtEnd: boolean; onShowNewest: () => void },
) {
  const scroller = useRef<HTMLDivElement>(null);
  const isPlaced = useRef(false);
  // A page that is added while the list scrolls to an item would lead it to another one.
  const [isSettled, setIsSettled] = useState(startsAtEnd);
  const scrolls = useRef(0);
  // A page of newer messages is no news: only after the newest message does the end follow what is added.
  const [hadNewest, setHadNewest] = useState(hasNewest);
  if (hadNewest !== hasNewest) setHadNewest(hasNewest);
  const virtualizer = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => estimateHeight(items[index]!),
    getItemKey: (index) => items[index]!.key,
    overscan: OVERSCAN,
    anchorTo: "end",
    followOnAppend: hadNewest,
    scrollEndThreshold: END_THRESHOLD,
    paddingStart: 16,
    paddingEnd: 16,
  });
  const shown = virtualizer.getVirtualItems();
  const firstShown = shown[0]?.index ?? 0;
  const lastShown = shown.at(-1)?.index ?? 0;
  const isScrolledToEnd = useIsAtEnd(scroller, items.length > 0, startsAtEnd);

  useLayoutEffect(() => {
    if (isPlaced.current || items.length === 0 || !startsAtEnd) return;
    isPlaced.current = true;
    virtualizer.scrollToEnd();
  }, [items.length, virtualizer, startsAtEnd]);

  useEffect(() => {
    if (!isSettled || query.isFetching || query.isError) return;
    if (startsAtEnd && !isPlaced.current) return;
    if (query.hasNextPage && firstShown < FETCH_AHEAD) query.fetchNextPage();
    else if (query.hasPreviousPage && lastShown > items.length - FETCH_AHEAD) {
      query.fetchPreviousPage();
    }
  }, [query, firstShown, lastShown, items.length, startsAtEnd, isSettled]);

  const scrollTo = useCallback((index: number) => {
    const scroll = ++scrolls.current;
    setIsSettled(false);
    virtualizer.scrollToIndex(index, { align: "center" });
    let top: number | undefined;
    let frames = 0;
    const look = () => {
      if (scroll !== scrolls.current) return;
      const now = scroller.current?.scrollTop;
      frames = now === top ? frames + 1 : 0;
      top = now;
      if (frames < SETTLED_FRAMES) requestAnimationFrame(look);
      else setIsSettled(true);
    };
    requestAnimationFrame(look);
  }, [virtualizer]);

  const jumpToNewest = useCallback(() => {
    if (hasNewest) {
      virtualizer.scrollToEnd();
      return;
    }
    isPlaced.current = false;
    reset();
    onShowNewest();
  }, [hasNewest, virtualizer, reset, onShowNewest]);

  return {
    /** Goes to the element that scrolls. */
    scroller,
    virtualizer,
    /** Scrolls to an item. The function is stable. */
    scrollTo,
    /** Whether the newest message is in sight. */
    isAtEnd: isScrolledToEnd && hasNewest,
    /** Scrolls to the newest message, and loads it where other pages are shown. */
    jumpToNewest,
  };
}

/** Whether the end of the list is in sight, or nearly. */
function useIsAtEnd(
  scroller: RefObject<HTMLElement | null>,
  isFilled: boolean,
  startsAtEnd: boolean,
): boolean {
  const [isAtEnd, setIsAtEnd] = useState(startsAtEnd);
  useEffect(() => {
    const element = scroller.current;
    if (!element || !isFilled) return;
    let isEnd = startsAtEnd;
    let height = element.clientHeight;
    const check = () => {
      const left = element.scrollHeight - element.scrollTop - element.clientHeight;
      isEnd = left < END_THRESHOLD;
      setIsAtEnd(isEnd);
    };
    element.addEventListener("scroll", check, { passive: true });
    const observer = new ResizeObserver(() => {
      // The field below grew, or a keyboard came up: the newest message stays in sight.
      if (isEnd && element.clientHeight < height) element.scrollTo({ top: element.scrollHeight });
      height = element.clientHeight;
      check();
    });
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    return () => {
      element.removeEventListener("scroll", check);
      observer.disconnect();
    };
  }, [scroller, isFilled, startsAtEnd]);
  return isAtEnd;
}

/** A guess at the height of a row before it is drawn, in pixels. */
function estimateHeight(item: ThreadItem): number {
  const { message } = item;
  const divider = item.isNewDay || item.isNewSession ? 44 : 0;
  const quote = message?.reply_to ? 52 : 0;
  if (message && (message.type === "image" || message.type === "video")) {
    return 300 + divider + quote;
  }
  if (message && message.type === "audio") return 96 + divider + quote;
  const text = message?.content ?? item.outbox?.content ?? item.unsent?.content ?? "";
  const lines = text.split("\n").reduce(
    (sum, line) => sum + Math.max(1, Math.ceil(line.length / 60)),
    0,
  );
  return 40 + 20 * Math.min(lines, 200) + (item.isGrouped ? 0 : 8) + divider + quote;
}
