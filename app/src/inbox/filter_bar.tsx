/**
 * Search and filters above the list.
 *
 * @module
 */

import { Search, X } from "lucide-react";
import { PLATFORMS } from "../api/types.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { IconButton } from "../ui/button.tsx";
import { SelectField } from "../ui/text_field.tsx";
import type { ConversationFilters } from "./filters.ts";

const STATUSES = ["open", "closed", "all"] as const;

/** Tells every change at once; the list waits with the search until the typing stops. */
export function FilterBar({ filters, tags, onChange }: {
  filters: ConversationFilters;
  /** Those of the workspace; without any there is nothing to filter by. */
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
              <span>{texts.list.status[status]}</span>
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
        <SelectField
          label={texts.list.platform}
          isLabelHidden
          className="field-compact"
          value={filters.platform}
          onChange={(event) =>
            change({
              platform: event.target.value as ConversationFilters["platform"],
            })}
        >
          <option value="all">{texts.list.allPlatforms}</option>
          {PLATFORMS.map((platform) => (
            <option key={platform} value={platform}>
              {texts.platforms[platform]}
            </option>
          ))}
        </SelectField>
        <SelectField
          label={texts.list.assignee}
          isLabelHidden
          className="field-compact"
          value={filters.assignee}
          onChange={(event) =>
            change({
              assignee: event.target.value as ConversationFilters["assignee"],
            })}
        >
          <option value="anybody">
            {texts.list.anybody}
          </option>
          <option value="mine">{texts.list.mine}</option>
          <option value="nobody">
            {texts.list.nobody}
          </option>
        </SelectField>
        {tags.size > 0 && (
          <SelectField
            label={texts.list.tag}
            isLabelHidden
            className="field-compact"
            value={filters.tagId ?? ""}
            onChange={(event) => change({ tagId: event.target.value || null })}
          >
            <option value="">{texts.list.anyTag}</option>
            {[...tags.values()].map((tag) => (
              <option key={tag.id} value={tag.id}>{tag.name}</option>
            ))}
          </SelectField>
        )}
      </div>
    </div>
  );
}
