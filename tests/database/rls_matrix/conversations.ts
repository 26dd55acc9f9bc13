/**
 * Who may do what: conversations, tags, canned replies and what members do with them.
 *
 * @module
 */

import {
  CALLERS,
  type Case,
  MANAGERS,
  MEMBERS_READ,
  NO,
  NO_CALLER,
  putOn,
  SERVICE_ALONE,
  type TableCases,
  WORKERS,
} from "./callers.ts";
import { conversation } from "../../support/messages.ts";
import { unique } from "../../support/people.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "public.conversations": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select messages from public.conversations where id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.conversations
            (workspace_id, user_id, platform, external_conversation_id, participant_identifier)
          values (${workspace.id}, ${workspace.owner}, 'whatsapp', ${unique()}, 'x')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update public.conversations set status = 'closed', closed_at = now()
          where id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "link to a person of another workspace": {
      run: (sql, { conversationId, otherPersonId }) =>
        sql`
          update public.conversations set person_id = ${otherPersonId}
          where id = ${conversationId}`,
      outcomes: [NO, NO, NO, NO, NO, NO, "23503"],
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversations where id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.conversation_archives": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`
          select messages from public.conversation_archives
          where conversation_id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, conversationId }) =>
        sql`
          insert into public.conversation_archives (
            conversation_id, part, workspace_id, messages, message_count, first_sent_at, last_sent_at
          )
          values (${conversationId}, 0, ${workspace.id}, '[{}]', 1, now(), now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update public.conversation_archives set messages = '[]'
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversation_archives where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.message_keys": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`
          select from private.message_keys where conversation_id = ${conversationId} limit 1`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { conversationId }) =>
        sql`
          insert into private.message_keys values (${conversationId}, gen_random_uuid(), now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update private.message_keys set sent_at = now()
          where conversation_id = ${conversationId} and message_digest = (
            select min(message_digest::text)::uuid from private.message_keys
            where conversation_id = ${conversationId}
          )`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`
          delete from private.message_keys
          where conversation_id = ${conversationId} and message_digest = (
            select min(message_digest::text)::uuid from private.message_keys
            where conversation_id = ${conversationId}
          )`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.waiting_updates": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.waiting_updates where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace, conversationId }) =>
        sql`
          insert into private.waiting_updates
            (workspace_id, conversation_id, message_id, message_digest, change)
          values (${workspace.id}, ${conversationId}, 'x', gen_random_uuid(), '{}')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update private.waiting_updates set change = '{}'
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from private.waiting_updates where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.message_index_queue": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.message_index_queue where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace, conversationId }) =>
        sql`
          insert into private.message_index_queue
            (workspace_id, conversation_id, from_sent_at, to_sent_at)
          values (${workspace.id}, ${conversationId}, now(), now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update private.message_index_queue set attempts = 1
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from private.message_index_queue where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.message_blocks": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.message_blocks where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace, conversationId }) =>
        sql`
          insert into private.message_blocks
            (workspace_id, conversation_id, first_sent_at, last_sent_at, sent_ats, words)
          values (${workspace.id}, ${conversationId}, now(), now(), array[now()], ' x ')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`
          update private.message_blocks set words = ' y ' where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from private.message_blocks where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.tags": {
    "select": {
      run: (sql, { tagId }) => sql`select from public.tags where id = ${tagId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into public.tags (workspace_id, name, colour) values (${workspace.id}, 'New', 'red')`,
      outcomes: [NO, 1, 1, NO, NO, NO, 1],
    },
    "insert into another workspace": {
      run: (sql, { other }) =>
        sql`insert into public.tags (workspace_id, name) values (${other.id}, 'New')`,
      outcomes: [NO, NO, NO, NO, NO, 1, 1],
    },
    "update": {
      run: (sql, { tagId }) =>
        sql`update public.tags set name = 'Renamed', colour = 'blue' where id = ${tagId}`,
      outcomes: MANAGERS,
    },
    "update to another workspace": {
      run: (sql, { spareTagId, other }) =>
        sql`update public.tags set workspace_id = ${other.id}, name = 'Moved' where id = ${spareTagId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { tagId }) => sql`delete from public.tags where id = ${tagId}`,
      outcomes: MANAGERS,
    },
  },
  "public.conversation_tags": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from public.conversation_tags where conversation_id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, conversationId, spareTagId }) =>
        putOn(sql, workspace.id, conversationId, spareTagId),
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    // Both in one workspace, or not at all, for every workspace the row may name and every writer.
    "insert of a tag of another workspace": {
      run: (sql, { workspace, conversationId, otherTagId }) =>
        putOn(sql, workspace.id, conversationId, otherTagId),
      outcomes: [NO, "23503", "23503", "23503", NO, NO, "23503"],
    },
    "insert on a conversation of another workspace": {
      run: (sql, { workspace, otherConversationId, tagId }) =>
        putOn(sql, workspace.id, otherConversationId, tagId),
      outcomes: [NO, "23503", "23503", "23503", NO, NO, "23503"],
    },
    "insert into another workspace": {
      run: (sql, { other, conversationId, tagId }) => putOn(sql, other.id, conversationId, tagId),
      outcomes: [NO, NO, NO, NO, NO, "23503", "23503"],
    },
    "update": {
      run: (sql, { conversationId, spareTagId }) =>
        sql`
          update public.conversation_tags set tag_id = ${spareTagId}
          where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversation_tags where conversation_id = ${conversationId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
  },
  "public.canned_replies": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.canned_replies where workspace_id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.canned_replies (workspace_id, shortcut, title, content)
          values (${workspace.id}, 'new', 'New', 'New')`,
      outcomes: [NO, 1, 1, NO, NO, NO, 1],
    },
    "insert into another workspace": {
      run: (sql, { other }) =>
        sql`
          insert into public.canned_replies (workspace_id, shortcut, title, content)
          values (${other.id}, 'new', 'New', 'New')`,
      outcomes: [NO, NO, NO, NO, NO, 1, 1],
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.canned_replies set shortcut = 'open', title = 'Changed', content = 'Changed'
          where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "update to another workspace": {
      run: (sql, { workspace, other }) =>
        sql`
          update public.canned_replies set workspace_id = ${other.id}, shortcut = 'moved'
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.canned_replies where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
  },
  "public.conversation_list": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from public.conversation_list where id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    // A view over two tables has no rows of its own to write.
    "insert": {
      run: (sql) => sql`insert into public.conversation_list (id) values (gen_random_uuid())`,
      outcomes: CALLERS.map(() => "55000"),
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`update public.conversation_list set status = 'closed' where id = ${conversationId}`,
      outcomes: CALLERS.map(() => "55000"),
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversation_list where id = ${conversationId}`,
      outcomes: CALLERS.map(() => "55000"),
    },
  },
  "public.conversation_export": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select messages from public.conversation_export where id = ${conversationId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql) => sql`insert into public.conversation_export (id) values (gen_random_uuid())`,
      outcomes: NO_CALLER,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`update public.conversation_export set platform = 'signal' where id = ${conversationId}`,
      outcomes: NO_CALLER,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversation_export where id = ${conversationId}`,
      outcomes: NO_CALLER,
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "ingest_conversations": {
    run: (sql, { connection }) =>
      sql`
        select from public.ingest_conversations(
          ${connection.id}, ${sql.json([conversation()] as never)}
        )`,
    outcomes: SERVICE_ALONE,
  },
  "ingest_with_key": {
    run: (sql, { connection }) =>
      sql`
        select from public.ingest_with_key(
          ${connection.connection_id}, ${connection.platform}, '00', ${
        sql.json([conversation()] as never)
      })`,
    // The service learns that the key is wrong.
    outcomes: [NO, NO, NO, NO, NO, NO, "PT401"],
  },
  "conversation_messages": {
    run: (sql, { conversationId }) =>
      sql`select from public.conversation_messages(${conversationId}, max_messages => 1)`,
    outcomes: MEMBERS_READ,
  },
  "search_messages": {
    run: (sql, { workspace }) =>
      sql`select from public.search_messages(${workspace.id}, 'text of', max_messages => 1)`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "search_messages in a conversation": {
    run: (sql, { workspace, conversationId }) =>
      sql`
        select from public.search_messages(
          ${workspace.id}, 'text of', conversation_id => ${conversationId}, max_messages => 1
        )`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "search_messages in a conversation of another workspace": {
    run: (sql, { workspace, otherConversationId }) =>
      sql`
        select from public.search_messages(
          ${workspace.id}, 'text of', conversation_id => ${otherConversationId}, max_messages => 1
        )`,
    outcomes: [NO, 0, 0, 0, 0, 0, NO],
  },
  "private.find_message_places": {
    run: (sql, { workspace }) =>
      sql`
        select from private.find_message_places(
          ${workspace.id}, private.read_search('text of'),
          row(null, null, null, null, null, null, null, null)::private.conversation_filter,
          '-infinity', 'infinity', row('infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff'), 1
        )`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "index_messages": {
    run: (sql) => sql`select from public.index_messages(1)`,
    outcomes: SERVICE_ALONE,
  },
  "rebuild_message_index": {
    run: (sql, { workspace }) => sql`select public.rebuild_message_index(${workspace.id})`,
    outcomes: SERVICE_ALONE,
  },
  "search_conversations": {
    run: (sql, { workspace }) => sql`select from public.search_conversations(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "search_conversations by tag": {
    run: (sql, { workspace, tagId }) =>
      sql`select from public.search_conversations(${workspace.id}, tag_id => ${tagId})`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "search_conversations by a tag of another workspace": {
    run: (sql, { workspace, otherTagId }) =>
      sql`select from public.search_conversations(${workspace.id}, tag_id => ${otherTagId})`,
    outcomes: [NO, 0, 0, 0, 0, 0, NO],
  },
  "private.search_conversations": {
    run: (sql, { workspace }) =>
      sql`
        select from private.search_conversations(
          ${workspace.id}, '', null, null, null, false, false, null, 'infinity',
          'ffffffff-ffff-ffff-ffff-ffffffffffff', 10
        )`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "set_conversation_status": {
    run: (sql, { conversationId }) =>
      sql`select public.set_conversation_status(${conversationId}, 'closed')`,
    outcomes: WORKERS,
  },
  "assign_conversation": {
    run: (sql, { conversationId, workspace }) =>
      sql`select public.assign_conversation(${conversationId}, ${workspace.agent})`,
    outcomes: WORKERS,
  },
  "assign_conversation to a viewer": {
    run: (sql, { conversationId, workspace }) =>
      sql`select public.assign_conversation(${conversationId}, ${workspace.viewer})`,
    outcomes: [NO, "PT422", "PT422", "PT422", "PT403", "PT404", NO],
  },
  "link_conversation": {
    run: (sql, { conversationId, personId }) =>
      sql`select public.link_conversation(${conversationId}, ${personId})`,
    outcomes: WORKERS,
  },
  "link_conversation to a person of another workspace": {
    run: (sql, { conversationId, otherPersonId }) =>
      sql`select public.link_conversation(${conversationId}, ${otherPersonId})`,
    outcomes: [NO, "PT404", "PT404", "PT404", "PT403", "PT404", NO],
  },
  "mark_conversation_read": {
    run: (sql, { conversationId }) => sql`select public.mark_conversation_read(${conversationId})`,
    outcomes: WORKERS,
  },
  "mark_conversation_unread": {
    run: (sql, { conversationId }) =>
      sql`select public.mark_conversation_unread(${conversationId})`,
    outcomes: WORKERS,
  },
};
