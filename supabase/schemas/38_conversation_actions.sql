-- What members do with a conversation: close, reopen, mark as read, assign, link to a person.

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
    -- WhatsApp's times are whole seconds. Whatever the customer wrote in this one was not seen by whoever
    -- closed it, and opens it again.
    closed_at = case when set_conversation_status.status = 'closed'
      then date_trunc('second', now()) - interval '1 millisecond' end,
    updated_at = now()
  where known.id = conversation.id and known.status <> set_conversation_status.status;
  if found and set_conversation_status.status = 'open' then
    update public.conversation_sessions as session
    set active_at = greatest(session.active_at, now()), ended_at = null
    where session.conversation_id = conversation.id
      and session.workspace_id = conversation.workspace_id
      and session.session_id = (
        select newest.session_id
        from public.conversation_sessions as newest
        where newest.conversation_id = conversation.id
        order by newest.started_at desc, newest.session_id desc
        limit 1
      );
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
  select private.set_conversation_status(set_conversation_status.conversation_id, set_conversation_status.status);
$$;
comment on function public.set_conversation_status(uuid, text) is
  'Close a thread (closed) or open it again (open). Returns where it is at Kapso. For owners, admins and agents.';

-- Read and unread --------------------------------------------------------------------------------

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
  select private.assign_conversation(assign_conversation.conversation_id, assign_conversation.user_id);
$$;
comment on function public.assign_conversation(uuid, uuid) is
  'Let a member who is no viewer take care of a thread; null: nobody. For owners, admins and agents.';

-- Person -----------------------------------------------------------------------------------------

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

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.lock_conversation(uuid),
  private.set_conversation_status(uuid, text),
  public.set_conversation_status(uuid, text),
  private.mark_conversation_read(uuid, timestamptz),
  public.mark_conversation_read(uuid, timestamptz),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid),
  private.assign_conversation(uuid, uuid),
  public.assign_conversation(uuid, uuid),
  private.link_conversation(uuid, uuid),
  public.link_conversation(uuid, uuid)
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
  public.link_conversation(uuid, uuid)
to authenticated;
