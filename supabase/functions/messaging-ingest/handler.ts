/**
 * POST /messaging-ingest: bridges push batches of conversations.
 *
 * The order of the checks, the error texts and the answer are a contract: docs/api/messaging-ingest.md.
 *
 * @module
 */
import type { MiddlewareHandler } from "hono";
import { requireApiKey, type VerifiedConnection } from "../_shared/auth/api_keys.ts";
import type { ConversationStore, IngestOutcome } from "../_shared/contracts/ingest.ts";
import { createApp, limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import type { Log } from "../_shared/http/log.ts";
import {
  checkConversation,
  type CheckedConversation,
  MAX_BODY_BYTES,
  parseConnection,
  parseConversations,
} from "./schema.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  store: ConversationStore;
  /** Find the connection a key opens; throws as `verifyApiKey` does. */
  verifyApiKey: (
    apiKey: string,
    connectionId: string,
    platform: string,
  ) => Promise<VerifiedConnection>;
  log: Log;
  now: () => number;
}

/** One element of `results`. */
interface Result {
  conversation_id: string;
  messages_added: number;
  status: string;
  id?: string;
  code?: string;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp({
    name: "messaging-ingest",
    log: deps.log,
    now: deps.now,
    allowHeaders: ["x-api-key"],
    errorBody: (error, requestId) => ({
      error: error.message,
      code: error.code,
      request_id: requestId,
    }),
  });

  const requireKey: MiddlewareHandler = (context, next) => {
    requireApiKey(context.req.header("x-api-key"));
    return next();
  };
  const limit = limitBody(MAX_BODY_BYTES, "split it into several requests");
  app.post("/", requireKey, requireJson, limit, async (context) => {
    const apiKey = requireApiKey(context.req.header("x-api-key"));
    const body = await readJson(context);
    const { connection_id, platform } = parseConnection(body);
    // Whoever has no key is told that, and not what else is wrong.
    const connection = await deps.verifyApiKey(apiKey, connection_id, platform);
    const checked = parseConversations(body).map(checkConversation);
    const results = await store(deps.store, connection.id, checked);
    deps.log("info", "ingested", {
      request_id: context.get("requestId"),
      connection: connection.id,
      conversations: results.length,
      messages_added: results.reduce((sum, result) => sum + result.messages_added, 0),
      errors: results.filter((result) => result.code !== undefined).length,
    });
    return context.json({ success: true, processed: results.length, results });
  });
  return (request) => app.fetch(request);
}

/** Store what is right, and give every conversation its result, in the order of the request. */
async function store(
  conversations: ConversationStore,
  connectionId: string,
  checked: CheckedConversation[],
): Promise<Result[]> {
  const storable = checked.flatMap((item) => "conversation" in item ? [item.conversation] : []);
  const outcomes = storable.length > 0 ? await conversations.ingest(connectionId, storable) : [];
  let next = 0;
  return checked.map((item) =>
    "conversation" in item
      ? resultOf(item.externalId, outcomes[next++]!)
      : errorResult(item.externalId, "invalid_conversation", item.problem)
  );
}

function resultOf(externalId: string, outcome: IngestOutcome): Result {
  if (outcome.error) return errorResult(externalId, outcome.error.code, outcome.error.message);
  return {
    conversation_id: externalId,
    messages_added: outcome.messagesAdded,
    status: outcome.outcome,
    ...(outcome.id === null ? {} : { id: outcome.id }),
  };
}

function errorResult(externalId: string, code: string, problem: string): Result {
  return { conversation_id: externalId, messages_added: 0, status: `error: ${problem}`, code };
}
