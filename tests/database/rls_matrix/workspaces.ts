/**
 * Who may do what: workspaces, connections and their secrets.
 *
 * @module
 */

import {
  type Case,
  changeLimit,
  listInDirectory,
  MANAGERS,
  MEMBERS_READ,
  NO,
  noteDeletedConnection,
  noteImport,
  notePause,
  SERVICE_ALONE,
  type TableCases,
  useLimit,
  userOf,
} from "./callers.ts";
import { unique } from "../../support/people.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "public.workspaces": {
    "select": {
      run: (sql, { workspace }) => sql`select from public.workspaces where id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert as owner": {
      run: (sql, world, caller) =>
        sql`
          insert into public.workspaces (slug, name, user_id)
          values (${unique("w")}, 'New', ${userOf(caller, world)})`,
      outcomes: [NO, 1, 1, 1, 1, 1, 1],
    },
    "insert for another user": {
      run: (sql, { newUser }) =>
        sql`insert into public.workspaces (slug, name, user_id) values (${
          unique("w")
        }, 'New', ${newUser})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update public.workspaces set name = 'Renamed' where id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "update of the owner": {
      run: (sql, world, caller) =>
        sql`
          update public.workspaces set user_id = ${userOf(caller, world)}
          where id = ${world.workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) => sql`delete from public.workspaces where id = ${workspace.id}`,
      outcomes: [NO, 1, 0, 0, 0, 0, 1],
    },
  },
  "public.workspace_members": {
    "select": {
      run: (sql, { workspace }) =>
        sql`
          select from public.workspace_members
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace, newUser }) =>
        sql`
          insert into public.workspace_members (workspace_id, user_id, role)
          values (${workspace.id}, ${newUser}, 'agent')`,
      outcomes: [NO, 1, 1, NO, NO, NO, 1],
    },
    "insert of an owner": {
      run: (sql, { workspace, newUser }) =>
        sql`
          insert into public.workspace_members (workspace_id, user_id, role)
          values (${workspace.id}, ${newUser}, 'owner')`,
      outcomes: SERVICE_ALONE,
    },
    "insert of oneself": {
      run: (sql, world, caller) =>
        sql`
          insert into public.workspace_members (workspace_id, user_id, role)
          values (${world.workspace.id}, ${userOf(caller, world)}, 'admin')
          on conflict (workspace_id, user_id) do nothing`,
      // Owner and admin may add members, and are members already.
      outcomes: [NO, 0, 0, NO, NO, NO, 1],
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_members set role = 'viewer'
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: MANAGERS,
    },
    "update of one's own role": {
      run: (sql, world, caller) =>
        sql`
          update public.workspace_members set role = 'admin'
          where workspace_id = ${world.workspace.id} and user_id = ${userOf(caller, world)}`,
      outcomes: [NO, 0, 0, 0, 0, 0, 0],
    },
    "update to owner": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_members set role = 'owner'
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: [NO, NO, NO, 0, 0, 0, 1],
    },
    "update of the owner": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_members set role = 'viewer'
          where workspace_id = ${workspace.id} and user_id = ${workspace.owner}`,
      outcomes: [NO, 0, 0, 0, 0, 0, 1],
    },
    "update to another workspace": {
      run: (sql, { workspace, other }) =>
        sql`
          update public.workspace_members set workspace_id = ${other.id}
          where workspace_id = ${workspace.id} and user_id = ${workspace.agent}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`
          delete from public.workspace_members
          where workspace_id = ${workspace.id} and user_id = ${workspace.viewer}`,
      // A viewer may leave.
      outcomes: [NO, 1, 1, 0, 1, 0, 1],
    },
    "delete of the owner": {
      run: (sql, { workspace }) =>
        sql`
          delete from public.workspace_members
          where workspace_id = ${workspace.id} and user_id = ${workspace.owner}`,
      outcomes: [NO, 0, 0, 0, 0, 0, 1],
    },
  },
  "public.connections": {
    "select": {
      run: (sql, { connection }) => sql`select from public.connections where id = ${connection.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.connections (connection_id, workspace_id, user_id, platform, name)
          values (${unique("c_")}, ${workspace.id}, ${workspace.owner}, 'whatsapp', 'New')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update public.connections set name = 'Renamed', is_active = false
          where id = ${connection.id}`,
      outcomes: MANAGERS,
    },
    "update to another workspace": {
      run: (sql, { otherConnection, workspace }) =>
        sql`
          update public.connections set workspace_id = ${workspace.id}
          where id = ${otherConnection.id}`,
      // Not even service: its conversations would be left behind.
      outcomes: [NO, NO, NO, NO, NO, NO, "23503"],
    },
    "delete": {
      run: (sql, { connection }) => sql`delete from public.connections where id = ${connection.id}`,
      outcomes: MANAGERS,
    },
  },
  "private.deleted_connections": {
    "select": {
      before: noteDeletedConnection,
      run: (sql, { workspace }) =>
        sql`select from private.deleted_connections where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: noteDeletedConnection,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: noteDeletedConnection,
      run: (sql, { workspace }) =>
        sql`
          update private.deleted_connections set deleted_at = now()
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: noteDeletedConnection,
      run: (sql, { workspace }) =>
        sql`delete from private.deleted_connections where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.workspace_pauses": {
    "select": {
      before: notePause,
      run: (sql, { workspace }) =>
        sql`select from private.workspace_pauses where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: notePause,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: notePause,
      run: (sql, { workspace }) =>
        sql`
          update private.workspace_pauses set state = '{}'
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: notePause,
      run: (sql, { workspace }) =>
        sql`delete from private.workspace_pauses where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.workspace_imports": {
    "select": {
      before: noteImport,
      run: (sql, { workspace }) =>
        sql`select from private.workspace_imports where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: noteImport,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: noteImport,
      run: (sql, { workspace }) =>
        sql`
          update private.workspace_imports set chunks_done = 1
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: noteImport,
      run: (sql, { workspace }) =>
        sql`delete from private.workspace_imports where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.directory_entries": {
    "select": {
      before: listInDirectory,
      run: (sql, { workspace }) =>
        sql`select from private.directory_entries where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: listInDirectory,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: listInDirectory,
      run: (sql, { workspace }) =>
        sql`
          update private.directory_entries set publishable_key = 'new'
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: listInDirectory,
      run: (sql, { workspace }) =>
        sql`delete from private.directory_entries where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.limits": {
    "select": {
      before: changeLimit,
      run: (sql, { workspace }) =>
        sql`select from private.limits where subject_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: changeLimit,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: changeLimit,
      run: (sql, { workspace }) =>
        sql`update private.limits set value = null where subject_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: changeLimit,
      run: (sql, { workspace }) =>
        sql`delete from private.limits where subject_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.limit_uses": {
    "select": {
      before: useLimit,
      run: (sql, { workspace }) =>
        sql`select from private.limit_uses where subject_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: useLimit,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: useLimit,
      run: (sql, { workspace }) =>
        sql`update private.limit_uses set used = 0 where subject_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: useLimit,
      run: (sql, { workspace }) =>
        sql`delete from private.limit_uses where subject_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.connection_secrets": {
    "select": {
      run: (sql, { connection }) =>
        sql`select from private.connection_secrets where connection_id = ${connection.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { connection }) =>
        sql`
          insert into private.connection_secrets (connection_id, secret_sha256)
          values (${connection.id}, sha256('x'))
          on conflict (connection_id) do update set secret_sha256 = excluded.secret_sha256`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { connection }) =>
        sql`
          update private.connection_secrets set secret_sha256 = sha256('x')
          where connection_id = ${connection.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { connection }) =>
        sql`delete from private.connection_secrets where connection_id = ${connection.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "find_project": {
    before: listInDirectory,
    run: (sql, { workspace }) =>
      sql`select from public.find_project('workspace', ${workspace.slug})`,
    outcomes: SERVICE_ALONE,
  },
  "workspace_member_list": {
    run: (sql, { workspace }) => sql`select from public.workspace_member_list(${workspace.id})`,
    outcomes: [NO, 4, 4, 4, 4, "PT404", NO],
  },
  "workspace_membership": {
    run: (sql, { workspace }) => sql`select from public.workspace_membership(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "transfer_workspace": {
    run: (sql, { workspace }) =>
      sql`select public.transfer_workspace(${workspace.id}, ${workspace.admin})`,
    outcomes: [NO, 1, "PT403", "PT403", "PT403", "PT404", 1],
  },
  "transfer_workspace to a user from outside": {
    run: (sql, { workspace, newUser }) =>
      sql`select public.transfer_workspace(${workspace.id}, ${newUser})`,
    outcomes: [NO, "PT422", "PT403", "PT403", "PT403", "PT404", "PT422"],
  },
  "describe_account_deletion": {
    run: (sql, { workspace }) =>
      sql`
        select from public.describe_account_deletion() where workspace_id = ${workspace.id}`,
    outcomes: [NO, 1, 1, 1, 1, 0, NO],
  },
  "describe_workspace_deletion": {
    run: (sql, { workspace }) =>
      sql`select from public.describe_workspace_deletion(${workspace.id})`,
    outcomes: [NO, 6, "PT403", "PT403", "PT403", "PT404", NO],
  },
  "create_connection": {
    run: (sql, { workspace }) =>
      sql`select from public.create_connection(${workspace.id}, 'signal', ${unique("c_")})`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "connection_overview": {
    run: (sql, { workspace }) => sql`select from public.connection_overview(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "managed_connection": {
    run: (sql, { connection }) => sql`select from public.managed_connection(${connection.id})`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "update_connection": {
    run: (sql, { connection }) =>
      sql`select from public.update_connection(${connection.id}, '{"is_active": false}')`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "rotate_connection_secret": {
    run: (sql, { connection }) =>
      sql`select from public.rotate_connection_secret(${connection.id})`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "claim_phone_number": {
    run: (sql, { connection }) => sql`select from public.claim_phone_number(${connection.id}, '1')`,
    outcomes: SERVICE_ALONE,
  },
  "find_connection_by_secret": {
    // Callers differ by what is denied, not by what is found.
    run: (sql, { connection }) =>
      sql`
        select from public.find_connection_by_secret((
          select encode(sha256(uuid_send(${connection.id})), 'hex')
        ))`,
    outcomes: SERVICE_ALONE,
  },
  "verify_connection_secret": {
    run: (sql, { connection }) =>
      sql`select from public.verify_connection_secret(${connection.connection_id}, '00')`,
    outcomes: SERVICE_ALONE,
  },
  "webhook_secrets": {
    run: (sql, { connection }) =>
      sql`select from public.webhook_secrets(${connection.connection_id})`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "kapso_api_key": {
    run: (sql, { connection }) => sql`select public.kapso_api_key(${connection.id})`,
    outcomes: SERVICE_ALONE,
  },
};
