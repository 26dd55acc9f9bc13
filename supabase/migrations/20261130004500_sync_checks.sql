-- Message statuses and sessions that Kapso reported late or never, looked up one by one.

create function private.spread(key text)
returns interval
language plpgsql
immutable
set search_path = ''
as $$
begin
  return make_interval(
    secs => abs(pg_catalog.hashtextextended(spread.key, 0) % 60000000) / 1000000.0::double precision
  );
end;
$$;
comment on function private.spread(text) is
  'A delay of up to a minute that depends on the key alone. WhatsApp''s times are whole seconds: checks of messages '
  'of one second, such as a broadcast, fall due one by one, so that a single time says how far the checks are.';

-- Statuses ---------------------------------------------------------------------------------------

create function public.due_status_checks(connection_id uuid, max_messages integer default 30)
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
        and private.status_rank(message.value ->> 'status') between 1 and private.status_rank('sent')
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
comment on function public.due_status_checks(uuid, integer) is
  'Messages without a reported delivery that have become 10 minutes, 1 hour, 6 hours, 1 day or 3 days old since the '
  'last check: a phone that is switched off is not looked up every time. For service_role only.';

create function public.note_status_checks(
  run_id uuid,
  lease uuid,
  statuses_checked integer,
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
begin
  update public.connections as connection
  set statuses_checked_until = note_status_checks.checked_until
  where connection.id = held.connection_id
    and connection.workspace_id = held.workspace_id
    and coalesce(connection.statuses_checked_until, '-infinity') < note_status_checks.checked_until;
  return query
  update public.sync_runs as known
  set statuses_checked = known.statuses_checked + note_status_checks.statuses_checked
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.note_status_checks(uuid, uuid, integer, timestamptz, integer) is
  'Record that all status checks due until then are done. For service_role only.';

-- Sessions ---------------------------------------------------------------------------------------

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
        -- Kapso ends a session after a quiet day.
        ('open', interval '25 hours'), ('open', interval '3 days'), ('open', interval '7 days'),
        ('closed', interval '6 hours'), ('closed', interval '25 hours')
    ) as age (status, after)
    cross join lateral (
      select coalesce(
        source.sessions_checked_until,
        -- The first time: all open conversations, of any age.
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
  'The newest sessions of conversations that have been quiet for 1 hour, 6 hours, 25 hours, 3 days or 7 days (closed '
  'ones: 6 and 25 hours) since the last check: Kapso may have ended or reopened them, and its event may be lost. For '
  'service_role only.';

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
    perform private.apply_sessions(array[private.read_session(thread, report.value -> 'session', null)])
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
  'Apply what Kapso reports about sessions (an array of {conversation_id, session}; session is a KapsoSession), and '
  'record that all checks due until then are done. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.spread(text),
  public.due_status_checks(uuid, integer),
  public.note_status_checks(uuid, uuid, integer, timestamptz, integer),
  public.due_session_checks(uuid, integer),
  public.store_session_checks(uuid, uuid, jsonb, integer, timestamptz, integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.spread(text),
  public.due_status_checks(uuid, integer),
  public.note_status_checks(uuid, uuid, integer, timestamptz, integer),
  public.due_session_checks(uuid, integer),
  public.store_session_checks(uuid, uuid, jsonb, integer, timestamptz, integer)
to service_role;
