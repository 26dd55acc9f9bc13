-- Texts that members insert into a message by a shortcut.

create table public.canned_replies (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  shortcut text not null,
  title text not null,
  content text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint canned_replies_shortcut_check check (length(shortcut) between 1 and 40 and shortcut !~ '[\s/]'),
  constraint canned_replies_title_check check (length(title) between 1 and 60 and title = btrim(title)),
  constraint canned_replies_content_check check (length(content) <= 4096 and content ~ '\S')
);
comment on table public.canned_replies is
  'Texts that members insert into a reply and edit before they send it. At most 500 per workspace.';
comment on column public.canned_replies.id is 'Primary key.';
comment on column public.canned_replies.workspace_id is 'The workspace.';
comment on column public.canned_replies.shortcut is
  'Typed after a slash to find the reply: at most 40 characters, no spaces, no slash. Unique in the workspace, '
  'regardless of letter case.';
comment on column public.canned_replies.title is 'Title, at most 60 characters.';
comment on column public.canned_replies.content is
  'The text, at most 4096 characters, the limit of a WhatsApp message. {{name}} stands for the name of the contact.';
comment on column public.canned_replies.created_at is 'When the row was created.';
comment on column public.canned_replies.updated_at is 'When the row last changed.';

create unique index canned_replies_workspace_id_shortcut_key on public.canned_replies (workspace_id, lower(shortcut));
comment on index public.canned_replies_workspace_id_shortcut_key is
  'One reply of a shortcut, regardless of letter case.';

create trigger canned_replies_touch_updated_at
  before update on public.canned_replies
  for each row execute function private.touch_updated_at();

grant select, delete on public.canned_replies to authenticated;
grant insert (id, workspace_id, shortcut, title, content), update (shortcut, title, content)
  on public.canned_replies to authenticated;
grant all on public.canned_replies to service_role;
alter table public.canned_replies enable row level security;

create policy "Members can read the canned replies of their workspaces" on public.canned_replies
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners and admins can write canned replies" on public.canned_replies
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can change canned replies" on public.canned_replies
  for update to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])))
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can delete canned replies" on public.canned_replies
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create function private.limit_canned_replies()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Two concurrent inserts are counted one after the other.
  perform 1 from public.workspaces as workspace where workspace.id = new.workspace_id for no key update;
  if (select count(*) from public.canned_replies as reply where reply.workspace_id = new.workspace_id) > 500 then
    raise exception 'too_many_canned_replies' using errcode = 'PT422', detail = '{"max": 500}';
  end if;
  return null;
end;
$$;
comment on function private.limit_canned_replies() is
  'Trigger: a workspace has at most 500 canned replies, so that all of them can be read at once.';

create trigger canned_replies_limit
  after insert on public.canned_replies
  for each row execute function private.limit_canned_replies();

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function private.limit_canned_replies() from public, anon, authenticated, service_role;
