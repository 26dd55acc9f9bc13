/**
 * A row for a conversation, in the list and among the results of a search.
 *
 * @module
 */

import { memo } from "react";
import type { Conversation } from "../api/rows.ts";
import { conversationPreview } from "../conversations/preview.ts";
import { conversationName, formatDateTime, formatShort } from "../format.ts";
import { TagLine } from "../tags/tag_chips.tsx";
import { type Tags, tagsOf } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { Avatar } from "../ui/avatar.tsx";

/** Name, preview, time, unread count and tags; links to the conversation. */
export const ConversationRow = memo(
  function ConversationRow({ conversation, tags, isSelected, href }: {
    conversation: Conversation;
    /** The tags of the workspace. */
    tags: Tags;
    isSelected: boolean;
    href: string;
  }) {
    const name = conversationName(conversation);
    const { unread_count: unread, platform, status } = conversation;
    const ownTags = tagsOf(tags, conversation.tag_ids);
    return (
      <a
        className="row conversation-row"
        data-result
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
            <span className="row-preview">{conversationPreview(conversation)}</span>
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
