/**
 * A line of the thread: dividers above, the bubble, what can be done with it.
 *
 * @module
 */

import { CornerUpLeft, Forward, RotateCw, SmilePlus, Trash2 } from "lucide-react";
import { memo, useState } from "react";
import { describeError } from "../api/api_error.ts";
import type { Message, OutboxMessage } from "../api/types.ts";
import { formatDateTime, formatDay, formatTime } from "../format.ts";
import { texts } from "../texts.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Menu } from "../ui/menu.tsx";
import type { ThreadItem } from "./items.ts";
import type { LocalMessage } from "./outbox.ts";
import { MessageContent } from "./message_content.tsx";
import { type DeliveryState, Ticks } from "./ticks.tsx";

/** What a row can ask for. The same object for every row. */
export interface MessageActions {
  reply: (message: Message) => void;
  react: (message: Message, emoji: string) => void;
  goTo: (messageId: string) => void;
  retry: (row: OutboxMessage, mayDouble: boolean) => void;
  discard: (row: OutboxMessage) => void;
  sendAgain: (row: LocalMessage) => void;
  forget: (row: LocalMessage) => void;
}

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

/** Draws an item. */
export const MessageRow = memo(function MessageRow(
  {
    item,
    quoted,
    name,
    conversationId,
    isBeginning,
    isHighlighted,
    canWrite,
    canReact,
    actions,
  }: {
    item: ThreadItem;
    /** The message this one answers, where it is known. */
    quoted: Message | undefined;
    /** What the other side is called. */
    name: string;
    conversationId: string;
    /** Whether it is the first message of the conversation. */
    isBeginning: boolean;
    isHighlighted: boolean;
    canWrite: boolean;
    /** Whether replies and reactions can be sent on this platform. */
    canReact: boolean;
    actions: MessageActions;
  },
) {
  const { message, outbox, local, isOutbound } = item;
  const replyTo = message?.reply_to ?? outbox?.reply_to ?? local?.body.reply_to;
  const sender = isOutbound ? texts.common.you : message?.sender_name ?? name;
  return (
    <>
      {isBeginning && <p className="thread-beginning">{texts.thread.beginning}</p>}
      {item.isNewDay && (
        <p className="divider">
          <time dateTime={item.at}>{formatDay(item.at)}</time>
        </p>
      )}
      {item.isNewSession && <p className="divider divider-session">{texts.thread.newSession}</p>}
      <div
        className={`message ${isOutbound ? "message-out" : "message-in"}`}
        data-grouped={item.isGrouped || undefined}
        data-highlighted={isHighlighted || undefined}
      >
        <div className="bubble" data-state={deliveryOf(item)}>
          <span className="visually-hidden">{sender}:</span>
          {message?.sender_name && !isOutbound && !item.isGrouped && (
            <span className="bubble-sender" aria-hidden>
              {message.sender_name}
            </span>
          )}
          {message?.metadata?.forwarded === true && (
            <span className="bubble-label">
              <Forward size={13} aria-hidden /> {texts.thread.forwarded}
            </span>
          )}
          {replyTo && (
            <button
              type="button"
              className="quote"
              title={texts.thread.goToOriginal}
              onClick={() => actions.goTo(replyTo)}
            >
              <strong>
                {quoted
                  ? quoted.direction === "outbound" ? texts.common.you : quoted.sender_name ?? name
                  : texts.thread.originalNotLoaded}
              </strong>
              {quoted && <span>{summarise(quoted)}</span>}
            </button>
          )}
          {message
            ? (
              <MessageContent
                message={message}
                conversationId={conversationId}
              />
            )
            : (
              <p className="bubble-text">
                {outbox?.content || local?.content || outbox?.file_name}
              </p>
            )}
          {(outbox?.file_name ?? local?.fileName) && !message && (
            <p className="bubble-label">
              {outbox?.file_name ?? local?.fileName}
            </p>
          )}
          <span className="bubble-meta">
            <Origin item={item} />
            <time dateTime={item.at} title={formatDateTime(item.at)}>
              {formatTime(item.at)}
            </time>
            {isOutbound && deliveryOf(item) && <Ticks state={deliveryOf(item)!} />}
          </span>
        </div>
        {message && canWrite && canReact && (
          <div className="message-actions">
            <IconButton
              label={texts.thread.reply}
              icon={CornerUpLeft}
              size={16}
              onClick={() => actions.reply(message)}
            />
            <Menu
              label={texts.thread.react}
              className="icon-button"
              panelClassName="emoji-panel"
              trigger={<SmilePlus size={16} aria-hidden />}
            >
              {(close) =>
                EMOJI.map((emoji) => (
                  <button
                    key={emoji}
                    type="button"
                    className="emoji"
                    aria-label={texts.thread.reactWith(emoji)}
                    onClick={() => {
                      close();
                      actions.react(message, emoji);
                    }}
                  >
                    {emoji}
                  </button>
                ))}
            </Menu>
          </div>
        )}
        {message?.reactions && message.reactions.length > 0 && (
          <Reactions
            message={message}
            canChange={canWrite && canReact}
            actions={actions}
          />
        )}
        <Failure item={item} canWrite={canWrite} actions={actions} />
      </div>
    </>
  );
});

/** A line about a message, for quotes. */
export function summarise(message: Message): string {
  if (message.content && !/^\[\w+\]$/.test(message.content)) {
    return message.content.slice(0, 140);
  }
  return message.type === "text" ? message.content : texts.list.types[message.type];
}

/** The state that is shown for a message: the thread's where the message is in it, else the outbox's. */
function deliveryOf(
  { message, outbox, local, isOutbound }: ThreadItem,
): DeliveryState | undefined {
  if (!isOutbound) return undefined;
  if (local) return local.error ? "failed" : "sending";
  if (message?.status) return message.status;
  if (outbox && outbox.state !== "discarded") return outbox.state;
  return undefined;
}

/** Where an outbound message was written, if not here. */
function Origin({ item }: { item: ThreadItem }) {
  const { message, outbox, isOutbound } = item;
  if (!message || !isOutbound || outbox || message.is_history) return null;
  const { origin, biz_opaque_callback_data: ours } = message.metadata ?? {};
  if (ours !== undefined) return null;
  if (origin === "business_app") {
    return <span>{texts.thread.sentFromPhone}</span>;
  }
  return origin === undefined ? null : <span>{texts.thread.sentElsewhere}</span>;
}

function Reactions({ message, canChange, actions }: {
  message: Message;
  canChange: boolean;
  actions: MessageActions;
}) {
  const counts = new Map<string, { count: number; isOurs: boolean }>();
  for (const { emoji, sender } of message.reactions ?? []) {
    const known = counts.get(emoji) ?? { count: 0, isOurs: false };
    counts.set(emoji, {
      count: known.count + 1,
      isOurs: known.isOurs || sender === "business",
    });
  }
  return (
    <div className="reactions" role="group" aria-label={texts.thread.reactions}>
      {[...counts].map(([emoji, { count, isOurs }]) =>
        isOurs && canChange
          ? (
            <button
              key={emoji}
              type="button"
              className="reaction reaction-ours"
              aria-label={texts.thread.removeReaction(emoji)}
              title={texts.thread.removeReaction(emoji)}
              onClick={() => actions.react(message, "")}
            >
              {emoji} {count > 1 && count}
            </button>
          )
          : (
            <span key={emoji} className="reaction">
              {emoji} {count > 1 && count}
            </span>
          )
      )}
    </div>
  );
}

/** Why a message did not arrive, and what can be done. */
function Failure({ item, canWrite, actions }: {
  item: ThreadItem;
  canWrite: boolean;
  actions: MessageActions;
}) {
  const { message, outbox, local } = item;
  const [isAsking, setIsAsking] = useState(false);
  const state = deliveryOf(item);
  if (state !== "failed" && state !== "unconfirmed") return null;
  const code = outbox?.error_code ?? message?.error?.code;
  const reason = local?.error
    ? `${texts.thread.requestFailed} ${describeError(local.error)}`
    : state === "unconfirmed"
    ? texts.thread.unconfirmedHint
    : outbox?.error_message || message?.error?.message ||
      texts.thread.failedWithoutReason;
  const canRetry = local ? local.error?.isTemporary : state === "unconfirmed" || outbox?.can_retry;
  return (
    <div className="failure" data-state={state}>
      <p>
        {reason}
        {code !== undefined && code !== null && !local && (
          <span className="failure-code">({code})</span>
        )}
      </p>
      {canWrite && (local || outbox) && (
        <div className="failure-actions">
          {canRetry && (
            <button
              type="button"
              className="link-button"
              onClick={() => {
                if (local) actions.sendAgain(local);
                else if (state === "unconfirmed") setIsAsking(true);
                else if (outbox) actions.retry(outbox, false);
              }}
            >
              <RotateCw size={14} aria-hidden />{" "}
              {state === "unconfirmed" ? texts.thread.retryUnconfirmed : texts.thread.retry}
            </button>
          )}
          {(local || !message) && (
            <button
              type="button"
              className="link-button"
              onClick={() => local ? actions.forget(local) : outbox && actions.discard(outbox)}
            >
              <Trash2 size={14} aria-hidden /> {texts.thread.discard}
            </button>
          )}
        </div>
      )}
      {isAsking && outbox && (
        <Dialog
          title={texts.thread.confirmDoubleTitle}
          onClose={() => setIsAsking(false)}
        >
          <p>{texts.thread.confirmDouble}</p>
          <div className="dialog-actions">
            <Button onClick={() => setIsAsking(false)}>
              {texts.common.cancel}
            </Button>
            <Button
              variant="primary"
              onClick={() => {
                setIsAsking(false);
                actions.retry(outbox, true);
              }}
            >
              {texts.thread.retryUnconfirmed}
            </Button>
          </div>
        </Dialog>
      )}
    </div>
  );
}
