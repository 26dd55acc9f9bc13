/**
 * A conversation as the SQL function `ingest_conversations` takes it: the messages and changes that
 * arrived for one conversation from any source.
 *
 * @module
 */
import * as z from "zod";
import { message, messageChange } from "./message.ts";
import { requiredOr, storableId, storableText } from "./text.ts";

/** A conversation to store. Unknown keys are dropped. */
export const ingestConversation = z.object({
  external_conversation_id: storableId(),
  participant_identifier: storableId(),
  /** The newest non-empty name wins. An invalid name is dropped, and the messages are stored. */
  participant_name: storableText.optional().catch(undefined),
  messages: z.array(message, { error: requiredOr("an array") }),
  /** Changes of messages that arrived earlier, or will arrive later. They create no conversation. */
  changes: z.array(messageChange, { error: "must be an array" }).nullish().transform((list) =>
    list ?? undefined
  ),
  /** Imported history: keeps its time, counts as read and starts no automation. */
  is_history: z.boolean().optional().catch(undefined),
}, { error: "must be an object" });

/** A checked conversation. */
export type IngestConversation = z.output<typeof ingestConversation>;

/** Result of storing a conversation. */
export const ingestOutcome = z.enum(["created", "updated", "no_new_messages", "error"]);

/** Result of storing a conversation. */
export type IngestOutcome = z.output<typeof ingestOutcome>;
