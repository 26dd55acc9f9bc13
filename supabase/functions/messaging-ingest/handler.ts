/**
 * POST /messaging-ingest: bridges push batches of conversations.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { requireApiKey, type VerifiedConnection } from "../_shared/auth/api_keys.ts";
import { ingestConversations, type IngestResult } from "../_shared/contracts/messaging_ingest.ts";
import { createApp, messagingErrorBody, readJson, requireJson } from "../_shared/http/app.ts";
import { limitBody } from "../_shared/http/limit_body.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type {
  ConversationStore,
  StoredConversation,
} from "../_shared/messages/conversation_store.ts";
import {
  checkConversation,
  type CheckedConversation,
  MAX_BODY_BYTES,
  readConnection,
  readConversations,
} from "./schema.ts";

/** What the handler needs from outside. */
export interface HandlerDeps {
  store: ConversationStore;
  /** Finds the connection that a key opens; throws as `verifyApiKey` does. */
  verifyApiKey: (
    apiKey: string,
    connectionId: string,
    platform: string,
  ) => Promise<VerifiedConnection>;
  log: Log;
  /** Monotonic clock, milliseconds. */
  monotonic: () => number;
}

/** Creates the handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "messaging-ingest",
    log: deps.log,
    monotonic: deps.monotonic,
    allowHeaders: ["x-api-key"],
    errorBody: messagingErrorBody,
  });

  const requireKey: MiddlewareHandler = (context, next) => {
    requireApiKey(context.req.header("x-api-key"));
    return next();
  };
  app.post(
    "/",
    requireKey,
    requireJson,
    limitBody(MAX_BODY_BYTES, "split it into several requests"),
  );
  addRoute(app, ingestConversations, async ({ reply }, context) => {
    const apiKey = requireApiKey(context.req.header("x-api-key"));
    const body = await readJson(context);
    const { connection_id, platform } = readConnection(body);
    // Authenticates before the conversations are checked, so that strangers learn nothing else.
    const connection = await deps.verifyApiKey(apiKey, connection_id, platform);
    const checked = readConversations(body).map(checkConversation);
    const results = await store(deps.store, connection.id, checked);
    deps.log("info", "ingested", {
      request_id: context.get("requestId"),
      connection: connection.id,
      conversations: results.length,
      messages_added: results.reduce((sum, result) => sum + result.messages_added, 0),
      errors: results.filter((result) => result.code !== undefined).length,
    });
    return reply(200, { success: true, processed: results.length, results });
  });
  return (request) => app.fetch(request);
}

/** Stores the valid conversations and gives every one its result, in the order of the request. */
async function store(
  conversations: ConversationStore,
  connectionId: string,
  checked: CheckedConversation[],
): Promise<IngestResult[]> {
  const storable = checked.flatMap((item) => "conversation" in item ? [item.conversation] : []);
  const stored = storable.length > 0 ? await conversations.ingest(connectionId, storable) : [];
  let next = 0;
  return checked.map((item) =>
    "conversation" in item
      ? resultOf(item.externalId, stored[next++]!)
      : errorResult(item.externalId, "invalid_conversation", item.problem)
  );
}

function resultOf(externalId: string, stored: StoredConversation): IngestResult {
  if (stored.error) return errorResult(externalId, stored.error.code, stored.error.message);
  return {
    conversation_id: externalId,
    messages_added: stored.messagesAdded,
    status: stored.outcome,
    ...(stored.id === null ? {} : { id: stored.id }),
  };
}

function errorResult(externalId: string, code: string, problem: string): IngestResult {
  return { conversation_id: externalId, messages_added: 0, status: `error: ${problem}`, code };
}
