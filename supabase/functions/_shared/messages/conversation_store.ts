/**
 * Stores conversations. A message of any source goes through the one SQL function that this
 * file calls.
 *
 * @module
 */
import type { IngestConversation, IngestOutcome } from "../contracts/ingest_conversation.ts";
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

/** Where conversations are stored. */
export interface ConversationStore {
  /**
   * Stores a batch for one connection.
   *
   * @param connectionId Primary key of the connection.
   * @returns One result per conversation, in the same order. An invalid one does not keep the others from
   *   being stored.
   * @throws {AppError} database_unavailable (503) or internal_error (500): nothing was stored, or the
   *   result is unknown; sending the same batch again is always safe.
   */
  ingest(
    connectionId: string,
    conversations: IngestConversation[],
  ): Promise<StoredConversation[]>;
}

/** Creates a {@linkcode ConversationStore} on a service client. Every call carries its connection. */
export function createConversationStore(client: DatabaseClient): ConversationStore {
  return {
    async ingest(connectionId, conversations) {
      const results = [];
      for (const part of splitBatch(conversations)) {
        results.push(
          ...await rpc(client, "ingest_conversations", {
            connection_id: connectionId,
            conversations: part,
          }),
        );
      }
      return results.map((row) => ({
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
      }));
    },
  };
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
