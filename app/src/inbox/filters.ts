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
}

/** What the list shows at first. */
export const DEFAULT_FILTERS: ConversationFilters = {
  search: "",
  status: "open",
  platform: "all",
  assignee: "anybody",
  isUnread: false,
};

/** Whether nothing but the status narrows the list. */
export function isUnfiltered(filters: ConversationFilters): boolean {
  return filters.search === "" && filters.platform === "all" &&
    filters.assignee === "anybody" &&
    !filters.isUnread;
}

/** Whether a conversation belongs in a list, as far as its own row tells. */
export function fits(
  conversation: { unread_count: number; assigned_to: string | null },
  filters: ConversationFilters,
): boolean {
  return (!filters.isUnread || conversation.unread_count > 0) &&
    (filters.assignee !== "nobody" || conversation.assigned_to === null);
}
