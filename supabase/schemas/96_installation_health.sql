-- Whether the installation is complete and does its work: one row per check. What is counted is counted up to a limit
-- and through indexes: for the service and the owner of the database everything, for the owner of a workspace what
-- belongs to it. No row holds contents or secrets.

create type private.health_check as (
  name text,
  status text,
  found text,
  what_to_do text
);
comment on type private.health_check is
  'What a check found. status: ok, warning, problem or unknown. what_to_do: null where there is nothing to do.';

create function private.expected_migrations()
returns table (newest text, count integer)
language sql
immutable
set search_path = ''
as $$
  -- The version of the schema. A migration changes this; a test compares it with the folder.
  select '20261130013600', 56;
$$;
comment on function private.expected_migrations() is
  'The version of the newest migration of this schema, and the number of its migrations.';

create function private.utc_text(moment timestamptz)
returns text
language sql
stable
set search_path = ''
as $$
  select to_char(utc_text.moment at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"');
$$;
comment on function private.utc_text(timestamptz) is 'A time as a check shows it.';

create function private.count_text(count bigint, max_count bigint)
returns text
language sql
immutable
set search_path = ''
as $$
  select case when count_text.count > count_text.max_count
    then 'more than ' || count_text.max_count
    else count_text.count::text
  end;
$$;
comment on function private.count_text(bigint, bigint) is 'A count that stopped just above max_count, as a check shows it.';

-- Set-up -----------------------------------------------------------------------------------------

create function private.check_migrations()
returns setof private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  expected record;
  applied bigint;
  newest text;
begin
  select * into expected from private.expected_migrations();
  return query select 'schema version', 'ok', expected.newest, null::text;
  if private.relation_access('supabase_migrations', 'schema_migrations') <> 'readable' then
    return query select 'migrations', 'unknown',
      'This database does not record its migrations.',
      'Compare your own record with supabase/migrations.';
    return;
  end if;
  select count(*) filter (where history.version <= expected.newest), max(history.version)
  into applied, newest
  from supabase_migrations.schema_migrations as history;
  if applied < expected.count then
    return query select 'migrations', 'problem',
      format('%s of %s migrations up to %s are recorded.', applied, expected.count, expected.newest),
      'Run supabase db push; on one machine restart deno task start.';
  else
    return query select 'migrations', 'ok',
      format('Version %s of the schema: all %s migrations. The newest applied is %s.', expected.newest, expected.count, newest),
      null::text;
  end if;
end;
$$;
comment on function private.check_migrations() is 'Check: the migrations of this version are applied.';

create function private.check_extensions()
returns setof private.health_check
language sql
stable
set search_path = ''
as $$
  select 'extensions',
    case
      when not bool_or(installed.name = 'pg_trgm') then 'problem'
      when bool_or(installed.schema = 'public' and installed.name in ('pg_trgm', 'pg_net')) then 'warning'
      else 'ok'
    end,
    string_agg(format('%s %s in %s', installed.name, installed.version, installed.schema), ', ' order by installed.name),
    case
      when not bool_or(installed.name = 'pg_trgm')
        then 'The search needs pg_trgm: create extension pg_trgm with schema extensions.'
      when bool_or(installed.schema = 'public' and installed.name = 'pg_net')
        then 'pg_net belongs in the schema extensions: drop extension pg_net; create extension pg_net with schema extensions.'
      when bool_or(installed.schema = 'public' and installed.name = 'pg_trgm')
        then 'pg_trgm belongs in the schema extensions: alter extension pg_trgm set schema extensions.'
    end
  from (
    select extension.extname::text as name, extension.extversion as version,
      extension.extnamespace::regnamespace::text as schema
    from pg_catalog.pg_extension as extension
  ) as installed;
$$;
comment on function private.check_extensions() is 'Check: extensions are there, and out of the API.';

create function private.check_policies()
returns setof private.health_check
language sql
stable
set search_path = ''
as $$
  select 'table policies',
    case when found.open_tables is null and found.closed_tables is null then 'ok' else 'problem' end,
    case
      when found.open_tables is not null then 'No row level security on ' || found.open_tables || '.'
      when found.closed_tables is not null then 'Members can read nothing of ' || found.closed_tables || ': no policy.'
      else format('Row level security on all %s tables.', found.tables)
    end,
    case
      when found.open_tables is not null then 'Run alter table <name> enable row level security for each of them.'
      when found.closed_tables is not null then 'Create the policies again that supabase/schemas has for them.'
    end
  from (
    select count(*) as tables,
      string_agg(relation.oid::regclass::text, ', ') filter (where not relation.relrowsecurity) as open_tables,
      string_agg(relation.oid::regclass::text, ', ') filter (
        where relation.relnamespace = 'public'::regnamespace
          and has_table_privilege('authenticated', relation.oid, 'select')
          and not exists (select from pg_catalog.pg_policy as policy where policy.polrelid = relation.oid)
      ) as closed_tables
    from pg_catalog.pg_class as relation
    where relation.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
      and relation.relkind in ('r', 'p')
      -- Tables of an extension are not this project's.
      and not exists (
        select from pg_catalog.pg_depend as part where part.objid = relation.oid and part.deptype = 'e'
      )
  ) as found;
$$;
comment on function private.check_policies() is 'Check: every table has row level security and, where members read it, policies.';

create function private.check_realtime()
returns setof private.health_check
language sql
stable
set search_path = ''
as $$
  select 'realtime',
    case when found.is_missing or (found.has_policy and found.has_trigger) then 'ok' else 'problem' end,
    case
      when found.is_missing then 'This database has no Realtime: open inboxes ask for news every few seconds.'
      when not found.has_policy then 'realtime.messages has no policy for members: open inboxes do not hear of new messages.'
      when not found.has_trigger then 'conversations lacks a trigger that broadcasts: open inboxes do not hear of new messages.'
      else 'Changes are broadcast, and members may listen.'
    end,
    case when not found.is_missing and not (found.has_policy and found.has_trigger)
      then 'Run the statements of supabase/schemas/80_realtime.sql that create it, as the owner of the database.'
    end
  from (
    select not exists (
        select from pg_catalog.pg_class as relation
        join pg_catalog.pg_namespace as namespace on namespace.oid = relation.relnamespace
        where namespace.nspname = 'realtime' and relation.relname = 'messages'
      ) as is_missing,
      exists (
        select from pg_catalog.pg_policies as policy
        where policy.schemaname = 'realtime' and policy.tablename = 'messages'
          and policy.cmd in ('SELECT', 'ALL')
      ) as has_policy,
      (
        select count(*) = 2 from pg_catalog.pg_trigger as trigger
        where trigger.tgrelid = 'public.conversations'::regclass
          and trigger.tgfoid in (
            'private.broadcast_new_conversations()'::regprocedure,
            'private.broadcast_changed_conversations()'::regprocedure
          )
          and trigger.tgenabled <> 'D'
      ) as has_trigger
  ) as found;
$$;
comment on function private.check_realtime() is 'Check: where there is Realtime, inboxes hear of changes.';

create function private.check_storage()
returns setof private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  is_public boolean;
begin
  case private.relation_access('storage', 'buckets')
    when 'missing' then
      return query select 'storage', 'ok', 'This database has no Storage: files keep their links only.', null::text;
      return;
    when 'closed' then
      return query select 'storage', 'unknown', 'The buckets of Storage cannot be read.',
        'Look in Storage for a private bucket named media.';
      return;
    else
      null;
  end case;
  select bucket.public into is_public from storage.buckets as bucket where bucket.id = 'media';
  if is_public is null then
    return query select 'storage', 'ok', 'The bucket media is created with the first file.', null::text;
  elsif is_public then
    return query select 'storage', 'problem', 'The bucket media is public: no file is stored in it.',
      'Make the bucket media private in Storage.';
  else
    return query select 'storage', 'ok', 'The bucket media is there, and private.', null::text;
  end if;
end;
$$;
comment on function private.check_storage() is 'Check: where there is Storage, the bucket of files is private.';

create function private.check_vault()
returns setof private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  missing text;
begin
  if to_regnamespace('cron') is null then
    return query select 'vault secrets', 'ok', 'Not needed: pg_cron does not run the schedule here.', null::text;
    return;
  end if;
  if private.relation_access('vault', 'decrypted_secrets') <> 'readable' then
    return query select 'vault secrets', 'problem',
      'pg_cron is here, but the Vault is missing or closed: no job can call a function.',
      'Enable the extension supabase_vault, then store project_url and service_key (docs/operations.md).';
    return;
  end if;
  select string_agg(needed.name, ' and ' order by needed.name) into missing
  from (values ('project_url'), ('service_key')) as needed (name)
  where not exists (select from vault.decrypted_secrets as secret where secret.name = needed.name);
  if missing is null then
    return query select 'vault secrets', 'ok', 'project_url and service_key are stored.', null::text;
  else
    return query select 'vault secrets', 'problem',
      format('Missing: %s. No job can call a function.', missing),
      'Store the address and a secret key of the project: select vault.create_secret(''<value>'', ''<name>'').';
  end if;
end;
$$;
comment on function private.check_vault() is 'Check: the Vault has what the schedule needs. Reads names only.';

-- Schedule ---------------------------------------------------------------------------------------

create function private.job_period(schedule text)
returns interval
language sql
immutable
set search_path = ''
as $$
  select case
    when job_period.schedule ~ '^\* ' then interval '1 minute'
    when job_period.schedule ~ '^\*/[0-9]+ ' then make_interval(mins => substring(job_period.schedule from '^\*/([0-9]+) ')::integer)
    else interval '1 day'
  end;
$$;
comment on function private.job_period(text) is 'How often a cron expression of the list is due.';

create function private.period_text(schedule text)
returns text
language sql
immutable
set search_path = ''
as $$
  select case
    when period_text.schedule ~ '^\* ' then 'every minute'
    when period_text.schedule ~ '^\*/[0-9]+ ' then 'every ' || substring(period_text.schedule from '^\*/([0-9]+) ') || ' minutes'
    else 'once a day'
  end;
$$;
comment on function private.period_text(text) is 'How often a cron expression of the list is due, as a check shows it.';

create function private.read_last_run(job text)
returns table (last_started_at timestamptz, started_at timestamptz, status integer, error text)
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select
    (select max(run.started_at) from private.job_runs as run where run.job = read_last_run.job),
    ended.started_at, ended.status, ended.error
  from (select) as always
  left join lateral (
    select run.started_at, coalesce(run.status, answer.status) as status, coalesce(run.error, answer.error) as error
    from private.job_runs as run
    left join lateral private.find_job_answer(run.request_id, run.started_at) as answer on run.finished_at is null
    where run.job = read_last_run.job
      -- A request that is underway says nothing; one without an answer after a minute does.
      and (
        run.finished_at is not null or answer.finished_at is not null
        or run.started_at < now() - interval '1 minute'
      )
    order by run.started_at desc
    limit 1
  ) as ended on true;
end;
$$;
comment on function private.read_last_run(text) is
  'When a job last started, and what came of its last run that has ended. Neither status nor error: a command that '
  'succeeded, or a request without an answer.';

create function private.check_function_job(job private.scheduled_jobs)
returns private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  run record;
  result private.health_check;
begin
  select * into run from private.read_last_run(job.name);
  result.name := 'job ' || job.name;
  if run.last_started_at is null then
    result.status := 'unknown';
    result.found := 'Not called yet, as far as is recorded.';
    result.what_to_do := 'If this stays so, the schedule does not run: see docs/operations.md, The schedule.';
  elsif run.last_started_at < now() - 3 * private.job_period(job.schedule) - interval '2 minutes' then
    result.status := 'problem';
    result.found := format('Last called at %s, though due %s.', private.utc_text(run.last_started_at), private.period_text(job.schedule));
    result.what_to_do := 'The schedule has stopped, or the job fails before its call. Start it again: select private.schedule_jobs() with pg_cron, deno task start on one machine.';
  elsif run.started_at is null then
    result.status := 'unknown';
    result.found := format('Called at %s; no answer yet.', private.utc_text(run.last_started_at));
  elsif run.status between 200 and 299 then
    result.status := 'ok';
    result.found := format('Succeeded at %s: answered %s.', private.utc_text(run.started_at), run.status);
  elsif run.status is not null then
    result.status := 'problem';
    result.found := format('Failed at %s: answered %s.', private.utc_text(run.started_at), run.status);
    result.what_to_do := case
      when run.status in (401, 403)
        then 'The key is not accepted. Store a secret key of the project in the Vault as service_key, and deploy the function without JWT verification.'
      when run.status = 404 then 'The function is not deployed, or project_url in the Vault is wrong.'
      else 'Look in the log of the function.'
    end;
  else
    result.status := 'problem';
    result.found := format('No answer to the call of %s: %s.', private.utc_text(run.started_at), coalesce(run.error, 'none is recorded'));
    result.what_to_do := 'Check project_url in the Vault, that pg_net runs, and that the function is deployed.';
  end if;
  return result;
end;
$$;
comment on function private.check_function_job(private.scheduled_jobs) is 'Check: the function of a job was called and answered.';

create function private.check_command_job(job private.scheduled_jobs)
returns private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  started_at timestamptz;
  ended_at timestamptz;
  is_failed boolean;
  result private.health_check;
begin
  if private.relation_access('cron', 'job_run_details') = 'readable' then
    -- By its key, newest first: pg_cron has no other index. 10,000 runs are more than a day.
    select max(run.start_time) into started_at
    from (select * from cron.job_run_details order by runid desc limit 10000) as run
    join cron.job as entry on entry.jobid = run.jobid
    where entry.jobname = job.name;
    select run.start_time, run.status = 'failed' into ended_at, is_failed
    from (select * from cron.job_run_details order by runid desc limit 10000) as run
    join cron.job as entry on entry.jobid = run.jobid
    where entry.jobname = job.name and run.status in ('succeeded', 'failed')
    order by run.runid desc
    limit 1;
  else
    select run.last_started_at, run.started_at, run.error is not null into started_at, ended_at, is_failed
    from private.read_last_run(job.name) as run;
  end if;
  result.name := 'job ' || job.name;
  if started_at is null then
    result.status := 'unknown';
    result.found := 'Has not run yet, as far as is recorded.';
    result.what_to_do := 'If this stays so, the schedule does not run: see docs/operations.md, The schedule.';
  elsif started_at < now() - 3 * private.job_period(job.schedule) - interval '2 minutes' then
    result.status := 'problem';
    result.found := format('Last run at %s, though due %s.', private.utc_text(started_at), private.period_text(job.schedule));
    result.what_to_do := 'The schedule has stopped. Start it again: select private.schedule_jobs() with pg_cron, deno task start on one machine.';
  elsif ended_at is null then
    result.status := 'unknown';
    result.found := format('Running since %s.', private.utc_text(started_at));
  elsif is_failed then
    result.status := 'problem';
    result.found := format('Failed at %s.', private.utc_text(ended_at));
    result.what_to_do := 'The cause is in cron.job_run_details, or in the log of deno task start.';
  else
    result.status := 'ok';
    result.found := format('Succeeded at %s.', private.utc_text(ended_at));
  end if;
  return result;
end;
$$;
comment on function private.check_command_job(private.scheduled_jobs) is 'Check: the SQL command of a job ran and succeeded.';

create function private.check_schedule()
returns setof private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  wrong text;
begin
  if private.relation_access('cron', 'job') = 'readable' then
    select string_agg(listed.name, ', ' order by listed.name) into wrong
    from private.scheduled_jobs as listed
    where not exists (
      select from cron.job as entry
      where entry.jobname = listed.name and entry.active
        and entry.schedule = listed.schedule and entry.command = private.job_command(listed.name)
    );
    if wrong is null then
      return query select 'schedule', 'ok', 'pg_cron has all jobs.', null::text;
    else
      return query select 'schedule', 'problem',
        'Missing in pg_cron, switched off or changed: ' || wrong || '.',
        case when to_regnamespace('net') is null
          then 'Run create extension pg_net with schema extensions; select private.schedule_jobs().'
          else 'Run select private.schedule_jobs(), and switch on jobs that are inactive.'
        end;
    end if;
  elsif exists (
    select from private.job_runs as run where run.started_at > now() - interval '5 minutes'
  ) then
    return query select 'schedule', 'ok', 'Another scheduler than pg_cron runs the jobs.', null::text;
  else
    return query select 'schedule', 'unknown', 'pg_cron is not here, and no other scheduler has recorded a run in 5 minutes.',
      'Run the jobs yourself and record them, as docs/operations.md says under The schedule.';
  end if;
  return query
  select job_check.*
  from private.scheduled_jobs as job
  cross join lateral (
    select (private.check_function_job(job)).* where job.function_path is not null
    union all
    select (private.check_command_job(job)).* where job.function_path is null
  ) as job_check
  order by job.name;
end;
$$;
comment on function private.check_schedule() is 'Checks: the jobs are scheduled, and what came of the last run of each.';

-- Queues -----------------------------------------------------------------------------------------

-- These count what belongs to the given workspaces; with null, everything. They are planned for the workspaces at hand,
-- because one plan for both cases could use no index.

create function private.count_unprocessed_events(workspaces uuid[], state text)
returns table (count bigint, oldest timestamptz)
language plpgsql
stable
set search_path = ''
as $$
begin
  if count_unprocessed_events.workspaces is null then
    return query
    select count(*), min(event.received_at)
    from (
      select known.received_at from private.open_webhook_events as known
      where known.state = count_unprocessed_events.state
      order by known.received_at limit 1001
    ) as event;
    return;
  end if;
  return query
  select count(*), min(event.received_at)
  from public.connections as source
  cross join lateral (
    select known.received_at from private.open_webhook_events as known
    where known.state in ('received', 'failed')
      -- A range of the index: with equal columns Postgres may look through the events of all numbers, in order of time.
      and (known.phone_number_id, known.state, known.received_at) > (
        -- What arrived before it had the number is not for it.
        source.phone_number_id, count_unprocessed_events.state, source.number_claimed_at
      )
      and (known.phone_number_id, known.state) <= (source.phone_number_id, count_unprocessed_events.state)
    order by known.phone_number_id, known.state, known.received_at limit 1001
  ) as event
  where source.workspace_id = any (count_unprocessed_events.workspaces) and source.platform = 'whatsapp';
end;
$$;
comment on function private.count_unprocessed_events(uuid[], text) is
  'How many events of Kapso are in a state, received or failed, and when the oldest arrived. Counts up to 1001 in all, or '
  'for each number of the workspaces.';

create function private.check_webhook_events(workspaces uuid[])
returns setof private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  failed record;
  waiting record;
  oldest timestamptz;
begin
  select * into failed from private.count_unprocessed_events(check_webhook_events.workspaces, 'failed');
  select * into waiting from private.count_unprocessed_events(check_webhook_events.workspaces, 'received');
  oldest := least(failed.oldest, waiting.oldest);
  return query select 'webhook events',
    case
      when failed.count > 0 then 'problem'
      when oldest < now() - interval '5 minutes' then 'warning'
      else 'ok'
    end,
    format('%s failed, %s waiting', private.count_text(failed.count, 1000), private.count_text(waiting.count, 1000))
      || coalesce('; the oldest arrived at ' || private.utc_text(oldest) || '.', '.'),
    case when failed.count > 0 or oldest < now() - interval '5 minutes'
      then 'Their messages are not in the inbox. Correct the cause, then run select * from replay_webhook_events(); docs/operations.md, Kapso, has more.'
    end;
end;
$$;
comment on function private.check_webhook_events(uuid[]) is 'Check: no event of Kapso waits or has failed.';

create function private.check_webhook_days()
returns setof private.health_check
language plpgsql
stable
set search_path = ''
as $$
declare
  kept_days constant integer := private.limit_of('webhook_event_days', null);
  last_day date;
  late_days bigint;
begin
  select max(known.day), count(*) filter (where known.day < private.utc_day(now()) - kept_days - 1)
  into last_day, late_days
  from private.webhook_days() as known;
  return query select 'webhook storage',
    case
      when last_day is null then 'unknown'
      when last_day <= private.utc_day(now()) or late_days > 0 then 'warning'
      else 'ok'
    end,
    case
      when last_day is null then 'No day has a table for its events yet.'
      when last_day <= private.utc_day(now()) then format('No table is made for the events of days after %s.', last_day)
      when late_days > 0 then format('%s days are older than the %s days that events are kept.', late_days, kept_days)
      else format('Tables for the events of the days until %s are there.', last_day)
    end,
    case when last_day is null or last_day <= private.utc_day(now()) or late_days > 0
      then 'The job keep-webhook-days makes and drops them. Check it. No event is lost: the first of a day makes its table.'
    end;
end;
$$;
comment on function private.check_webhook_days() is
  'Check: tables for the events of the next days are made, and those of old days are dropped.';

create function private.check_outbox_queue(workspaces uuid[])
returns setof private.health_check
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  open_messages record;
begin
  select count(*) filter (where message.state in ('queued', 'sending')) as waiting,
    count(*) filter (where message.state = 'unconfirmed') as unconfirmed,
    min(message.queued_at) filter (where message.state in ('queued', 'sending')) as oldest
  into open_messages
  from (
    select known.state, known.queued_at from public.outbox_messages as known
    where known.state in ('queued', 'sending', 'unconfirmed')
      and (check_outbox_queue.workspaces is null or known.workspace_id = any (check_outbox_queue.workspaces))
    limit 10001
  ) as message;
  return query select 'outbox',
    case
      when open_messages.oldest < now() - interval '10 minutes' then 'problem'
      when open_messages.unconfirmed > 0 then 'warning'
      else 'ok'
    end,
    format(
      '%s waiting, %s with an unknown outcome',
      private.count_text(open_messages.waiting, 10000), private.count_text(open_messages.unconfirmed, 10000)
    ) || coalesce('; the oldest has waited since ' || private.utc_text(open_messages.oldest) || '.', '.'),
    case
      when open_messages.oldest < now() - interval '10 minutes'
        then 'Messages are not sent. Check the jobs send-queued-messages and settle-outbox.'
      when open_messages.unconfirmed > 0
        then 'A member decides in the conversation: send again or discard.'
    end;
end;
$$;
comment on function private.check_outbox_queue(uuid[]) is 'Check: messages that members send do not pile up.';

create function private.check_queues(workspaces uuid[])
returns setof private.health_check
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Null where the workspaces are.
  connections uuid[];
  open_runs bigint;
  failing_runs bigint;
  late_files bigint;
  waiting_files bigint;
  unfinished_summaries bigint;
  count_parts bigint;
  waiting_changes bigint;
  waiting_spans bigint;
  oldest_span timestamptz;
  unread bigint;
  without_person bigint;
begin
  if check_queues.workspaces is not null then
    connections := array(
      select source.id from public.connections as source where source.workspace_id = any (check_queues.workspaces)
    );
  end if;

  select count(*), count(*) filter (where run.failures >= 3) into open_runs, failing_runs
  from (
    select known.failures from public.sync_runs as known
    where known.finished_at is null and (connections is null or known.connection_id = any (connections))
    limit 10001
  ) as run;
  return query select 'kapso sync', case when failing_runs > 0 then 'warning' else 'ok' end,
    format('%s runs are open, %s of them keep failing.', private.count_text(open_runs, 10000), failing_runs),
    case when failing_runs > 0 then 'Open Connections: each number says what its last error was.' end;

  select count(*), count(*) filter (where copy.next_attempt_at < now() - interval '1 hour') into waiting_files, late_files
  from (
    select known.next_attempt_at from private.media_copies as known
    where known.state = 'waiting' and (connections is null or known.connection_id = any (connections))
    limit 10001
  ) as copy;
  return query select 'files', case when late_files > 0 then 'warning' else 'ok' end,
    format('%s files wait to be copied, %s of them for over an hour.', private.count_text(waiting_files, 10000), late_files),
    case when late_files > 0 then 'The job kapso-sync copies them. Check it, and Storage.' end;

  select count(*) into unfinished_summaries
  from (
    select from public.summary_runs as known
    where known.state = 'running' and known.local_date < current_date - 2
      and (check_queues.workspaces is null or known.workspace_id = any (check_queues.workspaces))
    limit 10001
  ) as run;
  return query select 'summaries', case when unfinished_summaries > 0 then 'warning' else 'ok' end,
    format('%s runs of more than two days ago are unfinished.', private.count_text(unfinished_summaries, 10000)),
    case when unfinished_summaries > 0 then 'The job daily-summary continues them. Check it.' end;

  select count(*) into count_parts
  from (
    select from private.message_count_parts as known
    where check_queues.workspaces is null or known.workspace_id = any (check_queues.workspaces)
    limit 100001
  ) as part;
  return query select 'message counts', case when count_parts > 100000 then 'warning' else 'ok' end,
    format('%s parts wait to be added up.', private.count_text(count_parts, 100000)),
    case when count_parts > 100000 then 'The job fold-message-counts adds them up. Check it.' end;

  select count(*) into waiting_changes
  from (
    select from private.waiting_updates as known
    where check_queues.workspaces is null or known.workspace_id = any (check_queues.workspaces)
    limit 10001
  ) as change;
  return query select 'waiting changes', case when waiting_changes > 10000 then 'warning' else 'ok' end,
    format('%s statuses, reactions and files wait for their message.', private.count_text(waiting_changes, 10000)),
    case when waiting_changes > 10000 then 'Their messages never came: check webhooks, and fetch the history again (docs/cli/kapso-sync.md).' end;

  select count(*), min(span.queued_at) into waiting_spans, oldest_span
  from (
    select known.queued_at from private.message_index_queue as known
    where check_queues.workspaces is null or known.workspace_id = any (check_queues.workspaces)
    limit 10001
  ) as span;
  return query select 'message search', case when oldest_span < now() - interval '1 hour' then 'warning' else 'ok' end,
    format('%s parts of conversations wait for the index', private.count_text(waiting_spans, 10000))
      || coalesce('; one has waited since ' || private.utc_text(oldest_span) || '.', '.'),
    case when oldest_span < now() - interval '1 hour'
      then 'Nothing is missed, but searches are slow. The job index-messages adds them. Check it.' end;

  select count(*) into unread
  from (
    select from public.conversations as known
    where known.unread_count > 0
      and (check_queues.workspaces is null or known.workspace_id = any (check_queues.workspaces))
    limit 10001
  ) as conversation;
  select count(*) into without_person
  from (
    select from public.conversations as known
    where known.person_id is null
      and (check_queues.workspaces is null or known.workspace_id = any (check_queues.workspaces))
    limit 10001
  ) as conversation;
  return query select 'conversations', 'ok',
    format(
      '%s have unread messages, %s belong to no contact.',
      private.count_text(unread, 10000), private.count_text(without_person, 10000)
    ),
    null::text;
end;
$$;
comment on function private.check_queues(uuid[]) is 'Checks: how much waits in each queue.';

-- All --------------------------------------------------------------------------------------------

create function private.installation_health()
returns table (name text, status text, found text, what_to_do text, checked_at timestamptz)
language plpgsql
stable
-- Definer because members have no rights in the tables and schemas that it looks at; the caller's role is checked first.
security definer
set search_path = ''
as $$
declare
  caller text := coalesce(nullif(current_setting('role'), 'none'), session_user::text);
  -- What is counted; null: everything.
  workspaces uuid[];
begin
  if not pg_has_role(caller, 'service_role', 'usage') and not pg_has_role(caller, current_user, 'usage') then
    workspaces := array(select private.workspaces_with_role(array['owner']));
    if cardinality(workspaces) = 0 then
      return;
    end if;
  end if;
  return query
  select checks.name, checks.status, checks.found, checks.what_to_do, clock_timestamp()
  from (
    select * from private.check_migrations()
    union all select * from private.check_extensions()
    union all select * from private.check_policies()
    union all select * from private.check_realtime()
    union all select * from private.check_storage()
    union all select * from private.check_vault()
    union all select * from private.check_schedule()
    union all select * from private.check_webhook_events(workspaces)
    union all select * from private.check_webhook_days()
    union all select * from private.check_outbox_queue(workspaces)
    union all select * from private.check_queues(workspaces)
  ) as checks;
end;
$$;
comment on function private.installation_health() is 'Does the work of public.installation_health.';

create view public.installation_health
with (security_invoker = true)
as
select health.name, health.status, health.found, health.what_to_do, health.checked_at
from private.installation_health() as health;
comment on view public.installation_health is
  'Whether this installation is complete and does its work, one row per check: status (ok, warning, problem, unknown), '
  'what was found and what to do. checked_at is the clock of the database. For service_role, which sees counts of the '
  'whole installation, and for owners of workspaces, who see those of their own; others see no row.';
grant select on public.installation_health to authenticated, service_role;

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.expected_migrations(),
  private.utc_text(timestamptz),
  private.count_text(bigint, bigint),
  private.check_migrations(),
  private.check_extensions(),
  private.check_policies(),
  private.check_realtime(),
  private.check_storage(),
  private.check_vault(),
  private.job_period(text),
  private.period_text(text),
  private.read_last_run(text),
  private.check_function_job(private.scheduled_jobs),
  private.check_command_job(private.scheduled_jobs),
  private.check_schedule(),
  private.count_unprocessed_events(uuid[], text),
  private.check_webhook_events(uuid[]),
  private.check_webhook_days(),
  private.check_outbox_queue(uuid[]),
  private.check_queues(uuid[]),
  private.installation_health()
from public, anon, authenticated, service_role;
grant execute on function private.installation_health() to authenticated, service_role;
