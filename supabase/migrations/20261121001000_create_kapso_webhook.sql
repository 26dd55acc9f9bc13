-- Purpose: record every signed Kapso event, process it through the one door, and be able to do so again.
-- Objects: private.webhook_events, private.thread_aliases, conversation_sessions, columns of people and
--   private.connection_secrets, record_webhook_event, replay_webhook_events, prune_webhook_events.
-- Risk: adds nullable columns to people (no rewrite).

-- Events ----------------------------------------------------------------------------------------

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
comment on table private.webhook_events is 'Every signed event of Kapso, as it came. Contains message texts: never exposed, pruned by age.';
comment on column private.webhook_events.id is 'Primary key.';
comment on column private.webhook_events.phone_number_id is 'The business number the event is about, where it says so.';
comment on column private.webhook_events.event is 'Name of the event, from its header or body.';
comment on column private.webhook_events.idempotency_key is 'Kapso''s key of the delivery, the same when it is repeated.';
comment on column private.webhook_events.body is 'The raw bytes.';
comment on column private.webhook_events.elements is 'What the function read in it: an array of NormalizedElement, defined in supabase/functions/_shared/kapso/elements.ts. This is what is processed, now and at a replay.';
comment on column private.webhook_events.state is 'received: not processed yet. processed. ignored: nothing in it is for us. failed: see error; replay_webhook_events() tries again.';
comment on column private.webhook_events.error is 'Why it failed or was ignored.';
comment on column private.webhook_events.attempts is 'How often it was processed.';
comment on column private.webhook_events.received_at is 'When it came first.';
comment on column private.webhook_events.processed_at is 'When it was last processed.';

create unique index webhook_events_phone_number_id_idempotency_key_key
  on private.webhook_events (phone_number_id, idempotency_key)
  where idempotency_key is not null;
comment on index private.webhook_events_phone_number_id_idempotency_key_key is
  'A delivery that is repeated is one event. Per number, so that nobody can use up the keys of somebody else.';
create index webhook_events_unprocessed_idx on private.webhook_events (state, received_at) where state <> 'processed';
comment on index private.webhook_events_unprocessed_idx is 'What replay_webhook_events() looks for.';
create index webhook_events_received_at_idx on private.webhook_events (received_at);

-- Threads ---------------------------------------------------------------------------------------

create table private.thread_aliases (
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  alias text collate "C" not null,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  constraint thread_aliases_pkey primary key (user_id, workspace_id, alias),
  constraint thread_aliases_alias_check check (length(alias) between 1 and 512)
);
comment on table private.thread_aliases is
  'Other keys of a WhatsApp thread. A customer is known by phone, by BSUID or by both, and it must be one thread whichever of them an event has.';
comment on column private.thread_aliases.workspace_id is 'The workspace.';
comment on column private.thread_aliases.user_id is 'Owner of the connection, as in the key of conversations.';
comment on column private.thread_aliases.alias is 'A key that an event may have, in the form of external_conversation_id.';
comment on column private.thread_aliases.conversation_id is 'The thread it stands for.';
create index thread_aliases_conversation_id_idx on private.thread_aliases (conversation_id);
create index thread_aliases_workspace_id_idx on private.thread_aliases (workspace_id);

create table public.conversation_sessions (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  session_id text not null,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  started_at timestamptz not null,
  ended_at timestamptz,
  inactive_since timestamptz,
  constraint conversation_sessions_pkey primary key (conversation_id, session_id),
  constraint conversation_sessions_session_id_check check (length(session_id) between 1 and 200)
);
comment on table public.conversation_sessions is
  'What Kapso calls a conversation: a session that ends after a day without messages. All sessions of a customer are one thread.';
comment on column public.conversation_sessions.conversation_id is 'The thread.';
comment on column public.conversation_sessions.session_id is 'Kapso''s id.';
comment on column public.conversation_sessions.workspace_id is 'The workspace, the same as the conversation''s.';
comment on column public.conversation_sessions.started_at is 'When Kapso opened it.';
comment on column public.conversation_sessions.ended_at is 'When it ended. Final.';
comment on column public.conversation_sessions.inactive_since is 'Time of the last message when Kapso last reported inactivity.';
create index conversation_sessions_workspace_id_idx on public.conversation_sessions (workspace_id);

alter table public.people
  add column marketing_status text,
  add column marketing_sequence bigint,
  add column marketing_changed_at timestamptz;
comment on column public.people.marketing_status is 'Whether the person takes marketing messages on WhatsApp, in Kapso''s word: stopped, resumed.';
comment on column public.people.marketing_sequence is 'Number of the change: a higher one wins, in whatever order they come.';
comment on column public.people.marketing_changed_at is 'When the person said so.';

alter table private.connection_secrets
  add column webhook_secret bytea,
  add column previous_webhook_secret bytea,
  add column previous_webhook_expires_at timestamptz;
comment on column private.connection_secrets.webhook_secret is 'Secret Kapso signs with, AES-GCM under CREDENTIALS_KEY: 12 bytes nonce, then ciphertext.';
comment on column private.connection_secrets.previous_webhook_secret is 'The one before, while both are valid.';
comment on column private.connection_secrets.previous_webhook_expires_at is 'Until when the previous one is accepted.';

-- Processing ------------------------------------------------------------------------------------

create function private.ensure_person(workspace_id uuid, contact jsonb, is_history boolean)
returns uuid
language plpgsql
volatile
set search_path = ''
as $$
declare
  identifiers text[] := array(
    select identifier.value from jsonb_array_elements_text(coalesce(contact -> 'identifiers', '[]')) as identifier (value)
  );
  phone text := nullif(contact ->> 'phone', '');
  given_name text := nullif(left(btrim(contact ->> 'name'), 300), '');
  identifier text;
  found uuid;
begin
  if phone is null and cardinality(identifiers) = 0 then
    return null;
  end if;
  foreach identifier in array identifiers || coalesce(array[phone], '{}') loop
    found := coalesce(found, private.match_person(ensure_person.workspace_id, 'whatsapp', identifier));
  end loop;
  if found is null then
    insert into public.people as person (workspace_id, phone, name, kapso_name)
    values (ensure_person.workspace_id, phone, given_name, given_name)
    on conflict on constraint people_workspace_id_phone_digits_key do nothing
    returning person.id into found;
    if found is null then
      -- Somebody else was quicker.
      select person.id into found
      from public.people as person
      where person.workspace_id = ensure_person.workspace_id
        and person.phone_digits = regexp_replace(phone, '[^0-9]', '', 'g');
    end if;
  elsif given_name is not null then
    update public.people as person
    set kapso_name = case when ensure_person.is_history then coalesce(person.kapso_name, given_name) else given_name end,
      name = coalesce(nullif(btrim(person.name), ''), given_name)
    where person.id = found
      and person.workspace_id = ensure_person.workspace_id
      and (
        person.kapso_name is null
        or nullif(btrim(person.name), '') is null
        or (person.kapso_name <> given_name and not ensure_person.is_history)
      );
  end if;
  -- A person who was known by BSUID alone, and whose number is known now.
  if phone is not null then
    update public.people as person
    set phone = ensure_person.contact ->> 'phone'
    where person.id = found
      and person.workspace_id = ensure_person.workspace_id
      and person.phone is null
      and not exists (
        select 1 from public.people as other
        where other.workspace_id = ensure_person.workspace_id
          and other.phone_digits = regexp_replace(ensure_person.contact ->> 'phone', '[^0-9]', '', 'g')
      );
  end if;
  insert into public.person_identities (workspace_id, person_id, platform, identifier)
  select ensure_person.workspace_id, found, 'whatsapp', every.identifier
  from (
    select distinct on (private.identity_key('whatsapp', given.identifier)) given.identifier
    from unnest(identifiers) as given (identifier)
    order by private.identity_key('whatsapp', given.identifier)
  ) as every
  where not exists (
    select 1 from public.person_identities as known
    where known.workspace_id = ensure_person.workspace_id
      and known.platform = 'whatsapp'
      and known.identifier_key = private.identity_key('whatsapp', every.identifier)
  )
  on conflict on constraint person_identities_workspace_id_platform_identifier_key_key do nothing;
  return found;
end;
$$;
comment on function private.ensure_person(uuid, jsonb, boolean) is
  'The person a Kapso contact is, made where there is none: phone, identifiers, kapso_name as Kapso gives them, name only where it is empty. Nothing is overwritten by an empty value.';

create function private.thread_of(source public.connections, candidates text[])
returns text
language sql
stable
set search_path = ''
as $$
  -- The first candidate that is the key or an alias of a thread, else the first candidate itself.
  select coalesce(
    (
      select coalesce(direct.external_conversation_id, aliased.external_conversation_id)
      from unnest(thread_of.candidates) with ordinality as candidate (key, place)
      left join public.conversations as direct
        on direct.user_id = (thread_of.source).user_id
        and direct.workspace_id = (thread_of.source).workspace_id
        and direct.platform = (thread_of.source).platform
        and direct.external_conversation_id = candidate.key
      left join private.thread_aliases as alias
        on alias.user_id = (thread_of.source).user_id
        and alias.workspace_id = (thread_of.source).workspace_id
        and alias.alias = candidate.key
      left join public.conversations as aliased on aliased.id = alias.conversation_id
      where direct.id is not null or aliased.id is not null
      order by candidate.place
      limit 1
    ),
    thread_of.candidates[1]
  );
$$;
comment on function private.thread_of(public.connections, text[]) is
  'Key of the thread that the first known candidate belongs to; the first candidate where none is known.';

create function private.apply_session(conversation_id uuid, session jsonb, inactive_since timestamptz)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  before public.conversation_sessions;
  reported public.conversation_sessions;
  newest public.conversation_sessions;
  reported_at timestamptz := (session ->> 'at')::timestamptz;
begin
  select known.* into before
  from public.conversation_sessions as known
  where known.conversation_id = apply_session.conversation_id and known.session_id = session ->> 'id';
  insert into public.conversation_sessions as known
    (conversation_id, session_id, workspace_id, started_at, ended_at, inactive_since)
  select conversation.id, session ->> 'id', conversation.workspace_id,
    coalesce((session ->> 'started_at')::timestamptz, reported_at),
    case when session ->> 'status' = 'ended' then reported_at end,
    apply_session.inactive_since
  from public.conversations as conversation
  where conversation.id = apply_session.conversation_id
  on conflict on constraint conversation_sessions_pkey do update
  -- The same in whatever order the reports come: the earliest start, the earliest end, the latest silence.
  set started_at = least(known.started_at, excluded.started_at),
    ended_at = least(known.ended_at, excluded.ended_at),
    inactive_since = greatest(known.inactive_since, excluded.inactive_since)
  where known.started_at > excluded.started_at
    or excluded.ended_at < coalesce(known.ended_at, 'infinity')
    or excluded.inactive_since > coalesce(known.inactive_since, '-infinity')
  returning known.* into reported;
  -- A report that neither begins nor ends a session leaves the thread as it is: a member may have closed
  -- it since.
  if reported.session_id is null
    or (before.started_at = reported.started_at and before.ended_at is not distinct from reported.ended_at) then
    return;
  end if;

  -- The newest session decides: the late end of an older one does not close what came after it.
  select known.* into newest
  from public.conversation_sessions as known
  where known.conversation_id = apply_session.conversation_id
  order by known.started_at desc, known.session_id desc
  limit 1;
  if newest.session_id <> reported.session_id then
    return;
  end if;
  update public.conversations as conversation
  set status = decided.status,
    closed_at = case when decided.status = 'closed' then newest.ended_at end,
    updated_at = now()
  from (
    select case
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
      or (decided.status = 'closed' and conversation.closed_at < newest.ended_at)
    );
end;
$$;
comment on function private.apply_session(uuid, jsonb, timestamptz) is
  'Keep a session of a thread, and let the newest session open or close the thread. The conversation is locked by the caller.';

create function private.change_identity(source public.connections, change jsonb)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  previous text[] := array(select jsonb_array_elements_text(coalesce(change -> 'previous', '[]')));
  current text[] := array(select jsonb_array_elements_text(coalesce(change -> 'current', '[]')));
  identifier text;
  owner_id uuid;
begin
  foreach identifier in array previous || current loop
    owner_id := coalesce(owner_id, private.match_person(source.workspace_id, 'whatsapp', identifier));
  end loop;
  if owner_id is null then
    return false;
  end if;
  -- What already belongs to somebody stays with them: two people are never merged on this event.
  foreach identifier in array previous || current loop
    if private.match_person(source.workspace_id, 'whatsapp', identifier) is null then
      insert into public.person_identities (workspace_id, person_id, platform, identifier)
      values (source.workspace_id, owner_id, 'whatsapp', identifier)
      on conflict on constraint person_identities_workspace_id_platform_identifier_key_key do nothing;
    end if;
  end loop;
  insert into private.thread_aliases (workspace_id, user_id, alias, conversation_id)
  select distinct on (source.phone_number_id || ':' || ltrim(newer.identifier, '+'))
    source.workspace_id, source.user_id, source.phone_number_id || ':' || ltrim(newer.identifier, '+'), conversation.id
  from unnest(previous) as older (identifier)
  join public.conversations as conversation
    on conversation.user_id = source.user_id
    and conversation.workspace_id = source.workspace_id
    and conversation.platform = source.platform
    and conversation.external_conversation_id
      = private.thread_of(source, array[source.phone_number_id || ':' || ltrim(older.identifier, '+')])
  cross join unnest(current) as newer (identifier)
  where not exists (
    select 1 from public.conversations as taken
    where taken.user_id = source.user_id
      and taken.workspace_id = source.workspace_id
      and taken.platform = source.platform
      and taken.external_conversation_id = source.phone_number_id || ':' || ltrim(newer.identifier, '+')
  )
  order by source.phone_number_id || ':' || ltrim(newer.identifier, '+'), conversation.created_at
  on conflict on constraint thread_aliases_pkey do nothing;
  return true;
end;
$$;
comment on function private.change_identity(public.connections, jsonb) is
  'A customer has another number or BSUID: the same person and the same thread from now on. False where nobody has any of them.';

create function private.change_marketing_preference(source public.connections, change jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  owner_id uuid;
begin
  owner_id := private.ensure_person(source.workspace_id, jsonb_build_object(
    'phone', (
      select given.value from jsonb_array_elements_text(change -> 'identifiers') as given (value)
      where given.value like '+%' limit 1
    ),
    'identifiers', coalesce((
      select jsonb_agg(given.value) from jsonb_array_elements_text(change -> 'identifiers') as given (value)
      where given.value not like '+%'
    ), '[]')
  ), true);
  update public.people as person
  set marketing_status = change ->> 'status',
    marketing_sequence = (change ->> 'sequence')::bigint,
    marketing_changed_at = coalesce((change ->> 'occurredAt')::timestamptz, now())
  where person.id = owner_id
    and person.workspace_id = source.workspace_id
    and (
      person.marketing_status is null
      or coalesce((change ->> 'sequence')::bigint, -1) > coalesce(person.marketing_sequence, -1)
      or (
        coalesce((change ->> 'sequence')::bigint, -1) = coalesce(person.marketing_sequence, -1)
        and (change ->> 'occurredAt')::timestamptz > person.marketing_changed_at
      )
    );
end;
$$;
comment on function private.change_marketing_preference(public.connections, jsonb) is
  'A customer stopped or resumed marketing messages. The change with the highest sequence holds.';

create function private.lock_contacts(event_ids bigint[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- All of them, in one order, before anything is written: two events can never wait for each other.
  perform pg_catalog.pg_advisory_xact_lock(contact.key)
  from (
    select distinct pg_catalog.hashtextextended('kapso contact ' || ltrim(identifier.value, '+'), 0) as key
    from private.webhook_events as event
    cross join jsonb_array_elements(event.elements) as element (value)
    cross join lateral (
      select substr(given.value, strpos(given.value, ':') + 1) as value
      from jsonb_array_elements_text(
        coalesce(element.value #> '{conversation,thread_aliases}', '[]')
          || coalesce(element.value #> '{conversation,external_conversation_id}', '[]')
      ) as given (value)
      union all
      select given.value
      from jsonb_array_elements_text(
        coalesce(element.value -> 'identifiers', '[]') || coalesce(element.value -> 'previous', '[]')
          || coalesce(element.value -> 'current', '[]')
      ) as given (value)
    ) as identifier
    where event.id = any (lock_contacts.event_ids)
    order by key
  ) as contact;
end;
$$;
comment on function private.lock_contacts(bigint[]) is
  'Keep everybody else away from the contacts of events until the transaction ends. Without it two first events of a customer, one with a phone and one without, would make two people and two threads.';

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
  given jsonb;
  candidates text[];
  person uuid;
  conversation_id uuid;
  stored record;
  batch jsonb := '[]';
  problems text[] := '{}';
  notes text[] := '{}';
  handled integer := 0;
begin
  select known.* into event
  from private.webhook_events as known
  where known.id = process_webhook_event.event_id
  for update;

  perform private.lock_contacts(array[event.id]);

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
    if not source.is_active then
      problems := problems || 'the connection is inactive'::text;
      continue;
    end if;
    handled := handled + 1;

    begin
      case element ->> 'kind'
        when 'conversation' then
          given := element -> 'conversation';
          person := private.ensure_person(
            source.workspace_id, given -> 'person', coalesce((given ->> 'is_history')::boolean, false)
          );
          candidates := array[given ->> 'external_conversation_id'] || array(
            select alias.value from jsonb_array_elements_text(coalesce(given -> 'thread_aliases', '[]')) as alias (value)
          );
          select outcome.* into stored
          from public.ingest_conversations(
            source.id,
            jsonb_build_array(
              (given - 'thread_aliases' - 'person' - 'session' - 'inactive_since')
                || jsonb_build_object('external_conversation_id', private.thread_of(source, candidates))
            )
          ) as outcome;
          if stored.outcome = 'error' then
            problems := problems || left(stored.error, 5);
          else
            conversation_id := stored.id;
            insert into private.thread_aliases (workspace_id, user_id, alias, conversation_id)
            select source.workspace_id, source.user_id, candidate.key, conversation_id
            from (select distinct key from unnest(candidates) as given_key (key) order by key) as candidate
            where candidate.key <> stored.external_conversation_id
            on conflict on constraint thread_aliases_pkey do nothing;
            update public.conversations as conversation
            set person_id = person
            where conversation.id = conversation_id and conversation.person_id is null and person is not null;
            if given -> 'session' ->> 'id' is not null then
              perform private.apply_session(
                conversation_id, given -> 'session', (given ->> 'inactive_since')::timestamptz
              );
            end if;
          end if;
        when 'identity_change' then
          if not private.change_identity(source, element) then
            handled := handled - 1;
            notes := notes || 'nobody has these identifiers yet'::text;
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
end;
$$;
comment on function private.process_webhook_event(bigint) is
  'Process a recorded event: each element on its own, so that a bad one does not keep the others back. Safe to repeat.';

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
        -- Somebody else, such as an import, wanted the same rows in another order. It has them now.
        continue when attempt < 3;
        update private.webhook_events as recorded
        set state = 'failed', error = sqlstate, attempts = recorded.attempts + 1, processed_at = now()
        where recorded.id = try_webhook_event.event_id;
      when others then
        -- Whatever it is, the event is recorded and can be replayed; Kapso must not send it again.
        update private.webhook_events as recorded
        set state = 'failed', error = sqlstate, attempts = recorded.attempts + 1, processed_at = now()
        where recorded.id = try_webhook_event.event_id;
        return;
    end;
  end loop;
end;
$$;
comment on function private.try_webhook_event(bigint) is
  'Process a recorded event; if that fails, note why and go on.';

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
  -- A delivery that is repeated is the same event; locked, so that only one of two processes it.
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
  'Record a signed event (body in base64) and process it. Returns its state; an event that cannot be processed is recorded all the same. For service_role only.';

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
  perform private.lock_contacts(event_ids);
  foreach event_id in array coalesce(event_ids, '{}') loop
    perform private.try_webhook_event(event_id);
    return query
    select recorded.id, recorded.state, recorded.error
    from private.webhook_events as recorded where recorded.id = event_id;
  end loop;
end;
$$;
comment on function public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer) is
  'Process recorded events again: the given ones, or those of the given states and time, oldest first. Nothing is doubled, however often. For service_role only.';

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
  -- A status whose message did not come in a month belongs to one that will not come.
  delete from private.waiting_updates as waiting
  where waiting.created_at < now() - make_interval(days => prune_webhook_events.keep_days);
  return pruned;
end;
$$;
comment on function public.prune_webhook_events(integer) is
  'Delete processed and ignored events that are older than keep_days, and changes that waited as long for their message. Failed events are kept. Returns how many events went. For service_role only.';

create function public.webhook_secrets(phone_number_id text)
returns table (connection_id uuid, secret text, previous_secret text)
language sql
stable
set search_path = ''
as $$
  select connection.id, encode(secret.webhook_secret, 'base64'),
    case when secret.previous_webhook_expires_at > now() then encode(secret.previous_webhook_secret, 'base64') end
  from public.connections as connection
  join private.connection_secrets as secret on secret.connection_id = connection.id
  where connection.phone_number_id = webhook_secrets.phone_number_id
    and connection.platform = 'whatsapp';
$$;
comment on function public.webhook_secrets(text) is
  'The webhook secrets of the connection that owns a number, encrypted, in base64. For service_role only.';

create function public.set_webhook_secret(connection_id uuid, secret text, grace_hours numeric default 24)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update private.connection_secrets as kept
  set previous_webhook_secret = kept.webhook_secret,
    previous_webhook_expires_at = case when kept.webhook_secret is not null
      then now() + make_interval(secs => (set_webhook_secret.grace_hours * 3600)::double precision) end,
    webhook_secret = decode(set_webhook_secret.secret, 'base64'),
    updated_at = now()
  where kept.connection_id = set_webhook_secret.connection_id;
  if not found then
    raise exception 'Unknown connection' using errcode = 'P0002';
  end if;
end;
$$;
comment on function public.set_webhook_secret(uuid, text, numeric) is
  'Keep an encrypted webhook secret (base64) for a connection. The one before works on for grace_hours. For service_role only.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  private.ensure_person(uuid, jsonb, boolean),
  private.thread_of(public.connections, text[]),
  private.apply_session(uuid, jsonb, timestamptz),
  private.change_identity(public.connections, jsonb),
  private.change_marketing_preference(public.connections, jsonb),
  private.lock_contacts(bigint[]),
  private.process_webhook_event(bigint),
  private.try_webhook_event(bigint),
  public.record_webhook_event(text, text, text, text, jsonb),
  public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer),
  public.prune_webhook_events(integer),
  public.webhook_secrets(text),
  public.set_webhook_secret(uuid, text, numeric)
from public, anon, authenticated, service_role;
grant execute on function
  private.ensure_person(uuid, jsonb, boolean),
  private.thread_of(public.connections, text[]),
  private.apply_session(uuid, jsonb, timestamptz),
  private.change_identity(public.connections, jsonb),
  private.change_marketing_preference(public.connections, jsonb),
  private.lock_contacts(bigint[]),
  private.process_webhook_event(bigint),
  private.try_webhook_event(bigint),
  public.record_webhook_event(text, text, text, text, jsonb),
  public.replay_webhook_events(bigint[], text[], timestamptz, timestamptz, integer),
  public.prune_webhook_events(integer),
  public.webhook_secrets(text),
  public.set_webhook_secret(uuid, text, numeric)
to service_role;

grant select on public.conversation_sessions to authenticated;
grant all on public.conversation_sessions to service_role;
grant all on private.webhook_events, private.thread_aliases to service_role;

alter table private.webhook_events enable row level security;
alter table private.thread_aliases enable row level security;
alter table public.conversation_sessions enable row level security;
create policy "Members can read the sessions of their conversations" on public.conversation_sessions
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

-- Pruning, every night, where pg_cron is to be had (hosted, and with Docker). Elsewhere
-- docs/operations.md says how to call it.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('prune-webhook-events', '17 3 * * *', 'select public.prune_webhook_events()');
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;
