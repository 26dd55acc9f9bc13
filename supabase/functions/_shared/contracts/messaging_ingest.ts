/**
 * The API of messaging-ingest: bridges push batches of conversations.
 *
 * @module
 */
import * as z from "zod";
import { platform } from "./connection.ts";
import { messagingError } from "./errors.ts";
import { ingestConversation } from "./ingest_conversation.ts";
import { defineRoute, errorsOf } from "./route.ts";
import { storableText } from "./text.ts";

/** Conversations in a request, at most. */
export const MAX_CONVERSATIONS = 500;

/** The body of a request. The function checks each conversation on its own. */
export const ingestRequest = z.object({
  platform: z.enum(platform.options, { error: `must be one of ${platform.options.join(", ")}` }),
  connection_id: storableText.pipe(
    z.string().max(128, { error: "must be at most 128 characters" }),
  ),
  conversations: z.array(ingestConversation.meta({ id: "Conversation" })).max(MAX_CONVERSATIONS),
});

/** The body of a request, as a bridge sends it. */
export type IngestRequest = z.input<typeof ingestRequest>;

/** The result of one conversation. */
export const ingestResult = z.object({
  conversation_id: z.string(),
  messages_added: z.int(),
  status: z.string().meta({
    description: "created, updated, no_new_messages, or `error: ` with the reason.",
  }),
  id: z.guid().optional(),
  code: z.string().optional(),
});

/** The result of one conversation. */
export type IngestResult = z.output<typeof ingestResult>;

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
      }),
    },
  },
  errors: errorsOf(messagingError, 400, 401, 403, 404, 405, 413, 415, 500, 503),
});

/** The answer to a batch. */
export type IngestResponse = z.output<typeof ingestConversations.responses[200]["body"]>;
