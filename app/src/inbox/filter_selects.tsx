/**
 * The filters that are chosen from a list: platform, assignee and tag.
 *
 * @module
 */

import { PLATFORMS } from "../api/rows.ts";
import type { ConversationFilters } from "../conversations/filters.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";
import { SelectField, type SelectOption } from "../ui/select_field.tsx";

const PLATFORM_OPTIONS: SelectOption<ConversationFilters["platform"]>[] = [
  { value: "all", label: texts.list.platform },
  ...PLATFORMS.map((platform) => ({ value: platform, label: texts.platforms[platform] })),
];
const ASSIGNEE_OPTIONS: SelectOption<ConversationFilters["assignee"]>[] = [
  { value: "all", label: texts.list.assignee },
  { value: "mine", label: texts.list.mine },
  { value: "unassigned", label: texts.list.unassigned },
];
const ANY_TAG = "";

/** The fields. */
export function FilterSelects({ filters, tags, onChange }: {
  filters: ConversationFilters;
  /** The tags of the workspace; without any there is no filter for them. */
  tags: Tags;
  onChange: (changed: Partial<ConversationFilters>) => void;
}) {
  return (
    <>
      <SelectField
        label={texts.list.platform}
        isLabelHidden
        className="field-compact"
        options={PLATFORM_OPTIONS}
        value={filters.platform}
        onChange={(platform) => onChange({ platform })}
      />
      <SelectField
        label={texts.list.assignee}
        isLabelHidden
        className="field-compact"
        options={ASSIGNEE_OPTIONS}
        value={filters.assignee}
        onChange={(assignee) => onChange({ assignee })}
      />
      {tags.size > 0 && (
        <SelectField
          label={texts.list.tag}
          isLabelHidden
          className="field-compact"
          options={[
            { value: ANY_TAG, label: texts.list.tag },
            ...[...tags.values()].map(({ id, name }) => ({ value: id, label: name })),
          ]}
          value={filters.tagId ?? ANY_TAG}
          onChange={(tagId) => onChange({ tagId: tagId || null })}
        />
      )}
    </>
  );
}
