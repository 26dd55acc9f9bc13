/**
 * Who may do what: people, notes and merges.
 *
 * @module
 */

import {
  type Case,
  MANAGERS,
  MEMBERS_READ,
  NO,
  NO_CALLER,
  SERVICE_ALONE,
  type TableCases,
} from "./callers.ts";
import { unique, uniqueNumber } from "../../support/people.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "private.country_calling_codes": {
    "select": {
      run: (sql) => sql`select from private.country_calling_codes where country = 'ID'`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) => sql`insert into private.country_calling_codes values ('XX', '0', null)`,
      outcomes: NO_CALLER,
    },
    "update": {
      run: (sql) =>
        sql`update private.country_calling_codes set calling_code = '0' where country = 'ID'`,
      outcomes: NO_CALLER,
    },
    "delete": {
      run: (sql) => sql`delete from private.country_calling_codes where country = 'ID'`,
      outcomes: NO_CALLER,
    },
  },
  "public.people": {
    "select": {
      run: (sql, { personId }) => sql`select from public.people where id = ${personId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.people (workspace_id, name, phone)
          values (${workspace.id}, 'New', ${uniqueNumber()})`,
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    "insert into another workspace": {
      run: (sql, { other }) =>
        sql`insert into public.people (workspace_id, name) values (${other.id}, 'New')`,
      outcomes: [NO, NO, NO, NO, NO, 1, 1],
    },
    "update": {
      run: (sql, { personId }) =>
        sql`update public.people set phone = ${uniqueNumber()} where id = ${personId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
    "update to another workspace": {
      run: (sql, { personId, other }) =>
        sql`update public.people set workspace_id = ${other.id} where id = ${personId}`,
      outcomes: [NO, NO, NO, NO, NO, NO, "23503"],
    },
    "delete": {
      run: (sql, { personId }) => sql`delete from public.people where id = ${personId}`,
      outcomes: MANAGERS,
    },
  },
  "public.person_identities": {
    "select": {
      run: (sql, { personId }) =>
        sql`select from public.person_identities where person_id = ${personId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_identities (workspace_id, person_id, platform, identifier)
          values (${workspace.id}, ${personId}, 'signal', ${unique()})`,
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    "insert for a person of another workspace": {
      run: (sql, { workspace, otherPersonId }) =>
        sql`
          insert into public.person_identities (workspace_id, person_id, platform, identifier)
          values (${workspace.id}, ${otherPersonId}, 'signal', ${unique()})`,
      outcomes: [NO, "23503", "23503", "23503", NO, NO, "23503"],
    },
    "insert into another workspace": {
      run: (sql, { other, otherPersonId }) =>
        sql`
          insert into public.person_identities (workspace_id, person_id, platform, identifier)
          values (${other.id}, ${otherPersonId}, 'signal', ${unique()})`,
      outcomes: [NO, NO, NO, NO, NO, 1, 1],
    },
    "update": {
      run: (sql, { personId }) =>
        sql`update public.person_identities set identifier = 'x' where person_id = ${personId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { personId }) =>
        sql`delete from public.person_identities where person_id = ${personId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
  },
  "public.person_notes": {
    "select": {
      run: (sql, { noteId }) => sql`select from public.person_notes where id = ${noteId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, content)
          values (${workspace.id}, ${personId}, 'New')`,
      outcomes: [NO, 1, 1, 1, NO, NO, 1],
    },
    "insert for a person of another workspace": {
      run: (sql, { workspace, otherPersonId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, content)
          values (${workspace.id}, ${otherPersonId}, 'New')`,
      outcomes: [NO, "23503", "23503", "23503", NO, NO, "23503"],
    },
    "insert of a daily summary": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, kind, local_date, content)
          values (${workspace.id}, ${personId}, 'daily_summary', '2026-01-02', 'New')`,
      outcomes: SERVICE_ALONE,
    },
    "insert in the name of another user": {
      run: (sql, { workspace, personId }) =>
        sql`
          insert into public.person_notes (workspace_id, person_id, content, created_by)
          values (${workspace.id}, ${personId}, 'New', ${workspace.viewer})`,
      outcomes: SERVICE_ALONE,
    },
    "update of the agent's": {
      run: (sql, { noteId }) =>
        sql`update public.person_notes set content = 'Changed' where id = ${noteId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
    "update of a daily summary": {
      run: (sql, { personId }) =>
        sql`
          update public.person_notes set content = 'Changed'
          where person_id = ${personId} and kind = 'daily_summary'`,
      outcomes: [NO, 0, 0, 0, 0, 0, 1],
    },
    "update to another person": {
      run: (sql, { noteId, personId }) =>
        sql`update public.person_notes set person_id = ${personId} where id = ${noteId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete of the agent's": {
      run: (sql, { noteId }) => sql`delete from public.person_notes where id = ${noteId}`,
      outcomes: [NO, 1, 1, 1, 0, 0, 1],
    },
    "delete of a daily summary": {
      run: (sql, { personId }) =>
        sql`
          delete from public.person_notes
          where person_id = ${personId} and kind = 'daily_summary'`,
      outcomes: [NO, 1, 1, 0, 0, 0, 1],
    },
  },
  "public.person_merges": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.person_merges where workspace_id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, personId }) =>
        sql`insert into public.person_merges (workspace_id, kept_id, merged_id, merged_person, kept_before, kept_after, moved) values (${workspace.id}, ${personId}, gen_random_uuid(), '{}', '{}', '{}', '{}')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update public.person_merges set undone_at = now() where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.person_merges where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "list_people": {
    run: (sql, { workspace }) => sql`select from public.list_people(${workspace.id})`,
    outcomes: SERVICE_ALONE,
  },
  "search_people": {
    run: (sql, { workspace }) => sql`select from public.search_people(${workspace.id}, '62')`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "private.search_people": {
    run: (sql, { workspace }) => sql`select from private.search_people(${workspace.id}, '62', 5)`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "private.match_person": {
    run: (sql, { workspace }) =>
      sql`select private.match_person(${workspace.id}, 'whatsapp', '+628111111111')`,
    outcomes: SERVICE_ALONE,
  },
  "merge_people of two workspaces": {
    run: (sql, { personId, otherPersonId }) =>
      sql`select from public.merge_people(${personId}, ${otherPersonId})`,
    outcomes: [NO, "PT404", "PT404", "PT404", "PT403", "PT404", NO],
  },
  "undo_merge of one that is undone": {
    before: (sql, { workspace }) =>
      sql`update public.person_merges set undone_at = now() where workspace_id = ${workspace.id}`,
    run: (sql, { workspace }) =>
      sql`
        select from public.person_merges as known, public.undo_merge(known.id)
        where known.workspace_id = ${workspace.id}`,
    // A stranger does not see the merge.
    outcomes: [NO, "PT409", "PT409", "PT409", "PT403", 0, NO],
  },
};
