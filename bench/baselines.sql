-- What the ingest function is compared with, in a schema of its own:
--   rows:  a row per message. The same conversations table without the array, with the same indexes; the
--          same fields of a message, of which most are null; the same dedupe rule as a primary key; the
--          workspace in every row, as archives have it for row level security; the same input, counters
--          and preview.
--   naive: one array that only grows, searched for duplicates.
-- Neither matches people, applies statuses, handles late messages or isolates bad conversations: both do
-- less than the ingest function.

create schema bench;

create table bench.conversations (
  like public.conversations including defaults including generated including indexes including constraints
);
alter table bench.conversations drop column messages;

create table bench.messages (
  conversation_id uuid not null references bench.conversations (id) on delete cascade,
  workspace_id uuid not null,
  id text not null,
  direction text not null,
  type text not null,
  content text not null,
  media_url text,
  sent_at timestamptz not null,
  status text,
  status_at timestamptz,
  error jsonb,
  reply_to text,
  reactions jsonb,
  sender_name text,
  is_history boolean,
  metadata jsonb,
  primary key (conversation_id, id)
);
create index messages_conversation_id_sent_at_idx on bench.messages (conversation_id, sent_at);

create function bench.ingest_rows(connection_id uuid, conversations jsonb)
returns table (id uuid, external_conversation_id text, outcome text, messages_added integer)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  source public.connections;
begin
  select known.* into source from public.connections as known where known.id = ingest_rows.connection_id;

  insert into bench.conversations
    (workspace_id, user_id, connection_id, platform, external_conversation_id, participant_identifier, participant_name)
  select distinct on (item.value ->> 'external_conversation_id' collate "C")
    source.workspace_id, source.user_id, source.id, source.platform,
    item.value ->> 'external_conversation_id', item.value ->> 'participant_identifier', item.value ->> 'participant_name'
  from jsonb_array_elements(ingest_rows.conversations) as item (value)
  where not exists (
    select 1 from bench.conversations as existing
    where existing.user_id = source.user_id and existing.workspace_id = source.workspace_id
      and existing.platform = source.platform
      and existing.external_conversation_id = item.value ->> 'external_conversation_id'
  )
  order by item.value ->> 'external_conversation_id' collate "C"
  on conflict do nothing;

  return query
  with item as (
    select conversation.id as conversation_id, given.value
    from jsonb_array_elements(ingest_rows.conversations) as given (value)
    join bench.conversations as conversation
      on conversation.user_id = source.user_id
      and conversation.workspace_id = source.workspace_id
      and conversation.platform = source.platform
      and conversation.external_conversation_id = given.value ->> 'external_conversation_id'
  ),
  added as (
    insert into bench.messages (conversation_id, workspace_id, id, direction, type, content, media_url, sent_at)
    select item.conversation_id, source.workspace_id, message.value ->> 'id', message.value ->> 'direction',
      message.value ->> 'type',
      message.value ->> 'content', message.value ->> 'media_url', (message.value ->> 'sent_at')::timestamptz
    from item
    cross join lateral jsonb_array_elements(item.value -> 'messages') as message (value)
    order by item.conversation_id, message.value ->> 'id'
    on conflict do nothing
    returning messages.conversation_id, messages.sent_at, messages.direction, messages.type, messages.content
  ),
  counted as (
    select added.conversation_id, count(*)::integer as messages_added, max(added.sent_at) as last_message_at,
      max(added.sent_at) filter (where added.direction = 'inbound') as last_inbound_at,
      (count(*) filter (where added.direction = 'inbound'))::integer as unread,
      (array_agg(left(added.content, 200) order by added.sent_at desc))[1] as preview,
      (array_agg(added.type order by added.sent_at desc))[1] as type,
      (array_agg(added.direction order by added.sent_at desc))[1] as direction
    from added
    group by added.conversation_id
  ),
  updated as (
    update bench.conversations as conversation
    set message_count = conversation.message_count + counted.messages_added,
      unread_count = conversation.unread_count + counted.unread,
      last_message_at = greatest(conversation.last_message_at, counted.last_message_at),
      last_inbound_at = greatest(conversation.last_inbound_at, counted.last_inbound_at),
      last_message_preview = counted.preview,
      last_message_type = counted.type,
      last_message_direction = counted.direction,
      updated_at = now()
    from counted
    where conversation.id = counted.conversation_id
    returning conversation.id
  )
  select item.conversation_id, item.value ->> 'external_conversation_id', 'updated', coalesce(counted.messages_added, 0)
  from item
  left join counted using (conversation_id)
  left join updated on updated.id = item.conversation_id;
end;
$$;

create table bench.naive (
  external_conversation_id text primary key,
  messages jsonb not null default '[]'
);

create function bench.ingest_naive(conversations jsonb)
returns void
language sql
set search_path = ''
as $$
  insert into bench.naive as thread (external_conversation_id, messages)
  select item.value ->> 'external_conversation_id', item.value -> 'messages'
  from jsonb_array_elements(ingest_naive.conversations) as item (value)
  on conflict (external_conversation_id) do update
  set messages = thread.messages || coalesce((
    select jsonb_agg(message.value)
    from jsonb_array_elements(excluded.messages) as message (value)
    where not exists (
      select 1 from jsonb_array_elements(thread.messages) as stored (value)
      where stored.value ->> 'id' = message.value ->> 'id'
    )
  ), '[]');
$$;

-- An event of a webhook that is kept as it comes, without looking for repeats and without processing it.
create table bench.webhook_events (
  id bigint generated always as identity primary key,
  phone_number_id text,
  event text,
  idempotency_key text,
  body bytea not null,
  elements jsonb not null,
  received_at timestamptz not null default now()
);

-- Measured as the role of the functions.
grant usage on schema bench to service_role;
grant all on all tables in schema bench to service_role;
