/**
 * The message that is answered.
 *
 * @module
 */

import { X } from "lucide-react";
import type { Message } from "../api/rows.ts";
import { messagePreview } from "../conversations/preview.ts";
import { texts } from "../texts.ts";
import { IconButton } from "../ui/icon_button.tsx";

/** Sender and first words of the message, and a button that cancels the reply. */
export function QuotedMessage({ message, name, onCancel }: {
  message: Message;
  /** Name of the contact. */
  name: string;
  onCancel: () => void;
}) {
  const sender = message.direction === "outbound" ? texts.common.you : message.sender_name ?? name;
  return (
    <div className="composer-reply">
      <span className="quote">
        <strong>{texts.thread.replyTo(sender)}</strong>
        <span>{messagePreview(message)}</span>
      </span>
      <IconButton label={texts.composer.cancelReply} icon={X} onClick={onCancel} />
    </div>
  );
}
