/**
 * Leads from one match to the next, in a conversation that was opened at a message that a search found.
 *
 * @module
 */

import { useInfiniteQuery } from "@tanstack/react-query";
import { ChevronDown, ChevronUp, X } from "lucide-react";
import { useEffect } from "react";
import { useApi } from "../api/context.tsx";
import { useInboxHref, useInboxView } from "../conversations/inbox_view.ts";
import { useUser } from "../session/session.tsx";
import { texts } from "../texts.ts";
import { navigate } from "../ui/hash_location.ts";
import { IconButton } from "../ui/icon_button.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { messageSearchQuery } from "./queries.ts";

const PAGE_SIZE = 100;
/** Pages that are loaded to find the place of the message among the matches. */
const MAX_PAGES = 10;
/** The conversation is given, so the filters of conversations do not matter. */
const ANY_CONVERSATION = { platform: "all", assignee: "all", tagId: null } as const;

/** The search, the place of the message among its matches, and buttons. Nothing where no match is shown. */
export function MatchBar({ conversationId }: { conversationId: string }) {
  const { filters, message } = useInboxView();
  if (filters.search === "" || message === null) return null;
  return <Matches key={filters.search} conversationId={conversationId} message={message} />;
}

function Matches({ conversationId, message }: { conversationId: string; message: string }) {
  const api = useApi();
  const workspace = useWorkspace();
  const userId = useUser().id;
  const { filters, messageFilters } = useInboxView();
  const hrefOf = useInboxHref();
  const query = useInfiniteQuery({
    ...messageSearchQuery(api, {
      workspaceId: workspace.id,
      userId,
      text: filters.search,
      filters: ANY_CONVERSATION,
      messageFilters,
      conversationId,
      pageSize: PAGE_SIZE,
    }),
    enabled: workspace.has_message_search,
  });
  // Newest first.
  const hits = query.data?.pages.flat() ?? [];
  const place = hits.findIndex((hit) => hit.message_cursor === message);
  const needsMore = (place < 0 || place >= hits.length - 2) &&
    (query.data?.pages.length ?? 0) < MAX_PAGES;
  const { hasNextPage, isFetching, isError, fetchNextPage } = query;
  useEffect(() => {
    if (needsMore && hasNextPage && !isFetching && !isError) fetchNextPage();
  }, [needsMore, hasNextPage, isFetching, isError, fetchNextPage]);

  const older = hits[place + 1];
  const newer = place > 0 ? hits[place - 1] : undefined;
  const go = (to: string | null) => navigate(hrefOf(conversationId, to), { replace: true });
  const count = `${hits.length}${hasNextPage ? "+" : ""}`;
  return (
    <div className="match-bar" role="group" aria-label={texts.search.inConversation}>
      <p className="match-text">
        <mark>{filters.search.trim()}</mark>
      </p>
      <p className="match-place" role="status">
        {isError
          ? texts.search.messagesFailed
          : query.isPending
          ? texts.search.searching
          : place < 0
          ? texts.search.matches(count)
          : texts.search.place(place + 1, count)}
      </p>
      <IconButton
        label={texts.search.older}
        icon={ChevronUp}
        aria-disabled={!older}
        onClick={() => older && go(older.message_cursor)}
      />
      <IconButton
        label={texts.search.newer}
        icon={ChevronDown}
        aria-disabled={!newer}
        onClick={() => newer && go(newer.message_cursor)}
      />
      <IconButton label={texts.search.closeMatches} icon={X} onClick={() => go(null)} />
    </div>
  );
}
