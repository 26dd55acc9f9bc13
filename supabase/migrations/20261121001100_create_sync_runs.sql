-- Purpose: fetch history from Kapso, and repair what its webhooks lost, in slices that can be cut off anywhere.
-- Objects: sync_runs, private.sync_conversations, columns of connections and private.connection_secrets,
--   connection_health, the functions of a run; private.process_webhook_event and private.lock_contacts
--   share their work with it.
-- Risk: adds nullable columns to connections (no rewrite). Replaces two private functions.

alter table public.connections
  add column last_event_at timestamptz,
  add column confirmed_until timestamptz,
  add column statuses_checked_until timestamptz;
comment on column public.connections.last_event_at is 'When Kapso''s webhook last brought an event. Moves at most once a second.';
comment on column public.connections.confirmed_until is 'Everything Kapso stored until then is here: where the next repair begins, less an overlap.';
comment on column public.connections.statuses_checked_until is 'Up to when sent messages without a delivery were looked up at Kapso: see due_status_checks().';

alter table private.connection_secrets add column kapso_api_key bytea;
comment on column private.connection_secrets.kapso_api_key is 'Key of the Kapso project, AES-GCM under CREDENTIALS_KEY: 12 bytes nonce, then ciphertext.';

create function public.set_kapso_api_key(connection_id uuid, api_key text)
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
end;
$$;
comment on function public.set_kapso_api_key(uuid, text) is
  'Keep the encrypted Kapso key (base64) of a connection; null removes it. For service_role only.';

create function public.kapso_api_key(connection_id uuid)
returns text
language sql
stable
set search_path = ''
as $$
  select encode(secret.kapso_api_key, 'base64')
  from private.connection_secrets as secret
  where secret.connection_id = kapso_api_key.connection_id;
$$;
comment on function public.kapso_api_key(uuid) is
  'The Kapso key of a connection, encrypted, in base64; null where it has none. For service_role only.';

-- Storing what Kapso tells, shared by webhooks and runs -----------------------------------------

drop function private.lock_contacts(bigint[]);
create function private.lock_contacts(elements jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- All of them, in one order, before anything is written: two callers can never wait for each other.
  perform pg_catalog.pg_advisory_xact_lock(contact.key)
  from (
    select distinct pg_catalog.hashtextextended('kapso contact ' || ltrim(identifier.value, '+'), 0) as key
    from jsonb_array_elements(lock_contacts.elements) as element (value)
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
    order by key
  ) as contact;
end;
$$;
comment on function private.lock_contacts(jsonb) is
  'Keep everybody else away from the contacts of Kapso''s elements until the transaction ends. Without it two first events of a customer, one with a phone and one without, would make two people and two threads.';

create type private.kapso_outcome as (
  conversation_id uuid,
  external_conversation_id text,
  outcome text,
  messages_added integer,
  person_id uuid,
  error text
);
comment on type private.kapso_outcome is 'What became of a KapsoConversation: see private.store_kapso_conversation.';

create function private.store_kapso_conversation(source public.connections, given jsonb)
returns private.kapso_outcome
language plpgsql
volatile
set search_path = ''
as $$
declare
  candidates text[] := array[given ->> 'external_conversation_id'] || array(
    select alias.value from jsonb_array_elements_text(coalesce(given -> 'thread_aliases', '[]')) as alias (value)
  );
  person uuid;
  stored record;
begin
  person := private.ensure_person(
    source.workspace_id, given -> 'person', coalesce((given ->> 'is_history')::boolean, false)
  );
  select outcome.* into stored
  from public.ingest_conversations(
    source.id,
    jsonb_build_array(
      (given - 'thread_aliases' - 'person' - 'session' - 'inactive_since')
        || jsonb_build_object('external_conversation_id', private.thread_of(source, candidates))
    )
  ) as outcome;
  if stored.outcome <> 'error' then
    insert into private.thread_aliases (workspace_id, user_id, alias, conversation_id)
    select source.workspace_id, source.user_id, candidate.key, stored.id
    from (select distinct key from unnest(candidates) as given_key (key) order by key) as candidate
    where candidate.key <> stored.external_conversation_id
    on conflict on constraint thread_aliases_pkey do nothing;
    update public.conversations as conversation
    set person_id = person
    where conversation.id = stored.id and conversation.person_id is null and person is not null;
    if given -> 'session' ->> 'id' is not null then
      perform private.apply_session(stored.id, given -> 'session', (given ->> 'inactive_since')::timestamptz);
    end if;
  end if;
  return row(
    stored.id, stored.external_conversation_id, stored.outcome, stored.messages_added, person, left(stored.error, 5)
  )::private.kapso_outcome;
end;
$$;
comment on function private.store_kapso_conversation(public.connections, jsonb) is
  'Store a KapsoConversation through the one door, in whichever thread its contact has, with its person, aliases and session. The contact is locked by the caller. error is a SQLSTATE.';

create or replace function private.process_webhook_event(event_id bigint)
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

  -- As last_synced_at: whoever finds the row taken leaves it.
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

create or replace function public.replay_webhook_events(
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

-- Runs ------------------------------------------------------------------------------------------

create table public.sync_runs (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  connection_id uuid not null,
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
  'Progress of what kapso-sync does for a connection: history (all conversations, newest messages first) or repair (what webhooks lost lately). A run is cut into slices; every stored page saves where the next one begins.';
comment on column public.sync_runs.id is 'Primary key.';
comment on column public.sync_runs.workspace_id is 'The workspace.';
comment on column public.sync_runs.connection_id is 'The Kapso number.';
comment on column public.sync_runs.mode is 'history or repair.';
comment on column public.sync_runs.state is 'running: under way, or waiting for its next slice. stopped: by a member; going on is possible. failed: see error; going on is possible. partial: finished, but some conversations could not be read or stored. done.';
comment on column public.sync_runs.phase is 'conversations: listing them. messages: reading them, one conversation after the other. recent: whatever came meanwhile (repair: since the last one). statuses: looking up messages that were sent and not delivered. finished.';
comment on column public.sync_runs.messages_per_conversation is 'How many of its newest messages are read of each conversation. Null: all.';
comment on column public.sync_runs.since is 'Only what Kapso stored since then. Null: everything.';
comment on column public.sync_runs.is_dry_run is 'True: everything is read and counted, nothing is stored.';
comment on column public.sync_runs.requested_by is 'The member who began it. Null: the schedule, or a program with the service key.';
comment on column public.sync_runs.cursor is 'Where the list of the present phase goes on. Null: at its beginning.';
comment on column public.sync_runs.walk_started_at is 'When the present walk through the list of conversations began. The list moves while it is walked, so it is walked again for what became active since.';
comment on column public.sync_runs.walk_since is 'From when on the present walk lists conversations that were active. Null: all of them.';
comment on column public.sync_runs.walk_added is 'Conversations that the present walk found new.';
comment on column public.sync_runs.conversations_total is 'Kapso''s conversations that were listed. Each is a session; several can be one thread.';
comment on column public.sync_runs.conversations_done is 'Those whose messages are stored.';
comment on column public.sync_runs.conversations_failed is 'Those that could not be read or stored.';
comment on column public.sync_runs.messages_read is 'Messages read from Kapso.';
comment on column public.sync_runs.messages_added is 'Those that were new. Of a dry run: that would have been.';
comment on column public.sync_runs.people_created is 'People who were not known.';
comment on column public.sync_runs.conversations_created is 'Threads that were not there.';
comment on column public.sync_runs.statuses_checked is 'Messages whose delivery was looked up.';
comment on column public.sync_runs.failures is 'Slices in a row that ended with a passing failure, such as Kapso not answering.';
comment on column public.sync_runs.error is 'What went wrong last. Null once it went on.';
comment on column public.sync_runs.retry_at is 'Not to be taken up before, after a passing failure.';
comment on column public.sync_runs.stop_requested_at is 'When a member asked it to stop. It stops at the next page.';
comment on column public.sync_runs.lease is 'Held by the slice under way, which no other can be beside.';
comment on column public.sync_runs.lease_expires_at is 'When the slice counts as dead.';
comment on column public.sync_runs.started_at is 'When it began.';
comment on column public.sync_runs.updated_at is 'When it last moved.';
comment on column public.sync_runs.finished_at is 'When everything was read.';

create unique index sync_runs_open_key on public.sync_runs (connection_id, mode, is_dry_run) where finished_at is null;
comment on index public.sync_runs_open_key is 'One run at a time for each connection and mode.';
create index sync_runs_workspace_id_started_at_idx on public.sync_runs (workspace_id, started_at desc);
comment on index public.sync_runs_workspace_id_started_at_idx is 'The list of runs.';
create index sync_runs_workspace_id_connection_id_idx on public.sync_runs (workspace_id, connection_id);
create index sync_runs_requested_by_idx on public.sync_runs (requested_by) where requested_by is not null;
comment on index public.sync_runs_requested_by_idx is 'For when the user is deleted.';

create trigger sync_runs_touch_updated_at
  before update on public.sync_runs
  for each row execute function private.touch_updated_at();

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
comment on table private.sync_conversations is 'The conversations a history run has listed, and how far each is. Emptied when the run is done.';
comment on column private.sync_conversations.run_id is 'The run.';
comment on column private.sync_conversations.session_id is 'Kapso''s id of the conversation.';
comment on column private.sync_conversations.position is 'Order in which they are read.';
comment on column private.sync_conversations.conversation is 'The row of Kapso''s list: a WireConversation, defined in supabase/functions/_shared/kapso/schema.ts.';
comment on column private.sync_conversations.state is 'waiting, done or failed.';
comment on column private.sync_conversations.cursor is 'Where the list of its messages goes on.';
comment on column private.sync_conversations.messages_read is 'Messages read so far.';
comment on column private.sync_conversations.messages_added is 'Those that were new.';
comment on column private.sync_conversations.error is 'Why it failed.';
create unique index sync_conversations_run_id_position_key on private.sync_conversations (run_id, position);
create index sync_conversations_waiting_idx on private.sync_conversations (run_id, position) where state = 'waiting';
comment on index private.sync_conversations_waiting_idx is 'Which conversation is next.';

create function public.begin_sync_run(
  connection_id uuid,
  mode text,
  messages_per_conversation integer,
  since timestamptz,
  is_dry_run boolean,
  requested_by uuid,
  lease_seconds integer default 60
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
    and known.finished_at is null
  for no key update;

  if open_run.lease_expires_at > now() then
    return query select to_jsonb(open_run), false, true;
    return;
  end if;
  if open_run.id is not null and (
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
    (workspace_id, connection_id, mode, phase, messages_per_conversation, since, is_dry_run, requested_by,
      lease, lease_expires_at, walk_since)
  values (
    source.workspace_id,
    source.id,
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
comment on function public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer) is
  'Take up the open run of a connection, or begin one, and hold its lease. run is a row of sync_runs; is_mine is false where another slice holds it. For service_role only.';

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
    raise exception 'The lease of this run is lost' using errcode = '55006';
  end if;
  return held;
end;
$$;
comment on function private.hold_sync_run(uuid, uuid, integer) is
  'Lock a run and keep its lease. Fails with 55006 where another slice has taken it over: nothing of the caller''s page is stored then.';

create function public.add_sync_conversations(
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
comment on function public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer) is
  'Keep a page of Kapso''s list of conversations (rows as they came) and where the list goes on. For service_role only.';

create function public.next_sync_conversations(run_id uuid, max_conversations integer)
returns table (session_id text, "position" integer, conversation jsonb, cursor text, messages_read integer, messages_added integer)
language sql
stable
set search_path = ''
as $$
  select waiting.session_id, waiting.position, waiting.conversation, waiting.cursor, waiting.messages_read,
    waiting.messages_added
  from private.sync_conversations as waiting
  where waiting.run_id = next_sync_conversations.run_id and waiting.state = 'waiting'
  order by waiting.position
  limit next_sync_conversations.max_conversations;
$$;
comment on function public.next_sync_conversations(uuid, integer) is
  'The conversations of a history run that are to be read next, in order. For service_role only.';

create function private.count_new_messages(source public.connections, elements jsonb)
returns integer
language sql
stable
set search_path = ''
as $$
  select count(distinct (found.thread, message.value ->> 'id'))::integer
  from jsonb_array_elements(count_new_messages.elements) as element (value)
  cross join lateral (
    select private.thread_of(
      count_new_messages.source,
      array[element.value #>> '{conversation,external_conversation_id}'] || array(
        select jsonb_array_elements_text(coalesce(element.value #> '{conversation,thread_aliases}', '[]'))
      )
    ) as thread
  ) as found
  cross join lateral jsonb_array_elements(coalesce(element.value #> '{conversation,messages}', '[]')) as message (value)
  where element.value ->> 'kind' = 'conversation'
    and not exists (
      select 1
      from public.conversations as conversation
      join private.message_keys as known on known.conversation_id = conversation.id
      where conversation.user_id = (count_new_messages.source).user_id
        and conversation.workspace_id = (count_new_messages.source).workspace_id
        and conversation.platform = (count_new_messages.source).platform
        and conversation.external_conversation_id = found.thread
        and known.message_digest = encode(substr(sha256(convert_to(message.value ->> 'id', 'UTF8')), 1, 16), 'hex')::uuid
    );
$$;
comment on function private.count_new_messages(public.connections, jsonb) is
  'How many messages of Kapso''s elements are not stored yet. For dry runs.';

create function public.store_sync_page(
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
  select known.* into source
  from public.connections as known
  where known.id = held.connection_id and known.workspace_id = held.workspace_id;

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
    conversations_failed = known.conversations_failed + coalesce((session_state = 'failed')::integer, 0),
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
comment on function public.store_sync_page(uuid, uuid, jsonb, integer, text, text, boolean, integer) is
  'Store a page of messages, as NormalizedElements, and where the list goes on, as one: after a crash the page is either stored and behind, or neither. session_id is null in the phase recent. For service_role only.';

create function public.fail_sync_conversation(
  run_id uuid,
  lease uuid,
  session_id text,
  error text,
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
  update private.sync_conversations as known
  set state = 'failed', error = left(fail_sync_conversation.error, 500)
  where known.run_id = held.id
    and known.session_id = fail_sync_conversation.session_id
    and known.state = 'waiting';
  return query
  update public.sync_runs as known
  set conversations_failed = known.conversations_failed + found::integer
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.fail_sync_conversation(uuid, uuid, text, text, integer) is
  'Note that a conversation cannot be read, and go on without it. For service_role only.';

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
  'Note that all status checks due until then are done. For service_role only.';

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
    -- A run every few minutes: those that found nothing are not worth keeping.
    delete from public.sync_runs as earlier
    where held.mode = 'repair'
      and earlier.connection_id = held.connection_id
      and earlier.workspace_id = held.workspace_id
      and earlier.mode = 'repair'
      and earlier.state = 'done'
      and earlier.messages_added = 0
      and earlier.finished_at < now();
  end if;
  if is_over then
    delete from private.sync_conversations as known
    where known.run_id = held.id and known.state <> 'failed';
  end if;
  return query
  update public.sync_runs as known
  set state = release_sync_run.state,
    phase = case when is_over then 'finished' else known.phase end,
    error = left(release_sync_run.error, 500),
    failures = known.failures + (release_sync_run.retry_seconds is not null)::integer,
    retry_at = now() + make_interval(secs => release_sync_run.retry_seconds),
    lease = null,
    lease_expires_at = null,
    finished_at = case when is_over then now() end
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.release_sync_run(uuid, uuid, text, text, integer) is
  'End a slice: running (another slice goes on, after retry_seconds where something failed for now), stopped, failed, or partial or done at the end. For service_role only.';

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
    -- Nobody is at work on it: it stops here and now.
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
  'Ask a run to stop; it does so at its next page. No row: there is no such open run in a workspace where the caller may. For owners, admins and agents, and the service key.';

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
    and (connections_to_sync.workspace is null or tenant.slug = connections_to_sync.workspace or tenant.id::text = connections_to_sync.workspace)
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
  'The Kapso numbers of a workspace (its slug or id), or the one that is meant (connection_id, id or phone_number_id), as far as the caller may sync them: owners, admins and agents; the service key all. requested_by is the caller.';

create function public.due_sync_runs(max_runs integer default 10)
returns table (connection_id uuid, workspace_id uuid, phone_number_id text, mode text, messages_per_conversation integer, since timestamptz)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
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
      and not open_run.is_dry_run
      and coalesce(open_run.lease_expires_at, '-infinity') <= now()
      and coalesce(open_run.retry_at, '-infinity') <= now()
      and source.is_active
    union all
    select source.id, source.workspace_id, source.phone_number_id, 'repair', null, null, source.confirmed_until
    from public.connections as source
    where source.platform = 'whatsapp'
      and source.phone_number_id is not null
      and source.is_active
      and coalesce(source.confirmed_until, '-infinity') < now() - interval '4 minutes'
      and not exists (
        select 1 from public.sync_runs as known
        where known.connection_id = source.id
          and known.workspace_id = source.workspace_id
          and known.mode = 'repair'
          and known.finished_at is null
          -- One that failed for good, such as with a wrong key, is tried again once an hour.
          and (known.state <> 'failed' or known.updated_at > now() - interval '1 hour')
      )
  ) as due
  order by due.waiting_since nulls first
  limit due_sync_runs.max_runs;
end;
$$;
comment on function public.due_sync_runs(integer) is
  'What the schedule has to do: runs that wait for their next slice, and connections whose repair is due. For service_role only.';

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
    select message.value ->> 'id' as message_id, (message.value ->> 'sent_at')::timestamptz + age.after as due_at,
      source.statuses_checked_until
    from public.connections as source
    join public.conversations as conversation
      on conversation.workspace_id = source.workspace_id
      and conversation.connection_id = source.id
      and conversation.activity_at > now() - interval '4 days'
    cross join lateral jsonb_array_elements(conversation.messages) as message (value)
    cross join unnest(array[
      interval '10 minutes', interval '1 hour', interval '6 hours', interval '1 day', interval '3 days'
    ]) as age (after)
    where source.id = due_status_checks.connection_id
      and message.value ->> 'direction' = 'outbound'
      and message.value ->> 'status' in ('pending', 'sent')
      and message.value ->> 'id' like 'wamid.%'
  ) as due
  where due.due_at <= now()
    and due.due_at > coalesce(due.statuses_checked_until, now() - interval '1 day')
  group by due.message_id
  order by max(due.due_at), due.message_id
  limit due_status_checks.max_messages;
end;
$$;
comment on function public.due_status_checks(uuid, integer) is
  'Messages that were sent and not delivered as far as is known, and are 10 minutes, 1 hour, 6 hours, 1 day or 3 days old since the last check: a phone that is off is not asked after every time. For service_role only.';

create function private.count_failed_events(phone_number_id text)
returns bigint
language plpgsql
stable
-- Definer because events are private; only the members of the number''s workspace are answered.
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
      and source.workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer']))
  );
end;
$$;
comment on function private.count_failed_events(text) is 'Events of a number that are recorded but not processed.';

create view public.connection_health with (security_invoker = true) as
select
  source.id,
  source.workspace_id,
  source.last_synced_at,
  source.last_event_at,
  source.confirmed_until,
  extract(epoch from now() - source.confirmed_until)::integer as lag_seconds,
  extract(epoch from now() - greatest(source.last_event_at, source.last_synced_at))::integer as silence_seconds,
  case when source.phone_number_id is not null then private.count_failed_events(source.phone_number_id) else 0 end
    as failed_events
from public.connections as source;
comment on view public.connection_health is
  'How a connection is: lag (seconds since everything was confirmed to be here; null before the first repair or history run), silence (seconds since anything came) and events that could not be processed.';

-- Calling functions on a schedule ----------------------------------------------------------------

create function private.call_function(path text, body jsonb default '{}')
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  project_url text;
  service_key text;
begin
  select secret.decrypted_secret into project_url from vault.decrypted_secrets as secret where secret.name = 'project_url';
  select secret.decrypted_secret into service_key from vault.decrypted_secrets as secret where secret.name = 'service_key';
  if project_url is null or service_key is null then
    raise exception 'The schedule cannot call functions: the Vault has no project_url or no service_key'
      using errcode = '55000', hint = 'docs/operations.md says how to put them there.';
  end if;
  perform net.http_post(
    url := rtrim(project_url, '/') || '/functions/v1/' || call_function.path,
    headers := jsonb_build_object('Content-Type', 'application/json', 'apikey', service_key),
    body := call_function.body,
    timeout_milliseconds := 5000
  );
end;
$$;
comment on function private.call_function(text, jsonb) is
  'Call an Edge Function with the service key, without waiting for its answer. Needs pg_net, and the secrets project_url and service_key in the Vault. For pg_cron.';
revoke execute on function private.call_function(text, jsonb) from public, anon, authenticated, service_role;

do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron')
    and exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_cron;
    create extension if not exists pg_net;
    perform cron.schedule('kapso-sync', '* * * * *', $job$select private.call_function('kapso-sync/tick')$job$);
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  public.set_kapso_api_key(uuid, text),
  public.kapso_api_key(uuid),
  private.lock_contacts(jsonb),
  private.store_kapso_conversation(public.connections, jsonb),
  private.hold_sync_run(uuid, uuid, integer),
  private.count_new_messages(public.connections, jsonb),
  private.stop_sync_run(uuid),
  private.count_failed_events(text),
  public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer),
  public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer),
  public.next_sync_conversations(uuid, integer),
  public.store_sync_page(uuid, uuid, jsonb, integer, text, text, boolean, integer),
  public.fail_sync_conversation(uuid, uuid, text, text, integer),
  public.advance_sync_run(uuid, uuid, text, integer),
  public.note_status_checks(uuid, uuid, integer, timestamptz, integer),
  public.release_sync_run(uuid, uuid, text, text, integer),
  public.stop_sync_run(uuid),
  public.connections_to_sync(text, text),
  public.due_sync_runs(integer),
  public.due_status_checks(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.set_kapso_api_key(uuid, text),
  public.kapso_api_key(uuid),
  private.lock_contacts(jsonb),
  private.store_kapso_conversation(public.connections, jsonb),
  private.hold_sync_run(uuid, uuid, integer),
  private.count_new_messages(public.connections, jsonb),
  public.begin_sync_run(uuid, text, integer, timestamptz, boolean, uuid, integer),
  public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer),
  public.next_sync_conversations(uuid, integer),
  public.store_sync_page(uuid, uuid, jsonb, integer, text, text, boolean, integer),
  public.fail_sync_conversation(uuid, uuid, text, text, integer),
  public.advance_sync_run(uuid, uuid, text, integer),
  public.note_status_checks(uuid, uuid, integer, timestamptz, integer),
  public.release_sync_run(uuid, uuid, text, text, integer),
  public.connections_to_sync(text, text),
  public.due_sync_runs(integer),
  public.due_status_checks(uuid, integer)
to service_role;
grant execute on function
  private.count_failed_events(text),
  public.connections_to_sync(text, text)
to authenticated;
grant execute on function
  private.stop_sync_run(uuid),
  public.stop_sync_run(uuid)
to authenticated, service_role;

grant select on public.sync_runs to authenticated;
grant all on public.sync_runs to service_role;
grant all on private.sync_conversations to service_role;
grant select on public.connection_health to authenticated;

alter table public.sync_runs enable row level security;
alter table private.sync_conversations enable row level security;
create policy "Members can read the runs of their workspaces" on public.sync_runs
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
