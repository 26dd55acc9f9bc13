/**
 * inbox for the OpenAPI document.
 *
 * @module
 */
import { z } from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from "zod-openapi";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import * as schema from "./schema.ts";

const error = z.object({
  code: z.string(),
  message: z.string().meta({ description: "Can be shown to people." }),
  details: z.looseObject({}).nullable(),
  request_id: z.string(),
}).meta({ id: "InboxError" });

const time = z.iso.datetime({ offset: true });
const platform = z.enum(["whatsapp", "signal", "telegram", "wechat"]);

const message = z.looseObject({
  id: z.uuid(),
  workspace_id: z.uuid(),
  conversation_id: z.uuid(),
  connection_id: z.uuid().nullable(),
  idempotency_key: z.string(),
  type: z.enum([
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "template",
    "reaction",
  ]),
  content: z.string().meta({ description: "What a bubble shows." }),
  reply_to: z.string().nullable(),
  file_name: z.string().nullable(),
  mime_type: z.string().nullable(),
  state: z.enum([
    "queued",
    "sending",
    "sent",
    "delivered",
    "read",
    "failed",
    "unconfirmed",
    "discarded",
  ]),
  error_code: z.string().nullable(),
  error_message: z.string().nullable(),
  can_retry: z.boolean(),
  message_id: z.string().nullable().meta({
    description: "Id of the message in the thread, once it is known.",
  }),
  attempts: z.int(),
  created_by: z.uuid().nullable(),
  created_at: time,
  updated_at: time,
  sent_at: time.nullable(),
}).meta({ id: "OutboxMessage", description: "A row of outbox_messages." });

const conversation = z.looseObject({
  id: z.uuid(),
  workspace_id: z.uuid(),
  platform,
  status: z.string(),
  person_id: z.uuid().nullable(),
  assigned_to: z.uuid().nullable(),
  unread_count: z.int(),
  last_read_at: time.nullable(),
  closed_at: time.nullable(),
  tag_ids: z.array(z.uuid()),
}).meta({ id: "InboxConversation", description: "A row of conversation_list." });

const acted = z.object({
  conversation,
  kapso: z.enum(["done", "failed", "not_connected"]).meta({
    description: "failed: done here, but not there.",
  }),
});

const person = z.looseObject({
  id: z.uuid(),
  workspace_id: z.uuid(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  phone: z.string().nullable(),
  avatar_url: z.string().nullable(),
  updated_at: time,
}).meta({ id: "InboxPerson", description: "A row of people." });

const merge = z.looseObject({
  id: z.uuid(),
  workspace_id: z.uuid(),
  kept_id: z.uuid(),
  merged_id: z.uuid(),
  created_by: z.uuid().nullable(),
  created_at: time,
  undone_by: z.uuid().nullable(),
  undone_at: time.nullable(),
}).meta({ id: "PersonMerge", description: "A row of person_merges." });

const connection = z.object({
  id: z.uuid(),
  connection_id: z.string(),
  workspace_id: z.uuid(),
  platform,
  name: z.string(),
  phone_number_id: z.string().nullable(),
  is_active: z.boolean(),
  created_at: time,
  last_synced_at: time.nullable(),
  last_event_at: time.nullable(),
  confirmed_until: time.nullable(),
  lag_seconds: z.int().nullable().meta({
    description: "Since everything at Kapso is known to be here; null before the first sync.",
  }),
  silence_seconds: z.int().nullable(),
  is_silent: z.boolean().meta({ description: "Nothing for a day, though it is active." }),
  failed_events: z.int(),
  has_kapso_key: z.boolean(),
  has_webhook_secret: z.boolean(),
  can_send: z.boolean(),
}).meta({ id: "Connection" });

const health = z.object({
  state: z.enum(["active", "paused", "missing", "incomplete", "no_key", "unknown"]),
  url: z.string().nullable(),
  missing_events: z.array(z.string()),
  is_ours: z.boolean(),
}).meta({ id: "WebhookHealth" });

const template = z.object({
  id: z.string(),
  name: z.string(),
  language: z.string(),
  category: z.string(),
  components: z.array(z.looseObject({})),
  parameter_format: z.string(),
});

const path = z.object({ id: z.uuid() });

interface Operation {
  id: string;
  summary: string;
  path?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** What a success has. */
  data: z.ZodType;
  /** Statuses of success; 200 without it. */
  success?: Partial<Record<"200" | "201", string>>;
  /** Statuses of refusals besides those that every request or every body can have. */
  refused?: Parameters<typeof errors>[1][];
}

/** What a signed-in person does. */
function operation(
  { id, summary, path, query, body, data, success = { "200": "Done" }, refused = [] }: Operation,
): ZodOpenApiOperationObject {
  return {
    operationId: id,
    tags: ["inbox"],
    summary,
    security: [{ userToken: [] }],
    requestParams: { ...(path ? { path } : {}), ...(query ? { query } : {}) },
    ...(body
      ? { requestBody: { required: true, content: { "application/json": { schema: body } } } }
      : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(success).map(([status, meaning]) => [status, json(data, meaning)]),
      ),
      ...(body ? errors(error, 400, 413, 415) : {}),
      ...errors(error, 401, 403, 405, ...refused, 500, 503),
    },
  };
}

const paths: ZodOpenApiPathsObject = {
  "/inbox/messages": {
    post: operation({
      id: "sendMessage",
      summary: "Send a message, once for each idempotency_key.",
      body: schema.sendRequest,
      data: z.object({
        message,
        window: z.object({ is_open: z.boolean(), closes_at: z.iso.datetime().nullable() }),
      }),
      success: { "201": "Queued by this request", "200": "The key was known" },
      refused: [404, 409, 422],
    }),
  },
  "/inbox/messages/{id}": {
    delete: operation({
      id: "discardMessage",
      summary: "Take a failed or unconfirmed message out of sight.",
      path,
      data: z.object({ message }),
      refused: [404, 409],
    }),
  },
  "/inbox/messages/{id}/retry": {
    post: operation({
      id: "retryMessage",
      summary: "Try a failed message again; an unconfirmed one only where it may come twice.",
      path,
      body: schema.retryRequest,
      data: z.object({ message }),
      refused: [404, 409, 422],
    }),
  },
  "/inbox/uploads": {
    post: {
      ...operation({
        id: "uploadFile",
        summary: "Upload a file to send. Its media_id is valid for 30 days.",
        data: z.object({
          media_id: z.string(),
          type: z.enum(["image", "video", "audio", "document", "sticker"]),
          file_name: z.string(),
          mime_type: z.string(),
          size: z.int().meta({ description: "In bytes." }),
        }),
        success: { "201": "Uploaded" },
        refused: [400, 404, 413, 415, 422],
      }),
      requestBody: {
        required: true,
        content: {
          "multipart/form-data": {
            schema: z.object({ conversation_id: z.uuid(), file: z.file() }),
          },
        },
      },
    },
  },
  "/inbox/templates": {
    get: operation({
      id: "listTemplates",
      summary: "The approved templates of the number that a thread is with.",
      query: z.object({ conversation_id: z.uuid() }),
      data: z.object({ templates: z.array(template) }),
      refused: [404, 422],
    }),
  },
  "/inbox/media-links": {
    post: operation({
      id: "linkMedia",
      summary: "A link that opens the file of a message for 5 to 10 minutes, without headers.",
      body: schema.mediaLinkRequest,
      data: z.object({ url: z.url(), expires_at: z.iso.datetime() }),
      refused: [404],
    }),
  },
  "/inbox/media/{token}": {
    get: {
      operationId: "openMedia",
      tags: ["inbox"],
      summary: "The file of a link.",
      security: [],
      requestParams: { path: z.object({ token: z.string() }) },
      responses: {
        "200": { description: "The file", content: { "*/*": { schema: z.file() } } },
        "403": json(error, "The link is not valid any more"),
        ...errors(error, 404, 405, 500, 503),
      },
    },
  },
  "/inbox/conversations/{id}/close": {
    post: operation({
      id: "closeConversation",
      summary: "Close a thread.",
      path,
      data: acted,
      refused: [404],
    }),
  },
  "/inbox/conversations/{id}/reopen": {
    post: operation({
      id: "reopenConversation",
      summary: "Open a closed thread again.",
      path,
      data: acted,
      refused: [404],
    }),
  },
  "/inbox/conversations/{id}/read": {
    post: {
      ...operation({
        id: "markConversationRead",
        summary: "Mark a thread as read for all, up to a time or, without a body, everything.",
        path,
        data: acted,
        refused: [400, 404, 413],
      }),
      requestBody: { content: { "application/json": { schema: schema.readRequest } } },
    },
  },
  "/inbox/conversations/{id}/unread": {
    post: operation({
      id: "markConversationUnread",
      summary: "Count the newest inbound message as unread.",
      path,
      data: acted,
      refused: [404],
    }),
  },
  "/inbox/conversations/{id}/assign": {
    post: operation({
      id: "assignConversation",
      summary: "Assign a thread to a member who may answer, or to nobody.",
      path,
      body: schema.assignRequest,
      data: acted,
      refused: [404, 422],
    }),
  },
  "/inbox/people/{id}": {
    patch: operation({
      id: "updatePerson",
      summary: "Change fields of a person; null empties one.",
      path,
      body: schema.personRequest,
      data: z.object({ person }),
      refused: [404, 409],
    }),
  },
  "/inbox/people/{id}/link": {
    post: operation({
      id: "linkConversation",
      summary: "Say that a thread is this person's.",
      path,
      body: schema.linkRequest,
      data: z.object({ person }),
      refused: [404],
    }),
  },
  "/inbox/people/merge": {
    post: operation({
      id: "mergePeople",
      summary: "Make one person of two.",
      body: schema.mergeRequest,
      data: z.object({ merge }),
      refused: [404, 422],
    }),
  },
  "/inbox/people/merges/{id}/undo": {
    post: operation({
      id: "undoMerge",
      summary: "Give back exactly what a merge has moved.",
      path,
      data: z.object({ merge }),
      refused: [404, 409],
    }),
  },
  "/inbox/connections": {
    get: operation({
      id: "listConnections",
      summary: "The connections of a workspace, and how they are.",
      query: z.object({ workspace_id: z.uuid() }),
      data: z.object({ connections: z.array(connection) }),
      refused: [400, 404],
    }),
    post: operation({
      id: "createConnection",
      summary: "Create a connection. Its API secret is in this answer alone.",
      body: schema.createConnectionRequest,
      data: z.object({ connection, api_secret: z.string() }),
      success: { "201": "Created" },
      refused: [404, 409],
    }),
  },
  "/inbox/connections/{id}": {
    patch: operation({
      id: "updateConnection",
      summary: "Change name or number, or switch it on or off.",
      path,
      body: schema.updateConnectionRequest,
      data: z.object({ connection }),
      refused: [404, 409, 422],
    }),
  },
  "/inbox/connections/{id}/rotate": {
    post: operation({
      id: "rotateConnectionSecret",
      summary: "A new API secret; the former one holds for the hours of grace.",
      path,
      body: schema.rotateRequest,
      data: z.object({ api_secret: z.string(), previous_expires_at: time.nullable() }),
      refused: [404],
    }),
  },
  "/inbox/connections/{id}/kapso": {
    put: operation({
      id: "setKapsoCredentials",
      summary: "Set the Kapso API key or the webhook's secret. Neither is ever answered.",
      path,
      body: schema.kapsoRequest,
      data: z.object({ connection }),
      refused: [404, 422],
    }),
  },
  "/inbox/connections/{id}/webhook": {
    post: operation({
      id: "registerWebhook",
      summary: "Register the webhook of the number at Kapso, or mend it.",
      path,
      data: z.object({ webhook: health }),
      refused: [404, 409, 422],
    }),
  },
  "/inbox/connections/{id}/health": {
    get: operation({
      id: "checkWebhook",
      summary: "Ask Kapso how the webhook of the number is.",
      path,
      data: z.object({ webhook: health }),
      refused: [404],
    }),
  },
  "/inbox/tick": {
    post: {
      operationId: "tickInbox",
      tags: ["inbox"],
      summary: "For the schedule, every minute: send queued messages that have no sender.",
      security: [{ serviceKey: [] }],
      responses: {
        "202": json(z.object({ threads: z.int() }), "Number of conversations it sends in"),
        ...errors(error, 401, 403, 405, 500, 503),
      },
    },
  },
};

/** /inbox and what is below it. */
export const inbox: FunctionDescription = {
  name: "inbox",
  description: "What people do in the inbox: send, read, close, assign, merge, manage connections.",
  paths,
};
