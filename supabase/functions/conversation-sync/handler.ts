/**
 * /conversation-sync: the state of AI agents' conversations, with the paths and the envelope that
 * existing agents use. docs/api/conversation-sync.md is the contract.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import type * as z from "zod";
import { type SessionRow, toAgentSession } from "../_shared/contracts/agent_session.ts";
import { sha256Hex } from "../_shared/auth/api_keys.ts";
import type { Json } from "../_shared/database/database.types.ts";
import { AppError } from "../_shared/http/errors.ts";
import {
  type AppVariables,
  authenticateRefused,
  createApp,
  limitBody,
  readJson,
  requireJson,
} from "../_shared/http/app.ts";
import type { Log } from "../_shared/http/log.ts";
import openapi from "../_shared/openapi.json" with { type: "json" };
import * as schema from "./schema.ts";
import type { AgentSessions, SessionArguments, SessionFunction, SessionOutcome } from "./store.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  sessions: AgentSessions;
  log: Log;
  now: () => number;
}

type RequestContext = Context<AppVariables>;
type Method = "GET" | "POST" | "PUT" | "PATCH";

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "conversation-sync",
    log: deps.log,
    now: deps.now,
    allowHeaders: ["authorization", "x-api-key"],
    errorBody: (error, requestId) => ({
      type: "3",
      message: error.message,
      code: error.code,
      request_id: requestId,
    }),
  });

  const checkKeyOfRefused = authenticateRefused(async (context) => {
    if (!await deps.sessions.hasKey(await sha256Hex(readKey(context)!))) throw invalidKey();
  });
  const route = (
    method: Method,
    path: string,
    handle: (context: RequestContext) => Promise<Response>,
  ) => {
    const checks = method === "GET"
      ? [requireKey, checkKeyOfRefused]
      : [requireKey, checkKeyOfRefused, requireJson, limitBody(schema.MAX_BODY_BYTES)];
    app.on(method, [path], ...checks, handle);
  };
  const call = async <Name extends SessionFunction>(
    context: RequestContext,
    name: Name,
    args: Omit<SessionArguments<Name>, "key_sha256">,
  ): Promise<SessionOutcome> => {
    const key_sha256 = await sha256Hex(readKey(context)!);
    return await deps.sessions.call(name, { ...args, key_sha256 } as SessionArguments<Name>);
  };
  /** Call a function that returns a session, and answer with its state. */
  const answerState = async <Name extends SessionFunction>(
    context: RequestContext,
    message: string,
    name: Name,
    args: Omit<SessionArguments<Name>, "key_sha256">,
    view: (row: SessionRow) => unknown = toAgentSession,
  ): Promise<Response> => {
    const { outcome, data } = await call(context, name, args);
    if (outcome === "conflict") return answerConflict(context, data as SessionRow);
    const row = expected(outcome, data) as SessionRow;
    return answer(context, message, view(row), outcome === "created" ? 201 : 200);
  };

  route("GET", "/api/v1/whatsapp/lookup/tenant/:phoneNumber", (context) => {
    const { phoneNumber } = readPath(context, schema.phonePath);
    return answerState(
      context,
      "Tenant information retrieved successfully",
      "find_agent_session",
      { participant_key: phoneNumber },
      toTenant,
    );
  });
  route("GET", "/api/v1/whatsapp/lookup/business/:phoneNumberId", async (context) => {
    const { phoneNumberId } = readPath(context, schema.businessPath);
    const { outcome, data } = await call(context, "find_agent_business", {
      phone_number_id: phoneNumberId,
    });
    if (outcome === "not_found") {
      throw new AppError(404, "business_not_found", "No business of this key has this number");
    }
    const business = expected(outcome, data) as {
      sub_domain: string;
      connection_id: string;
      is_active: boolean;
    };
    return answer(context, "Business found", {
      subDomain: business.sub_domain,
      connectionId: business.connection_id,
      isActive: business.is_active,
    });
  });
  route("GET", "/api/v1/whatsapp/lookup/conversation/:phoneNumber", (context) => {
    const { phoneNumber } = readPath(context, schema.phonePath);
    const { botId } = readQuery(context, schema.lookupQuery);
    return answerState(context, "Conversation retrieved successfully", "find_agent_session", {
      participant_key: phoneNumber,
      bot_id: botId,
    });
  });
  route("PUT", "/api/v1/whatsapp/agent/conversations/:sessionId/sync", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.syncBody);
    return await answerState(
      context,
      "Conversation synced successfully from agent",
      "sync_agent_session",
      {
        session_id: sessionId,
        intent: body.intent,
        step: body.step,
        context: body.context as Json,
        metadata: body.metadata as Json | undefined,
        is_active: body.isActive,
        version: body.version,
      },
    );
  });
  route("POST", "/api/v1/whatsapp/agent/conversations/:sessionId/messages", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.agentMessageBody);
    return await addMessage(context, sessionId, body);
  });

  route("POST", "/api/v1/conversations", async (context) => {
    const body = await readBody(context, schema.createBody);
    return await answerState(context, "Conversation ready", "create_agent_session", {
      participant_key: body.userId,
      sub_domain: body.subDomain,
      local_id: body.localId,
      bot_id: body.botId,
      metadata: body.metadata as Json | undefined,
    });
  });
  route("GET", "/api/v1/conversations", async (context) => {
    const query = readQuery(context, schema.listQuery);
    const { outcome, data } = await call(context, "list_agent_sessions", {
      sub_domain: query.subDomain,
      local_id: query.localId,
      bot_id: query.botId,
      intent: query.intent,
      max_sessions: query.limit,
      skip: query.offset,
    });
    const page = expected(outcome, data) as { total: number; sessions: SessionRow[] };
    return answer(context, "Conversations retrieved successfully", {
      conversations: page.sessions.map(toAgentSession),
      total: page.total,
      limit: query.limit,
      offset: query.offset,
    });
  });
  // Before the paths of sessions: "user" is not one.
  route("GET", "/api/v1/conversations/user/:userId", (context) => {
    const { userId } = readPath(context, schema.userPath);
    const { subDomain, localId } = readQuery(context, schema.sessionQuery);
    return answerState(context, "Conversation retrieved successfully", "find_agent_session", {
      participant_key: userId,
      sub_domain: subDomain,
      local_id: localId,
    });
  });
  route("GET", "/api/v1/conversations/:sessionId", (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const { subDomain, localId } = readQuery(context, schema.sessionQuery);
    return answerState(context, "Conversation retrieved successfully", "read_agent_session", {
      session_id: sessionId,
      sub_domain: subDomain,
      local_id: localId,
    });
  });
  route("PATCH", "/api/v1/conversations/:sessionId/intent", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.intentBody);
    return await answerState(context, "Intent updated successfully", "change_agent_intent", {
      session_id: sessionId,
      sub_domain: body.subDomain,
      local_id: body.localId,
      intent: body.intent,
      step: body.step,
      version: body.version,
    });
  });
  route("PATCH", "/api/v1/conversations/:sessionId/context", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.contextBody);
    return await answerState(context, "Context updated successfully", "write_agent_context", {
      session_id: sessionId,
      sub_domain: body.subDomain,
      local_id: body.localId,
      context: body.context as Json,
      merge: body.merge,
      version: body.version,
    });
  });
  route("POST", "/api/v1/conversations/:sessionId/messages", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.messageBody);
    return await addMessage(context, sessionId, body);
  });
  route("POST", "/api/v1/conversations/:sessionId/reset", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.resetBody);
    return await answerState(context, "Conversation reset successfully", "reset_agent_session", {
      session_id: sessionId,
      sub_domain: body.subDomain,
      keep_history: body.keepHistory,
      version: body.version,
    });
  });
  route("POST", "/api/v1/conversations/:sessionId/extend", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.extendBody);
    return await answerState(
      context,
      "Conversation extended successfully",
      "extend_agent_session",
      {
        session_id: sessionId,
        sub_domain: body.subDomain,
        hours: body.hours,
        version: body.version,
      },
    );
  });
  route("POST", "/api/v1/conversations/:sessionId/orders", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.orderBody);
    return await answerState(context, "Order linked successfully", "link_agent_order", {
      session_id: sessionId,
      sub_domain: body.subDomain,
      order_id: body.orderId,
      version: body.version,
    }, toOrders);
  });
  route("GET", "/api/v1/conversations/:sessionId/orders", (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const { subDomain } = readQuery(context, schema.ordersQuery);
    return answerState(context, "Orders retrieved successfully", "read_agent_session", {
      session_id: sessionId,
      sub_domain: subDomain,
      local_id: undefined,
    }, toOrders);
  });
  route("POST", "/api/v1/conversations/:sessionId/end", async (context) => {
    const { sessionId } = readPath(context, schema.sessionPath);
    const body = await readBody(context, schema.endBody);
    return await answerState(context, "Conversation ended successfully", "end_agent_session", {
      session_id: sessionId,
      sub_domain: body.subDomain,
      version: body.version,
    });
  });

  app.get("/health", async (context) => {
    await deps.sessions.ping();
    return context.json({ status: "ok" });
  });
  app.get("/openapi.json", (context) => context.json(openapi));
  return (request) => app.fetch(request);

  function addMessage(
    context: RequestContext,
    sessionId: string,
    body: z.output<typeof schema.agentMessageBody> & { subDomain?: string; localId?: unknown },
  ): Promise<Response> {
    schema.requireMessageSize(body.content);
    return answerState(context, "Message added successfully", "add_agent_message", {
      session_id: sessionId,
      role: body.role,
      content: body.content,
      sub_domain: body.subDomain,
      local_id: body.localId as string | undefined,
      message_id: body.messageId,
      sent_at: body.timestamp,
      version: body.version,
    });
  }
}

const requireKey: MiddlewareHandler<AppVariables> = (context, next) => {
  if (readKey(context) === undefined) {
    throw new AppError(
      401,
      "missing_agent_key",
      "Missing agent key: send Authorization: Bearer or x-api-key",
    );
  }
  return next();
};

/** The key of a request. `x-api-key` first: what stands in `Authorization` may be the gateway's. */
function readKey(context: RequestContext): string | undefined {
  const bearer = /^Bearer\s+(\S+)\s*$/i.exec(context.req.header("authorization") ?? "")?.[1];
  return context.req.header("x-api-key")?.trim() || bearer;
}

function readPath<Schema extends z.ZodType>(
  context: RequestContext,
  of: Schema,
): z.output<Schema> {
  return schema.parse(of, context.req.param());
}

function readQuery<Schema extends z.ZodType>(
  context: RequestContext,
  of: Schema,
): z.output<Schema> {
  const given = Object.entries(context.req.query()).filter(([, value]) => value !== "");
  return schema.parse(of, Object.fromEntries(given));
}

async function readBody<Schema extends z.ZodType>(
  context: RequestContext,
  of: Schema,
): Promise<z.output<Schema>> {
  return schema.parse(of, await readJson(context));
}

function answer(
  context: RequestContext,
  message: string,
  data: unknown,
  status: 200 | 201 = 200,
): Response {
  return context.json({ type: "1", message, data }, status);
}

/** Somebody else was quicker: with the state, so that the caller can decide anew. */
function answerConflict(context: RequestContext, row: SessionRow): Response {
  return context.json({
    type: "3",
    message: "The session has another version: somebody else has written it since",
    code: "version_conflict",
    request_id: context.get("requestId"),
    data: toAgentSession(row),
  }, 409);
}

function invalidKey(): AppError {
  return new AppError(401, "invalid_agent_key", "Invalid or revoked agent key");
}

/**
 * The data of an outcome that is one.
 *
 * @throws {AppError} for all others.
 */
function expected(outcome: string, data: unknown): unknown {
  switch (outcome) {
    case "ok":
    case "created":
      return data;
    case "invalid_key":
      throw invalidKey();
    case "workspace_not_found":
      throw new AppError(404, "workspace_not_found", "No workspace of this key has this subDomain");
    case "not_found":
      throw new AppError(404, "session_not_found", "No such session in the workspaces of this key");
    case "not_active":
      throw new AppError(
        404,
        "session_not_active",
        "The session has ended or expired: create a new one",
      );
    case "context_too_large":
      throw new AppError(413, "context_too_large", "context must be at most 256 KB in all");
    case "metadata_too_large":
      throw new AppError(413, "metadata_too_large", "metadata must be at most 64 KB in all");
    default:
      throw new Error(`unknown outcome: ${outcome}`);
  }
}

function toTenant(row: SessionRow): Record<string, unknown> {
  return {
    subDomain: row.sub_domain,
    botId: row.bot_id,
    sessionId: row.session_id,
    isActive: row.is_active,
    ...(row.local_id === null ? {} : { localId: row.local_id }),
  };
}

function toOrders(row: SessionRow): Record<string, unknown> {
  return {
    sessionId: row.session_id,
    currentOrderId: row.current_order_id,
    orderHistory: row.order_history,
  };
}
