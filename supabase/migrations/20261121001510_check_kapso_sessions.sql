-- Purpose: let repair find out what became of Kapso's sessions whose events were lost, let a session that
--   was opened again end again, and let no run be begun, gone on with or kept waiting by mistake.
-- Objects: columns of conversation_sessions, connections and sync_runs; due_session_checks,
--   store_session_checks, begin_due_sync_run, postpone_sync; new versions of private.apply_session,
--   set_conversation_status, due_status_checks, set_kapso_api_key and the functions of a run.
-- Risk: adds nullable columns, and one with a constant default (no rewrite); writes every ended session once.
--   due_sync_runs is replaced.

-- Sessions that are opened again ------------------------------------------------------------------

alter table public.conversation_sessions
  add column active_at timestamptz,
  add column last_ended_at timestamptz;
comment on column public.conversation_sessions.active_at is
  'When Kapso last said that it goes on, or a member opened it again. An end before that is over.';
comment on column public.conversation_sessions.last_ended_at is
  'When Kapso last said that it had ended: what holds where the word that it went on before comes later.';
comment on column public.conversation_sessions.ended_at is 'When it ended. Null: it goes on, or goes on again.';

create index conversation_sessions_newest_idx
  on public.conversation_sessions (conversation_id, started_at desc, session_id desc);
comment on index public.conversation_sessions_newest_idx is
  'The newest session of a thread, which is looked for with every event, however many there are.';
update public.conversation_sessions set last_ended_at = ended_at where ended_at is not null;

-- Replaced: an end was final, so the second end of a session that was opened again did nothing; and any
-- report that moved its start, such as the first one to know it, counted as a new session.
create or replace function private.apply_session(conversation_id uuid, session jsonb, inactive_since timestamptz)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  newest_before public.conversation_sessions;
  newest public.conversation_sessions;
  reported_at timestamptz := (session ->> 'at')::timestamptz;
begin
  select known.* into newest_before
  from public.conversation_sessions as known
  where known.conversation_id = apply_session.conversation_id
  order by known.started_at desc, known.session_id desc
  limit 1;

  insert into public.conversation_sessions as known
    (conversation_id, session_id, workspace_id, started_at, ended_at, last_ended_at, active_at, inactive_since)
  select conversation.id, session ->> 'id', conversation.workspace_id,
    coalesce((session ->> 'started_at')::timestamptz, reported_at),
    case when session ->> 'status' = 'ended' then reported_at end,
    case when session ->> 'status' = 'ended' then reported_at end,
    case when session ->> 'status' = 'active' then reported_at end,
    apply_session.inactive_since
  from public.conversations as conversation
  where conversation.id = apply_session.conversation_id
  on conflict on constraint conversation_sessions_pkey do update
  -- The same in whatever order the reports come: the earliest start, the latest word that it goes on, the
  -- earliest end since then, the latest silence.
  set started_at = least(known.started_at, excluded.started_at),
    active_at = greatest(known.active_at, excluded.active_at),
    last_ended_at = greatest(known.last_ended_at, excluded.ended_at),
    ended_at = case
      when known.ended_at < excluded.active_at
        then case when known.last_ended_at >= excluded.active_at then known.last_ended_at end
      when excluded.ended_at < known.active_at then known.ended_at
      else least(known.ended_at, excluded.ended_at)
    end,
    inactive_since = greatest(known.inactive_since, excluded.inactive_since)
  where known.started_at > excluded.started_at
    or excluded.active_at > coalesce(known.active_at, '-infinity')
    or excluded.ended_at > coalesce(known.last_ended_at, '-infinity')
    or excluded.ended_at < known.ended_at
    or excluded.inactive_since > coalesce(known.inactive_since, '-infinity');

  -- The newest session decides: the late end of an older one does not close what came after it.
  select known.* into newest
  from public.conversation_sessions as known
  where known.conversation_id = apply_session.conversation_id
  order by known.started_at desc, known.session_id desc
  limit 1;
  -- A report after which it is the same one, as open or ended as before, leaves the thread as it is: a
  -- member may have closed or opened it since.
  if newest.session_id = newest_before.session_id and newest.ended_at is not distinct from newest_before.ended_at then
    return;
  end if;
  update public.conversations as conversation
  set status = decided.status,
    closed_at = case when decided.status = 'closed' then newest.ended_at end,
    updated_at = now()
  from (
    select case
      -- It goes on again, but a member closed the thread after that.
      when newest.ended_at is null and newest.session_id = newest_before.session_id and known.closed_at >= newest.active_at
        then known.status
      when newest.ended_at is null then 'open'
      -- The customer wrote after the end, and the end is only heard of now.
      when known.last_inbound_at > newest.ended_at then 'open'
      else 'closed'
    end as status
    from public.conversations as known
    where known.id = apply_session.conversation_id
  ) as decided
  where conversation.id = apply_session.conversation_id
    and (
      conversation.status <> decided.status
      -- Closed with the session before: what the customer wrote in between does not open it again.
      or (newest.ended_at is not null and decided.status = 'closed' and conversation.closed_at < newest.ended_at)
      -- Closed with this one, which ended earlier than was known.
      or (
        newest.session_id = newest_before.session_id and decided.status = 'closed'
        and conversation.closed_at = newest_before.ended_at
      )
    );
end;
$$;

-- Replaced: Kapso is asked to let the session go on, and says nothing when it does. So it counts as going
-- on from now; an end of before, heard of late, does not close what a member has opened.
create or replace function private.set_conversation_status(conversation_id uuid, status text)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations := private.lock_conversation(set_conversation_status.conversation_id);
begin
  update public.conversations as known
  set status = set_conversation_status.status,
    -- WhatsApp's times are whole seconds. Whatever the customer wrote in this one was not seen by whoever
    -- closed it, and opens it again.
    closed_at = case when set_conversation_status.status = 'closed'
      then date_trunc('second', now()) - interval '1 millisecond' end,
    updated_at = now()
  where known.id = conversation.id and known.status <> set_conversation_status.status;
  if found and set_conversation_status.status = 'open' then
    update public.conversation_sessions as session
    set active_at = greatest(session.active_at, now()), ended_at = null
    where session.conversation_id = conversation.id
      and session.workspace_id = conversation.workspace_id
      and session.session_id = (
        select newest.session_id
        from public.conversation_sessions as newest
        where newest.conversation_id = conversation.id
        order by newest.started_at desc, newest.session_id desc
        limit 1
      );
  end if;
  return private.kapso_side(conversation);
end;
$$;

-- What is looked up at Kapso ----------------------------------------------------------------------

alter table public.connections
  add column sessions_checked_until timestamptz,
  add column sync_after timestamptz;
comment on column public.connections.sessions_checked_until is 'Up to when sessions of quiet threads were looked up at Kapso: see due_session_checks().';
comment on column public.connections.sync_after is 'The schedule does not turn to it before: there was no key to be had. Null: whenever something is due.';
alter table public.sync_runs add column sessions_checked integer not null default 0;
comment on column public.sync_runs.sessions_checked is 'Sessions of quiet threads that were looked up.';

create function private.spread(key text)
returns interval
language plpgsql
immutable
set search_path = ''
as $$
begin
  return make_interval(secs => abs(pg_catalog.hashtextextended(spread.key, 0) % 60000000) / 1000000.0::double precision);
end;
$$;
comment on function private.spread(text) is
  'Up to a minute, told by the key alone. WhatsApp''s times are whole seconds: what falls due in one moment, such as a broadcast, does so one by one, so that a moment is enough to say how far the checks are.';

-- Replaced: of more than a batch of messages of one second, all but the first batch were never looked up.
create or replace function public.due_status_checks(connection_id uuid, max_messages integer default 30)
returns table (message_id text, due_at timestamptz)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select due.message_id, max(due.due_at)
  from (
    select sent.message_id, sent.sent_at + age.after + private.spread(sent.message_id) as due_at,
      sent.statuses_checked_until
    from (
      select message.value ->> 'id' as message_id, (message.value ->> 'sent_at')::timestamptz as sent_at,
        source.statuses_checked_until
      from public.connections as source
      join public.conversations as conversation
        on conversation.workspace_id = source.workspace_id
        and conversation.connection_id = source.id
        and conversation.activity_at > now() - interval '4 days'
      cross join lateral jsonb_array_elements(conversation.messages) as message (value)
      where source.id = due_status_checks.connection_id
        and message.value ->> 'direction' = 'outbound'
        and message.value ->> 'status' in ('pending', 'sent')
        and message.value ->> 'id' like 'wamid.%'
    ) as sent
    cross join unnest(array[
      interval '10 minutes', interval '1 hour', interval '6 hours', interval '1 day', interval '3 days'
    ]) as age (after)
  ) as due
  where due.due_at <= now()
    and due.due_at > coalesce(due.statuses_checked_until, now() - interval '1 day')
  group by due.message_id
  order by max(due.due_at), due.message_id
  limit due_status_checks.max_messages;
end;
$$;

create function public.due_session_checks(connection_id uuid, max_sessions integer default 30)
returns table (conversation_id uuid, session_id text, due_at timestamptz)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select due.conversation_id, newest.session_id, due.due_at
  from (
    select conversation.id as conversation_id, conversation.status,
      max(conversation.activity_at + age.after + private.spread(conversation.id::text)) as due_at
    from public.connections as source
    cross join (
      values
        ('open', interval '1 hour'), ('open', interval '6 hours'),
        -- Kapso ends what was quiet for a day.
        ('open', interval '25 hours'), ('open', interval '3 days'), ('open', interval '7 days'),
        ('closed', interval '6 hours'), ('closed', interval '25 hours')
    ) as age (status, after)
    cross join lateral (
      select coalesce(
        source.sessions_checked_until,
        -- The first time: whatever is open, however old.
        case age.status when 'open' then '-infinity' else now() - interval '1 day' end
      ) as until
    ) as checked
    join public.conversations as conversation
      on conversation.workspace_id = source.workspace_id
      and conversation.connection_id = source.id
      and conversation.status = age.status
      and conversation.activity_at > checked.until - age.after - interval '1 minute'
      and conversation.activity_at <= now() - age.after
    where source.id = due_session_checks.connection_id
      and conversation.activity_at + age.after + private.spread(conversation.id::text) <= now()
      and conversation.activity_at + age.after + private.spread(conversation.id::text) > checked.until
    group by conversation.id, conversation.status
  ) as due
  cross join lateral (
    select session.session_id, session.ended_at
    from public.conversation_sessions as session
    where session.conversation_id = due.conversation_id
    order by session.started_at desc, session.session_id desc
    limit 1
  ) as newest
  where due.status = 'closed' or newest.ended_at is null
  order by due.due_at, due.conversation_id
  limit due_session_checks.max_sessions;
end;
$$;
comment on function public.due_session_checks(uuid, integer) is
  'The newest sessions of threads in which nobody has written for 1 hour, 6 hours, 25 hours, 3 days or 7 days (closed ones: 6 and 25 hours) since the last check: Kapso may have ended or opened them, and its event, if there is one, may be lost. For service_role only.';

create function public.store_session_checks(
  run_id uuid,
  lease uuid,
  reports jsonb,
  sessions_checked integer,
  checked_until timestamptz,
  lease_seconds integer default 60
)
returns setof public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs := private.hold_sync_run(run_id, lease, lease_seconds);
  thread uuid;
begin
  for thread in
    select conversation.id
    from public.conversations as conversation
    where conversation.workspace_id = held.workspace_id
      and conversation.connection_id = held.connection_id
      and conversation.id in (
        select (report.value ->> 'conversation_id')::uuid
        from jsonb_array_elements(store_session_checks.reports) as report (value)
      )
    order by conversation.id
    for no key update
  loop
    perform private.apply_session(thread, report.value -> 'session', null)
    from jsonb_array_elements(store_session_checks.reports) as report (value)
    where (report.value ->> 'conversation_id')::uuid = thread;
  end loop;
  update public.connections as connection
  set sessions_checked_until = store_session_checks.checked_until
  where connection.id = held.connection_id
    and connection.workspace_id = held.workspace_id
    and coalesce(connection.sessions_checked_until, '-infinity') < store_session_checks.checked_until;
  return query
  update public.sync_runs as known
  set sessions_checked = known.sessions_checked + store_session_checks.sessions_checked
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.store_session_checks(uuid, uuid, jsonb, integer, timestamptz, integer) is
  'Apply what Kapso says of sessions (an array of {conversation_id, session}; session is a KapsoSession), and note that all checks due until then are done. For service_role only.';

-- Runs --------------------------------------------------------------------------------------------

alter table public.sync_runs add column phone_number_id text;
comment on column public.sync_runs.phone_number_id is 'The number it reads. A connection that gets another one needs another run.';
update public.sync_runs as run
set phone_number_id = source.phone_number_id
from public.connections as source
where source.id = run.connection_id and source.workspace_id = run.workspace_id;

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
comment on function private.forget_sync_progress() is 'Of another number nothing is confirmed yet.';
create trigger connections_forget_sync_progress
  before update of phone_number_id on public.connections
  for each row when (old.phone_number_id is distinct from new.phone_number_id)
  execute function private.forget_sync_progress();

-- Replaced: nobody waits for a run while holding its connection, which whoever ends the run wants next; and
-- a run that failed walks its list from the beginning, because its place may be what Kapso refuses. Whoever
-- goes on with a run after a pause says so, and does not undo that somebody stopped it meanwhile.
drop function public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer);
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
  -- The connection's row serves as the lock: two beginnings of one connection take turns.
  select known.* into source
  from public.connections as known
  where known.id = begin_sync_run.connection_id
  for no key update;
  if source.id is null then
    raise exception 'Unknown connection' using errcode = 'P0002';
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
    -- Somebody is storing a page of it at this moment.
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
      -- A dry run of a while ago says nothing of now.
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
  -- Asked for something else than what lies there half done: that ends here.
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
      -- Ten minutes of overlap: what Kapso stored a moment before may become visible a moment after.
      -- Nothing confirmed yet: what was sent since the connection is here, a week at most. What is older
      -- is for a history run.
      else coalesce(source.confirmed_until, greatest(source.created_at, now() - interval '7 days')) - interval '10 minutes'
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
  'Take up the open run of a connection, or begin one, and hold its lease. run is a row of sync_runs; is_mine is false where another slice holds it, or where it is run_id and was stopped. For service_role only.';

drop function public.due_sync_runs(integer);
create function public.due_sync_runs(max_runs integer default 10, only_connection uuid default null)
returns table (connection_id uuid, workspace_id uuid, phone_number_id text, mode text, messages_per_conversation integer, since timestamptz)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- Asked to stop, and cut off before its next page.
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
  -- Of a number that the connection does not have any more.
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
          -- One that failed for good, such as with a wrong key, is tried again once an hour.
          and (known.state <> 'failed' or known.updated_at > now() - interval '1 hour')
      )
  ) as due
  order by due.waiting_since nulls first
  limit due_sync_runs.max_runs;
end;
$$;
comment on function public.due_sync_runs(integer, uuid) is
  'What the schedule has to do: runs that wait for their next slice, and connections whose repair is due. For service_role only.';

create function public.begin_due_sync_run(connection_id uuid, mode text, lease_seconds integer default 60)
returns table (run jsonb, is_mine boolean, is_resumed boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- As begin_sync_run: two beginnings of one connection take turns, and the second sees what the first did.
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
  'begin_sync_run for the schedule, whose list may be some minutes old: no row where the run is not due any more, because somebody else has finished or stopped it meanwhile. For service_role only.';

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
  'Keep the schedule from a connection that nothing can be done for, so that the others get their turn. For service_role only.';

-- Replaced: what failed or waited for want of a key goes on with the new one.
create or replace function public.set_kapso_api_key(connection_id uuid, api_key text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update private.connection_secrets as kept
  set kapso_api_key = decode(set_kapso_api_key.api_key, 'base64'), updated_at = now()
  where kept.connection_id = set_kapso_api_key.connection_id;
  if not found then
    raise exception 'Unknown connection' using errcode = 'P0002';
  end if;
  if set_kapso_api_key.api_key is not null then
    update public.sync_runs as failed
    set state = 'running', error = null, retry_at = null, cursor = null
    where failed.connection_id = set_kapso_api_key.connection_id
      and failed.finished_at is null
      and failed.state = 'failed';
    update public.connections as source
    set sync_after = null
    where source.id = set_kapso_api_key.connection_id and source.sync_after is not null;
  end if;
end;
$$;

-- Replaced: nothing is stored for a connection that was switched off meanwhile.
create or replace function public.add_sync_conversations(
  run_id uuid,
  lease uuid,
  conversations jsonb,
  cursor text,
  is_last boolean,
  lease_seconds integer default 60
)
returns setof public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs := private.hold_sync_run(run_id, lease, lease_seconds);
  added integer;
begin
  perform private.require_active_source(held);
  insert into private.sync_conversations (run_id, session_id, position, conversation)
  select held.id, listed.session_id,
    held.conversations_total + row_number() over (order by listed.ordinal), listed.value
  from (
    select distinct on (item.value ->> 'id') item.value ->> 'id' as session_id, item.value, item.ordinal
    from jsonb_array_elements(add_sync_conversations.conversations) with ordinality as item (value, ordinal)
    where item.value ->> 'id' is not null
    order by item.value ->> 'id', item.ordinal
  ) as listed
  where not exists (
    select 1 from private.sync_conversations as known
    where known.run_id = held.id and known.session_id = listed.session_id
  );
  get diagnostics added = row_count;
  -- What became active again since it was listed has a newer row; one that is done has its messages read
  -- in the phase `recent`.
  update private.sync_conversations as known
  set conversation = item.value
  from jsonb_array_elements(add_sync_conversations.conversations) as item (value)
  where known.run_id = held.id and known.session_id = item.value ->> 'id' and known.state = 'waiting';

  return query
  update public.sync_runs as known
  set conversations_total = known.conversations_total + added,
    cursor = case when is_last then null else add_sync_conversations.cursor end,
    walk_added = case when is_last then 0 else known.walk_added + added end,
    -- The list moves while it is walked: what becomes active jumps to its front. So what became active
    -- since is walked again, until a walk finds nothing new.
    walk_since = case when is_last then known.walk_started_at - interval '10 minutes' else known.walk_since end,
    walk_started_at = case when is_last then now() else known.walk_started_at end,
    phase = case when is_last and known.walk_added + added = 0 then 'messages' else known.phase end,
    failures = 0
  where known.id = held.id
  returning known.*;
end;
$$;

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
    raise exception 'The run is that of another number' using errcode = '55006';
  end if;
  if source.is_active is not true then
    raise exception 'The connection is inactive' using errcode = '55000';
  end if;
  return source;
end;
$$;
comment on function private.require_active_source(public.sync_runs) is
  'The connection of a run. Fails with 55000 where it is switched off: nothing more is stored for it, as for its webhooks; and with 55006, as if the lease were lost, where it has another number.';

-- Replaced: as above; and what could not be stored of the phase recent counts as failed, where it was
-- dropped without a word.
create or replace function public.store_sync_page(
  run_id uuid,
  lease uuid,
  elements jsonb,
  messages_read integer,
  session_id text,
  cursor text,
  is_last boolean,
  lease_seconds integer default 60
)
returns table (run jsonb, messages_added integer, errors text[])
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs;
  source public.connections;
  element jsonb;
  stored private.kapso_outcome;
  added integer := 0;
  problems text[] := '{}';
  new_people uuid[] := '{}';
  new_conversations integer := 0;
  session_state text;
begin
  perform private.lock_contacts(store_sync_page.elements);
  held := private.hold_sync_run(run_id, lease, lease_seconds);
  source := private.require_active_source(held);

  if held.is_dry_run then
    added := private.count_new_messages(source, store_sync_page.elements);
  else
    for element in
      select item.value from jsonb_array_elements(store_sync_page.elements) as item (value)
      order by item.value ->> 'kind', item.value #>> '{conversation,external_conversation_id}' collate "C"
    loop
      begin
        case element ->> 'kind'
          when 'conversation' then
            stored := private.store_kapso_conversation(source, element -> 'conversation');
            if stored.outcome = 'error' then
              problems := problems || stored.error;
              continue;
            end if;
            added := added + stored.messages_added;
            new_conversations := new_conversations + (stored.outcome = 'created')::integer;
            if stored.person_id <> all (new_people) and exists (
              select 1 from public.people as person
              where person.id = stored.person_id
                and person.workspace_id = source.workspace_id
                -- Made by this very transaction.
                and person.created_at = now()
            ) then
              new_people := new_people || stored.person_id;
            end if;
          when 'identity_change' then
            perform private.change_identity(source, element);
          else null;
        end case;
      exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
        problems := problems || sqlstate;
      end;
    end loop;
  end if;

  if store_sync_page.session_id is not null then
    update private.sync_conversations as known
    set cursor = store_sync_page.cursor,
      messages_read = known.messages_read + store_sync_page.messages_read,
      messages_added = known.messages_added + added,
      state = case
        when not is_last then 'waiting'
        when cardinality(problems) > 0 or known.error is not null then 'failed'
        else 'done'
      end,
      error = coalesce(known.error, problems[1])
    where known.run_id = held.id and known.session_id = store_sync_page.session_id
    returning known.state into session_state;
  end if;
  return query
  update public.sync_runs as known
  set messages_read = known.messages_read + store_sync_page.messages_read,
    messages_added = known.messages_added + added,
    people_created = known.people_created + cardinality(new_people),
    conversations_created = known.conversations_created + new_conversations,
    conversations_done = known.conversations_done + coalesce((session_state = 'done')::integer, 0),
    conversations_failed = known.conversations_failed + case
      when store_sync_page.session_id is null then cardinality(problems)
      else coalesce((session_state = 'failed')::integer, 0)
    end,
    cursor = case
      when store_sync_page.session_id is not null then known.cursor
      when not is_last then store_sync_page.cursor
    end,
    phase = case when store_sync_page.session_id is null and is_last then 'statuses' else known.phase end,
    failures = 0
  where known.id = held.id
  returning to_jsonb(known), added, problems;
end;
$$;

-- Replaced: a slice that ends with a passing failure does not take back that a member asked the run to
-- stop; and repairs of more than a month ago go.
create or replace function public.release_sync_run(
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
    -- The walk was begun after started_at, so it has seen everything from before. A history run reads
    -- recent messages as well, but not what lies between an earlier confirmation and its own start.
    update public.connections as connection
    set confirmed_until = held.started_at
    where connection.id = held.connection_id
      and connection.workspace_id = held.workspace_id
      and (
        connection.confirmed_until is null
        or (held.mode = 'repair' and connection.confirmed_until < held.started_at)
      );
    -- A run every few minutes: those that found nothing are not worth keeping, and the others not for ever.
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

-- Access ------------------------------------------------------------------------------------------

revoke execute on function
  private.spread(text),
  private.require_active_source(public.sync_runs),
  public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer, uuid),
  public.due_session_checks(uuid, integer),
  public.store_session_checks(uuid, uuid, jsonb, integer, timestamptz, integer),
  public.due_sync_runs(integer, uuid),
  public.begin_due_sync_run(uuid, text, integer),
  public.postpone_sync(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.spread(text),
  private.require_active_source(public.sync_runs),
  public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer, uuid),
  public.due_session_checks(uuid, integer),
  public.store_session_checks(uuid, uuid, jsonb, integer, timestamptz, integer),
  public.due_sync_runs(integer, uuid),
  public.begin_due_sync_run(uuid, text, integer),
  public.postpone_sync(uuid, integer)
to service_role;
