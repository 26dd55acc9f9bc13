/**
 * A row of the thread: dividers above, the bubble, and what can be done with it.
 *
 * @module
 */

import { Forward } from "lucide-react";
import { memo } from "react";
import type { Message } from "../api/rows.ts";
import { messagePreview } from "../conversations/preview.ts";
import { formatDateTime, formatDay, formatTime } from "../format.ts";
import { texts } from "../texts.ts";
import { deliveryOf } from "./delivery.ts";
import { FirstText } from "./first_text.tsx";
import type { ThreadItem } from "./items.ts";
import type { MessageActions } from "./message_actions.ts";
import { MessageContent } from "./message_content.tsx";
import { MessageFailure } from "./message_failure.tsx";
import { Reactions, ReplyAndReact } from "./reactions.tsx";
import { Ticks } from "./ticks.tsx";

interface MessageRowProps {
  item: ThreadItem;
  /** The message this one answers, where it is loaded. */
  quoted: Message | undefined;
  /** Name of the contact. */
  name: string;
  conversationId: string;
  /** Whether it is the first message of the conversation. */
  isBeginning: boolean;
  isHighlighted: boolean;
  canWrite: boolean;
  /** Whether replies and reactions can be sent on this platform. */
  canReact: boolean;
  actions: MessageActions;
}

/** Draws an item. */
export const MessageRow = memo(function MessageRow(props: MessageRowProps) {
  const { item, isHighlighted, canWrite, actions } = props;
  const { message, isOutbound } = item;
  const canReact = canWrite && props.canReact;
  return (
    <>
      <Dividers item={item} isBeginning={props.isBeginning} />
      <div
        className={`message ${isOutbound ? "message-out" : "message-in"}`}
        data-grouped={item.isGrouped || undefined}
        data-highlighted={isHighlighted || undefined}
      >
        <Bubble {...props} />
        {message && !message.deleted_at && canReact && (
          <ReplyAndReact message={message} actions={actions} />
        )}
        {message?.reactions && message.reactions.length > 0 && (
          <Reactions message={message} canChange={canReact} actions={actions} />
        )}
        <MessageFailure item={item} canWrite={canWrite} actions={actions} />
      </div>
    </>
  );
});

function Dividers({ item, isBeginning }: { item: ThreadItem; isBeginning: boolean }) {
  return (
    <>
      {isBeginning && <p className="thread-beginning">{texts.thread.beginning}</p>}
      {item.isNewDay && (
        <p className="divider">
          <time dateTime={item.at}>{formatDay(item.at)}</time>
        </p>
      )}
      {item.isNewSession && <p className="divider divider-session">{texts.thread.newSession}</p>}
    </>
  );
}

function Bubble({ item, quoted, name, conversationId, actions }: MessageRowProps) {
  const { message, outbox, unsent, isOutbound, replyTo } = item;
  const delivery = deliveryOf(item);
  const fileName = outbox?.file_name ?? unsent?.fileName;
  return (
    <div className="bubble" data-state={delivery}>
      <span className="visually-hidden">
        {isOutbound ? texts.common.you : message?.sender_name ?? name}:
      </span>
      {message?.sender_name && !isOutbound && !item.isGrouped && (
        <span className="bubble-sender" aria-hidden>{message.sender_name}</span>
      )}
      {message?.metadata?.forwarded === true && (
        <span className="bubble-label">
          <Forward size={13} aria-hidden /> {texts.thread.forwarded}
        </span>
      )}
      {replyTo !== undefined && (
        <Quote
          quoted={quoted}
          name={name}
          onClick={() => actions.goTo(replyTo)}
        />
      )}
      {message ? <MessageContent message={message} conversationId={conversationId} /> : (
        <>
          <p className="bubble-text">{outbox?.content || unsent?.content || outbox?.file_name}</p>
          {fileName && <p className="bubble-label">{fileName}</p>}
        </>
      )}
      {message && <FirstText message={message} />}
      <span className="bubble-meta">
        <Origin item={item} />
        <time dateTime={item.at} title={formatDateTime(item.at)}>{formatTime(item.at)}</time>
        {delivery && <Ticks state={delivery} />}
      </span>
    </div>
  );
}

/** The message that is answered; leads to it. */
function Quote({ quoted, name, onClick }: {
  quoted: Message | undefined;
  name: string;
  onClick: () => void;
}) {
  return (
    <button
      type="button"
      className="quote"
      title={texts.thread.goToOriginal}
      onClick={onClick}
    >
      <strong>
        {quoted
          ? quoted.direction === "outbound" ? texts.common.you : quoted.sender_name ?? name
          : texts.thread.originalNotLoaded}
      </strong>
      {quoted && <span>{messagePreview(quoted)}</span>}
    </button>
  );
}

/** Where an outbound message was written, unless it was here. */
function Origin({ item }: { item: ThreadItem }) {
  const { message, outbox, isOutbound } = item;
  if (!message || !isOutbound || outbox || message.is_history) return null;
  const { origin, biz_opaque_callback_data: ours } = message.metadata ?? {};
  if (ours !== undefined) return null;
  if (origin === "business_app") return <span>{texts.thread.sentFromPhone}</span>;
  return origin === undefined ? null : <span>{texts.thread.sentElsewhere}</span>;
}
