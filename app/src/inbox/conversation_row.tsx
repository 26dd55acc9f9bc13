/**
 * A row of the list.
 *
 * @module
 */

import { memo } from "react";
import type { Conversation } from "../api/types.ts";
import { conversationName, formatDateTime, formatShort } from "../format.ts";
import { TagLine } from "../tags/tag_chips.tsx";
import { type Tags, tagsOf } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";

/** Name, preview, time, unread count, tags; a link to the thread. */
export const ConversationRow = memo(
  function ConversationRow({ conversation, tags, isSelected, href }: {
    conversation: Conversation;
    /** Those of the workspace. */
    tags: Tags;
    isSelected: boolean;
    href: string;
  }) {
    const name = conversationName(conversation);
    const { unread_count: unread, platform, status } = conversation;
    const ownTags = tagsOf(tags, conversation.tag_ids);
    return (
      <a
        className="row"
        href={href}
        aria-current={isSelected ? "true" : undefined}
        data-unread={unread > 0 || undefined}
      >
        <Avatar name={name} platform={platform} />
        <span className="row-body">
          <span className="row-top">
            <span className="row-name">{name}</span>
            <span className="visually-hidden">
              , {texts.platforms[platform]},
            </span>
            <time
              className="row-time"
              dateTime={conversation.activity_at}
              title={formatDateTime(conversation.activity_at)}
            >
              {formatShort(conversation.activity_at)}
            </time>
          </span>
          <span className="row-bottom">
            <span className="row-preview">{preview(conversation)}</span>
            {status === "closed" && <span className="tag">{texts.list.closed}</span>}
            {unread > 0 && (
              <span className="unread">
                <span aria-hidden>{unread > 99 ? "99+" : unread}</span>
                <span className="visually-hidden">
                  {texts.list.unreadCount(unread)}
                </span>
              </span>
            )}
          </span>
          {ownTags.length > 0 && <TagLine tags={ownTags} />}
        </span>
      </a>
    );
  },
);

function preview(conversation: Conversation): string {
  const { last_message_preview: text, last_message_type: type } = conversation;
  if (text === null) return texts.list.noPreview;
  const isBare = type !== null && text === `[${type}]`;
  const shown = isBare && type in texts.list.types
    ? texts.list.types[type as keyof typeof texts.list.types]
    : text;
  return conversation.last_message_direction === "outbound"
    ? texts.list.outboundPrefix + shown
    : shown;
}
