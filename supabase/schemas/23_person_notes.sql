-- Notes on people: written by members, and the daily summaries.

create table public.person_notes (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  person_id uuid not null,
  kind text not null default 'note',
  local_date date,
  content text not null,
  metadata jsonb not null default '{}',
  created_by uuid references auth.users (id) on delete set null default auth.uid(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint person_notes_workspace_id_person_id_fkey
    foreign key (workspace_id, person_id) references public.people (workspace_id, id) on delete cascade,
  constraint person_notes_kind_check check (kind in ('note', 'daily_summary')),
  constraint person_notes_local_date_check check ((kind = 'daily_summary') = (local_date is not null)),
  constraint person_notes_content_check check (length(content) between 1 and 20000),
  constraint person_notes_metadata_check check (jsonb_typeof(metadata) = 'object')
);
comment on table public.person_notes is
  'Notes of members about a person, and a summary of each day. Customers never see them.';
comment on column public.person_notes.id is 'Primary key.';
comment on column public.person_notes.workspace_id is 'The workspace, the same as the person''s.';
comment on column public.person_notes.person_id is 'The person.';
comment on column public.person_notes.kind is
  'note: written by a member. daily_summary: one per day, written by a program.';
comment on column public.person_notes.local_date is
  'The day a daily_summary is about, in the time zone of the workspace. Null for notes.';
comment on column public.person_notes.content is 'The text.';
comment on column public.person_notes.metadata is
  'How a program made it, such as the model and the message count of a daily summary: an object of up to 16 KiB, '
  'empty for notes of members. Written by public.write_daily_summaries(); private.note_other_person() sets its digest '
  'to null.';
comment on column public.person_notes.created_by is 'The member who wrote it. Null for what a program wrote.';
comment on column public.person_notes.created_at is 'When the row was created.';
comment on column public.person_notes.updated_at is 'When the row last changed.';

create unique index person_notes_person_id_kind_local_date_key
  on public.person_notes (person_id, kind, local_date) where local_date is not null;
comment on index public.person_notes_person_id_kind_local_date_key is 'One summary per person and day.';

create index person_notes_workspace_id_person_id_created_at_idx
  on public.person_notes (workspace_id, person_id, created_at desc);

create index person_notes_created_by_idx on public.person_notes (created_by);

create index person_notes_workspace_id_local_date_idx
  on public.person_notes (workspace_id, local_date) where local_date is not null;
comment on index public.person_notes_workspace_id_local_date_idx is 'The summaries of a day.';

create trigger person_notes_touch_updated_at
  before update on public.person_notes
  for each row execute function private.touch_updated_at();

grant select, delete on public.person_notes to authenticated;
grant insert (id, workspace_id, person_id, content) on public.person_notes to authenticated;
grant update (content) on public.person_notes to authenticated;
grant all on public.person_notes to service_role;
alter table public.person_notes enable row level security;

create policy "Members can read the notes of their workspaces" on public.person_notes
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners, admins and agents can write notes" on public.person_notes
  for insert to authenticated
  with check (
    kind = 'note'
    and created_by = (select auth.uid())
    and workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent']))
  );
create policy "Members can change their own notes, owners and admins all" on public.person_notes
  for update to authenticated
  using (
    kind = 'note'
    and (
      workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
      or (
        created_by = (select auth.uid())
        and workspace_id in (select private.workspaces_with_role(array['agent']))
      )
    )
  )
  with check (
    kind = 'note'
    and workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent']))
  );
create policy "Members can delete their own notes, owners and admins all" on public.person_notes
  for delete to authenticated
  using (
    workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
    or (
      kind = 'note'
      and created_by = (select auth.uid())
      and workspace_id in (select private.workspaces_with_role(array['agent']))
    )
  );
