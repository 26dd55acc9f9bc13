/**
 * Makes the index of the search in messages again, in steps that fit the time limit of a request.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import type { DatabaseClient } from "../../supabase/functions/_shared/database/clients.ts";
import { rpc } from "../../supabase/functions/_shared/database/rpc.ts";

/** Conversations that one request queues, and rows of the queue that one request indexes. */
const CONVERSATIONS = 5_000;
const ROWS = 1_000;
/** How long to wait while the schedule indexes, in milliseconds. */
const BUSY_MS = 500;

/**
 * Puts all messages of a workspace into the queue of the index.
 *
 * @returns the number of rows; undefined where the search in messages is switched off.
 * @throws {AppError} if a request fails.
 */
export async function queueAll(
  client: DatabaseClient,
  workspaceId: string,
): Promise<number | undefined> {
  let queued = 0;
  let afterId: string | undefined;
  for (;;) {
    const [step] = await rpc(client, "rebuild_message_index", {
      workspace_id: workspaceId,
      after_id: afterId,
      max_conversations: CONVERSATIONS,
    });
    if (step === undefined) return undefined;
    queued += step.queued;
    if (step.last_id === null) return queued;
    afterId = step.last_id;
  }
}

/**
 * Indexes what waits in the queue of a workspace.
 *
 * @param onProgress Gets the number of rows after each step.
 * @returns the number of messages that were indexed.
 * @throws {AppError} if a request fails.
 */
export async function indexQueued(
  client: DatabaseClient,
  workspaceId: string,
  onProgress: (rows: number) => void,
): Promise<number> {
  let messages = 0;
  for (;;) {
    const [step] = await rpc(client, "index_messages", {
      workspace_id: workspaceId,
      max_rows: ROWS,
      min_age: "-1 second",
    });
    // The schedule indexes at this moment.
    if (step === undefined) {
      await delay(BUSY_MS);
      continue;
    }
    messages += step.messages;
    onProgress(step.rows_done);
    if (!step.has_more) return messages;
  }
}
