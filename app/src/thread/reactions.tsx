/**
 * Replies and reactions: the buttons beside a bubble, and the reactions below it.
 *
 * @module
 */

import { CornerUpLeft, SmilePlus } from "lucide-react";
import { Suspense, useRef, useState } from "react";
import type { Message } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { IconButton } from "../ui/icon_button.tsx";
import type { MessageActions } from "./message_actions.ts";
import { lazy } from "../ui/lazy.ts";

// A thread draws many of these buttons, so the menu is created when it is opened.
const EmojiMenu = lazy(() => import("./emoji_menu.tsx"));

/** The buttons. */
export function ReplyAndReact({ message, actions }: {
  message: Message;
  actions: MessageActions;
}) {
  const reactButton = useRef<HTMLButtonElement>(null);
  const [isMenuOpen, setIsMenuOpen] = useState(false);
  return (
    <div className="message-actions">
      <IconButton
        label={texts.thread.reply}
        icon={CornerUpLeft}
        size={16}
        onClick={() => actions.reply(message)}
      />
      <IconButton
        ref={reactButton}
        label={texts.thread.react}
        icon={SmilePlus}
        size={16}
        aria-haspopup="menu"
        aria-expanded={isMenuOpen}
        onClick={() => setIsMenuOpen(true)}
      />
      {isMenuOpen && (
        <Suspense>
          <EmojiMenu
            anchor={reactButton}
            onChoose={(emoji) => actions.react(message, emoji)}
            onClose={() => setIsMenuOpen(false)}
          />
        </Suspense>
      )}
    </div>
  );
}

/** The reactions of a message, counted by emoji. One's own can be removed. */
export function Reactions({ message, canChange, actions }: {
  message: Message;
  canChange: boolean;
  actions: MessageActions;
}) {
  const counts = new Map<string, { count: number; isOurs: boolean }>();
  for (const { emoji, sender } of message.reactions ?? []) {
    const known = counts.get(emoji) ?? { count: 0, isOurs: false };
    counts.set(emoji, {
      count: known.count + 1,
      isOurs: known.isOurs || sender === "business",
    });
  }
  return (
    <div className="reactions" role="group" aria-label={texts.thread.reactions}>
      {[...counts].map(([emoji, { count, isOurs }]) =>
        isOurs && canChange
          ? (
            <button
              key={emoji}
              type="button"
              className="reaction reaction-ours"
              aria-label={texts.thread.removeReaction(emoji)}
              data-hint={texts.thread.removeReaction(emoji)}
              onClick={() => actions.react(message, "")}
            >
              {emoji} {count > 1 && count}
            </button>
          )
          : (
            <span key={emoji} className="reaction">
              {emoji} {count > 1 && count}
            </span>
          )
      )}
    </div>
  );
}
