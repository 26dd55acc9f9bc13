-- Accepts webhook events and processes them: at once while a number has no queue, else in batches.
--
-- A session that processes events of a number holds its lock, so they are processed in order of arrival. An event that finds the
-- lock taken or others waiting is only recorded, and a drain takes up to 50 of a number in one pass.

create type private.webhook_work as (
  id bigint,
  received_at timestamptz,
  phone_number_id text,
  elements jsonb
);
comment on type private.webhook_work is 'What processing needs of an event.';

create type private.webhook_result as (
  id bigint,
  received_at timestamptz,
  state text,
  error text
);
comment on type private.webhook_result is 'What processing made of an event: its new state, and why.';

create type private.webhook_finding as (
  event_place bigint,
  problem text,
  note text
);
comment on type private.webhook_finding is
  'What processing found in an element of the event at a place of a batch. A problem makes the event fail, a note says why '
  'an element was left out; with neither, the element is stored.';

create type private.webhook_element as (
  event_place bigint,
  kind text,
  value jsonb,
  note text
);
comment on type private.webhook_element is
  'An element of the event at a place of a batch. note: why it is left out, else null.';

create function private.webhook_lock_key(phone_number_id text)
returns bigint
language plpgsql
immutable
set search_path = ''
as $$
begin
  return pg_catalog.hashtextextended('webhook events ' || webhook_lock_key.phone_number_id, 0);
end;
$$;
comment on function private.webhook_lock_key(text) is
  'Key of the advisory lock on the events of a number. It comes before every other lock; only a replay waits for it.';

-- Processing -------------------------------------------------------------------------------------

create function private.process_webhook_conversations(
  source public.connections,
  conversations jsonb,
  places bigint[]
)
returns private.webhook_finding[]
language plpgsql
volatile
set search_path = ''
as $$
begin
  return array(
    select row(
      places[stored.ordinal], case when stored.outcome = 'error' then stored.error end, null
    )::private.webhook_finding
    from private.try_kapso_conversations(source, process_webhook_conversations.conversations) with ordinality
      as stored (conversation_id, external_conversation_id, outcome, messages_added, person_id, error, ordinal)
  );
end;
$$;
comment on function private.process_webhook_conversations(public.connections, jsonb, bigint[]) is
  'Store the conversations of events. places: the place of the event of each.';

create function private.process_webhook_elements(source public.connections, elements private.webhook_element[])
returns private.webhook_finding[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  findings private.webhook_finding[];
  conversations jsonb;
  places bigint[];
  element private.webhook_element;
begin
  select array_agg(row(
    given.event_place, case when given.note is null then 'the connection is inactive' end, given.note
  )::private.webhook_finding)
  into findings
  from unnest(elements) as given
  where given.note is not null or not source.is_active;

  select jsonb_agg(given.value -> 'conversation' order by given.ordinal), array_agg(given.event_place order by given.ordinal)
  into conversations, places
  from unnest(elements) with ordinality as given (event_place, kind, value, note, ordinal)
  where given.kind = 'conversation' and given.note is null and source.is_active;

  -- Of people alone, who come before conversations; and then what changes conversations that are stored.
  for element in
    select given.event_place, given.kind, given.value, given.note
    from unnest(elements) with ordinality as given (event_place, kind, value, note, ordinal)
    where given.kind <> 'conversation' and given.note is null and source.is_active
    order by given.kind = 'marketing_preference' desc, given.ordinal
  loop
    if conversations is not null and element.kind <> 'marketing_preference' then
      findings := findings || private.process_webhook_conversations(source, conversations, places);
      conversations := null;
    end if;
    begin
      case element.kind
        when 'identity_change' then
          findings := findings || row(element.event_place, null, case
            when not private.change_identity(source, element.value) then 'no person has these identifiers yet'
          end)::private.webhook_finding;
        when 'marketing_preference' then
          perform private.change_marketing_preference(source, element.value);
          findings := findings || row(element.event_place, null, null)::private.webhook_finding;
      end case;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or case_not_found then
      findings := findings || row(element.event_place, sqlstate, null)::private.webhook_finding;
    end;
  end loop;
  if conversations is not null then
    findings := findings || private.process_webhook_conversations(source, conversations, places);
  end if;
  return findings;
end;
$$;
comment on function private.process_webhook_elements(public.connections, private.webhook_element[]) is
  'Process elements of one number, in order of arrival. source: no row values where no connection has the number.';

create function private.process_webhook_events(events private.webhook_work[])
returns private.webhook_result[]
language plpgsql
volatile
set search_path = ''
-- An import that holds a conversation for long must not keep the queue of a number waiting.
set lock_timeout = '2s'
as $$
declare
  elements jsonb;
  numbers text[];
  number text;
  source public.connections;
  element record;
  findings private.webhook_finding[] := '{}';
begin
  select jsonb_agg(given.value), array_agg(distinct given.value ->> 'phoneNumberId')
  into elements, numbers
  from unnest(events) as event
  cross join lateral jsonb_array_elements(event.elements) as given (value)
  where given.value ->> 'kind' <> 'ignored';
  perform private.lock_contacts(elements);
  if jsonb_array_length(elements) > 1 then
    for source in
      select known.* from public.connections as known
      where known.phone_number_id = any (numbers) and known.platform = 'whatsapp' and known.is_active
      order by known.phone_number_id
    loop
      perform pg_catalog.pg_advisory_xact_lock_shared(private.people_lock_key(source.workspace_id));
      -- The people of all numbers come before the first conversation.
      if cardinality(numbers) > 1 then
        perform private.ensure_people(source.workspace_id, jsonb_path_query_array(
          elements, '$[*] ? (@.phoneNumberId == $number && @.kind == "conversation").conversation',
          jsonb_build_object('number', source.phone_number_id)
        ));
      end if;
    end loop;
  end if;

  -- Nearly always one number. The colon is that of the keys of conversations, which are locked in their order.
  foreach number in array coalesce(
    array(select known.number from unnest(numbers) as known (number) order by known.number || ':' collate "C"), '{}'
  ) loop
    select known.* into source
    from public.connections as known
    where known.phone_number_id = number and known.platform = 'whatsapp';
    findings := findings || private.process_webhook_elements(
      source,
      array(
        select row(event.place, given.value ->> 'kind', given.value, case
          -- Notes and no problems: a later owner of the number never gets what arrived before, so there is nothing to
          -- retry.
          when source.id is null then 'no connection has proven this phone_number_id'
          when source.number_claimed_at >= event.received_at then 'the connection got the number after this arrived'
        end)::private.webhook_element
        from unnest(events) with ordinality
          as event (id, received_at, phone_number_id, elements, place)
        cross join lateral jsonb_array_elements(event.elements) with ordinality as given (value, ordinal)
        where given.value ->> 'kind' <> 'ignored' and given.value ->> 'phoneNumberId' = number
        order by event.place, given.ordinal
      )
    );
    -- As last_synced_at: a transaction that finds the row locked skips it.
    update public.connections as busy
    set last_event_at = (
      select max(event.received_at) from unnest(events) as event where event.phone_number_id = number
    )
    where busy.id in (
      select known.id
      from public.connections as known
      where known.id = source.id
        and exists (
          select 1 from unnest(events) as event
          where event.phone_number_id = number
            and event.received_at > known.number_claimed_at
            and event.received_at - interval '1 second' > coalesce(known.last_event_at, '-infinity')
        )
      for no key update skip locked
    );
  end loop;

  return array(
    select row(
      event.id,
      event.received_at,
      case
        when bool_or(found.problem is not null) then 'failed'
        when bool_or(found.event_place is not null and found.note is null) then 'processed'
        else 'ignored'
      end,
      nullif(
        concat_ws('; ', string_agg(found.problem, '; ' order by found.place), string_agg(found.note, '; ' order by found.place)),
        ''
      )
    )::private.webhook_result
    from unnest(events) with ordinality as event (id, received_at, phone_number_id, elements, place)
    left join unnest(findings) with ordinality as found (event_place, problem, note, place)
      on found.event_place = event.place
    group by event.place, event.id, event.received_at
    order by event.place
  );
end;
$$;
comment on function private.process_webhook_events(private.webhook_work[]) is
  'Process events in one pass: each element on its own, so that a bad one does not stop the others. Safe to repeat. Several '
  'events hold conversations of one number alone, see private.next_webhook_events. The caller holds the lock of their number.';

create function private.try_webhook_events(events private.webhook_work[])
returns private.webhook_result[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  failure text;
  event private.webhook_work;
  results private.webhook_result[] := '{}';
begin
  for attempt in 1..case when cardinality(events) = 1 then 3 else 1 end loop
    begin
      return private.process_webhook_events(events);
    exception
      when deadlock_detected or serialization_failure then
        -- Another transaction, such as an import, locked the same rows in another order. It has them now.
        failure := sqlstate;
      when others then
        failure := sqlstate;
        exit;
    end;
  end loop;
  if cardinality(events) = 1 then
    -- After any error the event is recorded and can be replayed; Kapso need not send it again.
    return array[row(events[1].id, events[1].received_at, 'failed', failure)::private.webhook_result];
  end if;
  -- One of them cannot be processed, so each is alone.
  foreach event in array events loop
    results := results || private.try_webhook_events(array[event]);
    -- The rest is for the next drain, before the caller runs out of time: each may wait for a lock.
    exit when clock_timestamp() > statement_timestamp() + interval '4 seconds';
  end loop;
  return results;
end;
$$;
comment on function private.try_webhook_events(private.webhook_work[]) is
  'Process events in one pass, or one by one where that fails. One that fails alone gets the state failed, with its '
  'SQLSTATE. Returns a result for each of them; for the first ones where time runs out.';

create function private.settle_webhook_events(results private.webhook_result[])
returns void
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  with settled as (
    delete from private.open_webhook_events as recorded
    using unnest(results) as result
    where recorded.id = result.id
      and recorded.received_at = result.received_at
      and recorded.state in ('received', 'failed')
      and result.state in ('processed', 'ignored')
    returning recorded.id, recorded.workspace_id, recorded.phone_number_id, recorded.event, recorded.idempotency_key,
      recorded.body, recorded.elements, result.state, result.error, recorded.attempts + 1, recorded.received_at
  )
  insert into private.finished_webhook_events
    (id, workspace_id, phone_number_id, event, idempotency_key, body, elements, state, error, attempts, received_at,
     processed_at)
  overriding system value
  select settled.*, now() from settled;

  update private.open_webhook_events as recorded
  set state = result.state, error = result.error, attempts = recorded.attempts + 1, processed_at = now()
  from unnest(results) as result
  where recorded.id = result.id
    and recorded.received_at = result.received_at
    and recorded.state in ('received', 'failed')
    and result.state = 'failed';
end;
$$;
comment on function private.settle_webhook_events(private.webhook_result[]) is
  'Write results back to open events: finished ones move to the table of their day. The caller holds the lock of their number.';

create function private.passing_errors()
returns text[]
language sql
immutable
set search_path = ''
as $$
  -- Deadlock, serialisation failure, lock not available.
  select array['40P01', '40001', '55P03'];
$$;
comment on function private.passing_errors() is
  'SQLSTATEs of an event that failed because of what others did in that moment: it can succeed later.';

create function private.ensure_webhook_days(moments timestamptz[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- The schedule has made them, if it runs.
  perform private.add_webhook_day(missing.day)
  from (select distinct private.utc_day(given.moment) as day from unnest(moments) as given (moment)) as missing
  where to_regclass('private.' || private.webhook_day_name(missing.day)) is null;
end;
$$;
comment on function private.ensure_webhook_days(timestamptz[]) is
  'Make the tables that events of these times need when they are finished. Before any row or contact is locked.';

-- Accepting --------------------------------------------------------------------------------------

create function private.has_webhook_queue(phone_number_id text)
returns boolean
language plpgsql
stable
set search_path = ''
-- A plan that is made while the queue is empty is kept while it grows.
set jit = off
set enable_seqscan = off
as $$
begin
  return exists (
    select 1 from private.open_webhook_events as waiting
    where waiting.phone_number_id = has_webhook_queue.phone_number_id and waiting.state = 'received'
  );
end;
$$;
comment on function private.has_webhook_queue(text) is 'Whether events of a number wait for a drain.';

create function public.record_webhook_event(
  phone_number_id text,
  event text,
  idempotency_key text,
  body text,
  elements jsonb,
  secret_version text default null
)
returns table (id bigint, state text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  number constant text := record_webhook_event.phone_number_id;
  raw constant bytea := decode(record_webhook_event.body, 'base64');
  digest constant uuid := private.delivery_digest(number, record_webhook_event.idempotency_key, raw);
  owner_id uuid;
  result private.webhook_result;
begin
  if record_webhook_event.secret_version <> private.webhook_secret_version(number) then
    return;
  end if;
  id := nextval('private.webhook_events_id_seq');
  if digest is not null then
    insert into private.webhook_deliveries (digest, event_id, received_at)
    values (digest, id, now())
    on conflict on constraint webhook_deliveries_pkey do nothing;
    if not found then
      return query select known.id, known.state from private.repeat_webhook_event(digest) as known;
      return;
    end if;
  end if;

  select source.workspace_id into owner_id
  from public.connections as source
  where source.phone_number_id = number;
  if owner_id is not null then
    -- A refusal undoes everything: Kapso sends the event again.
    perform private.use_limit(
      'webhook_bytes_per_day', owner_id, interval '1 day', 'webhook_quota_exceeded', octet_length(raw)::bigint
    );
  end if;

  -- At once, where the number has no queue: looked up under its lock, so that no other session takes events of it. What
  -- names no number holds nothing to store.
  if number is null
    or (pg_try_advisory_xact_lock(private.webhook_lock_key(number)) and not private.has_webhook_queue(number))
  then
    perform private.ensure_webhook_days(array[now()]);
    result := (private.try_webhook_events(array[
      row(id, now(), number, record_webhook_event.elements)::private.webhook_work
    ]))[1];
  end if;

  -- Others in the way do not make it fail: then it is the first of a queue.
  if result.state is null or result.error = any (private.passing_errors()) then
    state := 'received';
    insert into private.open_webhook_events
      (id, workspace_id, phone_number_id, event, idempotency_key, body, elements, state)
    overriding system value
    values (
      id, owner_id, number, left(record_webhook_event.event, 200), left(record_webhook_event.idempotency_key, 200), raw,
      record_webhook_event.elements, state
    );
  else
    state := result.state;
    insert into private.webhook_events
      (id, workspace_id, phone_number_id, event, idempotency_key, body, elements, state, error, attempts, processed_at)
    overriding system value
    values (
      id, owner_id, number, left(record_webhook_event.event, 200), left(record_webhook_event.idempotency_key, 200), raw,
      record_webhook_event.elements, state, result.error, 1, now()
    );
  end if;
  return next;
end;
$$;
comment on function public.record_webhook_event(text, text, text, text, jsonb, text) is
  'Record a signed event (body in base64), once for each number, idempotency key and body, and process it at once where its '
  'number has no queue. Returns its state: received where it waits for drain_webhook_events(). An event that cannot be '
  'processed is recorded all the same. Refuses one that is over the limit of its workspace: webhook_quota_exceeded. No row, '
  'and nothing recorded, where the secrets of the number have another version than the one its signature was checked '
  'with. For service_role only.';

create function private.repeat_webhook_event(digest uuid)
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
  select recorded.id, recorded.state into event_id, event_state
  from private.webhook_deliveries as known
  join private.webhook_events as recorded on recorded.id = known.event_id and recorded.received_at = known.received_at
  where known.digest = repeat_webhook_event.digest;
  if event_state = 'failed' then
    return query select replayed.id, replayed.state from public.replay_webhook_events(array[event_id]) as replayed;
    return;
  end if;
  return query
  -- Its day was dropped, and an open event never is.
  select known.event_id, coalesce(event_state, 'processed')
  from private.webhook_deliveries as known
  where known.digest = repeat_webhook_event.digest;
end;
$$;
comment on function private.repeat_webhook_event(uuid) is
  'The event of a delivery that came again, and its state. One that failed is processed again.';

-- Draining ---------------------------------------------------------------------------------------

create function private.webhook_names(elements jsonb)
returns text[]
language plpgsql
immutable
set search_path = ''
as $$
begin
  return array(
    select jsonb_path_query(webhook_names.elements, '$[*].conversation.external_conversation_id') #>> '{}'
    union all
    select jsonb_path_query(webhook_names.elements, '$[*].conversation.thread_aliases[*]') #>> '{}'
  );
end;
$$;
comment on function private.webhook_names(jsonb) is 'Every key under which elements name their conversations.';

create function private.next_webhook_events(phone_number_id text, max_events integer)
returns private.webhook_work[]
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  -- A pass holds all of its elements in memory several times.
  max_bytes constant bigint := 1024 * 1024;
  event private.webhook_work;
  events private.webhook_work[] := '{}';
  bytes bigint := 0;
  is_alone boolean;
  is_end boolean;
  ended_names text[] := '{}';
begin
  for event in
    select recorded.id, recorded.received_at, recorded.phone_number_id, recorded.elements
    from private.open_webhook_events as recorded
    where recorded.phone_number_id = next_webhook_events.phone_number_id and recorded.state = 'received'
    order by recorded.received_at, recorded.id
    limit next_webhook_events.max_events
  loop
    bytes := bytes + pg_column_size(event.elements);
    -- What changes people and the names of conversations, or is about other numbers too, comes after all before it and
    -- before all after it.
    is_alone := jsonb_path_exists(
      event.elements, '$[*] ? (@.kind != "ignored" && (@.kind != "conversation" || @.phoneNumberId != $number))',
      jsonb_build_object('number', event.phone_number_id)
    );
    -- A pass stores all messages before all sessions: whether a message came before or after the end would be lost.
    is_end := jsonb_path_exists(event.elements, '$[*].conversation.session ? (@.status == "ended")');
    exit when cardinality(events) > 0 and (
      is_alone
      or bytes > max_bytes
      or (ended_names <> '{}' and private.webhook_names(event.elements) && ended_names)
      or (is_end and exists (
        select 1 from unnest(events) as earlier
        where private.webhook_names(earlier.elements) && private.webhook_names(event.elements)
      ))
    );
    events := events || event;
    if is_end then
      ended_names := ended_names || private.webhook_names(event.elements);
    end if;
    exit when is_alone;
  end loop;
  return events;
end;
$$;
comment on function private.next_webhook_events(text, integer) is
  'The first received events of a number that can be processed in one pass with the same result as one after the other, at '
  'most max_events. The caller holds the lock of the number.';

create function private.waiting_webhook_numbers(max_numbers integer)
returns setof text
language plpgsql
stable
set search_path = ''
set jit = off
set enable_seqscan = off
as $$
begin
  return query
  with recursive queue as (
    (
      select waiting.phone_number_id, waiting.received_at
      from private.open_webhook_events as waiting
      where waiting.phone_number_id > '' and waiting.state = 'received'
      order by waiting.phone_number_id, waiting.state, waiting.received_at
      limit 1
    )
    union all
    select next.phone_number_id, next.received_at
    from queue
    -- The first of the next number: one probe of the index for each.
    cross join lateral (
      select waiting.phone_number_id, waiting.received_at
      from private.open_webhook_events as waiting
      where waiting.phone_number_id > queue.phone_number_id and waiting.state = 'received'
      order by waiting.phone_number_id, waiting.state, waiting.received_at
      limit 1
    ) as next
  )
  select oldest.phone_number_id
  from (select queue.* from queue limit waiting_webhook_numbers.max_numbers) as oldest
  order by oldest.received_at;
end;
$$;
comment on function private.waiting_webhook_numbers(integer) is
  'Numbers that have received events, the longest waiting first, at most max_numbers.';

create function public.drain_webhook_events(phone_number_id text default null, max_events integer default 50)
returns table (drained integer, is_busy boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  number text;
  events private.webhook_work[];
  results private.webhook_result[];
begin
  drained := 0;
  is_busy := false;
  for number in
    select drain_webhook_events.phone_number_id where drain_webhook_events.phone_number_id is not null
    union all
    select waiting.number from private.waiting_webhook_numbers(100) as waiting (number)
    where drain_webhook_events.phone_number_id is null
  loop
    if not pg_try_advisory_xact_lock(private.webhook_lock_key(number)) then
      is_busy := true;
      continue;
    end if;
    events := private.next_webhook_events(number, least(drain_webhook_events.max_events, 50));
    continue when cardinality(events) = 0;
    perform private.ensure_webhook_days(array(select event.received_at from unnest(events) as event));
    results := private.try_webhook_events(events);
    perform private.settle_webhook_events(results);
    -- One pass to a transaction: a second would lock contacts after conversations.
    drained := cardinality(results);
    is_busy := false;
    exit;
  end loop;
  return next;
end;
$$;
comment on function public.drain_webhook_events(text, integer) is
  'Process the oldest received events of a number, or of the one that has waited longest, at most 50 in one pass. Several '
  'callers at once take different numbers. Returns how many it processed; 0 where nothing waits, or where is_busy says that '
  'another session is at it: call again then, after a moment. For service_role only.';

-- Again ------------------------------------------------------------------------------------------

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
-- Its look-ups are not by key, and most partitions fall out of them.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  chosen bigint[] := replay_webhook_events.ids;
  finished bigint[];
  event private.webhook_work;
  results private.webhook_result[] := '{}';
begin
  if chosen is null then
    chosen := array(
      select recorded.id
      from private.webhook_events as recorded
      where recorded.state = any (replay_webhook_events.states)
        and recorded.received_at between replay_webhook_events.received_from and replay_webhook_events.received_until
      order by recorded.id
      limit replay_webhook_events.max_events
    );
  end if;
  -- Before any other lock. Nothing that holds a contact or a row waits for these.
  perform pg_catalog.pg_advisory_xact_lock(number.key)
  from (
    select distinct private.webhook_lock_key(recorded.phone_number_id) as key
    from private.webhook_events as recorded
    where recorded.id = any (chosen) and recorded.phone_number_id is not null
    order by key
  ) as number;
  perform private.ensure_webhook_days(array(
    select recorded.received_at from private.webhook_events as recorded where recorded.id = any (chosen)
  ));
  perform private.lock_contacts((
    select coalesce(jsonb_agg(element.value), '[]')
    from private.webhook_events as recorded
    cross join jsonb_array_elements(recorded.elements) as element (value)
    where recorded.id = any (chosen)
  ));
  finished := array(
    select recorded.id from private.webhook_events as recorded
    where recorded.id = any (chosen) and recorded.state in ('processed', 'ignored')
  );
  for event in
    select recorded.id, recorded.received_at, recorded.phone_number_id, recorded.elements
    from private.webhook_events as recorded
    where recorded.id = any (chosen)
      -- Another session may have processed it meanwhile.
      and (replay_webhook_events.ids is not null or recorded.state = any (replay_webhook_events.states))
      and recorded.received_at between replay_webhook_events.received_from and replay_webhook_events.received_until
    order by recorded.id
    limit replay_webhook_events.max_events
  loop
    results := results || private.try_webhook_events(array[event]);
  end loop;
  perform private.settle_webhook_events(results);
  -- Those that were finished before. A row whose state changes moves to where it belongs.
  update private.webhook_events as recorded
  set state = result.state, error = result.error, attempts = recorded.attempts + 1, processed_at = now()
  from unnest(results) as result
  where recorded.id = result.id
    and recorded.received_at = result.received_at
    and recorded.id = any (finished);
  return query select result.id, result.state, result.error from unnest(results) as result;
end;
$$;
comment on function public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer) is
  'Process recorded events again: the given ones, or those of the given states and time, oldest first. Repeats store '
  'nothing twice. For service_role only.';

create function public.retry_webhook_events(max_events integer default 20)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (
    select count(*)
    from public.replay_webhook_events(array(
      select recorded.id
      from private.open_webhook_events as recorded
      where recorded.state = 'failed'
        and recorded.error = any (private.passing_errors())
        and recorded.received_at > now() - interval '3 days'
        -- After 1, 2, 4, 8 minutes and so on, at most an hour.
        and recorded.processed_at
          <= now() - least(power(2, recorded.attempts - 1) * interval '1 minute', interval '1 hour')
      order by recorded.received_at
      limit retry_webhook_events.max_events
    ))
  );
end;
$$;
comment on function public.retry_webhook_events(integer) is
  'Process events again that failed because of what others did in that moment, with growing waits, for three days. Others '
  'stay failed, for installation_health and replay_webhook_events(). Returns how many it tried. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

grant usage on sequence private.webhook_events_id_seq to service_role;

revoke execute on function
  private.has_webhook_queue(text),
  private.webhook_lock_key(text),
  private.process_webhook_conversations(public.connections, jsonb, bigint[]),
  private.process_webhook_elements(public.connections, private.webhook_element[]),
  private.process_webhook_events(private.webhook_work[]),
  private.try_webhook_events(private.webhook_work[]),
  private.settle_webhook_events(private.webhook_result[]),
  private.passing_errors(),
  private.ensure_webhook_days(timestamptz[]),
  public.record_webhook_event(text, text, text, text, jsonb, text),
  private.repeat_webhook_event(uuid),
  private.webhook_names(jsonb),
  private.next_webhook_events(text, integer),
  private.waiting_webhook_numbers(integer),
  public.drain_webhook_events(text, integer),
  public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer),
  public.retry_webhook_events(integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.has_webhook_queue(text),
  private.webhook_lock_key(text),
  private.process_webhook_conversations(public.connections, jsonb, bigint[]),
  private.process_webhook_elements(public.connections, private.webhook_element[]),
  private.process_webhook_events(private.webhook_work[]),
  private.try_webhook_events(private.webhook_work[]),
  private.settle_webhook_events(private.webhook_result[]),
  private.passing_errors(),
  private.ensure_webhook_days(timestamptz[]),
  public.record_webhook_event(text, text, text, text, jsonb, text),
  private.repeat_webhook_event(uuid),
  private.webhook_names(jsonb),
  private.next_webhook_events(text, integer),
  private.waiting_webhook_numbers(integer),
  public.drain_webhook_events(text, integer),
  public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer),
  public.retry_webhook_events(integer)
to service_role;
