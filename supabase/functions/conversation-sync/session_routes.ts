/**
 * The table of the routes on sessions: which SQL function serves a route, with which arguments and message.
 *
 * @module
 */
import type * as z from "zod";
import * as contract from "../_shared/contracts/conversation_sync/index.ts";
import type {
  AgentSession,
  Business,
  SessionOrders,
  SessionPage,
  Tenant,
} from "../_shared/contracts/conversation_sync/answers.ts";
import type { RouteDefinition, RouteInput } from "../_shared/contracts/route.ts";
import type {
  AgentBusinessRow,
  AgentSessionPage,
  AgentSessionRow,
} from "../_shared/database/agent_rows.ts";
import { refused } from "../_shared/database/errors.ts";
import type { RefusalCode } from "../_shared/database/refusals.ts";
import type { Returned } from "../_shared/database/rpc.ts";
import { participantKey, requireMessageSize } from "./schema.ts";
import type {
  ReadFunction,
  SessionArguments,
  SessionStore,
  WriteFunction,
  WrittenSession,
} from "./store.ts";

/** A route with a body that reads or writes a session. */
interface SessionRoute<Kind, Result> {
  readonly kind: Kind;
  readonly route: RouteDefinition;
  /** `message` of the answer. */
  readonly message: string;
  /** Calls the SQL function of the route. */
  readonly call: (
    store: SessionStore,
    keySha256: string,
    input: RouteInput<RouteDefinition>,
  ) => Promise<Result>;
}

/** A route that reads. Its result is the `data` of the answer. */
export type ReadRoute = SessionRoute<"read", unknown>;

/** A route that writes a session. */
export interface WriteRoute extends SessionRoute<"write", WrittenSession> {
  /** Makes the `data` of the answer. */
  readonly view: (session: AgentSessionRow) => unknown;
}

/** `data` of a route's answer. */
type DataOf<Route extends RouteDefinition> = Route["responses"][200] extends
  { readonly body: z.ZodType<{ data: infer Data }> } ? Data : never;

function read<const Route extends RouteDefinition, Name extends ReadFunction>(
  route: Route,
  of: {
    sqlFunction: Name;
    message: string;
    args: (input: RouteInput<Route>) => SessionArguments<Name>;
    view: (
      result: NonNullable<Returned<Name>>,
      input: RouteInput<Route>,
    ) => DataOf<NoInfer<Route>>;
    /** Code of the refusal where nothing is found; `session_not_found` by default. */
    missing?: RefusalCode;
  },
): ReadRoute {
  return {
    kind: "read",
    route,
    message: of.message,
    async call(store, keySha256, given) {
      // addRoute checked the input with the schemas of this route.
      const input = given as RouteInput<Route>;
      const result = await store.read(keySha256, of.sqlFunction, of.args(input));
      if (result === null) throw refused(of.missing ?? "session_not_found");
      return of.view(result, input);
    },
  };
}

function write<const Route extends RouteDefinition, Name extends WriteFunction>(
  route: Route,
  of: {
    sqlFunction: Name;
    message: string;
    args: (input: RouteInput<Route>) => SessionArguments<Name>;
    view: (session: AgentSessionRow) => DataOf<NoInfer<Route>>;
  },
): WriteRoute {
  return {
    kind: "write",
    route,
    message: of.message,
    view: of.view,
    call: (store, keySha256, input) =>
      store.write(keySha256, of.sqlFunction, of.args(input as RouteInput<Route>)),
  };
}

/** All routes on sessions. The first that matches a path serves it. */
export const SESSION_ROUTES: readonly (ReadRoute | WriteRoute)[] = [
  read(contract.lookupTenant, {
    sqlFunction: "find_agent_session",
    message: "Tenant information retrieved successfully",
    args: ({ params }) => ({ participant_key: participantKey(params.phoneNumber) }),
    view: toTenant,
  }),
  read(contract.lookupBusiness, {
    sqlFunction: "find_agent_business",
    message: "Business found",
    args: ({ params }) => ({ phone_number_id: params.phoneNumberId }),
    view: toBusiness,
    missing: "business_not_found",
  }),
  read(contract.lookupConversation, {
    sqlFunction: "find_agent_session",
    message: "Conversation retrieved successfully",
    args: ({ params, query }) => ({
      participant_key: participantKey(params.phoneNumber),
      bot_id: query.botId,
    }),
    view: toState,
  }),
  write(contract.syncConversation, {
    sqlFunction: "sync_agent_session",
    message: "Conversation synced successfully from agent",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      intent: body.intent,
      step: body.step,
      context: body.context,
      metadata: body.metadata,
      is_active: body.isActive,
      version: body.version,
    }),
    view: toState,
  }),
  write(contract.addAgentMessage, {
    sqlFunction: "add_agent_message",
    message: "Message added successfully",
    args: ({ params, body }) => messageArguments(params.sessionId, body),
    view: toState,
  }),
  write(contract.createConversation, {
    sqlFunction: "create_agent_session",
    message: "Conversation ready",
    args: ({ body }) => ({
      participant_key: participantKey(body.userId),
      sub_domain: body.subDomain,
      local_id: body.localId,
      bot_id: body.botId,
      metadata: body.metadata,
    }),
    view: toState,
  }),
  read(contract.listConversations, {
    sqlFunction: "list_agent_sessions",
    message: "Conversations retrieved successfully",
    args: ({ query }) => ({
      sub_domain: query.subDomain,
      local_id: query.localId,
      bot_id: query.botId,
      intent: query.intent,
      max_sessions: query.limit,
      skip: query.offset,
    }),
    view: (page, { query }) => toPage(page, query),
  }),
  // Before the routes of a session: "user" is no session id.
  read(contract.getConversationOfUser, {
    sqlFunction: "find_agent_session",
    message: "Conversation retrieved successfully",
    args: ({ params, query }) => ({
      participant_key: participantKey(params.userId),
      sub_domain: query.subDomain,
      local_id: query.localId,
    }),
    view: toState,
  }),
  read(contract.getConversation, {
    sqlFunction: "read_agent_session",
    message: "Conversation retrieved successfully",
    args: ({ params, query }) => ({
      session_id: params.sessionId,
      sub_domain: query.subDomain,
      local_id: query.localId,
    }),
    view: toState,
  }),
  write(contract.updateIntent, {
    sqlFunction: "change_agent_intent",
    message: "Intent updated successfully",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      sub_domain: body.subDomain,
      local_id: body.localId,
      intent: body.intent,
      step: body.step,
      version: body.version,
    }),
    view: toState,
  }),
  write(contract.updateContext, {
    sqlFunction: "write_agent_context",
    message: "Context updated successfully",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      sub_domain: body.subDomain,
      local_id: body.localId,
      context: body.context,
      merge: body.merge,
      version: body.version,
    }),
    view: toState,
  }),
  write(contract.addMessage, {
    sqlFunction: "add_agent_message",
    message: "Message added successfully",
    args: ({ params, body }) => ({
      ...messageArguments(params.sessionId, body),
      sub_domain: body.subDomain,
      local_id: body.localId,
    }),
    view: toState,
  }),
  write(contract.resetConversation, {
    sqlFunction: "reset_agent_session",
    message: "Conversation reset successfully",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      sub_domain: body.subDomain,
      keep_history: body.keepHistory,
      version: body.version,
    }),
    view: toState,
  }),
  write(contract.extendConversation, {
    sqlFunction: "extend_agent_session",
    message: "Conversation extended successfully",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      sub_domain: body.subDomain,
      hours: body.hours,
      version: body.version,
    }),
    view: toState,
  }),
  write(contract.linkOrder, {
    sqlFunction: "link_agent_order",
    message: "Order linked successfully",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      sub_domain: body.subDomain,
      order_id: body.orderId,
      version: body.version,
    }),
    view: toOrders,
  }),
  read(contract.getOrders, {
    sqlFunction: "read_agent_session",
    message: "Orders retrieved successfully",
    args: ({ params, query }) => ({
      session_id: params.sessionId,
      sub_domain: query.subDomain,
    }),
    view: toOrders,
  }),
  write(contract.endConversation, {
    sqlFunction: "end_agent_session",
    message: "Conversation ended successfully",
    args: ({ params, body }) => ({
      session_id: params.sessionId,
      sub_domain: body.subDomain,
      version: body.version,
    }),
    view: toState,
  }),
];

function messageArguments(
  sessionId: string,
  body: RouteInput<typeof contract.addAgentMessage>["body"],
): SessionArguments<"add_agent_message"> {
  requireMessageSize(body.content);
  return {
    session_id: sessionId,
    role: body.role,
    content: body.content,
    message_id: body.messageId,
    sent_at: body.timestamp,
    version: body.version,
  };
}

/** The state of a session, as agents get it. */
export function toState(row: AgentSessionRow): AgentSession {
  return {
    sessionId: row.session_id,
    userId: row.user_id,
    botId: row.bot_id,
    subDomain: row.sub_domain,
    localId: row.local_id,
    currentIntent: row.current_intent,
    currentStep: row.current_step,
    previousIntent: row.previous_intent,
    previousStep: row.previous_step,
    context: row.context,
    metadata: row.metadata,
    isActive: row.is_active,
    lastActivity: toIso(row.last_activity),
    createdAt: toIso(row.created_at),
    updatedAt: toIso(row.updated_at),
    expiresAt: toIso(row.expires_at),
    currentOrderId: row.current_order_id,
    orderHistory: row.order_history,
    version: row.version,
  };
}

function toIso(time: string): string {
  return new Date(time).toISOString();
}

function toTenant(row: AgentSessionRow): Tenant {
  return {
    subDomain: row.sub_domain,
    botId: row.bot_id,
    sessionId: row.session_id,
    isActive: row.is_active,
    ...(row.local_id === null ? {} : { localId: row.local_id }),
  };
}

function toBusiness(row: AgentBusinessRow): Business {
  return {
    subDomain: row.sub_domain,
    connectionId: row.connection_id,
    isActive: row.is_active,
  };
}

function toPage(
  { sessions, total }: AgentSessionPage,
  { limit, offset }: { limit: number; offset: number },
): SessionPage {
  return { conversations: sessions.map(toState), total, limit, offset };
}

function toOrders(row: AgentSessionRow): SessionOrders {
  return {
    sessionId: row.session_id,
    currentOrderId: row.current_order_id,
    orderHistory: row.order_history,
  };
}
