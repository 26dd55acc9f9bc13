/**
 * What the index of the search in messages has, beside what it should have.
 *
 * @module
 */

import type { Sql } from "./database.ts";

/** Indexes everything of a workspace that waits, in a session of the service. */
export async function indexAll(service: Sql, workspaceId: string): Promise<void> {
  while (true) {
    const [round] = await service<{ has_more: boolean }[]>`
      select * from public.index_messages(5000, '-1 second', ${workspaceId})`;
    if (round && !round.has_more) return;
    // Another session indexes at this moment.
    if (!round) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Compares the blocks of a workspace with its messages, in both directions. Both counts are 0 if all is well. */
export async function indexFaults(
  sql: Sql,
  workspaceId: string,
): Promise<{ missing: number; surplus: number }> {
  const [faults] = await sql<{ missing: number; surplus: number }[]>`
    with stored as (
      select conversation.id, message.sent_at,
        private.message_words(message.message, private.folded(private.message_text(message.message))) as words
      from public.conversations as conversation
      cross join lateral private.messages_between(conversation.id, '-infinity', 'infinity') as message
      where conversation.workspace_id = ${workspaceId}
    ),
    indexed as (
      select block.conversation_id as id, block.sent_ats[line.number] as sent_at, line.words
      from private.message_blocks as block
      cross join lateral string_to_table(block.words, E'\n') with ordinality as line (words, number)
      where block.workspace_id = ${workspaceId}
    )
    select
      (select count(*)::integer from (select * from stored except all select * from indexed) as lacking) as missing,
      (select count(*)::integer from (select * from indexed except all select * from stored) as added) as surplus`;
  return faults!;
}
