/**
 * Replies and reactions: the buttons beside a bubble, and the reactions below it.
 *
 * @module
 */

import { CornerUpLeft, SmilePlus } from "lucide-react";
import type { Message } from "../api/rows.ts";
import { texts } from "../texts.ts";
import { Hint } from "../ui/hint.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import { Menu, MenuItem } from "../ui/menu.tsx";
import type { MessageActions } from "./message_actions.ts";

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

/** The buttons. */
export function ReplyAndReact({ message, actions }: {
  message: Message;
  actions: MessageActions;
}) {
  return (
    <div className="message-actions">
      <IconButton
        label={texts.thread.reply}
        icon={CornerUpLeft}
        size={16}
        onClick={() => actions.reply(message)}
      />
      <Menu
        label={texts.thread.react}
        className="icon-button"
        popupClassName="emoji-menu"
        side="top"
        align="center"
        orientation="horizontal"
        trigger={<SmilePlus size={16} aria-hidden />}
      >
        {EMOJI.map((emoji) => (
          <MenuItem
            key={emoji}
            className="emoji"
            aria-label={texts.thread.reactWith(emoji)}
            onClick={() => actions.react(message, emoji)}
          >
            {emoji}
          </MenuItem>
        ))}
      </Menu>
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
            <Hint key={emoji} text={texts.thread.removeReaction(emoji)}>
              <button
                type="button"
                className="reaction reaction-ours"
                aria-label={texts.thread.removeReaction(emoji)}
                onClick={() => actions.react(message, "")}
              >
                {emoji} {count > 1 && count}
              </button>
            </Hint>
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
