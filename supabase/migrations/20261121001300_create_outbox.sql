-- Purpose: what people send: queued, handed to Kapso once, and followed until it was read.
-- Objects: outbox_messages, private.outbox_uploads, the functions of a send.
-- Risk: none; new tables only.

create table public.outbox_messages (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  connection_id uuid,
  idempotency_key text not null,
  type text not null,
  content text not null,
  payload jsonb not null,
  reply_to text,
  file_name text,
  mime_type text,
  state text not null default 'queued',
  error_code text,
  error_message text,
  can_retry boolean not null default false,
  message_id text,
  attempts integer not null default 0,
  attempt_token uuid,
  attempt_started_at timestamptz,
  lease_expires_at timestamptz,
  queued_at timestamptz not null default now(),
  sent_at timestamptz,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint outbox_messages_workspace_id_idempotency_key_key unique (workspace_id, idempotency_key),
  constraint outbox_messages_workspace_id_connection_id_fkey
    foreign key (workspace_id, connection_id) references public.connections (workspace_id, id)
    on delete set null (connection_id),
  constraint outbox_messages_idempotency_key_check check (length(idempotency_key) between 1 and 200),
  constraint outbox_messages_type_check
    check (type in ('text', 'image', 'video', 'audio', 'document', 'sticker', 'template', 'reaction')),
  constraint outbox_messages_content_check check (length(content) <= 65536),
  constraint outbox_messages_payload_check
    check (jsonb_typeof(payload) = 'object' and pg_column_size(payload) <= 65536),
  constraint outbox_messages_state_check check (
    state in ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'unconfirmed', 'discarded')
  ),
  constraint outbox_messages_lease_check check ((state = 'sending') = (lease_expires_at is not null))
);
comment on table public.outbox_messages is
  'What people send. The row is what the inbox shows until the message is in the thread; the thread has it once message_id is set.';
comment on column public.outbox_messages.id is 'Primary key. Goes out with the message as biz_opaque_callback_data, and comes back with its webhooks.';
comment on column public.outbox_messages.workspace_id is 'The workspace, the same as the conversation''s.';
comment on column public.outbox_messages.conversation_id is 'The thread.';
comment on column public.outbox_messages.connection_id is 'The number it goes out by: the one the customer wrote to.';
comment on column public.outbox_messages.idempotency_key is 'Made by the sender, once for each message. A request that is repeated finds the same row.';
comment on column public.outbox_messages.type is 'text, image, video, audio, document, sticker, template or reaction.';
comment on column public.outbox_messages.content is 'What a bubble shows: text, caption, the template as it reads, or the emoji.';
comment on column public.outbox_messages.payload is 'What is sent: an OutboundContent, defined in supabase/functions/_shared/kapso/outbound.ts.';
comment on column public.outbox_messages.reply_to is 'Id of the message it answers or reacts to.';
comment on column public.outbox_messages.file_name is 'Name of the file, of media.';
comment on column public.outbox_messages.mime_type is 'Its MIME type.';
comment on column public.outbox_messages.state is
  'queued. sending: handed to Kapso, no answer yet. sent: accepted. delivered and read: as WhatsApp reports. failed: it was not sent. unconfirmed: nobody knows; never sent again by itself. discarded: put away by a member.';
comment on column public.outbox_messages.error_code is 'Why it failed: a code of Meta, or a word of our own.';
comment on column public.outbox_messages.error_message is 'The same as a sentence for people.';
comment on column public.outbox_messages.can_retry is 'Of a failed message: whether sending the same again can help.';
comment on column public.outbox_messages.message_id is 'Id of the message in the thread, once it is known.';
comment on column public.outbox_messages.attempts is 'How often it was handed to Kapso.';
comment on column public.outbox_messages.attempt_token is 'Who made the last attempt.';
comment on column public.outbox_messages.attempt_started_at is 'When the last attempt began.';
comment on column public.outbox_messages.lease_expires_at is 'Of a message that is sending: when its sender counts as dead.';
comment on column public.outbox_messages.queued_at is 'Its place in the queue of the thread. A retry queues it anew.';
comment on column public.outbox_messages.sent_at is 'When Kapso accepted it.';
comment on column public.outbox_messages.created_by is 'The member who wrote it.';
comment on column public.outbox_messages.created_at is 'When the row was made.';
comment on column public.outbox_messages.updated_at is 'When the row last changed.';

create index outbox_messages_conversation_id_created_at_idx
  on public.outbox_messages (conversation_id, created_at desc);
create index outbox_messages_workspace_id_connection_id_idx on public.outbox_messages (workspace_id, connection_id);
create index outbox_messages_created_by_idx on public.outbox_messages (created_by);
create unique index outbox_messages_conversation_id_message_id_key
  on public.outbox_messages (conversation_id, message_id) where message_id is not null;
comment on index public.outbox_messages_conversation_id_message_id_key is
  'A message of a thread is one row at most. Finds the row of a status.';
create unique index outbox_messages_conversation_id_sending_key
  on public.outbox_messages (conversation_id) where state = 'sending';
comment on index public.outbox_messages_conversation_id_sending_key is
  'One message of a thread at a time: Kapso refuses a second one, and the order would be lost.';
create index outbox_messages_open_idx
  on public.outbox_messages (conversation_id, queued_at) where state in ('queued', 'sending', 'unconfirmed');
comment on index public.outbox_messages_open_idx is 'What is not settled: the queue of a thread, and what the door looks for when a message arrives.';

create trigger outbox_messages_touch_updated_at
  before update on public.outbox_messages
  for each row execute function private.touch_updated_at();

create table private.outbox_uploads (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  media_id text not null,
  connection_id uuid not null references public.connections (id) on delete cascade,
  type text not null,
  file_name text,
  mime_type text not null,
  created_at timestamptz not null default now(),
  constraint outbox_uploads_pkey primary key (conversation_id, media_id)
);
comment on table private.outbox_uploads is 'Files that were uploaded to Kapso to be sent. Only what was uploaded for a thread can be sent to it.';
comment on column private.outbox_uploads.conversation_id is 'The thread it was uploaded for.';
comment on column private.outbox_uploads.media_id is 'Id of the file at WhatsApp. Lives 30 days.';
comment on column private.outbox_uploads.connection_id is 'The number it belongs to.';
comment on column private.outbox_uploads.type is 'The type of message it is sent as.';
comment on column private.outbox_uploads.file_name is 'Its name.';
comment on column private.outbox_uploads.mime_type is 'Its MIME type.';
comment on column private.outbox_uploads.created_at is 'When it was uploaded.';
create index outbox_uploads_connection_id_idx on private.outbox_uploads (connection_id);

-- Who may --------------------------------------------------------------------------------------

create function private.require_role(workspace_id uuid, roles text[], missing text)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
  -- PTxyz becomes the HTTP status xyz. The message is the code a program goes by.
  if require_role.workspace_id is null or require_role.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])
  ) then
    raise exception '%', require_role.missing using errcode = 'PT404';
  end if;
  if require_role.workspace_id not in (select private.workspaces_with_role(require_role.roles)) then
    raise exception 'role_too_low' using errcode = 'PT403';
  end if;
end;
$$;
comment on function private.require_role(uuid, text[], text) is
  'Nothing for a caller who has one of the roles; for other members an error that becomes 403, for strangers one that becomes 404 with the given code. Called by functions that then act for the caller.';

-- Queueing --------------------------------------------------------------------------------------

create function private.sending_connection(conversation public.conversations)
returns public.connections
language sql
stable
set search_path = ''
as $$
  -- The number the customer wrote to: its id begins the key of the thread. Of the same owner, who is part
  -- of the key too.
  select connection.*
  from public.connections as connection
  where connection.workspace_id = (sending_connection.conversation).workspace_id
    and connection.user_id = (sending_connection.conversation).user_id
    and connection.platform = 'whatsapp'
    and connection.phone_number_id = split_part((sending_connection.conversation).external_conversation_id, ':', 1);
$$;
comment on function private.sending_connection(public.conversations) is
  'The Kapso number by which a thread is answered; no row values where it is gone or the thread came another way.';

create function private.recipient_of(conversation public.conversations)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
declare
  contact text := substr(conversation.external_conversation_id, strpos(conversation.external_conversation_id, ':') + 1);
begin
  return case
    when contact like 'group:%' then jsonb_build_object('recipient_type', 'group', 'to', substr(contact, 7))
    when conversation.participant_digits is not null then jsonb_build_object('to', conversation.participant_digits)
    when conversation.participant_identifier ~ '^[A-Za-z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$'
      then jsonb_build_object('recipient', conversation.participant_identifier)
  end;
end;
$$;
comment on function private.recipient_of(public.conversations) is
  'Whom a message of the thread goes to, in the words of Kapso''s API: to, or recipient, or a group. Null where there is no address.';

create function private.check_sending(conversation public.conversations, type text)
returns public.connections
language plpgsql
stable
set search_path = ''
as $$
declare
  connection public.connections;
begin
  if conversation.platform <> 'whatsapp' then
    raise exception 'platform_without_sending' using errcode = 'PT422';
  end if;
  connection := private.sending_connection(conversation);
  if connection.id is null or not connection.is_active then
    raise exception 'connection_not_ready' using errcode = 'PT422';
  end if;
  if private.recipient_of(conversation) is null then
    raise exception 'no_recipient' using errcode = 'PT422';
  end if;
  if check_sending.type <> 'template'
    and coalesce(conversation.last_inbound_at, '-infinity') <= now() - interval '24 hours'
  then
    raise exception 'window_closed' using errcode = 'PT422', detail = coalesce(conversation.last_inbound_at::text, '');
  end if;
  return connection;
end;
$$;
comment on function private.check_sending(public.conversations, text) is
  'The number a message of this type can go out by now; an error that says why it cannot.';

create function private.enqueue_message(conversation_id uuid, idempotency_key text, message jsonb)
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
comment on function private.enqueue_message(uuid, text, jsonb) is 'Does the work of public.enqueue_message.';

create function public.enqueue_message(conversation_id uuid, idempotency_key text, message jsonb)
returns table (stored jsonb, is_new boolean)
language sql
volatile
set search_path = ''
as $$
  select queued.stored, queued.is_new
  from private.enqueue_message(
    enqueue_message.conversation_id, enqueue_message.idempotency_key, enqueue_message.message
  ) as queued;
$$;
comment on function public.enqueue_message(uuid, text, jsonb) is
  'Queue a message ({type, content, payload, reply_to}) for a thread, or return the one that has this key. For owners, admins and agents. Says before sending what cannot be sent: outside the 24 hours after the customer''s last message only templates. The function inbox sends it.';

create function private.retry_message(id uuid, confirm_possible_double boolean)
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
  select known.* into stored from public.outbox_messages as known where known.id = retry_message.id for update;
  perform private.require_role(stored.workspace_id, array['owner', 'admin', 'agent'], 'message_not_found');
  if stored.state in ('sending', 'unconfirmed') then
    -- It may have been settled by what arrived, or its sender may be dead.
    perform private.settle_conversation(stored.conversation_id);
    select known.* into stored from public.outbox_messages as known where known.id = retry_message.id;
  end if;
  if stored.state = 'queued' then
    return stored;
  end if;
  if stored.state = 'unconfirmed' and not coalesce(retry_message.confirm_possible_double, false) then
    raise exception 'possible_double' using errcode = 'PT409';
  end if;
  if stored.state not in ('failed', 'unconfirmed') then
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
comment on function private.retry_message(uuid, boolean) is 'Does the work of public.retry_message.';

create function public.retry_message(id uuid, confirm_possible_double boolean default false)
returns setof public.outbox_messages
language sql
volatile
set search_path = ''
as $$
  select retried.*
  from private.retry_message(retry_message.id, retry_message.confirm_possible_double) as retried;
$$;
comment on function public.retry_message(uuid, boolean) is
  'Queue a failed message again, in the same row. An unconfirmed one only where the member accepts that the customer may get it twice. For owners, admins and agents.';

create function private.discard_message(id uuid)
returns public.outbox_messages
language plpgsql
volatile
-- Definer because members may not write the outbox themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  stored public.outbox_messages;
begin
  select known.* into stored from public.outbox_messages as known where known.id = discard_message.id for update;
  perform private.require_role(stored.workspace_id, array['owner', 'admin', 'agent'], 'message_not_found');
  if stored.state not in ('failed', 'unconfirmed', 'discarded') then
    raise exception 'nothing_to_discard' using errcode = 'PT409';
  end if;
  update public.outbox_messages as known
  set state = 'discarded', can_retry = false
  where known.id = stored.id
  returning known.* into stored;
  return stored;
end;
$$;
comment on function private.discard_message(uuid) is 'Does the work of public.discard_message.';

create function public.discard_message(id uuid)
returns setof public.outbox_messages
language sql
volatile
set search_path = ''
as $$
  select discarded.* from private.discard_message(discard_message.id) as discarded;
$$;
comment on function public.discard_message(uuid) is
  'Put a failed or unconfirmed message away. For owners, admins and agents.';

create function private.sending_side(conversation_id uuid)
returns jsonb
language plpgsql
stable
-- Definer so that a stranger and a viewer are told apart by private.require_role and not by policies.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations;
  connection public.connections;
begin
  select known.* into conversation from public.conversations as known where known.id = sending_side.conversation_id;
  perform private.require_role(conversation.workspace_id, array['owner', 'admin', 'agent'], 'conversation_not_found');
  if conversation.platform <> 'whatsapp' then
    raise exception 'platform_without_sending' using errcode = 'PT422';
  end if;
  connection := private.sending_connection(conversation);
  return jsonb_build_object(
    'connection_id', case when connection.is_active then connection.id end,
    'phone_number_id', case when connection.is_active then connection.phone_number_id end,
    'last_inbound_at', conversation.last_inbound_at
  );
end;
$$;
comment on function private.sending_side(uuid) is 'Does the work of public.sending_side.';

create function public.sending_side(conversation_id uuid)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select private.sending_side(sending_side.conversation_id);
$$;
comment on function public.sending_side(uuid) is
  'What a thread is answered by: connection_id and phone_number_id, null where it is not ready, and last_inbound_at. For owners, admins and agents.';

-- Reasons ---------------------------------------------------------------------------------------

create function private.failure_reason(code text, out message text, out can_retry boolean)
language plpgsql
immutable
set search_path = ''
as $$
begin
  select reason.message, reason.can_retry into failure_reason.message, failure_reason.can_retry
  from (values
    -- Of WhatsApp.
    ('131047', 'The customer last wrote more than 24 hours ago. Send a template instead.', false),
    ('131026', 'WhatsApp cannot deliver to this number: it may not use WhatsApp, or has not accepted its terms, or has an old version.', false),
    ('131049', 'WhatsApp held this marketing message back, to keep the customer from getting too many. Try again in a day or more.', true),
    ('131050', 'The customer has stopped marketing messages from you.', false),
    ('131051', 'WhatsApp does not support this type of message.', false),
    ('131052', 'WhatsApp could not fetch the file. Upload it again.', false),
    ('131053', 'WhatsApp could not use the file: its type or size is not supported.', false),
    ('131056', 'Too many messages to this customer in a short time. Wait a moment and try again.', true),
    ('131048', 'WhatsApp limits this number, because customers blocked or reported its messages. Try again later.', true),
    ('130429', 'Too many messages at once from this number. Wait a moment and try again.', true),
    ('130472', 'WhatsApp did not deliver this marketing message: the customer is part of an experiment.', false),
    ('130497', 'This business may not write to customers in this country.', false),
    ('131031', 'WhatsApp has locked this business account. Look into WhatsApp Manager.', false),
    ('131042', 'WhatsApp could not bill this message. Check the payment method of the account.', true),
    ('131045', 'This number is not registered for sending.', false),
    ('131021', 'A number cannot write to itself.', false),
    ('131008', 'The message lacks something WhatsApp requires.', false),
    ('131009', 'WhatsApp did not accept a value in the message.', false),
    ('131005', 'The account is not allowed to send this.', false),
    ('131000', 'Something went wrong at WhatsApp. Try again.', true),
    ('131016', 'WhatsApp is overloaded or under maintenance. Try again later.', true),
    ('131057', 'This number is under maintenance. Try again later.', true),
    ('133010', 'This number is not registered with WhatsApp.', false),
    ('132000', 'The template needs another number of values than were given.', false),
    ('132001', 'There is no such template in this language, or it is not approved.', false),
    ('132005', 'The template with its values is too long.', false),
    ('132007', 'The template breaks WhatsApp''s rules.', false),
    ('132012', 'A value does not fit the template: check its format.', false),
    ('132015', 'WhatsApp has paused this template because of its quality. Use another one.', false),
    ('132016', 'WhatsApp has switched this template off for good. Use another one.', false),
    ('132068', 'The flow of this template is blocked.', false),
    ('132069', 'The flow of this template is throttled. Try again later.', true),
    ('368', 'WhatsApp has blocked this account for a while, for breaking its rules.', false),
    ('100', 'WhatsApp did not accept a value in the message.', false),
    -- Of Kapso.
    ('unauthorized', 'Kapso did not accept the API key of this connection. An admin has to set it again.', true),
    ('insufficient_credits', 'The Kapso account has no credit left.', true),
    ('marketing_preference_stopped', 'The customer has stopped marketing messages from you.', false),
    ('number_not_found', 'Kapso does not know this number any more. Check the connection.', true),
    ('conversation_busy', 'Another message to this customer was still on its way. Nothing was sent; try again.', true),
    ('rate_limited', 'Too many requests to Kapso. Nothing was sent; try again in a minute.', true),
    ('kapso_unreachable', 'Kapso could not be reached. Nothing was sent; try again.', true),
    ('refused', 'Kapso refused the message.', true),
    -- Of our own.
    ('not_sent', 'The message waited too long and was not sent.', true),
    ('connection_not_ready', 'The connection has no Kapso API key, or is switched off. Nothing was sent.', true),
    ('invalid_message', 'The message cannot be sent as it is.', false),
    ('reaction_unconfirmed', 'Kapso did not answer. The reaction may or may not be there; try again.', true),
    ('no_answer', 'Kapso did not answer in time. The message may have been sent.', false)
  ) as reason (code, message, can_retry)
  where reason.code = failure_reason.code;
  if failure_reason.message is null then
    failure_reason.message := case
      when failure_reason.code ~ '^132[0-9]{3}$' then 'WhatsApp did not accept the template.'
      else 'The message could not be sent.'
    end;
    failure_reason.can_retry := failure_reason.code !~ '^132[0-9]{3}$';
  end if;
  failure_reason.can_retry := coalesce(failure_reason.can_retry, true);
end;
$$;
comment on function private.failure_reason(text) is
  'What an error code of WhatsApp, Kapso or our own means to people, and whether sending the same again can help.';

-- Settling --------------------------------------------------------------------------------------

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
          -- It says whose it is, and which attempt.
          candidate.value #>> '{metadata,biz_opaque_callback_data}'
            = private.callback_data(open_message.id, open_message.attempts)
          -- Queued again: an attempt that failed after all is why.
          and (open_message.state <> 'queued' or candidate.value ->> 'status' is distinct from 'failed')
        else
          -- Not echoed: what was said, and when. Only where the answer is not to be had any more, and
          -- not what was typed on the phone.
          open_message.state = 'unconfirmed'
          and coalesce(candidate.value #>> '{metadata,origin}', 'cloud_api') = 'cloud_api'
          and coalesce(candidate.value #>> '{metadata,kapso_type}', open_message.type) = open_message.type
          and (
            candidate.value ->> 'content' = open_message.content
            -- The text of a template is Kapso's rendering.
            or (
              open_message.type = 'template'
              and coalesce(candidate.value #>> '{metadata,template,name}', open_message.payload #>> '{template,name}')
                = open_message.payload #>> '{template,name}'
            )
          )
          -- WhatsApp's time is in whole seconds, of another clock.
          and (candidate.value ->> 'sent_at')::timestamptz
            between open_message.attempt_started_at - interval '30 seconds'
              and open_message.attempt_started_at + interval '10 minutes'
      end
    order by candidate.place
    limit 1;
    continue when matched is null;

    reached := matched ->> 'status';
    update public.outbox_messages as known
    set state = case when reached in ('delivered', 'read', 'failed') then reached else 'sent' end,
      message_id = matched ->> 'id',
      sent_at = (matched ->> 'sent_at')::timestamptz,
      error_code = case when reached = 'failed' then matched #>> '{error,code}' end,
      error_message = case when reached = 'failed' then (private.failure_reason(matched #>> '{error,code}')).message end,
      can_retry = coalesce(reached = 'failed' and (private.failure_reason(matched #>> '{error,code}')).can_retry, false),
      lease_expires_at = null
    where known.id = open_message.id;
  end loop;
end;
$$;
comment on function private.settle_outbox(uuid, jsonb[]) is
  'Find the messages that are open in the outbox of a thread among messages of the thread: by the id that went out with them, else, for unconfirmed ones, by what was said and when.';

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

create function private.settle_conversation(conversation_id uuid)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  oldest timestamptz;
begin
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

  select min(known.attempt_started_at) into oldest
  from public.outbox_messages as known
  where known.conversation_id = settle_conversation.conversation_id
    and known.state = 'unconfirmed';
  if oldest is null then
    return;
  end if;
  perform private.settle_outbox(settle_conversation.conversation_id, (
    select array_agg(stored.value order by (stored.value ->> 'sent_at')::timestamptz)
    from (
      select page.messages
      from public.conversation_archives as page
      where page.conversation_id = settle_conversation.conversation_id
        and page.last_sent_at >= oldest - interval '30 seconds'
      union all
      select conversation.messages
      from public.conversations as conversation
      where conversation.id = settle_conversation.conversation_id
    ) as recent
    cross join jsonb_array_elements(recent.messages) as stored (value)
    where (stored.value ->> 'sent_at')::timestamptz >= oldest - interval '30 seconds'
  ));
end;
$$;
comment on function private.settle_conversation(uuid) is
  'Bring the outbox of a thread up to date: senders that died, messages nobody came to send, unconfirmed ones that are in the thread by now.';

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
  'Settle what new messages of a batch show to have been sent. The conversations are locked by the caller.';

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
    where given.change ->> 'status' in ('delivered', 'read', 'failed')
    order by given.conversation_id, given.message_id, private.status_rank(given.change ->> 'status') desc
  ) as reported
  where known.conversation_id = reported.conversation_id
    and known.message_id = reported.message_id
    and private.status_rank(known.state) between 2 and private.status_rank(reported.status) - 1;
end;
$$;
comment on function private.follow_statuses(private.ingest_change[]) is
  'Take over what WhatsApp reports of sent messages: delivered, read, failed; forward only.';

-- Sending, by the function ----------------------------------------------------------------------

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
    -- Another message of the thread is on its way. Its sender takes this one next.
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
  'Take the next message of a thread to send it: one row, or none where nothing waits or another one is on its way. Whoever has it calls Kapso once and then record_outbox_outcome(). For service_role only.';

create function public.record_outbox_outcome(
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
    update public.outbox_messages as known
    set state = 'sent', sent_at = clock_timestamp(), lease_expires_at = null,
      error_code = null, error_message = null, can_retry = false,
      -- A reaction is no message of the thread, but its id is worth knowing.
      message_id = case when known.type = 'reaction' then null else record_outbox_outcome.message ->> 'id' end
    where known.id = stored.id
      and known.attempt_token = record_outbox_outcome.attempt_token
      and known.state in ('sending', 'unconfirmed')
      -- The door may just have settled it by the webhook's copy.
      and not exists (
        select 1 from public.outbox_messages as taken
        where taken.conversation_id = known.conversation_id
          and taken.message_id = record_outbox_outcome.message ->> 'id'
      );
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
comment on function public.record_outbox_outcome(uuid, uuid, text, jsonb, text, boolean) is
  'Keep what came of an attempt: sent (message: the Message, or for a reaction the MessageChange with the id, for the one door), failed (error_code) or unconfirmed. For service_role only.';

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
  'Put a message that was sent into its thread, through the one door.';

create function public.settle_outbox(max_conversations integer default 500)
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
    select distinct known.conversation_id
    from public.outbox_messages as known
    where (known.state = 'sending' and known.lease_expires_at < now())
      or (known.state = 'queued' and known.queued_at < now() - interval '10 minutes')
      or (known.state = 'unconfirmed' and known.attempt_started_at > now() - interval '2 days')
    order by known.conversation_id
    limit settle_outbox.max_conversations
  loop
    perform private.settle_conversation(thread);
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
comment on function public.settle_outbox(integer) is
  'Bring all outboxes up to date: senders that died, messages nobody came to send, unconfirmed ones that have arrived. Returns the threads in which messages wait for a sender. For service_role, the schedule and the repair run.';

create function private.check_outbox(conversation_id uuid)
returns void
language plpgsql
volatile
-- Definer because members may not write the outbox themselves; the role is checked first, and nothing of
-- the caller's is written.
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
  'The newest 200 rows of a thread''s outbox, brought up to date first: a sender that died leaves an unconfirmed message. For members.';

create function public.record_upload(
  conversation_id uuid,
  connection_id uuid,
  media_id text,
  type text,
  file_name text,
  mime_type text
)
returns void
language sql
volatile
set search_path = ''
as $$
  insert into private.outbox_uploads (conversation_id, connection_id, media_id, type, file_name, mime_type)
  values (
    record_upload.conversation_id, record_upload.connection_id, record_upload.media_id, record_upload.type,
    record_upload.file_name, record_upload.mime_type
  )
  on conflict (conversation_id, media_id) do nothing;
$$;
comment on function public.record_upload(uuid, uuid, text, text, text, text) is
  'Note a file that was uploaded for a thread. For service_role only.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  private.require_role(uuid, text[], text),
  private.sending_connection(public.conversations),
  private.recipient_of(public.conversations),
  private.check_sending(public.conversations, text),
  private.enqueue_message(uuid, text, jsonb),
  public.enqueue_message(uuid, text, jsonb),
  private.retry_message(uuid, boolean),
  public.retry_message(uuid, boolean),
  private.discard_message(uuid),
  public.discard_message(uuid),
  private.sending_side(uuid),
  public.sending_side(uuid),
  private.failure_reason(text),
  private.settle_outbox(uuid, jsonb[]),
  private.callback_data(uuid, integer),
  private.settle_conversation(uuid),
  private.settle_arrivals(private.ingest_message[]),
  private.follow_statuses(private.ingest_change[]),
  public.claim_outbox_message(uuid, integer),
  public.record_outbox_outcome(uuid, uuid, text, jsonb, text, boolean),
  private.store_sent_message(public.outbox_messages, public.conversations, jsonb),
  public.settle_outbox(integer),
  private.check_outbox(uuid),
  public.check_outbox(uuid),
  public.record_upload(uuid, uuid, text, text, text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.enqueue_message(uuid, text, jsonb),
  public.enqueue_message(uuid, text, jsonb),
  private.retry_message(uuid, boolean),
  public.retry_message(uuid, boolean),
  private.discard_message(uuid),
  public.discard_message(uuid),
  private.check_outbox(uuid),
  public.check_outbox(uuid),
  private.sending_side(uuid),
  public.sending_side(uuid)
to authenticated;
grant execute on function
  private.sending_connection(public.conversations),
  private.recipient_of(public.conversations),
  private.failure_reason(text),
  private.settle_outbox(uuid, jsonb[]),
  private.callback_data(uuid, integer),
  private.settle_conversation(uuid),
  private.settle_arrivals(private.ingest_message[]),
  private.follow_statuses(private.ingest_change[]),
  public.claim_outbox_message(uuid, integer),
  public.record_outbox_outcome(uuid, uuid, text, jsonb, text, boolean),
  private.store_sent_message(public.outbox_messages, public.conversations, jsonb),
  public.settle_outbox(integer),
  public.record_upload(uuid, uuid, text, text, text, text)
to service_role;

grant select on public.outbox_messages to authenticated;
grant all on public.outbox_messages to service_role;
grant all on private.outbox_uploads to service_role;

alter table public.outbox_messages enable row level security;
alter table private.outbox_uploads enable row level security;
create policy "Members can read the outbox of their workspaces" on public.outbox_messages
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

-- Every minute, where pg_cron is to be had. Elsewhere the inbox does it for the thread it shows.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('settle-outbox', '* * * * *', 'select public.settle_outbox()');
    if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
      create extension if not exists pg_net;
      -- The same, and it sends what was left waiting.
      perform cron.schedule('inbox', '* * * * *', $job$select private.call_function('inbox/tick')$job$);
    end if;
  end if;
exception when others then
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;
