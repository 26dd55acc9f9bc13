/**
 * What a search found, in place of the list: contacts, conversations and messages.
 *
 * @module
 */

import { SearchX } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { flatten, MAX_PAGES } from "../api/keyset_pages.ts";
import type { ConversationFilters, MessageFilters } from "../conversations/filters.ts";
import { useInboxHref } from "../conversations/inbox_view.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { useWorkspace } from "../workspace/workspace.tsx";
import { ContactRow } from "./contact_row.tsx";
import { ConversationRow } from "./conversation_row.tsx";
import { hasSearchFilters } from "./filter_chips.ts";
import { MessageHitRow } from "./message_hit_row.tsx";
import { moveFocus } from "./move_focus.ts";
import { MAX_CONTACTS } from "./queries.ts";
import { ResultGroup, SearchFailed, Searching, ShowMore } from "./result_group.tsx";
import { useSearch } from "./use_search.ts";

/** Results that a group shows at first, so that the next group is in sight. */
const FEW_CONTACTS = 3;
const FEW_CONVERSATIONS = 5;

type Search = ReturnType<typeof useSearch>;

interface SearchResultsProps {
  filters: ConversationFilters;
  messageFilters: MessageFilters;
  tags: Tags;
  /** The conversation that is open, and the message that is shown in it. */
  selectedId: string | undefined;
  selectedMessage: string | null;
  onClearFilters: () => void;
  /** Called when the focus is to go back to the field. */
  onLeave: () => void;
  /** Called when the search is to end. */
  onEnd: () => void;
}

/** The results. The arrow keys move through them, Escape ends the search. */
export function SearchResults(props: SearchResultsProps) {
  const { filters, messageFilters } = props;
  const search = useSearch(filters, messageFilters);
  const scroller = useRef<HTMLDivElement>(null);
  // A new search starts at the top.
  const key = JSON.stringify([filters, messageFilters]);
  useEffect(() => {
    scroller.current?.scrollTo({ top: 0 });
  }, [key]);
  return (
    <div
      className="list-scroll"
      ref={scroller}
      role="group"
      aria-label={texts.search.label}
      onKeyDown={(event) => {
        if (event.key === "Escape") props.onEnd();
        else moveFocus(event, event.currentTarget, props.onLeave);
      }}
    >
      <Groups key={key} {...props} search={search} />
    </div>
  );
}

function Groups({ search, ...props }: SearchResultsProps & { search: Search }) {
  const { filters, messageFilters, onClearFilters } = props;
  const { contacts, conversations, messages } = search;
  const hasMessages = useWorkspace().has_message_search;
  // In their order, so that nothing moves away under the pointer.
  if (contacts.isPending || conversations.isPending) return <Searching />;
  const counts = {
    contacts: countOf(contacts.data?.length, contacts.data?.length === MAX_CONTACTS),
    conversations: countOf(
      conversations.data && flatten(conversations.data).length,
      conversations.hasNextPage,
    ),
    messages: countOf(messages.data?.pages.flat().length, messages.hasNextPage),
  };
  const isNothing = counts.contacts === "0" && counts.conversations === "0" &&
    (counts.messages === "0" || !hasMessages);
  if (isNothing && hasMessages) {
    const isFiltered = hasSearchFilters(filters, messageFilters);
    return (
      <div role="status">
        <EmptyState
          icon={SearchX}
          title={texts.search.nothingTitle}
          hint={isFiltered ? texts.search.nothingFilteredHint : texts.search.nothingHint}
          {...(isFiltered && {
            action: { label: texts.search.clearFilters, onClick: onClearFilters },
          })}
        />
      </div>
    );
  }
  return (
    <>
      <ContactGroup query={contacts} count={counts.contacts} />
      <ConversationGroup {...props} query={conversations} count={counts.conversations} />
      {hasMessages
        ? <MessageGroup {...props} query={messages} count={counts.messages} />
        : (
          <ResultGroup title={texts.search.messages} count={undefined}>
            <p className="result-note">{texts.search.messagesOff}</p>
          </ResultGroup>
        )}
      <p className="visually-hidden" role="status">
        {!messages.isFetching &&
          texts.search.found(
            counts.contacts ?? "–",
            counts.conversations ?? "–",
            counts.messages ?? "–",
          )}
      </p>
    </>
  );
}

function ContactGroup({ query, count }: { query: Search["contacts"]; count: string | undefined }) {
  const hrefOf = useInboxHref();
  const hits = query.data ?? [];
  const [isWhole, setIsWhole] = useState(false);
  return (
    <ResultGroup title={texts.search.contacts} count={count} isStale={query.isPlaceholderData}>
      <Rows>
        {hits.slice(0, isWhole ? undefined : FEW_CONTACTS).map((hit) => (
          <li key={hit.person.id}>
            <ContactRow hit={hit} hrefOf={hrefOf} />
          </li>
        ))}
      </Rows>
      {query.isError && (
        <SearchFailed
          title={texts.search.contactsFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {!isWhole && hits.length > FEW_CONTACTS && (
        <ShowMore
          group={texts.search.contacts}
          onClick={() => setIsWhole(true)}
        />
      )}
    </ResultGroup>
  );
}

function ConversationGroup({ query, count, tags, selectedId, selectedMessage }:
  & Pick<SearchResultsProps, "tags" | "selectedId" | "selectedMessage">
  & { query: Search["conversations"]; count: string | undefined }) {
  const hrefOf = useInboxHref();
  const rows = flatten(query.data);
  const [isWhole, setIsWhole] = useState(false);
  const isFull = (query.data?.pages.length ?? 0) >= MAX_PAGES;
  const hasHidden = !isWhole && rows.length > FEW_CONVERSATIONS;
  return (
    <ResultGroup
      title={texts.search.conversations}
      count={count}
      isStale={query.isPlaceholderData}
    >
      <Rows>
        {rows.slice(0, isWhole ? undefined : FEW_CONVERSATIONS).map((row) => (
          <li key={row.id}>
            <ConversationRow
              conversation={row}
              tags={tags}
              isSelected={row.id === selectedId && selectedMessage === null}
              href={hrefOf(row.id)}
            />
          </li>
        ))}
      </Rows>
      {query.isError && rows.length === 0 && (
        <SearchFailed
          title={texts.search.conversationsFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {(hasHidden || (query.hasNextPage && !isFull)) && (
        <ShowMore
          group={texts.search.conversations}
          isBusy={query.isFetchingNextPage}
          hasFailed={!hasHidden && query.isFetchNextPageError}
          onClick={() => {
            if (hasHidden) setIsWhole(true);
            else query.fetchNextPage();
          }}
        />
      )}
      {!hasHidden && query.hasNextPage && isFull && (
        <p className="result-note">{texts.search.manyConversations(rows.length)}</p>
      )}
    </ResultGroup>
  );
}

function MessageGroup({ query, count, ...props }:
  & Omit<SearchResultsProps, "tags" | "onLeave" | "onEnd">
  & { query: Search["messages"]; count: string | undefined }) {
  const { filters, messageFilters, selectedId, selectedMessage, onClearFilters } = props;
  const hrefOf = useInboxHref();
  const hits = query.data?.pages.flat() ?? [];
  return (
    <ResultGroup title={texts.search.messages} count={count} isStale={query.isPlaceholderData}>
      {query.isPending && <Searching />}
      <Rows>
        {hits.map((hit) => (
          <li key={hit.cursor}>
            <MessageHitRow
              hit={hit}
              isSelected={hit.conversation_id === selectedId &&
                hit.message_cursor === selectedMessage}
              href={hrefOf(hit.conversation_id, hit.message_cursor)}
            />
          </li>
        ))}
      </Rows>
      {count === "0" && hasSearchFilters(filters, messageFilters) && (
        <p className="result-note">
          {texts.search.noMessagesFiltered}
          <button type="button" className="link-button" data-result onClick={onClearFilters}>
            {texts.search.clearFilters}
          </button>
        </p>
      )}
      {query.isError && hits.length === 0 && (
        <SearchFailed
          title={texts.search.messagesFailed}
          error={query.error}
          onRetry={() => query.refetch()}
        />
      )}
      {query.hasNextPage && (
        <ShowMore
          group={texts.search.messages}
          isBusy={query.isFetchingNextPage}
          hasFailed={query.isFetchNextPageError}
          onClick={() => query.fetchNextPage()}
        />
      )}
    </ResultGroup>
  );
}

function Rows({ children }: { children: ReactNode[] }) {
  return children.length > 0 && <ul className="result-rows">{children}</ul>;
}

function countOf(count: number | undefined, hasMore: boolean): string | undefined {
  return count === undefined ? undefined : `${count}${hasMore ? "+" : ""}`;
}
