-- What Kapso reports about conversations and people, for webhooks and synchronisation alike.

create table private.thread_aliases (
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  platform text not null,
  alias text collate "C" not null,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  constraint thread_aliases_pkey primary key (workspace_id, platform, alias),
  constraint thread_aliases_platform_check check (platform = any (private.platforms())),
  constraint thread_aliases_alias_check check (length(alias) between 1 and 512)
);
comment on table private.thread_aliases is
  'Other keys of a conversation, for messages of any connection. Kapso names a customer by phone, by BSUID or by both, '
  'and all of them belong to one conversation.';
comment on column private.thread_aliases.workspace_id is 'The workspace.';
comment on column private.thread_aliases.platform is 'The platform of the conversation.';
comment on column private.thread_aliases.alias is
  'A key that an event may have, in the form of external_conversation_id.';
comment on column private.thread_aliases.conversation_id is 'The conversation it belongs to.';

create index thread_aliases_conversation_id_idx on private.thread_aliases (conversation_id);

grant all on private.thread_aliases to service_role;
alter table private.thread_aliases enable row level security;

create table public.conversation_sessions (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  session_id text not null,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  started_at timestamptz not null,
  ended_at timestamptz,
  last_ended_at timestamptz,
  active_at timestamptz,
  inactive_since timestamptz,
  constraint conversation_sessions_pkey primary key (conversation_id, session_id),
  constraint conversation_sessions_session_id_check check (length(session_id) between 1 and 200)
);
comment on table public.conversation_sessions is
  'Sessions, which Kapso calls conversations: a session ends after a day without messages. All sessions of a customer '
  'belong to one conversation here.';
comment on column public.conversation_sessions.conversation_id is 'The conversation.';
comment on column public.conversation_sessions.session_id is 'Kapso''s id.';
comment on column public.conversation_sessions.workspace_id is 'The workspace, the same as the conversation''s.';
comment on column public.conversation_sessions.started_at is 'When Kapso opened it.';
comment on column public.conversation_sessions.ended_at is
  'When it ended. Null while it is active, also after it was reopened.';
comment on column public.conversation_sessions.last_ended_at is
  'When Kapso last reported its end. It counts again when a report that it was active before arrives later.';
comment on column public.conversation_sessions.active_at is
  'When Kapso last reported it as active, or a member reopened it. An earlier end no longer counts.';
comment on column public.conversation_sessions.inactive_since is
  'Time of the last message when Kapso last reported inactivity.';

create index conversation_sessions_workspace_id_idx on public.conversation_sessions (workspace_id);

create index conversation_sessions_newest_idx
  on public.conversation_sessions (conversation_id, started_at desc, session_id desc);
comment on index public.conversation_sessions_newest_idx is
  'Finds the newest session of a conversation, which every event needs.';

grant select on public.conversation_sessions to authenticated;
grant all on public.conversation_sessions to service_role;
alter table public.conversation_sessions enable row level security;

create policy "Members can read the sessions of their conversations" on public.conversation_sessions
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

-- People -----------------------------------------------------------------------------------------

create function private.ensure_person(workspace_id uuid, contact jsonb, is_history boolean)
returns uuid
language plpgsql
volatile
set search_path = ''
as $$
declare
  identifiers text[] := array(
    select identifier.value
    from jsonb_array_elements_text(coalesce(contact -> 'identifiers', '[]')) as identifier (value)
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
      -- Another transaction was faster.
      select person.id into found
      from public.people as person
      where person.workspace_id = ensure_person.workspace_id
        and person.phone_digits = private.digits_in(phone);
    end if;
  elsif given_name is not null then
    update public.people as person
    set kapso_name = case
        when ensure_person.is_history then coalesce(person.kapso_name, given_name) else given_name
      end,
      name = coalesce(nullif(btrim(person.name), ''), given_name)
    where person.id = found
      and person.workspace_id = ensure_person.workspace_id
      and (
        person.kapso_name is null
        or nullif(btrim(person.name), '') is null
        or (person.kapso_name <> given_name and not ensure_person.is_history)
      );
  end if;
  -- A person known by BSUID alone until now gets their number.
  if phone is not null then
    update public.people as person
    set phone = ensure_person.contact ->> 'phone'
    where person.id = found
      and person.workspace_id = ensure_person.workspace_id
      and person.phone is null
      and not exists (
        select 1 from public.people as other
        where other.workspace_id = ensure_person.workspace_id
          and other.phone_digits = private.digits_in(ensure_person.contact ->> 'phone')
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
  'Find the person of a Kapso contact, or create them: phone, identifiers and kapso_name as Kapso gives them, name '
  'only where it is empty. An empty value overwrites nothing.';

create function private.contact_lock_key(identifier text)
returns bigint
language plpgsql
immutable
set search_path = ''
as $$
begin
  return pg_catalog.hashtextextended('kapso contact ' || ltrim(contact_lock_key.identifier, '+'), 0);
end;
$$;
comment on function private.contact_lock_key(text) is
  'Key of the advisory lock on a contact of Kapso, with or without the plus sign of a number.';

create function private.lock_contacts(elements jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- All of them, in one order, before any write: two callers can never wait for each other.
  perform pg_catalog.pg_advisory_xact_lock(contact.key)
  from (
    select distinct private.contact_lock_key(identifier.value) as key
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
  'Lock the contacts of Kapso''s elements until the transaction ends. Otherwise two first events of a customer, one '
  'with a phone and one without, would create two people and two conversations.';

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
  -- An identifier that already belongs to a person stays with them: this event never merges two people.
  foreach identifier in array previous || current loop
    if private.match_person(source.workspace_id, 'whatsapp', identifier) is null then
      insert into public.person_identities (workspace_id, person_id, platform, identifier)
      values (source.workspace_id, owner_id, 'whatsapp', identifier)
      on conflict on constraint person_identities_workspace_id_platform_identifier_key_key do nothing;
    end if;
  end loop;
  insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
  select distinct on (source.phone_number_id || ':' || ltrim(newer.identifier, '+'))
    source.workspace_id, source.platform, source.phone_number_id || ':' || ltrim(newer.identifier, '+'), conversation.id
  from unnest(previous) as older (identifier)
  join public.conversations as conversation
    on conversation.workspace_id = source.workspace_id
    and conversation.platform = source.platform
    and conversation.external_conversation_id
      = private.thread_of(source, array[source.phone_number_id || ':' || ltrim(older.identifier, '+')])
  cross join unnest(current) as newer (identifier)
  where not exists (
    select 1 from public.conversations as taken
    where taken.workspace_id = source.workspace_id
      and taken.platform = source.platform
      and taken.external_conversation_id = source.phone_number_id || ':' || ltrim(newer.identifier, '+')
  )
  order by source.phone_number_id || ':' || ltrim(newer.identifier, '+'), conversation.created_at
  on conflict on constraint thread_aliases_pkey do nothing;
  return true;
end;
$$;
comment on function private.change_identity(public.connections, jsonb) is
  'Record that a customer has another number or BSUID: the same person and the same conversation from now on. False '
  'where no person has any of the identifiers.';

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
  'Record that a customer stopped or resumed marketing messages. The change with the highest sequence wins.';

-- Conversations ----------------------------------------------------------------------------------

create function private.thread_of(source public.connections, candidates text[])
returns text
language plpgsql
stable
set search_path = ''
set jit = off
set enable_seqscan = off
as $$
declare
  candidate text;
  thread_id uuid;
begin
  foreach candidate in array thread_of.candidates loop
    thread_id := private.thread_id_of(thread_of.source, candidate);
    if thread_id is not null then
      return (
        select conversation.external_conversation_id from public.conversations as conversation
        where conversation.id = thread_id
      );
    end if;
  end loop;
  return thread_of.candidates[1];
end;
$$;
comment on function private.thread_of(public.connections, text[]) is
  'Key of the conversation that the first known candidate belongs to; the first candidate where none is known.';

create function private.newest_session(conversation_id uuid)
returns public.conversation_sessions
language plpgsql
stable
set search_path = ''
as $$
declare
  newest public.conversation_sessions;
begin
  select known.* into newest
  from public.conversation_sessions as known
  where known.conversation_id = newest_session.conversation_id
  order by known.started_at desc, known.session_id desc
  limit 1;
  return newest;
end;
$$;
comment on function private.newest_session(uuid) is
  'The newest session of a conversation, which decides whether it is open; no row values where it has none.';

-- A session that was reopened can end a second time, and a report that only moves its start, such as the
-- first one to know it, is no new session.
create function private.apply_session(conversation_id uuid, session jsonb, inactive_since timestamptz)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  newest_before public.conversation_sessions := private.newest_session(apply_session.conversation_id);
  newest public.conversation_sessions;
  reported_at timestamptz := (session ->> 'at')::timestamptz;
begin
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
  -- The same result in any order of reports: the earliest start, the latest report of activity, the earliest end
  -- since then, the latest inactivity.
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
  newest := private.newest_session(apply_session.conversation_id);
  -- A report that changes neither the newest session nor its end leaves the conversation as it is: a member may have
  -- closed or reopened it since.
  if newest.session_id = newest_before.session_id and newest.ended_at is not distinct from newest_before.ended_at then
    return;
  end if;
  update public.conversations as conversation
  set status = decided.status,
    closed_at = case when decided.status = 'closed' then newest.ended_at end,
    updated_at = now()
  from (
    select case
      -- It is active again, but a member closed the conversation after that.
      when newest.ended_at is null
        and newest.session_id = newest_before.session_id
        and known.closed_at >= newest.active_at
        then known.status
      when newest.ended_at is null then 'open'
      -- The customer wrote after the end, which is reported only now.
      when known.last_inbound_at > newest.ended_at then 'open'
      else 'closed'
    end as status
    from public.conversations as known
    where known.id = apply_session.conversation_id
  ) as decided
  where conversation.id = apply_session.conversation_id
    and (
      conversation.status <> decided.status
      -- Closed with the session before: messages of the customer in between do not reopen it.
      or (newest.ended_at is not null and decided.status = 'closed' and conversation.closed_at < newest.ended_at)
      -- Closed with this session, which ended earlier than reported before.
      or (
        newest.session_id = newest_before.session_id and decided.status = 'closed'
        and conversation.closed_at = newest_before.ended_at
      )
    );
end;
$$;
comment on function private.apply_session(uuid, jsonb, timestamptz) is
  'Store a session of a conversation, and open or close the conversation as its newest session says. The conversation '
  'is locked by the caller.';

create type private.kapso_outcome as (
  conversation_id uuid,
  external_conversation_id text,
  outcome text,
  messages_added integer,
  person_id uuid,
  error text
);
comment on type private.kapso_outcome is
  'Outcome of storing a KapsoConversation: see private.store_kapso_conversation.';

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
  filed_by_agents private.ingest_change[];
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
    insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
    select source.workspace_id, source.platform, candidate.key, stored.id
    from (select distinct key from unnest(candidates) as given_key (key) order by key) as candidate
    where candidate.key <> stored.external_conversation_id
    on conflict on constraint thread_aliases_pkey do nothing;
    -- The person is locked until the end, so that a concurrent delete waits. If the delete was faster, the
    -- conversation stays without a person, and its next message finds or creates them again.
    update public.conversations as conversation
    set person_id = held.id
    from (
      select known.id
      from public.people as known
      where known.id = person and known.workspace_id = source.workspace_id
      for key share skip locked
    ) as held
    where conversation.id = stored.id and conversation.person_id is null;
    if given -> 'session' ->> 'id' is not null then
      perform private.apply_session(stored.id, given -> 'session', (given ->> 'inactive_since')::timestamptz);
    end if;
    -- ingest_conversations changes only status, reactions and late media of a known message. A message that an AI
    -- agent filed is completed here; nearly always there is none.
    select array_agg(
      row(stored.id, message.value ->> 'id', message.digest, message.value)::private.ingest_change
    ) into filed_by_agents
    from public.agent_sessions as session
    cross join (
      select
        element.value,
        private.message_digest(element.value ->> 'id') as digest
      from jsonb_array_elements(coalesce(given -> 'messages', '[]')) as element (value)
    ) as message
    where session.conversation_id = stored.id
      -- Not a join, which may be planned as a scan of all keys.
      and (
        select true from private.agent_message_keys as key
        where key.session_id = session.id and key.message_digest = message.digest
      );
    if filed_by_agents is not null then
      perform private.apply_changes(filed_by_agents);
      update public.conversations as conversation
      set last_message_preview = newest.preview, last_message_type = newest.type
      from (
        select
          private.message_preview(thread.messages #>> '{-1,content}', thread.messages #>> '{-1,type}') as preview,
          thread.messages #>> '{-1,type}' as type
        from public.conversations as thread
        where thread.id = stored.id
      ) as newest
      where conversation.id = stored.id
        and (conversation.last_message_preview, conversation.last_message_type)
          is distinct from (newest.preview, newest.type);
    end if;
    perform private.queue_media(source, stored.id, given -> 'messages');
  end if;
  return row(
    stored.id, stored.external_conversation_id, stored.outcome, stored.messages_added, person, left(stored.error, 5)
  )::private.kapso_outcome;
end;
$$;
comment on function private.store_kapso_conversation(public.connections, jsonb) is
  'Store a KapsoConversation through ingest_conversations, in the conversation its contact has, with its person, '
  'aliases and session. The contact is locked by the caller. error is a SQLSTATE.';

create function private.kapso_side(conversation public.conversations)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select jsonb_build_object(
    'connection_id', connection.id,
    'phone_number_id', connection.phone_number_id,
    'session_id', (private.newest_session((kapso_side.conversation).id)).session_id
  )
  from private.sending_connection(kapso_side.conversation) as connection;
$$;
comment on function private.kapso_side(public.conversations) is
  'Where a conversation is at Kapso: {connection_id, phone_number_id, session_id of the newest session}; null where '
  'it is not there.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.ensure_person(uuid, jsonb, boolean),
  private.contact_lock_key(text),
  private.lock_contacts(jsonb),
  private.change_identity(public.connections, jsonb),
  private.change_marketing_preference(public.connections, jsonb),
  private.thread_of(public.connections, text[]),
  private.newest_session(uuid),
  private.apply_session(uuid, jsonb, timestamptz),
  private.store_kapso_conversation(public.connections, jsonb),
  private.kapso_side(public.conversations)
from public, anon, authenticated, service_role;
grant execute on function
  private.ensure_person(uuid, jsonb, boolean),
  private.contact_lock_key(text),
  private.lock_contacts(jsonb),
  private.change_identity(public.connections, jsonb),
  private.change_marketing_preference(public.connections, jsonb),
  private.thread_of(public.connections, text[]),
  private.newest_session(uuid),
  private.apply_session(uuid, jsonb, timestamptz),
  private.store_kapso_conversation(public.connections, jsonb)
to service_role;
