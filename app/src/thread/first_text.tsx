/**
 * What an edited message said at first.
 *
 * @module
 */

import { useId, useState } from "react";
import type { Message } from "../api/rows.ts";
import { formatDateTime } from "../format.ts";
import { texts } from "../texts.ts";

/** Says that a message was edited, and shows its first text on demand. Nothing for other messages. */
export function FirstText({ message }: { message: Message }) {
  const [isOpen, setIsOpen] = useState(false);
  const id = useId();
  if (message.edited_at === null || message.deleted_at !== null) return null;
  const time = formatDateTime(message.edited_at);
  if (message.original_content === null) {
    return <span className="bubble-label" title={time}>{texts.thread.edited}</span>;
  }
  return (
    <>
      <button
        type="button"
        className="link-button bubble-label"
        title={time}
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={() => setIsOpen(!isOpen)}
      >
        {texts.thread.edited}
      </button>
      <blockquote id={id} className="first-text" hidden={!isOpen}>
        <span className="bubble-label">{texts.thread.firstText}</span>
        <p className="bubble-text">{message.original_content || texts.content.empty}</p>
      </blockquote>
    </>
  );
}
