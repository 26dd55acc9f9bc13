/**
 * conversation-sync for the OpenAPI document.
 *
 * @module
 */
import * as z from "zod";
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from "zod-openapi";
import { agentSession } from "../_shared/contracts/agent_session.ts";
import { errors, type FunctionDescription, json } from "../_shared/http/openapi.ts";
import * as schema from "./schema.ts";

const error = z.object({
  type: z.literal("3"),
  message: z.string(),
  code: z.string(),
  request_id: z.string(),
}).meta({ id: "AgentError" });

const session = agentSession.meta({ id: "AgentSession" });
const conflict = error.extend({ data: session }).meta({ id: "AgentConflict" });
const orders = z.object({
  sessionId: z.string(),
  currentOrderId: z.string().nullable(),
  orderHistory: z.array(z.string()),
});
const success = (data: z.ZodType) => z.object({ type: z.literal("1"), message: z.string(), data });

interface Operation {
  id: string;
  summary: string;
  path?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodObject;
  /** What `data` is; a session without it. */
  data?: z.ZodType;
}

function operation(
  { id, summary, path, query, body, data = session }: Operation,
): ZodOpenApiOperationObject {
  const hasVersion = body !== undefined && "version" in body.shape;
  return {
    operationId: id,
    tags: ["conversation-sync"],
    summary,
    security: [{ agentKey: [] }, { agentKeyHeader: [] }],
    requestParams: { ...(path ? { path } : {}), ...(query ? { query } : {}) },
    ...(body
      ? { requestBody: { required: true, content: { "application/json": { schema: body } } } }
      : {}),
    responses: {
      "200": json(success(data), "Done"),
      ...(body === schema.createBody
        ? { "201": json(success(data), "A new session, for there was no active one") }
        : {}),
      ...errors(error, 400, 401, 404, 405),
      ...(hasVersion ? errors(conflict, 409) : {}),
      ...(body ? errors(error, 413, 415) : {}),
      ...errors(error, 500, 503),
    },
  };
}

const BASE = "/conversation-sync/api/v1";
const path = schema.sessionPath;

const paths: ZodOpenApiPathsObject = {
  [`${BASE}/whatsapp/lookup/tenant/{phoneNumber}`]: {
    get: operation({
      id: "lookupTenant",
      summary: "Which business a customer is talking to: the newest active session of a phone.",
      path: schema.phonePath,
      data: z.object({
        subDomain: z.string(),
        botId: z.string().nullable(),
        sessionId: z.string(),
        isActive: z.boolean(),
        localId: z.string().optional(),
      }),
    }),
  },
  [`${BASE}/whatsapp/lookup/business/{phoneNumberId}`]: {
    get: operation({
      id: "lookupBusiness",
      summary: "Which business a WhatsApp number belongs to.",
      path: schema.businessPath,
      data: z.object({
        subDomain: z.string(),
        localId: z.string().optional(),
        connectionId: z.string(),
        isActive: z.boolean(),
      }),
    }),
  },
  [`${BASE}/whatsapp/lookup/conversation/{phoneNumber}`]: {
    get: operation({
      id: "lookupConversation",
      summary: "The newest active session of a phone.",
      path: schema.phonePath,
      query: schema.lookupQuery,
    }),
  },
  [`${BASE}/whatsapp/agent/conversations/{sessionId}/sync`]: {
    put: operation({
      id: "syncConversation",
      summary: "Write intent, step and context in one. Context is merged key by key.",
      path,
      body: schema.syncBody,
    }),
  },
  [`${BASE}/whatsapp/agent/conversations/{sessionId}/messages`]: {
    post: operation({
      id: "addAgentMessage",
      summary: "Add a message.",
      path,
      body: schema.agentMessageBody,
    }),
  },
  [`${BASE}/conversations`]: {
    post: operation({
      id: "createConversation",
      summary: "The active session of a customer and business, or a new one.",
      body: schema.createBody,
    }),
    get: operation({
      id: "listConversations",
      summary: "Active sessions of a business, newest first.",
      query: schema.listQuery.extend({
        // On the wire they are text, to a caller numbers.
        limit: z.int().min(1).max(schema.MAX_LIMIT).default(schema.DEFAULT_LIMIT),
        offset: z.int().min(0).max(999_999_999).default(0),
      }),
      data: z.object({
        conversations: z.array(session),
        total: z.int(),
        limit: z.int(),
        offset: z.int(),
      }),
    }),
  },
  [`${BASE}/conversations/{sessionId}`]: {
    get: operation({
      id: "getConversation",
      summary: "A session by its id, also an ended or expired one.",
      path,
      query: schema.sessionQuery,
    }),
  },
  [`${BASE}/conversations/user/{userId}`]: {
    get: operation({
      id: "getConversationOfUser",
      summary: "The active session of a customer.",
      path: schema.userPath,
      query: schema.sessionQuery,
    }),
  },
  [`${BASE}/conversations/{sessionId}/intent`]: {
    patch: operation({
      id: "updateIntent",
      summary: "Write intent and step; the former pair becomes the previous one.",
      path,
      body: schema.intentBody,
    }),
  },
  [`${BASE}/conversations/{sessionId}/context`]: {
    patch: operation({
      id: "updateContext",
      summary: "Write the context, key by key or, with merge false, as a whole.",
      path,
      body: schema.contextBody,
    }),
  },
  [`${BASE}/conversations/{sessionId}/messages`]: {
    post: operation({
      id: "addMessage",
      summary: "Add a message.",
      path,
      body: schema.messageBody,
    }),
  },
  [`${BASE}/conversations/{sessionId}/reset`]: {
    post: operation({
      id: "resetConversation",
      summary: "Begin anew: intent idle, step initial, no context. Orders stay.",
      path,
      body: schema.resetBody,
    }),
  },
  [`${BASE}/conversations/{sessionId}/extend`]: {
    post: operation({
      id: "extendConversation",
      summary: "Keep a session active for so many hours from now.",
      path,
      body: schema.extendBody,
    }),
  },
  [`${BASE}/conversations/{sessionId}/orders`]: {
    post: operation({
      id: "linkOrder",
      summary: "Link an order, once.",
      path,
      body: schema.orderBody,
      data: orders,
    }),
    get: operation({
      id: "getOrders",
      summary: "The linked orders.",
      path,
      query: schema.ordersQuery,
      data: orders,
    }),
  },
  [`${BASE}/conversations/{sessionId}/end`]: {
    post: operation({
      id: "endConversation",
      summary: "End a session.",
      path,
      body: schema.endBody,
    }),
  },
  "/conversation-sync/health": {
    get: {
      operationId: "checkHealth",
      tags: ["conversation-sync"],
      summary: "Whether the function and its database answer.",
      security: [],
      responses: {
        "200": json(z.object({ status: z.literal("ok") }), "They do"),
        ...errors(error, 500, 503),
      },
    },
  },
  "/conversation-sync/openapi.json": {
    get: {
      operationId: "getOpenApi",
      tags: ["conversation-sync"],
      summary: "This document.",
      security: [],
      responses: { "200": json(z.looseObject({}), "OpenAPI 3.1") },
    },
  },
};

/** The agent API. */
export const conversationSync: FunctionDescription = {
  name: "conversation-sync",
  description: "The state of AI agents' conversations.",
  paths,
};
