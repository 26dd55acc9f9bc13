-- Take threads from members who may not answer any more.
-- Objects: private.unassign_former_member with two triggers on workspace_members, private.assign_conversation.
-- Risk: none; changing a member takes as long as they have threads, by the index on assigned_to.

create function private.unassign_former_member()
returns trigger
language plpgsql
-- Definer because whoever manages members may not write conversations.
security definer
set search_path = ''
as $$
begin
  -- In the order in which ingest_conversations takes them, which would deadlock with any other.
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
  'Trigger: nobody finds the threads of a member who has left, or only reads now, among those without anybody.';
revoke execute on function private.unassign_former_member() from public, anon, authenticated, service_role;

create trigger workspace_members_unassign_removed
  after delete on public.workspace_members
  for each row execute function private.unassign_former_member();

create trigger workspace_members_unassign_viewer
  after update of role on public.workspace_members
  for each row when (new.role = 'viewer')
  execute function private.unassign_former_member();

-- What is new: the member is locked, before the thread as the trigger above has it. Otherwise somebody who
-- leaves at this moment could get a thread afterwards.
create or replace function private.assign_conversation(conversation_id uuid, user_id uuid)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  owning_workspace uuid := (
    select known.workspace_id from public.conversations as known
    where known.id = assign_conversation.conversation_id
  );
  conversation public.conversations;
  is_member boolean;
begin
  perform private.require_role(owning_workspace, array['owner', 'admin', 'agent'], 'conversation_not_found');
  perform 1
  from public.workspace_members as member
  where member.workspace_id = owning_workspace
    and member.user_id = assign_conversation.user_id
    and member.role <> 'viewer'
  for share;
  is_member := found;
  conversation := private.lock_conversation(assign_conversation.conversation_id);
  if assign_conversation.user_id is not null and not is_member then
    raise exception 'not_a_member' using errcode = 'PT422';
  end if;
  update public.conversations as known
  set assigned_to = assign_conversation.user_id, updated_at = now()
  where known.id = conversation.id and known.assigned_to is distinct from assign_conversation.user_id;
  return '{}';
end;
$$;

-- Those who had left before.
update public.conversations as conversation
set assigned_to = null
where conversation.assigned_to is not null
  and not exists (
    select 1 from public.workspace_members as member
    where member.workspace_id = conversation.workspace_id
      and member.user_id = conversation.assigned_to
      and member.role <> 'viewer'
  );
