-- The conversation an agent session belongs to, and the agent's messages in it.

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
  -- 1. The number the agent names. If the workspace does not have it, or it is switched off, no other replaces it.
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
  -- 2. The only number of the business. 3. Of several, the only one on which this customer has a conversation. A guess
  -- would put a message into two conversations: the webhook knows the number, and stores it in the right one.
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
  'The active WhatsApp connection a session belongs to: named by phoneNumberId in its metadata or by its botId or '
  'localId, else the only one of the business, else the only one on which the customer has a conversation. Null where '
  'it cannot be determined.';

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
  -- The rows are locked against deletion before the session refers to them, without waiting for a concurrent delete:
  -- the next message finds the rows that remain.
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
  'The session with the conversation and the person its customer has now, or with null.';

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
comment on function private.keep_newest_messages(jsonb, jsonb) is
  'A session''s messages with another one in its place by time, without the oldest where there are more than 50.';

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
  -- The lock of private.lock_contacts: the webhook may be storing its copy of this message.
  perform pg_catalog.pg_advisory_xact_lock(private.contact_lock_key(session.participant_key));
  person := private.ensure_person(
    session.workspace_id,
    case when is_phone then jsonb_build_object('phone', '+' || session.participant_key)
      else jsonb_build_object('identifiers', jsonb_build_array(session.participant_key)) end,
    false
  );
  -- Locked against deletion until the conversation and the session refer to the person. A person who is being deleted
  -- at this moment is not linked.
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
    raise exception 'The message could not be stored: %', left(stored.error, 5);
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
  'Store a message in the customer''s WhatsApp conversation through ingest_conversations, as the webhook would, and '
  'return the session with that conversation. Without a phone number only the session keeps it.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.line_of_agent_session(public.agent_sessions),
  private.locate_participant(public.agent_sessions),
  private.keep_newest_messages(jsonb, jsonb),
  private.file_agent_message(public.agent_sessions, text, text, text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.line_of_agent_session(public.agent_sessions),
  private.locate_participant(public.agent_sessions),
  private.keep_newest_messages(jsonb, jsonb),
  private.file_agent_message(public.agent_sessions, text, text, text, text)
to service_role;
