-- Purpose: copy the files of messages to this project's own Storage, soon after the messages are stored.
-- Objects: private.media_copies and media_orphans, queue_media, claim_media_copies, finish_media_copies,
--   connections_with_due_media, retry_media_copies, claim_media_orphans, forget_media_orphans;
--   private.change_message learns what became of a file, private.store_kapso_conversation lists files.
-- Risk: replaces two private functions.

create table private.media_copies (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  message_id text collate "C" not null,
  workspace_id uuid not null,
  connection_id uuid not null,
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
  constraint media_copies_workspace_id_connection_id_fkey
    foreign key (workspace_id, connection_id) references public.connections (workspace_id, id) on delete cascade,
  constraint media_copies_state_check check (state in ('waiting', 'stored', 'linked', 'failed'))
);
comment on table private.media_copies is
  'The files of messages, and what became of their copies. Holds links that open a file to whoever has them: never exposed.';
comment on column private.media_copies.conversation_id is 'The thread.';
comment on column private.media_copies.message_id is 'The message.';
comment on column private.media_copies.workspace_id is 'The workspace: the first part of the path in Storage.';
comment on column private.media_copies.connection_id is 'The Kapso number that can ask for the file.';
comment on column private.media_copies.message_type is 'image, audio, video or file.';
comment on column private.media_copies.link is 'Kapso''s copy. Null: Kapso had none when the message came.';
comment on column private.media_copies.media_id is 'Meta''s id of the file, with which it can be asked for during some days.';
comment on column private.media_copies.mime_type is 'What the sender says it is.';
comment on column private.media_copies.filename is 'Its name, for documents.';
comment on column private.media_copies.sent_at is 'When the message was sent.';
comment on column private.media_copies.state is 'waiting: to be copied at next_attempt_at. stored: in Storage. linked: this project has no Storage, the link is all there is. failed: see error.';
comment on column private.media_copies.attempts is 'How often somebody began. Also names the attempt: the result of an older one does not count.';
comment on column private.media_copies.next_attempt_at is 'Not before. While somebody copies: when they count as dead.';
comment on column private.media_copies.error is 'Why it failed: gone, unavailable, too_large, type_not_allowed, host_not_allowed or no_source.';

comment on column private.media_copies.path is 'Where the copy is, in the bucket media.';

create table private.media_orphans (
  path text collate "C" primary key,
  next_attempt_at timestamptz not null default now()
);
comment on table private.media_orphans is 'Files in Storage whose message is deleted, until they are deleted as well.';
comment on column private.media_orphans.path is 'Where the file is, in the bucket media.';
comment on column private.media_orphans.next_attempt_at is 'Not before. While somebody deletes it: when they count as dead.';
create index media_orphans_next_attempt_at_idx on private.media_orphans (next_attempt_at);

create function private.abandon_media()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  -- Whoever deletes a conversation may not write here.
  insert into private.media_orphans (path) values (old.path) on conflict do nothing;
  return old;
end;
$$;
comment on function private.abandon_media() is 'A copy whose message is deleted is to be deleted from Storage.';
create trigger media_copies_abandon_media
  after delete on private.media_copies
  for each row when (old.path is not null) execute function private.abandon_media();

create index media_copies_due_idx on private.media_copies (connection_id, next_attempt_at) where state = 'waiting';
comment on index private.media_copies_due_idx is 'What claim_media_copies() looks for.';
create index media_copies_workspace_id_connection_id_idx on private.media_copies (workspace_id, connection_id);

create function private.media_rank(state text)
returns integer
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case media_rank.state when 'failed' then 1 when 'linked' then 2 when 'stored' then 3 else 0 end;
end;
$$;
comment on function private.media_rank(text) is 'Order of the states of a copy. A message shows the highest.';

create or replace function private.change_message(message jsonb, changes jsonb[])
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  changed jsonb := change_message.message;
  change jsonb;
  reaction jsonb;
  old_rank integer;
  new_rank integer;
begin
  -- Every rule below gives the same result in any order and when repeated, because events come
  -- late, twice and out of order.
  foreach change in array change_message.changes loop
    old_rank := private.status_rank(changed ->> 'status');
    new_rank := private.status_rank(change ->> 'status');
    if new_rank > old_rank or (
      -- The same status twice: the earlier time is when it happened.
      new_rank > 0 and new_rank = old_rank
      and (change ->> 'status_at')::timestamptz < coalesce((changed ->> 'status_at')::timestamptz, 'infinity')
    ) then
      changed := (changed - 'status' - 'status_at' - 'error')
        || jsonb_strip_nulls(jsonb_build_object(
          'status', change -> 'status', 'status_at', change -> 'status_at', 'error', change -> 'error'
        ));
    end if;

    -- Media that came later than its message. What is there is never replaced.
    if changed ->> 'media_url' is null and change ->> 'media_url' is not null then
      changed := changed || jsonb_build_object('media_url', change -> 'media_url');
    end if;

    -- A copy that was made is not taken back by one that failed; of the same kind, the later one holds.
    if jsonb_typeof(change -> 'media') = 'object' and (
      private.media_rank(change #>> '{media,state}'), coalesce(change #>> '{media,at}', '') collate "C"
    ) > (
      private.media_rank(changed #>> '{metadata,media,state}'),
      coalesce(changed #>> '{metadata,media,at}', '') collate "C"
    ) then
      changed := changed || jsonb_build_object(
        'metadata', coalesce(changed -> 'metadata', '{}') || jsonb_build_object('media', change -> 'media')
      );
    end if;

    for reaction in
      select item.value from jsonb_array_elements(coalesce(change -> 'reactions', '[]')) as item (value)
    loop
      -- One reaction per sender, the newest. A reaction taken back stays as one without emoji, so
      -- that an older one that comes late does not bring it back.
      if not exists (
        select 1
        from jsonb_array_elements(coalesce(changed -> 'reactions', '[]')) as kept (value)
        where kept.value ->> 'sender' = reaction ->> 'sender'
          -- WhatsApp's times are whole seconds. Of the same second, what takes a reaction back is the
          -- later: there was one to take back.
          and (
            (kept.value ->> 'reacted_at')::timestamptz, kept.value ->> 'emoji' is null,
            coalesce(kept.value ->> 'id', '') collate "C"
          ) >= (
            (reaction ->> 'reacted_at')::timestamptz, reaction ->> 'emoji' is null,
            coalesce(reaction ->> 'id', '') collate "C"
          )
      ) then
        changed := changed || jsonb_build_object('reactions', (
          select jsonb_agg(every.value order by every.value ->> 'sender' collate "C")
          from (
            select kept.value
            from jsonb_array_elements(coalesce(changed -> 'reactions', '[]')) as kept (value)
            where kept.value ->> 'sender' <> reaction ->> 'sender'
            union all
            select reaction
          ) as every (value)
        ));
      end if;
    end loop;
  end loop;
  return changed;
end;
$$;
comment on function private.change_message(jsonb, jsonb[]) is
  'Apply changes (status forward only, reactions, late media, what became of its copy) to a Message. The result does not depend on their order.';

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
  order by message.value ->> 'id' collate "C", message.value ->> 'media_url' nulls last
  on conflict on constraint media_copies_pkey do update
  -- The link came later than the message.
  set link = excluded.link, state = 'waiting', attempts = copy.attempts + 1, next_attempt_at = now(), error = null
  where copy.link is null and excluded.link is not null and copy.state <> 'stored';
end;
$$;
comment on function private.queue_media(public.connections, uuid, jsonb) is
  'List the files of messages for copying, once each; again when a link comes that was missing. The conversation is locked by the caller.';

create or replace function private.store_kapso_conversation(source public.connections, given jsonb)
returns private.kapso_outcome
language plpgsql
volatile
set search_path = ''
as $$
declare
  candidates text[] := array[given ->> 'external_conversation_id'] || array(
    select alias.value from jsonb_array_elements_text(coalesce(given -> 'thread_aliases', '[]')) as alias (value)
  );
  person uuid;
  stored record;
begin
  person := private.ensure_person(
    source.workspace_id, given -> 'person', coalesce((given ->> 'is_history')::boolean, false)
  );
  select outcome.* into stored
  from public.ingest_conversations(
    source.id,
    jsonb_build_array(
      (given - 'thread_aliases' - 'person' - 'session' - 'inactive_since')
        || jsonb_build_object('external_conversation_id', private.thread_of(source, candidates))
    )
  ) as outcome;
  if stored.outcome <> 'error' then
    insert into private.thread_aliases (workspace_id, user_id, alias, conversation_id)
    select source.workspace_id, source.user_id, candidate.key, stored.id
    from (select distinct key from unnest(candidates) as given_key (key) order by key) as candidate
    where candidate.key <> stored.external_conversation_id
    on conflict on constraint thread_aliases_pkey do nothing;
    -- Held until the end, so that somebody who deletes the person at this moment waits. Whoever was
    -- quicker has it: then the thread has nobody, and its next message finds or makes them anew.
    update public.conversations as conversation
    set person_id = held.id
    from (
      select known.id
      from public.people as known
      where known.id = person and known.workspace_id = source.workspace_id
      for key share skip locked
    ) as held
    where conversation.id = stored.id and conversation.person_id is null;
    if given -> 'session' ->> 'id' is not null then
      perform private.apply_session(stored.id, given -> 'session', (given ->> 'inactive_since')::timestamptz);
    end if;
    perform private.queue_media(source, stored.id, given -> 'messages');
  end if;
  return row(
    stored.id, stored.external_conversation_id, stored.outcome, stored.messages_added, person, left(stored.error, 5)
  )::private.kapso_outcome;
end;
$$;

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
  'Files of a connection that are to be copied now, each to one caller, who has lease_seconds for it. For service_role only.';

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
    raise exception 'Unknown connection' using errcode = 'P0002';
  end if;

  -- The conversations first, in the order in which everybody locks them, then the copies: queue_media()
  -- has them in this order too.
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
      and conversation.user_id = source.user_id
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

  -- Deleted while it was copied.
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
  'Note what became of claimed copies, and tell their messages through the one door. results: [{conversation_id, message_id, attempts, state, error, retry_seconds, media}]; media is what the message''s metadata.media becomes. Returns how many counted: not those that somebody else has taken up since. For service_role only.';

create function public.connections_with_due_media(max_connections integer default 10)
returns table (connection_id uuid)
language plpgsql
volatile
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
  'Connections that have files to copy now, those that wait longest first. For service_role only.';

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
  'Files to delete from Storage, each to one caller, who has lease_seconds for it. For service_role only.';

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
  'Note that files are deleted from Storage. Returns how many were to be. For service_role only.';

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
  'Have files copied again that could not be copied, or were only linked: after Storage was added, or a host allowed. Returns how many. For service_role only.';

revoke execute on function
  private.media_rank(text),
  private.queue_media(public.connections, uuid, jsonb),
  private.abandon_media(),
  public.claim_media_copies(uuid, integer, integer),
  public.finish_media_copies(uuid, jsonb),
  public.connections_with_due_media(integer),
  public.claim_media_orphans(integer, integer),
  public.forget_media_orphans(text[]),
  public.retry_media_copies(uuid, text[])
from public, anon, authenticated, service_role;
grant execute on function
  private.media_rank(text),
  private.queue_media(public.connections, uuid, jsonb),
  public.claim_media_copies(uuid, integer, integer),
  public.finish_media_copies(uuid, jsonb),
  public.connections_with_due_media(integer),
  public.claim_media_orphans(integer, integer),
  public.forget_media_orphans(text[]),
  public.retry_media_copies(uuid, text[])
to service_role;
grant all on private.media_copies, private.media_orphans to service_role;
alter table private.media_copies enable row level security;
alter table private.media_orphans enable row level security;
