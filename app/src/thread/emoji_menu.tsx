/**
 * The menu of reactions.
 *
 * @module
 */

import type { RefObject } from "react";
import { texts } from "../texts.ts";
import { MenuItem, OpenMenu } from "../ui/menu.tsx";

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

/** The menu, open for as long as it is rendered. The default export, so that it is loaded when it is opened. */
export default function EmojiMenu({ anchor, onChoose, onClose }: {
  anchor: RefObject<HTMLElement | null>;
  onChoose: (emoji: string) => void;
  onClose: () => void;
}) {
  return (
    <OpenMenu
      label={texts.thread.react}
      className="emoji-menu"
      anchor={anchor}
      onClose={onClose}
    >
      {EMOJI.map((emoji) => (
        <MenuItem
          key={emoji}
          className="emoji"
          aria-label={texts.thread.reactWith(emoji)}
          onClick={() => onChoose(emoji)}
        >
          {emoji}
        </MenuItem>
      ))}
    </OpenMenu>
  );
}
