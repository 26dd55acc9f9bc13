-- Sending queued messages: claimed one per conversation, and the outcome of each attempt.

create function private.callback_data(id uuid, attempt integer)
returns text
language sql
immutable
set search_path = ''
as $$
  select callback_data.id || case when callback_data.attempt > 1 then ':' || callback_data.attempt else '' end;
$$;
comment on function private.callback_data(uuid, integer) is
  'biz_opaque_callback_data of an attempt: the id of the outbox row, from the second attempt on with its number.';

create function public.claim_outbox_message(conversation_id uuid, lease_seconds integer default 60)
returns table (
  message jsonb,
  phone_number_id text,
  recipient jsonb,
  callback_data text
)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  conversation public.conversations;
  connection public.connections;
  claimed public.outbox_messages;
begin
  perform private.settle_conversation(claim_outbox_message.conversation_id);
  select known.* into conversation
  from public.conversations as known
  where known.id = claim_outbox_message.conversation_id;
  connection := private.sending_connection(conversation);
  begin
    update public.outbox_messages as known
    set state = 'sending',
      connection_id = coalesce(connection.id, known.connection_id),
      attempts = known.attempts + 1,
      attempt_token = gen_random_uuid(),
      attempt_started_at = clock_timestamp(),
      lease_expires_at = clock_timestamp() + make_interval(secs => claim_outbox_message.lease_seconds)
    where known.id = (
        select next.id
        from public.outbox_messages as next
        where next.conversation_id = claim_outbox_message.conversation_id and next.state = 'queued'
        order by next.queued_at, next.id
        limit 1
        for update
      )
      and known.state = 'queued'
    returning known.* into claimed;
  exception when unique_violation then
    -- Another message of the conversation is being sent. Its sender takes this one next.
    return;
  end;
  if claimed.id is null then
    return;
  end if;
  return query
  select to_jsonb(claimed),
    case when connection.is_active then connection.phone_number_id end,
    private.recipient_of(conversation),
    private.callback_data(claimed.id, claimed.attempts);
end;
$$;
comment on function public.claim_outbox_message(uuid, integer) is
  'Claim the next message of a conversation: one row, or none where no message waits or another one is being sent. '
  'The caller sends it to Kapso once and then calls record_outbox_outcome(). For service_role only.';

create function private.store_sent_message(
  stored public.outbox_messages,
  conversation public.conversations,
  message jsonb
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  outcome record;
begin
  if conversation.id is null or stored.connection_id is null then
    return;
  end if;
  select result.* into outcome
  from public.ingest_conversations(
    stored.connection_id,
    jsonb_build_array(
      jsonb_build_object(
        'external_conversation_id', conversation.external_conversation_id,
        'participant_identifier', conversation.participant_identifier,
        'messages', case when stored.type = 'reaction' then '[]' else jsonb_build_array(message) end
      ) || case when stored.type = 'reaction'
        then jsonb_build_object('changes', jsonb_build_array(message))
        else '{}' end
    )
  ) as result;
  if outcome.outcome = 'error' then
    raise exception 'The sent message could not be stored: %', left(outcome.error, 5) using errcode = 'P0001';
  end if;
end;
$$;
comment on function private.store_sent_message(public.outbox_messages, public.conversations, jsonb) is
  'Store a sent message in its conversation, through ingest_conversations.';

create function public.record_outbox_outcome(
  id uuid,
  attempt_token uuid,
  outcome text,
  message jsonb default null,
  error_code text default null,
  can_retry boolean default null
)
returns table (outbox_message jsonb, has_more boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  stored public.outbox_messages;
  conversation public.conversations;
begin
  select known.* into stored from public.outbox_messages as known where known.id = record_outbox_outcome.id;
  if stored.id is null then
    raise exception 'message_not_found' using errcode = 'PT404';
  end if;
  -- The conversation first, in the order of ingest_conversations.
  select known.* into conversation
  from public.conversations as known
  where known.id = stored.conversation_id
  for no key update;
  select known.* into stored from public.outbox_messages as known where known.id = stored.id for update;

  if outcome = 'sent' then
    -- The message was sent and belongs in the conversation, also if the row has changed in the meantime.
    perform private.store_sent_message(stored, conversation, record_outbox_outcome.message);
    -- Kapso's response names this row. Another row that was matched to the message by text and time becomes
    -- unconfirmed again.
    update public.outbox_messages as taken
    set state = 'unconfirmed', message_id = null, sent_at = null, can_retry = false,
      error_code = 'no_answer', error_message = (private.failure_reason('no_answer')).message
    where taken.conversation_id = stored.conversation_id
      and taken.message_id = record_outbox_outcome.message ->> 'id'
      and taken.id <> stored.id;
    update public.outbox_messages as known
    set state = 'sent', sent_at = clock_timestamp(), lease_expires_at = null,
      error_code = null, error_message = null, can_retry = false,
      -- Null where the conversation has no such message: for a reaction, or where the connection is gone.
      message_id = case
        when known.type <> 'reaction' and known.connection_id is not null then record_outbox_outcome.message ->> 'id'
      end
    where known.id = stored.id
      and known.attempt_token = record_outbox_outcome.attempt_token
      -- Queued: it was to be retried, and no attempt has begun.
      and known.state in ('queued', 'sending', 'unconfirmed');
    -- Its statuses may have arrived before this response.
    perform private.follow_statuses(array(
      select row(conversation.id, sent.value ->> 'id', null, sent.value)::private.ingest_change
      from public.conversations as current
      cross join jsonb_array_elements(current.messages) as sent (value)
      where current.id = conversation.id
        and sent.value ->> 'id' = record_outbox_outcome.message ->> 'id'
    ));
  elsif outcome = 'failed' then
    update public.outbox_messages as known
    set state = 'failed', lease_expires_at = null,
      error_code = record_outbox_outcome.error_code,
      error_message = (private.failure_reason(record_outbox_outcome.error_code)).message,
      can_retry = coalesce(
        record_outbox_outcome.can_retry, (private.failure_reason(record_outbox_outcome.error_code)).can_retry
      )
    where known.id = stored.id
      and known.attempt_token = record_outbox_outcome.attempt_token
      and known.state in ('sending', 'unconfirmed');
  elsif outcome = 'unconfirmed' then
    -- Treated as if the sender had died.
    update public.outbox_messages as known
    set lease_expires_at = '-infinity'
    where known.id = stored.id
      and known.attempt_token = record_outbox_outcome.attempt_token
      and known.state = 'sending';
    perform private.settle_conversation(stored.conversation_id);
  else
    raise exception 'outcome must be sent, failed or unconfirmed' using errcode = '22023';
  end if;
  return query
  select to_jsonb(known), exists (
    select 1 from public.outbox_messages as next
    where next.conversation_id = stored.conversation_id and next.state = 'queued'
  )
  from public.outbox_messages as known
  where known.id = stored.id;
end;
$$;
comment on function public.record_outbox_outcome(uuid, uuid, text, jsonb, text, boolean) is
  'Records the outcome of an attempt: sent (message: the Message, or for a reaction the MessageChange with the id), '
  'failed (error_code) or unconfirmed. Returns the row, and whether another message of the conversation waits to be '
  'claimed. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.callback_data(uuid, integer),
  public.claim_outbox_message(uuid, integer),
  private.store_sent_message(public.outbox_messages, public.conversations, jsonb),
  public.record_outbox_outcome(uuid, uuid, text, jsonb, text, boolean)
from public, anon, authenticated, service_role;
grant execute on function
  private.callback_data(uuid, integer),
  public.claim_outbox_message(uuid, integer),
  private.store_sent_message(public.outbox_messages, public.conversations, jsonb),
  public.record_outbox_outcome(uuid, uuid, text, jsonb, text, boolean)
to service_role;
