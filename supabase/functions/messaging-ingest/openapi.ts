/**
 * messaging-ingest for the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import { messagingError as error } from "../_shared/contracts/errors.ts";
import { ingestConversation } from "../_shared/contracts/ingest.ts";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import { envelope, MAX_CONVERSATIONS } from "./schema.ts";

const request = envelope.extend({
  conversations: z.array(ingestConversation.meta({ id: "Conversation" })).max(MAX_CONVERSATIONS),
});

const result = z.object({
  conversation_id: z.string(),
  messages_added: z.int(),
  status: z.string().meta({ description: "created, updated, no_new_messages, or error: and why." }),
  id: z.string().optional(),
  code: z.string().optional(),
});

/** POST /messaging-ingest. */
export const messagingIngest: FunctionDescription = {
  name: "messaging-ingest",
  description: "Bridges push batches of conversations.",
  paths: {
    "/messaging-ingest": {
      post: {
        operationId: "ingestConversations",
        tags: ["messaging-ingest"],
        summary: "Store a batch of conversations. A repeat stores nothing twice.",
        security: [{ connectionKey: [] }],
        requestBody: { required: true, content: { "application/json": { schema: request } } },
        responses: {
          "200": json(
            z.object({ success: z.literal(true), processed: z.int(), results: z.array(result) }),
            "A result for each conversation, in their order",
          ),
          ...errors(error, 400, 401, 403, 405, 413, 415, 500, 503),
        },
      },
    },
  },
};
