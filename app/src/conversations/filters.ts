/**
 * What narrows the list of conversations, and the search in messages.
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

/** What narrows the messages that a search finds, besides the filters of their conversations. */
export interface MessageFilters {
  direction: "all" | "inbound" | "outbound";
  /** Only messages with a file. */
  hasFile: boolean;
  /** The first and the last day, as `2026-01-31`, in the time zone of the browser; null for no limit. */
  from: string | null;
  to: string | null;
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

/** All messages. */
export const ALL_MESSAGES: MessageFilters = {
  direction: "all",
  hasFile: false,
  from: null,
  to: null,
};

/** Whether only the status narrows the list. */
export function isUnfiltered(filters: ConversationFilters): boolean {
  return filters.search === "" && filters.platform === "all" && filters.assignee === "all" &&
    !filters.isUnread && filters.tagId === null;
}
