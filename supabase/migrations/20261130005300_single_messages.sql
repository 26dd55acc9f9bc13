-- A single new message at the end of a known conversation: nearly every call of live traffic.
--
-- The steps of private.store_conversations() are made for batches of any kind, and to start their statements costs more
-- than one message. What is stored here is what they would store; tests/database/single_messages_test.ts compares both.
-- All else is left to them.

create function private.append_message(
  source public.connections,
  item private.ingest_item,
  thread private.ingest_thread
)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  message constant jsonb := item.messages -> 0;
  message_direction constant text := message ->> 'direction';
  message_at constant timestamptz := message ->> 'sent_at';
  is_unread constant boolean := private.is_unread(message_direction, true);
  is_answer constant boolean := private.is_answer(message_direction, true, message_at, thread.last_inbound_at);
  is_reopened constant boolean := private.is_reopened(thread.closed_at, is_unread::integer);
begin
  if jsonb_array_length(item.messages) <> 1
    or not item.is_live
    or item.changes is not null
    or thread.is_created
    or item.participant_identifier <> thread.participant_identifier
    -- Its place is not the end, or its time is not what it says.
    or message_at < thread.last_message_at
    or message_at > now()
    or message ?| '{reactions,deleted_at}'
    -- The head is full.
    or thread.message_count - thread.archived_message_count >= private.head_size()
    -- Something waits for it, or it links a person.
    or exists (
      select from private.waiting_updates as waiting
      where waiting.conversation_id = thread.conversation_id
    )
    or exists (
      select from private.waiting_updates as waiting
      where waiting.workspace_id = source.workspace_id and waiting.conversation_id is null
    )
    or exists (
      select from public.outbox_messages as waiting
      where waiting.conversation_id = thread.conversation_id
        and waiting.state in ('queued', 'sending', 'unconfirmed')
    )
    or (
      thread.person_id is null
      -- A person who is added adopts their conversations, but for one that is being written in that moment: that one
      -- is matched again with the first message after a pause.
      and coalesce(thread.last_message_at, '-infinity') < now() - interval '10 minutes'
      and private.match_person(source.workspace_id, source.platform, thread.participant_identifier) is not null
    )
  then
    return false;
  end if;

  insert into private.message_keys (conversation_id, message_digest, sent_at)
  values (
    thread.conversation_id,
    private.ledger_digest(source.workspace_id, source.platform, message ->> 'id'),
    message_at
  )
  on conflict do nothing;
  if not found then
    return false;
  end if;

  insert into private.message_count_parts (workspace_id, local_date, platform, direction, messages)
  select workspace.id, (message_at at time zone workspace.time_zone)::date, source.platform,
    message_direction, 1
  from public.workspaces as workspace
  where workspace.id = source.workspace_id;

  update public.conversations as conversation
  set
    connection_id = source.id,
    participant_name = left(coalesce(item.participant_name, conversation.participant_name), 300),
    messages = private.with_messages(conversation.messages, item.messages, message_at),
    head_started_at = least(conversation.head_started_at, message_at),
    message_count = conversation.message_count + 1,
    unread_count = case when is_answer then 0 else conversation.unread_count + is_unread::integer end,
    inbound_arrivals = conversation.inbound_arrivals + is_unread::integer,
    last_inbound_at = case
      when message_direction = 'inbound' then greatest(conversation.last_inbound_at, message_at)
      else conversation.last_inbound_at
    end,
    last_message_at = message_at,
    last_arrival_at = now(),
    last_message_preview = private.message_preview(message),
    last_message_type = message ->> 'type',
    last_message_direction = message_direction,
    last_message_id = message ->> 'id',
    status = case when is_reopened then 'open' else conversation.status end,
    closed_at = case when is_reopened then null else conversation.closed_at end,
    updated_at = now()
  where conversation.id = thread.conversation_id;

  perform private.queue_for_index(source.workspace_id, array[row(
    thread.conversation_id, item.ordinal, 1, message_at, true, false, message
  )::private.ingest_message]);
  if thread.person_id is not null then
    perform private.touch_people(array[row(
      thread.conversation_id, item.ordinal, 1, 0, 1, is_unread::integer, is_unread::integer, is_answer,
      message_at, message_at, thread.last_inbound_at, message_at
    )::private.ingest_arrival]);
  end if;
  return true;
end;
$$;
comment on function private.append_message(public.connections, private.ingest_item, private.ingest_thread) is
  'Store the only message of an element of a batch where it is new and live and belongs at the end of a conversation '
  'for which nothing waits. False, and nothing stored, where it is not. The conversation is locked by the caller.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.append_message(public.connections, private.ingest_item, private.ingest_thread)
from public, anon, authenticated, service_role;
grant execute on function
  private.append_message(public.connections, private.ingest_item, private.ingest_thread)
to service_role;
