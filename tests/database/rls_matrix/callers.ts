/**
 * The callers of the matrix, the workspace they act on, and what the outcomes of a case mean.
 *
 * @module
 */

import type { Actor, Sql } from "../../support/database.ts";
import { conversation, ingestOne, messages } from "../../support/messages.ts";
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
} from "../../support/people.ts";

/** Every kind of caller, in the order of the outcomes of a case. A stranger owns another workspace. */
export const CALLERS = [
  "anon",
  "owner",
  "admin",
  "agent",
  "viewer",
  "stranger",
  "service",
] as const;
/** A kind of caller. */
export type Caller = typeof CALLERS[number];

/** A workspace with a row in every table, another one, and a user who is in neither. */
export interface World {
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

/** Creates the two workspaces and fills both. */
export async function createWorld(sql: Sql): Promise<World> {
  const [workspace, other] = [await createWorkspace(sql), await createWorkspace(sql)];
  const fill = async (owned: Workspace) => {
    const connection = await createConnection(sql, owned);
    await sql`
      insert into private.connection_secrets (connection_id, secret_sha256)
      values (${connection.id}, sha256(uuid_send(${connection.id})))`;
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
      insert into private.message_blocks
        (workspace_id, conversation_id, first_sent_at, last_sent_at, sent_ats, words)
      values (${owned.id}, ${conversationId}, now(), now(), array[now()], ' =in text ')`;
    // Long ago, so that its session is due to be looked up.
    await sql`
      update public.conversations set last_arrival_at = last_message_at where id = ${conversationId}`;
    await sql`
      insert into public.conversation_sessions (conversation_id, session_id, workspace_id, started_at)
      values (${conversationId}, 'session', ${owned.id}, now())`;
    await sql`
      insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
      values (${owned.id}, 'whatsapp', 'alias', ${conversationId})`;
    await sql`
      insert into private.open_webhook_events (id, phone_number_id, body, elements)
      overriding system value values (1, ${connection.connection_id}, '', '[]')`;
    await sql`
      insert into private.finished_webhook_events (id, phone_number_id, body, elements, state)
      overriding system value values (2, ${connection.connection_id}, '', '[]', 'processed')`;
    await sql`
      insert into private.webhook_deliveries (digest, event_id, received_at)
      values (md5(${connection.connection_id})::uuid, 1, now())`;
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

/** Says as whom a caller's statements run. */
export function actorOf(caller: Caller, { workspace, other }: World): Actor {
  if (caller === "anon") return "anon";
  if (caller === "service") return "service_role";
  return { userId: caller === "stranger" ? other.owner : workspace[caller] };
}

/**
 * A statement, and what it comes to for each caller: the number of rows, or the SQLSTATE that denies it.
 *
 * | outcome | means |
 * |---|---|
 * | 1 | allowed: one row |
 * | 0 | the caller does not see the row, so nothing happens |
 * | 42501 (`NO`) | no privilege, or the new row is refused by a policy |
 * | PT403, PT404 | private.require_role: a member whose role is too low, a stranger |
 * | 23503 and others | allowed, and refused by a constraint |
 */
export interface Case {
  /** What the superuser does first, in the same transaction. */
  readonly before?: (sql: Sql, world: World) => PromiseLike<unknown>;
  readonly run: (sql: Sql, world: World, caller: Caller) => PromiseLike<{ count: number }>;
  /** In the order of `CALLERS`: anon, owner, admin, agent, viewer, stranger, service. */
  readonly outcomes: readonly (number | string)[];
}

/** The cases of a table or view. Each of the four operations has one at least; its name begins with it. */
export type TableCases = Readonly<Record<string, Case>>;

/** No privilege, or the new row is refused by a policy. */
export const NO = "42501";

// Callers, in their order: anon, owner, admin, agent, viewer, stranger, service.

/** Members see the row; a stranger sees none. */
export const MEMBERS_READ = [NO, 1, 1, 1, 1, 0, 1];
/** Owners and admins; others see no row they could change. */
export const MANAGERS = [NO, 1, 1, 0, 0, 0, 1];
/** service_role alone. */
export const SERVICE_ALONE = [NO, NO, NO, NO, NO, NO, 1];
/** Functions that check the role themselves: owners, admins and agents. */
export const WORKERS = [NO, 1, 1, 1, "PT403", "PT404", NO];
/** Not even service_role. */
export const NO_CALLER = [NO, NO, NO, NO, NO, NO, NO];

/** Adds a part of a count: other parts may be added up at any moment. */
export const countPart = (sql: Sql, { workspace }: World) =>
  sql`insert into private.message_count_parts values (${workspace.id}, '2026-01-03', 'whatsapp', 'inbound', 1)`;

/** Records a run of a job. */
export const jobRun = (sql: Sql) =>
  sql`insert into private.job_runs (job, status, finished_at) values ('matrix', 202, now())`;

/** Lists a connection of the workspace as deleted. */
export const noteDeletedConnection = (sql: Sql, { workspace }: World) =>
  sql`
    insert into private.deleted_connections (connection_id, workspace_id)
    values (gen_random_uuid(), ${workspace.id})`;

/** Lists the workspace in the directory. */
export const listInDirectory = (sql: Sql, { workspace }: World) =>
  sql`
    insert into private.directory_entries (kind, value, workspace_id, project_url, publishable_key)
    values ('workspace', ${workspace.slug}, ${workspace.id}, 'https://a.example.com', 'key')`;

/** Notes a pause of the workspace, and an import of one. */
export const notePause = (sql: Sql, { workspace }: World) =>
  sql`insert into private.workspace_pauses (workspace_id, state) values (${workspace.id}, '{}')`;
export const noteImport = (sql: Sql, { workspace }: World) =>
  sql`insert into private.workspace_imports (workspace_id, export_id) values (${workspace.id}, 'x')`;

/** Changes a limit. */
export const changeLimit = (sql: Sql, { workspace }: World) =>
  sql`
    insert into private.limits (name, subject_id, value)
    values ('connections_per_workspace', ${workspace.id}, 30)`;

/** Counts against a limit of the workspace. */
export const useLimit = (sql: Sql, { workspace }: World) =>
  sql`
    insert into private.limit_uses (name, subject_id, begins_at, slot, used, counted_in)
    values ('webhook_bytes_per_day', ${workspace.id}, now(), 0, 1, pg_current_xact_id())`;

/** Returns the user id of a caller; for callers without one, that of a new user. */
export const userOf = (caller: Caller, world: World) => {
  const actor = actorOf(caller, world);
  return typeof actor === "string" ? world.newUser : actor.userId;
};

/** Puts a tag on a conversation. */
export function putOn(sql: Sql, workspaceId: string, conversationId: string, tagId: string) {
  return sql`
    insert into public.conversation_tags (workspace_id, conversation_id, tag_id)
    values (${workspaceId}, ${conversationId}, ${tagId})`;
}
