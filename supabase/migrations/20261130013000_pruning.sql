-- Deletes records that are no longer needed.

create function public.prune_records(max_rows integer default 2000)
returns table (source text, deleted integer)
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- Of each, what somebody is at is left for the next time.

  -- What failed or is unconfirmed is still a member's to decide.
  delete from public.outbox_messages as known
  where known.ctid = any (array(
    select old.ctid
    from public.outbox_messages as old
    where old.created_at < now() - interval '1 year'
      and old.updated_at < now() - interval '90 days'
      and old.state in ('sent', 'delivered', 'read', 'discarded')
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

  -- A merge that was not undone can be, however old.
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

  -- The last of its kind says how a connection is.
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

  -- The schedule goes on from the last one.
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

  -- Failed ones wait for a replay.
  delete from private.webhook_events as known
  where known.ctid = any (array(
    select old.ctid
    from private.webhook_events as old
    where old.received_at < now() - interval '30 days'
      and old.state in ('processed', 'ignored')
    limit prune_records.max_rows
    for update skip locked
  ));
  get diagnostics deleted = row_count;
  source := 'webhook_events';
  return next;

  -- The message of a change that waited a month will not come.
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

  -- Threads and people stay.
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
  'Delete what nobody needs any more, at most max_rows of each table: how many went of which. Called by the schedule; docs/operations.md says what goes when. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function public.prune_records(integer) from public, anon, authenticated, service_role;
grant execute on function public.prune_records(integer) to service_role;
