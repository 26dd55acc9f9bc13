-- Purpose: what members do with threads: read, close, assign, link to a person; internal notes.
-- Objects: person_notes, set_conversation_status, mark_conversation_read, mark_conversation_unread,
--   assign_conversation, link_conversation, workspace_member_list.
-- Risk: none; a new table and functions only.

-- Notes -----------------------------------------------------------------------------------------

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
comment on table public.person_notes is 'What members write down about a person, and what is written about each day. Customers never see it.';
comment on column public.person_notes.id is 'Primary key.';
comment on column public.person_notes.workspace_id is 'The workspace, the same as the person''s.';
comment on column public.person_notes.person_id is 'The person.';
comment on column public.person_notes.kind is 'note: written by a member. daily_summary: one per day, written by a program.';
comment on column public.person_notes.local_date is 'The day a daily_summary is about, in the time zone of the workspace. Null for notes.';
comment on column public.person_notes.content is 'The text.';
comment on column public.person_notes.metadata is 'How it came about: an object, empty for notes; see supabase/functions/_shared/conversations/note.ts.';
comment on column public.person_notes.created_by is 'The member who wrote it. Null for what a program wrote.';
comment on column public.person_notes.created_at is 'When the row was made.';
comment on column public.person_notes.updated_at is 'When the row last changed.';

create unique index person_notes_person_id_kind_local_date_key
  on public.person_notes (person_id, kind, local_date) where local_date is not null;
comment on index public.person_notes_person_id_kind_local_date_key is 'One summary per person and day.';
create index person_notes_workspace_id_person_id_created_at_idx
  on public.person_notes (workspace_id, person_id, created_at desc);
create index person_notes_created_by_idx on public.person_notes (created_by);

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

-- Threads ---------------------------------------------------------------------------------------

create function private.lock_conversation(conversation_id uuid)
returns public.conversations
language plpgsql
volatile
set search_path = ''
as $$
declare
  locked public.conversations;
begin
  -- The role first: a stranger must not even hold a row up.
  perform private.require_role(
    (select known.workspace_id from public.conversations as known where known.id = lock_conversation.conversation_id),
    array['owner', 'admin', 'agent'],
    'conversation_not_found'
  );
  select known.* into locked
  from public.conversations as known
  where known.id = lock_conversation.conversation_id
  for no key update;
  return locked;
end;
$$;
comment on function private.lock_conversation(uuid) is
  'A thread the caller may work on, locked. For owners, admins and agents; others get the error of private.require_role.';

create function private.kapso_side(conversation public.conversations)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select jsonb_build_object(
    'connection_id', connection.id,
    'phone_number_id', connection.phone_number_id,
    'session_id', (
      select session.session_id
      from public.conversation_sessions as session
      where session.conversation_id = (kapso_side.conversation).id
      order by session.started_at desc, session.session_id desc
      limit 1
    )
  )
  from private.sending_connection(kapso_side.conversation) as connection;
$$;
comment on function private.kapso_side(public.conversations) is
  'Where a thread is at Kapso: the connection, its number, and the newest session; null where it is not there.';

create function private.set_conversation_status(conversation_id uuid, status text)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations := private.lock_conversation(set_conversation_status.conversation_id);
begin
  update public.conversations as known
  set status = set_conversation_status.status,
    -- WhatsApp's times are whole seconds. Whatever the customer wrote in this one was not seen by whoever
    -- closed it, and opens it again.
    closed_at = case when set_conversation_status.status = 'closed'
      then date_trunc('second', now()) - interval '1 millisecond' end,
    updated_at = now()
  where known.id = conversation.id and known.status <> set_conversation_status.status;
  return private.kapso_side(conversation);
end;
$$;
comment on function private.set_conversation_status(uuid, text) is 'Does the work of public.set_conversation_status.';

create function public.set_conversation_status(conversation_id uuid, status text)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.set_conversation_status(set_conversation_status.conversation_id, set_conversation_status.status);
$$;
comment on function public.set_conversation_status(uuid, text) is
  'Close a thread (closed) or open it again (open). Returns where it is at Kapso. For owners, admins and agents.';

create function private.mark_conversation_read(conversation_id uuid, up_to timestamptz)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations := private.lock_conversation(mark_conversation_read.conversation_id);
  -- Never backwards: another member may have read more.
  read_to timestamptz := greatest(
    conversation.last_read_at,
    case when mark_conversation_read.up_to < conversation.last_message_at then mark_conversation_read.up_to
      else conversation.last_message_at end
  );
  message_id text;
begin
  if conversation.unread_count > 0 or read_to is distinct from conversation.last_read_at then
    update public.conversations as known
    set last_read_at = read_to,
      unread_count = case when read_to >= known.last_message_at then 0 else (
        select count(*)
        from (
          select known.messages
          union all
          select page.messages
          from public.conversation_archives as page
          where page.conversation_id = known.id and page.last_sent_at > read_to
        ) as page
        cross join jsonb_array_elements(page.messages) as stored (value)
        where stored.value ->> 'direction' = 'inbound'
          and stored.value -> 'is_history' is null
          and (stored.value ->> 'sent_at')::timestamptz > read_to
      ) end,
      updated_at = now()
    where known.id = conversation.id;
  end if;
  -- Kapso marks everything before it, too.
  select stored.value ->> 'id' into message_id
  from jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
  where stored.value ->> 'direction' = 'inbound' and (stored.value ->> 'sent_at')::timestamptz <= read_to
  order by stored.ordinal desc
  limit 1;
  return private.kapso_side(conversation)
    || jsonb_build_object('message_id', case when conversation.unread_count > 0 then message_id end);
end;
$$;
comment on function private.mark_conversation_read(uuid, timestamptz) is 'Does the work of public.mark_conversation_read.';

create function public.mark_conversation_read(conversation_id uuid, up_to timestamptz default null)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.mark_conversation_read(mark_conversation_read.conversation_id, mark_conversation_read.up_to);
$$;
comment on function public.mark_conversation_read(uuid, timestamptz) is
  'Everything up to a time, by default all, is read. Returns where the thread is at Kapso, and the id of the newest inbound message if anything was unread. For owners, admins and agents.';

create function private.mark_conversation_unread(conversation_id uuid)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations := private.lock_conversation(mark_conversation_unread.conversation_id);
begin
  update public.conversations as known
  set last_read_at = known.last_inbound_at - interval '1 millisecond',
    unread_count = 1,
    updated_at = now()
  where known.id = conversation.id and known.unread_count = 0 and known.last_inbound_at is not null;
  return '{}';
end;
$$;
comment on function private.mark_conversation_unread(uuid) is 'Does the work of public.mark_conversation_unread.';

create function public.mark_conversation_unread(conversation_id uuid)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.mark_conversation_unread(mark_conversation_unread.conversation_id);
$$;
comment on function public.mark_conversation_unread(uuid) is
  'The newest inbound message counts as unread again. For owners, admins and agents.';

create function private.assign_conversation(conversation_id uuid, user_id uuid)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations := private.lock_conversation(assign_conversation.conversation_id);
begin
  if assign_conversation.user_id is not null and not exists (
    select 1 from public.workspace_members as member
    where member.workspace_id = conversation.workspace_id
      and member.user_id = assign_conversation.user_id
      and member.role <> 'viewer'
  ) then
    raise exception 'not_a_member' using errcode = 'PT422';
  end if;
  update public.conversations as known
  set assigned_to = assign_conversation.user_id, updated_at = now()
  where known.id = conversation.id and known.assigned_to is distinct from assign_conversation.user_id;
  return '{}';
end;
$$;
comment on function private.assign_conversation(uuid, uuid) is 'Does the work of public.assign_conversation.';

create function public.assign_conversation(conversation_id uuid, user_id uuid)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.assign_conversation(assign_conversation.conversation_id, assign_conversation.user_id);
$$;
comment on function public.assign_conversation(uuid, uuid) is
  'Let a member who is no viewer take care of a thread; null: nobody. For owners, admins and agents.';

create function private.link_conversation(conversation_id uuid, person_id uuid)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  owning_workspace uuid := (
    select known.workspace_id from public.conversations as known where known.id = link_conversation.conversation_id
  );
  conversation public.conversations;
begin
  perform private.require_role(owning_workspace, array['owner', 'admin', 'agent'], 'conversation_not_found');
  -- People before conversations.
  perform 1
  from public.people as person
  where person.id = link_conversation.person_id and person.workspace_id = owning_workspace
  for no key update;
  if not found then
    raise exception 'person_not_found' using errcode = 'PT404';
  end if;
  conversation := private.lock_conversation(link_conversation.conversation_id);
  update public.conversations as known
  set person_id = link_conversation.person_id, updated_at = now()
  where known.id = conversation.id and known.person_id is distinct from link_conversation.person_id;
  update public.people as person
  set last_activity_at = conversation.last_message_at
  where person.id = link_conversation.person_id
    and conversation.last_message_at > coalesce(person.last_activity_at, '-infinity');
  return '{}';
end;
$$;
comment on function private.link_conversation(uuid, uuid) is 'Does the work of public.link_conversation.';

create function public.link_conversation(conversation_id uuid, person_id uuid)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.link_conversation(link_conversation.conversation_id, link_conversation.person_id);
$$;
comment on function public.link_conversation(uuid, uuid) is
  'This thread is with that person of the same workspace. For owners, admins and agents.';

-- Files -----------------------------------------------------------------------------------------

create function public.message_source(conversation_id uuid, message_id text)
returns table (workspace_id uuid, connection_id uuid, phone_number_id text, media_url text, metadata jsonb)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  conversation public.conversations;
  connection public.connections;
  found jsonb;
  filed_at timestamptz;
begin
  select known.* into conversation
  from public.conversations as known
  where known.id = message_source.conversation_id;
  -- The ledger says when it was, and so on which page it is.
  select key.sent_at into filed_at
  from private.message_keys as key
  where key.conversation_id = conversation.id
    and key.message_digest = encode(substr(sha256(convert_to(message_source.message_id, 'UTF8')), 1, 16), 'hex')::uuid;
  if filed_at is null then
    return;
  end if;
  select stored.value into found
  from jsonb_array_elements(conversation.messages) as stored (value)
  where stored.value ->> 'id' = message_source.message_id;
  if found is null then
    select stored.value into found
    from public.conversation_archives as page
    cross join jsonb_array_elements(page.messages) as stored (value)
    where page.conversation_id = conversation.id
      and page.first_sent_at <= filed_at and page.last_sent_at >= filed_at
      and stored.value ->> 'id' = message_source.message_id;
  end if;
  if found is null then
    return;
  end if;
  connection := private.sending_connection(conversation);
  return query
  select conversation.workspace_id, connection.id, connection.phone_number_id, found ->> 'media_url', found -> 'metadata';
end;
$$;
comment on function public.message_source(uuid, text) is
  'Where the file of a message is, and the number whose Kapso may still have it; no row where there is no such message. For service_role only.';

-- Members ---------------------------------------------------------------------------------------

create function private.workspace_member_list(workspace_id uuid)
returns table (user_id uuid, role text, email text, name text, created_at timestamptz)
language plpgsql
stable
-- Definer because names and addresses of users are Auth's; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform private.require_role(
    workspace_member_list.workspace_id, array['owner', 'admin', 'agent', 'viewer'], 'workspace_not_found'
  );
  return query
  select member.user_id, member.role, account.email::text,
    nullif(btrim(coalesce(account.raw_user_meta_data ->> 'full_name', account.raw_user_meta_data ->> 'name')), ''),
    member.created_at
  from public.workspace_members as member
  join auth.users as account on account.id = member.user_id
  where member.workspace_id = workspace_member_list.workspace_id
  order by member.created_at, member.user_id;
end;
$$;
comment on function private.workspace_member_list(uuid) is 'Does the work of public.workspace_member_list.';

create function public.workspace_member_list(workspace_id uuid)
returns table (user_id uuid, role text, email text, name text, created_at timestamptz)
language sql
stable
set search_path = ''
as $$
  select listed.* from private.workspace_member_list(workspace_member_list.workspace_id) as listed;
$$;
comment on function public.workspace_member_list(uuid) is 'The members of a workspace, with name and address. For its members.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  private.lock_conversation(uuid),
  private.kapso_side(public.conversations),
  private.set_conversation_status(uuid, text),
  public.set_conversation_status(uuid, text),
  private.mark_conversation_read(uuid, timestamptz),
  public.mark_conversation_read(uuid, timestamptz),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid),
  private.assign_conversation(uuid, uuid),
  public.assign_conversation(uuid, uuid),
  private.link_conversation(uuid, uuid),
  public.link_conversation(uuid, uuid),
  public.message_source(uuid, text),
  private.workspace_member_list(uuid),
  public.workspace_member_list(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.set_conversation_status(uuid, text),
  public.set_conversation_status(uuid, text),
  private.mark_conversation_read(uuid, timestamptz),
  public.mark_conversation_read(uuid, timestamptz),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid),
  private.assign_conversation(uuid, uuid),
  public.assign_conversation(uuid, uuid),
  private.link_conversation(uuid, uuid),
  public.link_conversation(uuid, uuid),
  private.workspace_member_list(uuid),
  public.workspace_member_list(uuid)
to authenticated;
grant execute on function public.message_source(uuid, text) to service_role;
