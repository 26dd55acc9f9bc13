-- Messages that members send: queueing, retrying, discarding, and the reasons of failures.

create function private.outbox_states()
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return array['queued', 'sending', 'unconfirmed', 'discarded'] || private.accepted_statuses();
end;
$$;
comment on function private.outbox_states() is
  'What an outbox row can be: waiting, being sent, of unknown outcome or discarded; else the status of its message.';

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
  constraint outbox_messages_state_check check (state = any (private.outbox_states())),
  constraint outbox_messages_lease_check check ((state = 'sending') = (lease_expires_at is not null))
);
comment on table public.outbox_messages is
  'Messages that members send. The inbox shows the row until the conversation has the message, which it does once '
  'message_id is set.';
comment on column public.outbox_messages.id is
  'Primary key. Sent with the message as biz_opaque_callback_data, and returned by its webhooks.';
comment on column public.outbox_messages.workspace_id is 'The workspace, the same as the conversation''s.';
comment on column public.outbox_messages.conversation_id is 'The conversation.';
comment on column public.outbox_messages.connection_id is 'The number it is sent from: the one the customer wrote to.';
comment on column public.outbox_messages.idempotency_key is
  'Idempotency key of the sender, one for each message. A repeated request finds the same row.';
comment on column public.outbox_messages.type is 'text, image, video, audio, document, sticker, template or reaction.';
comment on column public.outbox_messages.content is
  'Text that the app shows: text, caption, the rendered template, or the emoji.';
comment on column public.outbox_messages.payload is
  'Content to send: an OutboundContent, defined in supabase/functions/_shared/contracts/outbound_content.ts.';
comment on column public.outbox_messages.reply_to is 'Id of the message it replies or reacts to.';
comment on column public.outbox_messages.file_name is 'Name of the file, of media.';
comment on column public.outbox_messages.mime_type is 'Its MIME type.';
comment on column public.outbox_messages.state is
  'queued. sending: handed to Kapso, no response yet. sent: accepted by Kapso; later statuses as WhatsApp reports '
  'them. failed: not sent. unconfirmed: the outcome is unknown; never retried automatically. discarded: by a member.';
comment on column public.outbox_messages.error_code is
  'Why it failed: a code of Meta, of Kapso or of this project. See private.failure_reason.';
comment on column public.outbox_messages.error_message is 'The same as a sentence for members.';
comment on column public.outbox_messages.can_retry is 'Of a failed message: whether a retry can help.';
comment on column public.outbox_messages.message_id is 'Id of the message in the conversation, once it is known.';
comment on column public.outbox_messages.attempts is 'Number of attempts to send it.';
comment on column public.outbox_messages.attempt_token is
  'Names the last attempt: an outcome of an earlier one does not count.';
comment on column public.outbox_messages.attempt_started_at is 'When the last attempt began.';
comment on column public.outbox_messages.lease_expires_at is
  'Of a message that is sending: when its sender counts as dead, and the outcome as unknown.';
comment on column public.outbox_messages.queued_at is
  'Its place in the queue of the conversation. A retry moves it to the end.';
comment on column public.outbox_messages.sent_at is 'When Kapso accepted it.';
comment on column public.outbox_messages.created_by is 'The member who wrote it.';
comment on column public.outbox_messages.created_at is 'When the row was created.';
comment on column public.outbox_messages.updated_at is 'When the row last changed.';

create index outbox_messages_conversation_id_created_at_idx
  on public.outbox_messages (conversation_id, created_at desc);

create index outbox_messages_workspace_id_connection_id_idx on public.outbox_messages (workspace_id, connection_id);

create index outbox_messages_created_by_idx on public.outbox_messages (created_by);

create unique index outbox_messages_conversation_id_message_id_key
  on public.outbox_messages (conversation_id, message_id) where message_id is not null;
comment on index public.outbox_messages_conversation_id_message_id_key is
  'One row at most for a message. Finds the row of a status.';

create unique index outbox_messages_conversation_id_sending_key
  on public.outbox_messages (conversation_id) where state = 'sending';
comment on index public.outbox_messages_conversation_id_sending_key is
  'One message of a conversation at a time: Kapso refuses a second one, and the order would be lost.';

create index outbox_messages_open_idx
  on public.outbox_messages (conversation_id, queued_at) where state in ('queued', 'sending', 'unconfirmed');
comment on index public.outbox_messages_open_idx is
  'Unsettled messages: the queue of a conversation, and the rows that ingest_conversations looks for when a message '
  'arrives.';

create index outbox_messages_open_workspace_id_idx
  on public.outbox_messages (workspace_id) where state in ('queued', 'sending', 'unconfirmed');
comment on index public.outbox_messages_open_workspace_id_idx is 'Counts unsettled messages of a workspace.';

create index outbox_messages_created_at_idx on public.outbox_messages using brin (created_at);
comment on index public.outbox_messages_created_at_idx is
  'Finds old rows. Rows are inserted in this order, so the index is small and nearly free.';

create trigger outbox_messages_touch_updated_at
  before update on public.outbox_messages
  for each row execute function private.touch_updated_at();

grant select on public.outbox_messages to authenticated;
grant all on public.outbox_messages to service_role;
alter table public.outbox_messages enable row level security;

create policy "Members can read the outbox of their workspaces" on public.outbox_messages
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

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
comment on table private.outbox_uploads is
  'Files uploaded to Kapso for sending. Only files uploaded for a conversation can be sent in it.';
comment on column private.outbox_uploads.conversation_id is 'The conversation it was uploaded for.';
comment on column private.outbox_uploads.media_id is 'Id of the file at WhatsApp. Lives 30 days.';
comment on column private.outbox_uploads.connection_id is 'The number it belongs to.';
comment on column private.outbox_uploads.type is 'The type of message it is sent as.';
comment on column private.outbox_uploads.file_name is 'Its name.';
comment on column private.outbox_uploads.mime_type is 'Its MIME type.';
comment on column private.outbox_uploads.created_at is 'When it was uploaded.';

create index outbox_uploads_connection_id_idx on private.outbox_uploads (connection_id);

grant all on private.outbox_uploads to service_role;
alter table private.outbox_uploads enable row level security;

-- Who may send, and to whom ----------------------------------------------------------------------

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
    -- A BSUID of digits, which Kapso knows without the mark that keeps it from being a number here.
    when conversation.participant_identifier ~ '^bsuid:[0-9]{1,128}$'
      then jsonb_build_object('recipient', substr(conversation.participant_identifier, 7))
  end;
end;
$$;
comment on function private.recipient_of(public.conversations) is
  'Recipient of messages of a conversation, in the terms of Kapso''s API: to, or recipient, or a group. Null where '
  'there is no address.';

create function private.answering(conversation public.conversations)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  connection public.connections := private.sending_connection(conversation);
begin
  return jsonb_build_object(
    'refusal', case
      when conversation.platform <> 'whatsapp' then 'platform_without_sending'
      when connection.id is null or not connection.is_active then 'connection_not_ready'
      when private.recipient_of(conversation) is null then 'no_recipient'
    end,
    'connection_id', connection.id,
    -- WhatsApp allows any message for 24 hours after the customer's last one, and templates at any time.
    'window_ends_at', conversation.last_inbound_at + interval '24 hours'
  );
end;
$$;
comment on function private.answering(public.conversations) is
  'Whether and how a conversation can be answered, for every place that asks: refusal (null: it can be), connection_id of '
  'the number that answers, and window_ends_at, until when any message can be sent and not templates alone.';

create function private.conversation_answering(conversation_id uuid)
returns jsonb
language plpgsql
stable
-- Definer because other names of conversations are private; the role is checked first.
security definer
set search_path = ''
as $$
declare
  conversation public.conversations;
begin
  select known.* into conversation
  from public.conversations as known where known.id = conversation_answering.conversation_id;
  perform private.require_role(
    conversation.workspace_id, array['owner', 'admin', 'agent', 'viewer'], 'conversation_not_found'
  );
  return private.answering(conversation);
end;
$$;
comment on function private.conversation_answering(uuid) is 'Does the work of public.conversation_answering.';

create function public.conversation_answering(conversation_id uuid)
returns jsonb
language sql
stable
set search_path = ''
as $$
  select private.conversation_answering(conversation_answering.conversation_id);
$$;
comment on function public.conversation_answering(uuid) is
  'Whether and how a conversation can be answered: {refusal, connection_id, window_ends_at}. refusal is null where it can '
  'be, else platform_without_sending, connection_not_ready or no_recipient. Until window_ends_at any message can be sent, '
  'afterwards, and where it is null, templates alone. For members.';

create function private.check_sending(conversation public.conversations, type text)
returns public.connections
language plpgsql
stable
set search_path = ''
as $$
declare
  answering constant jsonb := private.answering(conversation);
begin
  case answering ->> 'refusal'
    when 'platform_without_sending' then
      raise exception 'platform_without_sending' using errcode = 'PT422';
    when 'connection_not_ready' then
      raise exception 'connection_not_ready' using errcode = 'PT422';
    when 'no_recipient' then
      raise exception 'no_recipient' using errcode = 'PT422';
    else
      null;
  end case;
  if check_sending.type <> 'template'
    and coalesce((answering ->> 'window_ends_at')::timestamptz, '-infinity') <= now()
  then
    raise exception 'window_closed'
      using errcode = 'PT422', detail = jsonb_build_object('last_inbound_at', conversation.last_inbound_at)::text;
  end if;
  return (
    select connection from public.connections as connection
    where connection.id = (answering ->> 'connection_id')::uuid
  );
end;
$$;
comment on function private.check_sending(public.conversations, text) is
  'The number that can send a message of this type now; an error that says why none can.';

create function private.sending_side(conversation_id uuid)
returns jsonb
language plpgsql
stable
-- Definer so that private.require_role, and not a policy, tells strangers from viewers.
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
    'phone_number_id', case when connection.is_active then connection.phone_number_id end
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
  'The phone number a conversation is answered from: connection_id and phone_number_id, null where it is not ready. '
  'For owners, admins and agents.';

-- Queueing ---------------------------------------------------------------------------------------

create function private.enqueue_message(conversation_id uuid, idempotency_key text, message jsonb)
returns table (stored jsonb, is_new boolean, last_inbound_at timestamptz)
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
        and key.message_digest = private.ledger_digest(
          conversation.workspace_id, conversation.platform, enqueue_message.message ->> 'reply_to'
        )
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
      return query select to_jsonb(queued), true, conversation.last_inbound_at;
      return;
    end if;
    -- Another request with the same key was faster.
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
  return query select to_jsonb(queued), false, conversation.last_inbound_at;
end;
$$;
comment on function private.enqueue_message(uuid, text, jsonb) is 'Does the work of public.enqueue_message.';

create function public.enqueue_message(conversation_id uuid, idempotency_key text, message jsonb)
returns table (stored jsonb, is_new boolean, last_inbound_at timestamptz)
language sql
volatile
set search_path = ''
as $$
  select queued.stored, queued.is_new, queued.last_inbound_at
  from private.enqueue_message(
    enqueue_message.conversation_id, enqueue_message.idempotency_key, enqueue_message.message
  ) as queued;
$$;
comment on function public.enqueue_message(uuid, text, jsonb) is
  'Queues a message ({type, content, payload, reply_to}) for a conversation, or returns the one that has this key, '
  'and when the customer last wrote. For owners, admins and agents. Refuses what cannot be sent: outside the 24 hours '
  'after the customer''s last message, everything but templates. The function inbox sends it.';

-- Locks the conversation before the row, as every other function does: no two wait for each other.
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
  select known.* into stored from public.outbox_messages as known where known.id = retry_message.id;
  perform private.require_role(stored.workspace_id, array['owner', 'admin', 'agent'], 'message_not_found');
  if stored.state in ('sending', 'unconfirmed') then
    -- A later arrival may have settled it, or its sender may be dead.
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
  'Queue a failed message again, in the same row; an unconfirmed one only if the member accepts that the customer may '
  'get it twice. For owners, admins and agents.';

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
  'Discard a failed or unconfirmed message. For owners, admins and agents.';

-- Reasons ----------------------------------------------------------------------------------------

create function private.failure_reason(code text, out message text, out can_retry boolean)
language plpgsql
immutable
set search_path = ''
as $$
begin
  select reason.message, reason.can_retry into failure_reason.message, failure_reason.can_retry
  from (values
    -- Codes of WhatsApp.
    ('131047', 'The customer last wrote more than 24 hours ago. Send a template instead.', false),
    (
      '131026',
      'WhatsApp cannot deliver to this number: it may not use WhatsApp, or has not accepted its terms, or has an old '
        'version.',
      false
    ),
    (
      '131049',
      'WhatsApp held this marketing message back, to keep the customer from getting too many. Try again in a day or '
        'more.',
      true
    ),
    ('131050', 'The customer has stopped marketing messages from you.', false),
    ('131051', 'WhatsApp does not support this type of message.', false),
    ('131052', 'WhatsApp could not fetch the file. Upload it again.', false),
    ('131053', 'WhatsApp could not use the file: its type or size is not supported.', false),
    ('131056', 'Too many messages to this customer in a short time. Wait a moment and try again.', true),
    (
      '131048',
      'WhatsApp limits this number, because customers blocked or reported its messages. Try again later.',
      true
    ),
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
    -- Codes of Kapso.
    ('unauthorized', 'Kapso did not accept the API key of this connection. An admin has to set it again.', true),
    ('insufficient_credits', 'The Kapso account has no credit left.', true),
    ('marketing_preference_stopped', 'The customer has stopped marketing messages from you.', false),
    ('number_not_found', 'Kapso does not know this number any more. Check the connection.', true),
    ('conversation_busy', 'Another message to this customer was still on its way. Nothing was sent; try again.', true),
    ('rate_limited', 'Too many requests to Kapso. Nothing was sent; try again in a minute.', true),
    ('kapso_unreachable', 'Kapso could not be reached. Nothing was sent; try again.', true),
    ('refused', 'Kapso refused the message.', true),
    -- Codes of this project.
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
  'What an error code of WhatsApp, Kapso or this project means to members, and whether a retry can help.';

-- Uploads ----------------------------------------------------------------------------------------

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
  'Record a file that was uploaded for a conversation. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.outbox_states(),
  private.recipient_of(public.conversations),
  private.answering(public.conversations),
  private.conversation_answering(uuid),
  public.conversation_answering(uuid),
  private.check_sending(public.conversations, text),
  private.sending_side(uuid),
  public.sending_side(uuid),
  private.enqueue_message(uuid, text, jsonb),
  public.enqueue_message(uuid, text, jsonb),
  private.retry_message(uuid, boolean),
  public.retry_message(uuid, boolean),
  private.discard_message(uuid),
  public.discard_message(uuid),
  private.failure_reason(text),
  public.record_upload(uuid, uuid, text, text, text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.outbox_states(),
  private.recipient_of(public.conversations),
  private.failure_reason(text),
  public.record_upload(uuid, uuid, text, text, text, text)
to service_role;
grant execute on function
  private.conversation_answering(uuid),
  public.conversation_answering(uuid),
  private.sending_side(uuid),
  public.sending_side(uuid),
  private.enqueue_message(uuid, text, jsonb),
  public.enqueue_message(uuid, text, jsonb),
  private.retry_message(uuid, boolean),
  public.retry_message(uuid, boolean),
  private.discard_message(uuid),
  public.discard_message(uuid)
to authenticated;
