/**
 * Search and filters above the list.
 *
 * @module
 */

import { Search, X } from "lucide-react";
import type { ConversationFilters } from "../conversations/filters.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { IconButton } from "../ui/icon_button.tsx";
import { FilterSelects } from "./filter_selects.tsx";

const STATUSES = ["open", "closed", "all"] as const;

/** Reports every change at once; the list waits with the search until the typing stops. */
export function FilterBar({ filters, tags, onChange }: {
  filters: ConversationFilters;
  /** The tags of the workspace. */
  tags: Tags;
  onChange: (filters: ConversationFilters) => void;
}) {
  const change = (changed: Partial<ConversationFilters>) => onChange({ ...filters, ...changed });
  return (
    <div className="filters" role="search">
      <div className="search">
        <Search size={16} aria-hidden />
        <input
          className="input"
          type="search"
          aria-label={texts.list.search}
          placeholder={texts.list.search}
          value={filters.search}
          maxLength={200}
          onChange={(event) => change({ search: event.target.value })}
          onKeyDown={(event) => {
            if (event.key === "Escape") change({ search: "" });
          }}
        />
        {filters.search !== "" && (
          <IconButton
            label={texts.list.clearSearch}
            icon={X}
            size={16}
            onClick={() => change({ search: "" })}
          />
        )}
      </div>
      <div className="filter-row">
        <fieldset className="segmented">
          <legend className="visually-hidden">{texts.list.status.label}</legend>
          {STATUSES.map((status) => (
            <label key={status}>
              <input
                type="radio"
                name="status"
                checked={filters.status === status}
                onChange={() => change({ status })}
              />
              <span className="segment">{texts.list.status[status]}</span>
            </label>
          ))}
        </fieldset>
        <label className="chip">
          <input
            type="checkbox"
            checked={filters.isUnread}
            onChange={(event) => change({ isUnread: event.target.checked })}
          />
          <span>{texts.list.unread}</span>
        </label>
      </div>
      <div className="filter-row">
        <FilterSelects filters={filters} tags={tags} onChange={change} />
      </div>
    </div>
  );
}
