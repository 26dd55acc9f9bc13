-- Purpose: senders, members and the schedule that settle one thread at the same time take turns; what Kapso
--   answers counts more than what was concluded from a text; a reply answers a message of its own thread.
-- Objects: private.settle_conversation, private.retry_message, private.enqueue_message, settle_outbox,
--   record_outbox_outcome.
-- Risk: replaces functions; no data changes.

-- With the lock, and with an end to what is read.
create or replace function private.settle_conversation(conversation_id uuid)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  if not exists (
    select 1 from public.outbox_messages as known
    where known.conversation_id = settle_conversation.conversation_id
      and (
        (known.state = 'sending' and known.lease_expires_at < now())
        or (known.state = 'queued' and known.queued_at < now() - interval '10 minutes')
        or known.state = 'unconfirmed'
      )
  ) then
    return;
  end if;
  -- The thread first, as the door has it: two who settle it take turns, and a message that is being stored
  -- at this moment is not missed by both.
  perform 1
  from public.conversations as conversation
  where conversation.id = settle_conversation.conversation_id
  for no key update;
  -- Whoever was sending is dead: nobody knows what became of it.
  update public.outbox_messages as known
  set state = case when known.type = 'reaction' then 'failed' else 'unconfirmed' end,
    error_code = case when known.type = 'reaction' then 'reaction_unconfirmed' else 'no_answer' end,
    error_message = (private.failure_reason(
      case when known.type = 'reaction' then 'reaction_unconfirmed' else 'no_answer' end
    )).message,
    can_retry = known.type = 'reaction',
    lease_expires_at = null
  where known.conversation_id = settle_conversation.conversation_id
    and known.state = 'sending'
    and known.lease_expires_at < now();
  -- What nobody came to send is not sent out of the blue much later.
  update public.outbox_messages as known
  set state = 'failed', error_code = 'not_sent', error_message = (private.failure_reason('not_sent')).message,
    can_retry = true
  where known.conversation_id = settle_conversation.conversation_id
    and known.state = 'queued'
    and known.queued_at < now() - interval '10 minutes';

  -- Each is looked for where it would be: one that stays unconfirmed for a year must not have a year of
  -- the thread read at every message.
  perform private.settle_outbox(settle_conversation.conversation_id, (
    select array_agg(stored.value order by (stored.value ->> 'sent_at')::timestamptz)
    from (
      select page.messages
      from public.conversation_archives as page
      where page.conversation_id = settle_conversation.conversation_id
        and exists (
          select 1 from public.outbox_messages as known
          where known.conversation_id = settle_conversation.conversation_id
            and known.state = 'unconfirmed'
            and page.last_sent_at >= known.attempt_started_at - interval '30 seconds'
            and page.first_sent_at <= known.attempt_started_at + interval '1 day'
        )
      union all
      select conversation.messages
      from public.conversations as conversation
      where conversation.id = settle_conversation.conversation_id
    ) as recent
    cross join jsonb_array_elements(recent.messages) as stored (value)
    where stored.value ->> 'direction' = 'outbound'
  ));
end;
$$;

-- The row after the thread, where it was before it: whoever held the row waited for those who held the thread.
create or replace function private.retry_message(id uuid, confirm_possible_double boolean)
returns public.outbox_messages
language plpgsql
volatile
-- Definer because members may not write the outbox themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  stored public.outbox_messages;
  conversation public.conversations;
begin
  select known.* into stored from public.outbox_messages as known where known.id = retry_message.id;
  perform private.require_role(stored.workspace_id, array['owner', 'admin', 'agent'], 'message_not_found');
  if stored.state in ('sending', 'unconfirmed') then
    -- It may have been settled by what arrived, or its sender may be dead.
    perform private.settle_conversation(stored.conversation_id);
  end if;
  select known.* into stored from public.outbox_messages as known where known.id = retry_message.id for update;
  if stored.state = 'queued' then
    return stored;
  end if;
  if stored.state = 'unconfirmed' and not coalesce(retry_message.confirm_possible_double, false) then
    raise exception 'possible_double' using errcode = 'PT409';
  end if;
  if stored.state is null or stored.state not in ('failed', 'unconfirmed') then
    raise exception 'nothing_to_retry' using errcode = 'PT409';
  end if;
  select known.* into conversation from public.conversations as known where known.id = stored.conversation_id;
  perform private.check_sending(conversation, stored.type);
  update public.outbox_messages as known
  set state = 'queued', queued_at = now(), message_id = null, error_code = null, error_message = null,
    can_retry = false, sent_at = null
  where known.id = stored.id
  returning known.* into stored;
  return stored;
end;
$$;

-- What is answered, or reacted to, is in the thread.
create or replace function private.enqueue_message(conversation_id uuid, idempotency_key text, message jsonb)
returns table (stored jsonb, is_new boolean)
language plpgsql
volatile
-- Definer because members may not write the outbox themselves; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  conversation public.conversations;
  connection public.connections;
  upload private.outbox_uploads;
  given_type text := enqueue_message.message ->> 'type';
  given_media_id text := enqueue_message.message #>> '{payload,media_id}';
  queued public.outbox_messages;
begin
  select known.* into conversation from public.conversations as known where known.id = enqueue_message.conversation_id;
  perform private.require_role(conversation.workspace_id, array['owner', 'admin', 'agent'], 'conversation_not_found');

  select known.* into queued
  from public.outbox_messages as known
  where known.workspace_id = conversation.workspace_id
    and known.idempotency_key = enqueue_message.idempotency_key;
  if queued.id is null then
    connection := private.check_sending(conversation, given_type);
    if given_media_id is not null then
      select known.* into upload
      from private.outbox_uploads as known
      where known.conversation_id = conversation.id
        and known.media_id = given_media_id
        and known.connection_id = connection.id
        and known.type = given_type
        and known.created_at > now() - interval '29 days';
      if upload.media_id is null then
        raise exception 'upload_not_found' using errcode = 'PT404';
      end if;
    end if;
    if enqueue_message.message ->> 'reply_to' is not null and not exists (
      select 1 from private.message_keys as key
      where key.conversation_id = conversation.id
        and key.message_digest
          = encode(substr(sha256(convert_to(enqueue_message.message ->> 'reply_to', 'UTF8')), 1, 16), 'hex')::uuid
    ) then
      raise exception 'message_not_found' using errcode = 'PT404';
    end if;
    begin
      insert into public.outbox_messages as made (
        workspace_id, conversation_id, connection_id, idempotency_key, type, content, payload, reply_to,
        file_name, mime_type, created_by
      )
      values (
        conversation.workspace_id, conversation.id, connection.id, enqueue_message.idempotency_key, given_type,
        enqueue_message.message ->> 'content', enqueue_message.message -> 'payload',
        enqueue_message.message ->> 'reply_to', upload.file_name, upload.mime_type, (select auth.uid())
      )
      on conflict on constraint outbox_messages_workspace_id_idempotency_key_key do nothing
      returning made.* into queued;
    exception when check_violation or not_null_violation then
      raise exception 'invalid_message' using errcode = 'PT422';
    end;
    if queued.id is not null then
      return query select to_jsonb(queued), true;
      return;
    end if;
    -- Another request with the same key was quicker.
    select known.* into queued
    from public.outbox_messages as known
    where known.workspace_id = conversation.workspace_id
      and known.idempotency_key = enqueue_message.idempotency_key;
  end if;
  if (queued.conversation_id, queued.type, queued.payload) is distinct from (
      conversation.id, given_type, enqueue_message.message -> 'payload'
    )
    or queued.reply_to is distinct from enqueue_message.message ->> 'reply_to'
  then
    raise exception 'idempotency_key_reused' using errcode = 'PT409';
  end if;
  return query select to_jsonb(queued), false;
end;
$$;

-- What has to be done before what only might have changed.
create or replace function public.settle_outbox(max_conversations integer default 500)
returns table (conversation_id uuid)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  thread uuid;
begin
  for thread in
    select known.conversation_id
    from public.outbox_messages as known
    where (known.state = 'sending' and known.lease_expires_at < now())
      or (known.state = 'queued' and known.queued_at < now() - interval '10 minutes')
      or (known.state = 'unconfirmed' and known.attempt_started_at > now() - interval '2 days')
    group by known.conversation_id
    -- First those that will be changed. What is only looked at again would keep them waiting for ever.
    order by bool_and(known.state = 'unconfirmed'), max(known.attempt_started_at) desc
    limit settle_outbox.max_conversations
  loop
    -- A thread somebody else is at can wait a minute; waiting for it, and holding others, would be a deadlock.
    perform 1 from public.conversations as conversation where conversation.id = thread for no key update skip locked;
    if found then
      perform private.settle_conversation(thread);
    end if;
  end loop;
  return query
  select known.conversation_id
  from public.outbox_messages as known
  where known.state = 'queued'
    -- Whoever queued it is about to send it.
    and known.queued_at < now() - interval '10 seconds'
    and not exists (
      select 1 from public.outbox_messages as busy
      where busy.conversation_id = known.conversation_id and busy.state = 'sending'
    )
  group by known.conversation_id
  order by min(known.queued_at)
  limit settle_outbox.max_conversations;
end;
$$;

-- The answer decides whose message it is, and ends what was queued again for want of it.
create or replace function public.record_outbox_outcome(
  id uuid,
  attempt_token uuid,
  outcome text,
  message jsonb default null,
  error_code text default null,
  can_retry boolean default null
)
returns setof public.outbox_messages
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
    raise exception 'Unknown message' using errcode = 'P0002';
  end if;
  -- The conversation first, as the door has it.
  select known.* into conversation
  from public.conversations as known
  where known.id = stored.conversation_id
  for no key update;
  select known.* into stored from public.outbox_messages as known where known.id = stored.id for update;

  if outcome = 'sent' then
    -- Whatever became of the row meanwhile, the message was sent, and belongs in the thread.
    perform private.store_sent_message(stored, conversation, record_outbox_outcome.message);
    -- Kapso's answer names this row. Another one that was taken for the message, by its text and its time,
    -- is unknown again.
    update public.outbox_messages as taken
    set state = 'unconfirmed', message_id = null, sent_at = null, can_retry = false,
      error_code = 'no_answer', error_message = (private.failure_reason('no_answer')).message
    where taken.conversation_id = stored.conversation_id
      and taken.message_id = record_outbox_outcome.message ->> 'id'
      and taken.id <> stored.id;
    update public.outbox_messages as known
    set state = 'sent', sent_at = clock_timestamp(), lease_expires_at = null,
      error_code = null, error_message = null, can_retry = false,
      -- Null where it is no message of the thread: a reaction, or nobody is left to put it there.
      message_id = case
        when known.type <> 'reaction' and known.connection_id is not null then record_outbox_outcome.message ->> 'id'
      end
    where known.id = stored.id
      and known.attempt_token = record_outbox_outcome.attempt_token
      -- Queued: it was to be sent again, and nobody has begun to.
      and known.state in ('queued', 'sending', 'unconfirmed');
    -- Its statuses may have come before this answer.
    perform private.follow_statuses(array(
      select row(conversation.id, message_in_thread.value ->> 'id', null, message_in_thread.value)::private.ingest_change
      from public.conversations as thread
      cross join jsonb_array_elements(thread.messages) as message_in_thread (value)
      where thread.id = conversation.id
        and message_in_thread.value ->> 'id' = record_outbox_outcome.message ->> 'id'
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
    -- As if the sender had died.
    update public.outbox_messages as known
    set lease_expires_at = '-infinity'
    where known.id = stored.id
      and known.attempt_token = record_outbox_outcome.attempt_token
      and known.state = 'sending';
    perform private.settle_conversation(stored.conversation_id);
  else
    raise exception 'outcome must be sent, failed or unconfirmed' using errcode = '22023';
  end if;
  return query select known.* from public.outbox_messages as known where known.id = stored.id;
end;
$$;
