/**
 * What goes through the one door: a conversation with the messages and changes that came for it.
 *
 * @module
 */
import * as z from "zod";
import { message, messageChange } from "./message.ts";
import { requiredOr, storableId, storableText } from "./text.ts";

/** A conversation for `ingest_conversations`. Unknown keys are left out. */
export const ingestConversation = z.object({
  external_conversation_id: storableId(),
  participant_identifier: storableId(),
  /** The newest non-empty name wins. A name that cannot be used costs nothing but itself. */
  participant_name: storableText.optional().catch(undefined),
  messages: z.array(message, { error: requiredOr("an array") }),
  /** Statuses and reactions of messages that came earlier, or will come later. */
  changes: z.array(messageChange, { error: "must be an array" }).nullish().transform((list) =>
    list ?? undefined
  ),
  /** Imported history: keeps its time, counts as read and starts no automation. */
  is_history: z.boolean().optional().catch(undefined),
}, { error: "must be an object" });

/** A validated conversation. */
export type IngestConversation = z.output<typeof ingestConversation>;

/** What became of a conversation. */
export interface IngestOutcome {
  /** Our id; null where it could not be stored. */
  id: string | null;
  outcome: "created" | "updated" | "no_new_messages" | "error";
  messagesAdded: number;
  /** For `error`: what is wrong, safe to show. */
  error?: { code: string; message: string };
}

/** Where conversations are stored. */
export interface ConversationStore {
  /**
   * Store a batch for one connection.
   *
   * @param connectionId Primary key of the connection.
   * @returns One outcome per conversation, in the same order. One that cannot be stored does not keep
   *   the others from it.
   * @throws {AppError} database_unavailable (503) or internal_error (500): then nothing was stored, or
   *   it cannot be known; sending the same batch again is always safe.
   */
  ingest(connectionId: string, conversations: IngestConversation[]): Promise<IngestOutcome[]>;
}
