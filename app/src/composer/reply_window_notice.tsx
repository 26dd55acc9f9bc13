/**
 * Says how long the reply window stays open, or that only templates can be sent.
 *
 * @module
 */

import { Clock } from "lucide-react";
import { formatDuration } from "../format.ts";
import { texts } from "../texts.ts";
import type { ReplyWindow } from "./reply_window.ts";

/** A line above the field; nothing while it is not known. */
export function ReplyWindowNotice({ replyWindow }: { replyWindow: ReplyWindow }) {
  if (replyWindow.state === "none") return null;
  if (replyWindow.state !== "open") {
    return (
      <p className="composer-window" data-tone="warning">
        <Clock size={14} aria-hidden />
        {replyWindow.state === "never" ? texts.composer.windowNever : texts.composer.windowClosed}
      </p>
    );
  }
  // In whole minutes: seconds would make the line flicker.
  const left = formatDuration(Math.max(60, Math.floor(replyWindow.leftMs / 60_000) * 60));
  return (
    <p className="composer-window" data-tone={replyWindow.isClosingSoon ? "warning" : undefined}>
      <Clock size={14} aria-hidden />
      {replyWindow.isClosingSoon
        ? texts.composer.windowClosingSoon(left)
        : texts.composer.windowOpen(left)}
    </p>
  );
}
