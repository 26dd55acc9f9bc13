-- Purpose: the read side: one thread, the list of threads, search, whole-thread export, and the people
--   that bridges match against.
-- Objects: conversation_messages, conversation_list, search_conversations, conversation_export, list_people.
-- Risk: none; functions and views only.

-- One thread ------------------------------------------------------------------------------------

create function public.conversation_messages(conversation uuid, before text default null, max_messages integer default 50)
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
-- Pages are read from the index in their order, one after the other, until there are enough. Sorting
-- them first would touch every page of the thread.
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
    -- A cursor is the time and the id of a message. It stays right when messages are added around it
    -- and when its page is split.
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

  -- From the newest page backwards, until there are enough: the head, then the archive in the order of its
  -- index. Row level security applies to both tables.
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
      -- Messages of one instant may go on in the page before; only there the search goes on too.
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
  'Messages of a whole thread, newest first, archives included: at most max_messages (1 to 500, 50 by default), older than the cursor before. The next page is asked for with the cursor of the last row. Row level security applies: no rows for a conversation the caller may not see.';

-- The list --------------------------------------------------------------------------------------

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
  conversation.last_read_at,
  conversation.activity_at,
  conversation.last_message_at,
  conversation.last_message_preview,
  conversation.last_message_type,
  conversation.last_message_direction,
  conversation.last_inbound_at,
  conversation.created_at,
  conversation.updated_at
from public.conversations as conversation
left join public.people as person
  on person.workspace_id = conversation.workspace_id and person.id = conversation.person_id;
comment on view public.conversation_list is
  'Conversations without their messages, for inboxes. Filter by workspace_id and order by activity_at desc, id desc; search goes through search_conversations().';

-- Search conditions are not leakproof, so Postgres applies them only after row level security has let
-- the row pass, and then no index can serve them. Here membership is checked once, before.
create function private.search_conversations(
  workspace_id uuid,
  search text,
  status text,
  platform text,
  assigned_to uuid,
  before_activity_at timestamptz,
  before_id uuid,
  max_conversations integer
)
returns setof uuid
language plpgsql
stable
-- A page, so that the rows are then fetched one by one and not by reading the whole table.
rows 50
-- Definer because of the above. It returns ids only, and only of a workspace of the caller.
security definer
set search_path = ''
-- Which index is best depends on what is searched for.
set plan_cache_mode = force_custom_plan
as $$
declare
  -- A number is found however it is written: +62 812-3456, (0812) 3456, which in full begins with the
  -- country code instead of the zero.
  needle text := case
    when search_conversations.search ~ '^[0-9 ()+./-]*$' and search_conversations.search ~ '[0-9].*[0-9].*[0-9]'
      then coalesce(
        nullif(ltrim(regexp_replace(search_conversations.search, '[^0-9]', '', 'g'), '0'), ''),
        regexp_replace(search_conversations.search, '[^0-9]', '', 'g')
      )
    else private.search_key(btrim(search_conversations.search))
  end;
  pattern text := '%' || replace(replace(replace(needle, '\', '\\'), '%', '\%'), '_', '\_') || '%';
  by_person uuid[] := '{}';
begin
  if search_conversations.workspace_id is null or search_conversations.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])
  ) then
    return;
  end if;
  if needle <> '' then
    -- Conversations of people with such a name. A thousand are more than anybody looks through.
    by_person := array(
      select conversation.id
      from public.people as person
      join public.conversations as conversation
        on conversation.workspace_id = person.workspace_id and conversation.person_id = person.id
      where person.workspace_id = search_conversations.workspace_id
        and person.search_text like pattern
      limit 1000
    );
  end if;
  return query
  select conversation.id
  from public.conversations as conversation
  where conversation.workspace_id = search_conversations.workspace_id
    and (needle = '' or conversation.search_text like pattern or conversation.id = any (by_person))
    and (search_conversations.status is null or conversation.status = search_conversations.status)
    and (search_conversations.platform is null or conversation.platform = search_conversations.platform)
    and (search_conversations.assigned_to is null or conversation.assigned_to = search_conversations.assigned_to)
    and (conversation.activity_at, conversation.id)
      < (search_conversations.before_activity_at, search_conversations.before_id)
  order by conversation.activity_at desc, conversation.id desc
  limit search_conversations.max_conversations;
end;
$$;
comment on function private.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer) is
  'Does the work of public.search_conversations.';

create function public.search_conversations(
  workspace_id uuid,
  search text default '',
  status text default null,
  platform text default null,
  assigned_to uuid default null,
  before_activity_at timestamptz default 'infinity',
  before_id uuid default 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  max_conversations integer default 50
)
returns setof public.conversation_list
language plpgsql
stable
set search_path = ''
as $$
begin
  if search_conversations.max_conversations is null or search_conversations.max_conversations not between 1 and 200 then
    raise exception 'max_conversations must be between 1 and 200' using errcode = '22023';
  end if;
  return query
  select listed.*
  from private.search_conversations(
    search_conversations.workspace_id,
    left(coalesce(search_conversations.search, ''), 200),
    search_conversations.status,
    search_conversations.platform,
    search_conversations.assigned_to,
    coalesce(search_conversations.before_activity_at, 'infinity'),
    coalesce(search_conversations.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    search_conversations.max_conversations
  ) with ordinality as found (id, place)
  join public.conversation_list as listed on listed.id = found.id
  order by found.place;
end;
$$;
comment on function public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer) is
  'A page of conversation_list, newest first: at most max_conversations (1 to 200, 50 by default) of one workspace that have the words in name, number, preview or contact, and the status, platform and assignee asked for. The next page is asked for with activity_at and id of the last row.';

-- Export ----------------------------------------------------------------------------------------

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
  'Every conversation with its whole thread as one array, oldest message first. Select one conversation at a time: a long thread is many megabytes.';

-- People, for bridges ---------------------------------------------------------------------------

create function public.list_people(
  workspace_id uuid,
  search text default null,
  phone text default null,
  updated_since timestamptz default null,
  max_people integer default 100,
  skip integer default 0
)
returns table (
  total bigint,
  id uuid,
  name text,
  email text,
  phone_number text,
  avatar_url text,
  updated_at timestamptz
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  pattern text := '%' || replace(replace(replace(
    private.search_key(btrim(list_people.search)), '\', '\\'), '%', '\%'), '_', '\_') || '%';
  digits text := regexp_replace(list_people.phone, '[^0-9]', '', 'g');
  country text;
  spellings text[];
begin
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = list_people.workspace_id;
  spellings := private.phone_spellings(digits, country) || private.phone_variant_spellings(digits, country);
  return query
  with found as (
    select person.id, person.name, person.kapso_name, person.email, person.phone, person.avatar_url, person.updated_at
    from public.people as person
    where person.workspace_id = list_people.workspace_id
      and (pattern is null or person.search_text like pattern)
      and (list_people.updated_since is null or person.updated_at >= list_people.updated_since)
      and (
        digits is null
        or person.phone_digits = any (spellings)
        or (
          length(digits) >= 10
          and person.phone_last10 = right(digits, 10)
          and private.have_same_last10(person.phone_digits, digits)
        )
      )
  )
  select counted.total, page.id, coalesce(page.name, page.kapso_name), page.email, page.phone, page.avatar_url,
    page.updated_at
  from (select count(*) as total from found) as counted
  left join (
    select found.* from found
    order by found.updated_at, found.id
    limit list_people.max_people offset list_people.skip
  ) as page on true
  order by page.updated_at, page.id;
end;
$$;
comment on function public.list_people(uuid, text, text, timestamptz, integer, integer) is
  'A page of the people of one workspace, least recently changed first, each row with the total. One row with a null id where the page is empty. For service_role only.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  public.conversation_messages(uuid, text, integer),
  private.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer),
  public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer),
  public.list_people(uuid, text, text, timestamptz, integer, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.conversation_messages(uuid, text, integer)
to authenticated, service_role;
grant execute on function
  private.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer),
  public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer)
to authenticated;
grant execute on function
  public.list_people(uuid, text, text, timestamptz, integer, integer)
to service_role;

grant select on public.conversation_list, public.conversation_export to authenticated, service_role;
