-- All scheduled work.

create function private.call_function(path text, body jsonb default '{}')
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  project_url text;
  service_key text;
begin
  select secret.decrypted_secret into project_url from vault.decrypted_secrets as secret where secret.name = 'project_url';
  select secret.decrypted_secret into service_key from vault.decrypted_secrets as secret where secret.name = 'service_key';
  if project_url is null or service_key is null then
    raise exception 'The schedule cannot call functions: the Vault has no project_url or no service_key'
      using errcode = '55000', hint = 'docs/operations.md says how to put them there.';
  end if;
  perform net.http_post(
    url := rtrim(project_url, '/') || '/functions/v1/' || call_function.path,
    headers := jsonb_build_object('Content-Type', 'application/json', 'apikey', service_key),
    body := call_function.body,
    timeout_milliseconds := 5000
  );
end;
$$;
comment on function private.call_function(text, jsonb) is
  'Call an Edge Function with the service key, without waiting for its answer. Needs pg_net, and the secrets project_url and service_key in the Vault. For pg_cron.';

-- Pruning, every night, where pg_cron is to be had (hosted, and with Docker). Elsewhere
-- docs/operations.md says how to call it.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('prune-webhook-events', '17 3 * * *', 'select public.prune_webhook_events()');
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron')
    and exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_cron;
    create extension if not exists pg_net;
    perform cron.schedule('kapso-sync', '* * * * *', $job$select private.call_function('kapso-sync/tick')$job$);
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

-- Pruning, every night, as for the webhook's events.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('prune-agent-sessions', '27 3 * * *', 'select public.prune_agent_sessions()');
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

-- Every minute, where pg_cron is to be had. Elsewhere the inbox does it for the thread it shows.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('settle-outbox', '* * * * *', 'select public.settle_outbox()');
    if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
      create extension if not exists pg_net;
      -- The same, and it sends what was left waiting.
      perform cron.schedule('inbox', '* * * * *', $job$select private.call_function('inbox/tick')$job$);
    end if;
  end if;
exception when others then
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('fold-message-counts', '*/5 * * * *', 'select public.fold_message_counts()');
  end if;
exception when others then
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

-- Every five minutes, where pg_cron and pg_net are to be had (hosted, and with Docker). local/schedule.ts
-- does the same on one machine.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron')
    and exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_cron;
    create extension if not exists pg_net;
    perform cron.schedule('daily-summary', '*/5 * * * *', $job$select private.call_function('daily-summary/tick')$job$);
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('prune-records', '7 * * * *', 'select public.prune_records(20000)');
    -- pg_cron keeps a row of every run of every job, and some run every minute.
    perform cron.schedule(
      'prune-cron-runs', '37 3 * * *',
      $job$delete from cron.job_run_details where end_time < now() - interval '7 days'$job$
    );
  end if;
exception when others then
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function private.call_function(text, jsonb) from public, anon, authenticated, service_role;
