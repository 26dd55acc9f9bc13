/**
 * The head of an open conversation: who it is with, and what can be done with it.
 *
 * @module
 */

import { Archive, ArchiveRestore, ArrowLeft, MailOpen, PanelRight, Tags } from "lucide-react";
import { Suspense } from "react";
import type { Conversation } from "../api/rows.ts";
import { useInboxHref } from "../conversations/inbox_view.ts";
import { conversationName, formatIdentifier } from "../format.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Button } from "../ui/button.tsx";
import { navigate } from "../ui/hash_location.ts";
import { IconButton } from "../ui/icon_button.tsx";
import { lazyAfterPage } from "../ui/lazy.ts";
import { SelectField } from "../ui/select_field.tsx";
import { memberName, useCanWrite, useMembers } from "../workspace/workspace.tsx";
import { useConversationChange } from "./use_conversation_change.ts";

const TagMenu = lazyAfterPage(() => import("../tags/tag_menu.tsx"));

const UNASSIGNED = "";

/** Name and number, and for members who may write: assignee, tags, mark as unread, close or reopen. */
export function ConversationHead({ conversation, backHref, isPanelOpen, onTogglePanel }: {
  conversation: Conversation;
  backHref: string;
  isPanelOpen: boolean;
  onTogglePanel: () => void;
}) {
  const canWrite = useCanWrite();
  const name = conversationName(conversation);
  const identifier = formatIdentifier(conversation.participant_identifier);
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
      {canWrite && <HeadActions conversation={conversation} />}
      <IconButton
        label={isPanelOpen ? texts.thread.hideContact : texts.thread.showContact}
        icon={PanelRight}
        aria-expanded={isPanelOpen}
        onClick={onTogglePanel}
      />
    </header>
  );
}

function HeadActions({ conversation }: { conversation: Conversation }) {
  const hrefOf = useInboxHref();
  const assignable = useMembers().filter((member) => member.role !== "viewer");
  const change = useConversationChange(conversation.id);
  const isClosed = conversation.status === "closed";
  return (
    <>
      {assignable.length > 0 && (
        <SelectField
          label={texts.thread.assignTo}
          isLabelHidden
          className="field-compact thread-assignee"
          options={[
            { value: UNASSIGNED, label: texts.list.unassigned },
            ...assignable.map((member) => ({ value: member.user_id, label: memberName(member) })),
          ]}
          value={conversation.assigned_to ?? UNASSIGNED}
          disabled={change.isPending}
          onChange={(userId) =>
            change.mutate({ action: "assign", body: { user_id: userId || null } })}
        />
      )}
      <Suspense
        fallback={
          <span className="icon-button">
            <Tags size={18} aria-hidden />
          </span>
        }
      >
        <TagMenu conversation={conversation} />
      </Suspense>
      <IconButton
        label={texts.thread.markUnread}
        icon={MailOpen}
        className="thread-unread"
        disabled={change.isPending || conversation.last_inbound_at === null}
        onClick={() =>
          change.mutate({ action: "unread" }, {
            // An open conversation would be marked as read again at once.
            onSuccess: () => navigate(hrefOf()),
          })}
      />
      <Button
        icon={isClosed ? ArchiveRestore : Archive}
        className="thread-close"
        aria-label={isClosed ? texts.thread.reopen : texts.thread.close}
        isBusy={change.isPending && change.variables.action !== "assign"}
        onClick={() => change.mutate({ action: isClosed ? "reopen" : "close" })}
      >
        <span>{isClosed ? texts.thread.reopenShort : texts.thread.closeShort}</span>
      </Button>
    </>
  );
}
