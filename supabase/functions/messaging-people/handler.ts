/**
 * GET /messaging-people: the people of a connection's workspace, for a bridge to match against.
 *
 * @module
 */
import { requireApiKey, type VerifiedConnection } from "../_shared/auth/api_keys.ts";
import {
  listPeople,
  type PeopleQuery,
  type Person,
} from "../_shared/contracts/messaging_people.ts";
import { createApp } from "../_shared/http/app.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  /** Finds the connection a key opens; throws as `verifyApiKey` does. */
  verifyApiKey: (apiKey: string, connectionId: string) => Promise<VerifiedConnection>;
  /** A page of the people of one workspace, least recently changed first, and how many there are. */
  listPeople: (
    workspaceId: string,
    query: PeopleQuery,
  ) => Promise<{ total: number; people: Person[] }>;
  log: Log;
  now: () => number;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createApp<{ connection: VerifiedConnection }>({
    name: "messaging-people",
    log: deps.log,
    now: deps.now,
    allowHeaders: ["x-api-key", "x-connection-id"],
    errorBody: (error, requestId) => ({
      error: error.message,
      code: error.code,
      request_id: requestId,
    }),
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
    const { total, people } = await deps.listPeople(context.get("connection").workspaceId, query);
    const { limit, offset } = query;
    return reply(200, { success: true, total, limit, offset, people });
  }, { queryErrorCode: "invalid_query" });
  return (request) => app.fetch(request);
}
