/**
 * Reads pages of conversations, without their messages.
 *
 * @module
 */

import type { ApiClient } from "../api/client.ts";
import type { Conversation } from "../api/rows.ts";
import type { ConversationFilters } from "./filters.ts";

/** Position of a conversation in the list. */
export interface ConversationCursor {
  activity_at: string;
  id: string;
}

/** Which conversations to read. */
export interface ReadConversationsOptions {
  workspaceId: string;
  userId: string;
  filters: ConversationFilters;
  /** Older than this; null for the newest. */
  before: ConversationCursor | null;
  /** Most rows to return, up to 200. */
  max: number;
  signal: AbortSignal;
}

/** Rows, newest first, and where the next ones start. */
export interface ConversationRows {
  rows: Conversation[];
  next: ConversationCursor | null;
}

/** The position of a conversation. */
export function cursorOf(
  { activity_at, id }: Conversation,
): ConversationCursor {
  return { activity_at, id };
}

/**
 * Reads a page.
 *
 * @throws {ApiError} when the request fails.
 */
export async function readConversations(
  api: ApiClient,
  { workspaceId, userId, filters, before, max, signal }: ReadConversationsOptions,
): Promise<ConversationRows> {
  // A search text must not stand in a URL.
  const call = filters.search === "" ? api.read : api.rpc;
  const rows = await call("search_conversations", {
    workspace_id: workspaceId,
    search: filters.search,
    max_conversations: max,
    status: filters.status === "all" ? undefined : filters.status,
    platform: filters.platform === "all" ? undefined : filters.platform,
    assigned_to: filters.assignee === "mine" ? userId : undefined,
    is_unassigned: filters.assignee === "unassigned" || undefined,
    is_unread: filters.isUnread || undefined,
    tag_id: filters.tagId ?? undefined,
    before_activity_at: before?.activity_at,
    before_id: before?.id,
  }, signal);
  const last = rows.at(-1);
  return { rows, next: last && rows.length >= max ? cursorOf(last) : null };
}
