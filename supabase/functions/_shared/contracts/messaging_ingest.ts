/**
 * The API of messaging-ingest: bridges push batches of conversations.
 *
 * @module
 */
import * as z from "zod";
import { platform } from "./connection.ts";
import { messagingError } from "./errors.ts";
import { ingestConversation } from "./ingest_conversation.ts";
import { messageChange } from "./message.ts";
import { defineRoute, errorsOf } from "./route.ts";
import { storableId, storableText } from "./text.ts";

/** Conversations in a request, at most. */
export const MAX_CONVERSATIONS = 500;

/** A change that names its message alone, wherever it lies. */
export const namedChange = messageChange.extend({
  /** Needed where ids of messages are unique only within a conversation. */
  external_conversation_id: storableId().optional(),
});

/** A change that names its message alone. */
export type NamedChange = z.output<typeof namedChange>;

/** The body of a request. The function checks each conversation, message and change on its own. */
export const ingestRequest = z.object({
  platform: z.enum(platform.options, { error: `must be one of ${platform.options.join(", ")}` }),
  connection_id: storableText.pipe(
    z.string().max(128, { error: "must be at most 128 characters" }),
  ),
  conversations: z.array(ingestConversation.meta({ id: "Conversation" })).max(MAX_CONVERSATIONS),
  changes: z.array(namedChange.meta({ id: "NamedChange" })).optional(),
});

/** The body of a request, as a bridge sends it. */
export type IngestRequest = z.input<typeof ingestRequest>;

/** A message or a change that was not stored. */
export const rejectedItem = z.object({
  index: z.int().meta({ description: "Its place in the array, from 0." }),
  id: z.string().meta({ description: "Its id, or an empty text where it has none." }),
  code: z.string(),
  message: z.string(),
});

/** A message or a change that was not stored. */
export type RejectedItem = z.output<typeof rejectedItem>;

/** The result of one conversation. */
export const ingestResult = z.object({
  conversation_id: z.string(),
  messages_added: z.int(),
  status: z.string().meta({
    description: "created, updated, no_new_messages, or `error: ` with the reason.",
  }),
  id: z.guid().optional(),
  code: z.string().optional(),
  rejected: z.array(rejectedItem).optional().meta({
    description: "Messages that were not stored. All others were.",
  }),
  rejected_changes: z.array(rejectedItem).optional().meta({
    description: "Changes that were not applied. All others were.",
  }),
  repaired: z.record(z.string(), z.int()).optional().meta({
    description: "Fields that were repaired, and in how many messages and changes.",
  }),
});

/** The result of one conversation. */
export type IngestResult = z.output<typeof ingestResult>;

/** What became of a change. `waiting`: until its message arrives. */
export type ChangeOutcome = "applied" | "waiting" | "error";

/** The result of one change at the top level. */
export const changeResult = z.object({
  message_id: z.string(),
  status: z.string().meta({
    description: "applied, waiting (until its message arrives), or `error: ` with the reason.",
  }),
  code: z.string().optional(),
});

/** The result of one change at the top level. */
export type ChangeResult = z.output<typeof changeResult>;

/** `POST /messaging-ingest`. */
export const ingestConversations = defineRoute({
  method: "post",
  path: "/messaging-ingest",
  operationId: "ingestConversations",
  summary: "Store a batch of conversations. A repeated batch stores nothing twice.",
  security: ["connectionKey"],
  // The key is checked between the parts of the body.
  rawBody: { mediaType: "application/json", schema: ingestRequest },
  responses: {
    200: {
      description: "One result per conversation, in the order of the request",
      body: z.object({
        success: z.literal(true),
        processed: z.int(),
        results: z.array(ingestResult),
        changes: z.array(changeResult).optional().meta({
          description: "One result per change at the top level, in the order of the request.",
        }),
      }),
    },
  },
  errors: errorsOf(messagingError, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503),
});

/** The answer to a batch. */
export type IngestResponse = z.output<typeof ingestConversations.responses[200]["body"]>;
