/**
 * Where messages are written: text, a file, a template; or why nothing can be written.
 *
 * @module
 */

import { useMutation } from "@tanstack/react-query";
import { Clock, FileText, LayoutTemplate, Paperclip, SendHorizontal, X } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { describeError } from "../api/api_error.ts";
import { useApi } from "../api/context.tsx";
import type { Conversation, Message, Upload } from "../api/types.ts";
import { useConnections } from "../connections/use_connections.ts";
import { conversationName, formatBytes, formatDuration } from "../format.ts";
import { fillIn } from "../replies/canned_reply.ts";
import { RepliesDialog } from "../replies/replies_dialog.tsx";
import { ReplyPicker, useReplyPicker } from "../replies/reply_picker.tsx";
import { PAGES } from "../shell/pages.ts";
import { texts } from "../texts.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { useToast } from "../ui/toast.tsx";
import { useCanManage, useCanWrite, useWorkspace } from "../workspace/workspace.tsx";
import { keepDraft, readDraft } from "./drafts.ts";
import { summarise } from "./message_row.tsx";
import type { LocalMessage } from "./outbox.ts";
import { type ReplyWindow, useReplyWindow } from "./reply_window.ts";
import { TemplateDialog } from "./template_dialog.tsx";
import { useFileDrop } from "./use_file_drop.ts";

/** WhatsApp's limits, in characters. */
const MAX_TEXT = 4096;
const MAX_CAPTION = 1024;
const ACCEPTED = "image/jpeg,image/png,image/webp,audio/*,video/mp4,video/3gpp,application/pdf," +
  "text/plain,.doc,.docx,.xls,.xlsx,.ppt,.pptx,.csv";

type Send = (
  message: Omit<LocalMessage, "createdAt" | "error">,
) => Promise<void>;

interface ComposerProps {
  conversation: Conversation;
  /** The message that is answered. */
  replyTo: Message | undefined;
  onReplyEnd: () => void;
  onSend: Send;
}

/** The foot of a thread. */
export function Composer(props: ComposerProps) {
  const { conversation } = props;
  const workspace = useWorkspace();
  const canWrite = useCanWrite();
  const canManage = useCanManage();
  const connections = useConnections();
  const replyWindow = useReplyWindow(conversation);
  const connection = connections.data?.find(({ id }) => id === conversation.connection_id);

  if (!canWrite) return <Notice>{texts.composer.viewer}</Notice>;
  if (conversation.platform !== "whatsapp") {
    return (
      <Notice>
        {texts.composer.otherPlatform(texts.platforms[conversation.platform])}
      </Notice>
    );
  }
  if (connections.isSuccess && !connection?.can_send) {
    return (
      <Notice>
        {texts.composer.notReady} {canManage && (
          <a href={`#/${workspace.slug}${PAGES.messaging}`}>
            {texts.composer.notReadyAction}
          </a>
        )}
      </Notice>
    );
  }
  return <OpenComposer {...props} replyWindow={replyWindow} />;
}

function Notice({ children }: { children: ReactNode }) {
  return (
    <footer className="composer">
      <p className="composer-notice">{children}</p>
    </footer>
  );
}

function OpenComposer(
  { conversation, replyTo, onReplyEnd, onSend, replyWindow }: ComposerProps & {
    replyWindow: ReplyWindow;
  },
) {
  const { id: conversationId } = conversation;
  const [text, setText] = useState(() => readDraft(conversationId));
  const [isTemplateOpen, setIsTemplateOpen] = useState(false);
  const showToast = useToast();
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const upload = useUpload(conversationId);
  const isOpen = replyWindow.state === "open" || replyWindow.state === "none";
  const file = upload.variables;
  const takesCaption = !upload.data ||
    !["audio", "sticker"].includes(upload.data.type);
  const max = file ? MAX_CAPTION : MAX_TEXT;
  const isTooLong = text.length > max;
  const isEmpty = text.trim() === "" && !upload.data;
  const canSend = !isEmpty && !isTooLong && !upload.isPending &&
    !upload.isError;
  const [hasFocus, setHasFocus] = useState(false);
  const [isManagingReplies, setIsManagingReplies] = useState(false);
  const replies = useReplyPicker({
    text,
    hasFocus,
    onPick(reply) {
      setText(fillIn(reply.content, conversation.person_name || conversation.participant_name));
      field.current?.focus();
    },
  });

  useEffect(() => keepDraft(conversationId, text), [conversationId, text]);
  useEffect(() => {
    if (replyTo) field.current?.focus();
  }, [replyTo]);
  // Whoever opens a conversation at a desk wants to write; on a phone a keyboard would jump up.
  useEffect(() => {
    if (matchMedia("(hover: hover) and (min-width: 900px)").matches) {
      field.current?.focus();
    }
  }, []);

  function send() {
    if (!canSend) return;
    const key = {
      conversation_id: conversationId,
      idempotency_key: crypto.randomUUID(),
      ...(replyTo ? { reply_to: replyTo.id } : {}),
    };
    const written = text.trim();
    if (upload.data) {
      const { media_id, type, file_name } = upload.data;
      onSend({
        body: {
          ...key,
          type,
          media_id,
          ...(takesCaption && written ? { caption: written } : {}),
        },
        content: takesCaption ? written : "",
        fileName: file_name,
      });
    } else {
      onSend({
        body: { ...key, type: "text", text: written },
        content: written,
      });
    }
    // Nothing of what was typed gets lost with a file that has no caption.
    if (!upload.data || takesCaption) setText("");
    upload.reset();
    onReplyEnd();
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (replies.onKeyDown(event)) return;
    // While a Japanese or Chinese word is being put together, Enter chooses it.
    if (
      event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing
    ) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && replyTo) {
      onReplyEnd();
    }
  }

  function attach(files: FileList | null) {
    const first = files?.[0];
    if (first) upload.mutate(first);
    if (files && files.length > 1) showToast(texts.composer.oneFile);
    if (picker.current) picker.current.value = "";
  }

  const isDragging = useFileDrop((files) => isOpen && attach(files));

  return (
    <footer className="composer">
      {isDragging && isOpen && <p className="composer-drop">{texts.composer.dropHere}</p>}
      <WindowIndicator replyWindow={replyWindow} />
      {conversation.status === "closed" && (
        <p className="composer-window">
          {texts.thread.closedNotice} {texts.composer.closedHere}
        </p>
      )}
      {replyTo && (
        <div className="composer-reply">
          <span className="quote">
            <strong>
              {texts.thread.replyTo(
                replyTo.direction === "outbound"
                  ? texts.common.you
                  : replyTo.sender_name ?? conversationName(conversation),
              )}
            </strong>
            <span>{summarise(replyTo)}</span>
          </span>
          <IconButton
            label={texts.composer.cancelReply}
            icon={X}
            onClick={onReplyEnd}
          />
        </div>
      )}
      {file && (
        <div className="composer-file" role="status">
          {upload.isPending ? <Spinner /> : <FileText size={18} aria-hidden />}
          <span className="composer-file-name">{file.name}</span>
          <span className={upload.isError ? "form-error" : "muted"}>
            {upload.isPending
              ? texts.composer.uploading
              : upload.isError
              ? describeError(upload.error)
              : formatBytes(file.size)}
          </span>
          <IconButton
            label={texts.composer.removeAttachment}
            icon={X}
            onClick={() => upload.reset()}
          />
        </div>
      )}
      {isOpen
        ? (
          <div className="composer-bar">
            <input
              ref={picker}
              type="file"
              className="visually-hidden"
              tabIndex={-1}
              aria-hidden
              accept={ACCEPTED}
              onChange={(event) => attach(event.target.files)}
            />
            <IconButton
              label={texts.composer.attach}
              icon={Paperclip}
              disabled={upload.isPending}
              onClick={() => picker.current?.click()}
            />
            <IconButton
              label={texts.composer.templates}
              icon={LayoutTemplate}
              onClick={() => setIsTemplateOpen(true)}
            />
            <div
              className="composer-field"
              onFocus={() => setHasFocus(true)}
              onBlur={(event) => setHasFocus(event.currentTarget.contains(event.relatedTarget))}
            >
              <textarea
                ref={field}
                className="input"
                rows={1}
                aria-label={texts.composer.label}
                aria-describedby="composer-hint"
                placeholder={file && takesCaption
                  ? texts.composer.caption
                  : texts.composer.placeholder}
                {...replies.fieldProps}
                value={text}
                onChange={(event) => setText(event.target.value)}
                onKeyDown={onKeyDown}
                onPaste={(event) => {
                  if (event.clipboardData.files.length > 0) {
                    event.preventDefault();
                    attach(event.clipboardData.files);
                  }
                }}
              />
              <span id="composer-hint" className="visually-hidden">
                {texts.composer.hint}
              </span>
              <ReplyPicker picker={replies} onManage={() => setIsManagingReplies(true)} />
              {isTooLong && (
                <span className="form-error" role="alert">
                  {texts.composer.tooLong(max)} ({text.length})
                </span>
              )}
            </div>
            <button
              type="button"
              className="send-button"
              aria-label={texts.composer.send}
              title={texts.composer.send}
              disabled={!canSend}
              onClick={send}
            >
              <SendHorizontal size={18} aria-hidden />
            </button>
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
      {isManagingReplies && (
        <RepliesDialog
          onClose={() => {
            setIsManagingReplies(false);
            field.current?.focus();
          }}
        />
      )}
      {isTemplateOpen && (
        <TemplateDialog
          conversation={conversation}
          onClose={() => setIsTemplateOpen(false)}
          onSend={onSend}
        />
      )}
    </footer>
  );
}

function WindowIndicator({ replyWindow }: { replyWindow: ReplyWindow }) {
  if (replyWindow.state === "none") return null;
  if (replyWindow.state !== "open") {
    return (
      <p className="composer-window" data-tone="warning">
        <Clock size={14} aria-hidden />
        {replyWindow.state === "never" ? texts.composer.windowNever : texts.composer.windowClosed}
      </p>
    );
  }
  // To the minute; seconds would only make it flicker.
  const left = formatDuration(
    Math.max(60, Math.floor(replyWindow.leftMs / 60_000) * 60),
  );
  return (
    <p
      className="composer-window"
      data-tone={replyWindow.isClosingSoon ? "warning" : undefined}
    >
      <Clock size={14} aria-hidden />
      {replyWindow.isClosingSoon
        ? texts.composer.windowClosingSoon(left)
        : texts.composer.windowOpen(left)}
    </p>
  );
}

/** Uploads a file, so that it can be sent by its id. */
export function useUpload(conversationId: string) {
  const api = useApi();
  return useMutation({
    mutationFn: (file: File) => {
      const form = new FormData();
      form.set("conversation_id", conversationId);
      form.set("file", file);
      return api.inbox<Upload>({ method: "POST", path: "uploads", body: form });
    },
  });
}
