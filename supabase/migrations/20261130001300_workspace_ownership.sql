-- Who owns a workspace, and what happens to it when the owner goes: the data of a business never depend on the account
-- of a person.

create function private.next_owner(workspace_id uuid, leaving uuid)
returns uuid
language sql
stable
set search_path = ''
as $$
  -- A viewer is a person from outside, such as an accountant, and never becomes the owner by itself.
  select member.user_id
  from public.workspace_members as member
  where member.workspace_id = next_owner.workspace_id
    and member.user_id <> next_owner.leaving
    and member.role in ('owner', 'admin', 'agent')
  order by array_position(array['owner', 'admin', 'agent'], member.role), member.created_at, member.user_id
  limit 1;
$$;
comment on function private.next_owner(uuid, uuid) is
  'Who owns a workspace when a member leaves: another owner, else the admin and else the agent who has been there longest; '
  'null where no such member is left.';

create function private.hand_over_workspaces()
returns trigger
language plpgsql
-- Definer because Auth deletes users with a role that has no rights in public.
security definer
set search_path = ''
as $$
begin
  -- Locked first, so that of two accounts that go at once the second finds what the first has handed over. Not against
  -- inserts of what belongs to a workspace: the deletion waits for conversations afterwards, whose writers do that.
  perform 1
  from public.workspaces as workspace
  where workspace.id in (select own.workspace_id from public.workspace_members as own where own.user_id = old.id)
  order by workspace.id
  for no key update;
  update public.workspace_members as member
  set role = 'owner'
  from (
    select own.workspace_id, private.next_owner(own.workspace_id, old.id) as user_id
    from public.workspace_members as own
    where own.user_id = old.id and own.role = 'owner'
  ) as successor
  where member.workspace_id = successor.workspace_id and member.user_id = successor.user_id and member.role <> 'owner';
  update public.workspaces as workspace
  set user_id = private.next_owner(workspace.id, old.id)
  where workspace.user_id = old.id;
  return old;
end;
$$;
comment on function private.hand_over_workspaces() is
  'Trigger: before an account is deleted, its workspaces go to the members of private.next_owner.';

create trigger users_hand_over_workspaces
  before delete on auth.users
  for each row execute function private.hand_over_workspaces();

create function private.transfer_workspace(workspace_id uuid, user_id uuid)
returns void
language plpgsql
volatile
-- Definer because members may not change owners themselves; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- The service may name the owner of a workspace that has none left.
  if not pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user::text), 'service_role', 'usage') then
    perform private.require_role(transfer_workspace.workspace_id, array['owner'], 'workspace_not_found');
  end if;
  perform 1 from public.workspaces as workspace where workspace.id = transfer_workspace.workspace_id for no key update;
  update public.workspace_members as member
  set role = 'owner'
  where member.workspace_id = transfer_workspace.workspace_id and member.user_id = transfer_workspace.user_id;
  if not found then
    raise exception 'not_a_member'
      using errcode = 'PT422', hint = 'Only a member of the workspace can become its owner.';
  end if;
  update public.workspace_members as member
  set role = 'admin'
  where member.workspace_id = transfer_workspace.workspace_id
    and member.role = 'owner'
    and member.user_id <> transfer_workspace.user_id;
  update public.workspaces as workspace
  set user_id = transfer_workspace.user_id
  where workspace.id = transfer_workspace.workspace_id;
end;
$$;
comment on function private.transfer_workspace(uuid, uuid) is 'Does the work of public.transfer_workspace.';

create function public.transfer_workspace(workspace_id uuid, user_id uuid)
returns void
language sql
volatile
set search_path = ''
as $$
  select private.transfer_workspace(transfer_workspace.workspace_id, transfer_workspace.user_id);
$$;
comment on function public.transfer_workspace(uuid, uuid) is
  'Makes a member the owner of a workspace; the owner before becomes an admin. For owners, and for the service where no '
  'owner is left.';

create function private.describe_account_deletion()
returns table (workspace_id uuid, name text, outcome text, new_owner uuid)
language sql
stable
-- Definer because the other members' roles decide; it answers about the caller alone.
security definer
set search_path = ''
as $$
  select workspace.id, workspace.name,
    case
      when own.role <> 'owner' then 'left'
      when next_owner.user_id is null then 'without_owner'
      else 'handed_over'
    end,
    case when own.role = 'owner' then next_owner.user_id end
  from public.workspace_members as own
  join public.workspaces as workspace on workspace.id = own.workspace_id
  cross join lateral (select private.next_owner(own.workspace_id, own.user_id) as user_id) as next_owner
  where own.user_id = (select auth.uid())
  order by workspace.name, workspace.id;
$$;
comment on function private.describe_account_deletion() is 'Does the work of public.describe_account_deletion.';

create function public.describe_account_deletion()
returns table (workspace_id uuid, name text, outcome text, new_owner uuid)
language sql
stable
set search_path = ''
as $$
  select described.workspace_id, described.name, described.outcome, described.new_owner
  from private.describe_account_deletion() as described;
$$;
comment on function public.describe_account_deletion() is
  'What the deletion of the caller''s account does to each of their workspaces. outcome: left (others own it), handed_over '
  '(to new_owner), or without_owner (no member may follow; its data stay until the service deletes it or names an owner).';

create function private.describe_workspace_deletion(workspace_id uuid)
returns table (kind text, count bigint)
language plpgsql
stable
-- Definer because members do not see every table; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform private.require_role(describe_workspace_deletion.workspace_id, array['owner'], 'workspace_not_found');
  return query
  select counted.kind, counted.count
  from (
    select 1 as place, 'members' as kind, count(*) as count from public.workspace_members as row
      where row.workspace_id = describe_workspace_deletion.workspace_id
    union all
    select 2, 'connections', count(*) from public.connections as row
      where row.workspace_id = describe_workspace_deletion.workspace_id
    union all
    select 3, 'people', count(*) from public.people as row
      where row.workspace_id = describe_workspace_deletion.workspace_id
    union all
    select 4, 'conversations', count(*) from public.conversations as row
      where row.workspace_id = describe_workspace_deletion.workspace_id
    union all
    select 5, 'messages', coalesce(sum(row.message_count), 0) from public.conversations as row
      where row.workspace_id = describe_workspace_deletion.workspace_id
    union all
    select 6, 'notes', count(*) from public.person_notes as row
      where row.workspace_id = describe_workspace_deletion.workspace_id
  ) as counted
  order by counted.place;
end;
$$;
comment on function private.describe_workspace_deletion(uuid) is 'Does the work of public.describe_workspace_deletion.';

create function public.describe_workspace_deletion(workspace_id uuid)
returns table (kind text, count bigint)
language sql
stable
set search_path = ''
as $$
  select described.kind, described.count
  from private.describe_workspace_deletion(describe_workspace_deletion.workspace_id) as described;
$$;
comment on function public.describe_workspace_deletion(uuid) is
  'What goes when a workspace is deleted: how many members, connections, people, conversations, messages and notes. For '
  'owners. Counts everything, so it is for a question before a deletion and not for a page.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.next_owner(uuid, uuid),
  private.hand_over_workspaces(),
  private.transfer_workspace(uuid, uuid),
  public.transfer_workspace(uuid, uuid),
  private.describe_account_deletion(),
  public.describe_account_deletion(),
  private.describe_workspace_deletion(uuid),
  public.describe_workspace_deletion(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.transfer_workspace(uuid, uuid),
  public.transfer_workspace(uuid, uuid)
to authenticated, service_role;
grant execute on function
  private.describe_account_deletion(),
  public.describe_account_deletion(),
  private.describe_workspace_deletion(uuid),
  public.describe_workspace_deletion(uuid)
to authenticated;
