/**
 * The messages of a conversation.
 *
 * @module
 */

import { ArrowDown } from "lucide-react";
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Conversation, Message } from "../api/rows.ts";
import { messagePreview } from "../conversations/preview.ts";
import { conversationName } from "../format.ts";
import { useUnsentMessages } from "../outbox/use_send_message.ts";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { Spinner } from "../ui/spinner.tsx";
import type { MessageActions } from "./message_actions.ts";
import { MessageRow } from "./message_row.tsx";
import { useGoToMessage } from "./use_go_to_message.ts";
import { useMessageWindow } from "./use_message_window.ts";
import { type Target, useTarget } from "./use_target.ts";
import { useThread } from "./use_thread.ts";
import { useThreadItems } from "./use_thread_items.ts";

interface MessageListProps {
  conversation: Conversation;
  actions: Omit<MessageActions, "goTo">;
  canWrite: boolean;
  canReact: boolean;
  /** The message to show; undefined for the newest one. */
  target: Target | undefined;
  /** Called with whether the end of the conversation is in sight, as it is stored by now. */
  onEndInSight: (isInSight: boolean) => void;
}

/** The list, kept at the message that is being read. */
export function MessageList(props: MessageListProps) {
  /** Where the window over the conversation begins; undefined for the newest message. */
  const [around, setAround] = useState(props.target?.cursor);
  const reached = useRef<number | undefined>(undefined);
  return (
    <MessageWindow
      key={around ?? ""}
      {...props}
      around={around}
      reachedRef={reached}
      onShow={setAround}
    />
  );
}

function MessageWindow(
  { conversation, actions, canWrite, canReact, target, onEndInSight, around, reachedRef, onShow }:
    & MessageListProps
    & {
      around: string | undefined;
      reachedRef: RefObject<number | undefined>;
      onShow: (around: string | undefined) => void;
    },
) {
  const { id: conversationId } = conversation;
  const thread = useThread(conversationId, around, conversation.updated_at);
  const { query, messages } = thread;
  const items = useThreadItems(conversationId, messages, thread.hasNewest);
  const { scroller, virtualizer, scrollTo, isAtEnd, jumpToNewest } = useMessageWindow(
    items,
    thread,
    {
      startsAtEnd: around === undefined,
      onShowNewest: useCallback(() => onShow(undefined), [onShow]),
    },
  );
  const { highlighted, goTo } = useGoToMessage(items, thread, scrollTo);
  useTarget(target, {
    reachedRef,
    messages: query.isSuccess ? messages : undefined,
    around,
    goTo,
    onShow,
  });
  useFollowSent(conversationId, thread.hasNewest, jumpToNewest);
  const rowActions = useMemo(() => ({ ...actions, goTo }), [actions, goTo]);
  const byId = useMemo(
    () => new Map(messages.map((message) => [message.id, message])),
    [messages],
  );
  const name = conversationName(conversation);
  const newest = messages.at(-1);
  const isEndInSight = isAtEnd && newest !== undefined && !query.isFetching;
  useEffect(() => onEndInSight(isEndInSight), [isEndInSight, onEndInSight]);

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
      <Loading query={query} />
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
        <ol className="message-list" style={{ height: virtualizer.getTotalSize() }}>
          {virtualizer.getVirtualItems().map(({ index, start, key }) => {
            const item = items[index];
            if (!item) return null;
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
                  quoted={item.replyTo === undefined ? undefined : byId.get(item.replyTo)}
                  name={name}
                  conversationId={conversationId}
                  isBeginning={index === 0 && query.isSuccess && !query.hasNextPage}
                  isHighlighted={item.message !== undefined && item.message.id === highlighted}
                  canWrite={canWrite}
                  canReact={canReact}
                  actions={rowActions}
                />
              </li>
            );
          })}
        </ol>
      </div>
      {items.length > 0 && (
        <JumpToNewest
          arrivals={conversation.inbound_arrivals}
          isAtEnd={isAtEnd}
          onJump={jumpToNewest}
        />
      )}
      <Announcer newest={newest} name={name} />
    </div>
  );
}

/** Goes to the end when a message is written while others are in sight: there it is shown. */
function useFollowSent(conversationId: string, hasNewest: boolean, jumpToNewest: () => void) {
  const unsent = useUnsentMessages(conversationId);
  const keys = unsent.filter(({ body }) => body.type !== "reaction")
    .map(({ body }) => body.idempotency_key);
  const [known] = useState(keys);
  const isNew = keys.some((key) => !known.includes(key));
  useEffect(() => {
    if (isNew && !hasNewest) jumpToNewest();
  }, [isNew, hasNewest, jumpToNewest]);
}

/** Says that older messages are being loaded, or could not be. */
function Loading({ query }: { query: ReturnType<typeof useThread>["query"] }) {
  return (
    <>
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
    </>
  );
}

/** A button that leads to the end, and counts the messages that arrived since the end was last in sight. */
function JumpToNewest({ arrivals, isAtEnd, onJump }: {
  /** Messages of the customer that have arrived. */
  arrivals: number;
  isAtEnd: boolean;
  onJump: () => void;
}) {
  const [seen, setSeen] = useState(arrivals);
  if (isAtEnd && seen !== arrivals) setSeen(arrivals);
  if (isAtEnd) return null;
  const unseen = arrivals - seen;
  return (
    <button type="button" className="jump" onClick={onJump}>
      <ArrowDown size={16} aria-hidden />
      {unseen > 0 ? texts.thread.newMessages(unseen) : texts.thread.newest}
    </button>
  );
}

/** Reads incoming messages out to screen readers, but not the one that was there at first. */
function Announcer({ newest, name }: { newest: Message | undefined; name: string }) {
  const [firstId, setFirstId] = useState(newest?.id);
  if (firstId === undefined && newest) setFirstId(newest.id);
  const text = newest && newest.id !== firstId && newest.direction === "inbound"
    ? `${newest.sender_name ?? name}: ${messagePreview(newest)}`
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
