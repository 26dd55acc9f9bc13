/**
 * The messages of a thread. Only those that can be seen are drawn; the place that is being read stays
 * where it is while older and newer ones come in.
 *
 * @module
 */

import { useQueryClient } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Conversation, Message } from "../api/types.ts";
import { conversationName } from "../format.ts";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { useToast } from "../ui/toast.tsx";
import { makeItems, type ThreadItem } from "./items.ts";
import { type MessageActions, MessageRow, summarise } from "./message_row.tsx";
import { forgetArrived, outboxKey, useLocalMessages, useOutbox } from "./outbox.ts";
import { useThread } from "./use_thread.ts";

/** So near to the end counts as being there, in pixels. */
const END_THRESHOLD = 80;
/** So many rows before the edge of what is loaded, more is fetched. */
const FETCH_AHEAD = 12;
/** So many older pages are looked through for a message that was answered. */
const MAX_PAGES_BACK = 10;
const HIGHLIGHT_MS = 2_000;

/** The list, and what it tells about itself. */
export function MessageList(
  { conversation, actions, canWrite, canReact, onNewestSeen }: {
    conversation: Conversation;
    actions: Omit<MessageActions, "goTo">;
    canWrite: boolean;
    canReact: boolean;
    /** Called when the newest message is in sight, with its time. */
    onNewestSeen: (sentAt: string) => void;
  },
) {
  const { id: conversationId } = conversation;
  const thread = useThread(conversationId, conversation.updated_at);
  const outbox = useOutbox(conversationId);
  const local = useLocalMessages(conversationId);
  const showToast = useToast();
  const queryClient = useQueryClient();
  const { query, messages, hasNewest } = thread;
  const name = conversationName(conversation);

  // Whatever changed in the thread may have settled what was sent.
  useEffect(() => {
    queryClient.invalidateQueries({ queryKey: outboxKey(conversationId) });
  }, [queryClient, conversationId, conversation.updated_at]);
  useEffect(() => forgetArrived(conversationId, outbox.data ?? []), [conversationId, outbox.data]);

  const items = useMemo(
    () => makeItems({ messages, outbox: outbox.data ?? [], local, hasNewest }),
    [messages, outbox.data, local, hasNewest],
  );
  const byId = useMemo(
    () => new Map(messages.map((message) => [message.id, message])),
    [messages],
  );

  const scroller = useRef<HTMLDivElement>(null);
  const isPlaced = useRef(false);
  const virtualizer = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => estimateHeight(items[index]!),
    getItemKey: (index) => items[index]!.key,
    overscan: 10,
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: END_THRESHOLD,
    paddingStart: 16,
    paddingEnd: 16,
  });
  const shown = virtualizer.getVirtualItems();
  const firstShown = shown[0]?.index ?? 0;
  const lastShown = shown.at(-1)?.index ?? 0;
  const isAtEnd = useIsAtEnd(scroller, items.length > 0) && hasNewest;

  useLayoutEffect(() => {
    if (isPlaced.current || items.length === 0) return;
    isPlaced.current = true;
    virtualizer.scrollToEnd();
  }, [items.length, virtualizer]);

  useEffect(() => {
    if (!isPlaced.current || query.isFetching || query.isError) return;
    if (query.hasNextPage && firstShown < FETCH_AHEAD) query.fetchNextPage();
    else if (query.hasPreviousPage && lastShown > items.length - FETCH_AHEAD) {
      query.fetchPreviousPage();
    }
  }, [query, firstShown, lastShown, items.length]);

  const newest = messages.at(-1);
  useEffect(() => {
    if (isAtEnd && newest) onNewestSeen(newest.sent_at);
  }, [isAtEnd, newest, onNewestSeen]);

  // What has come in since the end was last in sight.
  const seenAt = useRef(newest?.sent_at);
  if (isAtEnd) seenAt.current = newest?.sent_at;
  const unseen = isAtEnd || seenAt.current === undefined
    ? 0
    : messages.filter((message) =>
      message.direction === "inbound" && message.sent_at > seenAt.current!
    ).length;

  const [highlighted, setHighlighted] = useState<string>();
  useEffect(() => {
    if (highlighted === undefined) return;
    const timer = setTimeout(() => setHighlighted(undefined), HIGHLIGHT_MS);
    return () => clearTimeout(timer);
  }, [highlighted]);

  // The newest version of what the rows may call: their own props stay the same.
  const itemsRef = useRef(items);
  itemsRef.current = items;
  const rowActions = useMemo<MessageActions>(() => ({
    ...actions,
    async goTo(messageId) {
      for (let page = 0; page <= MAX_PAGES_BACK; page++) {
        const index = itemsRef.current.findIndex((item) => item.message?.id === messageId);
        if (index >= 0) {
          virtualizer.scrollToIndex(index, { align: "center" });
          setHighlighted(messageId);
          return;
        }
        const { hasNextPage } = await query.fetchNextPage();
        await new Promise((resolve) => requestAnimationFrame(resolve));
        if (!hasNextPage && page > 0) break;
      }
      showToast(texts.thread.originalNotLoaded);
    },
  }), [actions, virtualizer, query.fetchNextPage, showToast]);

  function jumpToNewest() {
    if (hasNewest) {
      virtualizer.scrollToEnd();
      return;
    }
    isPlaced.current = false;
    thread.reset();
  }

  if (query.isError && messages.length === 0) {
    return (
      <div className="message-scroll">
        <LoadFailed
          title={texts.thread.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      </div>
    );
  }
  return (
    <div className="message-area">
      {query.isFetchingNextPage && (
        <p className="thread-loading" role="status">
          <Spinner /> {texts.thread.loadingOlder}
        </p>
      )}
      {(query.isFetchNextPageError || query.isFetchPreviousPageError) && (
        <p className="thread-loading" role="alert">
          {texts.thread.moreFailed}{" "}
          <button
            type="button"
            className="link-button"
            onClick={() =>
              query.isFetchNextPageError ? query.fetchNextPage() : query.fetchPreviousPage()}
          >
            {texts.errors.tryAgain}
          </button>
        </p>
      )}
      <div
        className="message-scroll"
        ref={scroller}
        role="region"
        aria-label={texts.thread.messages}
        tabIndex={0}
        aria-busy={query.isPending}
      >
        {query.isPending && <ThreadSkeleton />}
        {query.isSuccess && items.length === 0 && (
          <EmptyState level="h3" title={texts.thread.empty} />
        )}
        <ol
          className="message-list"
          style={{ height: virtualizer.getTotalSize() }}
        >
          {shown.map(({ index, start, key }) => {
            const item = items[index];
            if (!item) return null;
            const replyTo = item.message?.reply_to ?? item.outbox?.reply_to ??
              item.local?.body.reply_to;
            return (
              <li
                key={key}
                ref={virtualizer.measureElement}
                data-index={index}
                className="message-item"
                style={{ transform: `translateY(${start}px)` }}
              >
                <MessageRow
                  item={item}
                  quoted={replyTo ? byId.get(replyTo) : undefined}
                  name={name}
                  conversationId={conversationId}
                  isBeginning={index === 0 && query.isSuccess &&
                    !query.hasNextPage}
                  isHighlighted={item.message !== undefined &&
                    item.message.id === highlighted}
                  canWrite={canWrite}
                  canReact={canReact}
                  actions={rowActions}
                />
              </li>
            );
          })}
        </ol>
      </div>
      {!isAtEnd && items.length > 0 && (
        <button type="button" className="jump" onClick={jumpToNewest}>
          <ArrowDown size={16} aria-hidden />
          {unseen > 0 ? texts.thread.newMessages(unseen) : texts.thread.newest}
        </button>
      )}
      <Announcer newest={newest} name={name} />
    </div>
  );
}

/** Reads incoming messages out to screen readers. */
function Announcer(
  { newest, name }: { newest: Message | undefined; name: string },
) {
  const first = useRef<string | undefined>(undefined);
  first.current ??= newest?.id;
  const text = newest && newest.id !== first.current && newest.direction === "inbound"
    ? `${newest.sender_name ?? name}: ${summarise(newest)}`
    : "";
  return <p className="visually-hidden" aria-live="polite">{text}</p>;
}

function ThreadSkeleton() {
  return (
    <div className="thread-skeleton" role="status">
      <span className="visually-hidden">{texts.app.loading}</span>
      {[60, 40, 70, 30, 50].map((width, index) => (
        <span
          key={width}
          className="skeleton skeleton-bubble"
          data-out={index % 2 === 1 || undefined}
          style={{ width: `${width}%` }}
        />
      ))}
    </div>
  );
}

/** Whether the end of the list is in sight, or nearly. */
function useIsAtEnd(
  scroller: { current: HTMLElement | null },
  isFilled: boolean,
): boolean {
  const [isAtEnd, setIsAtEnd] = useState(true);
  useEffect(() => {
    const element = scroller.current;
    if (!element || !isFilled) return;
    let isEnd = true;
    let height = element.clientHeight;
    const check = () => {
      const left = element.scrollHeight - element.scrollTop -
        element.clientHeight;
      isEnd = left < END_THRESHOLD;
      setIsAtEnd(isEnd);
    };
    element.addEventListener("scroll", check, { passive: true });
    const observer = new ResizeObserver(() => {
      // The field below has grown, or a keyboard has come up: the newest message stays in sight.
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
  }, [scroller, isFilled]);
  return isAtEnd;
}

/** A guess at the height of a row before it is drawn. */
function estimateHeight(item: ThreadItem): number {
  const { message } = item;
  const divider = item.isNewDay || item.isNewSession ? 44 : 0;
  const quote = message?.reply_to ? 52 : 0;
  if (message && (message.type === "image" || message.type === "video")) {
    return 300 + divider + quote;
  }
  if (message && message.type === "audio") return 96 + divider + quote;
  const text = message?.content ?? item.outbox?.content ??
    item.local?.content ?? "";
  const lines = text.split("\n").reduce(
    (sum, line) => sum + Math.max(1, Math.ceil(line.length / 60)),
    0,
  );
  return 40 + 20 * Math.min(lines, 200) + (item.isGrouped ? 0 : 8) + divider +
    quote;
}
