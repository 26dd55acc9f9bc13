-- Unread: which message counts as unread, which one ends that, which one reopens a closed conversation, and how members
-- mark a conversation as read or unread. Nothing else decides it; private.judge_messages() and
-- private.update_conversations() apply the rules to what arrives.
--
-- Arrival decides, never the clock of a sender: what arrives after a member has read is unread, whenever it was sent.

-- The rules --------------------------------------------------------------------------------------

create function private.is_unread(direction text, is_live boolean)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return direction = 'inbound' and is_live;
end;
$$;
comment on function private.is_unread(text, boolean) is
  'Whether a message is unread when it arrives: a customer''s, and no imported history.';

create function private.is_answer(direction text, is_live boolean, sent_at timestamptz, last_inbound_at timestamptz)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return direction = 'outbound' and is_live and sent_at >= coalesce(last_inbound_at, '-infinity');
end;
$$;
comment on function private.is_answer(text, boolean, timestamptz, timestamptz) is
  'Whether a message ends unread when it arrives: the business''s, wherever it was written. One that was sent before the '
  'newest message of the customer and is only late answers nothing.';

create function private.is_reopened(closed_at timestamptz, inbound integer)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return is_reopened.closed_at is not null and coalesce(is_reopened.inbound, 0) > 0;
end;
$$;
comment on function private.is_reopened(timestamptz, integer) is
  'Whether a closed conversation opens again: a message of the customer arrives, no imported history, whenever it was '
  'sent.';

-- Marking ----------------------------------------------------------------------------------------

create function private.mark_conversation_read(conversation_id uuid, seen_arrivals integer)
returns jsonb
language plpgsql
volatile
-- Definer because members may not write conversations themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations := private.lock_conversation(mark_conversation_read.conversation_id);
  -- Never more than before: another member may have read further.
  still_unread integer := least(
    conversation.unread_count,
    greatest(conversation.inbound_arrivals - coalesce(mark_conversation_read.seen_arrivals, conversation.inbound_arrivals), 0)
  );
  message_id text;
begin
  if still_unread < conversation.unread_count then
    update public.conversations as known
    set last_read_at = now(), unread_count = still_unread, updated_at = now()
    where known.id = conversation.id;
    -- Kapso marks all messages before it as well, so only where nothing is left.
    if still_unread = 0 then
      select stored.value ->> 'id' into message_id
      from jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
      where stored.value ->> 'direction' = 'inbound'
      order by stored.ordinal desc
      limit 1;
    end if;
  end if;
  return private.kapso_side(conversation) || jsonb_build_object('message_id', message_id);
end;
$$;
comment on function private.mark_conversation_read(uuid, integer) is 'Does the work of public.mark_conversation_read.';

create function public.mark_conversation_read(conversation_id uuid, seen_arrivals integer default null)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.changed_conversation(
    mark_conversation_read.conversation_id,
    private.mark_conversation_read(mark_conversation_read.conversation_id, mark_conversation_read.seen_arrivals)
  );
$$;
comment on function public.mark_conversation_read(uuid, integer) is
  'Marks a conversation as read: all of it, or what had arrived when its inbound_arrivals was the given number. Returns '
  'the row of conversation_list, and where the conversation is at Kapso and nothing is left unread, with the id of the '
  'newest inbound message if anything was unread. For owners, admins and agents.';

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
  set unread_count = 1, updated_at = now()
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
  private.is_unread(text, boolean),
  private.is_answer(text, boolean, timestamptz, timestamptz),
  private.is_reopened(timestamptz, integer),
  private.mark_conversation_read(uuid, integer),
  public.mark_conversation_read(uuid, integer),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.is_unread(text, boolean),
  private.is_answer(text, boolean, timestamptz, timestamptz),
  private.is_reopened(timestamptz, integer)
to service_role;
grant execute on function
  private.mark_conversation_read(uuid, integer),
  public.mark_conversation_read(uuid, integer),
  private.mark_conversation_unread(uuid),
  public.mark_conversation_unread(uuid)
to authenticated;
