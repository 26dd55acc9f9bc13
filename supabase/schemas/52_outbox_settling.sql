-- Settling sent messages whose outcome is unknown, with what arrives in the conversation.

create function private.settle_outbox(conversation_id uuid, candidates jsonb[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  open_message public.outbox_messages;
  matched jsonb;
  reached text;
  code text;
begin
  for open_message in
    select known.*
    from public.outbox_messages as known
    where known.conversation_id = settle_outbox.conversation_id
      and known.state in ('queued', 'sending', 'unconfirmed')
      and known.attempts > 0
    order by known.attempt_started_at, known.id
    for update
  loop
    matched := null;
    select candidate.value into matched
    from unnest(settle_outbox.candidates) with ordinality as candidate (value, place)
    where candidate.value ->> 'direction' = 'outbound'
      and not exists (
        select 1 from public.outbox_messages as taken
        where taken.conversation_id = settle_outbox.conversation_id
          and taken.message_id = candidate.value ->> 'id'
      )
      and case
        when candidate.value #>> '{metadata,biz_opaque_callback_data}' is not null then
          -- It names its row and its attempt.
          candidate.value #>> '{metadata,biz_opaque_callback_data}'
            = private.callback_data(open_message.id, open_message.attempts)
          -- Queued again: the reported failure is the reason for the retry.
          and (open_message.state <> 'queued' or candidate.value ->> 'status' is distinct from 'failed')
        else
          -- Not returned by the webhook: matched by text and time. Only for an unconfirmed row, and not for messages
          -- typed on the phone.
          open_message.state = 'unconfirmed'
          and coalesce(candidate.value #>> '{metadata,origin}', 'cloud_api') = 'cloud_api'
          and coalesce(candidate.value #>> '{metadata,kapso_type}', open_message.type) = open_message.type
          and (
            candidate.value ->> 'content' = open_message.content
            -- The stored text of a template is Kapso's rendering.
            or (
              open_message.type = 'template'
              and coalesce(candidate.value #>> '{metadata,template,name}', open_message.payload #>> '{template,name}')
                = open_message.payload #>> '{template,name}'
            )
          )
          -- WhatsApp's times are whole seconds of another clock.
          and (candidate.value ->> 'sent_at')::timestamptz
            between open_message.attempt_started_at - interval '30 seconds'
              and open_message.attempt_started_at + interval '10 minutes'
      end
    order by candidate.place
    limit 1;
    continue when matched is null;

    reached := matched ->> 'status';
    code := matched #>> '{error,code}';
    update public.outbox_messages as known
    set state = case when private.is_reported_status(reached) then reached else 'sent' end,
      message_id = matched ->> 'id',
      sent_at = (matched ->> 'sent_at')::timestamptz,
      error_code = case when reached = 'failed' then code end,
      error_message = case when reached = 'failed' then (private.failure_reason(code)).message end,
      can_retry = coalesce(reached = 'failed' and (private.failure_reason(code)).can_retry, false),
      lease_expires_at = null
    where known.id = open_message.id;
  end loop;
end;
$$;
comment on function private.settle_outbox(uuid, jsonb[]) is
  'Match open rows of the outbox with messages of their conversation: by the id that was sent with them, else, for '
  'unconfirmed ones, by text and time.';

create function private.settle_conversation(conversation_id uuid)
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
  -- The conversation first, in the order of ingest_conversations: its lock serialises two sessions that settle it, and
  -- a message that is being stored at this moment is seen by one of them.
  perform 1
  from public.conversations as conversation
  where conversation.id = settle_conversation.conversation_id
  for no key update;
  -- The sender is dead, so the outcome is unknown.
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
  -- A message that was not sent in time is not sent much later.
  update public.outbox_messages as known
  set state = 'failed', error_code = 'not_sent', error_message = (private.failure_reason('not_sent')).message,
    can_retry = true
  where known.conversation_id = settle_conversation.conversation_id
    and known.state = 'queued'
    and known.queued_at < now() - interval '10 minutes';

  -- Each is searched only where it can be: one that stays unconfirmed for a year must not cause a year of pages to be
  -- read with every message.
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
comment on function private.settle_conversation(uuid) is
  'Bring the outbox of a conversation up to date: senders that died, messages that waited too long, unconfirmed ones '
  'that have arrived by now.';

create function private.settle_arrivals(arrived private.ingest_message[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  thread record;
begin
  for thread in
    select message.conversation_id as id, array_agg(message.body order by message.sent_at) as candidates
    from unnest(settle_arrivals.arrived) as message
    where message.body ->> 'direction' = 'outbound'
    group by message.conversation_id
    order by message.conversation_id
  loop
    perform private.settle_outbox(thread.id, thread.candidates);
  end loop;
end;
$$;
comment on function private.settle_arrivals(private.ingest_message[]) is
  'Settle rows of the outbox whose message arrives with a batch. The conversations are locked by the caller.';

create function private.follow_statuses(changes private.ingest_change[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update public.outbox_messages as known
  set state = reported.status,
    error_code = case when reported.status = 'failed' then reported.code end,
    error_message = case when reported.status = 'failed' then (private.failure_reason(reported.code)).message end,
    can_retry = reported.status = 'failed' and (private.failure_reason(reported.code)).can_retry
  from (
    select distinct on (given.conversation_id, given.message_id)
      given.conversation_id, given.message_id, given.change ->> 'status' as status,
      given.change #>> '{error,code}' as code
    from unnest(follow_statuses.changes) as given
    where private.is_reported_status(given.change ->> 'status')
    order by given.conversation_id, given.message_id, private.status_rank(given.change ->> 'status') desc
  ) as reported
  where known.conversation_id = reported.conversation_id
    and known.message_id = reported.message_id
    and known.state = any (private.accepted_statuses())
    and private.status_rank(known.state) < private.status_rank(reported.status);
end;
$$;
comment on function private.follow_statuses(private.ingest_change[]) is
  'Move rows of the outbox to the statuses that WhatsApp reports, forward only.';

create function public.settle_outbox(max_conversations integer default 500)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  unsettled uuid;
  settled integer := 0;
begin
  for unsettled in
    select known.conversation_id
    from public.outbox_messages as known
    where (known.state = 'sending' and known.lease_expires_at < now())
      or (known.state = 'queued' and known.queued_at < now() - interval '10 minutes')
      or (known.state = 'unconfirmed' and known.attempt_started_at > now() - interval '2 days')
    group by known.conversation_id
    -- First those that will be changed: rows that are only checked again would keep them waiting for ever.
    order by bool_and(known.state = 'unconfirmed'), max(known.attempt_started_at) desc
    limit settle_outbox.max_conversations
  loop
    -- A conversation that another session holds can wait a minute; waiting for it while holding others would be a
    -- deadlock.
    perform 1 from public.conversations as conversation where conversation.id = unsettled for no key update skip locked;
    if found then
      perform private.settle_conversation(unsettled);
      settled := settled + 1;
    end if;
  end loop;
  return settled;
end;
$$;
comment on function public.settle_outbox(integer) is
  'Bring all outboxes up to date: senders that died, messages that waited too long, unconfirmed ones that have '
  'arrived. Returns the number of conversations it settled. For service_role and the schedule.';

create function public.conversations_to_send(max_conversations integer default 500)
returns table (conversation_id uuid)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select known.conversation_id
  from public.outbox_messages as known
  where known.state = 'queued'
    -- The request that queued it is about to send it.
    and known.queued_at < now() - interval '10 seconds'
    and not exists (
      select 1 from public.outbox_messages as busy
      where busy.conversation_id = known.conversation_id
        and busy.state = 'sending'
        -- Past that its sender is dead: claim_outbox_message() settles it first.
        and busy.lease_expires_at >= now()
    )
  group by known.conversation_id
  order by min(known.queued_at)
  limit conversations_to_send.max_conversations;
end;
$$;
comment on function public.conversations_to_send(integer) is
  'The conversations in which messages wait for a sender, longest waiting first. For service_role only.';

create function private.check_outbox(conversation_id uuid)
returns void
language plpgsql
volatile
-- Definer because members may not write the outbox themselves; the role is checked first, and no value of the caller
-- is written.
security definer
set search_path = ''
as $$
begin
  perform private.require_role(
    (select known.workspace_id from public.conversations as known where known.id = check_outbox.conversation_id),
    array['owner', 'admin', 'agent', 'viewer'],
    'conversation_not_found'
  );
  perform private.settle_conversation(check_outbox.conversation_id);
end;
$$;
comment on function private.check_outbox(uuid) is 'Does the work of public.check_outbox.';

create function public.check_outbox(conversation_id uuid)
returns setof public.outbox_messages
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform private.check_outbox(check_outbox.conversation_id);
  return query
  select known.*
  from public.outbox_messages as known
  where known.conversation_id = check_outbox.conversation_id
  order by known.created_at desc, known.id
  limit 200;
end;
$$;
comment on function public.check_outbox(uuid) is
  'The newest 200 rows of the outbox of a conversation, brought up to date first: a sender that died leaves an '
  'unconfirmed message. For members.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.settle_outbox(uuid, jsonb[]),
  private.settle_conversation(uuid),
  private.settle_arrivals(private.ingest_message[]),
  private.follow_statuses(private.ingest_change[]),
  public.settle_outbox(integer),
  public.conversations_to_send(integer),
  private.check_outbox(uuid),
  public.check_outbox(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.settle_outbox(uuid, jsonb[]),
  private.settle_conversation(uuid),
  private.settle_arrivals(private.ingest_message[]),
  private.follow_statuses(private.ingest_change[]),
  public.settle_outbox(integer),
  public.conversations_to_send(integer)
to service_role;
grant execute on function
  private.check_outbox(uuid),
  public.check_outbox(uuid)
to authenticated;
