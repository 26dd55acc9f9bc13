-- Reading conversations: the list, the messages of one, and the export.

create view public.conversation_list
with (security_invoker = true)
as
select
  conversation.id,
  conversation.workspace_id,
  conversation.connection_id,
  conversation.platform,
  conversation.external_conversation_id,
  conversation.participant_identifier,
  conversation.participant_name,
  conversation.person_id,
  person.name as person_name,
  conversation.status,
  conversation.closed_at,
  conversation.assigned_to,
  conversation.message_count,
  conversation.unread_count,
  conversation.inbound_arrivals,
  conversation.last_read_at,
  conversation.activity_at,
  conversation.last_message_at,
  conversation.last_message_preview,
  conversation.last_message_type,
  conversation.last_message_direction,
  conversation.last_inbound_at,
  conversation.created_at,
  conversation.updated_at,
  array(
    select tagged.tag_id
    from public.conversation_tags as tagged
    where tagged.workspace_id = conversation.workspace_id and tagged.conversation_id = conversation.id
    order by tagged.tag_id
  ) as tag_ids
from public.conversations as conversation
left join public.people as person
  on person.workspace_id = conversation.workspace_id and person.id = conversation.person_id;
comment on view public.conversation_list is
  'Conversations without their messages, for inboxes, with the ids of their tags. Filter by workspace_id and order by '
  'activity_at desc, id desc; search and tags go through search_conversations().';
grant select on public.conversation_list to authenticated, service_role;

create type private.message_cursor as (
  sent_at timestamptz,
  id text
);
comment on type private.message_cursor is 'The place of a message in its conversation.';

create function private.read_cursor(name text, cursor text)
returns private.message_cursor
language plpgsql
stable
set search_path = ''
as $$
declare
  sent_at timestamptz;
begin
  begin
    sent_at := split_part(read_cursor.cursor, '~', 1)::timestamptz;
  exception when data_exception then
    sent_at := null;
  end;
  if sent_at is null or strpos(read_cursor.cursor, '~') = 0 then
    raise exception '% is not a cursor', read_cursor.name
      using errcode = '22023', hint = 'Pass the cursor column of a row you have, unchanged.';
  end if;
  return row(sent_at, substr(read_cursor.cursor, strpos(read_cursor.cursor, '~') + 1));
end;
$$;
comment on function private.read_cursor(text, text) is
  'Read a cursor: the time and the id of a message. It stays valid when messages are added around it and when its page '
  'is split. name: the parameter, for the error.';

create function private.messages_before(
  conversation_id uuid,
  anchor private.message_cursor,
  includes_anchor boolean,
  max_messages integer
)
returns jsonb[]
language plpgsql
stable
set search_path = ''
-- Pages are read from the index in their order, until there are enough messages. Sorting them first would touch every
-- page of the conversation. What is forbidden seems so expensive that JIT would compile every statement, for half a
-- second or more.
set jit = off
set enable_sort = off
set enable_bitmapscan = off
set enable_seqscan = off
as $$
declare
  found jsonb[] := '{}';
  anchor_at constant timestamptz := coalesce(anchor.sent_at, 'infinity');
  anchor_found boolean := anchor.id is null;
  page record;
  page_end bigint;
begin
  -- From the newest page backwards: the head, then the archive in the order of its index. Row level security applies
  -- to both tables.
  for page in
    (
      select head.messages, coalesce(head.head_started_at, '-infinity') as first_sent_at
      from public.conversations as head
      where head.id = messages_before.conversation_id
        and (head.head_started_at <= anchor_at or head.archived_message_count = 0)
    )
    union all
    (
      select archive.messages, archive.first_sent_at
      from public.conversation_archives as archive
      where archive.conversation_id = messages_before.conversation_id
        and archive.first_sent_at <= anchor_at
      order by archive.first_sent_at desc, archive.part desc
    )
  loop
    page_end := null;
    if not anchor_found then
      select stored.ordinal + messages_before.includes_anchor::integer into page_end
      from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      where stored.value ->> 'id' = anchor.id;
      -- Messages of one instant may continue in the page before; only then does the search continue there.
      continue when page_end is null and page.first_sent_at >= anchor_at;
      anchor_found := true;
    end if;
    found := found || array(
      select stored.value
      from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      where (page_end is null or stored.ordinal < page_end)
        and (page_end is not null or (stored.value ->> 'sent_at')::timestamptz <= anchor_at)
      order by stored.ordinal desc
      limit messages_before.max_messages - cardinality(found)
    );
    exit when cardinality(found) >= messages_before.max_messages;
  end loop;
  return found;
end;
$$;
comment on function private.messages_before(uuid, private.message_cursor, boolean, integer) is
  'The newest messages of a conversation that are older than a message, newest first; of all where the cursor is null. '
  'includes_anchor: beginning with the message itself.';

create function private.messages_after(conversation_id uuid, anchor private.message_cursor, max_messages integer)
returns jsonb[]
language plpgsql
stable
set search_path = ''
-- As for messages_before.
set jit = off
set enable_sort = off
set enable_bitmapscan = off
set enable_seqscan = off
as $$
declare
  found jsonb[] := '{}';
  anchor_found boolean := false;
  page record;
  page_start bigint;
begin
  for page in
    (
      select archive.messages
      from public.conversation_archives as archive
      where archive.conversation_id = messages_after.conversation_id
        and archive.first_sent_at >= coalesce(
          (
            select max(covering.first_sent_at)
            from public.conversation_archives as covering
            where covering.conversation_id = messages_after.conversation_id
              and covering.first_sent_at <= anchor.sent_at
          ),
          '-infinity'
        )
      order by archive.first_sent_at, archive.part
    )
    union all
    (
      select head.messages
      from public.conversations as head
      where head.id = messages_after.conversation_id
    )
  loop
    if not anchor_found then
      select stored.ordinal into page_start
      from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      where stored.value ->> 'id' = anchor.id;
    else
      page_start := 0;
    end if;
    found := found || array(
      select stored.value
      from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      where case when page_start is null then (stored.value ->> 'sent_at')::timestamptz > anchor.sent_at
        else stored.ordinal > page_start end
      order by stored.ordinal
      limit messages_after.max_messages - cardinality(found)
    );
    -- A message that is gone was before what is newer.
    anchor_found := anchor_found or page_start is not null or cardinality(found) > 0;
    exit when cardinality(found) >= messages_after.max_messages;
  end loop;
  return found;
end;
$$;
comment on function private.messages_after(uuid, private.message_cursor, integer) is
  'The oldest messages of a conversation that are newer than a message, oldest first.';

create function public.conversation_messages(
  conversation uuid,
  before text default null,
  max_messages integer default 50,
  after text default null,
  around text default null
)
returns table (
  id text,
  direction text,
  type text,
  content text,
  media_url text,
  sent_at timestamptz,
  status text,
  status_at timestamptz,
  error jsonb,
  reply_to text,
  reactions jsonb,
  edited_at timestamptz,
  original_content text,
  deleted_at timestamptz,
  sender_name text,
  is_history boolean,
  metadata jsonb,
  cursor text
)
language plpgsql
stable
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  found jsonb[];
  newer jsonb[] := '{}';
  anchor private.message_cursor;
begin
  if conversation_messages.max_messages is null or conversation_messages.max_messages not between 1 and 500 then
    raise exception 'max_messages must be between 1 and 500' using errcode = '22023';
  end if;
  if num_nonnulls(conversation_messages.before, conversation_messages.after, conversation_messages.around) > 1 then
    raise exception 'before, after and around exclude each other' using errcode = '22023';
  end if;
  if conversation_messages.after is not null then
    newer := private.messages_after(
      conversation_messages.conversation, private.read_cursor('after', conversation_messages.after),
      conversation_messages.max_messages
    );
    found := '{}';
  elsif conversation_messages.around is not null then
    anchor := private.read_cursor('around', conversation_messages.around);
    newer := private.messages_after(
      conversation_messages.conversation, anchor, conversation_messages.max_messages / 2
    );
    found := private.messages_before(
      conversation_messages.conversation, anchor, true, conversation_messages.max_messages - cardinality(newer)
    );
  else
    if conversation_messages.before is not null then
      anchor := private.read_cursor('before', conversation_messages.before);
    end if;
    found := private.messages_before(
      conversation_messages.conversation, anchor, false, conversation_messages.max_messages
    );
  end if;
  return query
  select
    stored.value ->> 'id',
    stored.value ->> 'direction',
    stored.value ->> 'type',
    stored.value ->> 'content',
    stored.value ->> 'media_url',
    (stored.value ->> 'sent_at')::timestamptz,
    stored.value ->> 'status',
    (stored.value ->> 'status_at')::timestamptz,
    stored.value -> 'error',
    stored.value ->> 'reply_to',
    (
      select jsonb_agg(reaction.value)
      from jsonb_array_elements(stored.value -> 'reactions') as reaction (value)
      where reaction.value ->> 'emoji' is not null
    ),
    (stored.value ->> 'edited_at')::timestamptz,
    stored.value ->> 'original_content',
    (stored.value ->> 'deleted_at')::timestamptz,
    stored.value ->> 'sender_name',
    coalesce((stored.value ->> 'is_history')::boolean, false),
    stored.value -> 'metadata',
    (stored.value ->> 'sent_at') || '~' || (stored.value ->> 'id')
  from (
    select known.value, known.place from unnest(found) with ordinality as known (value, place)
    union all
    select known.value, -known.place from unnest(newer) with ordinality as known (value, place)
  ) as stored
  order by stored.place;
end;
$$;
comment on function public.conversation_messages(uuid, text, integer, text, text) is
  'Messages of a whole conversation, newest first, archives included: at most max_messages (1 to 500, 50 by default). '
  'The newest; or those before a cursor, or after it (the next ones), or around it: that message, and as many before as '
  'after it. Pass the cursor of the last row as before for the next page, and that of the first as after for newer '
  'ones. Row level security applies: no rows for a conversation the caller may not see.';

create view public.conversation_export
with (security_invoker = true)
as
select
  conversation.id,
  conversation.workspace_id,
  conversation.platform,
  conversation.external_conversation_id,
  conversation.participant_identifier,
  conversation.participant_name,
  conversation.person_id,
  conversation.message_count,
  coalesce(
    (
      select jsonb_agg(stored.value order by archive.first_sent_at, archive.part, stored.ordinal)
      from public.conversation_archives as archive
      cross join lateral jsonb_array_elements(archive.messages) with ordinality as stored (value, ordinal)
      where archive.conversation_id = conversation.id
    ),
    '[]'
  ) || conversation.messages as messages
from public.conversations as conversation;
comment on view public.conversation_export is
  'Every conversation with all its messages as one array, oldest first. Select one conversation at a time: a long one '
  'is many megabytes.';
grant select on public.conversation_export to authenticated, service_role;

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.read_cursor(text, text),
  private.messages_before(uuid, private.message_cursor, boolean, integer),
  private.messages_after(uuid, private.message_cursor, integer),
  public.conversation_messages(uuid, text, integer, text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.read_cursor(text, text),
  private.messages_before(uuid, private.message_cursor, boolean, integer),
  private.messages_after(uuid, private.message_cursor, integer),
  public.conversation_messages(uuid, text, integer, text, text)
to authenticated, service_role;
