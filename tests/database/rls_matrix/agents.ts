/**
 * Who may do what: AI agents: keys, sessions and their API.
 *
 * @module
 */

import {
  type Case,
  MANAGERS,
  MEMBERS_READ,
  NO,
  SERVICE_ALONE,
  type TableCases,
} from "./callers.ts";
import { unique } from "../../support/people.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "public.agent_keys": {
    "select": {
      run: (sql, { agentKeyId }) => sql`select from public.agent_keys where id = ${agentKeyId}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql) => sql`insert into public.agent_keys (name) values ('New')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentKeyId }) =>
        sql`update public.agent_keys set revoked_at = now() where id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentKeyId }) => sql`delete from public.agent_keys where id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.agent_key_workspaces": {
    "select": {
      run: (sql, { agentKeyId }) =>
        sql`select from public.agent_key_workspaces where key_id = ${agentKeyId}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { agentKeyId, other }) =>
        sql`
          insert into public.agent_key_workspaces (key_id, workspace_id)
          values (${agentKeyId}, ${other.id})`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentKeyId }) =>
        sql`update public.agent_key_workspaces set key_id = key_id where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentKeyId }) =>
        sql`delete from public.agent_key_workspaces where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.agent_key_secrets": {
    "select": {
      run: (sql, { agentKeyId }) =>
        sql`select from private.agent_key_secrets where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { agentKeyId }) =>
        sql`
          insert into private.agent_key_secrets (key_id, key_sha256)
          values (${agentKeyId}, sha256('x'))
          on conflict (key_id) do update set key_sha256 = excluded.key_sha256`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentKeyId }) =>
        sql`update private.agent_key_secrets set key_sha256 = sha256('x') where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentKeyId }) =>
        sql`delete from private.agent_key_secrets where key_id = ${agentKeyId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.agent_sessions": {
    "select": {
      run: (sql, { agentSessionId }) =>
        sql`select from public.agent_sessions where id = ${agentSessionId}`,
      outcomes: MEMBERS_READ,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.agent_sessions (session_id, workspace_id, participant_key)
          values (${unique()}, ${workspace.id}, '628222222222')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentSessionId }) =>
        sql`update public.agent_sessions set is_active = false where id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentSessionId }) =>
        sql`delete from public.agent_sessions where id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.agent_message_keys": {
    "select": {
      run: (sql, { agentSessionId }) =>
        sql`select from private.agent_message_keys where session_id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { agentSessionId }) =>
        sql`insert into private.agent_message_keys values (${agentSessionId}, gen_random_uuid())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { agentSessionId }) =>
        sql`update private.agent_message_keys set message_digest = gen_random_uuid() where session_id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { agentSessionId }) =>
        sql`delete from private.agent_message_keys where session_id = ${agentSessionId}`,
      outcomes: SERVICE_ALONE,
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "create_agent_key": {
    run: (sql, { workspace }) =>
      sql`select from public.create_agent_key(array[${workspace.id}]::uuid[], 'New')`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "create_agent_key for a workspace of another user as well": {
    run: (sql, { workspace, other }) =>
      sql`select from public.create_agent_key(array[${workspace.id}, ${other.id}]::uuid[])`,
    outcomes: [NO, "PT404", "PT404", "PT403", "PT403", "PT404", NO],
  },
  "revoke_agent_key": {
    run: (sql, { agentKeyId }) => sql`select public.revoke_agent_key(${agentKeyId})`,
    outcomes: [NO, 1, 1, "PT404", "PT404", "PT404", NO],
  },
  "prune_agent_sessions": {
    run: (sql) => sql`select from public.prune_agent_sessions(36500)`,
    outcomes: SERVICE_ALONE,
  },
  "read_agent_session": {
    run: (sql) => sql`select from public.read_agent_session('00', 'x', 'x')`,
    // The key is unknown.
    outcomes: [NO, NO, NO, NO, NO, NO, "PT401"],
  },
  "add_agent_message": {
    run: (sql) => sql`select from public.add_agent_message('00', 'x', 'user', 'x')`,
    // The key is unknown.
    outcomes: [NO, NO, NO, NO, NO, NO, "PT401"],
  },
};
