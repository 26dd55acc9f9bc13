/**
 * The message that is being written: its text, which is kept as a draft, and its file.
 *
 * @module
 */

import { useEffect, useState } from "react";
import type { Message } from "../api/rows.ts";
import type { WrittenMessage } from "../outbox/use_send_message.ts";
import { useUser } from "../session/session.tsx";
import { keepDraft, readDraft } from "./drafts.ts";
import { useUpload } from "./use_upload.ts";

/** WhatsApp's limits, in characters. */
const MAX_TEXT = 4096;
const MAX_CAPTION = 1024;
const WITHOUT_CAPTION = ["audio", "sticker"];

/** The draft of a conversation, and whether it can be submitted. */
export type MessageDraft = ReturnType<typeof useMessageDraft>;

/** Starts with what was typed on an earlier visit. `replyTo` is the message that is answered. */
export function useMessageDraft(conversationId: string, replyTo: Message | undefined) {
  const userId = useUser().id;
  const [text, setText] = useState(() => readDraft(userId, conversationId));
  const upload = useUpload(conversationId);
  const hasFile = upload.variables !== undefined;
  const takesCaption = !upload.data || !WITHOUT_CAPTION.includes(upload.data.type);
  const max = hasFile ? MAX_CAPTION : MAX_TEXT;
  const isTooLong = text.length > max;
  const isEmpty = text.trim() === "" && !upload.data;
  const canSubmit = !isEmpty && !isTooLong && !upload.isPending && !upload.isError;
  useEffect(() => keepDraft(conversationId, text), [conversationId, text]);

  return {
    text,
    setText,
    upload,
    /** Most characters that can be sent. */
    max,
    isTooLong,
    canSubmit,
    /** Whether the text is sent as the caption of a file. */
    isCaption: hasFile && takesCaption,
    /** Returns the message and empties the draft; undefined where it cannot be submitted. */
    take(): WrittenMessage | undefined {
      if (!canSubmit) return undefined;
      const key = {
        conversation_id: conversationId,
        idempotency_key: crypto.randomUUID(),
        ...(replyTo ? { reply_to: replyTo.id } : {}),
      };
      const written = text.trim();
      // A text beside a file without a caption stays in the field.
      if (!upload.data || takesCaption) setText("");
      upload.reset();
      if (!upload.data) {
        return { body: { ...key, type: "text", text: written }, content: written };
      }
      const { media_id, type, file_name } = upload.data;
      const caption = takesCaption ? written : "";
      return {
        body: { ...key, type, media_id, ...(caption && { caption }) },
        content: caption,
        fileName: file_name,
      };
    },
  };
}
