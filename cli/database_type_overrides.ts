/**
 * What the database cannot tell the type generator: which arguments and returned columns of SQL functions
 * may be null, what JSON columns hold, and which values a text can have. A name is the path of a line in
 * `database.types.ts`, below `public`; `*` stands for any one part, so `Tables.<table>.*.<column>` is Row,
 * Insert and Update at once. What holds for the columns of a table also holds for the functions that return
 * its rows.
 *
 * @module
 */

/** Names of types that overrides use, by the module in `_shared/` that exports them. */
export const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  "../contracts/connection.ts": ["Platform"],
  "../contracts/daily_summary.ts": ["PersonDay", "SummaryNote", "SummaryState"],
  "../contracts/inbox/connections.ts": ["Connection", "ConnectionChange"],
  "../contracts/inbox/conversations.ts": ["Conversation", "StoredConversationChange"],
  "../contracts/inbox/messages.ts": ["NewOutboxMessage", "OutboxMessage"],
  "../contracts/inbox/people.ts": ["Person", "PersonMerge"],
  "../contracts/inbox/views.ts": [
    "Answering",
    "HealthCheck",
    "InboxMessage",
    "MessageHit",
    "OverviewStatistics",
    "Role",
    "TagColour",
  ],
  "../contracts/ingest_conversation.ts": ["IngestConversation", "IngestOutcome"],
  "../contracts/kapso_sync.ts": ["SyncMode", "SyncPhase", "SyncRun", "SyncState"],
  "../contracts/kapso_webhook.ts": ["WebhookEventState"],
  "../contracts/message.ts": ["Message", "MessageChange"],
  "../contracts/message_media.ts": ["MediaCopyResult"],
  "../contracts/messaging_ingest.ts": ["ChangeOutcome", "NamedChange"],
  "../contracts/outbound_content.ts": ["OutboundRecipient"],
  "../contracts/workflow_settings.ts": ["HistoryAction", "SyncStatus"],
  "../contracts/workflow_values.ts": ["ManagedValues", "SettingChanges", "WorkflowValues"],
  "../kapso/webhook/elements.ts": ["KapsoSession", "NormalizedElement"],
  "./agent_rows.ts": [
    "AgentBusinessRow",
    "AgentSessionPage",
    "AgentSessionRow",
    "AgentWriteOutcome",
  ],
};

/**
 * Rows that a contract describes: every column gets the type of the contract's field of that name, and a
 * column that the contract lacks fails the type check.
 */
export const ROWS: Readonly<Record<string, string>> = {
  // kapso-sync
  "Tables.sync_runs.Row": "SyncRun",
  // inbox
  "Tables.outbox_messages.Row": "OutboxMessage",
  "Tables.people.Row": "Person",
  "Tables.person_merges.Row": "PersonMerge",
  // A view: `*` also stands for the table that search_conversations() is said to return rows of.
  "*.conversation_list.Row": "Conversation",
  "Views.installation_health.Row": "HealthCheck",
  "Functions.connection_overview.Returns": "Connection",
  "Functions.conversation_messages.Returns": "InboxMessage",
  "CompositeTypes.message_hit": "MessageHit",
};

/** Lines whose type may also be null. */
export const NULLABLE: readonly string[] = [
  // messaging-ingest
  "Functions.ingest_conversations.Returns.id",
  "Functions.ingest_conversations.Returns.error",
  "Functions.ingest_with_key.Returns.id",
  "Functions.ingest_with_key.Returns.error",
  "Functions.apply_message_changes.Returns.error",
  // messaging-people
  ...["id", "name", "email", "phone_number", "avatar_url"].map((column) =>
    `Functions.list_people.Returns.${column}`
  ),
  // kapso-webhook
  ...["phone_number_id", "event", "idempotency_key"].map((argument) =>
    `Functions.record_webhook_event.Args.${argument}`
  ),
  "Functions.claim_phone_number.Returns.holder_id",
  "Functions.webhook_secrets.Returns.secret",
  "Functions.webhook_secrets.Returns.previous_secret",
  // conversation-sync
  "Functions.find_agent_business.Returns",
  "Functions.find_agent_session.Returns",
  "Functions.read_agent_session.Returns",
  // kapso-sync
  ...["messages_per_conversation", "since", "requested_by"].map((argument) =>
    `Functions.begin_sync_run.Args.${argument}`
  ),
  "Functions.add_sync_conversations.Args.cursor",
  "Functions.connections_to_sync.Returns.requested_by",
  "Functions.next_sync_conversations.Returns.cursor",
  // workflow-settings
  "Functions.record_workflow_sync.Args.reason",
  "Functions.save_workflow_settings.Args.expected_version",
  // inbox
  "Functions.assign_conversation.Args.user_id",
  "Functions.claim_outbox_message.Returns.phone_number_id",
  ...["phone_number_id", "link", "media_id", "mime_type", "filename"].map((column) =>
    `Functions.claim_media_copies.Returns.${column}`
  ),
  "Functions.enqueue_message.Returns.last_inbound_at",
  "Functions.kapso_api_key.Returns.api_key",
  ...["connection_id", "phone_number_id", "media_url", "copy_path"].map((column) =>
    `Functions.message_source.Returns.${column}`
  ),
  "Functions.rebuild_message_index.Returns.last_id",
  "Functions.rotate_connection_secret.Returns.previous_expires_at",
  "Functions.set_kapso_api_key.Args.api_key",
  "Functions.workspace_member_list.Returns.email",
  "Functions.workspace_member_list.Returns.name",
];

/** SQL functions of agents that write a session and return it with an outcome. */
const AGENT_WRITES = [
  "add_agent_message",
  "change_agent_intent",
  "create_agent_session",
  "end_agent_session",
  "extend_agent_session",
  "link_agent_order",
  "reset_agent_session",
  "sync_agent_session",
  "write_agent_context",
];

/** Lines with another type. */
export const TYPES: Readonly<Record<string, string>> = {
  "Tables.conversations.*.messages": "Message[]",
  "Tables.conversation_archives.*.messages": "Message[]",
  // messaging-ingest
  "Functions.ingest_conversations.Args.conversations": "IngestConversation[]",
  "Functions.ingest_conversations.Returns.outcome": "IngestOutcome",
  "Functions.ingest_with_key.Args.conversations": "IngestConversation[]",
  "Functions.ingest_with_key.Returns.outcome": "IngestOutcome",
  "Functions.apply_message_changes.Args.changes": "NamedChange[]",
  "Functions.apply_message_changes.Returns.outcome": "ChangeOutcome",
  "Functions.claim_phone_number.Returns.outcome": '"claimed" | "changed" | "taken"',
  // kapso-webhook
  "Functions.record_webhook_event.Args.elements": "NormalizedElement[]",
  "Functions.record_webhook_event.Returns.state": "WebhookEventState",
  // conversation-sync
  "Functions.find_agent_business.Returns": "AgentBusinessRow",
  "Functions.find_agent_session.Returns": "AgentSessionRow",
  "Functions.list_agent_sessions.Returns": "AgentSessionPage",
  "Functions.read_agent_session.Returns": "AgentSessionRow",
  ...Object.fromEntries(AGENT_WRITES.flatMap((name) => [
    [`Functions.${name}.Returns.outcome`, "AgentWriteOutcome"],
    [`Functions.${name}.Returns.data`, "AgentSessionRow"],
  ])),
  "Functions.create_agent_session.Args.metadata": "Record<string, unknown>",
  "Functions.sync_agent_session.Args.context": "Record<string, unknown>",
  "Functions.sync_agent_session.Args.metadata": "Record<string, unknown>",
  "Functions.write_agent_context.Args.context": "Record<string, unknown>",
  // kapso-sync
  "Functions.add_sync_conversations.Args.conversations": "Record<string, unknown>[]",
  "Functions.advance_sync_run.Args.phase": "SyncPhase",
  "Functions.begin_due_sync_run.Args.mode": "SyncMode",
  "Functions.begin_due_sync_run.Returns.run": "SyncRun",
  "Functions.begin_sync_run.Args.mode": "SyncMode",
  "Functions.begin_sync_run.Returns.run": "SyncRun",
  "Functions.due_sync_runs.Returns.mode": "SyncMode",
  "Functions.next_sync_conversations.Returns.conversation": "Record<string, unknown>",
  "Functions.release_sync_run.Args.state": "SyncState",
  "Functions.store_session_checks.Args.reports":
    "{ conversation_id: string; session: KapsoSession }[]",
  "Functions.store_sync_pages.Args.pages":
    "{ elements: NormalizedElement[]; messages_read: number; session_id: string | null; cursor: string | null; is_last: boolean }[]",
  "Functions.store_sync_pages.Returns.results": "{ messages_added: number; errors: string[] }[]",
  "Functions.store_sync_pages.Returns.run": "SyncRun",
  // workflow-settings
  "Tables.workflow_settings.*.auto_reply_templates": `WorkflowValues["auto_reply_templates"]`,
  "Tables.workflow_settings.*.kapso_mapping": `WorkflowValues["kapso_mapping"]`,
  "Tables.workflow_settings.*.sync_status": "SyncStatus",
  "Tables.workflow_settings.*.synced_values": "ManagedValues",
  "Tables.workflow_settings_history.*.action": "HistoryAction",
  "Tables.workflow_settings_history.*.sync_status": "SyncStatus",
  "Tables.workflow_settings_history.*.values": "WorkflowValues",
  "Functions.record_workflow_sync.Args.status": "SyncStatus",
  "Functions.record_workflow_sync.Args.synced_values": "ManagedValues",
  "Functions.save_workflow_settings.Args.changes": "SettingChanges",
  // daily-summary
  "Tables.summary_runs.*.state": "SummaryState",
  "Functions.claim_summary_slice.Returns.days": "PersonDay[]",
  "Functions.write_daily_summaries.Args.notes": "SummaryNote[]",
  // inbox
  "Tables.connections.*.platform": "Platform",
  "Tables.person_identities.*.platform": "Platform",
  "Tables.tags.*.colour": "TagColour",
  "Tables.workspace_members.*.role": "Role",
  "Functions.overview_statistics.Returns": "OverviewStatistics",
  "Functions.conversation_answering.Returns": "Answering",
  "Functions.workspace_member_list.Returns.role": "Role",
  "Functions.assign_conversation.Returns": "StoredConversationChange",
  "Functions.claim_outbox_message.Returns.message": "OutboxMessage",
  "Functions.claim_outbox_message.Returns.recipient": "OutboundRecipient | null",
  "Functions.enqueue_message.Args.message": "NewOutboxMessage",
  "Functions.enqueue_message.Returns.stored": "OutboxMessage",
  "Functions.finish_media_copies.Args.results": "MediaCopyResult[]",
  "Functions.mark_conversation_read.Returns": "StoredConversationChange",
  "Functions.mark_conversation_unread.Returns": "StoredConversationChange",
  "Functions.message_source.Returns.metadata": "Record<string, unknown> | null",
  "Functions.record_outbox_outcome.Args.message": "Message | MessageChange",
  "Functions.record_outbox_outcome.Returns.outbox_message": "OutboxMessage",
  "Functions.sending_side.Returns":
    "{ connection_id: string | null; phone_number_id: string | null }",
  "Functions.set_conversation_status.Returns": "StoredConversationChange",
  "Functions.update_connection.Args.change": "ConnectionChange",
};

/**
 * Applies the overrides to the generated file.
 *
 * @throws {Error} when a name matches no line: the database no longer has it.
 */
export function overrideTypes(generated: string): string {
  const unused = new Set([...NULLABLE, ...Object.keys(TYPES), ...Object.keys(ROWS)]);
  const path: string[] = [];
  const find = (names: Iterable<string>, own: readonly string[]) => {
    for (const name of names) {
      const parts = name.split(".");
      if (
        parts.length === own.length && parts.every((part, at) => part === "*" || part === own[at])
      ) {
        return name;
      }
    }
    return undefined;
  };
  const tableOf = returnedTables(generated);
  let isInside = false;
  const lines = generated.split("\n").map((line) => {
    if (line === "export type Database = {") {
      isInside = true;
      return line;
    }
    if (line === "}") isInside = false;
    if (!isInside) return line;
    const closed = /^\s*[}\]]/.test(line);
    if (closed) path.pop();
    const opened = /^\s*(\w+)\??: \{$/.exec(line)?.[1];
    if (opened !== undefined) {
      path.push(opened);
      return line;
    }
    if (/[[{]$/.test(line) && !closed) {
      path.push("");
      return line;
    }
    // A function with short arguments is written in one line: `Args: { id: string; note?: string }`.
    const inline = /^(\s*)(\w+): \{ (.*) \}(.*)$/.exec(line);
    if (inline) {
      const [, indent, name, fields, rest] = inline;
      return `${indent}${name}: { ${
        fields!.split("; ").map((field) => override(field, [...path, name!])).join("; ")
      } }${rest}`;
    }
    return override(line, path);
  });

  function override(line: string, above: readonly string[]): string {
    const [, start, name, type] = /^(\s*(\w+)\??: )(.*)$/.exec(line) ?? [];
    if (start === undefined) return line;
    const own = [...above, name!].slice(1);
    if (above[0] !== "public") return line;
    const [kind, owner, part] = own;
    const table = kind === "Functions" && part === "Returns" ? tableOf.get(owner!) : undefined;
    const ofTable = table === undefined ? [] : ["Tables", table, "Row", name!];
    const row = find(Object.keys(ROWS), own.slice(0, -1)) ??
      find(Object.keys(ROWS), ofTable.slice(0, -1));
    const nullable = find(NULLABLE, own) ?? find(NULLABLE, ofTable);
    const other = find(Object.keys(TYPES), own) ?? find(Object.keys(TYPES), ofTable);
    for (const name of [row, nullable, other]) if (name) unused.delete(name);
    const base = other ? TYPES[other] : row ? `${ROWS[row]}["${name}"]` : type;
    return `${start}${base}${nullable && !/\| null$/.test(base!) ? " | null" : ""}`;
  }

  if (unused.size > 0) {
    throw new Error(`no line in the generated types for ${[...unused].join(", ")}`);
  }
  const imports = Object.entries(IMPORTS).map(([module, names]) =>
    `import type { ${names.join(", ")} } from "${module}";\n`
  );
  return `${imports.join("")}\n${lines.join("\n")}`;
}

/** The table whose rows a function returns, by the function's name. */
function returnedTables(generated: string): Map<string, string> {
  const functions = generated.slice(generated.indexOf("    Functions: {"));
  // Each by itself: one expression over all of them would take a minute.
  return new Map(
    functions.split(/^ {6}(?=\w+: \{$)/m).flatMap((text) => {
      const table = /^ {8}SetofOptions: \{\n.*\n {10}to: "(\w+)"/m.exec(text)?.[1];
      return table === undefined ? [] : [[text.slice(0, text.indexOf(":")), table] as const];
    }),
  );
}
