/**
 * Members of the Kapso project, and the assignments of conversations to them.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import type { Context, Hono } from "hono";
import { NO_PAGES, readBody, refuse, wrapped } from "./answers.ts";
import type { FakeKapso } from "./controls.ts";
import { iso } from "./payloads.ts";
import type { Assignment, Conversation, JsonObject } from "./state.ts";

const PATH = "/platform/v1/whatsapp/conversations/:id/assignments";

/** Adds the routes of users and assignments. */
export function addTeamRoutes(
  app: Hono,
  fake: FakeKapso,
  conversationOf: (context: Context) => Conversation,
): void {
  const { state, clock } = fake;
  const assignmentOf = (context: Context): Assignment =>
    conversationOf(context).assignments.find(({ id }) => id === context.req.param("assignment")) ??
      refuse(404, "Assignment not found");
  const userOf = (body: JsonObject): string =>
    state.users.find(({ id }) => id === body.user_id)?.id ?? refuse(422, "User must exist");
  /** One assignment is active at a time. */
  const activate = (session: Conversation, assignment: Assignment, active: boolean) => {
    for (const other of session.assignments) {
      if (active || other === assignment) other.active = other === assignment && active;
    }
    const current = session.assignments.find((one) => one.active);
    if (current === undefined) delete session.assignedUserId;
    else session.assignedUserId = current.userId;
  };

  app.get("/platform/v1/users", (context) => context.json({ data: state.users, paging: NO_PAGES }));
  app.get(PATH, (context) => {
    const rows = conversationOf(context).assignments.map(assignmentRow).reverse();
    return context.json({
      data: rows,
      meta: { page: 1, per_page: 25, total_pages: 1, total_count: rows.length },
    });
  });
  app.post(PATH, async (context) => {
    const session = conversationOf(context);
    const body = wrapped(await readBody(context), "assignment");
    const assignment: Assignment = {
      id: fake.random.uuid(),
      userId: userOf(body),
      notes: typeof body.notes === "string" ? body.notes : null,
      active: false,
      createdAt: clock.now(),
    };
    session.assignments.push(assignment);
    activate(session, assignment, body.active !== false);
    return context.json({ data: assignmentRow(assignment) }, 201);
  });
  app.get(
    `${PATH}/:assignment`,
    (context) => context.json({ data: assignmentRow(assignmentOf(context)) }),
  );
  app.patch(`${PATH}/:assignment`, async (context) => {
    const session = conversationOf(context);
    const assignment = assignmentOf(context);
    const body = wrapped(await readBody(context), "assignment");
    if (body.user_id !== undefined) assignment.userId = userOf(body);
    if (typeof body.notes === "string") assignment.notes = body.notes;
    activate(
      session,
      assignment,
      body.active === undefined ? assignment.active : body.active === true,
    );
    return context.json({ data: assignmentRow(assignment) });
  });
}

function assignmentRow(assignment: Assignment): JsonObject {
  return {
    id: assignment.id,
    user_id: assignment.userId,
    created_by_user_id: null,
    notes: assignment.notes,
    active: assignment.active,
    created_at: iso(assignment.createdAt),
  };
}
