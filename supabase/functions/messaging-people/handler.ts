/**
 * GET /messaging-people: the people of a connection's workspace, for a bridge to match against.
 *
 * @module
 */
import { requireApiKey, type VerifiedConnection } from "../_shared/auth/api_keys.ts";
import { AppError } from "../_shared/http/errors.ts";
import { createApp } from "../_shared/http/app.ts";
import type { Log } from "../_shared/http/log.ts";
import { parseQuery, type PeopleQuery } from "./schema.ts";

/** A person as bridges see them. */
export interface Person {
  id: string;
  name: string | null;
  email: string | null;
  phone: string | null;
  avatar_url: string | null;
  updated_at: string;
}

/** What the handler needs of the outside world. */
export interface HandlerDeps {
  /** Find the connection a key opens; throws as `verifyApiKey` does. */
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
  const app = createApp({
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

  app.get("/", async (context) => {
    const apiKey = requireApiKey(context.req.header("x-api-key"));
    const connectionId = context.req.header("x-connection-id");
    if (!connectionId) {
      throw new AppError(400, "missing_connection_id", "Missing x-connection-id header");
    }
    const connection = await deps.verifyApiKey(apiKey, connectionId);
    const query = parseQuery(context.req.query());
    const { total, people } = await deps.listPeople(connection.workspaceId, query);
    return context.json({ success: true, total, limit: query.limit, offset: query.offset, people });
  });
  return (request) => app.fetch(request);
}
