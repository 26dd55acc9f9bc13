/**
 * Who may do what: message counts, workflow settings, daily summaries and scheduled work.
 *
 * @module
 */

import {
  type Case,
  countPart,
  jobRun,
  MANAGERS,
  MEMBERS_READ,
  NO,
  SERVICE_ALONE,
  type TableCases,
} from "./callers.ts";

/** By table or view, then by operation. */
export const TABLES: Record<string, TableCases> = {
  "private.message_counts": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from private.message_counts where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.message_counts values (${workspace.id}, '2026-01-02', 'whatsapp', 'inbound', 1)`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update private.message_counts set messages = 2 where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from private.message_counts where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.message_count_parts": {
    "select": {
      before: countPart,
      run: (sql, { workspace }) =>
        sql`select from private.message_count_parts where workspace_id = ${workspace.id} and local_date = '2026-01-03'`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`insert into private.message_count_parts values (${workspace.id}, '2026-01-02', 'whatsapp', 'inbound', 1)`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: countPart,
      run: (sql, { workspace }) =>
        sql`update private.message_count_parts set messages = 2 where workspace_id = ${workspace.id} and local_date = '2026-01-03'`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: countPart,
      run: (sql, { workspace }) =>
        sql`delete from private.message_count_parts where workspace_id = ${workspace.id} and local_date = '2026-01-03'`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.workflow_settings": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.workflow_settings where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.workflow_settings (workspace_id, workflow_type)
          values (${workspace.id}, 'new')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workflow_settings set sync_status = 'synced'
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.workflow_settings where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
  },
  "public.workflow_settings_history": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.workflow_settings_history where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.workflow_settings_history
            (workspace_id, workflow_type, version, action, sync_status, "values")
          values (${workspace.id}, 'sarah', 1, 'updated', 'synced', '{}')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workflow_settings_history set changed_by = null
          where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.workflow_settings_history where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.workspace_summary_settings": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.workspace_summary_settings where workspace_id = ${workspace.id}`,
      outcomes: MEMBERS_READ,
    },
    "insert or update": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.workspace_summary_settings (workspace_id, allow_external_ai)
          values (${workspace.id}, true)
          on conflict (workspace_id) do update set allow_external_ai = excluded.allow_external_ai`,
      outcomes: [NO, 1, 1, NO, NO, NO, 1],
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`
          update public.workspace_summary_settings set allow_external_ai = true
          where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "update to another workspace": {
      run: (sql, { workspace, newUser }) =>
        sql`
          update public.workspace_summary_settings set workspace_id = (
            select id from public.workspaces where user_id = ${newUser}
          )
          where workspace_id = ${workspace.id}`,
      // They cannot see that workspace, so it is null for them.
      outcomes: [NO, NO, NO, 0, 0, 0, 1],
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.workspace_summary_settings where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.summary_runs": {
    "select": {
      run: (sql, { workspace }) =>
        sql`select from public.summary_runs where workspace_id = ${workspace.id}`,
      outcomes: MANAGERS,
    },
    "insert": {
      run: (sql, { workspace }) =>
        sql`
          insert into public.summary_runs (workspace_id, local_date, covered_until)
          values (${workspace.id}, '2026-01-02', now())`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      run: (sql, { workspace }) =>
        sql`update public.summary_runs set tokens_used = 0 where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      run: (sql, { workspace }) =>
        sql`delete from public.summary_runs where workspace_id = ${workspace.id}`,
      outcomes: SERVICE_ALONE,
    },
  },
  "private.scheduled_jobs": {
    "select": {
      run: (sql) => sql`select from private.scheduled_jobs where name = 'kapso-sync'`,
      outcomes: SERVICE_ALONE,
    },
    // A view over a list of values has no rows to write.
    "insert": {
      run: (sql) => sql`insert into private.scheduled_jobs (name) values ('new')`,
      outcomes: [NO, ...Array(6).fill("55000")],
    },
    "update": {
      run: (sql) => sql`update private.scheduled_jobs set schedule = '* * * * *'`,
      outcomes: [NO, ...Array(6).fill("55000")],
    },
    "delete": {
      run: (sql) => sql`delete from private.scheduled_jobs`,
      outcomes: [NO, ...Array(6).fill("55000")],
    },
  },
  "private.job_runs": {
    "select": {
      before: jobRun,
      run: (sql) => sql`select from private.job_runs where job = 'matrix'`,
      outcomes: SERVICE_ALONE,
    },
    "insert": {
      run: (sql) => sql`insert into private.job_runs (job) values ('matrix')`,
      outcomes: SERVICE_ALONE,
    },
    "update": {
      before: jobRun,
      run: (sql) => sql`update private.job_runs set status = 500 where job = 'matrix'`,
      outcomes: SERVICE_ALONE,
    },
    "delete": {
      before: jobRun,
      run: (sql) => sql`delete from private.job_runs where job = 'matrix'`,
      outcomes: SERVICE_ALONE,
    },
  },
  "public.installation_health": {
    "select": {
      // Everyone gets a workspace of their own when they sign up. A stranger keeps theirs, and is an owner too.
      before: (sql, { workspace }) =>
        sql`
          delete from public.workspaces
          where user_id in (${workspace.admin}, ${workspace.agent}, ${workspace.viewer})`,
      run: (sql) => sql`select from public.installation_health where name = 'migrations'`,
      outcomes: [NO, 1, 0, 0, 0, 1, 1],
    },
    // A view over a function has no rows to write.
    "insert": {
      run: (sql) => sql`insert into public.installation_health (name) values ('new')`,
      outcomes: Array(7).fill("55000"),
    },
    "update": {
      run: (sql) => sql`update public.installation_health set status = 'ok'`,
      outcomes: Array(7).fill("55000"),
    },
    "delete": {
      run: (sql) => sql`delete from public.installation_health`,
      outcomes: Array(7).fill("55000"),
    },
  },
};

/** By function; those of `private` with their schema. */
export const FUNCTIONS: Record<string, Case> = {
  "overview_statistics": {
    run: (sql, { workspace }) => sql`select public.overview_statistics(${workspace.id})`,
    outcomes: [NO, 1, 1, 1, 1, "PT404", NO],
  },
  "save_workflow_settings": {
    run: (sql, { workspace }) =>
      sql`
        select from public.save_workflow_settings(
          ${workspace.id}, 'sarah', 1, ${sql.json({ temperature: 1 })}
        )`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "confirm_workflow_settings": {
    run: (sql, { workspace }) =>
      sql`select from public.confirm_workflow_settings(${workspace.id}, 'sarah', 1)`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "record_workflow_sync": {
    run: (sql, { workspace }) =>
      sql`
        select from public.record_workflow_sync(
          ${workspace.id}, 'sarah', 1, 'synced', null, 'synced', null
        )`,
    outcomes: SERVICE_ALONE,
  },
  "start_summary_run": {
    run: (sql, { workspace }) => sql`select from public.start_summary_run(${workspace.id})`,
    outcomes: [NO, 1, 1, "PT403", "PT403", "PT404", NO],
  },
  "summary_run": {
    run: (sql, { workspace }) => sql`select from public.summary_run(${workspace.id}, '2026-01-01')`,
    outcomes: MANAGERS,
  },
  "claim_summary_slice": {
    run: (sql, { workspace }) =>
      sql`
        select from public.claim_summary_slice(
          only_workspace => ${workspace.id}, only_date => '2026-01-01'
        )`,
    outcomes: [NO, NO, NO, NO, NO, NO, 0],
  },
  "write_daily_summaries": {
    run: (sql, { workspace }) =>
      sql`
        select from public.write_daily_summaries(
          ${workspace.id}, '2026-01-01', gen_random_uuid(), '{}', '{}', '[]'
        )`,
    outcomes: SERVICE_ALONE,
  },
  "prune_records": {
    run: (sql) => sql`select from public.prune_records(0) limit 1`,
    outcomes: SERVICE_ALONE,
  },
};
