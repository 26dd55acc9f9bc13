/**
 * The tables that make up a workspace: which of them move with it, in which order, and which stay behind and why. A
 * test compares the two lists with the catalogue, so that a new table is decided on.
 *
 * @module
 */

/** A table that moves. Without `of` and `isWorkspace`, its rows are those with the `workspace_id`. */
export interface MovedTable {
  /** With its schema. */
  readonly name: string;
  /** Its rows are those whose `column` is an id in `parent`, which has a `workspace_id`. */
  readonly of?: { readonly column: string; readonly parent: string };
  /** Its rows are those of the agent keys of the workspace, by this column. */
  readonly ofKeys?: string;
  /** Splits its rows into chunks: by ranges of `column`, which holds ids of the table `ids`. */
  readonly chunks?: { readonly column: string; readonly ids: string };
  /** Has rows that the other workspaces of a key share: those that the target has already stay as they are. */
  readonly isShared?: boolean;
  /** Columns that the digest leaves out, because they change with use. */
  readonly notCompared?: readonly string[];
  /** The schedule of the source changes its rows at any time, also during a pause. */
  readonly changesBySchedule?: boolean;
}

const byId = (name: string): MovedTable => ({ name, chunks: { column: "id", ids: name } });
const byConversation = { column: "conversation_id", ids: "public.conversations" };

/**
 * What comes first, in chunks. Without its workspace and members no policy shows any of it, and without its connections
 * no function writes to it.
 */
export const BULK_TABLES: readonly MovedTable[] = [
  byId("public.people"),
  byId("public.person_identities"),
  byId("public.person_notes"),
  { ...byId("public.person_merges"), changesBySchedule: true },
  byId("public.conversations"),
  { name: "public.conversation_archives", chunks: byConversation },
  {
    name: "private.message_keys",
    of: { column: "conversation_id", parent: "public.conversations" },
    chunks: byConversation,
  },
  { name: "public.conversation_sessions", chunks: byConversation },
  { name: "public.conversation_tags", chunks: byConversation },
  { name: "private.thread_aliases", chunks: byConversation },
  { name: "private.media_copies", chunks: byConversation, changesBySchedule: true },
  { ...byId("public.agent_sessions"), changesBySchedule: true },
  {
    name: "private.agent_message_keys",
    of: { column: "session_id", parent: "public.agent_sessions" },
    chunks: { column: "session_id", ids: "public.agent_sessions" },
    changesBySchedule: true,
  },
];

/**
 * What comes last, in one transaction: it makes the workspace visible, or is what the schedule works on. Parents come
 * before their children.
 */
export const LAST_TABLES: readonly MovedTable[] = [
  { name: "public.workspaces" },
  { name: "public.workspace_members" },
  { name: "public.connections" },
  {
    name: "private.connection_secrets",
    of: { column: "connection_id", parent: "public.connections" },
  },
  { name: "private.deleted_connections", changesBySchedule: true },
  { name: "public.tags" },
  { name: "public.canned_replies" },
  { name: "private.waiting_updates", changesBySchedule: true },
  { name: "public.sync_runs", changesBySchedule: true },
  {
    name: "private.sync_conversations",
    of: { column: "run_id", parent: "public.sync_runs" },
    changesBySchedule: true,
  },
  { name: "public.outbox_messages", changesBySchedule: true },
  {
    name: "private.outbox_uploads",
    of: { column: "conversation_id", parent: "public.conversations" },
    changesBySchedule: true,
  },
  {
    name: "public.agent_keys",
    ofKeys: "id",
    isShared: true,
    notCompared: ["name", "last_used_at", "revoked_at"],
  },
  { name: "private.agent_key_secrets", ofKeys: "key_id", isShared: true },
  { name: "public.agent_key_workspaces" },
  { name: "private.message_counts", changesBySchedule: true },
  { name: "private.message_count_parts", changesBySchedule: true },
  { name: "public.workflow_settings" },
  { name: "public.workflow_settings_history" },
  { name: "public.workspace_summary_settings" },
  { name: "public.summary_runs", changesBySchedule: true },
];

/** Everything that moves, in the order in which it is stored. */
export const MOVED_TABLES: readonly MovedTable[] = [...BULK_TABLES, ...LAST_TABLES];

/** Tables that stay behind, and why. */
export const LEFT_BEHIND: Readonly<Record<string, string>> = {
  "private.country_calling_codes": "The same in every project, written by the migrations.",
  "private.directory_entries": "Where workspaces are, also those of other projects.",
  "private.job_runs": "Runs of the schedule of the project, of no workspace.",
  "private.limit_uses": "Counters of minutes and days, gone within two days.",
  "private.limits":
    "Limits of a workspace travel in the manifest, as a part of what its pause has switched off.",
  "private.media_orphans": "Files that the source deletes from its own Storage.",
  "private.message_blocks": "The index of the search, made again from the messages.",
  "private.message_index_queue": "The queue of that index; the import queues all messages.",
  "private.webhook_deliveries": "What tells repeated deliveries to this project apart.",
  "private.webhook_events":
    "Raw events, deleted within days. What they brought is stored; an export says how many wait.",
  "private.workspace_imports": "How far the imports of this project have come.",
  "private.workspace_pauses": "Travels in the manifest.",
};
