-- Copies of media files whose links at Kapso expire, and files in Storage that belong to no message any more.

create table private.media_copies (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  message_id text collate "C" not null,
  workspace_id uuid not null,
  connection_id uuid,
  message_type text not null,
  link text,
  media_id text,
  mime_type text,
  filename text,
  sent_at timestamptz not null,
  state text not null default 'waiting',
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  error text,
  path text,
  constraint media_copies_pkey primary key (conversation_id, message_id),
  constraint media_copies_state_check check (state in ('waiting', 'stored', 'linked', 'failed'))
);
comment on table private.media_copies is
  'The files of messages and the state of their copies. Holds links that open a file without a login: never exposed.';
comment on column private.media_copies.conversation_id is 'The conversation.';
comment on column private.media_copies.message_id is 'The message.';
comment on column private.media_copies.workspace_id is 'The workspace: the first part of the path in Storage.';
comment on column private.media_copies.connection_id is
  'The Kapso number that can fetch the file. Null some minutes after it was deleted: the copy stays.';
comment on column private.media_copies.message_type is 'image, audio, video or file.';
comment on column private.media_copies.link is 'Link to Kapso''s copy. Null: Kapso had none when the message arrived.';
comment on column private.media_copies.media_id is 'Meta''s id of the file, by which it can be fetched for some days.';
comment on column private.media_copies.mime_type is 'MIME type as the sender gave it.';
comment on column private.media_copies.filename is 'Its name, for documents.';
comment on column private.media_copies.sent_at is 'When the message was sent.';
comment on column private.media_copies.state is
  'waiting: to be copied at next_attempt_at. stored: in Storage. linked: this project has no Storage, only the link '
  'is kept. failed: see error.';
comment on column private.media_copies.attempts is
  'Number of attempts that were started. Also names the attempt: the result of an older one does not count.';
comment on column private.media_copies.next_attempt_at is
  'Earliest time of the next attempt. During an attempt: when its lease expires.';
comment on column private.media_copies.error is
  'Why it failed: gone, unavailable, too_large, type_not_allowed, host_not_allowed or no_source.';
comment on column private.media_copies.path is 'Path of the copy in the bucket media.';

create index media_copies_due_idx on private.media_copies (connection_id, next_attempt_at) where state = 'waiting';
comment on index private.media_copies_due_idx is 'Finds the files that claim_media_copies() returns.';

create index media_copies_workspace_id_connection_id_idx on private.media_copies (workspace_id, connection_id);

grant all on private.media_copies to service_role;
alter table private.media_copies enable row level security;

create table private.media_orphans (
  path text collate "C" primary key,
  next_attempt_at timestamptz not null default now()
);
comment on table private.media_orphans is 'Files in Storage that are to be deleted, because their message was.';
comment on column private.media_orphans.path is 'Path of the file in the bucket media.';
comment on column private.media_orphans.next_attempt_at is
  'Earliest time of the next attempt. During an attempt: when its lease expires.';

create index media_orphans_next_attempt_at_idx on private.media_orphans (next_attempt_at);

grant all on private.media_orphans to service_role;
alter table private.media_orphans enable row level security;

create function private.abandon_media()
returns trigger
language plpgsql
-- Definer because members who delete a conversation may not write to private.media_orphans.
security definer
set search_path = ''
as $$
begin
  insert into private.media_orphans (path) values (old.path) on conflict do nothing;
  return old;
end;
$$;
comment on function private.abandon_media() is
  'Trigger: lists the copy of a deleted message for deletion from Storage.';

create trigger media_copies_abandon_media
  after delete on private.media_copies
  for each row when (old.path is not null) execute function private.abandon_media();

-- Copying ----------------------------------------------------------------------------------------

create function private.queue_media(source public.connections, conversation_id uuid, messages jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into private.media_copies as copy (
    conversation_id, message_id, workspace_id, connection_id, message_type, link, media_id, mime_type, filename, sent_at
  )
  select distinct on (message.value ->> 'id' collate "C")
    queue_media.conversation_id,
    message.value ->> 'id',
    source.workspace_id,
    source.id,
    message.value ->> 'type',
    nullif(message.value ->> 'media_url', ''),
    nullif(message.value #>> array['metadata', message.value #>> '{metadata,kapso_type}', 'id'], ''),
    nullif(message.value #>> '{metadata,mime_type}', ''),
    nullif(message.value #>> '{metadata,file_name}', ''),
    (message.value ->> 'sent_at')::timestamptz
  from jsonb_array_elements(coalesce(queue_media.messages, '[]')) as message (value)
  where message.value ->> 'type' in ('image', 'audio', 'video', 'file')
    -- A message can be deleted before it arrives.
    and (
      private.find_message(queue_media.conversation_id, message.value ->> 'id') ->> 'deleted_at' is null
      or private.keeps_deleted(source.workspace_id)
    )
  order by message.value ->> 'id' collate "C", message.value ->> 'media_url' nulls last
  on conflict on constraint media_copies_pkey do update
  -- The link arrived later than the message.
  set link = excluded.link, state = 'waiting', attempts = copy.attempts + 1, next_attempt_at = now(), error = null
  where copy.link is null and excluded.link is not null and copy.state <> 'stored';
end;
$$;
comment on function private.queue_media(public.connections, uuid, jsonb) is
  'Queue the files of messages for copying, once each; again when a missing link arrives. The conversation is locked '
  'by the caller.';

create function public.claim_media_copies(
  connection_id uuid,
  max_copies integer default 5,
  lease_seconds integer default 180
)
returns table (
  conversation_id uuid,
  message_id text,
  workspace_id uuid,
  phone_number_id text,
  message_type text,
  link text,
  media_id text,
  mime_type text,
  filename text,
  sent_at timestamptz,
  attempts integer
)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with due as (
    select copy.conversation_id, copy.message_id
    from private.media_copies as copy
    where copy.connection_id = claim_media_copies.connection_id
      and copy.state = 'waiting'
      and copy.next_attempt_at <= now()
    order by copy.next_attempt_at
    limit claim_media_copies.max_copies
    for update skip locked
  )
  update private.media_copies as copy
  set attempts = copy.attempts + 1,
    next_attempt_at = now() + make_interval(secs => claim_media_copies.lease_seconds)
  from due, public.connections as source
  where copy.conversation_id = due.conversation_id
    and copy.message_id = due.message_id
    and source.id = copy.connection_id
  returning copy.conversation_id, copy.message_id, copy.workspace_id, source.phone_number_id, copy.message_type,
    copy.link, copy.media_id, copy.mime_type, copy.filename, copy.sent_at, copy.attempts;
end;
$$;
comment on function public.claim_media_copies(uuid, integer, integer) is
  'Claim files of a connection that are to be copied now; each goes to one caller, with a lease of lease_seconds. For '
  'service_role only.';

create function public.finish_media_copies(connection_id uuid, results jsonb)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  source public.connections;
  batch jsonb;
  finished integer;
begin
  select known.* into source from public.connections as known where known.id = finish_media_copies.connection_id;
  if source.id is null then
    raise exception 'connection_not_found' using errcode = 'PT404';
  end if;

  -- Conversations first, locked in the order of ingest_conversations, then the copies: the order of queue_media().
  with given as (
    select result.*
    from jsonb_to_recordset(finish_media_copies.results) as result (
      conversation_id uuid, message_id text, attempts integer, media jsonb
    )
    join private.media_copies as copy using (conversation_id, message_id)
    where copy.connection_id = source.id
      and copy.state = 'waiting'
      and copy.attempts = result.attempts
      and jsonb_typeof(result.media) = 'object'
  ),
  thread as (
    select conversation.id, conversation.external_conversation_id, conversation.participant_identifier
    from public.conversations as conversation
    where conversation.id in (select given.conversation_id from given)
      and conversation.workspace_id = source.workspace_id
      and conversation.platform = source.platform
    order by conversation.external_conversation_id
    for no key update
  )
  select jsonb_agg(jsonb_build_object(
    'external_conversation_id', thread.external_conversation_id,
    'participant_identifier', thread.participant_identifier,
    'is_history', true,
    'messages', '[]'::jsonb,
    'changes', (
      select jsonb_agg(jsonb_build_object('message_id', given.message_id, 'media', given.media))
      from given where given.conversation_id = thread.id
    )
  ))
  into batch
  from thread;
  if batch is not null then
    perform public.ingest_conversations(source.id, batch);
  end if;

  update private.media_copies as copy
  set state = result.state,
    error = result.error,
    path = coalesce(result.media ->> 'path', copy.path),
    next_attempt_at = case when result.state = 'waiting'
      then now() + make_interval(secs => coalesce(result.retry_seconds, 60)) else copy.next_attempt_at end
  from jsonb_to_recordset(finish_media_copies.results) as result (
    conversation_id uuid, message_id text, attempts integer, state text, error text, retry_seconds double precision,
    media jsonb
  )
  where copy.conversation_id = result.conversation_id
    and copy.message_id = result.message_id
    and copy.connection_id = source.id
    and copy.state = 'waiting'
    and copy.attempts = result.attempts;
  get diagnostics finished = row_count;

  -- The message was deleted while its file was copied.
  insert into private.media_orphans (path)
  select result.media ->> 'path'
  from jsonb_to_recordset(finish_media_copies.results) as result (conversation_id uuid, message_id text, media jsonb)
  where result.media ->> 'path' is not null
    and not exists (
      select 1 from private.media_copies as copy
      where copy.conversation_id = result.conversation_id and copy.message_id = result.message_id
    )
  on conflict do nothing;
  return finished;
end;
$$;
comment on function public.finish_media_copies(uuid, jsonb) is
  'Record the results of claimed copies, and write them into their messages through ingest_conversations. results: '
  '[{conversation_id, message_id, attempts, state, error, retry_seconds, media}]; media replaces metadata.media of '
  'the message. Returns how many counted: those of an expired lease that another caller has claimed since do not. For '
  'service_role only.';

create function public.connections_with_due_media(max_connections integer default 10)
returns table (connection_id uuid)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select source.id
  from public.connections as source
  cross join lateral (
    select copy.next_attempt_at
    from private.media_copies as copy
    where copy.connection_id = source.id and copy.state = 'waiting' and copy.next_attempt_at <= now()
    order by copy.next_attempt_at
    limit 1
  ) as oldest
  order by oldest.next_attempt_at
  limit connections_with_due_media.max_connections;
end;
$$;
comment on function public.connections_with_due_media(integer) is
  'Connections that have files to copy now, longest waiting first. For service_role only.';

create function public.retry_media_copies(connection_id uuid, states text[] default '{failed,linked}')
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  retried integer;
begin
  update private.media_copies as copy
  set state = 'waiting', attempts = 0, next_attempt_at = now(), error = null
  where copy.connection_id = retry_media_copies.connection_id
    and copy.state = any (retry_media_copies.states)
    and copy.state in ('failed', 'linked');
  get diagnostics retried = row_count;
  return retried;
end;
$$;
comment on function public.retry_media_copies(uuid, text[]) is
  'Queue files again that failed or were only linked, for use after Storage was added or a host allowed. Returns how '
  'many. For service_role only.';

-- Orphans ----------------------------------------------------------------------------------------

create function public.claim_media_orphans(max_files integer default 100, lease_seconds integer default 180)
returns table (path text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with due as (
    select orphan.path
    from private.media_orphans as orphan
    where orphan.next_attempt_at <= now()
    order by orphan.next_attempt_at
    limit claim_media_orphans.max_files
    for update skip locked
  )
  update private.media_orphans as orphan
  set next_attempt_at = now() + make_interval(secs => claim_media_orphans.lease_seconds)
  from due
  where orphan.path = due.path
  returning orphan.path;
end;
$$;
comment on function public.claim_media_orphans(integer, integer) is
  'Claim files to delete from Storage; each goes to one caller, with a lease of lease_seconds. For service_role only.';

create function public.forget_media_orphans(paths text[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  forgotten integer;
begin
  delete from private.media_orphans as orphan where orphan.path = any (forget_media_orphans.paths);
  get diagnostics forgotten = row_count;
  return forgotten;
end;
$$;
comment on function public.forget_media_orphans(text[]) is
  'Record that files were deleted from Storage. Returns how many of them were listed. For service_role only.';

-- Reading ----------------------------------------------------------------------------------------

create function public.message_source(conversation_id uuid, message_id text)
returns table (
  workspace_id uuid,
  connection_id uuid,
  phone_number_id text,
  media_url text,
  metadata jsonb,
  copy_path text
)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  conversation public.conversations;
  connection public.connections;
  found constant jsonb := private.find_message(message_source.conversation_id, message_source.message_id);
begin
  if found is null then
    return;
  end if;
  select known.* into conversation
  from public.conversations as known
  where known.id = message_source.conversation_id;
  connection := private.sending_connection(conversation);
  return query
  select conversation.workspace_id, connection.id, connection.phone_number_id, found ->> 'media_url',
    found -> 'metadata',
    (
      select copy.path from private.media_copies as copy
      where copy.conversation_id = conversation.id and copy.message_id = message_source.message_id
    );
end;
$$;
comment on function public.message_source(uuid, text) is
  'Where the file of a message is, and the number whose Kapso account may still have it; no row where there is no '
  'such message. copy_path: where this project has put its copy. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.abandon_media(),
  private.queue_media(public.connections, uuid, jsonb),
  public.claim_media_copies(uuid, integer, integer),
  public.finish_media_copies(uuid, jsonb),
  public.connections_with_due_media(integer),
  public.retry_media_copies(uuid, text[]),
  public.claim_media_orphans(integer, integer),
  public.forget_media_orphans(text[]),
  public.message_source(uuid, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.queue_media(public.connections, uuid, jsonb),
  public.claim_media_copies(uuid, integer, integer),
  public.finish_media_copies(uuid, jsonb),
  public.connections_with_due_media(integer),
  public.retry_media_copies(uuid, text[]),
  public.claim_media_orphans(integer, integer),
  public.forget_media_orphans(text[]),
  public.message_source(uuid, text)
to service_role;
