/**
 * Sending: messages, their retries, and the templates of a phone number.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "../errors.ts";
import { outboxState } from "../message.ts";
import { MAX_TEXT_LENGTH, outboundContent, outboundType } from "../outbound_content.ts";
import { defineRoute, errorsOf } from "../route.ts";
import { storableId, storableText } from "../text.ts";
import {
  addressedId,
  id,
  idParams,
  LARGE_BODY_ERRORS,
  REQUEST_ERRORS,
  timestamp,
} from "./fields.ts";

/** A row of `outbox_messages`. */
export const outboxMessage = z.object({
  id,
  workspace_id: id,
  conversation_id: id,
  connection_id: id.nullable(),
  idempotency_key: z.string(),
  type: outboundType,
  content: z.string().meta({ description: "The text of the bubble." }),
  payload: z.record(z.string(), z.unknown()).meta({
    description: "The content as it was given, by its type.",
  }),
  reply_to: z.string().nullable(),
  file_name: z.string().nullable(),
  mime_type: z.string().nullable(),
  state: outboxState,
  error_code: z.string().nullable(),
  error_message: z.string().nullable(),
  can_retry: z.boolean(),
  message_id: z.string().nullable().meta({
    description: "Id of the message in the conversation, once it is known.",
  }),
  attempts: z.int(),
  attempt_token: id.nullable(),
  attempt_started_at: timestamp.nullable(),
  lease_expires_at: timestamp.nullable(),
  queued_at: timestamp,
  sent_at: timestamp.nullable(),
  created_by: id.nullable(),
  created_at: timestamp,
  updated_at: timestamp,
}).meta({ id: "OutboxMessage", description: "A row of outbox_messages." });

/** A row of `outbox_messages`. */
export type OutboxMessage = z.output<typeof outboxMessage>;

/** A message to queue: an argument of `enqueue_message`. */
export interface NewOutboxMessage {
  type: OutboxMessage["type"];
  content: string;
  payload: z.output<typeof outboundContent>;
  reply_to: string | null;
}

const messageBody = z.object({ message: outboxMessage });

const sentMessage = z.object({
  message: outboxMessage,
  window: z.object({ is_open: z.boolean(), closes_at: z.iso.datetime().nullable() }).meta({
    description:
      "The 24 hours after a customer's message, in which more than templates can be sent.",
  }),
});

/** `POST /inbox/messages`. */
export const sendMessage = defineRoute({
  method: "post",
  path: "/inbox/messages",
  operationId: "sendMessage",
  summary: "Send a message, once for each idempotency_key.",
  security: ["userToken"],
  body: z.object({
    conversation_id: id,
    idempotency_key: storableId(200),
    reply_to: storableId().nullish().transform((value) => value ?? null),
    content: storableText.pipe(z.string().max(MAX_TEXT_LENGTH)).optional().meta({
      description: "A template as it reads, for the bubble.",
    }),
  }).and(outboundContent).refine(
    (message) => message.type !== "reaction" || message.reply_to !== null,
    { path: ["reply_to"], error: "is required: the message to react to" },
  ),
  responses: {
    201: { description: "Queued by this request", body: sentMessage },
    200: { description: "The key was known", body: sentMessage },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...LARGE_BODY_ERRORS, 404, 409, 422),
});

/** `POST /inbox/messages/{id}/retry`. */
export const retryMessage = defineRoute({
  method: "post",
  path: "/inbox/messages/{id}/retry",
  operationId: "retryMessage",
  summary: "Retry a failed message; an unconfirmed one only where it may arrive twice.",
  security: ["userToken"],
  params: idParams,
  body: z.object({ confirm_possible_double: z.boolean().default(false) }),
  responses: { 200: { description: "The message afterwards", body: messageBody } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...LARGE_BODY_ERRORS, 404, 409, 422),
});

/** `DELETE /inbox/messages/{id}`. */
export const discardMessage = defineRoute({
  method: "delete",
  path: "/inbox/messages/{id}",
  operationId: "discardMessage",
  summary: "Discard a failed or unconfirmed message.",
  security: ["userToken"],
  params: idParams,
  responses: { 200: { description: "The message afterwards", body: messageBody } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404, 409),
});

/** An approved template. */
export const template = z.object({
  id: z.string(),
  name: z.string(),
  language: z.string(),
  category: z.string(),
  components: z.array(z.looseObject({
    type: z.string(),
    format: z.string().optional(),
    text: z.string().optional(),
    buttons: z.array(z.looseObject({
      type: z.string(),
      text: z.string().optional(),
      url: z.string().optional(),
    })).optional(),
  })).meta({
    description: "As Meta has them; placeholders are {{1}} or {{name}}.",
  }),
  parameter_format: z.string(),
}).meta({ id: "Template" });

/** An approved template. */
export type Template = z.output<typeof template>;

/** `GET /inbox/templates`. */
export const listTemplates = defineRoute({
  method: "get",
  path: "/inbox/templates",
  operationId: "listTemplates",
  summary: "The approved templates of the phone number of a conversation.",
  security: ["userToken"],
  query: z.object({ conversation_id: addressedId }),
  responses: {
    200: { description: "The templates", body: z.object({ templates: z.array(template) }) },
  },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404, 422),
});
