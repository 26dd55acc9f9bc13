-- What members do with a conversation: close, reopen, assign, link to a person. Marking as read is in 39_unread.sql.

create function private.lock_conversation(conversation_id uuid)
returns public.conversations
language plpgsql
volatile
set search_path = ''
as $$
declare
  locked public.conversations;
begin
  -- The role first: a stranger must not lock a row even for a moment.
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
  'A conversation the caller may change, locked. For owners, admins and agents; others get the error of '
  'private.require_role.';

-- Volatile, so that it sees the change that its caller has just made.
create function private.changed_conversation(conversation_id uuid, kapso jsonb)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select jsonb_build_object('conversation', to_jsonb(listed), 'kapso', changed_conversation.kapso)
  from public.conversation_list as listed
  where listed.id = changed_conversation.conversation_id;
$$;
comment on function private.changed_conversation(uuid, jsonb) is
  'What an action on a conversation returns: its row of conversation_list, and where it is at Kapso.';

-- Status -----------------------------------------------------------------------------------------

-- Kapso is asked to reopen the session and does not confirm it, so the session counts as active from now. An
-- earlier end that is reported late does not close what a member has reopened.
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
    -- WhatsApp's times are whole seconds. The member who closed it has not seen messages of this second, so they
    -- reopen it.
    closed_at = case when set_conversation_status.status = 'closed'
      then date_trunc('second', now()) - interval '1 millisecond' end,
    updated_at = now()
  where known.id = conversation.id and known.status <> set_conversation_status.status;
  if found and set_conversation_status.status = 'open' then
    update public.conversation_sessions as session
    set active_at = greatest(session.active_at, now()), ended_at = null
    where session.conversation_id = conversation.id
      and session.workspace_id = conversation.workspace_id
      and session.session_id = (private.newest_session(conversation.id)).session_id;
  end if;
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
  select private.changed_conversation(
    set_conversation_status.conversation_id,
    private.set_conversation_status(set_conversation_status.conversation_id, set_conversation_status.status)
  );
$$;
comment on function public.set_conversation_status(uuid, text) is
  'Closes a conversation (closed) or reopens it (open). Returns its row of conversation_list, and where it is at '
  'Kapso. For owners, admins and agents.';

-- Assignment -------------------------------------------------------------------------------------

-- Locks the member before the conversation, in the order of private.unassign_former_member(). Otherwise a
-- member who leaves at this moment could be assigned a conversation afterwards.
create function private.assign_conversation(conversation_id uuid, user_id uuid)
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
comment on function private.assign_conversation(uuid, uuid) is 'Does the work of public.assign_conversation.';

create function public.assign_conversation(conversation_id uuid, user_id uuid)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.changed_conversation(
    assign_conversation.conversation_id,
    private.assign_conversation(assign_conversation.conversation_id, assign_conversation.user_id)
  );
$$;
comment on function public.assign_conversation(uuid, uuid) is
  'Assigns a conversation to a member who may reply; null unassigns it. Returns the row of conversation_list. For '
  'owners, admins and agents.';

-- Person -----------------------------------------------------------------------------------------

create function private.link_conversation(conversation_id uuid, person_id uuid)
returns void
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
  -- People are locked before conversations.
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
end;
$$;
comment on function private.link_conversation(uuid, uuid) is 'Does the work of public.link_conversation.';

create function public.link_conversation(conversation_id uuid, person_id uuid)
returns setof public.people
language sql
volatile
set search_path = ''
as $$
  select private.link_conversation(link_conversation.conversation_id, link_conversation.person_id);
  select linked.* from public.people as linked where linked.id = link_conversation.person_id;
$$;
comment on function public.link_conversation(uuid, uuid) is
  'Links a conversation to a person of the same workspace, and returns the person. For owners, admins and agents.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.lock_conversation(uuid),
  private.changed_conversation(uuid, jsonb),
  private.set_conversation_status(uuid, text),
  public.set_conversation_status(uuid, text),
  private.assign_conversation(uuid, uuid),
  public.assign_conversation(uuid, uuid),
  private.link_conversation(uuid, uuid),
  public.link_conversation(uuid, uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.changed_conversation(uuid, jsonb),
  private.set_conversation_status(uuid, text),
  public.set_conversation_status(uuid, text),
  private.assign_conversation(uuid, uuid),
  public.assign_conversation(uuid, uuid),
  private.link_conversation(uuid, uuid),
  public.link_conversation(uuid, uuid)
to authenticated;
