/**
 * Reads pages of conversations, without their messages.
 *
 * @module
 */

import type { SupabaseClient } from "@supabase/supabase-js";
import { unwrap } from "../api/client.ts";
import type { Conversation } from "../api/types.ts";
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
  signal?: AbortSignal | undefined;
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
  supabase: SupabaseClient,
  { workspaceId, userId, filters, before, max, signal }: ReadConversationsOptions,
): Promise<ConversationRows> {
  const request = supabase.rpc("search_conversations", {
    workspace_id: workspaceId,
    search: filters.search,
    max_conversations: max,
    ...(filters.status === "all" ? {} : { status: filters.status }),
    ...(filters.platform === "all" ? {} : { platform: filters.platform }),
    ...(filters.assignee === "mine" ? { assigned_to: userId } : {}),
    ...(filters.assignee === "unassigned" ? { is_unassigned: true } : {}),
    ...(filters.isUnread ? { is_unread: true } : {}),
    ...(filters.tagId === null ? {} : { tag_id: filters.tagId }),
    ...(before &&
      { before_activity_at: before.activity_at, before_id: before.id }),
  });
  const rows: Conversation[] = unwrap(
    await (signal ? request.abortSignal(signal) : request),
  );
  const last = rows.at(-1);
  return { rows, next: last && rows.length >= max ? cursorOf(last) : null };
}
