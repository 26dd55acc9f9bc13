/**
 * The field in which a message is typed, with canned replies above it.
 *
 * @module
 */

import { type KeyboardEvent, type RefObject, Suspense, useState } from "react";
import { fillIn } from "../replies/canned_reply.ts";
import { ReplyPicker, useReplyPicker } from "../replies/reply_picker.tsx";
import { texts } from "../texts.ts";
import type { MessageDraft } from "./use_message_draft.ts";
import { lazy } from "../ui/lazy.ts";

const RepliesDialog = lazy(() => import("../replies/replies_dialog.tsx"));

/** Enter submits, Shift + Enter starts a new line, a slash at the beginning opens the canned replies. */
export function MessageField({ ref, draft, contactName, onSubmit, onEscape, onPasteFiles }: {
  ref: RefObject<HTMLTextAreaElement | null>;
  draft: MessageDraft;
  /** Name of the contact, for canned replies; null where it is not known. */
  contactName: string | null;
  onSubmit: () => void;
  onEscape: () => void;
  onPasteFiles: (files: FileList) => void;
}) {
  const { text, setText } = draft;
  const [hasFocus, setHasFocus] = useState(false);
  const [isManagingReplies, setIsManagingReplies] = useState(false);
  const replies = useReplyPicker({
    text,
    hasFocus,
    onPick(reply) {
      setText(fillIn(reply.content, contactName));
      ref.current?.focus();
    },
  });

  function onKeyDown(event: KeyboardEvent) {
    if (replies.onKeyDown(event)) return;
    // While a Japanese or Chinese word is being composed, Enter chooses it.
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      onSubmit();
    } else if (event.key === "Escape") {
      onEscape();
    }
  }

  return (
    <div
      className="composer-field"
      onFocus={() => setHasFocus(true)}
      onBlur={(event) => setHasFocus(event.currentTarget.contains(event.relatedTarget))}
    >
      <textarea
        ref={ref}
        className="input"
        rows={1}
        aria-label={texts.composer.label}
        aria-describedby="composer-hint"
        placeholder={draft.isCaption ? texts.composer.caption : texts.composer.placeholder}
        {...replies.fieldProps}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        onPaste={(event) => {
          if (event.clipboardData.files.length === 0) return;
          event.preventDefault();
          onPasteFiles(event.clipboardData.files);
        }}
      />
      <span id="composer-hint" className="visually-hidden">{texts.composer.hint}</span>
      <ReplyPicker picker={replies} onManage={() => setIsManagingReplies(true)} />
      {draft.isTooLong && (
        <span className="form-error" role="alert">
          {texts.composer.tooLong(draft.max)} ({text.length})
        </span>
      )}
      {isManagingReplies && (
        <Suspense>
          <RepliesDialog
            onClose={() => {
              setIsManagingReplies(false);
              ref.current?.focus();
            }}
          />
        </Suspense>
      )}
    </div>
  );
}
