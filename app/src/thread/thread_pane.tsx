/**
 * An open conversation: its head, its messages, the composer, and the contact beside it.
 *
 * @module
 */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import {
  Archive,
  ArchiveRestore,
  ArrowLeft,
  MailOpen,
  MessageSquareOff,
  PanelRight,
} from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import { useApi } from "../api/context.tsx";
import { REALTIME_POLL_MS, SENDING_POLL_MS, THREAD_POLL_MS } from "../api/query_client.ts";
import type { Conversation, Message, OutboxMessage } from "../api/types.ts";
import { ContactPanel } from "../contact/contact_panel.tsx";
import { conversationName, formatIdentifier } from "../format.ts";
import { useIsLive } from "../inbox/live.ts";
import { patchConversation, useConversation } from "../inbox/use_conversations.ts";
import { PAGES } from "../shell/pages.ts";
import { TagList } from "../tags/tag_chips.tsx";
import { TagMenu } from "../tags/tag_menu.tsx";
import { tagsOf, useTags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { EmptyState } from "../ui/empty_state.tsx";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { SelectField } from "../ui/text_field.tsx";
import { useErrorToast, useToast } from "../ui/toast.tsx";
import { memberName, useCanWrite, useMembers, useWorkspace } from "../workspace/workspace.tsx";
import { Composer } from "./composer.tsx";
import { MessageList } from "./message_list.tsx";
import type { MessageActions } from "./message_row.tsx";
import { putOutboxRow, useOutbox, useSend } from "./outbox.ts";
import { useMarkRead } from "./use_mark_read.ts";

/** A message that was just sent is looked at this often, for this long: its ticks move within seconds. */
const WATCH_MS = 20_000;
const PANEL_KEY = "inbox.contact";

/** What `close`, `reopen`, `assign` and the like return. */
interface ConversationAnswer {
  conversation: Conversation;
  kapso: "done" | "failed" | "not_connected";
}

/** The pane for one conversation. */
export function ThreadPane({ conversationId }: { conversationId: string }) {
  const workspace = useWorkspace();
  const pollMs = usePollMs(conversationId);
  const query = useConversation(conversationId, pollMs);
  const [isPanelOpen, setIsPanelOpen] = useState(readPanel);
  const backHref = `#/${workspace.slug}${PAGES.inbox}`;

  if (query.isError && !query.data) {
    return (
      <section className="thread">
        <LoadFailed
          title={texts.thread.loadFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      </section>
    );
  }
  if (query.data === undefined) {
    return (
      <section className="thread">
        <PageSpinner />
      </section>
    );
  }
  if (query.data === null) {
    return (
      <section className="thread">
        <EmptyState
          icon={MessageSquareOff}
          title={texts.thread.notFoundTitle}
          hint={texts.thread.notFoundHint}
          action={{ label: texts.thread.backToList, href: backHref }}
        />
      </section>
    );
  }
  const conversation = query.data;
  const togglePanel = () => {
    setIsPanelOpen(!isPanelOpen);
    // On a phone it covers the thread, so there it is never open at first.
    localStorage.setItem(PANEL_KEY, isPanelOpen ? "closed" : "open");
  };
  return (
    <>
      <section
        className="thread"
        aria-label={texts.thread.label(conversationName(conversation))}
      >
        <ThreadHead
          conversation={conversation}
          backHref={backHref}
          isPanelOpen={isPanelOpen}
          onTogglePanel={togglePanel}
        />
        <ThreadTags conversation={conversation} />
        <ThreadBody conversation={conversation} />
      </section>
      {isPanelOpen && <ContactPanel conversation={conversation} onClose={togglePanel} />}
    </>
  );
}

function ThreadHead({ conversation, backHref, isPanelOpen, onTogglePanel }: {
  conversation: Conversation;
  backHref: string;
  isPanelOpen: boolean;
  onTogglePanel: () => void;
}) {
  const canWrite = useCanWrite();
  const members = useMembers();
  const [, navigate] = useLocation();
  const workspace = useWorkspace();
  const change = useConversationChange(conversation.id);
  const name = conversationName(conversation);
  const identifier = formatIdentifier(conversation.participant_identifier);
  const isClosed = conversation.status === "closed";
  const assignable = members.filter((member) => member.role !== "viewer");
  return (
    <header className="thread-head">
      <a
        className="icon-button thread-back"
        href={backHref}
        aria-label={texts.thread.backToList}
      >
        <ArrowLeft size={20} aria-hidden />
      </a>
      <Avatar name={name} platform={conversation.platform} />
      <div className="thread-title">
        <h2>{name}</h2>
        <p>
          {texts.platforms[conversation.platform]}
          {identifier !== name && ` · ${identifier}`}
        </p>
      </div>
      {canWrite && (
        <>
          {assignable.length > 0 && (
            <SelectField
              label={texts.thread.assignTo}
              isLabelHidden
              className="field-compact thread-assignee"
              value={conversation.assigned_to ?? ""}
              disabled={change.isPending}
              onChange={(event) =>
                change.mutate({
                  action: "assign",
                  body: { user_id: event.target.value || null },
                })}
            >
              <option value="">
                {texts.list.nobody}
              </option>
              {assignable.map((member) => (
                <option key={member.user_id} value={member.user_id}>
                  {memberName(member)}
                </option>
              ))}
            </SelectField>
          )}
          <TagMenu conversation={conversation} />
          <IconButton
            label={texts.thread.markUnread}
            icon={MailOpen}
            className="thread-unread"
            disabled={change.isPending || conversation.last_inbound_at === null}
            onClick={() =>
              change.mutate({ action: "unread" }, {
                // Staying would mark it read again at once.
                onSuccess: () => navigate(`/${workspace.slug}${PAGES.inbox}`),
              })}
          />
          <Button
            icon={isClosed ? ArchiveRestore : Archive}
            className="thread-close"
            aria-label={isClosed ? texts.thread.reopen : texts.thread.close}
            isBusy={change.isPending && change.variables.action !== "assign"}
            onClick={() => change.mutate({ action: isClosed ? "reopen" : "close" })}
          >
            <span>
              {isClosed ? texts.thread.reopenShort : texts.thread.closeShort}
            </span>
          </Button>
        </>
      )}
      <IconButton
        label={isPanelOpen ? texts.thread.hideContact : texts.thread.showContact}
        icon={PanelRight}
        aria-expanded={isPanelOpen}
        onClick={onTogglePanel}
      />
    </header>
  );
}

function ThreadTags({ conversation }: { conversation: Conversation }) {
  const { tags } = useTags();
  const shown = tagsOf(tags, conversation.tag_ids);
  return shown.length > 0 && <TagList tags={shown} />;
}

function ThreadBody({ conversation }: { conversation: Conversation }) {
  const api = useApi();
  const queryClient = useQueryClient();
  const canWrite = useCanWrite();
  const showError = useErrorToast();
  const { send, sendAgain, forget } = useSend();
  const [replyTo, setReplyTo] = useState<Message>();
  const markRead = useMarkRead(conversation, canWrite);
  const canReact = conversation.platform === "whatsapp";
  const { id: conversationId } = conversation;

  const sendRef = useRef({ send, sendAgain, forget });
  sendRef.current = { send, sendAgain, forget };
  const actions = useMemo<Omit<MessageActions, "goTo">>(() => {
    const settle = async (
      method: "POST" | "DELETE",
      path: string,
      body?: object,
    ) => {
      try {
        const { message } = await api.inbox<{ message: OutboxMessage }>({
          method,
          path,
          body,
        });
        putOutboxRow(queryClient, message);
      } catch (error) {
        showError(error);
        queryClient.invalidateQueries({ queryKey: ["outbox", conversationId] });
      }
    };
    return {
      reply: setReplyTo,
      react: async (message, emoji) => {
        try {
          const answer = await api.inbox<{ message: OutboxMessage }>({
            method: "POST",
            path: "messages",
            body: {
              conversation_id: conversationId,
              idempotency_key: crypto.randomUUID(),
              type: "reaction",
              reply_to: message.id,
              emoji,
            },
          });
          putOutboxRow(queryClient, answer.message);
        } catch (error) {
          showError(error);
        }
      },
      retry: (row, mayDouble) =>
        void settle(
          "POST",
          `messages/${row.id}/retry`,
          mayDouble ? { confirm_possible_double: true } : {},
        ),
      discard: (row) => void settle("DELETE", `messages/${row.id}`),
      sendAgain: (row) => void sendRef.current.sendAgain(row),
      forget: (row) => sendRef.current.forget(row),
    };
  }, [api, queryClient, conversationId, showError]);

  return (
    <>
      <MessageList
        conversation={conversation}
        actions={actions}
        canWrite={canWrite}
        canReact={canReact}
        onNewestSeen={markRead}
      />
      <Composer
        conversation={conversation}
        replyTo={replyTo}
        onReplyEnd={useCallback(() => setReplyTo(undefined), [])}
        onSend={send}
      />
    </>
  );
}

/** Changes the conversation and tells what Kapso said. */
function useConversationChange(conversationId: string) {
  const api = useApi();
  const queryClient = useQueryClient();
  const showToast = useToast();
  const showError = useErrorToast();
  return useMutation({
    mutationFn: (
      { action, body }: {
        action: "close" | "reopen" | "assign" | "unread";
        body?: object;
      },
    ) =>
      api.inbox<ConversationAnswer>({
        method: "POST",
        path: `conversations/${conversationId}/${action}`,
        body: body ?? {},
      }),
    onSuccess({ conversation, kapso }) {
      patchConversation(queryClient, conversation);
      if (kapso === "failed") showToast(texts.thread.kapsoFailed);
    },
    onError: showError,
  });
}

/** How often to look: more often for a while after something was sent. */
function usePollMs(conversationId: string): number {
  const isLive = useIsLive();
  const newest = useOutbox(conversationId).data?.[0];
  const [isWatching, setIsWatching] = useState(false);
  const at = newest?.created_at;
  useEffect(() => {
    const left = at === undefined ? 0 : Date.parse(at) + WATCH_MS - Date.now();
    if (left <= 0) return;
    setIsWatching(true);
    const timer = setTimeout(() => setIsWatching(false), left);
    return () => clearTimeout(timer);
  }, [at]);
  if (isLive) return REALTIME_POLL_MS;
  return isWatching ? SENDING_POLL_MS : THREAD_POLL_MS;
}

function readPanel(): boolean {
  return matchMedia("(min-width: 1200px)").matches &&
    localStorage.getItem(PANEL_KEY) !== "closed";
}
