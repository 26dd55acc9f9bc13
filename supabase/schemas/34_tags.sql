-- Labels of a workspace and the conversations that have them.

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
comment on table public.tags is 'Labels that members put on conversations. At most 100 per workspace.';
comment on column public.tags.id is 'Primary key.';
comment on column public.tags.workspace_id is 'The workspace.';
comment on column public.tags.name is
  'The label, at most 40 characters. Unique in the workspace, regardless of letter case.';
comment on column public.tags.colour is
  'grey, red, orange, green, teal, blue, purple or pink; the app decides how these look.';
comment on column public.tags.created_at is 'When the row was created.';
comment on column public.tags.updated_at is 'When the row last changed.';

create unique index tags_workspace_id_name_key on public.tags (workspace_id, lower(name));
comment on index public.tags_workspace_id_name_key is 'One tag of a name, regardless of letter case.';

create trigger tags_touch_updated_at
  before update on public.tags
  for each row execute function private.touch_updated_at();

grant select, delete on public.tags to authenticated;
grant insert (id, workspace_id, name, colour), update (name, colour) on public.tags to authenticated;
grant all on public.tags to service_role;
alter table public.tags enable row level security;

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

create function private.limit_tags()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Two concurrent inserts are counted one after the other.
  perform 1 from public.workspaces as workspace where workspace.id = new.workspace_id for no key update;
  if (select count(*) from public.tags as tag where tag.workspace_id = new.workspace_id) > 100 then
    raise exception 'too_many_tags' using errcode = 'PT422', detail = '{"max": 100}';
  end if;
  return null;
end;
$$;
comment on function private.limit_tags() is
  'Trigger: a workspace has at most 100 tags, so that all of them can be read at once.';

create trigger tags_limit
  after insert on public.tags
  for each row execute function private.limit_tags();

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
comment on column public.conversation_tags.workspace_id is
  'The workspace, the same as the conversation''s and the tag''s.';
comment on column public.conversation_tags.conversation_id is 'The conversation.';
comment on column public.conversation_tags.tag_id is 'The tag.';
comment on column public.conversation_tags.created_at is 'When the tag was added.';

create index conversation_tags_workspace_id_tag_id_conversation_id_idx
  on public.conversation_tags (workspace_id, tag_id, conversation_id);

grant select, delete on public.conversation_tags to authenticated;
grant insert (workspace_id, conversation_id, tag_id) on public.conversation_tags to authenticated;
grant all on public.conversation_tags to service_role;
alter table public.conversation_tags enable row level security;

create policy "Members can read which tags are on conversations" on public.conversation_tags
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners, admins and agents can put tags on conversations" on public.conversation_tags
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));
create policy "Owners, admins and agents can take tags off" on public.conversation_tags
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function private.limit_tags() from public, anon, authenticated, service_role;
