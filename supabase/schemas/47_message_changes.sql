-- Changes that come without a conversation: an edit, a deletion, a status or a reaction that names its message alone.
-- How a change is applied is in 31_messages.sql and 33_archives.sql.

create function private.is_for_conversation(source public.connections, change jsonb, conversation_id uuid)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return change ->> 'external_conversation_id' is null
    or private.thread_id_of(source, change ->> 'external_conversation_id') = is_for_conversation.conversation_id;
end;
$$;
comment on function private.is_for_conversation(public.connections, jsonb, uuid) is
  'Whether a change may be for a message of this conversation: it names no other one.';

create function private.place_change(source public.connections, change jsonb)
returns uuid[]
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
begin
  if change ->> 'external_conversation_id' is not null then
    return array_remove(array[private.thread_id_of(source, change ->> 'external_conversation_id')], null);
  end if;
  return array(
    select key.conversation_id
    from private.message_keys as key
    where key.message_digest
      = private.ledger_digest(source.workspace_id, source.platform, change ->> 'message_id')
    -- Two are enough to see that the id does not tell which.
    limit 2
  );
end;
$$;
comment on function private.place_change(public.connections, jsonb) is
  'The conversation that a change is for: the one that it names, or else the one that has its message. None while there '
  'is no such conversation, and two where more than one has a message with this id.';

create function public.apply_message_changes(connection_id uuid, changes jsonb)
returns table (message_id text, outcome text, error text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  source public.connections;
  placed jsonb;
  batch jsonb;
  failed text[];
begin
  select known.* into source
  from public.connections as known
  where known.id = apply_message_changes.connection_id;
  if source.id is null then
    raise exception 'connection_not_found'
      using errcode = 'PT404', hint = 'Pass the id of a row of public.connections.';
  end if;
  if jsonb_typeof(apply_message_changes.changes) is distinct from 'array' then
    raise exception 'changes must be a JSON array' using errcode = '22023';
  end if;

  select coalesce(jsonb_agg(jsonb_build_object(
    'ordinal', change.ordinal,
    'change', change.value,
    'conversation', conversation.external_conversation_id,
    'participant', conversation.participant_identifier,
    'is_ambiguous', cardinality(place.conversation_ids) > 1
  ) order by change.ordinal), '[]')
  into placed
  from jsonb_array_elements(apply_message_changes.changes) with ordinality as change (value, ordinal)
  cross join lateral (select private.place_change(source, change.value) as conversation_ids) as place
  left join public.conversations as conversation
    on cardinality(place.conversation_ids) = 1 and conversation.id = place.conversation_ids[1];

  -- Through the door, which locks the conversations in their order. It keeps changes whose message is not there yet.
  select jsonb_agg(jsonb_build_object(
    'external_conversation_id', own.conversation,
    'participant_identifier', own.participant,
    'is_history', true,
    'messages', '[]'::jsonb,
    'changes', own.changes
  ))
  into batch
  from (
    select item.value ->> 'conversation' as conversation, item.value ->> 'participant' as participant,
      jsonb_agg(item.value -> 'change') as changes
    from jsonb_array_elements(placed) as item (value)
    where item.value ->> 'conversation' is not null
    group by 1, 2
  ) as own;
  if batch is not null then
    select array_agg(stored.external_conversation_id) into failed
    from public.ingest_conversations(source.id, batch) as stored
    where stored.outcome = 'error';
  end if;

  perform private.wait_for_messages(source.workspace_id, array_agg(
    row(
      null, item.value #>> '{change,message_id}',
      private.ledger_digest(source.workspace_id, source.platform, item.value #>> '{change,message_id}'),
      item.value -> 'change'
    )::private.ingest_change
  ))
  from jsonb_array_elements(placed) as item (value)
  where item.value ->> 'conversation' is null and not (item.value -> 'is_ambiguous')::boolean
  having count(*) > 0;

  return query
  select
    item.value #>> '{change,message_id}',
    case
      when (item.value -> 'is_ambiguous')::boolean or item.value ->> 'conversation' = any (failed) then 'error'
      when exists (
        select 1
        from private.message_keys as key
        where key.conversation_id
            = private.conversation_with_key(source.workspace_id, source.platform, item.value ->> 'conversation')
          and key.message_digest
            = private.ledger_digest(source.workspace_id, source.platform, item.value #>> '{change,message_id}')
      ) then 'applied'
      else 'waiting'
    end,
    case
      when (item.value -> 'is_ambiguous')::boolean then 'ambiguous_message'
      when item.value ->> 'conversation' = any (failed) then 'not_stored'
    end
  from jsonb_array_elements(placed) as item (value)
  order by (item.value -> 'ordinal')::bigint;
end;
$$;
comment on function public.apply_message_changes(uuid, jsonb) is
  'Apply changes that name messages of the workspace and platform of a connection, wherever those lie, and return one '
  'row per change, in order: outcome applied, waiting (until its message arrives) or error (ambiguous_message: more than '
  'one conversation has a message with this id, name the conversation; not_stored). A change never creates a '
  'conversation. For service_role only. The shape of a change is MessageChange in '
  'supabase/functions/_shared/contracts/message.ts, with external_conversation_id where it is known.';

create function public.settle_waiting_updates(max_changes integer default 1000)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  found private.ingest_change[];
begin
  -- A message that was stored in the same moment saw no waiting change, and the change no message.
  with late as (
    select waiting.id, waiting.change, waiting.message_id, waiting.message_digest, (
      select min(key.conversation_id::text)::uuid
      from private.message_keys as key
      join public.conversations as conversation on conversation.id = key.conversation_id
      where key.message_digest = waiting.message_digest
        and conversation.workspace_id = waiting.workspace_id
        and coalesce(waiting.change ->> 'external_conversation_id', conversation.external_conversation_id)
          = conversation.external_conversation_id
      having count(*) = 1
    ) as conversation_id
    from private.waiting_updates as waiting
    where waiting.conversation_id is null and waiting.created_at > now() - interval '10 minutes'
    order by waiting.created_at desc
    limit settle_waiting_updates.max_changes
  ),
  released as (
    delete from private.waiting_updates as waiting
    using late
    where waiting.id = late.id and late.conversation_id is not null
    returning late.conversation_id, late.message_id, late.message_digest, late.change
  )
  select array_agg(
    row(released.conversation_id, released.message_id, released.message_digest, released.change)::private.ingest_change
  )
  into found
  from released;
  if found is null then
    return 0;
  end if;
  perform 1
  from public.conversations as conversation
  where conversation.id in (select change.conversation_id from unnest(found) as change)
  order by conversation.workspace_id, conversation.platform, conversation.external_conversation_id
  for no key update;
  perform private.apply_changes(found);
  return cardinality(found);
end;
$$;
comment on function public.settle_waiting_updates(integer) is
  'Apply changes of the last ten minutes that name no conversation and whose message is there by now. Returns how many. '
  'For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.is_for_conversation(public.connections, jsonb, uuid),
  private.place_change(public.connections, jsonb),
  public.apply_message_changes(uuid, jsonb),
  public.settle_waiting_updates(integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.is_for_conversation(public.connections, jsonb, uuid),
  private.place_change(public.connections, jsonb),
  public.apply_message_changes(uuid, jsonb),
  public.settle_waiting_updates(integer)
to service_role;
