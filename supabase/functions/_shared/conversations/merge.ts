/**
 * Merges of people: what the columns of `person_merges` hold. Written and read by merge_people() and
 * undo_merge() in the database.
 *
 * @module
 */
import { z } from "zod";

/** `kept_before` and `kept_after`: the fields of a person that a merge may fill. */
export const mergeableFields = z.object({
  name: z.string().nullable(),
  kapso_name: z.string().nullable(),
  email: z.string().nullable(),
  phone: z.string().nullable(),
  avatar_url: z.string().nullable(),
  marketing_status: z.string().nullable(),
  marketing_sequence: z.number().nullable(),
  marketing_changed_at: z.string().nullable(),
});

/** `merged_person`: the row of the person who was taken up. */
export const mergedPerson = mergeableFields.extend({
  id: z.uuid(),
  workspace_id: z.uuid(),
  last_activity_at: z.string().nullable(),
  created_at: z.string(),
  updated_at: z.string(),
});

/** `moved`: primary keys of what went from one person to the other. */
export const movedThings = z.object({
  conversation_ids: z.array(z.uuid()),
  identity_ids: z.array(z.uuid()),
  note_ids: z.array(z.uuid()),
  /** Sessions of AI agents. */
  session_ids: z.array(z.uuid()),
  /** Earlier merges of the person who was taken up. */
  merge_ids: z.array(z.uuid()),
  /** Identities that were made of the number of the person who was taken up. */
  added_identity_ids: z.array(z.uuid()),
  /** Daily summaries of days that both have one of: whole rows, which come back with the undoing. */
  summaries: z.array(z.record(z.string(), z.unknown())),
});
