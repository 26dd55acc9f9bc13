/**
 * People: edit, link to a thread, merge, undo.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { AppError } from "../_shared/http/errors.ts";
import { limitBody, readJson, requireJson } from "../_shared/http/app.ts";
import { readInput } from "../_shared/http/validation.ts";
import type { UserApp } from "./handler.ts";
import { refusal } from "./refusals.ts";
import { linkRequest, mergeRequest, personRequest } from "./schema.ts";

const MAX_BODY_BYTES = 16 * 1024;

/** Adds the routes. */
export function addPeopleRoutes(app: UserApp): void {
  app.patch("/people/:id", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const id = context.req.param("id");
    const change = readInput(personRequest, await readJson(context));
    const { data, error, status } = await user.from("people")
      .update(
        Object.fromEntries(
          Object.entries(change).filter(([, value]) => value !== undefined),
        ) as { [Field in keyof typeof change]?: string | null },
      )
      .eq("id", id).select().maybeSingle();
    if (error?.code === "23505") {
      throw new AppError(
        409,
        "phone_taken",
        "Another person of this workspace has this number. Merge the two, if they are one",
      );
    }
    if (error) throw refusal(error, status);
    if (data === null) throw await unseen(user, id);
    return context.json({ person: data });
  });

  app.post("/people/:id/link", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const { user } = context.var;
    const id = context.req.param("id");
    const { conversation_id: conversation } = readInput(linkRequest, await readJson(context));
    await rpc(user, "link_conversation", {
      conversation_id: conversation,
      person_id: id,
    });
    const person = await user.from("people").select().eq("id", id).maybeSingle();
    if (person.error) throw refusal(person.error, person.status);
    return context.json({ person: person.data });
  });

  app.post("/people/merge", limitBody(MAX_BODY_BYTES), requireJson, async (context) => {
    const request = readInput(mergeRequest, await readJson(context));
    const data = await rpc(context.var.user, "merge_people", request);
    return context.json({ merge: data[0]! });
  });

  app.post("/people/merges/:id/undo", async (context) => {
    const data = await rpc(context.var.user, "undo_merge", {
      id: context.req.param("id"),
    });
    return context.json({ merge: data[0]! });
  });
}

/** Why an update found no row: there is none for this caller, or they may only read it. */
async function unseen(user: DatabaseClient, id: string): Promise<AppError> {
  const { data, error, status } = await user.from("people").select("id").eq("id", id).maybeSingle();
  if (error) return refusal(error, status);
  return data === null
    ? new AppError(404, "person_not_found", "There is no such person")
    : new AppError(403, "role_too_low", "Your role in this workspace does not allow this");
}
