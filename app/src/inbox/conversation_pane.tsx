/**
 * An open conversation: its head, its messages, the composer, and the contact beside it.
 *
 * @module
 */

import { MessageSquareOff } from "lucide-react";
import { type ReactNode, useCallback, useMemo, useState } from "react";
import type { Conversation, Message } from "../api/rows.ts";
import { Composer } from "../composer/composer.tsx";
import { ContactPanel } from "../contact/contact_panel.tsx";
import { useInboxHref, useInboxView } from "../conversations/inbox_view.ts";
import { useConversation } from "../conversations/use_conversation.ts";
import { conversationName } from "../format.ts";
import { useSendMessage } from "../outbox/use_send_message.ts";
import { MatchBar } from "../search/match_bar.tsx";
import { TagList } from "../tags/tag_chips.tsx";
import { tagsOf, useTags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { MessageList } from "../thread/message_list.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { useVisits } from "../ui/hash_location.ts";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { useCanWrite } from "../workspace/workspace.tsx";
import { ConversationHead } from "./conversation_head.tsx";
import { useMarkRead } from "./use_mark_read.ts";
import { useMessageActions } from "./use_message_actions.ts";
import { usePollInterval } from "./use_poll_interval.ts";

const PANEL_KEY = "inbox.contact";

/** The pane for one conversation. */
export function ConversationPane({ conversationId }: { conversationId: string }) {
  const hrefOf = useInboxHref();
  const pollMs = usePollInterval(conversationId);
  const query = useConversation(conversationId, pollMs);
  const [isPanelOpen, setIsPanelOpen] = useState(readPanel);
  const backHref = hrefOf();

  if (query.isError && !query.data) {
    return (
      <Thread>
        <LoadFailed
          title={texts.thread.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      </Thread>
    );
  }
  if (query.data === undefined) {
    return (
      <Thread>
        <PageSpinner />
      </Thread>
    );
  }
  if (query.data === null) {
    return (
      <Thread>
        <EmptyState
          icon={MessageSquareOff}
          title={texts.thread.notFoundTitle}
          hint={texts.thread.notFoundHint}
          action={{ label: texts.thread.backToList, href: backHref }}
        />
      </Thread>
    );
  }
  const conversation = query.data;
  const togglePanel = () => {
    setIsPanelOpen(!isPanelOpen);
    localStorage.setItem(PANEL_KEY, isPanelOpen ? "closed" : "open");
  };
  return (
    <>
      <Thread label={texts.thread.label(conversationName(conversation))}>
        <ConversationHead
          conversation={conversation}
          backHref={backHref}
          isPanelOpen={isPanelOpen}
          onTogglePanel={togglePanel}
        />
        <ConversationTags conversation={conversation} />
        <MatchBar conversationId={conversation.id} />
        <ConversationBody conversation={conversation} />
      </Thread>
      {isPanelOpen && <ContactPanel conversation={conversation} onClose={togglePanel} />}
    </>
  );
}

function Thread({ label, children }: { label?: string; children: ReactNode }) {
  return <section className="thread" aria-label={label}>{children}</section>;
}

function ConversationTags({ conversation }: { conversation: Conversation }) {
  const { tags } = useTags();
  const shown = tagsOf(tags, conversation.tag_ids);
  return shown.length > 0 && <TagList tags={shown} />;
}

function ConversationBody({ conversation }: { conversation: Conversation }) {
  const canWrite = useCanWrite();
  const [replyTo, setReplyTo] = useState<Message>();
  const endReply = useCallback(() => setReplyTo(undefined), []);
  const sending = useSendMessage(conversation.id);
  const actions = useMessageActions(conversation.id, sending, setReplyTo);
  const markRead = useMarkRead(conversation, canWrite);
  const { message } = useInboxView();
  const visit = useVisits();
  const target = useMemo(
    () => message === null ? undefined : { cursor: message, visit },
    [message, visit],
  );
  return (
    <>
      <MessageList
        conversation={conversation}
        actions={actions}
        canWrite={canWrite}
        canReact={conversation.platform === "whatsapp"}
        target={target}
        onEndInSight={markRead}
      />
      <Composer
        conversation={conversation}
        replyTo={replyTo}
        onReplyEnd={endReply}
        onSubmit={sending.sendMessage}
      />
    </>
  );
}

/** Whether the contact is shown at first. On a phone it would cover the conversation, so there it is not. */
function readPanel(): boolean {
  return matchMedia("(min-width: 1200px)").matches &&
    localStorage.getItem(PANEL_KEY) !== "closed";
}
