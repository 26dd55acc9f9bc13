/**
 * What members do with a conversation: close, reopen, read, assign.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "../errors.ts";
import { platform } from "../connection.ts";
import { defineRoute, errorsOf } from "../route.ts";
import { BODY_ERRORS, id, idParams, REQUEST_ERRORS, timestamp } from "./fields.ts";

/** A row of `conversation_list`. */
export const conversation = z.object({
  id,
  workspace_id: id,
  connection_id: id.nullable(),
  platform,
  external_conversation_id: z.string(),
  participant_identifier: z.string(),
  participant_name: z.string().nullable(),
  person_id: id.nullable(),
  person_name: z.string().nullable(),
  status: z.enum(["open", "closed"]),
  closed_at: timestamp.nullable(),
  assigned_to: id.nullable(),
  message_count: z.int(),
  unread_count: z.int(),
  inbound_arrivals: z.int(),
  last_read_at: timestamp.nullable(),
  activity_at: timestamp,
  last_message_at: timestamp.nullable(),
  last_message_preview: z.string().nullable(),
  last_message_type: z.string().nullable(),
  last_message_direction: z.enum(["inbound", "outbound"]).nullable(),
  last_inbound_at: timestamp.nullable(),
  created_at: timestamp,
  updated_at: timestamp,
  tag_ids: z.array(id),
}).meta({ id: "InboxConversation", description: "A row of conversation_list." });

/** A row of `conversation_list`. */
export type Conversation = z.output<typeof conversation>;

const changed = z.object({
  conversation,
  kapso: z.enum(["done", "failed", "not_connected"]).meta({
    description: "Result of mirroring the change to Kapso. failed: done here, but not at Kapso.",
  }),
});

/** Result of mirroring a change to Kapso. */
export type KapsoResult = z.output<typeof changed>["kapso"];

/** The conversation after an action, as the SQL functions return it. */
export interface StoredConversationChange {
  conversation: Conversation;
  /** Where the conversation is at Kapso; `message_id` is the newest inbound message, if it was unread. */
  kapso: {
    connection_id?: string | null;
    phone_number_id?: string | null;
    session_id?: string | null;
    message_id?: string | null;
  };
}

const responses = { 200: { description: "The conversation afterwards", body: changed } };

/** `POST /inbox/conversations/{id}/close`. */
export const closeConversation = defineRoute({
  method: "post",
  path: "/inbox/conversations/{id}/close",
  operationId: "closeConversation",
  summary: "Close a conversation.",
  security: ["userToken"],
  params: idParams,
  responses,
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404),
});

/** `POST /inbox/conversations/{id}/reopen`. */
export const reopenConversation = defineRoute({
  method: "post",
  path: "/inbox/conversations/{id}/reopen",
  operationId: "reopenConversation",
  summary: "Reopen a closed conversation.",
  security: ["userToken"],
  params: idParams,
  responses,
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404),
});

/** `POST /inbox/conversations/{id}/read`. */
export const markConversationRead = defineRoute({
  method: "post",
  path: "/inbox/conversations/{id}/read",
  operationId: "markConversationRead",
  summary:
    "Mark a conversation as read for all members: what had arrived when its inbound_arrivals was seen_arrivals; without a body, all of it.",
  security: ["userToken"],
  params: idParams,
  body: z.object({ seen_arrivals: z.int().min(0).optional() }),
  bodyIsOptional: true,
  responses,
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404),
});

/** `POST /inbox/conversations/{id}/unread`. */
export const markConversationUnread = defineRoute({
  method: "post",
  path: "/inbox/conversations/{id}/unread",
  operationId: "markConversationUnread",
  summary: "Mark the newest inbound message as unread.",
  security: ["userToken"],
  params: idParams,
  responses,
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404),
});

/** `POST /inbox/conversations/{id}/assign`. */
export const assignConversation = defineRoute({
  method: "post",
  path: "/inbox/conversations/{id}/assign",
  operationId: "assignConversation",
  summary: "Assign a conversation to a member who may reply; null unassigns it.",
  security: ["userToken"],
  params: idParams,
  body: z.object({ user_id: id.nullable() }),
  responses,
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404, 422),
});
