/**
 * What the database cannot tell the type generator: which arguments and returned columns of SQL functions
 * may be null, and what JSON columns hold. A name is the path of a line in `database.types.ts`, below
 * `public`; `Tables.<table>.*` stands for Row, Insert and Update at once.
 *
 * @module
 */

/** Names of types that overrides use, by the module in `_shared/` that exports them. */
export const IMPORTS: Readonly<Record<string, readonly string[]>> = {
  "../contracts/ingest_conversation.ts": ["IngestConversation", "IngestOutcome"],
  "../contracts/kapso_webhook.ts": ["WebhookEventState"],
  "../contracts/message.ts": ["Message"],
  "../kapso/webhook/elements.ts": ["NormalizedElement"],
  "./agent_rows.ts": [
    "AgentBusinessRow",
    "AgentSessionPage",
    "AgentSessionRow",
    "AgentWriteOutcome",
  ],
};

/** Lines whose type may also be null. */
export const NULLABLE: readonly string[] = [
  // messaging-ingest
  "Functions.ingest_conversations.Returns.id",
  "Functions.ingest_conversations.Returns.error",
  // messaging-people
  ...["id", "name", "email", "phone_number", "avatar_url"].map((column) =>
    `Functions.list_people.Returns.${column}`
  ),
  // kapso-webhook
  ...["phone_number_id", "event", "idempotency_key"].map((argument) =>
    `Functions.record_webhook_event.Args.${argument}`
  ),
  "Functions.webhook_secrets.Returns.secret",
  "Functions.webhook_secrets.Returns.previous_secret",
  // conversation-sync
  "Functions.find_agent_business.Returns",
  "Functions.find_agent_session.Returns",
  "Functions.read_agent_session.Returns",
  // inbox
  "Functions.assign_conversation.Args.user_id",
  "Functions.kapso_api_key.Returns",
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
};

/**
 * Applies the overrides to the generated file.
 *
 * @throws {Error} when a name matches no line: the database no longer has it.
 */
export function overrideTypes(generated: string): string {
  const unused = new Set([...NULLABLE, ...Object.keys(TYPES)]);
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
    const nullable = find(NULLABLE, own);
    const other = find(Object.keys(TYPES), own);
    if (nullable) unused.delete(nullable);
    if (other) unused.delete(other);
    const base = other ? TYPES[other] : type;
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
