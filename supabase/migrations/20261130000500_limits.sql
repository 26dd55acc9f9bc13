-- How much one tenant may use: the limits, what an operator has changed of them, and the counters of limits that are
-- for a span of time. docs/operations.md lists them.

create function private.default_limit(name text)
returns bigint
language plpgsql
immutable
set search_path = ''
as $$
begin
  return case default_limit.name
    when 'workspaces_per_user' then 20
    when 'connections_per_workspace' then 100
    when 'agent_sessions_per_day' then 20000
    when 'waiting_changes_per_workspace' then 10000
    when 'webhook_bytes_per_day' then 10737418240
    when 'webhook_event_days' then 7
    when 'directory_names_per_minute' then 600
  end;
end;
$$;
comment on function private.default_limit(text) is 'The default of a limit; null where there is none. A day and a minute are of UTC.';

create function private.default_limits()
returns table (name text, value bigint, description text)
language plpgsql
immutable
set search_path = ''
as $$
begin
  return query
  select known.name, private.default_limit(known.name), known.description
  from (
    values
      ('workspaces_per_user', 'Workspaces that a user creates.'),
      ('connections_per_workspace', 'Connections of a workspace.'),
      ('agent_sessions_per_day', 'Agent sessions that are created in a workspace in a day.'),
      ('waiting_changes_per_workspace', 'Changes of a workspace that wait for their message.'),
      ('webhook_bytes_per_day', 'Bytes of webhook events that are kept of a workspace in a day.'),
      ('webhook_event_days', 'Days that processed webhook events are kept, for the whole installation.'),
      ('connection_requests_per_minute', 'Requests with the key of a connection.'),
      ('agent_key_requests_per_minute', 'Requests with an agent key.'),
      ('directory_names_per_minute', 'Look-ups by name in the directory, of all callers.')
  ) as known (name, description);
end;
$$;
comment on function private.default_limits() is
  'Every limit with its default, null where there is none. The only list of them.';

create function private.is_limit(name text)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  return exists (select from private.default_limits() as known where known.name = is_limit.name);
end;
$$;
comment on function private.is_limit(text) is 'Whether there is a limit of this name.';

create table private.limits (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  subject_id uuid,
  value bigint,
  constraint limits_name_subject_id_key unique nulls not distinct (name, subject_id),
  constraint limits_name_check check (private.is_limit(name)),
  constraint limits_value_check check (value >= 0)
);
comment on table private.limits is
  'The limits that an operator has changed. Deleting a row brings the default back. private.current_limits() lists '
  'all of them.';
comment on column private.limits.id is 'Primary key.';
comment on column private.limits.name is 'A name of private.default_limits().';
comment on column private.limits.subject_id is
  'The user, workspace, connection or agent key that the value is for. Null: for all that have no row of their own.';
comment on column private.limits.value is 'The value in place of the default. Null: no limit.';

grant all on private.limits to service_role;
alter table private.limits enable row level security;

create function private.current_limits()
returns table (name text, subject_id uuid, value bigint, default_value bigint, description text)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select known.name, listed.subject_id, private.limit_of(known.name, listed.subject_id), known.value,
    known.description
  from private.default_limits() as known
  cross join lateral (
    select null::uuid as subject_id
    union
    select changed.subject_id from private.limits as changed where changed.name = known.name
  ) as listed
  order by known.name, listed.subject_id nulls first;
end;
$$;
comment on function private.current_limits() is
  'Every limit: its value, null where there is none, and its default. A row for all, and one for each with a value of '
  'its own.';

create function private.limit_of(name text, subject_id uuid)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
declare
  changed private.limits;
begin
  -- The value of its own, else the one for all: nearly always there is neither.
  select known.* into changed
  from private.limits as known
  where known.name = limit_of.name and (known.subject_id = limit_of.subject_id or known.subject_id is null)
  order by known.subject_id nulls last
  limit 1;
  if changed.name is not null then
    return changed.value;
  end if;
  return private.default_limit(limit_of.name);
end;
$$;
comment on function private.limit_of(text, uuid) is
  'The value of a limit for a user, workspace, connection or agent key; null where there is none.';

-- Limits for a span of time ----------------------------------------------------------------------

-- Unlogged, because a counter is worth less than the writing of its log: after a crash counting begins again.
create unlogged table private.limit_uses (
  name text not null,
  subject_id uuid not null,
  begins_at timestamptz not null,
  slot smallint not null,
  used bigint not null,
  counted_in xid8 not null,
  constraint limit_uses_pkey primary key (name, subject_id, begins_at, slot)
);
comment on table private.limit_uses is
  'How much of a limit was used in a minute or a day. In 16 slots: transactions that run at the same time mostly '
  'update different rows, and so do not wait for each other.';
comment on column private.limit_uses.name is 'The limit.';
comment on column private.limit_uses.subject_id is
  'The connection, agent key or workspace that used it. No foreign key: the row goes within two days.';
comment on column private.limit_uses.begins_at is 'When the minute or the day began.';
comment on column private.limit_uses.slot is 'One of 16, by the process of the database.';
comment on column private.limit_uses.used is 'How much.';
comment on column private.limit_uses.counted_in is 'The last transaction that counted here.';

create index limit_uses_begins_at_idx on private.limit_uses (begins_at);

grant all on private.limit_uses to service_role;
alter table private.limit_uses enable row level security;

create function private.check_limit(
  name text,
  subject_id uuid,
  span interval,
  refusal text,
  amount bigint default 1
)
returns void
language plpgsql
stable
set search_path = ''
as $$
declare
  allowed constant bigint := private.limit_of(check_limit.name, check_limit.subject_id);
  span_begins_at constant timestamptz := date_bin(check_limit.span, now(), timestamptz '2000-01-01 00:00:00Z');
begin
  if allowed is null or (
    select coalesce(sum(known.used), 0)
    from private.limit_uses as known
    where known.name = check_limit.name
      and known.subject_id = check_limit.subject_id
      and known.begins_at = span_begins_at
  ) + check_limit.amount <= allowed then
    return;
  end if;
  raise exception '%', check_limit.refusal
    using errcode = 'PT429',
      detail = json_build_object(
        'limit', allowed,
        'window_seconds', extract(epoch from check_limit.span)::bigint,
        'retry_after_seconds', greatest(
          1, ceil(extract(epoch from span_begins_at + check_limit.span - clock_timestamp()))::bigint
        )
      );
end;
$$;
comment on function private.check_limit(text, uuid, interval, text, bigint) is
  'Refuse with PT429 and the given code where a limit for a span of time (an interval of fixed length) would be '
  'exceeded. Counts nothing: see private.use_limit.';

create function private.use_limit(
  name text,
  subject_id uuid,
  span interval,
  refusal text,
  amount bigint default 1
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  allowed constant bigint := private.limit_of(use_limit.name, use_limit.subject_id);
  span_begins_at constant timestamptz := date_bin(use_limit.span, now(), timestamptz '2000-01-01 00:00:00Z');
  used_now bigint;
begin
  if allowed is null then
    return;
  end if;
  insert into private.limit_uses as known (name, subject_id, begins_at, slot, used, counted_in)
  values (
    use_limit.name, use_limit.subject_id, span_begins_at, pg_backend_pid() % 16, use_limit.amount, pg_current_xact_id()
  )
  on conflict on constraint limit_uses_pkey do update
  set used = known.used + excluded.used, counted_in = excluded.counted_in
  -- A request that checks its key twice is one request.
  where known.counted_in <> excluded.counted_in
  returning known.used into used_now;
  -- While the own slot has used this little, the others are not looked at: together they exceed by a sixteenth at most.
  if used_now > allowed / 256 then
    -- With the error, what was just counted is undone.
    perform private.check_limit(use_limit.name, use_limit.subject_id, use_limit.span, use_limit.refusal, 0);
  end if;
end;
$$;
comment on function private.use_limit(text, uuid, interval, text, bigint) is
  'Count against a limit for a span of time (an interval of fixed length), or refuse as private.check_limit where it '
  'would be exceeded. What a refused or failed transaction counted is undone with it. Counts once in a '
  'transaction. Requests that run at the same time do not see each other, so a limit can be exceeded by as many. Take '
  'no lock before that a holder of the same row can wait for: the row stays locked until its transaction ends.';

create function public.count_connection_request(connection_id uuid)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform private.use_limit(
    'connection_requests_per_minute', count_connection_request.connection_id, interval '1 minute', 'rate_limited'
  );
end;
$$;
comment on function public.count_connection_request(uuid) is
  'Count a request with the key of a connection: rate_limited. Apart from checking the key, which is a read and writes '
  'nothing. Needed where the check says is_limited. For service_role only.';

-- Limits of what is there ------------------------------------------------------------------------

create function private.lock_limit(name text, subject_id uuid)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  allowed bigint := private.limit_of(lock_limit.name, lock_limit.subject_id);
begin
  if allowed is not null then
    perform pg_advisory_xact_lock(hashtextextended(lock_limit.name || ' ' || lock_limit.subject_id, 0));
  end if;
  return allowed;
end;
$$;
comment on function private.lock_limit(text, uuid) is
  'The value of a limit on what a subject has, null where there is none. Locks the pair until the transaction ends, so '
  'that two that count at the same time do not both take the last place.';

create function private.waiting_changes_left(workspace_id uuid)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
declare
  allowed bigint := private.limit_of('waiting_changes_per_workspace', waiting_changes_left.workspace_id);
begin
  if allowed is null then
    return null;
  end if;
  return allowed - (
    select count(*)
    from (
      select from private.waiting_updates as waiting
      where waiting.workspace_id = waiting_changes_left.workspace_id
      limit allowed
    ) as counted
  );
end;
$$;
comment on function private.waiting_changes_left(uuid) is
  'How many more changes of a workspace may wait for their message; null where there is no limit. Counts no further '
  'than the limit.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.default_limit(text),
  private.default_limits(),
  private.is_limit(text),
  private.current_limits(),
  private.limit_of(text, uuid),
  private.check_limit(text, uuid, interval, text, bigint),
  private.use_limit(text, uuid, interval, text, bigint),
  public.count_connection_request(uuid),
  private.lock_limit(text, uuid),
  private.waiting_changes_left(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.default_limit(text),
  private.default_limits(),
  private.is_limit(text),
  private.current_limits(),
  private.limit_of(text, uuid),
  private.check_limit(text, uuid, interval, text, bigint),
  private.use_limit(text, uuid, interval, text, bigint),
  public.count_connection_request(uuid),
  private.lock_limit(text, uuid),
  private.waiting_changes_left(uuid)
to service_role;
