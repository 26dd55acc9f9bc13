/**
 * People: edit, link to a conversation, merge, undo.
 *
 * @module
 */
import * as z from "zod";
import { apiError } from "../errors.ts";
import { defineRoute, errorsOf } from "../route.ts";
import { storableText } from "../text.ts";
import { BODY_ERRORS, id, idParams, REQUEST_ERRORS, timestamp } from "./fields.ts";

/** A row of `people`. */
export const person = z.object({
  id,
  workspace_id: id,
  name: z.string().nullable(),
  kapso_name: z.string().nullable(),
  email: z.string().nullable(),
  phone: z.string().nullable(),
  phone_key: z.string().nullable(),
  phone_digits: z.string().nullable(),
  phone_last10: z.string().nullable(),
  other_phone_keys: z.array(z.string()).nullable(),
  avatar_url: z.string().nullable(),
  last_activity_at: timestamp.nullable(),
  marketing_status: z.string().nullable(),
  marketing_changed_at: timestamp.nullable(),
  marketing_sequence: z.int().nullable(),
  search_text: z.string().nullable(),
  created_at: timestamp,
  updated_at: timestamp,
}).meta({ id: "InboxPerson", description: "A row of people." });

/** A row of `people`. */
export type Person = z.output<typeof person>;

const snapshot = z.record(z.string(), z.unknown());

/** A row of `person_merges`. */
export const personMerge = z.object({
  id,
  workspace_id: id,
  kept_id: id,
  merged_id: id,
  merged_person: snapshot.meta({ description: "The merged person's row, as it was." }),
  kept_before: snapshot.meta({ description: "Fields of the kept person before the merge." }),
  kept_after: snapshot.meta({ description: "The same fields after it." }),
  moved: snapshot.meta({ description: "Ids of the rows that moved." }),
  created_by: id.nullable(),
  created_at: timestamp,
  undone_by: id.nullable(),
  undone_at: timestamp.nullable(),
}).meta({ id: "PersonMerge", description: "A row of person_merges." });

/** A row of `person_merges`. */
export type PersonMerge = z.output<typeof personMerge>;

/** Text that may be emptied. */
const optionalText = (max: number) =>
  storableText.pipe(z.string().trim().max(max)).transform((text) => text === "" ? null : text)
    .nullable().optional();

/** Fields of a person that change. */
const personChange = z.object({
  name: optionalText(300),
  email: optionalText(320),
  // People who write are found by these digits.
  phone: optionalText(64).refine((phone) => !phone || /^(?:\D*\d){5,15}\D*$/.test(phone), {
    error: "must be a phone number of 5 to 15 digits",
  }),
  avatar_url: optionalText(2048).refine((url) => !url || /^https?:\/\//i.test(url), {
    error: "must be an http or https URL",
  }),
}).refine((change) => Object.keys(change).length > 0, { error: "has nothing to change" });

/** Fields of a person that change; null empties one. */
export type PersonChange = z.output<typeof personChange>;

/** `PATCH /inbox/people/{id}`. */
export const updatePerson = defineRoute({
  method: "patch",
  path: "/inbox/people/{id}",
  operationId: "updatePerson",
  summary: "Change fields of a person; null empties one.",
  security: ["userToken"],
  params: idParams,
  body: personChange,
  responses: { 200: { description: "The person afterwards", body: z.object({ person }) } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404, 409),
});

/** `POST /inbox/people/{id}/link`. */
export const linkConversation = defineRoute({
  method: "post",
  path: "/inbox/people/{id}/link",
  operationId: "linkConversation",
  summary: "Link a conversation to this person.",
  security: ["userToken"],
  params: idParams,
  body: z.object({ conversation_id: id }),
  responses: { 200: { description: "The person afterwards", body: z.object({ person }) } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404),
});

/** `POST /inbox/people/merge`. */
export const mergePeople = defineRoute({
  method: "post",
  path: "/inbox/people/merge",
  operationId: "mergePeople",
  summary: "Merge two people into one.",
  security: ["userToken"],
  body: z.object({ keep_id: id, merge_id: id }),
  responses: { 200: { description: "The merge", body: z.object({ merge: personMerge }) } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, ...BODY_ERRORS, 404, 422),
});

/** `POST /inbox/people/merges/{id}/undo`. */
export const undoMerge = defineRoute({
  method: "post",
  path: "/inbox/people/merges/{id}/undo",
  operationId: "undoMerge",
  summary: "Undo a merge: give back exactly what it moved.",
  security: ["userToken"],
  params: idParams,
  responses: { 200: { description: "The merge", body: z.object({ merge: personMerge }) } },
  errors: errorsOf(apiError, ...REQUEST_ERRORS, 400, 404, 409),
});
