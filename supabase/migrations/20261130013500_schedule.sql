-- All scheduled work. pg_cron runs this list on hosted Supabase, local/schedule.ts on one machine; docs/operations.md
-- says what to do elsewhere. No function has a clock of its own.

create view private.scheduled_jobs
with (security_invoker = true)
as
select job.name, job.schedule, job.function_path, job.command, job.purpose
from (
  values
    -- Edge Functions: the path below /functions/v1/, called by POST with the service key.
    (
      'kapso-sync', '* * * * *', 'kapso-sync/tick', null,
      'Continues runs of kapso-sync and starts repairs that are due.'
    ),
    (
      'send-queued-messages', '* * * * *', 'inbox/tick', null,
      'Sends messages that were queued and have no sender.'
    ),
    (
      'daily-summary', '*/5 * * * *', 'daily-summary/tick', null,
      'Writes the daily summaries that are due.'
    ),
    -- SQL.
    (
      'settle-outbox', '* * * * *', null, 'select public.settle_outbox()',
      'Settles sent messages whose sender died or whose outcome is unknown.'
    ),
    (
      'forget-connections', '* * * * *', null, 'select public.forget_connections()',
      'Makes conversations and files forget connections that were deleted.'
    ),
    (
      'retry-webhook-events', '* * * * *', null, 'select public.retry_webhook_events()',
      'Processes events again that failed because of what others did in that moment.'
    ),
    (
      'drain-webhook-events', '* * * * *', null,
      -- A block, because each pass is a transaction of its own, and a function cannot commit.
      'do $$ declare stop_at constant timestamptz := clock_timestamp() + interval ''40 seconds''; begin
      while (select pass.drained from public.drain_webhook_events() as pass) > 0 and clock_timestamp() < stop_at loop
      commit; end loop; end $$',
      'Processes events that wait because the function that accepted them was stopped.'
    ),
    (
      'keep-webhook-days', '*/10 * * * *', null, 'select private.keep_webhook_days()',
      'Makes the tables for the webhook events of the next days, and drops those of old ones.'
    ),
    (
      'settle-waiting-updates', '* * * * *', null, 'select public.settle_waiting_updates()',
      'Applies changes that arrived in the same moment as their message.'
    ),
    (
      'fold-message-counts', '*/5 * * * *', null, 'select public.fold_message_counts()',
      'Adds up the message counts that batches append.'
    ),
    (
      'index-messages', '* * * * *', null, 'select public.index_messages(10000)',
      'Adds messages of some minutes ago to the search.'
    ),
    (
      'prune-records', '*/10 * * * *', null, 'select public.prune_records(20000)',
      'Deletes records that are no longer needed.'
    ),
    (
      'prune-cron-runs', '37 3 * * *', null, 'select private.prune_cron_runs()',
      'Deletes what pg_cron recorded of old runs.'
    )
) as job (name, schedule, function_path, command, purpose);
comment on view private.scheduled_jobs is
  'Every scheduled job: when (cron expression, UTC), and what, either the path of an Edge Function or an SQL command. '
  'To change the schedule, change this list; private.schedule_jobs() hands it to pg_cron.';
grant select on private.scheduled_jobs to service_role;

create function private.call_function(path text, body jsonb default '{}')
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  project_url text;
  service_key text;
begin
  select secret.decrypted_secret into project_url
  from vault.decrypted_secrets as secret
  where secret.name = 'project_url';
  select secret.decrypted_secret into service_key
  from vault.decrypted_secrets as secret
  where secret.name = 'service_key';
  if project_url is null or service_key is null then
    raise exception 'The schedule cannot call functions: the Vault has no project_url or no service_key'
      using errcode = '55000', hint = 'docs/operations.md says how to put them there.';
  end if;
  return net.http_post(
    url := rtrim(project_url, '/') || '/functions/v1/' || call_function.path,
    headers := jsonb_build_object('Content-Type', 'application/json', 'apikey', service_key),
    body := call_function.body,
    timeout_milliseconds := 5000
  );
end;
$$;
comment on function private.call_function(text, jsonb) is
  'Call an Edge Function with the service key, without waiting for its answer. Returns pg_net''s number of the request. '
  'Needs pg_net, and the secrets project_url and service_key in the Vault.';

create function private.call_job(job text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform private.collect_job_answers();
  insert into private.job_runs (job, request_id)
  select listed.name, private.call_function(listed.function_path)
  from private.scheduled_jobs as listed
  where listed.name = call_job.job and listed.function_path is not null;
  perform private.trim_job_runs(call_job.job);
end;
$$;
comment on function private.call_job(text) is
  'Call the function of a scheduled job, and remember the request, so that private.job_runs gets its answer. For pg_cron.';

create function private.job_command(job text)
returns text
language sql
stable
set search_path = ''
as $$
  select coalesce(listed.command, format('select private.call_job(%L)', listed.name))
  from private.scheduled_jobs as listed
  where listed.name = job_command.job;
$$;
comment on function private.job_command(text) is 'What pg_cron runs for a job.';

create function private.schedule_jobs()
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform cron.schedule(
    job.name,
    job.schedule,
    private.job_command(job.name)
  )
  from private.scheduled_jobs as job
  -- Only pg_net can call a function.
  where job.function_path is null or to_regnamespace('net') is not null;
end;
$$;
comment on function private.schedule_jobs() is
  'Hand private.scheduled_jobs to pg_cron. A migration that changes the list calls it, and cron.unschedule() for a '
  'job that it removes.';

do $$
begin
  -- pg_cron works in one database of a server that has loaded it. Elsewhere there is nothing to do; where there is,
  -- a failure fails the migration.
  if exists (select from pg_catalog.pg_extension where extname = 'pg_cron')
    or exists (
      select from pg_catalog.pg_settings as loaded
      where loaded.name = 'cron.database_name' and loaded.setting = current_database()
    )
  then
    create extension if not exists pg_cron;
    if exists (select from pg_catalog.pg_available_extensions where name = 'pg_net') then
      create extension if not exists pg_net with schema extensions;
    end if;
    perform private.schedule_jobs();
  end if;
end;
$$;

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.call_function(text, jsonb),
  private.call_job(text),
  private.job_command(text),
  private.schedule_jobs()
from public, anon, authenticated, service_role;
