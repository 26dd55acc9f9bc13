/**
 * Search and filters above the list.
 *
 * @module
 */

import { Search, X } from "lucide-react";
import { type RefObject, useCallback } from "react";
import {
  ALL_MESSAGES,
  type ConversationFilters,
  type MessageFilters,
} from "../conversations/filters.ts";
import { changeView, MAX_SEARCH } from "../conversations/inbox_view.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { IconButton } from "../ui/icon_button.tsx";
import { FilterSelects } from "./filter_selects.tsx";
import { SearchFilters } from "./search_filters.tsx";
import { useSearchDraft } from "./use_search_draft.ts";

const STATUSES = ["open", "closed", "all"] as const;

/** Writes every change into the address: of a filter at once, of the search when the typing stops. */
export function FilterBar({ filters, messageFilters, tags, field, onArrowDown }: {
  filters: ConversationFilters;
  messageFilters: MessageFilters;
  /** The tags of the workspace. */
  tags: Tags;
  /** Gets the search field. */
  field: RefObject<HTMLInputElement | null>;
  /** Called when the focus is to move into what is below. */
  onArrowDown: () => void;
}) {
  const isSearching = filters.search !== "";
  const change = (filters: Partial<ConversationFilters>) => changeView({ filters });
  const setSearch = useCallback((search: string) => {
    changeView(
      // Filters of messages matter to a search alone.
      { filters: { search }, ...(search === "" && { messageFilters: ALL_MESSAGES }) },
      // The browser goes back to before the search, and not letter by letter.
      { push: (search === "") === isSearching },
    );
  }, [isSearching]);
  const { draft, setDraft, clear } = useSearchDraft(filters.search, setSearch);
  return (
    <div className="filters" role="search">
      <div className="search">
        <Search size={16} aria-hidden />
        <input
          ref={field}
          className="input"
          type="search"
          aria-label={texts.list.search}
          placeholder={texts.list.search}
          value={draft}
          maxLength={MAX_SEARCH}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") clear();
            if (event.key === "ArrowDown") {
              event.preventDefault();
              onArrowDown();
            }
          }}
        />
        {draft !== "" && (
          <IconButton
            label={texts.list.clearSearch}
            icon={X}
            size={16}
            onClick={() => {
              clear();
              field.current?.focus();
            }}
          />
        )}
      </div>
      {isSearching
        ? <SearchFilters view={{ filters, messageFilters }} tags={tags} onChange={changeView} />
        : <ListFilters filters={filters} tags={tags} onChange={change} />}
    </div>
  );
}

/** Filters of the list. */
function ListFilters({ filters, tags, onChange }: {
  filters: ConversationFilters;
  tags: Tags;
  onChange: (changed: Partial<ConversationFilters>) => void;
}) {
  return (
    <>
      <div className="filter-row">
        <fieldset className="segmented">
          <legend className="visually-hidden">{texts.list.status.label}</legend>
          {STATUSES.map((status) => (
            <label key={status}>
              <input
                type="radio"
                name="status"
                checked={filters.status === status}
                onChange={() => onChange({ status })}
              />
              <span className="segment">{texts.list.status[status]}</span>
            </label>
          ))}
        </fieldset>
        <label className="chip">
          <input
            type="checkbox"
            checked={filters.isUnread}
            onChange={(event) => onChange({ isUnread: event.target.checked })}
          />
          <span>{texts.list.unread}</span>
        </label>
      </div>
      <div className="filter-row">
        <FilterSelects filters={filters} tags={tags} onChange={onChange} />
      </div>
    </>
  );
}
