-- Purpose: the state of the AI agents' conversations, and the keys the agents come with.
-- Objects: agent_keys, agent_key_workspaces, private.agent_key_secrets, agent_sessions,
--   private.agent_message_keys, create_agent_key, revoke_agent_key, and one function for each thing an
--   agent asks for or writes.
-- Risk: none; new tables only.
--
-- Each function for agents takes the SHA-256 of the key, finds the workspaces it opens, does its work and
-- returns an outcome and data, all in one call: a request is one round trip. What an agent may do wrong is
-- an outcome; an exception is a failure of ours.
--
-- Locks: people, then conversations, then sessions, as everywhere; deleting a person or a conversation
-- goes the same way.

-- Keys ------------------------------------------------------------------------------------------

create table public.agent_keys (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  constraint agent_keys_name_check check (length(name) between 1 and 200)
);
comment on table public.agent_keys is 'API keys of AI agents. The key itself is shown once and stored nowhere; its hash is in private.agent_key_secrets.';
comment on column public.agent_keys.id is 'Primary key.';
comment on column public.agent_keys.name is 'Name shown to people.';
comment on column public.agent_keys.created_by is 'Who made it.';
comment on column public.agent_keys.created_at is 'When it was made.';
comment on column public.agent_keys.last_used_at is 'When it was last used. Moves at most once a minute.';
comment on column public.agent_keys.revoked_at is 'Since when it opens nothing any more.';

create index agent_keys_created_by_idx on public.agent_keys (created_by);

create table public.agent_key_workspaces (
  key_id uuid not null references public.agent_keys (id) on delete cascade,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  constraint agent_key_workspaces_pkey primary key (key_id, workspace_id)
);
comment on table public.agent_key_workspaces is 'Which workspaces a key opens: one, or several of the same owner for an agent that serves many businesses.';
comment on column public.agent_key_workspaces.key_id is 'The key.';
comment on column public.agent_key_workspaces.workspace_id is 'A workspace it opens.';

create index agent_key_workspaces_workspace_id_idx on public.agent_key_workspaces (workspace_id);

create table private.agent_key_secrets (
  key_id uuid primary key references public.agent_keys (id) on delete cascade,
  key_sha256 bytea not null,
  constraint agent_key_secrets_key_sha256_key unique (key_sha256),
  constraint agent_key_secrets_key_sha256_check check (length(key_sha256) = 32)
);
comment on table private.agent_key_secrets is 'SHA-256 of the keys of agents, by which a key is found.';
comment on column private.agent_key_secrets.key_id is 'The key.';
comment on column private.agent_key_secrets.key_sha256 is
  'SHA-256 of it. A plain hash is enough, and looking it up in an index gives nothing to time: the key is 128 random bits, and nobody can choose what its hash begins with.';

-- Sessions --------------------------------------------------------------------------------------

create table public.agent_sessions (
  id uuid primary key default gen_random_uuid(),
  session_id text collate "C" not null,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  participant_key text collate "C" not null,
  bot_id text,
  local_id text,
  conversation_id uuid references public.conversations (id) on delete set null,
  person_id uuid,
  current_intent text not null default 'idle',
  current_step text not null default 'initial',
  previous_intent text,
  previous_step text,
  context jsonb not null default '{}',
  metadata jsonb not null default '{}',
  messages jsonb not null default '[]',
  last_user_message text,
  current_order_id text,
  order_history text[] not null default '{}',
  is_active boolean not null default true,
  version bigint not null default 1,
  last_activity_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '24 hours',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint agent_sessions_session_id_key unique (session_id),
  constraint agent_sessions_workspace_id_person_id_fkey
    foreign key (workspace_id, person_id) references public.people (workspace_id, id)
    on delete set null (person_id),
  constraint agent_sessions_session_id_check check (length(session_id) between 1 and 400),
  constraint agent_sessions_participant_key_check check (length(participant_key) between 1 and 200),
  constraint agent_sessions_context_check check (jsonb_typeof(context) = 'object'),
  constraint agent_sessions_metadata_check check (jsonb_typeof(metadata) = 'object'),
  constraint agent_sessions_messages_check check (jsonb_typeof(messages) = 'array')
)
-- Rows are written again and again, and no index looks at what changes: new versions fit beside the old.
with (fillfactor = 70);
comment on table public.agent_sessions is 'State of an AI agent''s conversation with a customer. Expires 24 hours after the last write.';
comment on column public.agent_sessions.id is 'Primary key.';
comment on column public.agent_sessions.session_id is 'The id agents use: bot, customer, unix milliseconds and random characters.';
comment on column public.agent_sessions.workspace_id is 'The workspace.';
comment on column public.agent_sessions.participant_key is 'Digits of the customer''s phone, or another identifier as it is (a BSUID, an id of another platform).';
comment on column public.agent_sessions.bot_id is 'The bot, where the agent names one.';
comment on column public.agent_sessions.local_id is 'The branch of the business, where the agent names one.';
comment on column public.agent_sessions.conversation_id is 'The customer''s thread, where there is one.';
comment on column public.agent_sessions.person_id is 'The contact, where there is one.';
comment on column public.agent_sessions.current_intent is 'What the customer wants, in the agent''s words.';
comment on column public.agent_sessions.current_step is 'How far it got, in the agent''s words.';
comment on column public.agent_sessions.previous_intent is 'The intent before the last change of intent or step.';
comment on column public.agent_sessions.previous_step is 'The step before it.';
comment on column public.agent_sessions.context is
  'What the agent keeps, as AgentContext in supabase/functions/_shared/agent_session.ts, without messages and orders: these have columns of their own, so that nobody can overwrite them with an old copy.';
comment on column public.agent_sessions.metadata is 'What the agent says about itself: an open object, AgentMetadata in supabase/functions/_shared/agent_session.ts.';
comment on column public.agent_sessions.messages is 'The newest 50 messages, oldest first: an array of AgentMessage, defined in supabase/functions/_shared/agent_session.ts.';
comment on column public.agent_sessions.last_user_message is 'The text of the newest message of the customer.';
comment on column public.agent_sessions.current_order_id is 'The order that was linked last.';
comment on column public.agent_sessions.order_history is 'Every linked order, oldest first.';
comment on column public.agent_sessions.is_active is 'False once it was ended. An expired session may still say true: look at expires_at as well.';
comment on column public.agent_sessions.version is 'Number of the state: every write raises it by one.';
comment on column public.agent_sessions.last_activity_at is 'When it was last written.';
comment on column public.agent_sessions.expires_at is 'Until when it is active unless it is written again.';
comment on column public.agent_sessions.created_at is 'When the row was made.';
comment on column public.agent_sessions.updated_at is 'When the row last changed.';

create unique index agent_sessions_active_participant_key_key
  on public.agent_sessions (participant_key, workspace_id, local_id, bot_id) nulls not distinct
  where is_active;
comment on index public.agent_sessions_active_participant_key_key is
  'One session of a customer with a business, branch and bot; and the look-up by customer.';
create index agent_sessions_workspace_id_person_id_idx on public.agent_sessions (workspace_id, person_id);
create index agent_sessions_conversation_id_idx on public.agent_sessions (conversation_id);
create index agent_sessions_active_workspace_id_created_at_id_idx
  on public.agent_sessions (workspace_id, created_at desc, id desc) where is_active;
comment on index public.agent_sessions_active_workspace_id_created_at_id_idx is 'The list of the active sessions of a business.';

create trigger agent_sessions_touch_updated_at
  before update on public.agent_sessions
  for each row execute function private.touch_updated_at();

create table private.agent_message_keys (
  session_id uuid not null references public.agent_sessions (id) on delete cascade,
  message_digest uuid not null,
  constraint agent_message_keys_pkey primary key (session_id, message_digest)
);
comment on table private.agent_message_keys is
  'Messages a session already has, also those that are no longer among its newest: a repeat changes nothing, however late.';
comment on column private.agent_message_keys.session_id is 'The session (agent_sessions.id).';
comment on column private.agent_message_keys.message_digest is 'First 16 bytes of the SHA-256 of the message id.';

-- Making keys -----------------------------------------------------------------------------------

create function private.create_agent_key(workspace_ids uuid[], name text)
returns table (id uuid, secret text)
language plpgsql
-- Definer because clients have no access to private.agent_key_secrets; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  new_id uuid;
  new_secret text := private.generate_secret('agt_');
begin
  if coalesce(cardinality(create_agent_key.workspace_ids), 0) not between 1 and 1000
    or array_position(create_agent_key.workspace_ids, null) is not null
  then
    raise exception 'workspace_ids must name 1 to 1000 workspaces' using errcode = '22023';
  end if;
  if exists (
    select 1 from unnest(create_agent_key.workspace_ids) as wanted (id)
    where wanted.id not in (select private.workspaces_with_role(array['owner', 'admin']))
  ) then
    raise exception 'Only an owner or admin of every workspace can create a key for them'
      using errcode = '42501';
  end if;
  if (
    select count(distinct workspace.user_id) from public.workspaces as workspace
    where workspace.id = any (create_agent_key.workspace_ids)
  ) > 1 then
    raise exception 'The workspaces of a key must have the same owner'
      using errcode = '22023', hint = 'Create one key for each owner.';
  end if;
  insert into public.agent_keys as made (name, created_by)
  values (coalesce(nullif(btrim(create_agent_key.name), ''), 'Agent'), (select auth.uid()))
  returning made.id into new_id;
  insert into private.agent_key_secrets (key_id, key_sha256)
  values (new_id, sha256(convert_to(new_secret, 'UTF8')));
  insert into public.agent_key_workspaces (key_id, workspace_id)
  select new_id, wanted.id
  from (select distinct given.id from unnest(create_agent_key.workspace_ids) as given (id)) as wanted;
  return query select new_id, new_secret;
end;
$$;
comment on function private.create_agent_key(uuid[], text) is 'Does the work of public.create_agent_key.';

create function public.create_agent_key(workspace_ids uuid[], name text default null)
returns table (id uuid, secret text)
language sql
volatile
set search_path = ''
as $$
  select made.id, made.secret
  from private.create_agent_key(create_agent_key.workspace_ids, create_agent_key.name) as made;
$$;
comment on function public.create_agent_key(uuid[], text) is
  'Create a key with which an AI agent may use the conversation-sync API for one workspace, or for several of the same owner, and return it. For owners and admins of them. The key is shown this once; only its SHA-256 is stored.';

create function private.revoke_agent_key(id uuid)
returns timestamptz
language plpgsql
-- Definer because members have no right to write keys; the role is checked first.
security definer
set search_path = ''
as $$
declare
  revoked timestamptz;
begin
  -- One of its workspaces is enough: whoever is responsible for a business can cut an agent off.
  update public.agent_keys as key
  set revoked_at = coalesce(key.revoked_at, now())
  where key.id = revoke_agent_key.id
    and exists (
      select 1 from public.agent_key_workspaces as opened
      where opened.key_id = key.id
        and opened.workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
    )
  returning key.revoked_at into revoked;
  if revoked is null then
    raise exception 'Only an owner or admin of one of its workspaces can revoke a key'
      using errcode = '42501';
  end if;
  return revoked;
end;
$$;
comment on function private.revoke_agent_key(uuid) is 'Does the work of public.revoke_agent_key.';

create function public.revoke_agent_key(id uuid)
returns timestamptz
language sql
volatile
set search_path = ''
as $$
  select private.revoke_agent_key(revoke_agent_key.id);
$$;
comment on function public.revoke_agent_key(uuid) is
  'End a key at once and for all its workspaces, and return since when. For owners and admins of any of them. A repeat changes nothing.';

-- What the functions below are made of ------------------------------------------------------------

create function private.workspaces_of_agent_key(key_sha256 text)
returns uuid[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  used_key uuid;
  used_at timestamptz;
  workspaces uuid[];
begin
  select key.id, key.last_used_at, array_agg(opened.workspace_id)
  into used_key, used_at, workspaces
  from private.agent_key_secrets as secret
  join public.agent_keys as key on key.id = secret.key_id and key.revoked_at is null
  join public.agent_key_workspaces as opened on opened.key_id = key.id
  where secret.key_sha256 = decode(workspaces_of_agent_key.key_sha256, 'hex')
  group by key.id;
  if used_key is not null and coalesce(used_at, '-infinity') < now() - interval '1 minute' then
    -- An agent makes many calls at once. Whoever finds the row taken leaves it, and nobody waits.
    update public.agent_keys as key
    set last_used_at = now()
    where key.id in (
      select known.id from public.agent_keys as known
      where known.id = used_key and known.last_used_at is not distinct from used_at
      for no key update skip locked
    );
  end if;
  return workspaces;
end;
$$;
comment on function private.workspaces_of_agent_key(text) is
  'The workspaces a key (its SHA-256 in hexadecimal) opens; null for a key that is unknown or revoked.';

create function private.agent_session_state(session public.agent_sessions)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'session_id', session.session_id,
    'user_id', session.participant_key,
    'bot_id', session.bot_id,
    'sub_domain', (select workspace.slug from public.workspaces as workspace where workspace.id = session.workspace_id),
    'local_id', session.local_id,
    'current_intent', session.current_intent,
    'current_step', session.current_step,
    'previous_intent', session.previous_intent,
    'previous_step', session.previous_step,
    'context', session.context
      || case when session.messages = '[]' then '{}'
        else jsonb_strip_nulls(jsonb_build_object(
          'previousMessages', session.messages, 'lastUserMessage', session.last_user_message
        )) end
      || case when session.order_history = '{}' then '{}'
        else jsonb_build_object(
          'currentOrderId', session.current_order_id, 'orderHistory', session.order_history
        ) end,
    'metadata', session.metadata,
    'is_active', session.is_active and session.expires_at > now(),
    'last_activity', session.last_activity_at,
    'created_at', session.created_at,
    'updated_at', session.updated_at,
    'expires_at', session.expires_at,
    'current_order_id', session.current_order_id,
    'order_history', session.order_history,
    'version', session.version
  );
end;
$$;
comment on function private.agent_session_state(public.agent_sessions) is
  'A session as it is answered with: SessionRow in supabase/functions/_shared/agent_session.ts.';

create type private.opened_agent_session as (outcome text, session public.agent_sessions);
comment on type private.opened_agent_session is
  'A session that may be written, with outcome ok; or another outcome, and the session where there is one.';

create function private.open_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  local_id text,
  version bigint,
  takes_ended boolean
)
returns private.opened_agent_session
language plpgsql
volatile
set search_path = ''
as $$
declare
  workspaces uuid[] := private.workspaces_of_agent_key(open_agent_session.key_sha256);
  opened private.opened_agent_session;
  known public.agent_sessions;
begin
  if workspaces is null then
    opened.outcome := 'invalid_key';
    return opened;
  end if;
  select session.* into known
  from public.agent_sessions as session
  join public.workspaces as workspace on workspace.id = session.workspace_id
  where session.session_id = open_agent_session.session_id
    and session.workspace_id = any (workspaces)
    and (open_agent_session.sub_domain is null or workspace.slug = open_agent_session.sub_domain)
    and (open_agent_session.local_id is null or session.local_id = open_agent_session.local_id)
  for no key update of session;
  opened.session := known;
  opened.outcome := case
    when known.id is null then 'not_found'
    when known.expires_at <= now() then 'not_active'
    when not known.is_active and not open_agent_session.takes_ended then 'not_active'
    when known.version <> open_agent_session.version then 'conflict'
    else 'ok'
  end;
  return opened;
end;
$$;
comment on function private.open_agent_session(text, text, text, text, bigint, boolean) is
  'Find a session of one of the key''s workspaces and keep it from other writers until the transaction ends. sub_domain, local_id and version are checked where they are given; an ended session is opened for takes_ended alone.';

create function private.agent_answer(opened private.opened_agent_session)
returns table (outcome text, data jsonb)
language plpgsql
stable
set search_path = ''
as $$
begin
  return query select opened.outcome,
    case when opened.outcome in ('ok', 'created', 'conflict') then private.agent_session_state(opened.session) end;
end;
$$;
comment on function private.agent_answer(private.opened_agent_session) is
  'What a caller gets: the state where the session was written, and where somebody else was quicker.';

create function private.change_agent_context(session public.agent_sessions, change jsonb, merge boolean)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
declare
  own jsonb := change_agent_context.change;
begin
  -- Agents send back the whole state they were given. What is kept in columns of its own is left out, so
  -- that an old copy of it never stands in for the newer one.
  if session.messages <> '[]' then
    own := own - '{previousMessages,lastUserMessage}'::text[];
  end if;
  if session.order_history <> '{}' then
    own := own - '{currentOrderId,orderHistory}'::text[];
  end if;
  return case when change_agent_context.merge then session.context || own else own end;
end;
$$;
comment on function private.change_agent_context(public.agent_sessions, jsonb, boolean) is
  'The context of a session after a change, key by key or as a whole.';

create function private.is_too_large(value jsonb, max_bytes integer)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  return octet_length(is_too_large.value::text) > is_too_large.max_bytes;
end;
$$;
comment on function private.is_too_large(jsonb, integer) is 'Whether JSON, as text, has more bytes.';

create function private.thread_id_of(source public.connections, key text)
returns uuid
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce(
    (
      select conversation.id from public.conversations as conversation
      where conversation.user_id = source.user_id
        and conversation.workspace_id = source.workspace_id
        and conversation.platform = source.platform
        and conversation.external_conversation_id = thread_id_of.key
    ),
    (
      select alias.conversation_id from private.thread_aliases as alias
      where alias.user_id = source.user_id
        and alias.workspace_id = source.workspace_id
        and alias.alias = thread_id_of.key
    )
  );
end;
$$;
comment on function private.thread_id_of(public.connections, text) is 'The thread that has a key or alias; null where none has it.';

create function private.line_of_agent_session(session public.agent_sessions)
returns public.connections
language plpgsql
stable
set search_path = ''
as $$
declare
  named text := coalesce(session.metadata ->> 'phoneNumberId', session.metadata ->> 'phone_number_id');
  line public.connections;
  lines uuid[];
begin
  if coalesce(session.metadata ->> 'platform', 'whatsapp') <> 'whatsapp' then
    return null;
  end if;
  -- 1. The line the agent names. If it is not one of ours, or switched off, no other takes its place.
  if named is null then
    select connection.phone_number_id into named
    from public.connections as connection
    where connection.workspace_id = session.workspace_id
      and connection.platform = 'whatsapp'
      and connection.phone_number_id in (session.bot_id, session.local_id)
    limit 1;
  end if;
  if named is not null then
    select connection.* into line
    from public.connections as connection
    where connection.phone_number_id = named
      and connection.workspace_id = session.workspace_id
      and connection.platform = 'whatsapp'
      and connection.is_active;
    return line;
  end if;
  -- 2. The only line of the business. 3. Of several, the only one on which this customer has a thread. A
  -- guess would put a message into two threads: the webhook knows the line, and brings it to the right one.
  select array_agg(connection.id) into lines
  from public.connections as connection
  where connection.workspace_id = session.workspace_id
    and connection.platform = 'whatsapp'
    and connection.phone_number_id is not null
    and connection.is_active;
  if cardinality(lines) > 1 then
    select array_agg(connection.id) into lines
    from public.connections as connection
    where connection.id = any (lines)
      and private.thread_id_of(connection, connection.phone_number_id || ':' || session.participant_key) is not null;
  end if;
  if cardinality(lines) = 1 then
    select connection.* into line from public.connections as connection where connection.id = lines[1];
  end if;
  return line;
end;
$$;
comment on function private.line_of_agent_session(public.agent_sessions) is
  'The active WhatsApp connection a session belongs to: named by phoneNumberId in its metadata or by its botId or localId, else the only one of the business, else the only one on which the customer has a thread. Null where it cannot be told.';

create function private.locate_participant(session public.agent_sessions)
returns public.agent_sessions
language plpgsql
volatile
set search_path = ''
as $$
declare
  located public.agent_sessions := session;
  spoken_on text := coalesce(session.metadata ->> 'platform', 'whatsapp');
  line public.connections := private.line_of_agent_session(session);
begin
  located.conversation_id := null;
  located.person_id := null;
  -- The rows are kept from being deleted before the session points at them. Whoever is deleting one at
  -- this moment is not waited for: the next message finds what is left.
  if line.id is not null then
    select conversation.id, conversation.person_id into located.conversation_id, located.person_id
    from public.conversations as conversation
    where conversation.id = private.thread_id_of(line, line.phone_number_id || ':' || session.participant_key)
    for key share skip locked;
  end if;
  if located.person_id is null then
    located.person_id := private.match_person(session.workspace_id, spoken_on, session.participant_key);
  end if;
  select person.id into located.person_id
  from public.people as person
  where person.workspace_id = session.workspace_id and person.id = located.person_id
  for key share skip locked;
  if located.conversation_id is null and located.person_id is not null then
    select conversation.id into located.conversation_id
    from public.conversations as conversation
    where conversation.workspace_id = session.workspace_id
      and conversation.person_id = located.person_id
      and conversation.platform = spoken_on
    order by conversation.activity_at desc
    limit 1
    for key share skip locked;
  end if;
  return located;
end;
$$;
comment on function private.locate_participant(public.agent_sessions) is
  'The session, pointing at the thread and the person of its customer as they are now, or at nothing.';

create function private.file_agent_message(
  session public.agent_sessions,
  message_id text,
  role text,
  content text,
  sent_at text
)
returns public.agent_sessions
language plpgsql
volatile
set search_path = ''
as $$
declare
  filed public.agent_sessions := session;
  line public.connections := private.line_of_agent_session(session);
  is_phone boolean := session.participant_key ~ '^[0-9]{7,15}$';
  person uuid;
  stored record;
begin
  if line.id is null
    or not (is_phone or session.participant_key ~ '^[A-Za-z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$')
  then
    return private.locate_participant(session);
  end if;
  -- The lock of private.lock_contacts: the webhook's copy of this message may be on its way.
  perform pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtextextended('kapso contact ' || session.participant_key, 0)
  );
  person := private.ensure_person(
    session.workspace_id,
    case when is_phone then jsonb_build_object('phone', '+' || session.participant_key)
      else jsonb_build_object('identifiers', jsonb_build_array(session.participant_key)) end,
    false
  );
  -- Kept from being deleted until the thread and the session point there. Somebody who is being deleted at
  -- this moment is not waited for, and not linked.
  select known.id into person
  from public.people as known
  where known.workspace_id = session.workspace_id and known.id = person
  for key share skip locked;
  select outcome.* into stored
  from public.ingest_conversations(line.id, jsonb_build_array(jsonb_build_object(
    'external_conversation_id',
      private.thread_of(line, array[line.phone_number_id || ':' || session.participant_key]),
    'participant_identifier', case when is_phone then '+' else '' end || session.participant_key,
    'messages', jsonb_build_array(jsonb_build_object(
      'id', file_agent_message.message_id,
      'direction', case file_agent_message.role when 'user' then 'inbound' else 'outbound' end,
      'type', 'text',
      'content', file_agent_message.content,
      'media_url', null,
      'sent_at', file_agent_message.sent_at,
      'metadata', '{"source": "agent"}'::jsonb
    ))
  ))) as outcome;
  if stored.outcome = 'error' then
    raise exception 'The door refused a message: %', left(stored.error, 5);
  end if;
  update public.conversations as conversation
  set person_id = person
  where conversation.id = stored.id and conversation.person_id is null and person is not null;
  select conversation.id, conversation.person_id into filed.conversation_id, filed.person_id
  from public.conversations as conversation
  where conversation.id = stored.id;
  select known.id into filed.person_id
  from public.people as known
  where known.workspace_id = session.workspace_id and known.id = filed.person_id
  for key share skip locked;
  return filed;
end;
$$;
comment on function private.file_agent_message(public.agent_sessions, text, text, text, text) is
  'Put a message into the customer''s WhatsApp thread through the one door, as the webhook would, and return the session pointing there. Without a line it is left to the session alone.';

create function private.keep_newest_messages(messages jsonb, message jsonb)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
declare
  kept jsonb := keep_newest_messages.messages || jsonb_build_array(message);
begin
  if (message ->> 'timestamp')::timestamptz < (messages #>> '{-1,timestamp}')::timestamptz then
    select jsonb_agg(every.value order by (every.value ->> 'timestamp')::timestamptz, every.ordinal) into kept
    from jsonb_array_elements(kept) with ordinality as every (value, ordinal);
  end if;
  return case when jsonb_array_length(kept) > 50 then kept - 0 else kept end;
end;
$$;
comment on function private.keep_newest_messages(jsonb, jsonb) is 'A session''s messages with another one in its place by time, and the oldest left out where there are more than 50.';

-- Reading ---------------------------------------------------------------------------------------

create function public.find_agent_session(
  key_sha256 text,
  participant_key text,
  sub_domain text default null,
  local_id text default null,
  bot_id text default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.workspaces_of_agent_key(find_agent_session.key_sha256);
  found public.agent_sessions;
begin
  if workspaces is null then
    return query select 'invalid_key'::text, null::jsonb;
    return;
  end if;
  select session.* into found
  from public.agent_sessions as session
  join public.workspaces as workspace on workspace.id = session.workspace_id
  where session.participant_key = find_agent_session.participant_key
    and session.workspace_id = any (workspaces)
    and session.is_active
    and session.expires_at > now()
    and (find_agent_session.sub_domain is null or workspace.slug = find_agent_session.sub_domain)
    and (find_agent_session.local_id is null or session.local_id = find_agent_session.local_id)
    and (find_agent_session.bot_id is null or session.bot_id = find_agent_session.bot_id)
  order by session.created_at desc, session.id desc
  limit 1;
  return query select
    case when found.id is null then 'not_found' else 'ok' end,
    case when found.id is not null then private.agent_session_state(found) end;
end;
$$;
comment on function public.find_agent_session(text, text, text, text, text) is
  'The newest active session of a customer in the workspaces of a key, or in the one that is named. For service_role only.';

create function public.find_agent_business(key_sha256 text, phone_number_id text)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.workspaces_of_agent_key(find_agent_business.key_sha256);
  business jsonb;
begin
  if workspaces is null then
    return query select 'invalid_key'::text, null::jsonb;
    return;
  end if;
  select jsonb_build_object(
    'sub_domain', workspace.slug, 'connection_id', connection.connection_id, 'is_active', connection.is_active
  ) into business
  from public.connections as connection
  join public.workspaces as workspace on workspace.id = connection.workspace_id
  where connection.phone_number_id = find_agent_business.phone_number_id
    and connection.workspace_id = any (workspaces);
  return query select case when business is null then 'not_found' else 'ok' end, business;
end;
$$;
comment on function public.find_agent_business(text, text) is
  'The business that a WhatsApp number (Meta''s phone_number_id) belongs to, among the workspaces of a key. For service_role only.';

create function public.read_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  local_id text default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.workspaces_of_agent_key(read_agent_session.key_sha256);
  found public.agent_sessions;
begin
  if workspaces is null then
    return query select 'invalid_key'::text, null::jsonb;
    return;
  end if;
  select session.* into found
  from public.agent_sessions as session
  join public.workspaces as workspace on workspace.id = session.workspace_id
  where session.session_id = read_agent_session.session_id
    and session.workspace_id = any (workspaces)
    and workspace.slug = read_agent_session.sub_domain
    and (read_agent_session.local_id is null or session.local_id = read_agent_session.local_id);
  return query select
    case when found.id is null then 'not_found' else 'ok' end,
    case when found.id is not null then private.agent_session_state(found) end;
end;
$$;
comment on function public.read_agent_session(text, text, text, text) is
  'A session by its id, also an ended or expired one. For service_role only.';

create function public.list_agent_sessions(
  key_sha256 text,
  sub_domain text,
  local_id text default null,
  bot_id text default null,
  intent text default null,
  max_sessions integer default 50,
  skip integer default 0
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.workspaces_of_agent_key(list_agent_sessions.key_sha256);
  wanted uuid;
begin
  if workspaces is null then
    return query select 'invalid_key'::text, null::jsonb;
    return;
  end if;
  select workspace.id into wanted
  from public.workspaces as workspace
  where workspace.slug = list_agent_sessions.sub_domain and workspace.id = any (workspaces);
  if wanted is null then
    return query select 'workspace_not_found'::text, null::jsonb;
    return;
  end if;
  return query
  with active as (
    select session.id, session.created_at
    from public.agent_sessions as session
    where session.workspace_id = wanted
      and session.is_active
      and session.expires_at > now()
      and (list_agent_sessions.local_id is null or session.local_id = list_agent_sessions.local_id)
      and (list_agent_sessions.bot_id is null or session.bot_id = list_agent_sessions.bot_id)
      and (list_agent_sessions.intent is null or session.current_intent = list_agent_sessions.intent)
  ),
  page as (
    select active.id
    from active
    order by active.created_at desc, active.id desc
    limit list_agent_sessions.max_sessions offset list_agent_sessions.skip
  )
  select 'ok'::text, jsonb_build_object(
    'total', (select count(*) from active),
    'sessions', coalesce(to_jsonb(array_agg(
      private.agent_session_state(session) order by session.created_at desc, session.id desc
    )), '[]')
  )
  from page
  join public.agent_sessions as session on session.id = page.id;
end;
$$;
comment on function public.list_agent_sessions(text, text, text, text, text, integer, integer) is
  'A page of the active sessions of a business, newest first, and how many there are. For service_role only.';

-- Writing ---------------------------------------------------------------------------------------

create function public.create_agent_session(
  key_sha256 text,
  participant_key text,
  sub_domain text,
  local_id text default null,
  bot_id text default null,
  metadata jsonb default '{}'
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.workspaces_of_agent_key(create_agent_session.key_sha256);
  wanted uuid;
  opened private.opened_agent_session;
  found public.agent_sessions;
begin
  if workspaces is null then
    return query select 'invalid_key'::text, null::jsonb;
    return;
  end if;
  select workspace.id into wanted
  from public.workspaces as workspace
  where workspace.slug = create_agent_session.sub_domain and workspace.id = any (workspaces);
  if wanted is null then
    return query select 'workspace_not_found'::text, null::jsonb;
    return;
  end if;

  -- First without a lock, for nearly always it is there. Then again with one that keeps away everybody
  -- else who wants a session of this customer, whatever branch or bot they name.
  for attempt in 1..2 loop
    select session.* into found
    from public.agent_sessions as session
    where session.participant_key = create_agent_session.participant_key
      and session.workspace_id = wanted
      and session.is_active
      and session.expires_at > now()
      and (create_agent_session.local_id is null or session.local_id = create_agent_session.local_id)
      and (create_agent_session.bot_id is null or session.bot_id = create_agent_session.bot_id)
    order by session.created_at desc, session.id desc
    limit 1;
    if found.id is not null and found.metadata @> create_agent_session.metadata
      and found.expires_at > now() + interval '1 hour'
    then
      opened.outcome := 'ok';
      opened.session := found;
      return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
      return;
    end if;
    if found.id is not null and private.is_too_large(found.metadata || create_agent_session.metadata, 65536) then
      return query select 'metadata_too_large'::text, null::jsonb;
      return;
    end if;
    if found.id is not null then
      -- What the agent says of itself is kept, and a session that is about to expire is carried on: whoever
      -- gets it here is going to write to it.
      update public.agent_sessions as session
      set metadata = session.metadata || create_agent_session.metadata,
        version = session.version + 1,
        last_activity_at = greatest(session.last_activity_at, now()),
        expires_at = greatest(session.expires_at, now() + interval '24 hours')
      where session.id = found.id and session.is_active
      returning session.* into found;
      if found.id is not null then
        opened.outcome := 'ok';
        opened.session := found;
        return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
        return;
      end if;
    end if;
    perform pg_catalog.pg_advisory_xact_lock(
      pg_catalog.hashtextextended('agent session ' || wanted || ' ' || create_agent_session.participant_key, 0)
    );
  end loop;

  -- What still says active has expired.
  update public.agent_sessions as session
  set is_active = false
  where session.participant_key = create_agent_session.participant_key
    and session.workspace_id = wanted
    and session.is_active
    and session.expires_at <= now();
  found.workspace_id := wanted;
  found.participant_key := create_agent_session.participant_key;
  found.local_id := create_agent_session.local_id;
  found.bot_id := create_agent_session.bot_id;
  found.metadata := create_agent_session.metadata;
  found := private.locate_participant(found);
  insert into public.agent_sessions as made
    (session_id, workspace_id, participant_key, local_id, bot_id, metadata, conversation_id, person_id)
  values (
    array_to_string(array[
      coalesce(nullif(left(regexp_replace(found.bot_id, '[^A-Za-z0-9.-]', '-', 'g'), 64), ''), 'bot'),
      left(regexp_replace(found.participant_key, '[^A-Za-z0-9.-]', '-', 'g'), 200),
      floor(extract(epoch from clock_timestamp()) * 1000)::text,
      left(replace(gen_random_uuid()::text, '-', ''), 12)
    ], '_'),
    wanted, found.participant_key, found.local_id, found.bot_id, found.metadata, found.conversation_id, found.person_id
  )
  returning made.* into found;
  opened.outcome := 'created';
  opened.session := found;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.create_agent_session(text, text, text, text, text, jsonb) is
  'The active session of a customer with a business, or a new one (outcome created). local_id and bot_id choose among several where they are given. For service_role only.';

create function public.sync_agent_session(
  key_sha256 text,
  session_id text,
  intent text,
  step text,
  context jsonb,
  metadata jsonb default '{}',
  is_active boolean default true,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    sync_agent_session.key_sha256, sync_agent_session.session_id, null, null, sync_agent_session.version, false
  );
  new_context jsonb;
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    new_context := private.change_agent_context(opened.session, sync_agent_session.context, true);
    if private.is_too_large(new_context, 262144) then
      opened.outcome := 'context_too_large';
    elsif private.is_too_large((opened.session).metadata || sync_agent_session.metadata, 65536) then
      opened.outcome := 'metadata_too_large';
    end if;
  end if;
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set current_intent = sync_agent_session.intent,
      current_step = sync_agent_session.step,
      previous_intent = case
        when (session.current_intent, session.current_step) = (sync_agent_session.intent, sync_agent_session.step)
        then session.previous_intent else session.current_intent end,
      previous_step = case
        when (session.current_intent, session.current_step) = (sync_agent_session.intent, sync_agent_session.step)
        then session.previous_step else session.current_step end,
      context = new_context,
      metadata = session.metadata || sync_agent_session.metadata,
      is_active = session.is_active and sync_agent_session.is_active,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.sync_agent_session(text, text, text, text, jsonb, jsonb, boolean, bigint) is
  'Write intent, step, context (key by key) and metadata of a session in one; is_active false ends it. For service_role only.';

create function public.change_agent_intent(
  key_sha256 text,
  session_id text,
  sub_domain text,
  intent text,
  step text default null,
  local_id text default null,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    change_agent_intent.key_sha256, change_agent_intent.session_id, change_agent_intent.sub_domain,
    change_agent_intent.local_id, change_agent_intent.version, false
  );
  changed public.agent_sessions;
  new_step text := coalesce(change_agent_intent.step, (opened.session).current_step);
begin
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set current_intent = change_agent_intent.intent,
      current_step = new_step,
      -- A repeat of the same change must not make the former pair forgotten.
      previous_intent = case
        when (session.current_intent, session.current_step) = (change_agent_intent.intent, new_step)
        then session.previous_intent else session.current_intent end,
      previous_step = case
        when (session.current_intent, session.current_step) = (change_agent_intent.intent, new_step)
        then session.previous_step else session.current_step end,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.change_agent_intent(text, text, text, text, text, text, bigint) is
  'Write intent and step of a session; the former pair becomes the previous one. For service_role only.';

create function public.write_agent_context(
  key_sha256 text,
  session_id text,
  sub_domain text,
  context jsonb,
  merge boolean default true,
  local_id text default null,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    write_agent_context.key_sha256, write_agent_context.session_id, write_agent_context.sub_domain,
    write_agent_context.local_id, write_agent_context.version, false
  );
  new_context jsonb;
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    new_context := private.change_agent_context(opened.session, write_agent_context.context, write_agent_context.merge);
    if private.is_too_large(new_context, 262144) then
      opened.outcome := 'context_too_large';
    end if;
  end if;
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set context = new_context,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.write_agent_context(text, text, text, jsonb, boolean, text, bigint) is
  'Write the context of a session, key by key or as a whole. Messages and orders stay. For service_role only.';

create function public.add_agent_message(
  key_sha256 text,
  session_id text,
  role text,
  content text,
  sub_domain text default null,
  local_id text default null,
  message_id text default null,
  sent_at text default null,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.workspaces_of_agent_key(add_agent_message.key_sha256);
  digest uuid := encode(substr(sha256(convert_to(add_agent_message.message_id, 'UTF8')), 1, 16), 'hex')::uuid;
  time text := coalesce(
    add_agent_message.sent_at, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  );
  opened private.opened_agent_session;
  known public.agent_sessions;
  located public.agent_sessions;
  changed public.agent_sessions;
begin
  if workspaces is null then
    return query select 'invalid_key'::text, null::jsonb;
    return;
  end if;
  for attempt in 1..3 loop
    begin
      select session.* into known
      from public.agent_sessions as session
      join public.workspaces as workspace on workspace.id = session.workspace_id
      where session.session_id = add_agent_message.session_id
        and session.workspace_id = any (workspaces)
        and (add_agent_message.sub_domain is null or workspace.slug = add_agent_message.sub_domain)
        and (add_agent_message.local_id is null or session.local_id = add_agent_message.local_id);
      if known.id is null then
        opened.outcome := 'not_found';
        raise exception using errcode = 'ZZ002';
      end if;
      if digest is not null then
        insert into private.agent_message_keys (session_id, message_digest)
        select known.id, digest
        where not exists (
          select 1 from private.agent_message_keys as key
          where key.session_id = known.id and key.message_digest = digest
        )
        on conflict on constraint agent_message_keys_pkey do nothing;
        if not found then
          -- A repeat, however late: the state as it is.
          select session.* into known from public.agent_sessions as session where session.id = known.id;
          opened.outcome := 'ok';
          opened.session := known;
          raise exception using errcode = 'ZZ002';
        end if;
      end if;
      if known.expires_at <= now() then
        opened.outcome := 'not_active';
        raise exception using errcode = 'ZZ002';
      end if;

      -- The thread first and the session last: see "Locks" above.
      located := null;
      if digest is not null then
        located := private.file_agent_message(
          known, add_agent_message.message_id, add_agent_message.role, add_agent_message.content, time
        );
      elsif known.conversation_id is null or known.person_id is null then
        located := private.locate_participant(known);
      end if;

      -- A last word after the end still belongs to the session.
      opened := private.open_agent_session(
        add_agent_message.key_sha256, add_agent_message.session_id, null, null, add_agent_message.version, true
      );
      if opened.outcome <> 'ok' then
        -- Undo what was filed: to the caller nothing has happened.
        raise exception using errcode = 'ZZ002';
      end if;
      update public.agent_sessions as session
      set messages = private.keep_newest_messages(session.messages, jsonb_build_object(
          'role', add_agent_message.role, 'content', add_agent_message.content, 'timestamp', time
        )),
        last_user_message = case
          when add_agent_message.role = 'user' and not exists (
            select 1 from jsonb_array_elements(session.messages) as kept (value)
            where kept.value ->> 'role' = 'user' and (kept.value ->> 'timestamp')::timestamptz > time::timestamptz
          ) then add_agent_message.content
          else session.last_user_message
        end,
        -- What the agent kept in the context itself until now.
        context = session.context - '{previousMessages,lastUserMessage}'::text[],
        conversation_id = coalesce(located.conversation_id, session.conversation_id),
        person_id = coalesce(located.person_id, session.person_id),
        version = session.version + 1,
        last_activity_at = greatest(session.last_activity_at, now()),
        expires_at = greatest(session.expires_at, now() + interval '24 hours')
      where session.id = (opened.session).id
      returning session.* into changed;
      opened.session := changed;
      exit;
    exception
      when sqlstate 'ZZ002' then
        exit;
      when deadlock_detected or serialization_failure then
        -- Somebody else, such as an import, wanted the same rows in another order. It has them now.
        if attempt = 3 then
          raise;
        end if;
    end;
  end loop;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.add_agent_message(text, text, text, text, text, text, text, text, bigint) is
  'Add a message (role user or bot) to a session. With message_id it is taken once, and filed in the customer''s thread through the one door. For service_role only.';

create function public.reset_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  keep_history boolean default false,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    reset_agent_session.key_sha256, reset_agent_session.session_id, reset_agent_session.sub_domain, null,
    reset_agent_session.version, false
  );
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set current_intent = 'idle',
      current_step = 'initial',
      previous_intent = case
        when (session.current_intent, session.current_step) = ('idle', 'initial') then session.previous_intent
        else session.current_intent end,
      previous_step = case
        when (session.current_intent, session.current_step) = ('idle', 'initial') then session.previous_step
        else session.current_step end,
      context = '{}',
      messages = case when reset_agent_session.keep_history then session.messages else '[]' end,
      last_user_message = case when reset_agent_session.keep_history then session.last_user_message end,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.reset_agent_session(text, text, text, boolean, bigint) is
  'Begin a session anew: intent idle, step initial, no context. Orders stay; messages stay with keep_history. For service_role only.';

create function public.extend_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  hours numeric default 24,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    extend_agent_session.key_sha256, extend_agent_session.session_id, extend_agent_session.sub_domain, null,
    extend_agent_session.version, false
  );
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      -- Never shorter than it was.
      expires_at = greatest(
        session.expires_at, now() + make_interval(secs => (extend_agent_session.hours * 3600)::double precision)
      )
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.extend_agent_session(text, text, text, numeric, bigint) is
  'Keep a session active for at least so many hours from now. For service_role only.';

create function public.link_agent_order(
  key_sha256 text,
  session_id text,
  sub_domain text,
  order_id text,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    link_agent_order.key_sha256, link_agent_order.session_id, link_agent_order.sub_domain, null, null, true
  );
  changed public.agent_sessions;
begin
  -- An order that is already linked changes nothing, whatever version the repeat carries.
  if opened.outcome = 'ok' and link_agent_order.order_id <> all ((opened.session).order_history) then
    if (opened.session).version <> link_agent_order.version then
      opened.outcome := 'conflict';
    else
      update public.agent_sessions as session
      set current_order_id = link_agent_order.order_id,
        order_history = session.order_history || link_agent_order.order_id,
        context = session.context - '{currentOrderId,orderHistory}'::text[],
        version = session.version + 1,
        last_activity_at = greatest(session.last_activity_at, now()),
        expires_at = greatest(session.expires_at, now() + interval '24 hours')
      where session.id = (opened.session).id
      returning session.* into changed;
      opened.session := changed;
    end if;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.link_agent_order(text, text, text, text, bigint) is
  'Link an order to a session, once: it becomes the current one and the last of the history. For service_role only.';

create function public.end_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    end_agent_session.key_sha256, end_agent_session.session_id, end_agent_session.sub_domain, null,
    end_agent_session.version, false
  );
  changed public.agent_sessions;
begin
  if opened.outcome = 'not_active' then
    -- It is what the caller wants.
    opened.outcome := 'ok';
  elsif opened.outcome = 'ok' then
    update public.agent_sessions as session
    set is_active = false,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now())
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.end_agent_session(text, text, text, bigint) is
  'End a session. A repeat changes nothing. For service_role only.';

-- Upkeep ----------------------------------------------------------------------------------------

create function public.prune_agent_sessions(keep_days integer default 30)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  pruned bigint;
begin
  if prune_agent_sessions.keep_days is null or prune_agent_sessions.keep_days < 1 then
    raise exception 'keep_days must be at least 1' using errcode = '22023';
  end if;
  delete from public.agent_sessions as session
  where session.expires_at < now() - make_interval(days => prune_agent_sessions.keep_days);
  get diagnostics pruned = row_count;
  return pruned;
end;
$$;
comment on function public.prune_agent_sessions(integer) is
  'Delete sessions that expired more than keep_days ago. Threads and people stay. Returns how many went. For service_role only.';

create function public.is_database_up()
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return true;
end;
$$;
comment on function public.is_database_up() is 'True, from whoever can be asked. For the health check of the functions; for service_role only.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  private.create_agent_key(uuid[], text),
  public.create_agent_key(uuid[], text),
  private.revoke_agent_key(uuid),
  public.revoke_agent_key(uuid),
  private.workspaces_of_agent_key(text),
  private.agent_session_state(public.agent_sessions),
  private.open_agent_session(text, text, text, text, bigint, boolean),
  private.agent_answer(private.opened_agent_session),
  private.change_agent_context(public.agent_sessions, jsonb, boolean),
  private.is_too_large(jsonb, integer),
  private.thread_id_of(public.connections, text),
  private.line_of_agent_session(public.agent_sessions),
  private.locate_participant(public.agent_sessions),
  private.file_agent_message(public.agent_sessions, text, text, text, text),
  private.keep_newest_messages(jsonb, jsonb),
  public.find_agent_session(text, text, text, text, text),
  public.find_agent_business(text, text),
  public.read_agent_session(text, text, text, text),
  public.list_agent_sessions(text, text, text, text, text, integer, integer),
  public.create_agent_session(text, text, text, text, text, jsonb),
  public.sync_agent_session(text, text, text, text, jsonb, jsonb, boolean, bigint),
  public.change_agent_intent(text, text, text, text, text, text, bigint),
  public.write_agent_context(text, text, text, jsonb, boolean, text, bigint),
  public.add_agent_message(text, text, text, text, text, text, text, text, bigint),
  public.reset_agent_session(text, text, text, boolean, bigint),
  public.extend_agent_session(text, text, text, numeric, bigint),
  public.link_agent_order(text, text, text, text, bigint),
  public.end_agent_session(text, text, text, bigint),
  public.prune_agent_sessions(integer),
  public.is_database_up()
from public, anon, authenticated, service_role;
grant execute on function
  private.create_agent_key(uuid[], text),
  public.create_agent_key(uuid[], text),
  private.revoke_agent_key(uuid),
  public.revoke_agent_key(uuid)
to authenticated;
grant execute on function
  private.workspaces_of_agent_key(text),
  private.agent_session_state(public.agent_sessions),
  private.open_agent_session(text, text, text, text, bigint, boolean),
  private.agent_answer(private.opened_agent_session),
  private.change_agent_context(public.agent_sessions, jsonb, boolean),
  private.is_too_large(jsonb, integer),
  private.thread_id_of(public.connections, text),
  private.line_of_agent_session(public.agent_sessions),
  private.locate_participant(public.agent_sessions),
  private.file_agent_message(public.agent_sessions, text, text, text, text),
  private.keep_newest_messages(jsonb, jsonb),
  public.find_agent_session(text, text, text, text, text),
  public.find_agent_business(text, text),
  public.read_agent_session(text, text, text, text),
  public.list_agent_sessions(text, text, text, text, text, integer, integer),
  public.create_agent_session(text, text, text, text, text, jsonb),
  public.sync_agent_session(text, text, text, text, jsonb, jsonb, boolean, bigint),
  public.change_agent_intent(text, text, text, text, text, text, bigint),
  public.write_agent_context(text, text, text, jsonb, boolean, text, bigint),
  public.add_agent_message(text, text, text, text, text, text, text, text, bigint),
  public.reset_agent_session(text, text, text, boolean, bigint),
  public.extend_agent_session(text, text, text, numeric, bigint),
  public.link_agent_order(text, text, text, text, bigint),
  public.end_agent_session(text, text, text, bigint),
  public.prune_agent_sessions(integer),
  public.is_database_up()
to service_role;

grant select on public.agent_keys, public.agent_key_workspaces, public.agent_sessions to authenticated;
grant all on public.agent_keys, public.agent_key_workspaces, public.agent_sessions to service_role;
grant all on private.agent_key_secrets, private.agent_message_keys to service_role;

alter table public.agent_keys enable row level security;
alter table public.agent_key_workspaces enable row level security;
alter table public.agent_sessions enable row level security;
alter table private.agent_key_secrets enable row level security;
alter table private.agent_message_keys enable row level security;

create policy "Owners and admins can see which keys open their workspaces" on public.agent_key_workspaces
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can see the keys of their workspaces" on public.agent_keys
  for select to authenticated
  using (
    id in (
      select opened.key_id from public.agent_key_workspaces as opened
      where opened.workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
    )
  );
create policy "Members can read the agent sessions of their workspaces" on public.agent_sessions
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

-- Pruning, every night, as for the webhook's events.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('prune-agent-sessions', '27 3 * * *', 'select public.prune_agent_sessions()');
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;
