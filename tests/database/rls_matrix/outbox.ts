/**
 * Who may do what: the outbox.
 *
 * @module
 */

import { type Case, MEMBERS_READ, NO, SERVICE_ALONE, type TableCases, WORKERS } from "./callers.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "public.outbox_messages": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from public.outbox_messages where conversation_id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { conversationId, workspace }) =>
        sql`insert into public.outbox_messages (workspace_id, conversation_id, idempotency_key, type, content, payload) values (${workspace.id}, ${conversationId}, 'new', 'text', 'Hi', '{}')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`update public.outbox_messages set state = 'discarded' where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.outbox_messages where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.outbox_uploads": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.outbox_uploads where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { conversationId, connection }) =>
        sql`insert into private.outbox_uploads (conversation_id, connection_id, media_id, type, mime_type) values (${conversationId}, ${connection.id}, '2', 'image', 'image/png')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`update private.outbox_uploads set file_name = 'x' where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from private.outbox_uploads where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "enqueue_message": {
    // The thread has no number to be answered by, which is said to those alone who may answer.
    run: (sql, { conversationId }) =>
      sql`
        select from public.enqueue_message(
          ${conversationId}, 'new', ${sql.json({ type: "text", content: "Hi", payload: {} })}
        )`,
    outcomes: [NO, "PT422", "PT422", "PT422", "PT403", "PT404", NO],
  },
  "retry_message": {
    run: (sql, { conversationId }) =>
      sql`
        select from public.retry_message((
          select coalesce(
            (select id from public.outbox_messages where conversation_id = ${conversationId}),
            gen_random_uuid()
          )
        ))`,
    outcomes: WORKERS,
  },
  "discard_message": {
    run: (sql, { conversationId }) =>
      sql`
        select from public.outbox_messages as message, public.discard_message(message.id)
        where message.conversation_id = ${conversationId}`,
    // It waits to be sent. The stranger does not even see it.
    outcomes: [NO, "PT409", "PT409", "PT409", "PT403", 0, NO],
  },
  "sending_side": {
    run: (sql, { conversationId }) => sql`select public.sending_side(${conversationId})`,
    outcomes: WORKERS,
  },
  "conversation_answering": {
    run: (sql, { conversationId }) => sql`select public.conversation_answering(${conversationId})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "claim_outbox_message": {
    run: (sql, { conversationId }) =>
      sql`select from public.claim_outbox_message(${conversationId})`,
    outcomes: SERVICE_ALONE,
  },
  "check_outbox": {
    run: (sql, { conversationId }) => sql`select from public.check_outbox(${conversationId})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "settle_outbox": {
    run: (sql) => sql`select from public.settle_outbox(0)`,
    outcomes: SERVICE_ALONE,
  },
  "conversations_to_send": {
    run: (sql) => sql`select from public.conversations_to_send(0)`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
};
