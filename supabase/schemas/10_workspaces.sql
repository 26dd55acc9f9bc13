-- Tenants, their members, and the roles that decide what a member may do.

create function private.touch_updated_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end;
$$;
comment on function private.touch_updated_at() is 'Trigger: moves updated_at with every update.';

create table public.workspaces (
  id uuid primary key default gen_random_uuid(),
  slug text not null,
  name text not null,
  user_id uuid references auth.users (id) on delete set null,
  time_zone text not null default 'UTC',
  default_country text,
  keeps_deleted_messages boolean not null default false,
  has_message_search boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint workspaces_slug_key unique (slug),
  constraint workspaces_slug_check check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  constraint workspaces_name_check check (length(name) between 1 and 200),
  constraint workspaces_default_country_check check (default_country ~ '^[A-Z]{2}$')
);
comment on table public.workspaces is 'A business: the tenant that owns connections, people and conversations.';
comment on column public.workspaces.id is 'Primary key.';
comment on column public.workspaces.slug is
  'Name in URLs and in the agent API (subDomain): lowercase letters, digits and hyphens, at most 63.';
comment on column public.workspaces.name is 'Name shown to people.';
comment on column public.workspaces.user_id is
  'The owner it is named for: who created it, or got it since. Null when their account was deleted and no member followed.';
comment on column public.workspaces.time_zone is
  'IANA time zone of the business, e.g. Asia/Jakarta. Daily summaries follow its calendar.';
comment on column public.workspaces.default_country is
  'ISO 3166 alpha-2 country in which phone numbers without a country code are read, e.g. ID. Null: such numbers match '
  'by their last ten digits only.';
comment on column public.workspaces.keeps_deleted_messages is
  'Whether the text and the file of a message stay when its sender deletes it. Otherwise only its place stays.';
comment on column public.workspaces.has_message_search is
  'Whether the texts of messages can be searched. Switching it off deletes their index; conversations and people are '
  'found all the same.';
comment on column public.workspaces.created_at is 'When the row was created.';
comment on column public.workspaces.updated_at is 'When the row last changed.';

create index workspaces_user_id_idx on public.workspaces (user_id);

create trigger workspaces_touch_updated_at
  before update on public.workspaces
  for each row execute function private.touch_updated_at();

create table public.workspace_members (
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null,
  created_at timestamptz not null default now(),
  constraint workspace_members_pkey primary key (workspace_id, user_id),
  constraint workspace_members_role_check check (role in ('owner', 'admin', 'agent', 'viewer'))
);
comment on table public.workspace_members is 'Who may see a workspace, and as what.';
comment on column public.workspace_members.workspace_id is 'The workspace.';
comment on column public.workspace_members.user_id is 'The member.';
comment on column public.workspace_members.role is
  'owner and admin manage connections and members, agent answers customers and edits people, viewer only reads.';
comment on column public.workspace_members.created_at is 'When the member joined.';

create index workspace_members_user_id_idx on public.workspace_members (user_id);

-- Roles ------------------------------------------------------------------------------------------

create function private.workspaces_with_role(roles text[])
returns setof uuid
language sql
stable
-- Definer because a policy on workspace_members that read workspace_members under its own policy
-- would call itself without end. It answers about the caller alone.
security definer
set search_path = ''
rows 10
as $$
  select member.workspace_id
  from public.workspace_members as member
  where member.user_id = (select auth.uid())
    and member.role = any (workspaces_with_role.roles);
$$;
comment on function private.workspaces_with_role(text[]) is
  'Workspaces in which the caller has one of the given roles. Called by policies as a set, so that it runs once per '
  'statement and not once per row.';

create function private.require_role(workspace_id uuid, roles text[], missing text)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
  -- PTxyz becomes the HTTP status xyz. The message is the code that programs read.
  if require_role.workspace_id is null or require_role.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])
  ) then
    raise exception '%', require_role.missing using errcode = 'PT404';
  end if;
  if require_role.workspace_id not in (select private.workspaces_with_role(require_role.roles)) then
    raise exception 'role_too_low' using errcode = 'PT403';
  end if;
end;
$$;
comment on function private.require_role(uuid, text[], text) is
  'Return if the caller has one of the roles; raise an error that becomes 403 for other members, and 404 with the '
  'given code for strangers. Called by functions that then act for the caller.';

grant select, insert, delete on public.workspaces to authenticated;
grant update (name, slug, time_zone, default_country, keeps_deleted_messages, has_message_search)
  on public.workspaces to authenticated;
grant all on public.workspaces to service_role;
alter table public.workspaces enable row level security;

create policy "Members can read their workspaces" on public.workspaces
  for select to authenticated
  using (
    user_id = (select auth.uid())
    or id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer']))
  );
create policy "Users can create workspaces of their own" on public.workspaces
  for insert to authenticated
  with check (user_id = (select auth.uid()));
create policy "Owners and admins can change their workspace" on public.workspaces
  for update to authenticated
  using (id in (select private.workspaces_with_role(array['owner', 'admin'])))
  with check (id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners can delete their workspace" on public.workspaces
  for delete to authenticated
  using (id in (select private.workspaces_with_role(array['owner'])));

grant select, insert, delete on public.workspace_members to authenticated;
grant update (role) on public.workspace_members to authenticated;
grant all on public.workspace_members to service_role;
alter table public.workspace_members enable row level security;

create policy "Members can see the members of their workspaces" on public.workspace_members
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners and admins can add members" on public.workspace_members
  for insert to authenticated
  with check (
    role <> 'owner'
    and workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
  );
create policy "Owners and admins can change the role of others" on public.workspace_members
  for update to authenticated
  using (
    role <> 'owner'
    and user_id <> (select auth.uid())
    and workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
  )
  with check (
    role <> 'owner'
    and workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
  );
create policy "Owners and admins can remove others, members can leave" on public.workspace_members
  for delete to authenticated
  using (
    role <> 'owner'
    and (
      user_id = (select auth.uid())
      or workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
    )
  );

-- Triggers ---------------------------------------------------------------------------------------

create function private.check_time_zone()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if not exists (select 1 from pg_catalog.pg_timezone_names where name = new.time_zone) then
    raise exception 'Unknown time_zone "%"', new.time_zone
      using errcode = '22023', hint = 'Use an IANA name such as Asia/Jakarta or America/Sao_Paulo.';
  end if;
  return new;
end;
$$;
comment on function private.check_time_zone() is
  'Trigger: refuses a time zone that Postgres does not know, before a daily job fails because of it.';

create trigger workspaces_check_time_zone
  before insert or update of time_zone on public.workspaces
  for each row execute function private.check_time_zone();

create function private.limit_workspaces()
returns trigger
language plpgsql
-- Definer because members have no access to private.limits, and see no workspace that they have left.
security definer
set search_path = ''
as $$
declare
  allowed bigint;
begin
  -- The operator acts for no user, and neither does Auth, which creates the first workspace of each.
  if (select auth.uid()) is null then
    return new;
  end if;
  -- Those of the caller: a policy refuses a row for another user.
  allowed := private.lock_limit('workspaces_per_user', (select auth.uid()));
  if allowed is null then
    return new;
  end if;
  if (
    select count(*)
    from (
      select from public.workspaces as owned where owned.user_id = (select auth.uid()) limit allowed
    ) as counted
  ) >= allowed then
    raise exception 'too_many_workspaces' using errcode = 'PT422';
  end if;
  return new;
end;
$$;
comment on function private.limit_workspaces() is
  'Trigger: a user creates no more workspaces than the limit workspaces_per_user.';

create trigger workspaces_limit
  before insert on public.workspaces
  for each row execute function private.limit_workspaces();

create function private.add_workspace_owner()
returns trigger
language plpgsql
-- Definer because the first member of a workspace cannot be added by a member.
security definer
set search_path = ''
as $$
begin
  insert into public.workspace_members (workspace_id, user_id, role)
  values (new.id, new.user_id, 'owner');
  return new;
end;
$$;
comment on function private.add_workspace_owner() is 'Trigger: the user a workspace is created for becomes its owner.';

create trigger workspaces_add_owner
  after insert on public.workspaces
  for each row execute function private.add_workspace_owner();

create function private.create_workspace_of_new_user()
returns trigger
language plpgsql
-- Definer because Auth inserts users with a role that has no rights in public.
security definer
set search_path = ''
as $$
declare
  wanted_name text := coalesce(
    nullif(left(btrim(new.raw_user_meta_data ->> 'workspace_name'), 200), ''), 'My workspace'
  );
  wanted_slug text := btrim(left(regexp_replace(lower(wanted_name), '[^a-z0-9]+', '-', 'g'), 50), '-');
begin
  -- A slug is no secret, so a taken or empty one gets a random suffix.
  insert into public.workspaces (slug, name, user_id)
  values (coalesce(nullif(wanted_slug, ''), 'workspace'), wanted_name, new.id)
  on conflict (slug) do nothing;
  if not found then
    insert into public.workspaces (slug, name, user_id)
    values (
      coalesce(nullif(wanted_slug, ''), 'workspace') || '-' || left(replace(gen_random_uuid()::text, '-', ''), 12),
      wanted_name,
      new.id
    );
  end if;
  return new;
end;
$$;
comment on function private.create_workspace_of_new_user() is
  'Trigger: a new user gets a workspace of their own, named after workspace_name in the sign-up data where that is '
  'given.';

create trigger users_create_workspace
  after insert on auth.users
  for each row execute function private.create_workspace_of_new_user();

create function private.unassign_former_member()
returns trigger
language plpgsql
-- Definer because members who manage members may not write conversations.
security definer
set search_path = ''
as $$
begin
  -- Locked in the order of ingest_conversations: any other order could deadlock with it.
  perform 1
  from public.conversations as conversation
  where conversation.workspace_id = old.workspace_id and conversation.assigned_to = old.user_id
  order by conversation.external_conversation_id
  for no key update;
  update public.conversations as conversation
  set assigned_to = null, updated_at = now()
  where conversation.workspace_id = old.workspace_id and conversation.assigned_to = old.user_id;
  return null;
end;
$$;
comment on function private.unassign_former_member() is
  'Trigger: conversations of a member who leaves, or becomes a viewer, become unassigned, so that others find them.';

create trigger workspace_members_unassign_removed
  after delete on public.workspace_members
  for each row execute function private.unassign_former_member();

create trigger workspace_members_unassign_viewer
  after update of role on public.workspace_members
  for each row when (new.role = 'viewer')
  execute function private.unassign_former_member();

-- Members ----------------------------------------------------------------------------------------

create function public.workspace_membership(workspace_id uuid)
returns table (user_id uuid, role text)
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select member.user_id, member.role
  from public.workspace_members as member
  where member.workspace_id = workspace_membership.workspace_id
    and member.user_id = (select auth.uid());
end;
$$;
comment on function public.workspace_membership(uuid) is
  'The caller''s user id and role in a workspace; no row for strangers. Edge Functions call it with the token of the '
  'request.';

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
comment on function public.workspace_member_list(uuid) is
  'The members of a workspace, with name and address. For its members.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.touch_updated_at(),
  private.workspaces_with_role(text[]),
  private.require_role(uuid, text[], text),
  private.check_time_zone(),
  private.limit_workspaces(),
  private.add_workspace_owner(),
  private.create_workspace_of_new_user(),
  private.unassign_former_member(),
  public.workspace_membership(uuid),
  private.workspace_member_list(uuid),
  public.workspace_member_list(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.workspaces_with_role(text[]),
  public.workspace_membership(uuid),
  private.workspace_member_list(uuid),
  public.workspace_member_list(uuid)
to authenticated;
