/**
 * Reads pages of conversations. Never the threads: the view has no messages in it.
 *
 * @module
 */

import type { SupabaseClient } from "@supabase/supabase-js";
import { unwrap } from "../api/client.ts";
import type { Conversation } from "../api/types.ts";
import { type ConversationFilters, fits } from "./filters.ts";

/** Place of a conversation in the list. */
export interface ConversationCursor {
  activity_at: string;
  id: string;
}

/** Which conversations. */
export interface ReadConversationsOptions {
  workspaceId: string;
  userId: string;
  filters: ConversationFilters;
  /** Older than this; null for the newest. */
  before: ConversationCursor | null;
  /** At most so many; up to 200. */
  max: number;
  signal?: AbortSignal | undefined;
}

/** Rows, newest first, and where the next ones start. */
export interface ConversationRows {
  rows: Conversation[];
  next: ConversationCursor | null;
}

/** A search that hardly anything fits asks for so many pages before it shows what it has. */
const MAX_LOOKS = 5;

/** The place of a conversation. */
export function cursorOf(
  { activity_at, id }: Conversation,
): ConversationCursor {
  return { activity_at, id };
}

/**
 * Reads a page.
 *
 * @throws {ApiError}
 */
export async function readConversations(
  supabase: SupabaseClient,
  options: ReadConversationsOptions,
): Promise<ConversationRows> {
  const { filters } = options;
  const isIndexed = !filters.isUnread && filters.assignee !== "nobody";
  if (isIndexed) return await search(supabase, options);
  if (filters.search === "") return await select(supabase, options);
  // The search does not know these two filters; what it finds is few enough to be looked through here.
  const rows: Conversation[] = [];
  let next = options.before;
  for (let look = 0; look < MAX_LOOKS && rows.length < options.max; look++) {
    const found = await search(supabase, {
      ...options,
      before: next,
      max: 200,
    });
    rows.push(...found.rows.filter((row) => fits(row, filters)));
    next = found.next;
    if (next === null) break;
  }
  return { rows, next };
}

async function search(
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
    ...(before &&
      { before_activity_at: before.activity_at, before_id: before.id }),
  });
  return page(
    unwrap(await (signal ? request.abortSignal(signal) : request)),
    max,
  );
}

async function select(
  supabase: SupabaseClient,
  { workspaceId, userId, filters, before, max, signal }: ReadConversationsOptions,
): Promise<ConversationRows> {
  let request = supabase.from("conversation_list").select().eq(
    "workspace_id",
    workspaceId,
  );
  if (filters.status !== "all") request = request.eq("status", filters.status);
  if (filters.platform !== "all") {
    request = request.eq("platform", filters.platform);
  }
  if (filters.isUnread) request = request.gt("unread_count", 0);
  if (filters.assignee === "mine") request = request.eq("assigned_to", userId);
  if (filters.assignee === "nobody") request = request.is("assigned_to", null);
  if (before) {
    // The first condition is for the index, the second decides.
    request = request.lte("activity_at", before.activity_at)
      .or(`activity_at.lt."${before.activity_at}",id.lt.${before.id}`);
  }
  const ordered = request.order("activity_at", { ascending: false })
    .order("id", { ascending: false }).limit(max);
  return page(
    unwrap(await (signal ? ordered.abortSignal(signal) : ordered)),
    max,
  );
}

function page(rows: Conversation[], max: number): ConversationRows {
  const last = rows.at(-1);
  return { rows, next: last && rows.length >= max ? cursorOf(last) : null };
}
