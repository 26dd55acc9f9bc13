/**
 * Who may do what: webhook events, media copies and runs of kapso-sync.
 *
 * @module
 */

import {
  type Case,
  MEMBERS_READ,
  NO,
  NO_CALLER,
  SERVICE_ALONE,
  type TableCases,
} from "./callers.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "public.conversation_sessions": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`
          select from public.conversation_sessions where conversation_id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { conversationId, workspace }) =>
        sql`
          insert into public.conversation_sessions (
            conversation_id, session_id, workspace_id, started_at
          )
          values (${conversationId}, 'new', ${workspace.id}, now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update public.conversation_sessions set ended_at = now()
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversation_sessions where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.thread_aliases": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.thread_aliases where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { conversationId, workspace }) =>
        sql`
          insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
          values (${workspace.id}, 'whatsapp', 'new', ${conversationId})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update private.thread_aliases set alias = 'other'
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from private.thread_aliases where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.webhook_events": {
    "select": {
      run: (sql, { connection }) =>
        sql`
          select from private.webhook_events
          where phone_number_id = ${connection.connection_id} and state = 'received'`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) => sql`insert into private.webhook_events (body, elements) values ('', '[]')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.webhook_events set state = 'ignored'
          where phone_number_id = ${connection.connection_id} and state = 'received'`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`
          delete from private.webhook_events
          where phone_number_id = ${connection.connection_id} and state = 'received'`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.open_webhook_events": {
    "select": {
      run: (sql, { connection }) =>
        sql`
          select from private.open_webhook_events
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) =>
        sql`
          insert into private.open_webhook_events (id, body, elements) overriding system value
          values (1, '', '[]')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.open_webhook_events set error = 'x'
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`
          delete from private.open_webhook_events
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.finished_webhook_events": {
    "select": {
      run: (sql, { connection }) =>
        sql`
          select from private.finished_webhook_events
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) =>
        sql`
          insert into private.finished_webhook_events (id, body, elements, state) overriding system value
          values (1, '', '[]', 'processed')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.finished_webhook_events set error = 'x'
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`
          delete from private.finished_webhook_events
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.webhook_deliveries": {
    "select": {
      run: (sql, { connection }) =>
        sql`
          select from private.webhook_deliveries
          where digest = md5(${connection.connection_id})::uuid`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) =>
        sql`
          insert into private.webhook_deliveries (digest, event_id, received_at)
          values (gen_random_uuid(), 1, now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.webhook_deliveries set event_id = 2
          where digest = md5(${connection.connection_id})::uuid`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`
          delete from private.webhook_deliveries
          where digest = md5(${connection.connection_id})::uuid`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.media_copies": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.media_copies where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { conversationId, connection, workspace }) =>
        sql`
          insert into private.media_copies
            (conversation_id, message_id, workspace_id, connection_id, message_type, sent_at)
          values (${conversationId}, 'other', ${workspace.id}, ${connection.id}, 'image', now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update private.media_copies set state = 'failed'
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from private.media_copies where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.media_orphans": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from private.media_orphans where path = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.media_orphans (path) values (${`${workspace.id}/other`})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update private.media_orphans set next_attempt_at = now() where path = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from private.media_orphans where path = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.sync_runs": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.sync_runs where workspace_id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, connection }) =>
        sql`
          insert into public.sync_runs (workspace_id, connection_id, mode, phase)
          values (${workspace.id}, ${connection.id}, 'repair', 'recent')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.sync_runs set stop_requested_at = now()
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.sync_runs where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.sync_conversations": {
    "select": {
      run: (sql, { connection }) =>
        sql`
          select from private.sync_conversations
          where run_id in (select id from public.sync_runs where connection_id = ${connection.id})`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { connection }) =>
        sql`
          insert into private.sync_conversations (run_id, session_id, position, conversation)
          select id, 'another', 2, '{}' from public.sync_runs where connection_id = ${connection.id}`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.sync_conversations set state = 'done'
          where run_id in (select id from public.sync_runs where connection_id = ${connection.id})`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`
          delete from private.sync_conversations
          where run_id in (select id from public.sync_runs where connection_id = ${connection.id})`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.connection_health": {
    "select": {
      run: (sql, { connection }) =>
        sql`select from public.connection_health where id = ${connection.id}`,
      outcomes: [NO, 1, 1, 1, 1, 0, NO],
    },
    "insert": {
      run: (sql, { connection }) =>
        sql`insert into public.connection_health (id) values (${connection.id})`,
      outcomes: NO_CALLER,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`update public.connection_health set last_event_at = now() where id = ${connection.id}`,
      outcomes: NO_CALLER,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`delete from public.connection_health where id = ${connection.id}`,
      outcomes: NO_CALLER,
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "replay_webhook_events": {
    run: (sql) => sql`select from public.replay_webhook_events(ids => '{}')`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "drain_webhook_events": {
    run: (sql) => sql`select public.drain_webhook_events('none')`,
    outcomes: SERVICE_ALONE,
  },
  "claim_media_copies": {
    run: (sql, { connection }) => sql`select from public.claim_media_copies(${connection.id})`,
    outcomes: SERVICE_ALONE,
  },
  "finish_media_copies": {
    run: (sql, { connection }) => sql`select public.finish_media_copies(${connection.id}, '[]')`,
    outcomes: SERVICE_ALONE,
  },
  "retry_media_copies": {
    run: (sql, { connection }) => sql`select public.retry_media_copies(${connection.id})`,
    outcomes: SERVICE_ALONE,
  },
  "claim_media_orphans": {
    run: (sql) => sql`select from public.claim_media_orphans(0)`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "forget_media_orphans": {
    run: (sql) => sql`select public.forget_media_orphans('{}')`,
    outcomes: SERVICE_ALONE,
  },
  "connections_with_due_media": {
    run: (sql) => sql`select from public.connections_with_due_media(0)`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "stop_sync_run": {
    run: (sql, { connection }) =>
      sql`
        select from public.sync_runs as run, public.stop_sync_run(run.id)
        where run.connection_id = ${connection.id}`,
    outcomes: [NO, 1, 1, 1, 0, 0, 1],
  },
  "connections_to_sync": {
    // The connection is no Kapso number.
    run: (sql, { connection }) =>
      sql`select from public.connections_to_sync(connection => ${connection.connection_id})`,
    outcomes: [NO, 0, 0, 0, 0, 0, 0],
  },
  "begin_sync_run": {
    run: (sql, { connection }) =>
      sql`select from public.begin_sync_run(${connection.id}, 'repair', null, null, false, null)`,
    outcomes: SERVICE_ALONE,
  },
  "begin_due_sync_run": {
    // The connection is no Kapso number, so nothing is due.
    run: (sql, { connection }) =>
      sql`select from public.begin_due_sync_run(${connection.id}, 'repair')`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "postpone_sync": {
    run: (sql, { connection }) => sql`select public.postpone_sync(${connection.id}, 0)`,
    outcomes: SERVICE_ALONE,
  },
  "due_sync_runs": {
    run: (sql) => sql`select from public.due_sync_runs(0)`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "due_session_checks": {
    run: (sql, { connection }) => sql`select from public.due_session_checks(${connection.id})`,
    outcomes: SERVICE_ALONE,
  },
};
