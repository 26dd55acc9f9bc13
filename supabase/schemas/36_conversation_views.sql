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

create function public.conversation_messages(
  conversation uuid,
  before text default null,
  max_messages integer default 50
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
  sender_name text,
  is_history boolean,
  metadata jsonb,
  cursor text
)
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
#variable_conflict use_column
declare
  wanted integer := conversation_messages.max_messages;
  anchor_at timestamptz := 'infinity';
  anchor_id text;
  anchor_found boolean := conversation_messages.before is null;
  page record;
  page_end bigint;
  returned integer;
begin
  if wanted is null or wanted not between 1 and 500 then
    raise exception 'max_messages must be between 1 and 500' using errcode = '22023';
  end if;
  if not anchor_found then
    -- A cursor is the time and the id of a message. It stays valid when messages are added around it and when its
    -- page is split.
    begin
      anchor_at := split_part(conversation_messages.before, '~', 1)::timestamptz;
    exception when data_exception then
      anchor_at := null;
    end;
    anchor_id := substr(conversation_messages.before, strpos(conversation_messages.before, '~') + 1);
    if anchor_at is null or strpos(conversation_messages.before, '~') = 0 then
      raise exception 'before is not a cursor'
        using errcode = '22023', hint = 'Pass the cursor column of the last row you have, unchanged.';
    end if;
  end if;

  -- From the newest page backwards: the head, then the archive in the order of its index. Row level security applies
  -- to both tables.
  for page in
    (
      select head.messages, coalesce(head.head_started_at, '-infinity') as first_sent_at
      from public.conversations as head
      where head.id = conversation_messages.conversation
        and (head.head_started_at <= anchor_at or head.archived_message_count = 0)
    )
    union all
    (
      select archive.messages, archive.first_sent_at
      from public.conversation_archives as archive
      where archive.conversation_id = conversation_messages.conversation
        and archive.first_sent_at <= anchor_at
      order by archive.first_sent_at desc, archive.position desc
    )
  loop
    page_end := null;
    if not anchor_found then
      select stored.ordinal into page_end
      from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      where stored.value ->> 'id' = anchor_id;
      -- Messages of one instant may continue in the page before; only then does the search continue there.
      continue when page_end is null and page.first_sent_at >= anchor_at;
      anchor_found := true;
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
      stored.value ->> 'sender_name',
      coalesce((stored.value ->> 'is_history')::boolean, false),
      stored.value -> 'metadata',
      (stored.value ->> 'sent_at') || '~' || (stored.value ->> 'id')
    from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
    where (page_end is null or stored.ordinal < page_end)
      and (page_end is not null or (stored.value ->> 'sent_at')::timestamptz <= anchor_at)
    order by stored.ordinal desc
    limit wanted;
    get diagnostics returned = row_count;
    wanted := wanted - returned;
    exit when wanted = 0;
  end loop;
end;
$$;
comment on function public.conversation_messages(uuid, text, integer) is
  'Messages of a whole conversation, newest first, archives included: at most max_messages (1 to 500, 50 by default), '
  'older than the cursor before. Pass the cursor of the last row for the next page. Row level security applies: no '
  'rows for a conversation the caller may not see.';

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
      select jsonb_agg(stored.value order by archive.position, stored.ordinal)
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
  public.conversation_messages(uuid, text, integer)
from public, anon, authenticated, service_role;
grant execute on function public.conversation_messages(uuid, text, integer) to authenticated, service_role;
