/**
 * Automatic replies, by name.
 *
 * @module
 */

import { Plus, Trash2 } from "lucide-react";
import { texts } from "../texts.ts";
import { Button } from "../ui/button.tsx";
import { IconButton } from "../ui/icon_button.tsx";
import type { FormPartProps } from "./draft.ts";

/** The replies, and a button that adds one. */
export function AutomaticReplies({ draft, onChange }: FormPartProps) {
  const replies = draft.auto_reply_templates;
  const change = (index: number, changed: Partial<typeof replies[number]>) =>
    onChange({
      auto_reply_templates: replies.map((reply, each) =>
        each === index ? { ...reply, ...changed } : reply
      ),
    });
  return (
    <fieldset className="field">
      <legend className="field-legend">{texts.workflows.replies}</legend>
      <p className="field-hint">{texts.workflows.repliesHint}</p>
      {replies.map((reply, index) => (
        // Rows have no other key that stays the same while they are edited.
        <div className="reply-row" key={index}>
          <input
            className="input"
            aria-label={texts.workflows.replyName(index + 1)}
            placeholder={texts.workflows.replyNamePlaceholder}
            value={reply.name}
            onChange={({ target }) => change(index, { name: target.value })}
          />
          <textarea
            className="input"
            rows={2}
            aria-label={texts.workflows.replyText(index + 1)}
            value={reply.text}
            onChange={({ target }) => change(index, { text: target.value })}
          />
          <IconButton
            label={texts.workflows.removeReply(index + 1)}
            icon={Trash2}
            size={16}
            onClick={() =>
              onChange({ auto_reply_templates: replies.filter((_, each) => each !== index) })}
          />
        </div>
      ))}
      <div>
        <Button
          icon={Plus}
          onClick={() => onChange({ auto_reply_templates: [...replies, { name: "", text: "" }] })}
        >
          {texts.workflows.addReply}
        </Button>
      </div>
    </fieldset>
  );
}
