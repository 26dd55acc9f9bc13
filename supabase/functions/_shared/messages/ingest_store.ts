/**
 * The store of conversations in this project's database: calls the one door and nothing else.
 *
 * @module
 */
import type { DatabaseClient } from "../database/clients.ts";
import type { Json } from "../database/database.types.ts";
import { rpc } from "../database/rpc.ts";
import type { ConversationStore, IngestOutcome } from "../contracts/ingest.ts";

/** A {@linkcode ConversationStore} on a service client. Every call carries its connection. */
export function supabaseStore(client: DatabaseClient): ConversationStore {
  return {
    async ingest(connectionId, conversations) {
      const data = await rpc(client, "ingest_conversations", {
        connection_id: connectionId,
        conversations: conversations as unknown as Json,
      });
      return data.map((row): IngestOutcome => ({
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
