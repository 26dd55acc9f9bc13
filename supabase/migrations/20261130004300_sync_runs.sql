-- Runs that fetch history from Kapso or repair what its webhooks lost, in slices that may end anywhere.

create table public.sync_runs (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  connection_id uuid not null,
  phone_number_id text,
  mode text not null,
  state text not null default 'running',
  phase text not null,
  messages_per_conversation integer,
  since timestamptz,
  is_dry_run boolean not null default false,
  requested_by uuid references auth.users (id) on delete set null,
  cursor text,
  walk_started_at timestamptz not null default now(),
  walk_since timestamptz,
  walk_added integer not null default 0,
  conversations_total integer not null default 0,
  conversations_done integer not null default 0,
  conversations_failed integer not null default 0,
  messages_read integer not null default 0,
  messages_added integer not null default 0,
  people_created integer not null default 0,
  conversations_created integer not null default 0,
  statuses_checked integer not null default 0,
  sessions_checked integer not null default 0,
  failures integer not null default 0,
  error text,
  retry_at timestamptz,
  stop_requested_at timestamptz,
  lease uuid,
  lease_expires_at timestamptz,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint sync_runs_workspace_id_connection_id_fkey
    foreign key (workspace_id, connection_id) references public.connections (workspace_id, id) on delete cascade,
  constraint sync_runs_mode_check check (mode in ('history', 'repair')),
  constraint sync_runs_state_check check (state in ('running', 'stopped', 'failed', 'partial', 'done')),
  constraint sync_runs_phase_check check (phase in ('conversations', 'messages', 'recent', 'statuses', 'finished')),
  constraint sync_runs_messages_per_conversation_check check (messages_per_conversation between 1 and 1000000),
  constraint sync_runs_finished_at_check check ((finished_at is not null) = (state in ('partial', 'done'))),
  constraint sync_runs_lease_check check ((lease is null) = (lease_expires_at is null))
);
comment on table public.sync_runs is
  'Progress of kapso-sync for a connection: history (all conversations, newest messages first) or repair (messages '
  'that webhooks lost recently). A run consists of slices; every stored page saves where the next one begins.';
comment on column public.sync_runs.id is 'Primary key.';
comment on column public.sync_runs.workspace_id is 'The workspace.';
comment on column public.sync_runs.connection_id is 'The Kapso number.';
comment on column public.sync_runs.phone_number_id is
  'The number it reads. A connection that gets another number needs another run.';
comment on column public.sync_runs.mode is 'history or repair.';
comment on column public.sync_runs.state is
  'running: in progress, or waiting for its next slice. stopped: by a member; can be resumed. failed: see error; can '
  'be resumed. partial: finished, but some conversations could not be read or stored. done.';
comment on column public.sync_runs.phase is
  'conversations: lists them. messages: reads them, several conversations at the same time. recent: reads messages that '
  'arrived in the meantime (repair: since the last one). statuses: looks up messages that were sent and not '
  'delivered. finished.';
comment on column public.sync_runs.messages_per_conversation is
  'How many of its newest messages are read of each conversation. Null: all.';
comment on column public.sync_runs.since is 'Reads only messages that Kapso stored since then. Null: all.';
comment on column public.sync_runs.is_dry_run is 'True: messages are read and counted, and nothing is stored.';
comment on column public.sync_runs.requested_by is
  'The member who started it. Null: the schedule, or a program with the service key.';
comment on column public.sync_runs.cursor is 'Where the list of the present phase continues. Null: at its beginning.';
comment on column public.sync_runs.walk_started_at is
  'When the present pass through the list of conversations began. The list moves during a pass, so another pass '
  'follows for conversations that became active since.';
comment on column public.sync_runs.walk_since is
  'The present pass lists conversations that were active since then. Null: all of them.';
comment on column public.sync_runs.walk_added is 'New conversations that the present pass found.';
comment on column public.sync_runs.conversations_total is
  'Sessions at Kapso that were listed; several can belong to one conversation.';
comment on column public.sync_runs.conversations_done is 'Those whose messages are stored.';
comment on column public.sync_runs.conversations_failed is 'Those that could not be read or stored.';
comment on column public.sync_runs.messages_read is 'Messages read from Kapso.';
comment on column public.sync_runs.messages_added is 'New messages among them; in a dry run, those that would be new.';
comment on column public.sync_runs.people_created is 'People who were created.';
comment on column public.sync_runs.conversations_created is 'Conversations that were created.';
comment on column public.sync_runs.statuses_checked is 'Messages whose delivery was looked up.';
comment on column public.sync_runs.sessions_checked is 'Sessions of quiet conversations that were looked up.';
comment on column public.sync_runs.failures is
  'Consecutive slices that ended with a temporary failure, such as Kapso not answering.';
comment on column public.sync_runs.error is 'The last error. Null once the run continues.';
comment on column public.sync_runs.retry_at is 'Earliest time of the next slice after a temporary failure.';
comment on column public.sync_runs.stop_requested_at is 'When a member asked to stop it. It stops at the next page.';
comment on column public.sync_runs.lease is 'Lease of the slice in progress; only one slice can hold it.';
comment on column public.sync_runs.lease_expires_at is 'When the lease expires.';
comment on column public.sync_runs.started_at is 'When it began.';
comment on column public.sync_runs.updated_at is 'When the row last changed.';
comment on column public.sync_runs.finished_at is 'When the run ended.';

create unique index sync_runs_open_key on public.sync_runs (connection_id, mode, is_dry_run) where finished_at is null;
comment on index public.sync_runs_open_key is 'One run at a time for each connection and mode.';

create index sync_runs_workspace_id_started_at_idx on public.sync_runs (workspace_id, started_at desc);
comment on index public.sync_runs_workspace_id_started_at_idx is 'The list of runs.';

create index sync_runs_workspace_id_connection_id_idx on public.sync_runs (workspace_id, connection_id);

create index sync_runs_requested_by_idx on public.sync_runs (requested_by) where requested_by is not null;
comment on index public.sync_runs_requested_by_idx is 'Finds the runs of a user who is deleted.';

create trigger sync_runs_touch_updated_at
  before update on public.sync_runs
  for each row execute function private.touch_updated_at();

grant select on public.sync_runs to authenticated;
grant all on public.sync_runs to service_role;
alter table public.sync_runs enable row level security;

create policy "Members can read the runs of their workspaces" on public.sync_runs
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

create table private.sync_conversations (
  run_id uuid not null references public.sync_runs (id) on delete cascade,
  session_id text not null,
  position integer not null,
  conversation jsonb not null,
  state text not null default 'waiting',
  cursor text,
  messages_read integer not null default 0,
  messages_added integer not null default 0,
  error text,
  constraint sync_conversations_pkey primary key (run_id, session_id),
  constraint sync_conversations_conversation_check check (jsonb_typeof(conversation) = 'object'),
  constraint sync_conversations_state_check check (state in ('waiting', 'done', 'failed'))
);
comment on table private.sync_conversations is
  'Sessions at Kapso that a history run has listed, and the progress of each. Emptied when the run is done.';
comment on column private.sync_conversations.run_id is 'The run.';
comment on column private.sync_conversations.session_id is 'Kapso''s id of the conversation.';
comment on column private.sync_conversations.position is 'Order in which they are read.';
comment on column private.sync_conversations.conversation is
  'The row of Kapso''s list: a WireConversation, defined in supabase/functions/_shared/kapso/webhook/wire.ts.';
comment on column private.sync_conversations.state is 'waiting, done or failed.';
comment on column private.sync_conversations.cursor is 'Where the list of its messages continues.';
comment on column private.sync_conversations.messages_read is 'Messages read so far.';
comment on column private.sync_conversations.messages_added is 'Those that were new.';
comment on column private.sync_conversations.error is 'Why it failed.';

create unique index sync_conversations_run_id_position_key on private.sync_conversations (run_id, position);

create index sync_conversations_waiting_idx on private.sync_conversations (run_id, position) where state = 'waiting';
comment on index private.sync_conversations_waiting_idx is 'Finds the next conversation.';

grant all on private.sync_conversations to service_role;
alter table private.sync_conversations enable row level security;

create function private.forget_sync_progress()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.confirmed_until := null;
  new.statuses_checked_until := null;
  new.sessions_checked_until := null;
  new.sync_after := null;
  return new;
end;
$$;
comment on function private.forget_sync_progress() is
  'Trigger: a connection that gets another number starts without confirmed times.';

create trigger connections_forget_sync_progress
  before update of phone_number_id on public.connections
  for each row when (old.phone_number_id is distinct from new.phone_number_id)
  execute function private.forget_sync_progress();

-- Starting and ending ----------------------------------------------------------------------------

create function private.require_active_source(run public.sync_runs)
returns public.connections
language plpgsql
stable
set search_path = ''
as $$
declare
  source public.connections;
begin
  select known.* into source
  from public.connections as known
  where known.id = (require_active_source.run).connection_id
    and known.workspace_id = (require_active_source.run).workspace_id;
  if source.phone_number_id is distinct from (require_active_source.run).phone_number_id then
    raise exception 'sync_run_lost' using errcode = 'PT409';
  end if;
  if source.is_active is not true then
    raise exception 'connection_inactive' using errcode = 'PT403';
  end if;
  return source;
end;
$$;
comment on function private.require_active_source(public.sync_runs) is
  'The connection of a run. Refuses with connection_inactive where it is switched off, because nothing more is stored '
  'for it, and with sync_run_lost where it has another phone number.';

create function public.begin_sync_run(
  connection_id uuid,
  mode text,
  messages_per_conversation integer,
  since timestamptz,
  is_dry_run boolean,
  requested_by uuid,
  lease_seconds integer default 60,
  run_id uuid default null
)
returns table (run jsonb, is_mine boolean, is_resumed boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  source public.connections;
  open_run public.sync_runs;
  is_locked boolean;
begin
  -- The row of the connection serves as the lock: two starts for one connection run one after the other.
  select known.* into source
  from public.connections as known
  where known.id = begin_sync_run.connection_id
  for no key update;
  if source.id is null then
    raise exception 'connection_not_found' using errcode = 'PT404';
  end if;
  select known.* into open_run
  from public.sync_runs as known
  where known.connection_id = source.id
    and known.workspace_id = source.workspace_id
    and known.mode = begin_sync_run.mode
    and known.is_dry_run = begin_sync_run.is_dry_run
    and known.finished_at is null;
  if open_run.id is not null then
    select true into is_locked
    from public.sync_runs as known
    where known.id = open_run.id
    for no key update skip locked;
    -- Another slice is storing a page of it at this moment.
    if is_locked is null then
      return query select to_jsonb(open_run), false, true;
      return;
    end if;
    select known.* into open_run from public.sync_runs as known where known.id = open_run.id;
    if open_run.finished_at is not null then
      open_run := null;
    end if;
  end if;

  if open_run.lease_expires_at > now() or (open_run.id = begin_sync_run.run_id and open_run.state = 'stopped') then
    return query select to_jsonb(open_run), false, true;
    return;
  end if;
  if open_run.id is not null and open_run.phone_number_id is not distinct from source.phone_number_id and (
    begin_sync_run.mode = 'repair'
    or (
      open_run.messages_per_conversation is not distinct from begin_sync_run.messages_per_conversation
      and open_run.since is not distinct from begin_sync_run.since
      -- The result of an older dry run is outdated.
      and (not open_run.is_dry_run or open_run.updated_at > now() - interval '10 minutes')
    )
  ) then
    return query
    update public.sync_runs as known
    set state = 'running', error = null, retry_at = null, stop_requested_at = null,
      cursor = case when known.state <> 'failed' then known.cursor end,
      lease = gen_random_uuid(),
      lease_expires_at = now() + make_interval(secs => begin_sync_run.lease_seconds)
    where known.id = open_run.id
    returning to_jsonb(known), true, true;
    return;
  end if;
  -- The request has other options than the unfinished run, which therefore ends here.
  update public.sync_runs as known
  set state = 'partial', finished_at = now(), lease = null, lease_expires_at = null,
    error = coalesce(known.error, 'replaced by a run with other options')
  where known.id = open_run.id;
  return query
  insert into public.sync_runs as known
    (workspace_id, connection_id, phone_number_id, mode, phase, messages_per_conversation, since, is_dry_run,
      requested_by, lease, lease_expires_at, walk_since)
  values (
    source.workspace_id,
    source.id,
    source.phone_number_id,
    begin_sync_run.mode,
    case when begin_sync_run.mode = 'history' then 'conversations' else 'recent' end,
    begin_sync_run.messages_per_conversation,
    case
      when begin_sync_run.mode = 'history' then begin_sync_run.since
      -- Ten minutes of overlap: a message that Kapso stored just before may become visible just after. Without a
      -- confirmed time: since the connection was created, a week at most. Older messages are for a history run.
      else coalesce(source.confirmed_until, greatest(source.created_at, now() - interval '7 days'))
        - interval '10 minutes'
    end,
    begin_sync_run.is_dry_run,
    begin_sync_run.requested_by,
    gen_random_uuid(),
    now() + make_interval(secs => begin_sync_run.lease_seconds),
    begin_sync_run.since
  )
  returning to_jsonb(known), true, false;
end;
$$;
comment on function public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer, uuid) is
  'Resume the open run of a connection, or start one, and take its lease. run is a row of sync_runs; is_mine is false '
  'where another slice holds the lease, or where the run is run_id and was stopped. For service_role only.';

create function private.hold_sync_run(run_id uuid, lease uuid, lease_seconds integer)
returns public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
declare
  held public.sync_runs;
begin
  update public.sync_runs as known
  set lease_expires_at = now() + make_interval(secs => hold_sync_run.lease_seconds)
  where known.id = hold_sync_run.run_id and known.lease = hold_sync_run.lease
  returning known.* into held;
  if held.id is null then
    raise exception 'sync_run_lost' using errcode = 'PT409';
  end if;
  return held;
end;
$$;
comment on function private.hold_sync_run(uuid, uuid, integer) is
  'Lock a run and renew its lease. Refuses with sync_run_lost where another slice has taken it over: nothing of the '
  'caller''s page is stored then.';

create function public.advance_sync_run(run_id uuid, lease uuid, phase text, lease_seconds integer default 60)
returns setof public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs := private.hold_sync_run(run_id, lease, lease_seconds);
begin
  return query
  update public.sync_runs as known
  set phase = advance_sync_run.phase, cursor = null
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.advance_sync_run(uuid, uuid, text, integer) is
  'Begin the next phase of a run. For service_role only.';

-- A slice that ends with a temporary failure keeps a member's request to stop the run. Repairs older than
-- a month are deleted.
create function public.release_sync_run(
  run_id uuid,
  lease uuid,
  state text,
  error text default null,
  retry_seconds integer default null
)
returns setof public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs := private.hold_sync_run(run_id, lease, 60);
  is_over boolean := release_sync_run.state in ('done', 'partial');
  is_stopped boolean := release_sync_run.state = 'running' and held.stop_requested_at is not null;
begin
  if is_over and not held.is_dry_run then
    -- The pass began after started_at, so it has seen all earlier messages. A history run reads recent messages as
    -- well, but not those between an earlier confirmation and its own start.
    update public.connections as connection
    set confirmed_until = held.started_at
    where connection.id = held.connection_id
      and connection.workspace_id = held.workspace_id
      and (
        connection.confirmed_until is null
        or (held.mode = 'repair' and connection.confirmed_until < held.started_at)
      );
    -- A repair runs every few minutes: those that found nothing are not kept, the others for a month.
    delete from public.sync_runs as earlier
    where held.mode = 'repair'
      and earlier.connection_id = held.connection_id
      and earlier.workspace_id = held.workspace_id
      and earlier.mode = 'repair'
      and (
        (earlier.state = 'done' and earlier.messages_added = 0 and earlier.finished_at < now())
        or earlier.finished_at < now() - interval '30 days'
      );
  end if;
  if is_over then
    delete from private.sync_conversations as known
    where known.run_id = held.id and known.state <> 'failed';
  end if;
  return query
  update public.sync_runs as known
  set state = case when is_stopped then 'stopped' else release_sync_run.state end,
    phase = case when is_over then 'finished' else known.phase end,
    error = left(release_sync_run.error, 500),
    failures = known.failures + (release_sync_run.retry_seconds is not null)::integer,
    retry_at = case when not is_stopped then now() + make_interval(secs => release_sync_run.retry_seconds) end,
    lease = null,
    lease_expires_at = null,
    finished_at = case when is_over then now() end
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.release_sync_run(uuid, uuid, text, text, integer) is
  'End a slice: running (another slice continues, after retry_seconds where it failed temporarily), stopped, failed, '
  'or partial or done at the end. For service_role only.';

create function private.stop_sync_run(run_id uuid)
returns setof public.sync_runs
language plpgsql
volatile
-- Definer because clients may not write to sync_runs; the role is checked first.
security definer
set search_path = ''
as $$
begin
  return query
  update public.sync_runs as known
  set stop_requested_at = coalesce(known.stop_requested_at, now()),
    -- No slice is in progress: it stops at once.
    state = case when known.lease_expires_at > now() then known.state else 'stopped' end,
    lease = case when known.lease_expires_at > now() then known.lease end,
    lease_expires_at = case when known.lease_expires_at > now() then known.lease_expires_at end
  where known.id = stop_sync_run.run_id
    and known.finished_at is null
    and (
      -- The caller's role, which a definer function does not change.
      current_setting('role', true) = 'service_role'
      or known.workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent']))
    )
  returning known.*;
end;
$$;
comment on function private.stop_sync_run(uuid) is 'Does the work of public.stop_sync_run.';

create function public.stop_sync_run(run_id uuid)
returns setof public.sync_runs
language sql
volatile
set search_path = ''
as $$
  select stopped.* from private.stop_sync_run(stop_sync_run.run_id) as stopped;
$$;
comment on function public.stop_sync_run(uuid) is
  'Ask a run to stop; it stops at its next page. No row: there is no such open run in a workspace where the caller '
  'may stop it. For owners, admins and agents, and the service key.';

-- Schedule ---------------------------------------------------------------------------------------

create function public.connections_to_sync(workspace text default null, connection text default null)
returns table (
  id uuid, connection_id text, name text, workspace_id uuid, workspace_slug text, phone_number_id text,
  is_active boolean, requested_by uuid
)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  allowed uuid[];
begin
  if current_user <> 'service_role' then
    allowed := array(select private.workspaces_with_role(array['owner', 'admin', 'agent']));
  end if;
  return query
  select source.id, source.connection_id, source.name, source.workspace_id, tenant.slug, source.phone_number_id,
    source.is_active, (select auth.uid())
  from public.connections as source
  join public.workspaces as tenant on tenant.id = source.workspace_id
  where source.platform = 'whatsapp'
    and source.phone_number_id is not null
    and (
      connections_to_sync.workspace is null
      or tenant.slug = connections_to_sync.workspace
      or tenant.id::text = connections_to_sync.workspace
    )
    and (
      connections_to_sync.connection is null
      or source.connection_id = connections_to_sync.connection
      or source.id::text = connections_to_sync.connection
      or source.phone_number_id = connections_to_sync.connection
    )
    and (connections_to_sync.workspace is not null or connections_to_sync.connection is not null)
    and (allowed is null or source.workspace_id = any (allowed))
  order by source.created_at, source.id;
end;
$$;
comment on function public.connections_to_sync(text, text) is
  'The Kapso numbers of a workspace (its slug or id), or one (connection_id, id or phone_number_id), as far as the '
  'caller may sync them: owners, admins and agents those of their workspaces, the service key all. requested_by is '
  'the caller.';

create function public.due_sync_runs(max_runs integer default 10, only_connection uuid default null)
returns table (
  connection_id uuid,
  workspace_id uuid,
  phone_number_id text,
  mode text,
  messages_per_conversation integer,
  since timestamptz
)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- Runs that were asked to stop, and ended before their next page.
  update public.sync_runs as known
  set state = 'stopped', lease = null, lease_expires_at = null
  where known.id in (
    select asked.id
    from public.sync_runs as asked
    where asked.finished_at is null
      and asked.state = 'running'
      and asked.stop_requested_at is not null
      and coalesce(asked.lease_expires_at, '-infinity') <= now()
    for no key update skip locked
  );
  -- Runs of a number that the connection no longer has.
  update public.sync_runs as known
  set state = 'partial', finished_at = now(), lease = null, lease_expires_at = null,
    error = 'the connection has another number now'
  where known.id in (
    select other.id
    from public.sync_runs as other
    join public.connections as source
      on source.id = other.connection_id and source.workspace_id = other.workspace_id
    where other.finished_at is null
      and other.phone_number_id is distinct from source.phone_number_id
      and coalesce(other.lease_expires_at, '-infinity') <= now()
    for no key update of other skip locked
  );
  return query
  select due.connection_id, due.workspace_id, due.phone_number_id, due.mode, due.messages_per_conversation, due.since
  from (
    select open_run.connection_id, open_run.workspace_id, source.phone_number_id, open_run.mode,
      open_run.messages_per_conversation, open_run.since, open_run.updated_at as waiting_since
    from public.sync_runs as open_run
    join public.connections as source
      on source.id = open_run.connection_id and source.workspace_id = open_run.workspace_id
    where open_run.finished_at is null
      and open_run.state = 'running'
      and open_run.stop_requested_at is null
      and not open_run.is_dry_run
      and coalesce(open_run.lease_expires_at, '-infinity') <= now()
      and coalesce(open_run.retry_at, '-infinity') <= now()
      and source.is_active
      and coalesce(source.sync_after, '-infinity') <= now()
      and (due_sync_runs.only_connection is null or source.id = due_sync_runs.only_connection)
    union all
    select source.id, source.workspace_id, source.phone_number_id, 'repair', null, null, source.confirmed_until
    from public.connections as source
    where source.platform = 'whatsapp'
      and source.phone_number_id is not null
      and source.is_active
      and coalesce(source.sync_after, '-infinity') <= now()
      and (due_sync_runs.only_connection is null or source.id = due_sync_runs.only_connection)
      and coalesce(source.confirmed_until, '-infinity') < now() - interval '4 minutes'
      and not exists (
        select 1 from public.sync_runs as known
        where known.connection_id = source.id
          and known.workspace_id = source.workspace_id
          and known.mode = 'repair'
          and not known.is_dry_run
          and known.finished_at is null
          -- A permanent failure, such as a wrong key, is retried once an hour.
          and (known.state <> 'failed' or known.updated_at > now() - interval '1 hour')
      )
  ) as due
  order by due.waiting_since nulls first
  limit due_sync_runs.max_runs;
end;
$$;
comment on function public.due_sync_runs(integer, uuid) is
  'Work that is due: runs that wait for their next slice, and connections whose repair is due. For service_role only.';

create function public.begin_due_sync_run(connection_id uuid, mode text, lease_seconds integer default 60)
returns table (run jsonb, is_mine boolean, is_resumed boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- As begin_sync_run: two starts for one connection run one after the other, and the second sees the first.
  perform from public.connections as known
  where known.id = begin_due_sync_run.connection_id
  for no key update;
  return query
  select begun.run, begun.is_mine, begun.is_resumed
  from public.due_sync_runs(2, begin_due_sync_run.connection_id) as due
  cross join lateral public.begin_sync_run(
    due.connection_id, due.mode, due.messages_per_conversation, due.since, false, null, begin_due_sync_run.lease_seconds
  ) as begun
  where due.mode = begin_due_sync_run.mode;
end;
$$;
comment on function public.begin_due_sync_run(uuid, text, integer) is
  'begin_sync_run for the schedule, whose list may be some minutes old: no row where the run is no longer due, '
  'because it was finished or stopped in the meantime. For service_role only.';

create function public.postpone_sync(connection_id uuid, seconds integer)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update public.connections as source
  set sync_after = now() + make_interval(secs => postpone_sync.seconds)
  where source.id = postpone_sync.connection_id;
end;
$$;
comment on function public.postpone_sync(uuid, integer) is
  'Make the schedule skip a connection for some seconds, because its work cannot be done, so that the others get '
  'their turn. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.forget_sync_progress(),
  private.require_active_source(public.sync_runs),
  public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer, uuid),
  private.hold_sync_run(uuid, uuid, integer),
  public.advance_sync_run(uuid, uuid, text, integer),
  public.release_sync_run(uuid, uuid, text, text, integer),
  private.stop_sync_run(uuid),
  public.stop_sync_run(uuid),
  public.connections_to_sync(text, text),
  public.due_sync_runs(integer, uuid),
  public.begin_due_sync_run(uuid, text, integer),
  public.postpone_sync(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.require_active_source(public.sync_runs),
  public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer, uuid),
  private.hold_sync_run(uuid, uuid, integer),
  public.advance_sync_run(uuid, uuid, text, integer),
  public.release_sync_run(uuid, uuid, text, text, integer),
  public.due_sync_runs(integer, uuid),
  public.begin_due_sync_run(uuid, text, integer),
  public.postpone_sync(uuid, integer)
to service_role;
grant execute on function
  private.stop_sync_run(uuid),
  public.stop_sync_run(uuid),
  public.connections_to_sync(text, text)
to authenticated, service_role;
