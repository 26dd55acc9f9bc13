/**
 * Finds a canned reply while a message is typed: a slash at the beginning opens the list. The focus stays in
 * the field; the arrow keys move in the list, Enter inserts the active reply, Escape closes the list.
 *
 * @module
 */

import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import type { CannedReply } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { useCanManage } from "../workspace/workspace.tsx";
import { findReplies } from "./canned_reply.ts";
import { useReplies } from "./use_replies.ts";

/** State of the list for what was typed. */
export function useReplyPicker(
  { text, hasFocus, onPick }: {
    text: string;
    /** Whether the focus is in the field or the list. */
    hasFocus: boolean;
    onPick: (reply: CannedReply) => void;
  },
) {
  const id = useId();
  const isSlash = text.startsWith("/") && !text.includes("\n");
  // A stored draft that begins with a slash does not open the list.
  const [isDismissed, setIsDismissed] = useState(isSlash);
  const [marked, setMarked] = useState(0);
  const isAsked = isSlash && hasFocus && !isDismissed;
  const query = useReplies(isAsked);
  const found = isAsked && query.data ? findReplies(query.data, text.slice(1)) : [];
  // Text that matches no reply is an ordinary message.
  const isOpen = isAsked && !query.isPending && (found.length > 0 || !/\s/.test(text));
  const active = Math.min(marked, found.length - 1);

  const [lastText, setLastText] = useState(text);
  if (lastText !== text) {
    setLastText(text);
    setMarked(0);
    if (!isSlash) setIsDismissed(false);
  }

  function pick(reply: CannedReply) {
    // The reply itself may begin with a slash.
    setIsDismissed(true);
    onPick(reply);
  }

  /** @returns whether the key was for the list. */
  function onKeyDown(event: KeyboardEvent): boolean {
    if (!isAsked || event.nativeEvent.isComposing) return false;
    if (event.key === "Escape" && isOpen) {
      setIsDismissed(true);
    } else if (event.key === "Enter" && !event.shiftKey) {
      const reply = found[active];
      if (reply) pick(reply);
      // An unfinished shortcut must not go to a customer; after Escape it can be sent.
      else if (!query.isPending && !(isOpen && query.data?.length)) return false;
    } else if (event.key === "ArrowDown" && found.length > 0) {
      setMarked((active + 1) % found.length);
    } else if (event.key === "ArrowUp" && found.length > 0) {
      setMarked((active + found.length - 1) % found.length);
    } else {
      return false;
    }
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  return {
    id,
    isOpen,
    found,
    active,
    hasAny: (query.data?.length ?? 0) > 0,
    hasFailed: query.isError && !query.data,
    pick,
    onKeyDown,
    /** Attributes of the field. */
    fieldProps: {
      "aria-autocomplete": "list",
      "aria-haspopup": "listbox",
      "aria-controls": isOpen && found.length > 0 ? id : undefined,
      "aria-activedescendant": isOpen && found.length > 0 ? `${id}-${active}` : undefined,
    } as const,
  };
}

/** The list, above the field. */
export function ReplyPicker(
  { picker, onManage }: { picker: ReturnType<typeof useReplyPicker>; onManage: () => void },
) {
  const { id, isOpen, found, active, hasAny, hasFailed, pick } = picker;
  const canManage = useCanManage();
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: "nearest" });
  }, [active, found.length]);
  const hint = hasFailed
    ? texts.replies.loadFailed
    : hasAny
    ? texts.replies.nothingFound
    : canManage
    ? texts.replies.none
    : `${texts.replies.none} ${texts.replies.noneViewer}`;
  return (
    <>
      <span className="visually-hidden" role="status">
        {isOpen && (found.length > 0 ? texts.replies.found(found.length) : hint)}
      </span>
      {isOpen && (
        <div className="reply-picker">
          {found.length > 0
            ? (
              <ul id={id} ref={list} role="listbox" aria-label={texts.replies.title}>
                {found.map((reply, index) => (
                  <li
                    key={reply.id}
                    id={`${id}-${index}`}
                    role="option"
                    aria-selected={index === active}
                    className="reply-option"
                    // The focus stays in the field.
                    onPointerDown={(event) => event.preventDefault()}
                    onMouseDown={(event) => event.preventDefault()}
                    onClick={() => pick(reply)}
                  >
                    <span className="reply-title">
                      <strong>{reply.title}</strong> <code>/{reply.shortcut}</code>
                    </span>
                    <span className="reply-text">{reply.content}</span>
                  </li>
                ))}
              </ul>
            )
            : <p className="reply-hint" aria-hidden>{hint}</p>}
          {canManage && (
            <button type="button" className="reply-manage" onClick={onManage}>
              {texts.replies.manage}
            </button>
          )}
        </div>
      )}
    </>
  );
}
