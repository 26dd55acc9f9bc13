/**
 * Who may do what: workspaces, connections and their secrets.
 *
 * @module
 */

import {
  type Case,
  MANAGERS,
  MEMBERS_READ,
  NO,
  releaseNumber,
  SERVICE_ALONE,
  type TableCases,
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
  "private.released_numbers": {
    "select": {
      before: releaseNumber,
      run: (sql, { workspace }) =>
        sql`select from private.released_numbers where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.released_numbers values ('matrix', ${workspace.id})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: releaseNumber,
      run: (sql, { workspace }) =>
        sql`update private.released_numbers set released_at = now() where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: releaseNumber,
      run: (sql, { workspace }) =>
        sql`delete from private.released_numbers where workspace_id = ${workspace.id}`,
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
