-- Signed webhook events: kept as received, processed, replayed and pruned.

create table private.webhook_events (
  id bigint generated always as identity primary key,
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
  constraint webhook_events_elements_check check (jsonb_typeof(elements) = 'array'),
  constraint webhook_events_state_check check (state in ('received', 'processed', 'ignored', 'failed'))
);
comment on table private.webhook_events is
  'Every signed event of Kapso, as received. Contains message texts: never exposed, pruned by age.';
comment on column private.webhook_events.id is 'Primary key.';
comment on column private.webhook_events.phone_number_id is
  'The business number the event is about, where the event names one.';
comment on column private.webhook_events.event is 'Name of the event, from its header or body.';
comment on column private.webhook_events.idempotency_key is
  'Kapso''s key of the delivery, the same when it is repeated.';
comment on column private.webhook_events.body is 'The raw bytes.';
comment on column private.webhook_events.elements is
  'What the function read in it, and what is processed, now and at a replay: an array of NormalizedElement, defined '
  'in supabase/functions/_shared/kapso/webhook/elements.ts.';
comment on column private.webhook_events.state is
  'received: not processed yet. processed. ignored: it holds nothing to store. failed: see error; '
  'replay_webhook_events() retries it.';
comment on column private.webhook_events.error is 'Why it failed or was ignored.';
comment on column private.webhook_events.attempts is 'How often it was processed.';
comment on column private.webhook_events.received_at is 'When it first arrived.';
comment on column private.webhook_events.processed_at is 'When it was last processed.';

create unique index webhook_events_phone_number_id_idempotency_key_key
  on private.webhook_events (phone_number_id, idempotency_key)
  where idempotency_key is not null;
comment on index private.webhook_events_phone_number_id_idempotency_key_key is
  'A repeated delivery is one event. Per number, so that no workspace can take the keys of another.';

create index webhook_events_unprocessed_idx on private.webhook_events (state, received_at) where state <> 'processed';
comment on index private.webhook_events_unprocessed_idx is 'What replay_webhook_events() looks for.';

create index webhook_events_unprocessed_phone_number_id_idx
  on private.webhook_events (phone_number_id, state, received_at) where state in ('received', 'failed');
comment on index private.webhook_events_unprocessed_phone_number_id_idx is
  'Counts what waits or has failed of one number, however much does of others.';

create index webhook_events_received_at_idx on private.webhook_events (received_at);

grant all on private.webhook_events to service_role;
alter table private.webhook_events enable row level security;

-- Processing -------------------------------------------------------------------------------------

create function private.process_webhook_event(event_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  event private.webhook_events;
  source public.connections;
  element jsonb;
  stored private.kapso_outcome;
  problems text[] := '{}';
  notes text[] := '{}';
  handled integer := 0;
begin
  select known.* into event
  from private.webhook_events as known
  where known.id = process_webhook_event.event_id
  for update;

  perform private.lock_contacts(event.elements);

  for element in
    select item.value from jsonb_array_elements(event.elements) as item (value)
    order by item.value ->> 'kind', item.value #>> '{conversation,external_conversation_id}' collate "C"
  loop
    continue when element ->> 'kind' = 'ignored';
    select known.* into source
    from public.connections as known
    where known.phone_number_id = element ->> 'phoneNumberId' and known.platform = 'whatsapp';
    if source.id is null then
      problems := problems || 'no connection has this phone_number_id'::text;
      continue;
    end if;
    if exists (
      select 1 from private.released_numbers as released
      where released.phone_number_id = source.phone_number_id
        and released.workspace_id <> source.workspace_id
        and released.released_at >= event.received_at
    ) then
      problems := problems || 'the number belonged to another workspace when this arrived'::text;
      continue;
    end if;
    if not source.is_active then
      problems := problems || 'the connection is inactive'::text;
      continue;
    end if;
    handled := handled + 1;

    begin
      case element ->> 'kind'
        when 'conversation' then
          stored := private.store_kapso_conversation(source, element -> 'conversation');
          if stored.outcome = 'error' then
            problems := problems || stored.error;
          end if;
        when 'identity_change' then
          if not private.change_identity(source, element) then
            handled := handled - 1;
            notes := notes || 'no person has these identifiers yet'::text;
          end if;
        when 'marketing_preference' then
          perform private.change_marketing_preference(source, element);
      end case;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or case_not_found then
      problems := problems || sqlstate;
    end;
  end loop;

  update private.webhook_events as known
  set state = case
      when cardinality(problems) > 0 then 'failed'
      when handled = 0 then 'ignored'
      else 'processed'
    end,
    error = nullif(array_to_string(problems || notes, '; '), ''),
    attempts = known.attempts + 1,
    processed_at = now()
  where known.id = event.id;

  -- As last_synced_at: a transaction that finds the row locked skips it.
  update public.connections as busy
  set last_event_at = event.received_at
  where busy.id in (
    select known.id
    from public.connections as known
    where known.phone_number_id = event.phone_number_id
      and known.platform = 'whatsapp'
      and coalesce(known.last_event_at, '-infinity') < event.received_at - interval '1 second'
    for no key update skip locked
  );
end;
$$;
comment on function private.process_webhook_event(bigint) is
  'Process a recorded event: each element on its own, so that a bad one does not stop the others. Safe to repeat.';

create function private.try_webhook_event(event_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  for attempt in 1..3 loop
    begin
      perform private.process_webhook_event(try_webhook_event.event_id);
      return;
    exception
      when deadlock_detected or serialization_failure then
        -- Another transaction, such as an import, locked the same rows in another order. It has them now.
        continue when attempt < 3;
        update private.webhook_events as recorded
        set state = 'failed', error = sqlstate, attempts = recorded.attempts + 1, processed_at = now()
        where recorded.id = try_webhook_event.event_id;
      when others then
        -- After any error the event is recorded and can be replayed; Kapso need not send it again.
        update private.webhook_events as recorded
        set state = 'failed', error = sqlstate, attempts = recorded.attempts + 1, processed_at = now()
        where recorded.id = try_webhook_event.event_id;
        return;
    end;
  end loop;
end;
$$;
comment on function private.try_webhook_event(bigint) is
  'Process a recorded event; if that fails, record the error and return.';

create function public.record_webhook_event(
  phone_number_id text,
  event text,
  idempotency_key text,
  body text,
  elements jsonb
)
returns table (id bigint, state text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  event_id bigint;
  event_state text;
begin
  insert into private.webhook_events as recorded (phone_number_id, event, idempotency_key, body, elements)
  values (
    record_webhook_event.phone_number_id,
    left(record_webhook_event.event, 200),
    left(record_webhook_event.idempotency_key, 200),
    decode(record_webhook_event.body, 'base64'),
    record_webhook_event.elements
  )
  on conflict (phone_number_id, idempotency_key) where idempotency_key is not null do update
  -- A repeated delivery is the same event; locked, so that only one of two processes it.
  set attempts = recorded.attempts
  returning recorded.id, recorded.state into event_id, event_state;
  if event_state in ('received', 'failed') then
    perform private.try_webhook_event(event_id);
  end if;
  return query
  select recorded.id, recorded.state from private.webhook_events as recorded where recorded.id = event_id;
end;
$$;
comment on function public.record_webhook_event(text, text, text, text, jsonb) is
  'Record a signed event (body in base64) and process it. Returns its state; an event that cannot be processed is '
  'recorded all the same. For service_role only.';

create function public.replay_webhook_events(
  ids bigint[] default null,
  states text[] default '{received,failed}',
  received_from timestamptz default '-infinity',
  received_until timestamptz default 'infinity',
  max_events integer default 1000
)
returns table (id bigint, state text, error text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  event_ids bigint[];
  event_id bigint;
begin
  select array_agg(chosen.id order by chosen.id) into event_ids
  from (
    select recorded.id
    from private.webhook_events as recorded
    where (replay_webhook_events.ids is null or recorded.id = any (replay_webhook_events.ids))
      and (replay_webhook_events.ids is not null or recorded.state = any (replay_webhook_events.states))
      and recorded.received_at between replay_webhook_events.received_from and replay_webhook_events.received_until
    order by recorded.id
    limit replay_webhook_events.max_events
    for update skip locked
  ) as chosen;
  perform private.lock_contacts((
    select coalesce(jsonb_agg(element.value), '[]')
    from private.webhook_events as recorded
    cross join jsonb_array_elements(recorded.elements) as element (value)
    where recorded.id = any (event_ids)
  ));
  foreach event_id in array coalesce(event_ids, '{}') loop
    perform private.try_webhook_event(event_id);
    return query
    select recorded.id, recorded.state, recorded.error
    from private.webhook_events as recorded where recorded.id = event_id;
  end loop;
end;
$$;
comment on function public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer) is
  'Process recorded events again: the given ones, or those of the given states and time, oldest first. Repeats store '
  'nothing twice. For service_role only.';

-- Upkeep -----------------------------------------------------------------------------------------

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
    from private.webhook_events as event
    join public.connections as source
      on source.phone_number_id = event.phone_number_id and source.platform = 'whatsapp'
    where event.phone_number_id = count_failed_events.phone_number_id
      and event.state in ('received', 'failed')
      and event.received_at > now() - interval '30 days'
      and event.received_at > private.number_held_since(source.phone_number_id, source.workspace_id)
      and source.workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer']))
  );
end;
$$;
comment on function private.count_failed_events(text) is 'Events of a number that are recorded but not processed.';

create function public.prune_webhook_events(keep_days integer default 30)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  pruned bigint;
begin
  if prune_webhook_events.keep_days is null or prune_webhook_events.keep_days < 1 then
    raise exception 'keep_days must be at least 1' using errcode = '22023';
  end if;
  delete from private.webhook_events as recorded
  where recorded.state in ('processed', 'ignored')
    and recorded.received_at < now() - make_interval(days => prune_webhook_events.keep_days);
  get diagnostics pruned = row_count;
  -- A change whose message has not arrived by then belongs to one that never will.
  delete from private.waiting_updates as waiting
  where waiting.created_at < now() - make_interval(days => prune_webhook_events.keep_days);
  return pruned;
end;
$$;
comment on function public.prune_webhook_events(integer) is
  'Delete processed and ignored events older than keep_days, and changes that waited as long for their message, '
  'sooner than prune_records() does. Failed events are kept. Returns the number of deleted events. For service_role '
  'only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.process_webhook_event(bigint),
  private.try_webhook_event(bigint),
  public.record_webhook_event(text, text, text, text, jsonb),
  public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer),
  private.count_failed_events(text),
  public.prune_webhook_events(integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.process_webhook_event(bigint),
  private.try_webhook_event(bigint),
  public.record_webhook_event(text, text, text, text, jsonb),
  public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer),
  public.prune_webhook_events(integer)
to service_role;
grant execute on function private.count_failed_events(text) to authenticated;
