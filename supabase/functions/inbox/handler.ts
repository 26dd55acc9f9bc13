/**
 * /inbox: what members do in the inbox. Each request acts with the token of its user, so the database decides
 * what they may do; the function's own rights serve sending and credentials alone.
 *
 * @module
 */
import { Hono } from "hono";
import {
  type Caller,
  callerCheck,
  createCallerApp,
  requireService,
} from "../_shared/auth/caller.ts";
import { runScheduledSending } from "../_shared/contracts/inbox/schedule.ts";
import { AppError } from "../_shared/http/errors.ts";
import { createBodyBudget } from "../_shared/http/large_bodies.ts";
import { addRoute } from "../_shared/http/routes.ts";
import { addConnectionRoutes, type ConnectionDeps } from "./connections.ts";
import type { MemberApp, OpenApp } from "./context.ts";
import { addConversationRoutes, type ConversationDeps } from "./conversations.ts";
import { addMediaLinkRoute, addMediaRoute, type MediaDeps } from "./media_links.ts";
import { createMemberStore } from "./member_store.ts";
import { addMessageRoutes, type MessageDeps } from "./messages.ts";
import { addPeopleRoutes } from "./people.ts";
import { drainAll } from "./sender.ts";
import { MAX_UPLOAD_BYTES } from "./upload.ts";

/** What the handler needs of the outside world. */
export interface HandlerDeps
  extends Omit<MessageDeps, "largeBodies">, ConversationDeps, ConnectionDeps, MediaDeps {
  /** @throws {AppError} missing_authorization (401). */
  readCaller: (request: Request) => Promise<Caller>;
}

/** The handler of the function. */
export function createHandler(
  deps: HandlerDeps,
): (request: Request) => Response | Promise<Response> {
  const app = createCallerApp({ name: "inbox", ...deps });
  addMediaRoute(app, deps);
  addScheduleRoute(app, deps);
  // Last: its check of the caller holds for every path that is left.
  app.route("/", createMemberApp(deps));
  return (request) => app.fetch(request);
}

function createMemberApp(deps: HandlerDeps): MemberApp {
  const app: MemberApp = new Hono({ strict: false });
  app.use(async (context, next) => {
    const caller = await deps.readCaller(context.req.raw);
    if (caller.kind !== "user") {
      throw new AppError(403, "user_required", "Only a signed-in user can do this");
    }
    context.set("member", createMemberStore(caller.client));
    await next();
  });
  const largeBodies = {
    authenticate: callerCheck(deps.readCaller),
    budget: createBodyBudget({
      maxBytes: MAX_UPLOAD_BYTES + 4 * 1024 * 1024,
      maxBytesOfSender: MAX_UPLOAD_BYTES,
    }),
  };
  addMessageRoutes(app, { ...deps, largeBodies });
  addConversationRoutes(app, deps);
  addPeopleRoutes(app);
  addConnectionRoutes(app, deps);
  addMediaLinkRoute(app, deps);
  return app;
}

function addScheduleRoute(app: OpenApp, deps: HandlerDeps): void {
  addRoute(app, runScheduledSending, async ({ reply }, context) => {
    requireService(await deps.readCaller(context.req.raw));
    const waiting = await deps.outbox.waiting();
    deps.waitUntil(drainAll(deps, waiting));
    return reply(202, { threads: waiting.length });
  });
}
