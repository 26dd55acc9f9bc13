/**
 * /inbox: what people do in the inbox. Each request acts with the token of the user who makes it, so the
 * database decides what they may; the function's own rights are used for sending and for secrets alone.
 *
 * @module
 */
import { type Context, Hono } from "hono";
import { type Caller, createCallerApp, requireService } from "../_shared/auth/caller.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { AppError } from "../_shared/http/errors.ts";
import type { AppVariables } from "../_shared/http/app.ts";
import { addConnectionRoutes, type ConnectionDeps } from "./connections.ts";
import { addConversationRoutes, type ConversationDeps } from "./conversations.ts";
import { addMediaRoutes, type MediaDeps } from "./media_links.ts";
import { addMessageRoutes, type MessageDeps } from "./messages.ts";
import { addPeopleRoutes } from "./people.ts";
import { drainAll } from "./sender.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps extends MessageDeps, ConversationDeps, ConnectionDeps, MediaDeps {
  /** @throws {AppError} missing_authorization (401). */
  readCaller: (request: Request) => Promise<Caller>;
}

/** A request of a signed-in user. */
export type UserContext = Context<AppVariables & { Variables: { user: DatabaseClient } }>;

/** An app whose requests have a user. */
export type UserApp = Hono<AppVariables & { Variables: { user: DatabaseClient } }>;

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "inbox", ...deps });

  const users: UserApp = new Hono({ strict: false });
  users.use(async (context, next) => {
    const caller = await deps.readCaller(context.req.raw);
    if (caller.kind !== "user") {
      throw new AppError(403, "user_required", "Only a signed-in person can do this");
    }
    context.set("user", caller.client);
    await next();
  });
  addMessageRoutes(users, deps);
  addConversationRoutes(users, deps);
  addPeopleRoutes(users);
  addConnectionRoutes(users, deps);

  addMediaRoutes(app, users, deps);
  app.post("/tick", async (context) => {
    requireService(await deps.readCaller(context.req.raw));
    const threads = await deps.outbox.waiting();
    deps.waitUntil(drainAll(deps, threads));
    return context.json({ threads: threads.length }, 202);
  });
  app.route("/", users);
  return (request) => app.fetch(request);
}
