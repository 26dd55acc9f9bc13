/**
 * Routes of conversations: close, reopen, read, assign. The database has the change first; Kapso gets it
 * afterwards, with best effort.
 *
 * @module
 */
import {
  assignConversation,
  closeConversation,
  markConversationRead,
  markConversationUnread,
  reopenConversation,
} from "../_shared/contracts/inbox/conversations.ts";
import type { Log } from "../_shared/http/log.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type { MemberApp } from "./context.ts";
import { type KapsoFor, mirrorToKapso } from "./kapso_calls.ts";

/** What actions on conversations need of the outside world. */
export interface ConversationDeps {
  kapsoFor: KapsoFor;
  log: Log;
}

const MAX_BODY_BYTES = 16 * 1024;
/** How long a member waits for Kapso at most. */
const KAPSO_TIMEOUT_MS = 6_000;

/** Adds the routes. */
export function addConversationRoutes(app: MemberApp, deps: ConversationDeps): void {
  for (
    const [route, status, kapsoStatus] of [
      [closeConversation, "closed", "ended"],
      [reopenConversation, "open", "active"],
    ] as const
  ) {
    addRoute(app, route, async ({ params, reply }, context) => {
      const { conversation, kapso: { connection_id, session_id } } = await context.var.member
        .setConversationStatus(params.id, status);
      const kapso = await mirrorToKapso(
        deps,
        connection_id,
        (client) =>
          session_id
            ? client.setConversationStatus(session_id, kapsoStatus, { timeoutMs: KAPSO_TIMEOUT_MS })
            : undefined,
      );
      return reply(200, { conversation, kapso });
    });
  }

  addRoute(app, markConversationRead, async ({ params, body, reply }, context) => {
    const { conversation, kapso: { connection_id, phone_number_id, message_id } } = await context
      .var.member.markConversationRead(params.id, body.seen_arrivals);
    const kapso = await mirrorToKapso(
      deps,
      connection_id,
      (client) =>
        phone_number_id && message_id
          ? client.markRead(phone_number_id, message_id, { timeoutMs: KAPSO_TIMEOUT_MS })
          : undefined,
    );
    return reply(200, { conversation, kapso });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, markConversationUnread, async ({ params, reply }, context) => {
    const { conversation } = await context.var.member.markConversationUnread(params.id);
    return reply(200, { conversation, kapso: "not_connected" });
  });

  addRoute(app, assignConversation, async ({ params, body, reply }, context) => {
    const { conversation } = await context.var.member.assignConversation(params.id, body.user_id);
    return reply(200, { conversation, kapso: "not_connected" });
  }, { maxBodyBytes: MAX_BODY_BYTES });
}
