/**
 * The API of conversation-sync: the state of AI agents' conversations, with the paths and the envelope that
 * existing agents use.
 *
 * @module
 */
import * as z from "zod";
import { defineRoute, errorsOf } from "../route.ts";
import {
  agentConflict,
  agentError,
  agentSession,
  business,
  health,
  sessionOrders,
  sessionPage,
  success,
  tenant,
} from "./answers.ts";
import * as request from "./requests.ts";

const BASE = "/conversation-sync/api/v1";
const SESSION = `${BASE}/conversations/{sessionId}` as const;

/** What reading routes have in common. */
const READ = {
  security: ["agentKey", "agentKeyHeader"],
  errors: errorsOf(agentError, 400, 401, 404, 405, 429, 500, 503),
} as const;

/** What routes with a body have in common. */
const CREATE = {
  ...READ,
  errors: { ...READ.errors, ...errorsOf(agentError, 408, 413, 415) },
} as const;

/** What routes with a version in their body have in common. */
const WRITE = { ...CREATE, errors: { ...CREATE.errors, 409: agentConflict } } as const;

function done<Data extends z.ZodType>(data: Data) {
  return { 200: { description: "Done", body: success(data) } } as const;
}

/** `GET /conversation-sync/api/v1/whatsapp/lookup/tenant/{phoneNumber}`. */
export const lookupTenant = defineRoute({
  ...READ,
  method: "get",
  path: `${BASE}/whatsapp/lookup/tenant/{phoneNumber}`,
  operationId: "lookupTenant",
  summary: "The business a customer is talking to: that of their newest active session.",
  params: request.phonePath,
  responses: done(tenant),
});

/** `GET /conversation-sync/api/v1/whatsapp/lookup/business/{phoneNumberId}`. */
export const lookupBusiness = defineRoute({
  ...READ,
  method: "get",
  path: `${BASE}/whatsapp/lookup/business/{phoneNumberId}`,
  operationId: "lookupBusiness",
  summary: "The business a WhatsApp number belongs to.",
  params: request.businessPath,
  responses: done(business),
});

/** `GET /conversation-sync/api/v1/whatsapp/lookup/conversation/{phoneNumber}`. */
export const lookupConversation = defineRoute({
  ...READ,
  method: "get",
  path: `${BASE}/whatsapp/lookup/conversation/{phoneNumber}`,
  operationId: "lookupConversation",
  summary: "The newest active session of a phone number.",
  params: request.phonePath,
  query: request.lookupQuery,
  responses: done(agentSession),
});

/** `PUT /conversation-sync/api/v1/whatsapp/agent/conversations/{sessionId}/sync`. */
export const syncConversation = defineRoute({
  ...WRITE,
  method: "put",
  path: `${BASE}/whatsapp/agent/conversations/{sessionId}/sync`,
  operationId: "syncConversation",
  summary: "Write intent, step and context at once. The context is merged key by key.",
  params: request.sessionPath,
  body: request.syncBody,
  responses: done(agentSession),
});

/** `POST /conversation-sync/api/v1/whatsapp/agent/conversations/{sessionId}/messages`. */
export const addAgentMessage = defineRoute({
  ...WRITE,
  method: "post",
  path: `${BASE}/whatsapp/agent/conversations/{sessionId}/messages`,
  operationId: "addAgentMessage",
  summary: "Add a message.",
  params: request.sessionPath,
  body: request.agentMessageBody,
  responses: done(agentSession),
});

/** `POST /conversation-sync/api/v1/conversations`. */
export const createConversation = defineRoute({
  ...CREATE,
  method: "post",
  path: `${BASE}/conversations`,
  operationId: "createConversation",
  summary: "The active session of a customer with a business, or a new one.",
  body: request.createBody,
  responses: {
    ...done(agentSession),
    201: { description: "A new session", body: success(agentSession) },
  },
});

/** `GET /conversation-sync/api/v1/conversations`. */
export const listConversations = defineRoute({
  ...READ,
  method: "get",
  path: `${BASE}/conversations`,
  operationId: "listConversations",
  summary: "Active sessions of a business, newest first.",
  query: request.listQuery,
  responses: done(sessionPage),
});

/** `GET /conversation-sync/api/v1/conversations/user/{userId}`. */
export const getConversationOfUser = defineRoute({
  ...READ,
  method: "get",
  path: `${BASE}/conversations/user/{userId}`,
  operationId: "getConversationOfUser",
  summary: "The active session of a customer.",
  params: request.userPath,
  query: request.sessionQuery,
  responses: done(agentSession),
});

/** `GET /conversation-sync/api/v1/conversations/{sessionId}`. */
export const getConversation = defineRoute({
  ...READ,
  method: "get",
  path: SESSION,
  operationId: "getConversation",
  summary: "A session by its id, also an ended or expired one.",
  params: request.sessionPath,
  query: request.sessionQuery,
  responses: done(agentSession),
});

/** `PATCH /conversation-sync/api/v1/conversations/{sessionId}/intent`. */
export const updateIntent = defineRoute({
  ...WRITE,
  method: "patch",
  path: `${SESSION}/intent`,
  operationId: "updateIntent",
  summary: "Write intent and step; the former pair becomes the previous one.",
  params: request.sessionPath,
  body: request.intentBody,
  responses: done(agentSession),
});

/** `PATCH /conversation-sync/api/v1/conversations/{sessionId}/context`. */
export const updateContext = defineRoute({
  ...WRITE,
  method: "patch",
  path: `${SESSION}/context`,
  operationId: "updateContext",
  summary: "Write the context, key by key or, with merge false, as a whole.",
  params: request.sessionPath,
  body: request.contextBody,
  responses: done(agentSession),
});

/** `POST /conversation-sync/api/v1/conversations/{sessionId}/messages`. */
export const addMessage = defineRoute({
  ...WRITE,
  method: "post",
  path: `${SESSION}/messages`,
  operationId: "addMessage",
  summary: "Add a message.",
  params: request.sessionPath,
  body: request.messageBody,
  responses: done(agentSession),
});

/** `POST /conversation-sync/api/v1/conversations/{sessionId}/reset`. */
export const resetConversation = defineRoute({
  ...WRITE,
  method: "post",
  path: `${SESSION}/reset`,
  operationId: "resetConversation",
  summary: "Start over: intent idle, step initial, empty context. Orders stay.",
  params: request.sessionPath,
  body: request.resetBody,
  responses: done(agentSession),
});

/** `POST /conversation-sync/api/v1/conversations/{sessionId}/extend`. */
export const extendConversation = defineRoute({
  ...WRITE,
  method: "post",
  path: `${SESSION}/extend`,
  operationId: "extendConversation",
  summary: "Keep a session active for a number of hours from now.",
  params: request.sessionPath,
  body: request.extendBody,
  responses: done(agentSession),
});

/** `POST /conversation-sync/api/v1/conversations/{sessionId}/orders`. */
export const linkOrder = defineRoute({
  ...WRITE,
  method: "post",
  path: `${SESSION}/orders`,
  operationId: "linkOrder",
  summary: "Link an order, once.",
  params: request.sessionPath,
  body: request.orderBody,
  responses: done(sessionOrders),
});

/** `GET /conversation-sync/api/v1/conversations/{sessionId}/orders`. */
export const getOrders = defineRoute({
  ...READ,
  method: "get",
  path: `${SESSION}/orders`,
  operationId: "getOrders",
  summary: "The linked orders.",
  params: request.sessionPath,
  query: request.ordersQuery,
  responses: done(sessionOrders),
});

/** `POST /conversation-sync/api/v1/conversations/{sessionId}/end`. */
export const endConversation = defineRoute({
  ...WRITE,
  method: "post",
  path: `${SESSION}/end`,
  operationId: "endConversation",
  summary: "End a session.",
  params: request.sessionPath,
  body: request.endBody,
  responses: done(agentSession),
});

/** `GET /conversation-sync/health`. */
export const checkHealth = defineRoute({
  method: "get",
  path: "/conversation-sync/health",
  operationId: "checkHealth",
  summary: "Whether the function and its database answer.",
  security: [],
  responses: { 200: { description: "They answer", body: health } },
  errors: errorsOf(agentError, 405, 500, 503),
});

/** `GET /conversation-sync/openapi.json`. */
export const getOpenApi = defineRoute({
  method: "get",
  path: "/conversation-sync/openapi.json",
  operationId: "getOpenApi",
  summary: "This document.",
  security: [],
  responses: { 200: { description: "OpenAPI 3.1", body: z.looseObject({}) } },
  errors: errorsOf(agentError, 405, 500),
});
