/**
 * All conversations of a person, on every platform.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { useApi } from "../api/context.tsx";
import { useIsLive } from "../api/live.ts";
import { LIST_POLL_MS, REALTIME_POLL_MS } from "../api/query_client.ts";
import { useInboxHref } from "../conversations/inbox_view.ts";
import { conversationPreview } from "../conversations/preview.ts";
import { formatShort } from "../format.ts";
import { texts } from "../texts.ts";
import { PlatformIcon } from "../ui/platform_icon.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { personConversationsQuery } from "./queries.ts";

/** Links to them, newest first. */
export function PersonConversations({ personId, currentId }: {
  personId: string;
  currentId: string;
}) {
  const api = useApi();
  const workspace = useWorkspace();
  const isLive = useIsLive();
  const hrefOf = useInboxHref();
  const query = useQuery({
    ...personConversationsQuery(api, workspace.id, personId),
    refetchInterval: isLive ? REALTIME_POLL_MS : LIST_POLL_MS,
  });
  if (!query.data?.length) return null;
  return (
    <section className="contact-section">
      <h3>{texts.contact.conversations}</h3>
      <ul className="person-conversations">
        {query.data.map((conversation) => (
          <li key={conversation.id}>
            <a
              href={hrefOf(conversation.id)}
              aria-current={conversation.id === currentId || undefined}
            >
              <PlatformIcon platform={conversation.platform} />
              <span className="person-conversation-text">
                <span>
                  {texts.platforms[conversation.platform]}
                  {conversation.id === currentId &&
                    ` (${texts.contact.current})`}
                </span>
                <small>{conversationPreview(conversation)}</small>
              </span>
              <small>{formatShort(conversation.activity_at)}</small>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
