-- The conversations of a workspace, filtered and searched.

create function private.search_conversations(
  workspace_id uuid,
  search text,
  status text,
  platform text,
  assigned_to uuid,
  is_unassigned boolean,
  is_unread boolean,
  tag_id uuid,
  before_activity_at timestamptz,
  before_id uuid,
  max_conversations integer
)
returns setof uuid
language plpgsql
stable
-- A page, so that the rows are then fetched one by one and not by reading the whole table.
rows 50
-- Definer because search conditions are not leakproof (docs/adr/0003). It returns ids only, and only of
-- a workspace of the caller.
security definer
set search_path = ''
-- The best index depends on the search.
set plan_cache_mode = force_custom_plan
as $$
declare
  words constant text[] := private.search_fragments(search_conversations.search);
  patterns constant text[] := private.fragment_patterns(words);
  -- The index is asked for the longest: it has the fewest.
  pattern constant text := coalesce(patterns[1], '%');
  by_person uuid[] := '{}';
begin
  if search_conversations.workspace_id is null or search_conversations.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])
  ) then
    return;
  end if;
  if cardinality(words) > 0 then
    -- Conversations of people with such a name. A thousand are more than a member looks through.
    by_person := array(
      select conversation.id
      from public.people as person
      join public.conversations as conversation
        on conversation.workspace_id = person.workspace_id and conversation.person_id = person.id
      where person.workspace_id = search_conversations.workspace_id
        and person.search_text like pattern
        and person.search_text like all (patterns)
      limit 1000
    );
  end if;
  -- The plan is made for the arguments: without a tag nothing is joined; with one it is a plain join that can begin
  -- at either side, at the tag if few conversations have it.
  return query
  select conversation.id
  from public.conversations as conversation
  left join public.conversation_tags as tagged
    on tagged.workspace_id = search_conversations.workspace_id
    and tagged.conversation_id = conversation.id
    and tagged.tag_id = search_conversations.tag_id
  where conversation.workspace_id = search_conversations.workspace_id
    and (
      cardinality(words) = 0
      or (conversation.search_text like pattern and conversation.search_text like all (patterns))
      or conversation.id = any (by_person)
    )
    and (search_conversations.status is null or conversation.status = search_conversations.status)
    and (search_conversations.platform is null or conversation.platform = search_conversations.platform)
    and (search_conversations.assigned_to is null or conversation.assigned_to = search_conversations.assigned_to)
    and (search_conversations.is_unassigned is not true or conversation.assigned_to is null)
    and (search_conversations.is_unread is not true or conversation.unread_count > 0)
    and (search_conversations.tag_id is null or tagged.tag_id is not null)
    and (conversation.activity_at, conversation.id)
      < (search_conversations.before_activity_at, search_conversations.before_id)
  order by conversation.activity_at desc, conversation.id desc
  limit search_conversations.max_conversations;
end;
$$;
comment on function private.search_conversations(
  uuid, text, text, text, uuid, boolean, boolean, uuid, timestamptz, uuid, integer
) is
  'Does the work of public.search_conversations.';

create function public.search_conversations(
  workspace_id uuid,
  search text default '',
  status text default null,
  platform text default null,
  assigned_to uuid default null,
  before_activity_at timestamptz default 'infinity',
  before_id uuid default 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  max_conversations integer default 50,
  is_unassigned boolean default false,
  is_unread boolean default false,
  tag_id uuid default null
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
    search_conversations.is_unassigned,
    search_conversations.is_unread,
    search_conversations.tag_id,
    coalesce(search_conversations.before_activity_at, 'infinity'),
    coalesce(search_conversations.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    search_conversations.max_conversations
  ) with ordinality as found (id, place)
  join public.conversation_list as listed on listed.id = found.id
  order by found.place;
end;
$$;
comment on function public.search_conversations(
  uuid, text, text, text, uuid, timestamptz, uuid, integer, boolean, boolean, uuid
) is
  'A page of conversation_list, newest first: at most max_conversations (1 to 200, 50 by default) of one workspace '
  'whose name, number, preview or contact contains each word of the search, filtered by status, platform, assignee and tag, '
  'and by is_unassigned and is_unread. Pass activity_at and id of the last row for the next page.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.search_conversations(uuid, text, text, text, uuid, boolean, boolean, uuid, timestamptz, uuid, integer),
  public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer, boolean, boolean, uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.search_conversations(uuid, text, text, text, uuid, boolean, boolean, uuid, timestamptz, uuid, integer),
  public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer, boolean, boolean, uuid)
to authenticated;
