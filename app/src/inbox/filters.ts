/**
 * What the list of conversations is narrowed to.
 *
 * @module
 */

import type { Platform } from "../api/types.ts";

/** All choices of the list. */
export interface ConversationFilters {
  search: string;
  status: "open" | "closed" | "all";
  platform: Platform | "all";
  assignee: "anybody" | "mine" | "nobody";
  isUnread: boolean;
  /** Of the tag that conversations must have; null for any or none. */
  tagId: string | null;
}

/** What the list shows at first. */
export const DEFAULT_FILTERS: ConversationFilters = {
  search: "",
  status: "open",
  platform: "all",
  assignee: "anybody",
  isUnread: false,
  tagId: null,
};

/** Whether nothing but the status narrows the list. */
export function isUnfiltered(filters: ConversationFilters): boolean {
  return filters.search === "" && filters.platform === "all" &&
    filters.assignee === "anybody" &&
    !filters.isUnread && filters.tagId === null;
}
