-- Unread: which message counts as unread, which one reopens a closed conversation, and how members mark a
-- conversation as read or unread. Nothing else decides it; private.judge_messages() and
-- private.update_conversations() apply the two rules to what arrives.

-- The rules --------------------------------------------------------------------------------------

create function private.is_unread(
  direction text,
  is_live boolean,
  sent_at timestamptz,
  last_read_at timestamptz
)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return direction = 'inbound' and is_live and sent_at > coalesce(last_read_at, '-infinity');
end;
$$;
comment on function private.is_unread(text, boolean, timestamptz, timestamptz) is
  'Whether a message counts as unread: a customer''s, no imported history, and newer than what a member has read.';

create function private.is_reopened(closed_at timestamptz, last_live_inbound_at timestamptz)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return last_live_inbound_at > closed_at;
end;
$$;
comment on function private.is_reopened(timestamptz, timestamptz) is
  'Whether a closed conversation opens again: the customer wrote after it was closed, no imported history. Null while '
  'it is open.';

create function private.count_unread(conversation public.conversations, last_read_at timestamptz)
returns integer
language plpgsql
stable
set search_path = ''
as $$
begin
  if count_unread.last_read_at >= conversation.last_message_at then
    return 0;
  end if;
  return (
    select count(*)
    from (
      select conversation.messages
      union all
      select page.messages
      from public.conversation_archives as page
      where page.conversation_id = conversation.id and page.last_sent_at > count_unread.last_read_at
    ) as page
    cross join jsonb_array_elements(page.messages) as stored (value)
    where private.is_unread(
      stored.value ->> 'direction',
      stored.value -> 'is_history' is null,
      (stored.value ->> 'sent_at')::timestamptz,
      count_unread.last_read_at
    )
  );
end;
$$;
comment on function private.count_unread(public.conversations, timestamptz) is
  'Unread messages of a conversation if a member has read until then.';

-- Marking ----------------------------------------------------------------------------------------

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
  -- Never backwards: another member may have read further.
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
      unread_count = private.count_unread(conversation, read_to),
      updated_at = now()
    where known.id = conversation.id;
  end if;
  -- Kapso marks all messages before it as well.
  select stored.value ->> 'id' into message_id
  from jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
  where stored.value ->> 'direction' = 'inbound' and (stored.value ->> 'sent_at')::timestamptz <= read_to
  order by stored.ordinal desc
  limit 1;
  return private.kapso_side(conversation)
    || jsonb_build_object('message_id', case when conversation.unread_count > 0 then message_id end);
end;
$$;
comment on function private.mark_conversation_read(uuid, timestamptz) is
  'Does the work of public.mark_conversation_read.';

create function public.mark_conversation_read(conversation_id uuid, up_to timestamptz default null)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.changed_conversation(
    mark_conversation_read.conversation_id,
    private.mark_conversation_read(mark_conversation_read.conversation_id, mark_conversation_read.up_to)
  );
$$;
comment on function public.mark_conversation_read(uuid, timestamptz) is
  'Marks everything up to a time, by default all, as read. Returns the row of conversation_list, and where the '
  'conversation is at Kapso, with the id of the newest inbound message if anything was unread. For owners, admins and '
  'agents.';

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
  select private.changed_conversation(
    mark_conversation_unread.conversation_id,
    private.mark_conversation_unread(mark_conversation_unread.conversation_id)
  );
$$;
comment on function public.mark_conversation_unread(uuid) is
  'Marks the newest inbound message as unread. Returns the row of conversation_list. For owners, admins and agents.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.is_unread(text, boolean, timestamptz, timestamptz),
  private.is_reopened(timestamptz, timestamptz),
  private.count_unread(public.conversations, timestamptz),
  private.mark_conversation_read(uuid, timestamptz),
  public.mark_conversation_read(uuid, timestamptz),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.is_unread(text, boolean, timestamptz, timestamptz),
  private.is_reopened(timestamptz, timestamptz)
to service_role;
grant execute on function
  private.mark_conversation_read(uuid, timestamptz),
  public.mark_conversation_read(uuid, timestamptz),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid)
to authenticated;
