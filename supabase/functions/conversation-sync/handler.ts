/**
 * /conversation-sync: the state of AI agents' conversations. docs/api/conversation-sync.md is the contract.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import { sha256Hex } from "../_shared/auth/hash.ts";
import type { AgentError } from "../_shared/contracts/conversation_sync/answers.ts";
import { checkHealth, getOpenApi } from "../_shared/contracts/conversation_sync/index.ts";
import { MAX_BODY_BYTES } from "../_shared/contracts/conversation_sync/requests.ts";
import type { AgentSessionRow } from "../_shared/database/agent_rows.ts";
import { refused } from "../_shared/database/errors.ts";
import { type AppVariables, authenticateRefused, createApp } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { Log } from "../_shared/http/log.ts";
import { createBodyBudget } from "../_shared/http/large_bodies.ts";
import { addRoute, honoPath } from "../_shared/http/routes.ts";
import { SESSION_ROUTES, toState } from "./session_routes.ts";
import type { SessionStore } from "./store.ts";

/** What the handler needs from outside. */
export interface HandlerDeps {
  store: SessionStore;
  log: Log;
  /** Monotonic clock, milliseconds. */
  monotonic: () => number;
}

/** Creates the handler of the function. */
export function createHandler(
  { store, log, monotonic }: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "conversation-sync",
    log,
    monotonic,
    allowHeaders: ["authorization", "x-api-key"],
    errorBody,
  });

  const knownKeys = new WeakMap<Context<AppVariables>, string>();
  const checkKey = async (context: Context<AppVariables>) => {
    const known = knownKeys.get(context);
    if (known !== undefined) return known;
    const keySha256 = await hashOfKey(context);
    if (!await store.hasKey(keySha256)) throw refused("invalid_agent_key");
    knownKeys.set(context, keySha256);
    return keySha256;
  };
  const checkKeyOfRefused = authenticateRefused(checkKey);
  // A second call of the database, for large bodies alone: the one that does the work needs the body.
  const largeBodies = {
    authenticate: checkKey,
    budget: createBodyBudget({ maxBytes: 2 * MAX_BODY_BYTES, maxBytesOfSender: MAX_BODY_BYTES }),
  };
  for (const entry of SESSION_ROUTES) {
    const { method, path } = entry.route;
    app.on(method, [honoPath(path)], requireKey, checkKeyOfRefused);
    addRoute(app, entry.route, async (input, context) => {
      const keySha256 = await hashOfKey(context);
      const answer = (data: unknown, status: 200 | 201 = 200) =>
        context.json({ type: "1", message: entry.message, data }, status);
      if (entry.kind === "read") return answer(await entry.call(store, keySha256, input));
      const { outcome, session } = await entry.call(store, keySha256, input);
      if (outcome === "conflict") return answerConflict(context, session);
      return answer(entry.view(session), outcome === "created" ? 201 : 200);
    }, { maxBodyBytes: MAX_BODY_BYTES, largeBodies });
  }

  addRoute(app, checkHealth, async ({ reply }) => {
    await store.ping();
    return reply(200, { status: "ok" });
  });
  addRoute(app, getOpenApi, async ({ reply }) => {
    // Loaded on request: it describes every function, and agents rarely ask for it.
    const document = await import("../_shared/openapi.json", { with: { type: "json" } });
    return reply(200, document.default);
  });
  return (request) => app.fetch(request);
}

const requireKey: MiddlewareHandler<AppVariables> = (context, next) => {
  if (readKey(context) !== undefined) return next();
  throw new AppError(
    401,
    "missing_agent_key",
    "Missing agent key: send Authorization: Bearer or x-api-key",
  );
};

/** The key of a request. `x-api-key` first: `Authorization` may hold the gateway's key. */
function readKey(context: Context<AppVariables>): string | undefined {
  const bearer = /^Bearer\s+(\S+)\s*$/i.exec(context.req.header("authorization") ?? "")?.[1];
  return context.req.header("x-api-key")?.trim() || bearer;
}

/** SHA-256 of the key of a request that has one. */
function hashOfKey(context: Context<AppVariables>): Promise<string> {
  return sha256Hex(readKey(context)!);
}

function errorBody(error: AppError, requestId: string): AgentError {
  return { type: "3", message: error.message, code: error.code, request_id: requestId };
}

/** Another writer was faster: sends the state, so that the caller can decide again. */
function answerConflict(context: Context<AppVariables>, session: AgentSessionRow): Response {
  const conflict = refused("version_conflict");
  return context.json(
    { ...errorBody(conflict, context.get("requestId")), data: toState(session) },
    conflict.status,
  );
}
