-- Purpose: tags: words of a workspace that are put on its conversations, to see and to filter by.
-- Objects: tags, conversation_tags; conversation_list tells the tags, search_conversations finds by them, and by
--   unread and unassigned, which inboxes asked the view for until now.
-- Risk: the key on conversations is built while they cannot be written, seconds for a million.
--   search_conversations is made anew with more parameters, all of them optional.

create table public.tags (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  name text not null,
  colour text not null default 'grey',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint tags_workspace_id_id_key unique (workspace_id, id),
  constraint tags_name_check check (length(name) between 1 and 40 and name = btrim(name)),
  constraint tags_colour_check check (colour in ('grey', 'red', 'orange', 'green', 'teal', 'blue', 'purple', 'pink'))
);
comment on table public.tags is 'Words that members of a workspace put on its conversations. At most 100 per workspace.';
comment on column public.tags.id is 'Primary key.';
comment on column public.tags.workspace_id is 'The workspace.';
comment on column public.tags.name is 'The word, at most 40 characters. Unique in the workspace, however its letters are cased.';
comment on column public.tags.colour is 'grey, red, orange, green, teal, blue, purple or pink; how these look is up to whoever shows them.';
comment on column public.tags.created_at is 'When the row was made.';
comment on column public.tags.updated_at is 'When the row last changed.';

create unique index tags_workspace_id_name_key on public.tags (workspace_id, lower(name));
comment on index public.tags_workspace_id_name_key is 'One tag of a name, however its letters are cased.';

create trigger tags_touch_updated_at
  before update on public.tags
  for each row execute function private.touch_updated_at();

create function private.limit_tags()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Two that come at once are counted one after the other.
  perform 1 from public.workspaces as workspace where workspace.id = new.workspace_id for no key update;
  if (select count(*) from public.tags as tag where tag.workspace_id = new.workspace_id) > 100 then
    raise exception 'A workspace has at most 100 tags.' using errcode = 'PT422';
  end if;
  return null;
end;
$$;
comment on function private.limit_tags() is 'Trigger: a workspace has at most 100 tags, so that all of them can be read at once.';

create trigger tags_limit
  after insert on public.tags
  for each row execute function private.limit_tags();

-- What the composite foreign key below needs: a tag and a conversation are of one workspace.
alter table public.conversations
  add constraint conversations_workspace_id_id_key unique (workspace_id, id);

create table public.conversation_tags (
  workspace_id uuid not null,
  conversation_id uuid not null,
  tag_id uuid not null,
  created_at timestamptz not null default now(),
  constraint conversation_tags_pkey primary key (workspace_id, conversation_id, tag_id),
  constraint conversation_tags_workspace_id_conversation_id_fkey
    foreign key (workspace_id, conversation_id) references public.conversations (workspace_id, id) on delete cascade,
  constraint conversation_tags_workspace_id_tag_id_fkey
    foreign key (workspace_id, tag_id) references public.tags (workspace_id, id) on delete cascade
);
comment on table public.conversation_tags is 'Which tags are on which conversations, of the same workspace.';
comment on column public.conversation_tags.workspace_id is 'The workspace, the same as the conversation''s and the tag''s.';
comment on column public.conversation_tags.conversation_id is 'The conversation.';
comment on column public.conversation_tags.tag_id is 'The tag.';
comment on column public.conversation_tags.created_at is 'When it was put on.';

create index conversation_tags_workspace_id_tag_id_conversation_id_idx
  on public.conversation_tags (workspace_id, tag_id, conversation_id);

-- Access ----------------------------------------------------------------------------------------

grant select, delete on public.tags, public.conversation_tags to authenticated;
grant insert (id, workspace_id, name, colour), update (name, colour) on public.tags to authenticated;
grant insert (workspace_id, conversation_id, tag_id) on public.conversation_tags to authenticated;
grant all on public.tags, public.conversation_tags to service_role;

alter table public.tags enable row level security;
alter table public.conversation_tags enable row level security;

create policy "Members can read the tags of their workspaces" on public.tags
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners and admins can make tags" on public.tags
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can change tags" on public.tags
  for update to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])))
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can delete tags" on public.tags
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create policy "Members can read which tags are on conversations" on public.conversation_tags
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners, admins and agents can put tags on conversations" on public.conversation_tags
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));
create policy "Owners, admins and agents can take tags off" on public.conversation_tags
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));

-- The list --------------------------------------------------------------------------------------

-- The same as before, with tag_ids at its end.
create or replace view public.conversation_list
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
  'Conversations without their messages, for inboxes, with the ids of their tags. Filter by workspace_id and order by activity_at desc, id desc; search and tags go through search_conversations().';

drop function public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer);
drop function private.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer);

-- The same as before, with the filters is_unassigned, is_unread and tag_id.
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
  -- The plan is made for the arguments: without a tag nothing is joined, with one it is a plain join that
  -- can begin at either side, at the tag if it is on few.
  return query
  select conversation.id
  from public.conversations as conversation
  left join public.conversation_tags as tagged
    on tagged.workspace_id = search_conversations.workspace_id
    and tagged.conversation_id = conversation.id
    and tagged.tag_id = search_conversations.tag_id
  where conversation.workspace_id = search_conversations.workspace_id
    and (needle = '' or conversation.search_text like pattern or conversation.id = any (by_person))
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
comment on function private.search_conversations(uuid, text, text, text, uuid, boolean, boolean, uuid, timestamptz, uuid, integer) is
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
comment on function public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer, boolean, boolean, uuid) is
  'A page of conversation_list, newest first: at most max_conversations (1 to 200, 50 by default) of one workspace that have the words in name, number, preview or contact, and the status, platform, assignee and tag asked for; of those, where asked for, the ones nobody is assigned to or that have something unread. The next page is asked for with activity_at and id of the last row.';

-- News ------------------------------------------------------------------------------------------

create function private.broadcast_tag_change()
returns trigger
language plpgsql
-- Definer because members have no rights in the schema of Realtime.
security definer
set search_path = ''
as $$
declare
  of_workspace uuid;
begin
  -- Once a statement: a tag may go from very many conversations at once.
  for of_workspace in select distinct changed.workspace_id from changed loop
    perform realtime.send('{}', 'tags_changed', 'workspace:' || of_workspace, true);
  end loop;
  return null;
end;
$$;
comment on function private.broadcast_tag_change() is
  'Trigger: tells the private channel workspace:<id> of Realtime that tags, or what they are on, have changed.';

do $$
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is not null then
    create trigger tags_broadcast_insert after insert on public.tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger tags_broadcast_update after update on public.tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger tags_broadcast_delete after delete on public.tags
      referencing old table as changed for each statement execute function private.broadcast_tag_change();
    create trigger conversation_tags_broadcast_insert after insert on public.conversation_tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger conversation_tags_broadcast_delete after delete on public.conversation_tags
      referencing old table as changed for each statement execute function private.broadcast_tag_change();
  end if;
end;
$$;

revoke execute on function
  private.limit_tags(),
  private.broadcast_tag_change(),
  private.search_conversations(uuid, text, text, text, uuid, boolean, boolean, uuid, timestamptz, uuid, integer),
  public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer, boolean, boolean, uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.search_conversations(uuid, text, text, text, uuid, boolean, boolean, uuid, timestamptz, uuid, integer),
  public.search_conversations(uuid, text, text, text, uuid, timestamptz, uuid, integer, boolean, boolean, uuid)
to authenticated;
