-- Deletes records that are no longer needed. docs/operations.md says what is deleted when.

create function private.pruning_lock()
returns bigint
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return pg_catalog.hashtextextended('pruning', 0);
end;
$$;
comment on function private.pruning_lock() is
  'Key of the advisory lock on pruning. Two sessions that delete rows of the same tables could wait for each other in a '
  'circle, so they take turns.';

create function public.prune_records(max_rows integer default 2000)
returns table (source text, deleted integer)
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- Another run is at it, and takes the oldest rows as this one would.
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('prune_records', 0)) then
    return;
  end if;
  -- Days of events are dropped in the same minute, and sessions by operators. They are worth waiting for: a run that gave
  -- way to them would give way every time.
  perform pg_catalog.pg_advisory_xact_lock(private.pruning_lock());
  -- Rows that another session has locked are left for the next run.

  -- Failed and unconfirmed messages stay for a member to decide.
  delete from public.outbox_messages as known
  where known.ctid = any (array(
    select old.ctid
    from public.outbox_messages as old
    where old.created_at < now() - interval '1 year'
      and old.updated_at < now() - interval '90 days'
      and old.state = any (array_remove(private.accepted_statuses(), 'failed') || array['discarded'])
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'outbox_messages';
  return next;

  -- A file at WhatsApp lives 30 days.
  delete from private.outbox_uploads as known
  where known.ctid = any (array(
    select old.ctid
    from private.outbox_uploads as old
    where old.created_at < now() - interval '30 days'
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'outbox_uploads';
  return next;

  -- Merges that were not undone stay, because they can still be undone.
  delete from public.person_merges as known
  where known.ctid = any (array(
    select old.ctid
    from public.person_merges as old
    where old.undone_at < now() - interval '90 days'
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'person_merges';
  return next;

  -- The last run of its kind shows the state of the connection.
  delete from public.sync_runs as known
  where known.ctid = any (array(
    select old.ctid
    from public.sync_runs as old
    where old.finished_at < now() - interval '90 days'
      and exists (
        select 1 from public.sync_runs as later
        where later.workspace_id = old.workspace_id and later.connection_id = old.connection_id
          and later.mode = old.mode and later.is_dry_run = old.is_dry_run
          and later.finished_at > old.finished_at
      )
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'sync_runs';
  return next;

  -- The schedule continues from the last run.
  delete from public.summary_runs as known
  where known.ctid = any (array(
    select old.ctid
    from public.summary_runs as old
    where old.local_date < current_date - 366
      and old.state = 'finished'
      and exists (
        select 1 from public.summary_runs as later
        where later.workspace_id = old.workspace_id and later.was_scheduled and later.local_date > old.local_date
      )
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'summary_runs';
  return next;

  -- The message of a change that has waited a month will not arrive.
  delete from private.waiting_updates as known
  where known.ctid = any (array(
    select old.ctid
    from private.waiting_updates as old
    where old.created_at < now() - interval '30 days'
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'waiting_updates';
  return next;

  -- Counters of limits, of days and minutes that are over.
  delete from private.limit_uses as known
  where known.ctid = any (array(
    select old.ctid
    from private.limit_uses as old
    where old.begins_at < now() - interval '2 days'
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'limit_uses';
  return next;

  -- Conversations and people stay.
  delete from public.agent_sessions as known
  where known.ctid = any (array(
    select old.ctid
    from public.agent_sessions as old
    where old.expires_at < now() - interval '30 days'
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'agent_sessions';
  return next;
end;
$$;
comment on function public.prune_records(integer) is
  'Delete records that are no longer needed, at most max_rows of each table. Returns the number of deleted rows of '
  'each; no row while another session prunes. Called by the schedule; docs/operations.md says what is deleted when. For service_role only.';

create function private.prune_cron_runs()
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- Read only where pg_cron is: elsewhere there is no such table.
  if to_regclass('cron.job_run_details') is not null then
    delete from cron.job_run_details as run where run.end_time < now() - interval '7 days';
  end if;
end;
$$;
comment on function private.prune_cron_runs() is
  'Delete what pg_cron recorded of runs more than a week ago: it keeps a row of every run, and some jobs run every '
  'minute. For the schedule.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.pruning_lock(),
  public.prune_records(integer),
  private.prune_cron_runs()
from public, anon, authenticated, service_role;
grant execute on function
  private.pruning_lock(),
  public.prune_records(integer)
to service_role;
