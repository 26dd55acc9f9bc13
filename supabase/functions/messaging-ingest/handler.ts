/**
 * POST /messaging-ingest: bridges push batches of conversations.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { requireApiKey, type VerifiedConnection } from "../_shared/auth/api_keys.ts";
import {
  type ChangeResult,
  ingestConversations,
  type IngestResult,
} from "../_shared/contracts/messaging_ingest.ts";
import { refused } from "../_shared/database/errors.ts";
import { createApp, messagingErrorBody, readJson, requireJson } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import { createBodyBudget } from "../_shared/http/large_bodies.ts";
import { limitBody } from "../_shared/http/limit_body.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type {
  ConnectionKey,
  ConversationStore,
  StoredConversation,
} from "../_shared/messages/conversation_store.ts";
import {
  checkChange,
  checkConversation,
  type CheckedChange,
  type CheckedConversation,
  type IngestMode,
} from "./check.ts";
import { MAX_BODY_BYTES, readBatch, readConnection } from "./schema.ts";

/** Asks for the strict way: a fault in a message costs its conversation, and nothing is repaired. */
const MODE_HEADER = "x-ingest-mode";

/** What the handler needs from outside. */
export interface HandlerDeps {
  store: ConversationStore;
  /** Finds the connection that a key opens, before the request names one; throws as `findKeyHolder` does. */
  findKeyHolder: (apiKey: string) => Promise<VerifiedConnection | undefined>;
  /** Finds the connection that a request names and checks its key; throws as `verifyApiKey` does. */
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
    allowHeaders: ["x-api-key", MODE_HEADER],
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
    limitBody(MAX_BODY_BYTES, {
      advice: "split it into several requests",
      large: {
        // Of a stranger no more than a small body is read.
        async authenticate({ req }) {
          const holder = await deps.findKeyHolder(requireApiKey(req.header("x-api-key")));
          if (holder === undefined) throw refused("invalid_api_key");
          return holder.id;
        },
        // A body takes fifteen times its size of a worker's memory, until it is stored.
        budget: createBodyBudget({ maxBytes: MAX_BODY_BYTES + 1024 * 1024 }),
      },
    }),
  );
  addRoute(app, ingestConversations, async ({ reply }, context) => {
    const body = await readJson(context);
    const { connection_id: connectionId, platform } = readConnection(body);
    const key = {
      apiKey: requireApiKey(context.req.header("x-api-key")),
      connectionId,
      platform,
    };
    const mode = context.req.header(MODE_HEADER);
    let request: CheckedRequest;
    try {
      request = checkRequest(body, mode);
    } catch (error) {
      // Strangers learn nothing of the rest of their request.
      await deps.verifyApiKey(key.apiKey, connectionId, platform);
      throw error;
    }
    const { connection, results } = await store(deps, key, request.conversations);
    const changes = request.changes &&
      await applyChanges(deps.store, connection, request.changes);
    deps.log("info", "ingested", {
      request_id: context.get("requestId"),
      connection,
      conversations: results.length,
      messages_added: results.reduce((sum, result) => sum + result.messages_added, 0),
      errors: results.filter((result) => result.code !== undefined).length,
      rejected: results.reduce((sum, result) => sum + (result.rejected?.length ?? 0), 0),
    });
    return reply(200, {
      success: true,
      processed: results.length,
      results,
      ...(changes === undefined ? {} : { changes }),
    });
  });
  return (request) => app.fetch(request);
}

/** @throws {AppError} invalid_ingest_mode (400). */
function readMode(header: string | undefined): IngestMode {
  if (header === undefined || header === "lenient") return "lenient";
  if (header === "strict") return "strict";
  throw new AppError(
    400,
    "invalid_ingest_mode",
    `The header ${MODE_HEADER} must be "lenient" or "strict"`,
  );
}

/** What a request asks for, with what is wrong with it. */
interface CheckedRequest {
  conversations: CheckedConversation[];
  changes: CheckedChange[] | undefined;
}

/** @throws {AppError} As `readBatch` and `readMode`. */
function checkRequest(body: unknown, modeHeader: string | undefined): CheckedRequest {
  const mode = readMode(modeHeader);
  const { conversations, changes } = readBatch(body);
  return {
    conversations: conversations.map((item) => checkConversation(item, mode)),
    changes: changes?.map((item) => checkChange(item, mode)),
  };
}

/**
 * Checks the key, stores the valid conversations and gives every one its result, in the order of the request.
 *
 * @returns The results, and the primary key of the connection.
 */
async function store(
  deps: HandlerDeps,
  key: ConnectionKey,
  checked: CheckedConversation[],
): Promise<{ connection: string; results: IngestResult[] }> {
  const storable = checked.flatMap((item) => "conversation" in item ? [item.conversation] : []);
  const { connectionId, stored } = storable.length > 0
    ? await deps.store.ingestWithKey(key, storable)
    : {
      connectionId: (await deps.verifyApiKey(key.apiKey, key.connectionId, key.platform)).id,
      stored: [],
    };
  let next = 0;
  const results = checked.map((item) => ({
    ...("conversation" in item
      ? resultOf(item.externalId, stored[next++]!)
      : errorResult(item.externalId, "invalid_conversation", item.problem)),
    ...(item.rejected.length > 0 ? { rejected: item.rejected } : {}),
    ...(item.rejectedChanges.length > 0 ? { rejected_changes: item.rejectedChanges } : {}),
    ...(Object.keys(item.repaired).length > 0 ? { repaired: item.repaired } : {}),
  }));
  return { connection: connectionId, results };
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

/** Applies the valid changes and gives every one its result, in the order of the request. */
async function applyChanges(
  conversations: ConversationStore,
  connectionId: string,
  checked: CheckedChange[],
): Promise<ChangeResult[]> {
  const valid = checked.flatMap((item) => "change" in item ? [item.change] : []);
  const applied = valid.length > 0 ? await conversations.change(connectionId, valid) : [];
  let next = 0;
  return checked.map((item) => {
    if ("problem" in item) {
      return {
        message_id: item.messageId,
        status: `error: ${item.problem}`,
        code: "invalid_change",
      };
    }
    const { outcome, error } = applied[next++]!;
    return error === undefined
      ? { message_id: item.messageId, status: outcome }
      : { message_id: item.messageId, status: `error: ${error.message}`, code: error.code };
  });
}
