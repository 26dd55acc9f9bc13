/**
 * GET /messaging-people: the people of a connection's workspace, for a bridge to match against.
 *
 * @module
 */
import { requireApiKey, type VerifiedConnection } from "../_shared/auth/api_keys.ts";
import { listPeople } from "../_shared/contracts/messaging_people.ts";
import { createApp, messagingErrorBody } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type { PeopleStore } from "./store.ts";

/** What the handler needs from outside. */
export interface HandlerDeps {
  /** Finds the connection that a key opens; throws as `verifyApiKey` does. */
  verifyApiKey: (apiKey: string, connectionId: string) => Promise<VerifiedConnection>;
  store: PeopleStore;
  log: Log;
  /** Monotonic clock, milliseconds. */
  monotonic: () => number;
}

/** Creates the handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp<{ connection: VerifiedConnection }>({
    name: "messaging-people",
    log: deps.log,
    monotonic: deps.monotonic,
    allowHeaders: ["x-api-key", "x-connection-id"],
    errorBody: messagingErrorBody,
  });

  // Authenticates before the query is checked, so that strangers learn nothing else.
  app.get("/", async (context, next) => {
    const apiKey = requireApiKey(context.req.header("x-api-key"));
    const connectionId = context.req.header("x-connection-id");
    if (!connectionId) {
      throw new AppError(400, "missing_connection_id", "Missing x-connection-id header");
    }
    context.set("connection", await deps.verifyApiKey(apiKey, connectionId));
    await next();
  });
  addRoute(app, listPeople, async ({ query, reply }, context) => {
    const { total, people } = await deps.store.list(
      context.get("connection").workspaceId,
      query,
    );
    const { limit, offset } = query;
    return reply(200, { success: true, total, limit, offset, people });
  }, { queryErrorCode: "invalid_query" });
  return (request) => app.fetch(request);
}
