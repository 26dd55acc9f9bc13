-- What came back from scheduled jobs. pg_net keeps answers for 6 hours and does not know which job asked; pg_cron calls
-- a job that calls a function `succeeded` as soon as the request is queued.

create table private.job_runs (
  job text not null,
  started_at timestamptz not null default clock_timestamp(),
  request_id bigint,
  status integer,
  error text,
  finished_at timestamptz,
  constraint job_runs_pkey primary key (job, started_at)
);
comment on table private.job_runs is
  'The last 20 runs of each scheduled job that calls a function; where pg_cron does not run the schedule, of every job '
  'that its scheduler records.';
comment on column private.job_runs.job is 'Its name in private.scheduled_jobs.';
comment on column private.job_runs.started_at is 'When it was started.';
comment on column private.job_runs.request_id is 'pg_net''s number of the request. Null: another program called the function.';
comment on column private.job_runs.status is 'HTTP status of the answer. Null: none, or the job is SQL.';
comment on column private.job_runs.error is 'Why there is no answer, or the SQLSTATE of a failed command.';
comment on column private.job_runs.finished_at is 'When the answer came, or the command ended. Null: not known yet.';

grant all on private.job_runs to service_role;
alter table private.job_runs enable row level security;

create function private.relation_access(schema_name text, relation_name text)
returns text
language sql
stable
set search_path = ''
as $$
  select coalesce(
    (
      select case
        when has_schema_privilege(relation.relnamespace, 'usage') and has_table_privilege(relation.oid, 'select')
          then 'readable'
        else 'closed'
      end
      from pg_catalog.pg_class as relation
      join pg_catalog.pg_namespace as namespace on namespace.oid = relation.relnamespace
      where namespace.nspname = relation_access.schema_name
        and relation.relname = relation_access.relation_name
        and relation.relkind in ('r', 'p', 'v', 'm')
    ),
    'missing'
  );
$$;
comment on function private.relation_access(text, text) is
  'Whether a table or view, such as one of an extension, is readable, closed to the caller, or missing. Never fails.';

create function private.find_job_answer(request_id bigint, started_at timestamptz)
returns table (status integer, error text, finished_at timestamptz)
language plpgsql
stable
set search_path = ''
as $$
begin
  if private.relation_access('net', '_http_response') <> 'readable' then
    return;
  end if;
  return query
  select answer.status_code, left(answer.error_msg, 200), answer.created
  from net._http_response as answer
  where answer.id = find_job_answer.request_id
    -- The table is indexed by time alone. The worker's transaction may have begun before the request.
    and answer.created > find_job_answer.started_at - interval '1 minute'
  limit 1;
end;
$$;
comment on function private.find_job_answer(bigint, timestamptz) is
  'What pg_net got for a request, if it still keeps it. No row without pg_net.';

create function private.collect_job_answers()
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update private.job_runs as run
  set status = answer.status, error = answer.error, finished_at = answer.finished_at
  from private.job_runs as waiting
  cross join lateral private.find_job_answer(waiting.request_id, waiting.started_at) as answer
  where waiting.request_id is not null and waiting.finished_at is null
    and run.job = waiting.job and run.started_at = waiting.started_at;
end;
$$;
comment on function private.collect_job_answers() is
  'Copy the answers that pg_net has into private.job_runs, before it deletes them.';

create function private.trim_job_runs(job text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  delete from private.job_runs as run
  where run.job = trim_job_runs.job
    and run.started_at < (
      select kept.started_at from private.job_runs as kept
      where kept.job = trim_job_runs.job
      order by kept.started_at desc
      offset 19 limit 1
    );
end;
$$;
comment on function private.trim_job_runs(text) is 'Keep the last 20 runs of a job.';

create function private.record_job_run(job text, status integer default null, error text default null)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into private.job_runs (job, status, error, finished_at)
  values (record_job_run.job, record_job_run.status, left(record_job_run.error, 200), clock_timestamp());
  perform private.trim_job_runs(record_job_run.job);
end;
$$;
comment on function private.record_job_run(text, integer, text) is
  'Record a run that has ended, for schedulers other than pg_cron: the HTTP status of a function''s answer, or an error. '
  'Neither: an SQL command succeeded.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.relation_access(text, text),
  private.find_job_answer(bigint, timestamptz),
  private.collect_job_answers(),
  private.trim_job_runs(text),
  private.record_job_run(text, integer, text)
from public, anon, authenticated, service_role;
