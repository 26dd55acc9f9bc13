/**
 * Who may do what: every table and view × every kind of caller × every operation, allowed and denied.
 * A denial is matched to what denies it: 42501 where a privilege is missing or a new row is refused,
 * no rows where the row cannot be seen.
 *
 * @module
 */

import { assert, assertEquals, assertExists } from "@std/assert";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { type Actor, type Sql, sqlStateOf, useDatabase } from "../support/database.ts";
import { conversation, ingestOne, messages } from "../support/messages.ts";
import {
  addIdentity,
  addPerson,
  type Connection,
  createConnection,
  createUser,
  createWorkspace,
  unique,
  uniqueNumber,
  type Workspace,
} from "../support/people.ts";

const database = useDatabase();

const CALLERS = ["anon", "owner", "admin", "agent", "viewer", "stranger", "service"] as const;
type Caller = typeof CALLERS[number];

/** A workspace with a row in every table, and somebody who has nothing to do with it. */
interface World {
  workspace: Workspace;
  other: Workspace;
  connection: Connection;
  otherConnection: Connection;
  personId: string;
  otherPersonId: string;
  conversationId: string;
  otherConversationId: string;
  /** Written by the agent. */
  noteId: string;
  /** On the conversation. */
  tagId: string;
  spareTagId: string;
  otherTagId: string;
  agentKeyId: string;
  agentSessionId: string;
  newUser: string;
}

async function createWorld(): Promise<World> {
  const { sql } = database;
  const [workspace, other] = [await createWorkspace(sql), await createWorkspace(sql)];
  const fill = async (owned: Workspace) => {
    const connection = await createConnection(sql, owned);
    await sql`
      insert into private.connection_secrets (connection_id, secret_sha256)
      values (${connection.id}, sha256('secret'))`;
    const phone = uniqueNumber();
    const personId = await addPerson(sql, owned, { phone });
    await addIdentity(sql, owned, personId, "telegram", unique("u"));
    const conversationId = await ingestOne(
      sql,
      connection,
      conversation({
        participant_identifier: phone,
        messages: messages(90),
        changes: [{ message_id: "missing", status: "read" }],
      }),
    );
    await sql`
      insert into public.conversation_sessions (conversation_id, session_id, workspace_id, started_at)
      values (${conversationId}, 'session', ${owned.id}, now())`;
    await sql`
      insert into private.thread_aliases (workspace_id, user_id, alias, conversation_id)
      values (${owned.id}, ${owned.owner}, 'alias', ${conversationId})`;
    await sql`
      insert into private.webhook_events (phone_number_id, body, elements)
      values (${connection.connection_id}, '', '[]')`;
    await sql`
      insert into public.workflow_settings (workspace_id, workflow_type) values (${owned.id}, 'sarah')`;
    await sql`insert into public.workspace_summary_settings (workspace_id) values (${owned.id})`;
    await sql`
      insert into public.summary_runs (workspace_id, local_date, covered_until, state)
      values (${owned.id}, '2026-01-01', now(), 'finished')`;
    const [run] = await sql<{ id: string }[]>`
      insert into public.sync_runs (workspace_id, connection_id, mode, phase)
      values (${owned.id}, ${connection.id}, 'history', 'conversations') returning id`;
    await sql`
      insert into private.sync_conversations (run_id, session_id, position, conversation)
      values (${run!.id}, 'session', 1, '{}')`;
    await sql`
      insert into public.outbox_messages
        (workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, created_by)
      values (${owned.id}, ${conversationId}, ${connection.id}, 'key', 'text', 'Hi', '{}', ${owned.agent})`;
    await sql`
      insert into private.outbox_uploads (conversation_id, connection_id, media_id, type, mime_type)
      values (${conversationId}, ${connection.id}, '1', 'image', 'image/png')`;
    const [note] = await sql<{ id: string }[]>`
      insert into public.person_notes (workspace_id, person_id, content, created_by)
      values (${owned.id}, ${personId}, 'VIP', ${owned.agent})
      returning id`;
    const [tag, spare] = await sql<{ id: string }[]>`
      insert into public.tags (workspace_id, name)
      values (${owned.id}, 'VIP'), (${owned.id}, 'Spare') returning id`;
    await sql`
      insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
      values (${owned.id}, ${conversationId}, ${tag!.id})`;
    await sql`
      insert into public.canned_replies (workspace_id, shortcut, title, content)
      values (${owned.id}, 'hours', 'Opening hours', 'We are open from nine to five.')`;
    await sql`
      insert into public.person_notes (workspace_id, person_id, kind, local_date, content)
      values (${owned.id}, ${personId}, 'daily_summary', '2026-01-01', 'A quiet day')`;
    await sql`
      insert into public.person_merges
        (workspace_id, kept_id, merged_id, merged_person, kept_before, kept_after, moved)
      values (${owned.id}, ${personId}, gen_random_uuid(), '{}', '{}', '{}', '{}')`;
    await sql`
      insert into private.message_counts (workspace_id, local_date, platform, direction, messages)
      values (${owned.id}, '2026-01-01', 'whatsapp', 'inbound', 1)`;
    await sql`
      insert into private.media_copies
        (conversation_id, message_id, workspace_id, connection_id, message_type, sent_at)
      values (${conversationId}, 'm', ${owned.id}, ${connection.id}, 'image', now())`;
    await sql`
      insert into private.media_orphans (path, next_attempt_at) values (${owned.id}, 'infinity')`;
    const [key] = await sql<{ id: string }[]>`
      insert into public.agent_keys (name) values ('Test') returning id`;
    const agentKeyId = key!.id;
    await sql`
      insert into public.agent_key_workspaces (key_id, workspace_id)
      values (${agentKeyId}, ${owned.id})`;
    await sql`
      insert into private.agent_key_secrets (key_id, key_sha256)
      values (${agentKeyId}, sha256(uuid_send(gen_random_uuid())))`;
    const [session] = await sql<{ id: string }[]>`
      insert into public.agent_sessions (session_id, workspace_id, participant_key)
      values (${unique("bot_1_1_")}, ${owned.id}, '628111111111')
      returning id`;
    const agentSessionId = session!.id;
    await sql`
      insert into private.agent_message_keys values (${agentSessionId}, gen_random_uuid())`;
    return {
      connection,
      personId,
      conversationId,
      agentKeyId,
      agentSessionId,
      noteId: note!.id,
      tagId: tag!.id,
      spareTagId: spare!.id,
    };
  };
  const mine = await fill(workspace);
  const theirs = await fill(other);
  return {
    workspace,
    other,
    ...mine,
    otherConnection: theirs.connection,
    otherPersonId: theirs.personId,
    otherConversationId: theirs.conversationId,
    otherTagId: theirs.tagId,
    newUser: await createUser(sql),
  };
}

function actorOf(caller: Caller, { workspace, other }: World): Actor {
  if (caller === "anon") return "anon";
  if (caller === "service") return "service_role";
  return { userId: caller === "stranger" ? other.owner : workspace[caller] };
}

/** A statement, and what it comes to: the number of rows, or the SQLSTATE. */
interface Case {
  /** What the superuser does first, in the same transaction. */
  before?: (sql: Sql, world: World) => PromiseLike<unknown>;
  run: (sql: Sql, world: World, caller: Caller) => PromiseLike<{ count: number }>;
  /** In the order of `CALLERS`. */
  outcomes: readonly (number | string)[];
}

const NO = "42501";
/** A part of its own: any others may be added up at any moment, by whoever looks at the numbers. */
const countPart = (sql: Sql, { workspace }: World) =>
  sql`insert into private.message_count_parts values (${workspace.id}, '2026-01-03', 'whatsapp', 'inbound', 1)`;
const releaseNumber = (sql: Sql, { workspace }: World) =>
  sql`insert into private.released_numbers values ('before', ${workspace.id})`;
const userOf = (caller: Caller, world: World) => {
  const actor = actorOf(caller, world);
  return typeof actor === "string" ? world.newUser : actor.userId;
};

// Callers:                anon  owner admin agent viewer stranger service
const MEMBERS_READ = [NO, 1, 1, 1, 1, 0, 1];
const MANAGERS = [NO, 1, 1, 0, 0, 0, 1];
const SERVICE_ALONE = [NO, NO, NO, NO, NO, NO, 1];
const WORKERS = [NO, 1, 1, 1, "PT403", "PT404", NO];
const NOBODY = [NO, NO, NO, NO, NO, NO, NO];
const MANAGERS_READ = [NO, 1, 1, 0, 0, 0, 1];

function putOn(sql: Sql, workspaceId: string, conversationId: string, tagId: string) {
  return sql`
    insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
    values (${workspaceId}, ${conversationId}, ${tagId})`;
}

const MATRIX: Record<string, Record<string, Case>> = {
  "public.workspaces": {
    "select": {
      run: (sql, { workspace }) => sql`select from public.workspaces where id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert for oneself": {
      run: (sql, world, caller) =>
        sql`
          insert into public.workspaces (slug, name, user_id)
          values (${unique("w")}, 'New', ${userOf(caller, world)})`,
      outcomes: [NO, 1, 1, 1, 1, 1, 1],
    },
    "insert for somebody else": {
      run: (sql, { newUser }) =>
        sql`insert into public.workspaces (slug, name, user_id) values (${
          unique("w")
        }, 'New', ${newUser})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update public.workspaces set name = 'Renamed' where id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "update of the owner": {
      run: (sql, world, caller) =>
        sql`
          update public.workspaces set user_id = ${userOf(caller, world)}
          where id = ${world.workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) => sql`delete from public.workspaces where id = ${workspace.id}`,
      outcomes: [NO, 1, 0, 0, 0, 0, 1],
    },
  },
  "public.workspace_members": {
    "select": {
      run: (sql, { workspace }) =>
        sql`
          select from public.workspace_members
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, newUser }) =>
        sql`
          insert into public.workspace_members (workspace_id, user_id, role)
          values (${workspace.id}, ${newUser}, 'agent')`,
      outcomes: [NO, 1, 1, NO, NO, NO, 1],
    },
    "insert of an owner": {
      run: (sql, { workspace, newUser }) =>
        sql`
          insert into public.workspace_members (workspace_id, user_id, role)
          values (${workspace.id}, ${newUser}, 'owner')`,
      outcomes: SERVICE_ALONE,
    },
    "insert of oneself": {
      run: (sql, world, caller) =>
        sql`
          insert into public.workspace_members (workspace_id, user_id, role)
          values (${world.workspace.id}, ${userOf(caller, world)}, 'admin')
          on conflict (workspace_id, user_id) do nothing`,
      // Owner and admin may add members, and are members already.
      outcomes: [NO, 0, 0, NO, NO, NO, 1],
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_members set role = 'viewer'
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: MANAGERS,
    },
    "update of one's own role": {
      run: (sql, world, caller) =>
        sql`
          update public.workspace_members set role = 'admin'
          where workspace_id = ${world.workspace.id} and user_id = ${userOf(caller, world)}`,
      outcomes: [NO, 0, 0, 0, 0, 0, 0],
    },
    "update to owner": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_members set role = 'owner'
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: [NO, NO, NO, 0, 0, 0, 1],
    },
    "update of the owner": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_members set role = 'viewer'
          where workspace_id = ${workspace.id} and user_id = ${workspace.owner}`,
      outcomes: [NO, 0, 0, 0, 0, 0, 1],
    },
    "update to another workspace": {
      run: (sql, { workspace, other }) =>
        sql`
          update public.workspace_members set workspace_id = ${other.id}
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`
          delete from public.workspace_members
          where workspace_id = ${workspace.id} and user_id = ${workspace.viewer}`,
      // A viewer may leave.
      outcomes: [NO, 1, 1, 0, 1, 0, 1],
    },
    "delete of the owner": {
      run: (sql, { workspace }) =>
        sql`
          delete from public.workspace_members
          where workspace_id = ${workspace.id} and user_id = ${workspace.owner}`,
      outcomes: [NO, 0, 0, 0, 0, 0, 1],
    },
  },
  "public.connections": {
    "select": {
      run: (sql, { connection }) => sql`select from public.connections where id = ${connection.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.connections (connection_id, workspace_id, user_id, platform, name)
          values (${unique("c_")}, ${workspace.id}, ${workspace.owner}, 'whatsapp', 'New')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update public.connections set name = 'Renamed', is_active = false
          where id = ${connection.id}`,
      outcomes: MANAGERS,
    },
    "update to another workspace": {
      run: (sql, { otherConnection, workspace }) =>
        sql`
          update public.connections set workspace_id = ${workspace.id}
          where id = ${otherConnection.id}`,
      // Not even service: its conversations would be left behind.
      outcomes: [NO, NO, NO, NO, NO, NO, "23503"],
    },
    "delete": {
      run: (sql, { connection }) => sql`delete from public.connections where id = ${connection.id}`,
      outcomes: MANAGERS,
    },
  },
  "public.people": {
    "select": {
      run: (sql, { personId }) => sql`select from public.people where id = ${personId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.people (workspace_id, name, phone)
          values (${workspace.id}, 'New', ${uniqueNumber()})`,
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    "insert into another workspace": {
      run: (sql, { other }) =>
        sql`insert into public.people (workspace_id, name) values (${other.id}, 'New')`,
      outcomes: [NO, NO, NO, NO, NO, 1, 1],
    },
    "update": {
      run: (sql, { personId }) =>
        sql`update public.people set phone = ${uniqueNumber()} where id = ${personId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
    "update to another workspace": {
      run: (sql, { personId, other }) =>
        sql`update public.people set workspace_id = ${other.id} where id = ${personId}`,
      outcomes: [NO, NO, NO, NO, NO, NO, "23503"],
    },
    "delete": {
      run: (sql, { personId }) => sql`delete from public.people where id = ${personId}`,
      outcomes: MANAGERS,
    },
  },
  "public.person_identities": {
    "select": {
      run: (sql, { personId }) =>
        sql`select from public.person_identities where person_id = ${personId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_identities (workspace_id, person_id, platform, identifier)
          values (${workspace.id}, ${personId}, 'signal', ${unique()})`,
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    "insert for a person of another workspace": {
      run: (sql, { workspace, otherPersonId }) =>
        sql`
          insert into public.person_identities (workspace_id, person_id, platform, identifier)
          values (${workspace.id}, ${otherPersonId}, 'signal', ${unique()})`,
      outcomes: [NO, "23503", "23503", "23503", NO, NO, "23503"],
    },
    "insert into another workspace": {
      run: (sql, { other, otherPersonId }) =>
        sql`
          insert into public.person_identities (workspace_id, person_id, platform, identifier)
          values (${other.id}, ${otherPersonId}, 'signal', ${unique()})`,
      outcomes: [NO, NO, NO, NO, NO, 1, 1],
    },
    "update": {
      run: (sql, { personId }) =>
        sql`update public.person_identities set identifier = 'x' where person_id = ${personId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { personId }) =>
        sql`delete from public.person_identities where person_id = ${personId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
  },
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
            conversation_id, position, workspace_id, messages, message_count, first_sent_at, last_sent_at
          )
          values (${conversationId}, 9, ${workspace.id}, '[{}]', 1, now(), now())`,
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
  "public.agent_keys": {
    "select": {
      run: (sql, { agentKeyId }) => sql`select from public.agent_keys where id = ${agentKeyId}`,
      outcomes: MANAGERS_READ,
    },
    "insert": {
      run: (sql) => sql`insert into public.agent_keys (name) values ('New')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentKeyId }) =>
        sql`update public.agent_keys set revoked_at = now() where id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentKeyId }) => sql`delete from public.agent_keys where id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.agent_key_workspaces": {
    "select": {
      run: (sql, { agentKeyId }) =>
        sql`select from public.agent_key_workspaces where key_id = ${agentKeyId}`,
      outcomes: MANAGERS_READ,
    },
    "insert": {
      run: (sql, { agentKeyId, other }) =>
        sql`
          insert into public.agent_key_workspaces (key_id, workspace_id)
          values (${agentKeyId}, ${other.id})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentKeyId }) =>
        sql`update public.agent_key_workspaces set key_id = key_id where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentKeyId }) =>
        sql`delete from public.agent_key_workspaces where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.agent_sessions": {
    "select": {
      run: (sql, { agentSessionId }) =>
        sql`select from public.agent_sessions where id = ${agentSessionId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.agent_sessions (session_id, workspace_id, participant_key)
          values (${unique()}, ${workspace.id}, '628222222222')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentSessionId }) =>
        sql`update public.agent_sessions set is_active = false where id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentSessionId }) =>
        sql`delete from public.agent_sessions where id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.agent_key_secrets": {
    "select": {
      run: (sql, { agentKeyId }) =>
        sql`select from private.agent_key_secrets where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { agentKeyId }) =>
        sql`
          insert into private.agent_key_secrets (key_id, key_sha256)
          values (${agentKeyId}, sha256('x'))
          on conflict (key_id) do update set key_sha256 = excluded.key_sha256`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentKeyId }) =>
        sql`update private.agent_key_secrets set key_sha256 = sha256('x') where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentKeyId }) =>
        sql`delete from private.agent_key_secrets where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.agent_message_keys": {
    "select": {
      run: (sql, { agentSessionId }) =>
        sql`select from private.agent_message_keys where session_id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { agentSessionId }) =>
        sql`insert into private.agent_message_keys values (${agentSessionId}, gen_random_uuid())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentSessionId }) =>
        sql`update private.agent_message_keys set message_digest = gen_random_uuid() where session_id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentSessionId }) =>
        sql`delete from private.agent_message_keys where session_id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
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
      outcomes: NOBODY,
    },
    "update": {
      run: (sql, { conversationId }) =>
        sql`update public.conversation_export set platform = 'signal' where id = ${conversationId}`,
      outcomes: NOBODY,
    },
    "delete": {
      run: (sql, { conversationId }) =>
        sql`delete from public.conversation_export where id = ${conversationId}`,
      outcomes: NOBODY,
    },
  },
  "public.workflow_settings": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.workflow_settings where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.workflow_settings (workspace_id, workflow_type)
          values (${workspace.id}, 'new')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workflow_settings set sync_status = 'synced'
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.workflow_settings where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
  },
  "public.workflow_settings_history": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.workflow_settings_history where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.workflow_settings_history
            (workspace_id, workflow_type, version, action, sync_status, "values")
          values (${workspace.id}, 'sarah', 1, 'updated', 'synced', '{}')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workflow_settings_history set changed_by = null
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.workflow_settings_history where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.workspace_summary_settings": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.workspace_summary_settings where workspace_id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert or update": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.workspace_summary_settings (workspace_id, allow_external_ai)
          values (${workspace.id}, true)
          on conflict (workspace_id) do update set allow_external_ai = excluded.allow_external_ai`,
      outcomes: [NO, 1, 1, NO, NO, NO, 1],
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_summary_settings set allow_external_ai = true
          where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "update to another workspace": {
      run: (sql, { workspace, newUser }) =>
        sql`
          update public.workspace_summary_settings set workspace_id = (
            select id from public.workspaces where user_id = ${newUser}
          )
          where workspace_id = ${workspace.id}`,
      // They cannot see that workspace, so it is null for them.
      outcomes: [NO, NO, NO, 0, 0, 0, 1],
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.workspace_summary_settings where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.summary_runs": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.summary_runs where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.summary_runs (workspace_id, local_date, covered_until)
          values (${workspace.id}, '2026-01-02', now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update public.summary_runs set tokens_used = 0 where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.summary_runs where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.connection_secrets": {
    "select": {
      run: (sql, { connection }) =>
        sql`select from private.connection_secrets where connection_id = ${connection.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { connection }) =>
        sql`
          insert into private.connection_secrets (connection_id, secret_sha256)
          values (${connection.id}, sha256('x'))
          on conflict (connection_id) do update set secret_sha256 = excluded.secret_sha256`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.connection_secrets set secret_sha256 = sha256('x')
          where connection_id = ${connection.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`delete from private.connection_secrets where connection_id = ${connection.id}`,
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
      run: (sql, { conversationId }) =>
        sql`
          insert into private.waiting_updates (conversation_id, message_id, change)
          values (${conversationId}, 'x', '{}')`,
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
  "private.thread_aliases": {
    "select": {
      run: (sql, { conversationId }) =>
        sql`select from private.thread_aliases where conversation_id = ${conversationId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { conversationId, workspace }) =>
        sql`
          insert into private.thread_aliases (workspace_id, user_id, alias, conversation_id)
          values (${workspace.id}, ${workspace.owner}, 'new', ${conversationId})`,
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
  "private.webhook_events": {
    "select": {
      run: (sql, { connection }) =>
        sql`
          select from private.webhook_events
          where phone_number_id = ${connection.connection_id}`,
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
          where phone_number_id = ${connection.connection_id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`
          delete from private.webhook_events
          where phone_number_id = ${connection.connection_id}`,
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
      outcomes: NOBODY,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`update public.connection_health set last_event_at = now() where id = ${connection.id}`,
      outcomes: NOBODY,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`delete from public.connection_health where id = ${connection.id}`,
      outcomes: NOBODY,
    },
  },
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
  "public.person_merges": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.person_merges where workspace_id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, personId }) =>
        sql`insert into public.person_merges (workspace_id, kept_id, merged_id, merged_person, kept_before, kept_after, moved) values (${workspace.id}, ${personId}, gen_random_uuid(), '{}', '{}', '{}', '{}')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update public.person_merges set undone_at = now() where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.person_merges where workspace_id = ${workspace.id}`,
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
  "private.message_counts": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from private.message_counts where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.message_counts values (${workspace.id}, '2026-01-02', 'whatsapp', 'inbound', 1)`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update private.message_counts set messages = 2 where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from private.message_counts where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.released_numbers": {
    "select": {
      before: releaseNumber,
      run: (sql, { workspace }) =>
        sql`select from private.released_numbers where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.released_numbers values ('matrix', ${workspace.id})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: releaseNumber,
      run: (sql, { workspace }) =>
        sql`update private.released_numbers set released_at = now() where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: releaseNumber,
      run: (sql, { workspace }) =>
        sql`delete from private.released_numbers where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.message_count_parts": {
    "select": {
      before: countPart,
      run: (sql, { workspace }) =>
        sql`select from private.message_count_parts where workspace_id = ${workspace.id} and local_date = '2026-01-03'`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.message_count_parts values (${workspace.id}, '2026-01-02', 'whatsapp', 'inbound', 1)`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: countPart,
      run: (sql, { workspace }) =>
        sql`update private.message_count_parts set messages = 2 where workspace_id = ${workspace.id} and local_date = '2026-01-03'`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: countPart,
      run: (sql, { workspace }) =>
        sql`delete from private.message_count_parts where workspace_id = ${workspace.id} and local_date = '2026-01-03'`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.person_notes": {
    "select": {
      run: (sql, { noteId }) => sql`select from public.person_notes where id = ${noteId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, content)
          values (${workspace.id}, ${personId}, 'New')`,
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    "insert for a person of another workspace": {
      run: (sql, { workspace, otherPersonId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, content)
          values (${workspace.id}, ${otherPersonId}, 'New')`,
      outcomes: [NO, "23503", "23503", "23503", NO, NO, "23503"],
    },
    "insert of a daily summary": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, kind, local_date, content)
          values (${workspace.id}, ${personId}, 'daily_summary', '2026-01-02', 'New')`,
      outcomes: SERVICE_ALONE,
    },
    "insert in the name of somebody else": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, content, created_by)
          values (${workspace.id}, ${personId}, 'New', ${workspace.viewer})`,
      outcomes: SERVICE_ALONE,
    },
    "update of the agent's": {
      run: (sql, { noteId }) =>
        sql`update public.person_notes set content = 'Changed' where id = ${noteId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
    "update of a daily summary": {
      run: (sql, { personId }) =>
        sql`
          update public.person_notes set content = 'Changed'
          where person_id = ${personId} and kind = 'daily_summary'`,
      outcomes: [NO, 0, 0, 0, 0, 0, 1],
    },
    "update to another person": {
      run: (sql, { noteId, personId }) =>
        sql`update public.person_notes set person_id = ${personId} where id = ${noteId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete of the agent's": {
      run: (sql, { noteId }) => sql`delete from public.person_notes where id = ${noteId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
    "delete of a daily summary": {
      run: (sql, { personId }) =>
        sql`
          delete from public.person_notes
          where person_id = ${personId} and kind = 'daily_summary'`,
      outcomes: [NO, 1, 1, 0, 0, 0, 1],
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
    // Both in one workspace, or not at all: whichever workspace the row names, and whoever writes it.
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
  "private.country_calling_codes": {
    "select": {
      run: (sql) => sql`select from private.country_calling_codes where country = 'ID'`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) => sql`insert into private.country_calling_codes values ('XX', '0', null)`,
      outcomes: NOBODY,
    },
    "update": {
      run: (sql) =>
        sql`update private.country_calling_codes set calling_code = '0' where country = 'ID'`,
      outcomes: NOBODY,
    },
    "delete": {
      run: (sql) => sql`delete from private.country_calling_codes where country = 'ID'`,
      outcomes: NOBODY,
    },
  },
};

Deno.test("the matrix names every table and view", async () => {
  const relations = await database.sql<{ name: string }[]>`
    select namespace.nspname || '.' || relation.relname as name
    from pg_class as relation
    join pg_namespace as namespace on namespace.oid = relation.relnamespace
    where namespace.nspname in ('public', 'private') and relation.relkind in ('r', 'p', 'v', 'm', 'f')
    order by name`;
  assertEquals(relations.map((each) => each.name), Object.keys(MATRIX).sort());
  for (const [name, cases] of Object.entries(MATRIX)) {
    for (const operation of ["select", "insert", "update", "delete"]) {
      assert(
        Object.keys(cases).some((each) => each.startsWith(operation)),
        `${name} has no case for ${operation}`,
      );
    }
  }
});

Deno.test("every table and view × every caller × every operation", async (t) => {
  const world = await createWorld();
  for (const [relation, cases] of Object.entries(MATRIX)) {
    for (const [operation, { before, run, outcomes }] of Object.entries(cases)) {
      await t.step(`${relation}: ${operation}`, async () => {
        const actual: Record<string, number | string> = {};
        const expected: Record<string, number | string> = {};
        for (const [index, caller] of CALLERS.entries()) {
          const { result, code } = await database.attempt(
            actorOf(caller, world),
            async (sql) => (await run(sql, world, caller)).count,
            async (sql) => await before?.(sql, world),
          );
          actual[caller] = code ?? result!;
          expected[caller] = outcomes[index]!;
        }
        assertEquals(actual, expected);
      });
    }
  }
});

const FUNCTIONS: Record<string, Case> = {
  "conversation_messages": {
    run: (sql, { conversationId }) =>
      sql`select from public.conversation_messages(${conversationId}, max_messages => 1)`,
    outcomes: MEMBERS_READ,
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
  "the definer function behind it": {
    run: (sql, { workspace }) =>
      sql`
        select from private.search_conversations(
          ${workspace.id}, '', null, null, null, false, false, null, 'infinity',
          'ffffffff-ffff-ffff-ffff-ffffffffffff', 10
        )`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "create_connection": {
    run: (sql, { workspace }) =>
      sql`select from public.create_connection(${workspace.id}, 'signal', ${unique("c_")})`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "rotate_connection_secret": {
    run: (sql, { connection }) =>
      sql`select from public.rotate_connection_secret(${connection.id})`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "verify_connection_secret": {
    run: (sql, { connection }) =>
      sql`select from public.verify_connection_secret(${connection.connection_id}, '00')`,
    outcomes: SERVICE_ALONE,
  },
  "ingest_conversations": {
    run: (sql, { connection }) =>
      sql`
        select from public.ingest_conversations(
          ${connection.id}, ${sql.json([conversation()] as never)}
        )`,
    outcomes: SERVICE_ALONE,
  },
  "list_people": {
    run: (sql, { workspace }) => sql`select from public.list_people(${workspace.id})`,
    outcomes: SERVICE_ALONE,
  },
  "webhook_secrets": {
    run: (sql, { connection }) =>
      sql`select from public.webhook_secrets(${connection.connection_id})`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "replay_webhook_events": {
    run: (sql) => sql`select from public.replay_webhook_events(ids => '{}')`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
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
  "kapso_api_key": {
    run: (sql, { connection }) => sql`select public.kapso_api_key(${connection.id})`,
    outcomes: SERVICE_ALONE,
  },
  "begin_due_sync_run": {
    // The connection is no Kapso number, so nothing is due.
    run: (sql, { connection }) =>
      sql`select from public.begin_due_sync_run(${connection.id}, 'repair')`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "due_session_checks": {
    run: (sql, { connection }) => sql`select from public.due_session_checks(${connection.id})`,
    outcomes: SERVICE_ALONE,
  },
  "postpone_sync": {
    run: (sql, { connection }) => sql`select public.postpone_sync(${connection.id}, 0)`,
    outcomes: SERVICE_ALONE,
  },
  "due_sync_runs": {
    run: (sql) => sql`select from public.due_sync_runs(0)`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
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
  "check_outbox": {
    run: (sql, { conversationId }) => sql`select from public.check_outbox(${conversationId})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "sending_side": {
    run: (sql, { conversationId }) => sql`select public.sending_side(${conversationId})`,
    outcomes: WORKERS,
  },
  "claim_outbox_message": {
    run: (sql, { conversationId }) =>
      sql`select from public.claim_outbox_message(${conversationId})`,
    outcomes: SERVICE_ALONE,
  },
  "settle_outbox": {
    run: (sql) => sql`select from public.settle_outbox(0)`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "set_conversation_status": {
    run: (sql, { conversationId }) =>
      sql`select public.set_conversation_status(${conversationId}, 'closed')`,
    outcomes: WORKERS,
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
  "merge_people of two workspaces": {
    run: (sql, { personId, otherPersonId }) =>
      sql`select from public.merge_people(${personId}, ${otherPersonId})`,
    outcomes: [NO, "PT404", "PT404", "PT404", "PT403", "PT404", NO],
  },
  "workspace_member_list": {
    run: (sql, { workspace }) => sql`select from public.workspace_member_list(${workspace.id})`,
    outcomes: [NO, 4, 4, 4, 4, "PT404", NO],
  },
  "overview_statistics": {
    run: (sql, { workspace }) => sql`select public.overview_statistics(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "connection_overview": {
    run: (sql, { workspace }) => sql`select from public.connection_overview(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "managed_connection": {
    run: (sql, { connection }) => sql`select from public.managed_connection(${connection.id})`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "update_connection": {
    run: (sql, { connection }) =>
      sql`select from public.update_connection(${connection.id}, '{"is_active": false}')`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "create_agent_key": {
    run: (sql, { workspace }) =>
      sql`select from public.create_agent_key(array[${workspace.id}]::uuid[], 'New')`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "create_agent_key for a workspace of somebody else besides": {
    run: (sql, { workspace, other }) =>
      sql`select from public.create_agent_key(array[${workspace.id}, ${other.id}]::uuid[])`,
    outcomes: NOBODY,
  },
  "revoke_agent_key": {
    run: (sql, { agentKeyId }) => sql`select public.revoke_agent_key(${agentKeyId})`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "read_agent_session": {
    run: (sql) => sql`select from public.read_agent_session('00', 'x', 'x')`,
    outcomes: SERVICE_ALONE,
  },
  "add_agent_message": {
    run: (sql) => sql`select from public.add_agent_message('00', 'x', 'user', 'x')`,
    outcomes: SERVICE_ALONE,
  },
  "prune_agent_sessions": {
    run: (sql) => sql`select from public.prune_agent_sessions(36500)`,
    outcomes: SERVICE_ALONE,
  },
  "prune_records": {
    run: (sql) => sql`select from public.prune_records(0) limit 1`,
    outcomes: SERVICE_ALONE,
  },
  "workspace_membership": {
    run: (sql, { workspace }) => sql`select from public.workspace_membership(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "save_workflow_settings": {
    run: (sql, { workspace }) =>
      sql`
        select from public.save_workflow_settings(
          ${workspace.id}, 'sarah', 1, ${sql.json({ temperature: 1 })}
        )`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "confirm_workflow_settings": {
    run: (sql, { workspace }) =>
      sql`select from public.confirm_workflow_settings(${workspace.id}, 'sarah', 1)`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "record_workflow_sync": {
    run: (sql, { workspace }) =>
      sql`
        select from public.record_workflow_sync(
          ${workspace.id}, 'sarah', 1, 'synced', null, 'synced', null
        )`,
    outcomes: SERVICE_ALONE,
  },
  "start_summary_run": {
    run: (sql, { workspace }) => sql`select from public.start_summary_run(${workspace.id})`,
    outcomes: [NO, 1, 1, NO, NO, NO, NO],
  },
  "summary_run": {
    run: (sql, { workspace }) => sql`select from public.summary_run(${workspace.id}, '2026-01-01')`,
    outcomes: MANAGERS,
  },
  "claim_summary_slice": {
    run: (sql, { workspace }) =>
      sql`
        select from public.claim_summary_slice(
          only_workspace => ${workspace.id}, only_date => '2026-01-01'
        )`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "write_daily_summaries": {
    run: (sql, { workspace }) =>
      sql`
        select from public.write_daily_summaries(
          ${workspace.id}, '2026-01-01', gen_random_uuid(), '{}', '{}', '[]'
        )`,
    outcomes: SERVICE_ALONE,
  },
  "private.match_person": {
    run: (sql, { workspace }) =>
      sql`select private.match_person(${workspace.id}, 'whatsapp', '+628111111111')`,
    outcomes: SERVICE_ALONE,
  },
};

Deno.test("every function × every caller", async (t) => {
  const world = await createWorld();
  for (const [name, { run, outcomes }] of Object.entries(FUNCTIONS)) {
    await t.step(name, async () => {
      const actual: Record<string, number | string> = {};
      for (const caller of CALLERS) {
        const { result, code } = await database.attempt(
          actorOf(caller, world),
          async (sql) => (await run(sql, world, caller)).count,
        );
        actual[caller] = code ?? result!;
      }
      assertEquals(
        actual,
        Object.fromEntries(CALLERS.map((caller, index) => [caller, outcomes[index]!])),
      );
    });
  }
});

Deno.test("a stranger sees no row of anything, whatever they ask for", async () => {
  const world = await createWorld();
  const stranger: Actor = { userId: world.newUser };
  await database.as(stranger, async (sql) => {
    for (
      const table of [
        "connections",
        "people",
        "person_identities",
        "conversations",
        "conversation_archives",
        "conversation_sessions",
        "agent_keys",
        "agent_key_workspaces",
        "agent_sessions",
        "conversation_list",
        "conversation_export",
        "outbox_messages",
        "person_merges",
        "person_notes",
        "tags",
        "conversation_tags",
        "canned_replies",
      ]
    ) {
      const rows = await sql`select from ${sql(`public.${table}`)}`;
      assertEquals(rows.length, 0, table);
    }
    // Their own workspace, and themselves.
    assertEquals((await sql`select from public.workspaces`).length, 1);
    assertEquals((await sql`select from public.workspace_members`).length, 1);
  });
});

Deno.test("a person who is added adopts conversations of their own workspace alone", async () => {
  const { sql, service } = database;
  const [mine, theirs] = [await createWorkspace(sql), await createWorkspace(sql)];
  const number = uniqueNumber();
  const id = await ingestOne(
    service,
    await createConnection(sql, theirs),
    conversation({ participant_identifier: number }),
  );
  await database.as({ userId: mine.agent }, async (member) => {
    await member`
      insert into public.people (workspace_id, name, phone) values (${mine.id}, 'X', ${number})`;
  });
  const [row] = await sql`select person_id from public.conversations where id = ${id}`;
  assertEquals(row!.person_id, null);
});

Deno.test("members cannot write what the database computes", async () => {
  const world = await createWorld();
  const owner: Actor = { userId: world.workspace.owner };
  for (
    const column of [
      "kapso_name",
      "last_activity_at",
      "created_at",
      "updated_at",
      "workspace_id",
      "id",
    ]
  ) {
    const { code } = await database.attempt(
      owner,
      async (sql) => await sql`update public.people set ${sql(column)} = null`,
    );
    assertEquals(code, NO, column);
  }
  for (const column of ["user_id", "workspace_id", "connection_id", "platform", "last_synced_at"]) {
    const { code } = await database.attempt(
      owner,
      async (sql) => await sql`update public.connections set ${sql(column)} = null`,
    );
    assertEquals(code, NO, column);
  }
});

// Over HTTP -------------------------------------------------------------------------------------

/** Somebody who has signed up and is signed in, with their workspace. */
async function signUp(): Promise<{ client: SupabaseClient; userId: string; workspaceId: string }> {
  const { info } = database;
  const client = createClient(info.api_url, info.publishable_key, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const { data, error } = await client.auth.signUp({
    email: `${unique("http")}@example.com`,
    password: "a-password-for-tests",
  });
  assertEquals(error, null);
  assertExists(data.session);
  const { data: workspaces } = await client.from("workspaces").select("id");
  assertEquals(workspaces?.length, 1);
  return { client, userId: data.user!.id, workspaceId: workspaces![0]!.id };
}

Deno.test("over HTTP: a member reads, a stranger sees nothing", async (t) => {
  const { info } = database;
  const options = { auth: { persistSession: false, autoRefreshToken: false } };
  const member = await signUp();
  const stranger = await signUp();
  const nobody = createClient(info.api_url, info.publishable_key, options);
  const service = createClient(info.api_url, info.secret_key, options);

  const connectionName = unique("c_");
  const made = await member.client.rpc("create_connection", {
    workspace_id: member.workspaceId,
    platform: "whatsapp",
    connection_id: connectionName,
  }).single<{ id: string; api_secret: string }>();
  assertEquals(made.error, null);
  const phone = uniqueNumber();
  const person = await member.client.from("people")
    .insert({ workspace_id: member.workspaceId, name: "Ani", phone }).select("id").single();
  assertEquals(person.error, null);
  const stored = await service.rpc("ingest_conversations", {
    connection_id: made.data!.id,
    conversations: [conversation({ participant_identifier: phone, messages: messages(150) })],
  }).single<{ id: string; outcome: string; messages_added: number }>();
  assertEquals([stored.data?.outcome, stored.data?.messages_added], ["created", 150]);
  const id = stored.data!.id;

  const views = ["conversations", "conversation_list", "conversation_export"];
  await t.step("the member", async () => {
    for (const view of views) {
      const { data } = await member.client.from(view).select("id, person_id").eq("id", id);
      assertEquals(data, [{ id, person_id: person.data!.id }], view);
    }
    const thread = await member.client.rpc("conversation_messages", {
      conversation: id,
      max_messages: 7,
    });
    assertEquals(thread.data?.length, 7);
    const found = await member.client.rpc("search_conversations", {
      workspace_id: member.workspaceId,
      search: "ani",
    });
    assertEquals(found.data?.map((each: { id: string }) => each.id), [id]);
  });

  await t.step("a stranger", async () => {
    for (
      const view of [
        ...views,
        "conversation_archives",
        "people",
        "person_identities",
        "connections",
      ]
    ) {
      const { data, error } = await stranger.client.from(view).select();
      assertEquals([data, error], [[], null], view);
    }
    const thread = await stranger.client.rpc("conversation_messages", { conversation: id });
    assertEquals(thread.data, []);
    const found = await stranger.client.rpc("search_conversations", {
      workspace_id: member.workspaceId,
    });
    assertEquals(found.data, []);
    const { error: creating } = await stranger.client.rpc("create_connection", {
      workspace_id: member.workspaceId,
      platform: "whatsapp",
      connection_id: unique("c_"),
    });
    assertEquals(creating?.code, NO);
    const { error: rotating } = await stranger.client.rpc("rotate_connection_secret", {
      id: made.data!.id,
    });
    assertEquals(rotating?.code, NO);
    const { error: adding } = await stranger.client.from("people")
      .insert({ workspace_id: member.workspaceId, name: "Spy" });
    assertEquals(adding?.code, NO);
    const { error: joining } = await stranger.client.from("workspace_members")
      .insert({ workspace_id: member.workspaceId, user_id: stranger.userId, role: "admin" });
    assertEquals(joining?.code, NO);
    const renaming = await stranger.client.from("connections")
      .update({ name: "Mine" }).eq("id", made.data!.id).select();
    assertEquals(renaming.data, []);
  });

  await t.step("nobody signed in", async () => {
    for (const view of [...views, "workspaces", "people", "connections"]) {
      const { error } = await nobody.from(view).select();
      assertEquals(error?.code, NO, view);
    }
    for (
      const [name, args] of [
        ["conversation_messages", { conversation: id }],
        ["search_conversations", { workspace_id: member.workspaceId }],
        ["ingest_conversations", { connection_id: made.data!.id, conversations: [] }],
      ] as const
    ) {
      const { error } = await nobody.rpc(name, args);
      assertEquals(error?.code, NO, name);
    }
  });

  await t.step("the member cannot use the door itself", async () => {
    const { error } = await member.client.rpc("ingest_conversations", {
      connection_id: made.data!.id,
      conversations: [],
    });
    assertEquals(error?.code, NO);
    const { error: verifying } = await member.client.rpc("verify_connection_secret", {
      connection_id: connectionName,
      secret_sha256: "00",
    });
    assertEquals(verifying?.code, NO);
  });

  await t.step("the schema private cannot be reached by anybody", async () => {
    for (const client of [member.client, nobody, service]) {
      for (
        const table of [
          "message_keys",
          "connection_secrets",
          "waiting_updates",
          "webhook_events",
          "media_copies",
          "agent_key_secrets",
          "agent_message_keys",
        ]
      ) {
        const hidden = await client.schema("private" as "public").from(table).select();
        assertEquals(hidden.data, null, table);
        assert(hidden.error);
        const guessed = await client.from(table).select();
        assertEquals(guessed.data, null, table);
        assert(guessed.error);
      }
      const called = await client.rpc("workspaces_with_role", { roles: ["owner"] });
      assert(called.error);
    }
  });
});

Deno.test("a function of a trigger cannot be called by anybody", async () => {
  for (const role of ["anon", "authenticated", "service_role"]) {
    const rows = await database.sql`
      select function.oid::regprocedure::text as name
      from pg_proc as function
      where function.pronamespace in ('public'::regnamespace, 'private'::regnamespace)
        and function.prorettype = 'trigger'::regtype
        and has_function_privilege(${role}, function.oid, 'execute')`;
    assertEquals([...rows], [], role);
  }
  assertEquals(await sqlStateOf(database.service`select private.touch_updated_at()`), NO);
});
