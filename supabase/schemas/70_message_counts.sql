-- Messages per day, and the statistics of the overview.

create table private.message_counts (
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  local_date date not null,
  platform text not null,
  direction text not null,
  messages bigint not null,
  constraint message_counts_pkey primary key (workspace_id, local_date, platform, direction),
  constraint message_counts_platform_check check (platform = any (private.platforms())),
  constraint message_counts_direction_check check (direction in ('inbound', 'outbound'))
);
comment on table private.message_counts is
  'Number of messages per day, platform and direction, without those in private.message_count_parts.';
comment on column private.message_counts.workspace_id is 'The workspace.';
comment on column private.message_counts.local_date is
  'Day of sent_at in the time zone the workspace had when the message arrived.';
comment on column private.message_counts.platform is 'whatsapp, signal, telegram or wechat.';
comment on column private.message_counts.direction is 'inbound or outbound.';
comment on column private.message_counts.messages is 'Number of messages.';

grant all on private.message_counts to service_role;
alter table private.message_counts enable row level security;

create table private.message_count_parts (
  workspace_id uuid not null,
  local_date date not null,
  platform text not null,
  direction text not null,
  messages bigint not null,
  constraint message_count_parts_direction_check check (direction in ('inbound', 'outbound'))
);
comment on table private.message_count_parts is
  'Counts to be added to private.message_counts. Batches only append here: updates of the count of a day would make '
  'all batches of a workspace wait for each other.';
comment on column private.message_count_parts.workspace_id is
  'The workspace. No foreign key, which would cost as much as the row; parts of a deleted workspace are dropped.';
comment on column private.message_count_parts.local_date is 'As in private.message_counts.';
comment on column private.message_count_parts.platform is 'As in private.message_counts.';
comment on column private.message_count_parts.direction is 'As in private.message_counts.';
comment on column private.message_count_parts.messages is 'Number of messages in the batch.';

create index message_count_parts_workspace_id_idx on private.message_count_parts (workspace_id);

grant all on private.message_count_parts to service_role;
alter table private.message_count_parts enable row level security;

create function public.fold_message_counts(max_parts integer default 100000)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  folded integer;
begin
  with taken as (
    select part.ctid as place
    from private.message_count_parts as part
    limit fold_message_counts.max_parts
    for update skip locked
  ),
  part as (
    delete from private.message_count_parts as every
    using taken
    where every.ctid = taken.place
    returning every.*
  ),
  kept as (
    insert into private.message_counts as known (workspace_id, local_date, platform, direction, messages)
    select part.workspace_id, part.local_date, part.platform, part.direction, sum(part.messages)
    from part
    join public.workspaces as workspace on workspace.id = part.workspace_id
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4
    on conflict on constraint message_counts_pkey do update set messages = known.messages + excluded.messages
  )
  select count(*)::integer into folded from part;
  return folded;
end;
$$;
comment on function public.fold_message_counts(integer) is
  'Add up the counts that batches appended, at most max_parts of them. Returns how many. Called by the schedule. For '
  'service_role only.';

create function private.messages_of_day(workspace_id uuid, local_date date)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select coalesce(sum(known.messages), 0)
    from private.message_counts as known
    where known.workspace_id = messages_of_day.workspace_id and known.local_date = messages_of_day.local_date
  ) + (
    select coalesce(sum(part.messages), 0)
    from private.message_count_parts as part
    where part.workspace_id = messages_of_day.workspace_id and part.local_date = messages_of_day.local_date
  );
end;
$$;
comment on function private.messages_of_day(uuid, date) is
  'Number of messages of a local day that have arrived so far, imported ones included. Reads a few rows.';

-- Overview ---------------------------------------------------------------------------------------

create function private.response_times(workspace_id uuid, from_time timestamptz)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  measured jsonb;
begin
  -- The newest pages of the newest 500 conversations: 25,000 messages at most.
  with thread as (
    select conversation.id, conversation.messages
    from public.conversations as conversation
    where conversation.workspace_id = response_times.workspace_id
      and conversation.activity_at >= response_times.from_time
      and conversation.last_message_at >= response_times.from_time
    order by conversation.activity_at desc, conversation.id desc
    limit 500
  ),
  message as (
    select thread.id, stored.ordinal, stored.value ->> 'direction' as direction,
      (stored.value ->> 'sent_at')::timestamptz as sent_at,
      lag(stored.value ->> 'direction') over (partition by thread.id order by stored.ordinal) as before
    from thread
    cross join lateral jsonb_array_elements(thread.messages) with ordinality as stored (value, ordinal)
    where stored.value -> 'is_history' is null
  ),
  -- Where the direction changes: the customer's first unanswered message, and the reply.
  turn as (
    select message.id, message.direction, message.sent_at,
      lag(message.sent_at) over (partition by message.id order by message.ordinal) as asked_at
    from message
    where message.direction is distinct from message.before
  ),
  answer as (
    select turn.id, extract(epoch from turn.sent_at - turn.asked_at) as seconds
    from turn
    where turn.direction = 'outbound' and turn.asked_at is not null and turn.sent_at >= response_times.from_time
  )
  select jsonb_build_object(
    'median_seconds', round((percentile_cont(0.5) within group (order by answer.seconds))::numeric),
    'p90_seconds', round((percentile_cont(0.9) within group (order by answer.seconds))::numeric),
    'answered', count(*),
    'conversations', count(distinct answer.id)
  )
  into measured
  from answer;
  return case when measured -> 'answered' <> '0' then measured end;
end;
$$;
comment on function private.response_times(uuid, timestamptz) is
  'How long customers of a workspace waited for a reply since then, in the newest 500 conversations; null without '
  'replies.';

create function private.overview_statistics(workspace_id uuid, days integer)
returns jsonb
language plpgsql
stable
-- Definer because counts are private; the role is checked first.
security definer
set search_path = ''
as $$
declare
  zone text;
  first_day date;
begin
  if overview_statistics.days is null or overview_statistics.days not between 1 and 92 then
    raise exception 'days must be between 1 and 92' using errcode = '22023';
  end if;
  perform private.require_role(
    overview_statistics.workspace_id, array['owner', 'admin', 'agent', 'viewer'], 'workspace_not_found'
  );
  select workspace.time_zone into zone
  from public.workspaces as workspace
  where workspace.id = overview_statistics.workspace_id;
  first_day := (now() at time zone zone)::date - overview_statistics.days + 1;
  return jsonb_build_object(
    'days', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'date', counted.local_date, 'platform', counted.platform,
        'inbound', counted.inbound, 'outbound', counted.outbound
      ) order by counted.local_date, counted.platform), '[]')
      from (
        select every.local_date, every.platform,
          coalesce(sum(every.messages) filter (where every.direction = 'inbound'), 0) as inbound,
          coalesce(sum(every.messages) filter (where every.direction = 'outbound'), 0) as outbound
        from (
          select kept.local_date, kept.platform, kept.direction, kept.messages
          from private.message_counts as kept
          where kept.workspace_id = overview_statistics.workspace_id
            and kept.local_date between first_day and (now() at time zone zone)::date
          union all
          select part.local_date, part.platform, part.direction, part.messages
          from private.message_count_parts as part
          where part.workspace_id = overview_statistics.workspace_id
            and part.local_date between first_day and (now() at time zone zone)::date
        ) as every
        group by 1, 2
      ) as counted
    ),
    'response_times', private.response_times(overview_statistics.workspace_id, first_day::timestamp at time zone zone),
    'open', (
      select count(*) from public.conversations as conversation
      where conversation.workspace_id = overview_statistics.workspace_id and conversation.status = 'open'
    ),
    'unread', (
      select count(*) from public.conversations as conversation
      where conversation.workspace_id = overview_statistics.workspace_id and conversation.unread_count > 0
    ),
    'unassigned', (
      select count(*) from public.conversations as conversation
      where conversation.workspace_id = overview_statistics.workspace_id
        and conversation.status = 'open' and conversation.assigned_to is null
    )
  );
end;
$$;
comment on function private.overview_statistics(uuid, integer) is 'Does the work of public.overview_statistics.';

create function public.overview_statistics(workspace_id uuid, days integer default 14)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select private.overview_statistics(overview_statistics.workspace_id, overview_statistics.days);
$$;
comment on function public.overview_statistics(uuid, integer) is
  'Messages per day and platform, response times, and how many conversations are open, unread and unassigned. days (1 '
  'to 92) in the time zone of the workspace. For members.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  public.fold_message_counts(integer),
  private.messages_of_day(uuid, date),
  private.response_times(uuid, timestamptz),
  private.overview_statistics(uuid, integer),
  public.overview_statistics(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.fold_message_counts(integer),
  private.messages_of_day(uuid, date)
to service_role;
grant execute on function
  private.overview_statistics(uuid, integer),
  public.overview_statistics(uuid, integer)
to authenticated;
