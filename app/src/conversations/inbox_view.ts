/**
 * What the inbox shows, as its address says it: the search, the filters, and the message to show. It is in the address, so
 * that a reload and the buttons of the browser keep it.
 *
 * @module
 */

import { useCallback, useMemo } from "react";
import { PLATFORMS } from "../api/rows.ts";
import { PAGES } from "../pages.ts";
import { currentPath, currentQuery, navigate, useHashQuery } from "../ui/hash_location.ts";
import { useWorkspace } from "../workspace/workspace.tsx";
import {
  ALL_MESSAGES,
  type ConversationFilters,
  DEFAULT_FILTERS,
  type MessageFilters,
} from "./filters.ts";

/** Everything in the query of the address. */
export interface InboxView {
  filters: ConversationFilters;
  messageFilters: MessageFilters;
  /** Cursor of the message that is shown; null: the conversation is shown at its end, or none is open. */
  message: string | null;
}

/** Signs of a search, as the server reads them. */
export const MAX_SEARCH = 200;

/** The view in the address. The object stays the same while the address does. */
export function useInboxView(): InboxView {
  const query = useHashQuery();
  return useMemo(() => readView(query), [query]);
}

/** Changes parts of the view, and ends the visit of a message. `push` makes a step that the browser can go back. */
export function changeView(
  { filters, messageFilters }: {
    filters?: Partial<ConversationFilters>;
    messageFilters?: Partial<MessageFilters>;
  },
  { push = false } = {},
): void {
  const view = readView(currentQuery());
  const query = writeView({
    filters: { ...view.filters, ...filters },
    messageFilters: { ...view.messageFilters, ...messageFilters },
    message: null,
  });
  navigate(`${currentPath()}${query}`, { replace: !push });
}

/** A function that returns the address of a conversation, or of the list, with the search and the filters of now. */
export function useInboxHref(): (conversationId?: string, message?: string | null) => string {
  const { slug } = useWorkspace();
  const view = useInboxView();
  return useCallback((conversationId, message = null) => {
    const path = conversationId === undefined ? "" : `/${conversationId}`;
    return `#/${slug}${PAGES.inbox}${path}${writeView({ ...view, message })}`;
  }, [slug, view]);
}

/** Reads the query of an address. What it does not understand is as if it were not there. */
function readView(query: string): InboxView {
  const given = new URLSearchParams(query);
  const one = <Value extends string>(name: string, values: readonly Value[], other: Value) =>
    values.find((value) => value === given.get(name)) ?? other;
  return {
    filters: {
      search: normalSearch(given.get("q") ?? ""),
      status: one("status", ["open", "closed", "all"], DEFAULT_FILTERS.status),
      platform: one("platform", ["all", ...PLATFORMS], "all"),
      assignee: one("assignee", ["all", "mine", "unassigned"], "all"),
      isUnread: given.has("unread"),
      tagId: matching(given.get("tag"), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
    },
    messageFilters: {
      direction: one("direction", ["all", "inbound", "outbound"], "all"),
      hasFile: given.has("file"),
      from: readDay(given.get("from")),
      to: readDay(given.get("to")),
    },
    message: readCursor(given.get("message")),
  };
}

/** The query for a view, with its question mark; empty for what is shown at first. */
function writeView({ filters, messageFilters, message }: InboxView): string {
  const entries = Object.entries({
    q: filters.search || null,
    status: other(filters.status, DEFAULT_FILTERS.status),
    platform: other(filters.platform, DEFAULT_FILTERS.platform),
    assignee: other(filters.assignee, DEFAULT_FILTERS.assignee),
    unread: filters.isUnread ? "1" : null,
    tag: filters.tagId,
    direction: other(messageFilters.direction, ALL_MESSAGES.direction),
    file: messageFilters.hasFile ? "1" : null,
    from: messageFilters.from,
    to: messageFilters.to,
    message,
  }).filter((entry): entry is [string, string] => entry[1] !== null);
  return entries.length === 0 ? "" : `?${new URLSearchParams(entries)}`;
}

/** A search as it was typed, without needless spaces. One at the end stays: it ends the last word. */
export function normalSearch(typed: string): string {
  return typed.slice(0, MAX_SEARCH).trimStart().replace(/\s+$/, " ");
}

function other<Value>(value: Value, usual: Value): Value | null {
  return value === usual ? null : value;
}

function matching(text: string | null, pattern: RegExp): string | null {
  return text !== null && pattern.test(text) ? text : null;
}

function readDay(text: string | null): string | null {
  const day = matching(text, /^\d{4}-\d{2}-\d{2}$/);
  return day !== null && !Number.isNaN(Date.parse(day)) ? day : null;
}

/** A time and an id, as `conversation_messages` has them. */
function readCursor(text: string | null): string | null {
  const [time, id] = text?.split("~", 2) ?? [];
  return time && id && !Number.isNaN(Date.parse(time)) ? text : null;
}
