/**
 * Writes messages: a text, a file with a caption, or a template.
 *
 * @module
 */

import { LayoutTemplate, Paperclip, SendHorizontal } from "lucide-react";
import { Suspense, useEffect, useRef, useState } from "react";
import type { Conversation, Message } from "../api/rows.ts";
import { conversationName } from "../format.ts";
import type { WrittenMessage } from "../outbox/use_send_message.ts";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import { showToast } from "../ui/toast.ts";
import { AttachedFile } from "./attached_file.tsx";
import { MessageField } from "./message_field.tsx";
import { QuotedMessage } from "./quoted_message.tsx";
import { useReplyWindow } from "./reply_window.ts";
import { ReplyWindowNotice } from "./reply_window_notice.tsx";
import { useFileDrop } from "./use_file_drop.ts";
import { useMessageDraft } from "./use_message_draft.ts";
import { lazy } from "../ui/lazy.ts";

const TemplateDialog = lazy(() => import("./template_dialog.tsx"));

const ACCEPTED_FILES = "image/jpeg,image/png,image/webp,audio/*,video/mp4,video/3gpp," +
  "application/pdf,text/plain,.doc,.docx,.xls,.xlsx,.ppt,.pptx,.csv";

/** What a composer gets. */
export interface OpenComposerProps {
  conversation: Conversation;
  /** Until when any message can be sent: see {@linkcode useReplyWindow}. */
  windowEndsAt: string | null | undefined;
  /** The message that is answered. */
  replyTo: Message | undefined;
  onReplyEnd: () => void;
  onSubmit: (message: WrittenMessage) => void;
}

/** A composer for members who may write, on a number that can send. */
export function OpenComposer(props: OpenComposerProps) {
  const { conversation, replyTo, onReplyEnd, onSubmit } = props;
  const replyWindow = useReplyWindow(props.windowEndsAt);
  const isWindowOpen = replyWindow.state === "open" || replyWindow.state === "none";
  const [isTemplateOpen, setIsTemplateOpen] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const fileInput = useRef<HTMLInputElement>(null);
  const draft = useMessageDraft(conversation.id, replyTo);
  const { upload } = draft;

  useEffect(() => {
    if (replyTo) field.current?.focus();
  }, [replyTo]);
  // At a desk, opening a conversation means writing next; on a phone the keyboard would cover it.
  useEffect(() => {
    if (matchMedia("(hover: hover) and (min-width: 900px)").matches) field.current?.focus();
  }, []);

  function submit() {
    const message = draft.take();
    if (!message) return;
    onSubmit(message);
    onReplyEnd();
    field.current?.focus();
  }

  function attach(files: FileList | null) {
    const first = files?.[0];
    if (first) upload.mutate(first);
    if (files && files.length > 1) showToast(texts.composer.oneFile);
    if (fileInput.current) fileInput.current.value = "";
  }

  const isDragging = useFileDrop((files) => isWindowOpen && attach(files));

  return (
    <footer className="composer">
      {isDragging && isWindowOpen && <p className="composer-drop">{texts.composer.dropHere}</p>}
      <ReplyWindowNotice replyWindow={replyWindow} />
      {conversation.status === "closed" && (
        <p className="composer-window">
          {texts.thread.closedNotice} {texts.composer.closedHere}
        </p>
      )}
      {replyTo && (
        <QuotedMessage
          message={replyTo}
          name={conversationName(conversation)}
          onCancel={onReplyEnd}
        />
      )}
      {upload.variables && <AttachedFile file={upload.variables} upload={upload} />}
      {isWindowOpen
        ? (
          <div className="composer-bar">
            <input
              ref={fileInput}
              type="file"
              className="visually-hidden"
              tabIndex={-1}
              aria-hidden
              accept={ACCEPTED_FILES}
              onChange={(event) => attach(event.target.files)}
            />
            <IconButton
              label={texts.composer.attach}
              icon={Paperclip}
              disabled={upload.isPending}
              onClick={() => fileInput.current?.click()}
            />
            <IconButton
              label={texts.composer.templates}
              icon={LayoutTemplate}
              onClick={() => setIsTemplateOpen(true)}
            />
            <MessageField
              ref={field}
              draft={draft}
              contactName={conversation.person_name || conversation.participant_name}
              onSubmit={submit}
              onEscape={onReplyEnd}
              onPasteFiles={attach}
            />
            <IconButton
              className="send-button"
              label={texts.composer.send}
              icon={SendHorizontal}
              disabled={!draft.canSubmit}
              onClick={submit}
            />
          </div>
        )
        : (
          <div className="composer-closed">
            <Button
              variant="primary"
              icon={LayoutTemplate}
              onClick={() => setIsTemplateOpen(true)}
            >
              {texts.composer.chooseTemplate}
            </Button>
          </div>
        )}
      {isTemplateOpen && (
        <Suspense>
          <TemplateDialog
            conversation={conversation}
            onClose={() => setIsTemplateOpen(false)}
            onSubmit={onSubmit}
          />
        </Suspense>
      )}
    </footer>
  );
}
