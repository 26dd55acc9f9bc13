/**
 * The list of conversations, with search and filters. Only visible rows are drawn. A search shows its results instead.
 *
 * @module
 */

import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Inbox, SearchX } from "lucide-react";
import { type KeyboardEvent, useEffect, useMemo, useRef } from "react";
import { useApi } from "../api/context.tsx";
import { flatten } from "../api/keyset_pages.ts";
import {
  ALL_MESSAGES,
  type ConversationFilters,
  DEFAULT_FILTERS,
  isUnfiltered,
} from "../conversations/filters.ts";
import { changeView, useInboxHref, useInboxView } from "../conversations/inbox_view.ts";
import { hasConversationsQuery } from "../conversations/queries.ts";
import { useConversationList } from "../conversations/use_conversation_list.ts";
import { PAGES } from "../pages.ts";
import { ConversationRow } from "../search/conversation_row.tsx";
import { NO_SEARCH_FILTERS } from "../search/filter_chips.ts";
import { focusFirst } from "../search/move_focus.ts";
import { SearchResults } from "../search/search_results.tsx";
import { type Tags, useTags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { EmptyState } from "../ui/empty_state.tsx";
import { notePageDrawn } from "../ui/lazy.ts";
import { LoadFailed } from "../ui/load_failed.tsx";
import { PageSpinner } from "../ui/spinner.tsx";
import { useCanManage, useWorkspace } from "../workspace/workspace.tsx";
import { FilterBar } from "./filter_bar.tsx";

const ROW_HEIGHT = 76;

/** The list of the current workspace, or what its search found. */
export function ConversationList(
  { selectedId }: { selectedId: string | undefined },
) {
  const workspace = useWorkspace();
  const { filters: given, messageFilters, message } = useInboxView();
  const { query, tags } = useTags({ polls: true });
  // A deleted tag no longer narrows the list.
  const isTagGone = given.tagId !== null && query.isSuccess && !tags.has(given.tagId);
  const filters = isTagGone ? { ...given, tagId: null } : given;
  const below = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const focusField = () => field.current?.focus();
  return (
    <section className="list-pane" aria-label={texts.list.label}>
      <FilterBar
        filters={filters}
        messageFilters={messageFilters}
        tags={tags}
        field={field}
        onArrowDown={() => focusFirst(below.current)}
      />
      <div className="list-below" ref={below}>
        {filters.search === ""
          ? (
            <Rows
              key={workspace.id}
              filters={filters}
              tags={tags}
              selectedId={selectedId}
              onClear={(changed) => changeView({ filters: { ...DEFAULT_FILTERS, ...changed } })}
            />
          )
          : (
            <SearchResults
              filters={filters}
              messageFilters={messageFilters}
              tags={tags}
              selectedId={selectedId}
              selectedMessage={message}
              onClearFilters={() => changeView(NO_SEARCH_FILTERS)}
              onLeave={focusField}
              onEnd={() => {
                changeView(
                  { filters: { search: "" }, messageFilters: ALL_MESSAGES },
                  { push: true },
                );
                focusField();
              }}
            />
          )}
      </div>
    </section>
  );
}

function Rows({ filters, tags, selectedId, onClear }: {
  filters: ConversationFilters;
  tags: Tags;
  selectedId: string | undefined;
  onClear: (filters?: Partial<ConversationFilters>) => void;
}) {
  const hrefOf = useInboxHref();
  const { query, isBehind } = useConversationList(filters);
  const hasMoreFailed = query.isFetchNextPageError || query.isFetchPreviousPageError;
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => flatten(query.data), [query.data]);
  // Dropped rows keep their space, so that nothing jumps.
  const offset = query.data?.pages[0]?.param.offset ?? 0;
  const count = offset + rows.length + (query.hasNextPage ? 1 : 0);
  const virtualizer = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 8,
    getItemKey: (index) => rows[index - offset]?.id ?? `place-${index}`,
  });
  const items = virtualizer.getVirtualItems();
  const firstShown = items[0]?.index ?? 0;
  const lastShown = items.at(-1)?.index ?? 0;

  useEffect(() => {
    if (query.isFetching || hasMoreFailed) return;
    if (query.hasNextPage && lastShown >= offset + rows.length - 10) {
      query.fetchNextPage();
    } else if (query.hasPreviousPage && firstShown < offset + 10) {
      query.fetchPreviousPage();
    }
  }, [query, hasMoreFailed, firstShown, lastShown, offset, rows.length]);

  useEffect(() => {
    if (!query.isPending) notePageDrawn();
  }, [query.isPending]);

  // A new search starts at the top.
  const key = JSON.stringify(filters);
  useEffect(() => {
    scroller.current?.scrollTo({ top: 0 });
  }, [key]);

  function moveFocus(event: KeyboardEvent) {
    const from = Number(
      (event.target as HTMLElement).closest<HTMLElement>("[data-index]")
        ?.dataset.index ?? -1,
    );
    const to = {
      ArrowDown: from + 1,
      ArrowUp: from - 1,
      Home: offset,
      End: offset + rows.length - 1,
    }[event.key];
    if (to === undefined || from < 0) return;
    event.preventDefault();
    if (to < offset || to >= offset + rows.length) return;
    virtualizer.scrollToIndex(to, { align: "auto" });
    const focus = (attempts: number) => {
      const link = scroller.current?.querySelector<HTMLElement>(
        `[data-index="${to}"] a`,
      );
      if (link) link.focus();
      else if (attempts > 0) requestAnimationFrame(() => focus(attempts - 1));
    };
    focus(10);
  }

  if (query.isError && rows.length === 0) {
    return (
      <LoadFailed
        title={texts.list.loadFailed}
        error={query.error}
        onRetry={() => query.refetch()}
      />
    );
  }
  if (query.isSuccess && count === 0) return <NothingHere filters={filters} onClear={onClear} />;
  return (
    <div
      className="list-scroll"
      ref={scroller}
      onKeyDown={moveFocus}
      aria-busy={query.isPending}
    >
      {query.isPending ? <Skeletons /> : (
        <ul
          className="list-rows"
          style={{ height: virtualizer.getTotalSize() }}
        >
          {items.map(({ index, start, key }) => {
            const row = rows[index - offset];
            return (
              <li
                key={key}
                data-index={index}
                className="list-item"
                style={{
                  height: ROW_HEIGHT,
                  transform: `translateY(${start}px)`,
                }}
              >
                {row
                  ? (
                    <ConversationRow
                      conversation={row}
                      tags={tags}
                      isSelected={row.id === selectedId}
                      href={hrefOf(row.id)}
                    />
                  )
                  : hasMoreFailed && (index === offset - 1 || index === offset + rows.length)
                  ? (
                    <MoreFailed
                      onRetry={() =>
                        index < offset ? query.fetchPreviousPage() : query.fetchNextPage()}
                    />
                  )
                  : <SkeletonRow />}
              </li>
            );
          })}
        </ul>
      )}
      <p className="list-behind" role="status">{isBehind && texts.list.isBehind}</p>
    </div>
  );
}

/** Stands where more rows could not be loaded. */
function MoreFailed({ onRetry }: { onRetry: () => void }) {
  return (
    <p className="row row-failed" role="alert">
      {texts.list.moreFailed}
      <button type="button" className="link-button" onClick={onRetry}>
        {texts.errors.tryAgain}
      </button>
    </p>
  );
}

/** An empty list: nothing matches, nothing is open, or there are no conversations yet. */
function NothingHere({ filters, onClear }: {
  filters: ConversationFilters;
  onClear: (filters?: Partial<ConversationFilters>) => void;
}) {
  const api = useApi();
  const workspace = useWorkspace();
  const canManage = useCanManage();
  const any = useQuery({
    ...hasConversationsQuery(api, workspace.id),
    enabled: isUnfiltered(filters),
  });
  if (!isUnfiltered(filters)) {
    return (
      <EmptyState
        icon={SearchX}
        title={texts.list.nothingFoundTitle}
        hint={texts.list.nothingFoundHint}
        action={{ label: texts.list.clearFilters, onClick: () => onClear() }}
      />
    );
  }
  if (any.isPending) return <PageSpinner />;
  if (any.data) {
    return (
      <EmptyState
        icon={Inbox}
        title={filters.status === "open" ? texts.list.allClosedTitle : texts.list.noneClosedTitle}
        hint={filters.status === "open" ? texts.list.allClosedHint : texts.list.noneClosedHint}
        action={{ label: texts.list.showAll, onClick: () => onClear({ status: "all" }) }}
      />
    );
  }
  return (
    <EmptyState
      icon={Inbox}
      title={texts.list.emptyTitle}
      hint={canManage ? texts.list.emptyHint : texts.list.emptyViewerHint}
      {...(canManage && {
        action: { label: texts.list.emptyAction, href: `#/${workspace.slug}${PAGES.connections}` },
      })}
    />
  );
}

function Skeletons() {
  return (
    <div role="status">
      <span className="visually-hidden">{texts.app.loading}</span>
      {Array.from({ length: 8 }, (_, index) => <SkeletonRow key={index} />)}
    </div>
  );
}

function SkeletonRow() {
  return (
    <div className="row row-skeleton" aria-hidden>
      <span className="avatar avatar-round avatar-medium skeleton" />
      <span className="row-body">
        <span className="skeleton skeleton-line" />
        <span className="skeleton skeleton-line skeleton-short" />
      </span>
    </div>
  );
}
