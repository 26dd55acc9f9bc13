-- Signed webhook events as they were received, and how long they are kept. 56_webhook_processing.sql accepts and processes
-- them.
--
-- Open events, received or failed, are in one small table; finished ones are in a table for each day. So a day can be
-- dropped as a whole, and nothing that still has to be processed is ever in it.

create table private.webhook_events (
  id bigint generated always as identity,
  workspace_id uuid,
  phone_number_id text,
  event text,
  idempotency_key text,
  body bytea not null,
  elements jsonb not null,
  state text not null default 'received',
  error text,
  attempts integer not null default 0,
  received_at timestamptz not null default now(),
  processed_at timestamptz,
  constraint webhook_events_pkey primary key (id, state, received_at),
  constraint webhook_events_elements_check check (jsonb_typeof(elements) = 'array'),
  constraint webhook_events_state_check check (state in ('received', 'processed', 'ignored', 'failed'))
) partition by list (state);
comment on table private.webhook_events is
  'Every signed event of Kapso, as received. Contains message texts: never exposed, dropped by the day.';
comment on column private.webhook_events.id is 'Number of the event.';
comment on column private.webhook_events.workspace_id is
  'The workspace whose connection had the number when the event arrived. Null where none had it. No foreign key: the row '
  'goes within days.';
comment on column private.webhook_events.phone_number_id is
  'The business number the event is about, where the event names one.';
comment on column private.webhook_events.event is 'Name of the event, from its header or body.';
comment on column private.webhook_events.idempotency_key is
  'Kapso''s key of the delivery, the same when it is repeated: its first 200 characters, for reading.';
comment on column private.webhook_events.body is 'The raw bytes.';
comment on column private.webhook_events.elements is
  'What the function read in it, and what is processed, now and at a replay: an array of NormalizedElement, defined '
  'in supabase/functions/_shared/kapso/webhook/elements.ts.';
comment on column private.webhook_events.state is
  'received: not processed yet. processed. ignored: it holds nothing to store, or no connection had its number when it '
  'arrived. failed: see error; replay_webhook_events() retries it.';
comment on column private.webhook_events.error is 'Why it failed or was ignored.';
comment on column private.webhook_events.attempts is 'How often it was processed.';
comment on column private.webhook_events.received_at is 'When it first arrived.';
comment on column private.webhook_events.processed_at is 'When it was last processed.';

do $$
begin
  alter table private.webhook_events alter column body set compression lz4, alter column elements set compression lz4;
exception when feature_not_supported then
  -- This server was built without it, and keeps its own method.
  null;
end;
$$;

grant all on private.webhook_events to service_role;
alter table private.webhook_events enable row level security;

create table private.open_webhook_events (
  like private.webhook_events including comments including compression including constraints including defaults
);
alter table private.webhook_events
  attach partition private.open_webhook_events for values in ('received', 'failed');
comment on table private.open_webhook_events is
  'The events that are received or failed: a queue for each number, and what waits for a retry. Of any age.';

-- Every processed event leaves a dead row, at the place where the next one is looked for.
alter table private.open_webhook_events set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index open_webhook_events_phone_number_id_idx
  on private.open_webhook_events (phone_number_id, state, received_at, id);
comment on index private.open_webhook_events_phone_number_id_idx is
  'The queue of a number, in order of arrival; and counts what has failed of one number, however much does of others.';

create index open_webhook_events_state_idx on private.open_webhook_events (state, received_at);
comment on index private.open_webhook_events_state_idx is 'What retry_webhook_events() and replay_webhook_events() look for.';

grant all on private.open_webhook_events to service_role;
alter table private.open_webhook_events enable row level security;

create table private.finished_webhook_events (
  like private.webhook_events including comments including compression including constraints including defaults
) partition by range (received_at);
alter table private.webhook_events
  attach partition private.finished_webhook_events for values in ('processed', 'ignored');
comment on table private.finished_webhook_events is
  'The events that are processed or ignored: a partition for each day (UTC) of their arrival, webhook_events_<date>, which '
  'private.add_webhook_day() makes and private.drop_webhook_days() drops.';

create index finished_webhook_events_received_at_idx on private.finished_webhook_events using brin (received_at);
comment on index private.finished_webhook_events_received_at_idx is
  'Finds the events of some hours of a day for a replay. They lie in order of arrival.';

grant all on private.finished_webhook_events to service_role;
alter table private.finished_webhook_events enable row level security;

create table private.webhook_deliveries (
  digest uuid primary key,
  event_id bigint not null,
  received_at timestamptz not null
);
comment on table private.webhook_deliveries is
  'The deliveries of the last days, so that a repeated one is one event. A unique key on webhook_events would have to '
  'contain the time.';
comment on column private.webhook_deliveries.digest is 'private.delivery_digest.';
comment on column private.webhook_deliveries.event_id is 'The event it was recorded as.';
comment on column private.webhook_deliveries.received_at is 'When that arrived.';

create index webhook_deliveries_received_at_idx on private.webhook_deliveries (received_at);
comment on index private.webhook_deliveries_received_at_idx is 'Finds the ones to delete.';

grant all on private.webhook_deliveries to service_role;
alter table private.webhook_deliveries enable row level security;

create function private.delivery_digest(phone_number_id text, idempotency_key text, body bytea)
returns uuid
language plpgsql
-- Stable because convert_to is.
stable
set search_path = ''
as $$
begin
  -- A key alone does not name a delivery: the same key with another body is another event, and losing it would lose
  -- its messages. The key comes as it is, however long. Per number, so that no workspace can take the keys of another.
  return encode(substr(sha256(
    convert_to(delivery_digest.idempotency_key || ' ' || coalesce(delivery_digest.phone_number_id, ''), 'UTF8')
      || sha256(delivery_digest.body)
  ), 1, 16), 'hex')::uuid;
end;
$$;
comment on function private.delivery_digest(text, text, bytea) is
  'What tells deliveries apart: 16 bytes of the SHA-256 of the idempotency key, the number and the body. Null without a '
  'key.';

-- Days -------------------------------------------------------------------------------------------

create function private.webhook_day_name(day date)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
  return 'webhook_events_' || to_char(webhook_day_name.day, 'YYYYMMDD');
end;
$$;
comment on function private.webhook_day_name(date) is 'Name of the table of the events that arrived on a day, without its schema.';

create function private.utc_day(moment timestamptz)
returns date
language plpgsql
immutable
set search_path = ''
as $$
begin
  return (utc_day.moment at time zone 'UTC')::date;
end;
$$;
comment on function private.utc_day(timestamptz) is 'The day of a moment, in UTC.';

create function private.add_webhook_day(day date)
returns void
language plpgsql
volatile
-- Definer because only the owner of a table can add a partition, and a webhook adds the one that the schedule has not.
security definer
set search_path = ''
as $$
declare
  day_table constant text := private.webhook_day_name(add_webhook_day.day);
begin
  -- One at a time. Attaching then waits only for a day that is dropped in this moment, and keeps no reader or writer waiting.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('webhook day', 0));
  if to_regclass('private.' || day_table) is not null then
    return;
  end if;
  execute format(
    'create table private.%I (
      like private.finished_webhook_events including comments including compression including constraints including defaults
    )',
    day_table
  );
  execute format('comment on table private.%I is %L', day_table, 'Finished events that arrived on this day (UTC).');
  execute format('alter table private.%I enable row level security', day_table);
  execute format('grant all on private.%I to service_role', day_table);
  execute format(
    'alter table private.finished_webhook_events attach partition private.%I for values from (%L) to (%L)',
    day_table,
    add_webhook_day.day::timestamp at time zone 'UTC',
    (add_webhook_day.day + 1)::timestamp at time zone 'UTC'
  );
end;
$$;
comment on function private.add_webhook_day(date) is
  'Make the table for the finished events that arrived on a day, unless it is there.';

create function private.webhook_days()
returns table (day date, day_table regclass)
language sql
stable
set search_path = ''
as $$
  select to_date(right(relation.relname, 8), 'YYYYMMDD'), relation.oid::regclass
  from pg_catalog.pg_inherits as link
  join pg_catalog.pg_class as relation on relation.oid = link.inhrelid
  where link.inhparent = 'private.finished_webhook_events'::regclass
  order by 1;
$$;
comment on function private.webhook_days() is 'The days that have a table for their finished events.';

create function private.drop_webhook_days(keep_days integer)
returns bigint
language plpgsql
volatile
-- Definer because only the owner of a table can drop a partition, and prune_webhook_events() is for service_role.
security definer
set search_path = ''
-- Detaching waits for every transaction that has the table in use, and every other waits for it in turn: after a moment it
-- is left for the next run.
set lock_timeout = '200ms'
as $$
declare
  old record;
  events bigint;
  dropped bigint := 0;
begin
  for old in
    select known.day, known.day_table
    from private.webhook_days() as known
    where known.day < private.utc_day(now()) - drop_webhook_days.keep_days
  loop
    execute format('select count(*) from %s', old.day_table) into events;
    begin
      execute format('alter table private.finished_webhook_events detach partition %s', old.day_table);
      execute format('drop table %s', old.day_table);
      dropped := dropped + events;
    exception when lock_not_available then
      exit;
    end;
  end loop;
  return dropped;
end;
$$;
comment on function private.drop_webhook_days(integer) is
  'Drop the tables of days that ended more than keep_days ago. Returns how many events were in them. A table that is in use '
  'for longer than a moment stays for the next run.';

-- The first days; the schedule makes the others.
select private.add_webhook_day(private.utc_day(now()) + ahead.days) from generate_series(0, 3) as ahead (days);

-- Upkeep -----------------------------------------------------------------------------------------

create function public.prune_webhook_events(keep_days integer default null)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  kept_days constant integer
    := coalesce(prune_webhook_events.keep_days, private.limit_of('webhook_event_days', null));
begin
  if prune_webhook_events.keep_days < 1 then
    raise exception 'keep_days must be at least 1' using errcode = '22023';
  end if;
  -- The operator keeps them all.
  if kept_days is null then
    return 0;
  end if;
  perform pg_catalog.pg_advisory_xact_lock(private.pruning_lock());
  delete from private.webhook_deliveries as known
  where known.received_at < now() - make_interval(days => kept_days);
  -- Nothing can be done with an event of a workspace that is gone.
  delete from private.open_webhook_events as recorded
  where recorded.received_at < now() - make_interval(days => kept_days)
    and recorded.workspace_id is not null
    and not exists (select 1 from public.workspaces as known where known.id = recorded.workspace_id);
  if prune_webhook_events.keep_days is not null then
    -- A change whose message has not arrived by then belongs to one that never will.
    delete from private.waiting_updates as waiting
    where waiting.created_at < now() - make_interval(days => kept_days);
  end if;
  return private.drop_webhook_days(kept_days);
end;
$$;
comment on function public.prune_webhook_events(integer) is
  'Drop the days of processed and ignored events that ended more than keep_days ago (default: the limit '
  'webhook_event_days), and forget their deliveries. With keep_days, delete the changes that waited as long for their '
  'message, too, sooner than prune_records() does. Received and failed events are kept. Returns the number of dropped '
  'events. For service_role only.';

create function private.keep_webhook_days()
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform private.add_webhook_day(private.utc_day(now()) + ahead.days)
  from generate_series(0, 3) as ahead (days);
  perform public.prune_webhook_events();
end;
$$;
comment on function private.keep_webhook_days() is
  'Make the tables for the events of today and the next three days, and drop those that are old enough. For the schedule.';

create function private.count_failed_events(phone_number_id text)
returns bigint
language plpgsql
stable
-- Definer because events are private; only members of the workspace that has the number get a count.
security definer
set search_path = ''
as $$
begin
  return (
    select count(*)
    from private.open_webhook_events as event
    join public.connections as source
      on source.phone_number_id = event.phone_number_id and source.platform = 'whatsapp'
    where event.phone_number_id = count_failed_events.phone_number_id
      and event.state in ('received', 'failed')
      -- A queue is no failure while it moves.
      and (event.state = 'failed' or event.received_at < now() - interval '5 minutes')
      and event.received_at > now() - interval '30 days'
      and event.received_at > source.number_claimed_at
      and source.workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer']))
  );
end;
$$;
comment on function private.count_failed_events(text) is 'Events of a number that failed, or have waited for more than five minutes.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.delivery_digest(text, text, bytea),
  private.webhook_day_name(date),
  private.utc_day(timestamptz),
  private.add_webhook_day(date),
  private.webhook_days(),
  private.drop_webhook_days(integer),
  public.prune_webhook_events(integer),
  private.keep_webhook_days(),
  private.count_failed_events(text)
from public, anon, authenticated, service_role;
grant execute on function
  private.delivery_digest(text, text, bytea),
  private.webhook_day_name(date),
  private.utc_day(timestamptz),
  private.add_webhook_day(date),
  private.webhook_days(),
  private.drop_webhook_days(integer),
  public.prune_webhook_events(integer)
to service_role;
grant execute on function private.count_failed_events(text) to authenticated;
