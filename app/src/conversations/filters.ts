/**
 * What narrows the list of conversations.
 *
 * @module
 */

import type { Platform } from "../api/rows.ts";

/** All choices of the list. */
export interface ConversationFilters {
  search: string;
  status: "open" | "closed" | "all";
  platform: Platform | "all";
  assignee: "all" | "mine" | "unassigned";
  isUnread: boolean;
  /** A tag that conversations must have; null for any or none. */
  tagId: string | null;
}

/** What the list shows at first. */
export const DEFAULT_FILTERS: ConversationFilters = {
  search: "",
  status: "open",
  platform: "all",
  assignee: "all",
  isUnread: false,
  tagId: null,
};

/** Whether only the status narrows the list. */
export function isUnfiltered(filters: ConversationFilters): boolean {
  return filters.search === "" && filters.platform === "all" && filters.assignee === "all" &&
    !filters.isUnread && filters.tagId === null;
}
