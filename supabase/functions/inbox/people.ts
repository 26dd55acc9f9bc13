/**
 * Routes of people: edit, link to a conversation, merge, undo.
 *
 * @module
 */
import {
  linkConversation,
  mergePeople,
  undoMerge,
  updatePerson,
} from "../_shared/contracts/inbox/people.ts";
import { addRoute } from "../_shared/http/routes.ts";
import type { MemberApp } from "./context.ts";

const MAX_BODY_BYTES = 16 * 1024;

/** Adds the routes. */
export function addPeopleRoutes(app: MemberApp): void {
  addRoute(app, updatePerson, async ({ params, body, reply }, context) => {
    return reply(200, { person: await context.var.member.updatePerson(params.id, body) });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, linkConversation, async ({ params, body, reply }, context) => {
    const { member } = context.var;
    return reply(200, { person: await member.linkConversation(body.conversation_id, params.id) });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, mergePeople, async ({ body, reply }, context) => {
    const { member } = context.var;
    return reply(200, { merge: await member.mergePeople(body.keep_id, body.merge_id) });
  }, { maxBodyBytes: MAX_BODY_BYTES });

  addRoute(app, undoMerge, async ({ params, reply }, context) => {
    return reply(200, { merge: await context.var.member.undoMerge(params.id) });
  });
}
