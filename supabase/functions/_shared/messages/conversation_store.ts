/**
 * Stores conversations. A message of any source goes through the one SQL function that this
 * file calls.
 *
 * @module
 */
import { sha256Hex } from "../auth/hash.ts";
import type { IngestConversation, IngestOutcome } from "../contracts/ingest_conversation.ts";
import type { ChangeOutcome, NamedChange } from "../contracts/messaging_ingest.ts";
import type { DatabaseClient } from "../database/clients.ts";
import { rpc } from "../database/rpc.ts";

/** How much one call of the database carries, in characters of JSON, about. */
const MAX_CALL_LENGTH = 2 * 1024 * 1024;
/** What a message has beside its text, in characters of JSON, about. */
const MESSAGE_LENGTH = 300;

/** Result of storing a conversation. */
export interface StoredConversation {
  /** Primary key of the conversation; null where it could not be stored. */
  id: string | null;
  outcome: IngestOutcome;
  messagesAdded: number;
  /** For the outcome `error`: what is wrong, safe to show. */
  error?: { code: string; message: string };
}

/** Result of applying a change. */
export interface AppliedChange {
  outcome: ChangeOutcome;
  /** For the outcome `error`: what is wrong, safe to show. */
  error?: { code: string; message: string };
}

/** What a bridge names its connection with. */
export interface ConnectionKey {
  /** The name of the connection, e.g. `wa_business_123`. */
  connectionId: string;
  platform: string;
  apiKey: string;
}

/** Where conversations are stored. */
export interface ConversationStore {
  /**
   * Checks a key and stores a batch for its connection, in one call.
   *
   * @param conversations At least one.
   * @returns As `ingest`, with the primary key of the connection.
   * @throws {AppError} As `verifyApiKey`, and as `ingest`.
   */
  ingestWithKey(
    key: ConnectionKey,
    conversations: IngestConversation[],
  ): Promise<{ connectionId: string; stored: StoredConversation[] }>;
  /**
   * Stores a batch for one connection.
   *
   * @param connectionId Primary key of the connection.
   * @returns One result per conversation, in the same order. An invalid one does not keep the others from
   *   being stored.
   * @throws {AppError} database_unavailable (503) or internal_error (500): nothing was stored, or the
   *   result is unknown; sending the same batch again is always safe. batch_too_slow (422): smaller batches help.
   */
  ingest(
    connectionId: string,
    conversations: IngestConversation[],
  ): Promise<StoredConversation[]>;
  /**
   * Applies changes that name messages of the connection's workspace and platform, wherever those lie.
   *
   * @param connectionId Primary key of the connection.
   * @returns One result per change, in the same order.
   * @throws {AppError} As `ingest`.
   */
  change(connectionId: string, changes: NamedChange[]): Promise<AppliedChange[]>;
}

const CHANGE_ERRORS: readonly { code: string; message: string }[] = [
  {
    code: "ambiguous_message",
    message:
      "several conversations have a message with this id: name the conversation in external_conversation_id",
  },
  { code: "not_stored", message: "could not be stored" },
];

/** Creates a {@linkcode ConversationStore} on a service client. Every call carries its connection. */
export function createConversationStore(client: DatabaseClient): ConversationStore {
  async function ingest(connectionId: string, parts: IngestConversation[][]) {
    const stored: StoredConversation[] = [];
    for (const part of parts) {
      const rows = await rpc(client, "ingest_conversations", {
        connection_id: connectionId,
        conversations: part,
      }, { items: countItems(part) });
      stored.push(...rows.map(readStored));
    }
    return stored;
  }
  return {
    async ingestWithKey({ connectionId, platform, apiKey }, conversations) {
      const [first, ...others] = splitBatch(conversations);
      const rows = await rpc(client, "ingest_with_key", {
        connection_id: connectionId,
        platform,
        secret_sha256: await sha256Hex(apiKey),
        conversations: first!,
      }, { items: countItems(first!) });
      const id = rows[0]!.connection;
      return {
        connectionId: id,
        stored: [...rows.map(readStored), ...await ingest(id, others)],
      };
    },
    ingest: (connectionId, conversations) => ingest(connectionId, splitBatch(conversations)),
    async change(connectionId, changes) {
      const rows = await rpc(client, "apply_message_changes", {
        connection_id: connectionId,
        changes,
      });
      return rows.map(({ outcome, error }) => ({
        outcome,
        ...(error === null ? {} : { error: CHANGE_ERRORS.find(({ code }) => code === error)! }),
      }));
    },
  };
}

function readStored(row: {
  id: string | null;
  outcome: IngestOutcome;
  messages_added: number;
  error: string | null;
}): StoredConversation {
  return {
    id: row.id,
    outcome: row.outcome,
    messagesAdded: row.messages_added,
    ...(row.outcome === "error"
      // The text of the database may quote the message; its SQLSTATE says enough.
      ? {
        error: {
          code: "not_stored",
          message: `could not be stored (${row.error?.slice(0, 5)})`,
        },
      }
      : {}),
  };
}

function countItems(conversations: IngestConversation[]): number {
  return conversations.reduce(
    (sum, { messages, changes = [] }) => sum + messages.length + changes.length,
    0,
  );
}

/**
 * Splits a large batch, in its order. A call holds its part several times over, as text and as bytes, and a worker has
 * 256 MB; and the database has 8 s for a call.
 */
function splitBatch(conversations: IngestConversation[]): IngestConversation[][] {
  const parts: IngestConversation[][] = [[]];
  let length = 0;
  for (const conversation of conversations) {
    const added = conversation.messages.reduce(
      (sum, { content }) => sum + content.length + MESSAGE_LENGTH,
      0,
    );
    if (length > 0 && length + added > MAX_CALL_LENGTH) {
      parts.push([]);
      length = 0;
    }
    parts.at(-1)!.push(conversation);
    length += added;
  }
  return parts;
}
