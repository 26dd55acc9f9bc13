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
  -- As long as any id of Kapso's that the functions take.
  constraint conversation_sessions_session_id_check check (length(session_id) between 1 and 512)
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
    on conflict on constraint people_workspace_id_phone_key_key do nothing
    returning person.id into found;
    if found is null then
      -- Another transaction was faster.
      found := private.person_with_phone_key(ensure_person.workspace_id, private.phone_key_of(phone));
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
      and private.person_with_phone_key(
        ensure_person.workspace_id, private.phone_key_of(ensure_person.contact ->> 'phone')
      ) is null;
  end if;
  insert into public.person_identities (workspace_id, person_id, platform, identifier)
  select ensure_person.workspace_id, found, 'whatsapp', every.identifier
  from (
    select distinct on (private.identity_key('whatsapp', given.identifier)) given.identifier
    from unnest(identifiers) as given (identifier)
    order by private.identity_key('whatsapp', given.identifier)
  ) as every
  where private.person_with_identity(ensure_person.workspace_id, 'whatsapp', every.identifier) is null
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
    on conversation.id = private.thread_id_of(source, source.phone_number_id || ':' || ltrim(older.identifier, '+'))
  cross join unnest(current) as newer (identifier)
  where private.conversation_with_key(
    source.workspace_id, source.platform, source.phone_number_id || ':' || ltrim(newer.identifier, '+')
  ) is null
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

create function private.ensure_people(workspace_id uuid, conversations jsonb)
returns uuid[]
language plpgsql
volatile
set search_path = ''
-- Every look-up is by key, and a plan that is made while a workspace is small is kept while it grows.
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  contacts jsonb[];
  found uuid[];
  changed integer[];
  place integer;
begin
  -- Merges wait: otherwise a number could move to another person after the first conversation is locked. One
  -- conversation alone locks its person first anyway.
  if jsonb_array_length(ensure_people.conversations) > 1 then
    perform pg_catalog.pg_advisory_xact_lock_shared(private.people_lock_key(ensure_people.workspace_id));
  end if;
  -- Most contacts of a batch wrote before, and their person has all that is known of them.
  select
    array_agg(contact.value order by contact.place),
    array_agg(case when settled.is_settled then person.id end order by contact.place),
    -- In order of arrival: the first event of a contact may say whom a later one is about.
    array_agg(contact.place order by contact.first_ordinal)
      filter (where settled.is_settled is not true and contact.value is not null)
  into contacts, found, changed
  from (
    select element.value -> 'person' as value, min(element.ordinal) as first_ordinal,
      row_number() over ()::integer as place
    from jsonb_array_elements(ensure_people.conversations) with ordinality as element (value, ordinal)
    group by 1
  ) as contact
  left join lateral (
    select coalesce(
      private.person_with_identity(
        ensure_people.workspace_id, 'whatsapp',
        coalesce(contact.value #>> '{identifiers,0}', contact.value ->> 'phone')
      ),
      case when contact.value #>> '{identifiers,0}' is null then private.person_with_phone_key(
        ensure_people.workspace_id, private.phone_digits_of('whatsapp', contact.value ->> 'phone')
      ) end
    ) as id
    offset 0
  ) as matched on true
  left join public.people as person
    on person.id = matched.id and person.workspace_id = ensure_people.workspace_id
  left join lateral (
    select
      (
        contact.value ->> 'name' is null
        or (
          person.kapso_name = left(btrim(contact.value ->> 'name'), 300)
          and nullif(btrim(person.name), '') is not null
        )
      )
      and (nullif(contact.value ->> 'phone', '') is null or person.phone is not null)
      and not exists (
        select 1
        from jsonb_array_elements_text(coalesce(contact.value -> 'identifiers', '[]')) as further (identifier)
        where private.person_with_identity(ensure_people.workspace_id, 'whatsapp', further.identifier) is null
      ) as is_settled
    where person.id is not null
  ) as settled on true;

  if changed is not null then
    -- In the order of their ids, before the first is written.
    perform 1
    from public.people as person
    where person.id = any (array(
      select private.match_person(ensure_people.workspace_id, 'whatsapp', identifier.value)
      from unnest(changed) as wanted (place)
      cross join lateral (
        select nullif(contacts[wanted.place] ->> 'phone', '') as value
        union all
        select jsonb_array_elements_text(coalesce(contacts[wanted.place] -> 'identifiers', '[]'))
      ) as identifier
      where identifier.value is not null
    ))
    order by person.id
    for no key update;
    foreach place in array changed loop
      found[place] := private.ensure_person(
        ensure_people.workspace_id, contacts[place],
        -- Live where any of its conversations is.
        (
          select bool_and(coalesce((element.value ->> 'is_history')::boolean, false))
          from jsonb_array_elements(ensure_people.conversations) as element (value)
          where element.value -> 'person' = contacts[place]
        )
      );
    end loop;
  end if;

  return (
    select array_agg(found[array_position(contacts, element.value -> 'person')] order by element.ordinal)
    from jsonb_array_elements(ensure_people.conversations) with ordinality as element (value, ordinal)
  );
end;
$$;
comment on function private.ensure_people(uuid, jsonb) is
  'Find or create the person of each KapsoConversation: private.ensure_person for a batch, which writes nothing where a '
  'person has all that is known. The contacts are locked by the caller. Null for a conversation without a contact.';

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

create type private.session_report as (
  conversation_id uuid,
  session_id text,
  started_at timestamptz,
  ended_at timestamptz,
  active_at timestamptz,
  inactive_since timestamptz
);
comment on type private.session_report is
  'What Kapso says of a session of a conversation, in the words of public.conversation_sessions.';

create function private.read_session(conversation_id uuid, session jsonb, inactive_since timestamptz)
returns private.session_report
language plpgsql
immutable
set search_path = ''
as $$
declare
  reported_at timestamptz := (session ->> 'at')::timestamptz;
begin
  return row(
    read_session.conversation_id,
    session ->> 'id',
    coalesce((session ->> 'started_at')::timestamptz, reported_at),
    case when session ->> 'status' = 'ended' then reported_at end,
    case when session ->> 'status' = 'active' then reported_at end,
    read_session.inactive_since
  )::private.session_report;
end;
$$;
comment on function private.read_session(uuid, jsonb, timestamptz) is 'Read a KapsoSession of a conversation.';

-- A session that was reopened can end a second time, and a report that only moves its start, such as the
-- first one to know it, is no new session.
create function private.apply_sessions(reports private.session_report[])
returns void
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  conversation_ids uuid[] := array(select distinct report.conversation_id from unnest(reports) as report);
  before public.conversation_sessions[] := array(
    select private.newest_session(known.id) from unnest(conversation_ids) as known (id)
  );
begin
  insert into public.conversation_sessions as known
    (conversation_id, session_id, workspace_id, started_at, ended_at, last_ended_at, active_at, inactive_since)
  select conversation.id, report.session_id, conversation.workspace_id, min(report.started_at),
    min(report.ended_at) filter (where report.ended_at >= coalesce(report.last_active_at, '-infinity')),
    max(report.ended_at), max(report.active_at), max(report.inactive_since)
  from (
    select given.*, max(given.active_at) over (partition by given.conversation_id, given.session_id) as last_active_at
    from unnest(reports) as given
  ) as report
  join public.conversations as conversation on conversation.id = report.conversation_id
  group by conversation.id, report.session_id
  order by conversation.id, report.session_id
  on conflict on constraint conversation_sessions_pkey do update
  -- The same result in any order of reports: the earliest start, the latest report of activity, the earliest end
  -- since then, the latest inactivity.
  set started_at = least(known.started_at, excluded.started_at),
    active_at = greatest(known.active_at, excluded.active_at),
    last_ended_at = greatest(known.last_ended_at, excluded.last_ended_at),
    ended_at = case
      when known.ended_at < excluded.active_at
        then case when known.last_ended_at >= excluded.active_at then known.last_ended_at end
      when excluded.ended_at < known.active_at then known.ended_at
      else least(known.ended_at, excluded.ended_at)
    end,
    inactive_since = greatest(known.inactive_since, excluded.inactive_since)
  where known.started_at > excluded.started_at
    or excluded.active_at > coalesce(known.active_at, '-infinity')
    or excluded.last_ended_at > coalesce(known.last_ended_at, '-infinity')
    or excluded.ended_at < known.ended_at
    or excluded.inactive_since > coalesce(known.inactive_since, '-infinity');

  -- The newest session decides: the late end of an older one does not close what came after it.
  with newest as (
    select of.conversation_id, of.session_id, of.ended_at, of.active_at,
      before_it.session_id as session_id_before, before_it.ended_at as ended_at_before
    from unnest(conversation_ids) as known (id)
    cross join lateral private.newest_session(known.id) as of
    left join unnest(before) as before_it on before_it.conversation_id = known.id
    -- A report that changes neither the newest session nor its end leaves the conversation as it is: a member may have
    -- closed or reopened it since.
    where of.session_id is distinct from before_it.session_id or of.ended_at is distinct from before_it.ended_at
  ),
  decided as (
    select newest.*, case
        -- It is active again, but a member closed the conversation after that.
        when newest.ended_at is null
          and newest.session_id = newest.session_id_before
          and known.closed_at >= newest.active_at
          then known.status
        when newest.ended_at is null then 'open'
        -- The customer wrote after the end, which is reported only now.
        when known.last_inbound_at > newest.ended_at then 'open'
        else 'closed'
      end as status
    from newest
    join public.conversations as known on known.id = newest.conversation_id
  )
  update public.conversations as conversation
  set status = decided.status,
    closed_at = case when decided.status = 'closed' then decided.ended_at end,
    updated_at = now()
  from decided
  where conversation.id = decided.conversation_id
    and (
      conversation.status <> decided.status
      -- Closed with the session before: messages of the customer in between do not reopen it.
      or (decided.ended_at is not null and decided.status = 'closed' and conversation.closed_at < decided.ended_at)
      -- Closed with this session, which ended earlier than reported before.
      or (
        decided.session_id = decided.session_id_before and decided.status = 'closed'
        and conversation.closed_at = decided.ended_at_before
      )
    );
end;
$$;
comment on function private.apply_sessions(private.session_report[]) is
  'Store sessions of conversations, and open or close each conversation as its newest session says. The conversations are '
  'locked by the caller.';

create type private.kapso_outcome as (
  conversation_id uuid,
  external_conversation_id text,
  outcome text,
  messages_added integer,
  person_id uuid,
  error text
);
comment on type private.kapso_outcome is
  'Outcome of storing a KapsoConversation: see private.store_kapso_conversations.';

create function private.threads_of(source public.connections, conversations jsonb)
returns text[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  given record;
  keys text[] := '{}';
  -- Names in this batch, and the keys of their conversations.
  known jsonb := '{}';
  thread uuid;
  thread_key text;
  name text;
begin
  for given in
    select array[element.value ->> 'external_conversation_id'] || array(
      select jsonb_array_elements_text(coalesce(element.value -> 'thread_aliases', '[]'))
    ) as names
    from jsonb_array_elements(threads_of.conversations) with ordinality as element (value, ordinal)
    order by element.ordinal
  loop
    -- Another conversation of the batch with the same first name has the same others, or has named them already.
    thread_key := known ->> given.names[1];
    if thread_key is null then
      foreach name in array given.names loop
        thread := private.thread_id_of(source, name);
        if thread is not null then
          select conversation.external_conversation_id into thread_key
          from public.conversations as conversation where conversation.id = thread;
        else
          thread_key := known ->> name;
        end if;
        exit when thread_key is not null;
      end loop;
      thread_key := coalesce(thread_key, given.names[1]);
    end if;
    foreach name in array given.names loop
      if not known ? name then
        known := known || jsonb_build_object(name, thread_key);
      end if;
    end loop;
    keys := keys || thread_key;
  end loop;
  return keys;
end;
$$;
comment on function private.threads_of(public.connections, jsonb) is
  'Key of the conversation that each KapsoConversation of a batch belongs to, as if they were stored one after the other: '
  'a first event of a contact names it for the later ones.';

create function private.complete_agent_messages(source public.connections, conversation_ids uuid[], conversations jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  filed_by_agents private.ingest_change[];
begin
  -- ingest_conversations changes only status, reactions and late media of a known message. A message that an AI
  -- agent filed is completed here; nearly always there is none.
  select array_agg(
    row(
      message.conversation_id, message.value ->> 'id',
      private.ledger_digest(source.workspace_id, source.platform, message.value ->> 'id'), message.value
    )::private.ingest_change
    order by message.element_ordinal, message.ordinal
  ) into filed_by_agents
  from public.agent_sessions as session
  cross join (
    select
      conversation_ids[element.ordinal] as conversation_id,
      element.ordinal as element_ordinal,
      message.ordinal,
      message.value,
      private.message_digest(message.value ->> 'id') as digest
    from jsonb_array_elements(complete_agent_messages.conversations) with ordinality as element (value, ordinal)
    cross join jsonb_array_elements(coalesce(element.value -> 'messages', '[]')) with ordinality
      as message (value, ordinal)
  ) as message
  where session.conversation_id = any (conversation_ids)
    and session.conversation_id = message.conversation_id
    -- Not a join, which may be planned as a scan of all keys.
    and (
      select true from private.agent_message_keys as key
      where key.session_id = session.id and key.message_digest = message.digest
    );
  if filed_by_agents is not null then
    perform private.apply_changes(filed_by_agents);
    perform private.follow_contents(filed_by_agents);
  end if;
end;
$$;
comment on function private.complete_agent_messages(public.connections, uuid[], jsonb) is
  'Complete messages that an AI agent filed with what Kapso has of them. The conversations are locked by the caller.';

create function private.store_kapso_conversations(source public.connections, conversations jsonb)
returns setof private.kapso_outcome
language plpgsql
volatile
set search_path = ''
-- Every look-up is by key, and a plan that is made while the tables are small is kept while they grow.
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
set enable_mergejoin = off
as $$
declare
  people uuid[];
  keys text[];
  outcomes private.kapso_outcome[];
  ids uuid[];
  element record;
  reports private.session_report[];
begin
  people := private.ensure_people(source.workspace_id, store_kapso_conversations.conversations);
  keys := private.threads_of(source, store_kapso_conversations.conversations);

  -- All of them at once: the door locks the conversations in its order, and merges several elements of one.
  select array_agg(
    row(
      stored.id, stored.external_conversation_id, stored.outcome, stored.messages_added, people[stored.ordinal],
      left(stored.error, 5)
    )::private.kapso_outcome
    order by stored.ordinal
  ), array_agg(stored.id order by stored.ordinal)
  into outcomes, ids
  from public.ingest_conversations(
    source.id,
    (
      select jsonb_agg(
        (given.value - '{thread_aliases,person,session,inactive_since}'::text[])
          || jsonb_build_object('external_conversation_id', keys[given.ordinal])
        order by given.ordinal
      )
      from jsonb_array_elements(store_kapso_conversations.conversations) with ordinality as given (value, ordinal)
    )
  ) with ordinality as stored (id, external_conversation_id, outcome, messages_added, error, ordinal);

  -- Changes alone have no conversation where it does not exist yet.
  insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
  select distinct on (name.value) source.workspace_id, source.platform, name.value, ids[given.ordinal]
  from jsonb_array_elements(store_kapso_conversations.conversations) with ordinality as given (value, ordinal)
  cross join lateral (
    select given.value ->> 'external_conversation_id' collate "C" as value
    union all
    select jsonb_array_elements_text(coalesce(given.value -> 'thread_aliases', '[]')) collate "C"
  ) as name
  where ids[given.ordinal] is not null
    and name.value <> (outcomes[given.ordinal]).external_conversation_id collate "C"
    and (
      select true from private.thread_aliases as known
      where known.workspace_id = source.workspace_id and known.platform = source.platform and known.alias = name.value
    ) is null
  order by name.value, given.ordinal
  on conflict on constraint thread_aliases_pkey do nothing;

  -- The person is locked until the end, so that a concurrent delete waits. If the delete was faster, the
  -- conversation stays without a person, and its next message finds or creates them again.
  if exists (
    select 1 from public.conversations as conversation
    where conversation.id = any (ids) and conversation.person_id is null
  ) then
    with held as (
      select known.id
      from public.people as known
      where known.id = any (people) and known.workspace_id = source.workspace_id
      order by known.id
      for key share skip locked
    )
    update public.conversations as conversation
    set person_id = link.person_id
    from (
      select distinct on (own.conversation_id) own.conversation_id, held.id as person_id
      from unnest(ids, people) with ordinality as own (conversation_id, person_id, ordinal)
      join held on held.id = own.person_id
      order by own.conversation_id, own.ordinal
    ) as link
    where conversation.id = link.conversation_id and conversation.person_id is null;
  end if;

  select array_agg(
    private.read_session(ids[given.ordinal], given.value -> 'session', (given.value ->> 'inactive_since')::timestamptz)
    order by given.ordinal
  ) into reports
  from jsonb_array_elements(store_kapso_conversations.conversations) with ordinality as given (value, ordinal)
  where given.value -> 'session' ->> 'id' is not null and ids[given.ordinal] is not null;
  if reports is not null then
    perform private.apply_sessions(reports);
  end if;

  if exists (select 1 from public.agent_sessions as session where session.conversation_id = any (ids)) then
    perform private.complete_agent_messages(source, ids, store_kapso_conversations.conversations);
  end if;

  for element in
    select given.ordinal, given.value -> 'messages' as messages
    from jsonb_array_elements(store_kapso_conversations.conversations) with ordinality as given (value, ordinal)
    where ids[given.ordinal] is not null
      and given.value @? '$.messages[*] ? (@.type == "image" || @.type == "audio" || @.type == "video" || @.type == "file")'
    order by ids[given.ordinal], given.ordinal
  loop
    perform private.queue_media(source, ids[element.ordinal], element.messages);
  end loop;
  return query select result.* from unnest(outcomes) as result;
end;
$$;
comment on function private.store_kapso_conversations(public.connections, jsonb) is
  'Store an array of KapsoConversations in one pass, in the conversations their contacts have, with their people, aliases '
  'and sessions: one row for each, in order; error is a SQLSTATE. Of several of one conversation, the sessions apply after all '
  'messages. The contacts are locked by the caller.';

create function private.try_kapso_conversations(source public.connections, conversations jsonb)
returns setof private.kapso_outcome
language plpgsql
volatile
set search_path = ''
as $$
declare
  element jsonb;
begin
  begin
    return query select stored.* from private.store_kapso_conversations(source, try_kapso_conversations.conversations) as stored;
    return;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    -- Something beside its messages cannot be stored, such as a name: each is tried alone.
    null;
  end;
  for element in
    select given.value from jsonb_array_elements(try_kapso_conversations.conversations) with ordinality as given (value, ordinal)
    order by given.ordinal
  loop
    begin
      return query select stored.* from private.store_kapso_conversations(source, jsonb_build_array(element)) as stored;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
      return next row(null, null, 'error', 0, null, sqlstate)::private.kapso_outcome;
    end;
  end loop;
end;
$$;
comment on function private.try_kapso_conversations(public.connections, jsonb) is
  'Store an array of KapsoConversations as private.store_kapso_conversations does; where one cannot be stored, its row has '
  'the outcome error, and the others are stored.';

create function private.sending_connection(conversation public.conversations)
returns public.connections
language sql
stable
set search_path = ''
as $$
  -- The number the customer wrote to: its id begins the key of the conversation, or another name of it.
  select connection.*
  from (
    select (sending_connection.conversation).external_conversation_id as name, true as is_key
    union all
    select other.alias, false from private.thread_aliases as other
    where other.conversation_id = (sending_connection.conversation).id
  ) as known
  join public.connections as connection on connection.phone_number_id = split_part(known.name, ':', 1)
  where connection.workspace_id = (sending_connection.conversation).workspace_id
    and connection.platform = 'whatsapp'
  order by known.is_key desc, connection.is_active desc, connection.phone_number_id
  limit 1;
$$;
comment on function private.sending_connection(public.conversations) is
  'The Kapso number that replies in a conversation; no row values where it is gone or the conversation came from '
  'another source.';

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
  private.ensure_people(uuid, jsonb),
  private.newest_session(uuid),
  private.read_session(uuid, jsonb, timestamptz),
  private.apply_sessions(private.session_report[]),
  private.threads_of(public.connections, jsonb),
  private.complete_agent_messages(public.connections, uuid[], jsonb),
  private.store_kapso_conversations(public.connections, jsonb),
  private.try_kapso_conversations(public.connections, jsonb),
  private.sending_connection(public.conversations),
  private.kapso_side(public.conversations)
from public, anon, authenticated, service_role;
grant execute on function
  private.ensure_person(uuid, jsonb, boolean),
  private.contact_lock_key(text),
  private.lock_contacts(jsonb),
  private.change_identity(public.connections, jsonb),
  private.change_marketing_preference(public.connections, jsonb),
  private.thread_of(public.connections, text[]),
  private.ensure_people(uuid, jsonb),
  private.newest_session(uuid),
  private.read_session(uuid, jsonb, timestamptz),
  private.apply_sessions(private.session_report[]),
  private.threads_of(public.connections, jsonb),
  private.complete_agent_messages(public.connections, uuid[], jsonb),
  private.store_kapso_conversations(public.connections, jsonb),
  private.try_kapso_conversations(public.connections, jsonb),
  private.sending_connection(public.conversations)
to service_role;
