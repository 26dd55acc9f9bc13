/**
 * The filters of a search that are active, each with its name and what removes it.
 *
 * @module
 */

import {
  ALL_MESSAGES,
  type ConversationFilters,
  DEFAULT_FILTERS,
  type MessageFilters,
} from "../conversations/filters.ts";
import { formatDate } from "../format.ts";
import type { Tags } from "../tags/use_tags.ts";
import { texts } from "../texts.ts";

/** Parts of the filters, as they change. */
export interface FilterChange {
  filters?: Partial<ConversationFilters>;
  messageFilters?: Partial<MessageFilters>;
}

/** A filter that is active. */
export interface FilterChip {
  name: string;
  /** The change that ends it. */
  removal: FilterChange;
}

/** No filters but the text: what {@linkcode describeFilters} lists is gone. */
export const NO_SEARCH_FILTERS: FilterChange = {
  filters: {
    platform: DEFAULT_FILTERS.platform,
    assignee: DEFAULT_FILTERS.assignee,
    tagId: DEFAULT_FILTERS.tagId,
  },
  messageFilters: ALL_MESSAGES,
};

/** The active filters. Status and unread are not among them: a search looks everywhere. */
export function describeFilters(
  { platform, assignee, tagId }: ConversationFilters,
  { direction, hasFile, from, to }: MessageFilters,
  tags: Tags,
): FilterChip[] {
  const chips: (FilterChip | false)[] = [
    platform !== "all" &&
    { name: texts.platforms[platform], removal: { filters: { platform: "all" } } },
    assignee !== "all" && {
      name: assignee === "mine" ? texts.list.mine : texts.list.unassigned,
      removal: { filters: { assignee: "all" } },
    },
    tagId !== null && {
      name: tags.get(tagId)?.name ?? texts.list.tag,
      removal: { filters: { tagId: null } },
    },
    direction !== "all" && {
      name: direction === "inbound" ? texts.search.fromCustomer : texts.search.fromUs,
      removal: { messageFilters: { direction: "all" } },
    },
    hasFile && { name: texts.search.hasFile, removal: { messageFilters: { hasFile: false } } },
    from !== null && {
      name: texts.search.fromDay(formatDate(from)),
      removal: { messageFilters: { from: null } },
    },
    to !== null && {
      name: texts.search.toDay(formatDate(to)),
      removal: { messageFilters: { to: null } },
    },
  ];
  return chips.filter((chip) => chip !== false);
}

/** Whether any of them is active. */
export function hasSearchFilters(filters: ConversationFilters, messageFilters: MessageFilters) {
  return describeFilters(filters, messageFilters, new Map()).length > 0;
}
