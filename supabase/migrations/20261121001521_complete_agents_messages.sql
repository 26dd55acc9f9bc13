-- Purpose: a message that an agent filed before the webhook brought it becomes what the webhook's is: an image was a
--   text for good, and what a message answers was lost. Whichever copy came first decided.
-- Objects: private.change_message, private.store_kapso_conversation, with one step more each.
-- Risk: replaces two private functions; what they did before is the same.

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
    -- What an agent filed gives way to the message itself, which knows its type, its file and what it answers.
    -- An agent's text stays where the message has none: it may be what is said in a voice note.
    if changed #>> '{metadata,source}' = 'agent' and change ? 'type'
      and change #>> '{metadata,source}' is distinct from 'agent'
    then
      changed := changed
        || jsonb_strip_nulls(
          change - '{id,direction,sent_at,is_history,content,status,status_at,error,reactions,metadata}'::text[]
        )
        || jsonb_build_object(
          'content', coalesce(nullif(change ->> 'content', ''), changed ->> 'content'),
          'metadata', coalesce(change -> 'metadata', '{}') || coalesce(
            jsonb_strip_nulls(jsonb_build_object('media', changed #> '{metadata,media}')), '{}'
          )
        );
    end if;

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
  'Apply changes (status forward only, reactions, late media, what became of its copy, the message itself in place of an agent''s text) to a Message. The result does not depend on their order.';

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
  filed_by_agents private.ingest_change[];
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
    -- The door changes nothing of a message that is there but status, reactions and a late file. What an agent
    -- of this customer filed is made whole here; nearly always there is none.
    select array_agg(
      row(stored.id, message.value ->> 'id', message.digest, message.value)::private.ingest_change
    ) into filed_by_agents
    from public.agent_sessions as session
    cross join (
      select
        element.value,
        encode(substr(sha256(convert_to(element.value ->> 'id', 'UTF8')), 1, 16), 'hex')::uuid as digest
      from jsonb_array_elements(coalesce(given -> 'messages', '[]')) as element (value)
    ) as message
    where session.conversation_id = stored.id
      -- Not a join, which may be planned as a scan of all keys.
      and (
        select true from private.agent_message_keys as key
        where key.session_id = session.id and key.message_digest = message.digest
      );
    if filed_by_agents is not null then
      perform private.apply_changes(filed_by_agents);
      update public.conversations as conversation
      set last_message_preview = newest.preview, last_message_type = newest.type
      from (
        select
          -- As the door writes it.
          coalesce(
            nullif(btrim(regexp_replace(left(thread.messages #>> '{-1,content}', 200), '\s+', ' ', 'g')), ''),
            '[' || (thread.messages #>> '{-1,type}') || ']'
          ) as preview,
          thread.messages #>> '{-1,type}' as type
        from public.conversations as thread
        where thread.id = stored.id
      ) as newest
      where conversation.id = stored.id
        and (conversation.last_message_preview, conversation.last_message_type)
          is distinct from (newest.preview, newest.type);
    end if;
    perform private.queue_media(source, stored.id, given -> 'messages');
  end if;
  return row(
    stored.id, stored.external_conversation_id, stored.outcome, stored.messages_added, person, left(stored.error, 5)
  )::private.kapso_outcome;
end;
$$;
