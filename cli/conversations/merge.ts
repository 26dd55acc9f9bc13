/**
 * Finds conversations that exist twice in a workspace, and merges them.
 *
 * @module
 */

import type { DatabaseClient } from "../../supabase/functions/_shared/database/clients.ts";
import { rpc } from "../../supabase/functions/_shared/database/rpc.ts";

/** Two conversations that are one. */
export interface Pair {
  keepId: string;
  mergeId: string;
  platform: string;
  /** At most: those that both have are stored once. */
  messages: number;
}

/** Pairs that one look finds. */
const MAX_PAIRS = 1000;

/** Finds the pairs of a workspace. @throws {AppError} as `rpc`. */
export async function findPairs(client: DatabaseClient, workspaceId: string): Promise<Pair[]> {
  const rows = await rpc(client, "find_double_conversations", {
    workspace_id: workspaceId,
    max_pairs: MAX_PAIRS,
  });
  return rows.map((row) => ({
    keepId: row.keep_id,
    mergeId: row.merge_id,
    platform: row.platform,
    messages: row.messages_to_move,
  }));
}

/**
 * Merges a pair. Safe to interrupt: the next call continues where this one stopped.
 *
 * @returns How many messages were moved.
 * @throws {AppError} as `rpc`.
 */
export async function mergePair(
  client: DatabaseClient,
  workspaceId: string,
  pair: Pick<Pair, "keepId" | "mergeId">,
): Promise<number> {
  for (let moved = 0;;) {
    const [step] = await rpc(client, "merge_conversations", {
      workspace_id: workspaceId,
      keep_id: pair.keepId,
      merge_id: pair.mergeId,
    });
    moved += step!.messages_moved;
    if (step!.is_done) return moved;
  }
}
