/**
 * Filters of a search: those that are active, to be removed, and all of them on demand.
 *
 * @module
 */

import { SlidersHorizontal, X } from "lucide-react";
import { useEffect, useId, useRef, useState } from "react";
import type { InboxView } from "../conversations/inbox_view.ts";
import type { MessageFilters } from "../conversations/filters.ts";
import { describeFilters, type FilterChange } from "../search/filter_chips.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { SelectField, type SelectOption } from "../ui/select_field.tsx";
import { FilterSelects } from "./filter_selects.tsx";

const DIRECTIONS: SelectOption<MessageFilters["direction"]>[] = [
  { value: "all", label: texts.search.anyDirection },
  { value: "inbound", label: texts.search.fromCustomer },
  { value: "outbound", label: texts.search.fromUs },
];

/** A button that opens the filters, and a chip for each that is active. */
export function SearchFilters({ view: { filters, messageFilters }, tags, onChange }: {
  view: Pick<InboxView, "filters" | "messageFilters">;
  tags: Tags;
  onChange: (change: FilterChange) => void;
}) {
  const [isOpen, setIsOpen] = useState(false);
  const id = useId();
  const chips = describeFilters(filters, messageFilters, tags);
  return (
    <>
      <div className="filter-chips">
        <button
          type="button"
          className="filter-toggle"
          aria-expanded={isOpen}
          aria-controls={id}
          aria-label={chips.length > 0 ? texts.search.filtersActive(chips.length) : undefined}
          onClick={() => setIsOpen(!isOpen)}
        >
          <SlidersHorizontal size={14} aria-hidden /> {texts.search.filters}
        </button>
        {chips.map(({ name, removal }) => (
          <button
            key={name}
            type="button"
            className="filter-chip"
            aria-label={texts.search.removeFilter(name)}
            onClick={() => onChange(removal)}
          >
            <span>{name}</span> <X size={13} aria-hidden />
          </button>
        ))}
      </div>
      <div id={id} className="filter-panel" hidden={!isOpen}>
        {isOpen && (
          <>
            <div className="filter-row">
              <FilterSelects
                filters={filters}
                tags={tags}
                onChange={(changed) => onChange({ filters: changed })}
              />
            </div>
            <MessageFilterFields
              filters={messageFilters}
              onChange={(changed) => onChange({ messageFilters: changed })}
            />
          </>
        )}
      </div>
    </>
  );
}

function MessageFilterFields({ filters, onChange }: {
  filters: MessageFilters;
  onChange: (changed: Partial<MessageFilters>) => void;
}) {
  return (
    <fieldset className="filter-messages">
      <legend className="filter-caption">{texts.search.messagesOnly}</legend>
      <div className="filter-row">
        <SelectField
          label={texts.search.direction}
          isLabelHidden
          className="field-compact"
          options={DIRECTIONS}
          value={filters.direction}
          onChange={(direction) => onChange({ direction })}
        />
        <label className="chip">
          <input
            type="checkbox"
            checked={filters.hasFile}
            onChange={(event) => onChange({ hasFile: event.target.checked })}
          />
          <span>{texts.search.hasFile}</span>
        </label>
      </div>
      <div className="filter-row">
        <DayField
          label={texts.search.from}
          day={filters.from}
          onChange={(from) => onChange({ from })}
        />
        <DayField
          label={texts.search.to}
          day={filters.to}
          onChange={(to) => onChange({ to })}
        />
      </div>
    </fieldset>
  );
}

/** A date. Uncontrolled, because a partly typed one has no value; years before 2000 are partly typed. */
function DayField({ label, day, onChange }: {
  label: string;
  day: string | null;
  onChange: (day: string | null) => void;
}) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  // It may have been removed elsewhere.
  useEffect(() => {
    if (field.current && day === null && field.current.validity.valid) field.current.value = "";
  }, [day]);
  return (
    <div className="field field-compact filter-day">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        ref={field}
        className="input"
        type="date"
        min="2000-01-01"
        max="2099-12-31"
        defaultValue={day ?? ""}
        onChange={({ target }) => {
          const value = target.value || null;
          if (value !== day && target.validity.valid) onChange(value);
        }}
      />
    </div>
  );
}
