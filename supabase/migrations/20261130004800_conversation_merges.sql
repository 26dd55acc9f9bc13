-- Conversations that exist twice: the same contact and number, stored under two keys before both were names of one
-- conversation. An operator finds and merges them with deno task merge:conversations.

create function public.find_double_conversations(workspace_id uuid, max_pairs integer default 1000)
returns table (
  keep_id uuid,
  keep_key text,
  merge_id uuid,
  merge_key text,
  platform text,
  participant_identifier text,
  messages_to_move integer
)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with named as (
    select conversation.id, conversation.external_conversation_id, conversation.platform,
      conversation.participant_identifier, conversation.message_count, conversation.created_at,
      source.phone_number_id is not null
        and starts_with(conversation.external_conversation_id, source.phone_number_id || ':') as is_kapso,
      (private.phone_aliases(
        source, conversation.external_conversation_id, conversation.participant_identifier
      ))[1] as name
    from public.conversations as conversation
    cross join lateral (
      select connection.*
      from public.connections as connection
      where connection.workspace_id = conversation.workspace_id
        and connection.platform = conversation.platform
        and (
          connection.id = conversation.connection_id
          or connection.phone_number_id = split_part(conversation.external_conversation_id, ':', 1)
        )
      order by connection.phone_number_id = split_part(conversation.external_conversation_id, ':', 1) desc nulls last
      limit 1
    ) as source
    where conversation.workspace_id = find_double_conversations.workspace_id
  ),
  ranked as (
    select named.*,
      first_value(named.id) over same as first_id,
      first_value(named.external_conversation_id) over same as first_key
    from named
    where named.name is not null
    window same as (
      partition by named.platform, named.name order by named.is_kapso desc, named.created_at, named.id
    )
  )
  select ranked.first_id, ranked.first_key, ranked.id, ranked.external_conversation_id, ranked.platform,
    ranked.participant_identifier, ranked.message_count
  from ranked
  where ranked.id <> ranked.first_id
  order by ranked.first_key, ranked.created_at
  limit find_double_conversations.max_pairs;
end;
$$;
comment on function public.find_double_conversations(uuid, integer) is
  'Pairs of conversations of a workspace that are one: the same contact on the number of the same connection. Kept is '
  'the one that Kapso answers, else the older one. Reads the whole workspace. For service_role only.';

create function private.moved_messages(keep public.conversations, merged public.conversations, max_messages integer)
returns private.ingest_message[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return array(
    with every as (
      select stored.value, page.first_sent_at, page.part, stored.ordinal
      from public.conversation_archives as page
      cross join lateral jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      where page.conversation_id = moved_messages.merged.id
      union all
      select stored.value, 'infinity', 0, stored.ordinal
      from jsonb_array_elements(moved_messages.merged.messages) with ordinality as stored (value, ordinal)
    ),
    -- In their order in the conversation: those of one instant keep it, also when they are moved one after the other.
    placed as (
      select every.value, row_number() over (order by every.first_sent_at, every.part, every.ordinal) as place
      from every
      where (
        select true from private.message_keys as known
        where known.conversation_id = moved_messages.keep.id
          and known.message_digest = private.ledger_digest(
            moved_messages.merged.workspace_id, moved_messages.merged.platform, every.value ->> 'id'
          )
      ) is null
    )
    select row(
      moved_messages.keep.id,
      1,
      placed.place,
      (placed.value ->> 'sent_at')::timestamptz,
      coalesce((placed.value ->> 'is_history')::boolean, false),
      moved_messages.keep.archived_message_count > 0
        and (placed.value ->> 'sent_at')::timestamptz < moved_messages.keep.head_started_at,
      placed.value
    )::private.ingest_message
    from placed
    order by placed.place
    limit moved_messages.max_messages
  );
end;
$$;
comment on function private.moved_messages(public.conversations, public.conversations, integer) is
  'The oldest messages of a conversation that another one does not have yet.';

create function private.move_messages(keep public.conversations, moved private.ingest_message[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  thread constant private.ingest_thread := row(
    keep.id, keep.external_conversation_id, keep.message_count, keep.archived_message_count, keep.head_started_at,
    keep.last_inbound_at, keep.last_message_at, keep.closed_at, keep.person_id, keep.participant_identifier,
    keep.participant_name, false
  );
  arrival private.ingest_arrival;
  head private.ingest_head;
begin
  insert into private.message_keys (conversation_id, message_digest, sent_at)
  select keep.id, private.ledger_digest(keep.workspace_id, keep.platform, message.body ->> 'id'), message.sent_at
  from unnest(move_messages.moved) as message;
  perform private.queue_for_index(keep.workspace_id, move_messages.moved);

  arrival := (select row(
    keep.id, 1, count(*), count(*) filter (where message.is_late), 0, 0, 0, false,
    min(message.sent_at) filter (where not message.is_late), max(message.sent_at),
    max(message.sent_at) filter (where message.body ->> 'direction' = 'inbound'), null
  )::private.ingest_arrival
  from unnest(move_messages.moved) as message);

  select sealed.* into head
  from unnest(private.archive_messages(keep.workspace_id, array[thread], move_messages.moved, array[arrival])) as sealed;

  update public.conversations as conversation
  set messages = coalesce(head.messages, (
      select jsonb_agg(every.value order by every.sent_at, every.place)
      from (
        select stored.value, (stored.value ->> 'sent_at')::timestamptz as sent_at, stored.ordinal as place
        from jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
        union all
        select message.body, message.sent_at, 1000000 + message.message_ordinal
        from unnest(move_messages.moved) as message
        where not message.is_late
      ) as every
    )),
    head_started_at = coalesce(head.started_at, least(conversation.head_started_at, arrival.first_sent_at)),
    message_count = conversation.message_count + arrival.added,
    archived_message_count = conversation.archived_message_count + arrival.late_added + coalesce(head.sealed_count, 0),
    last_message_at = greatest(conversation.last_message_at, private.past(arrival.last_sent_at)),
    last_inbound_at = greatest(conversation.last_inbound_at, private.past(arrival.last_inbound_at)),
    updated_at = now()
  where conversation.id = keep.id;
end;
$$;
comment on function private.move_messages(public.conversations, private.ingest_message[]) is
  'Store messages of another conversation in a conversation, which is locked by the caller. They stay as they are.';

create function private.move_belongings(keep public.conversations, merged public.conversations)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into public.conversation_tags (workspace_id, conversation_id, tag_id, created_at)
  select own.workspace_id, keep.id, own.tag_id, own.created_at
  from public.conversation_tags as own
  where own.workspace_id = merged.workspace_id and own.conversation_id = merged.id
  on conflict on constraint conversation_tags_pkey do nothing;

  insert into public.conversation_sessions
    (conversation_id, session_id, workspace_id, started_at, ended_at, last_ended_at, active_at, inactive_since)
  select keep.id, own.session_id, own.workspace_id, own.started_at, own.ended_at, own.last_ended_at, own.active_at,
    own.inactive_since
  from public.conversation_sessions as own
  where own.conversation_id = merged.id
  on conflict on constraint conversation_sessions_pkey do nothing;

  update public.agent_sessions as own set conversation_id = keep.id where own.conversation_id = merged.id;
  update public.outbox_messages as own set conversation_id = keep.id where own.conversation_id = merged.id;
  update private.waiting_updates as own set conversation_id = keep.id where own.conversation_id = merged.id;
  update private.outbox_uploads as own set conversation_id = keep.id
  where own.conversation_id = merged.id
    and not exists (
      select 1 from private.outbox_uploads as known
      where known.conversation_id = keep.id and known.media_id = own.media_id
    );
  -- What is left belongs to messages that both had, and goes with the conversation.
  update private.media_copies as own set conversation_id = keep.id
  where own.conversation_id = merged.id
    and not exists (
      select 1 from private.media_copies as known
      where known.conversation_id = keep.id and known.message_id = own.message_id
    );

  update private.thread_aliases as own set conversation_id = keep.id where own.conversation_id = merged.id;
  insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
  values (merged.workspace_id, merged.platform, merged.external_conversation_id, keep.id)
  on conflict on constraint thread_aliases_pkey do update set conversation_id = excluded.conversation_id;
end;
$$;
comment on function private.move_belongings(public.conversations, public.conversations) is
  'Give a conversation everything that belongs to another one beside its messages, and its names.';

create function public.merge_conversations(
  workspace_id uuid,
  keep_id uuid,
  merge_id uuid,
  max_messages integer default 1000
)
returns table (messages_moved integer, is_done boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  keep public.conversations;
  merged public.conversations;
  moved private.ingest_message[];
  known private.ingest_change[];
begin
  -- People before conversations, as everywhere; conversations in the order of their keys.
  perform 1
  from public.people as person
  where person.id in (
    select conversation.person_id from public.conversations as conversation
    where conversation.id in (merge_conversations.keep_id, merge_conversations.merge_id)
  )
  order by person.id
  for key share;
  perform 1
  from public.conversations as conversation
  where conversation.id in (merge_conversations.keep_id, merge_conversations.merge_id)
    and conversation.workspace_id = merge_conversations.workspace_id
  order by conversation.platform, conversation.external_conversation_id
  for update;
  select found.* into keep from public.conversations as found
  where found.id = merge_conversations.keep_id and found.workspace_id = merge_conversations.workspace_id;
  select found.* into merged from public.conversations as found
  where found.id = merge_conversations.merge_id and found.workspace_id = merge_conversations.workspace_id;
  if keep.id is null or merged.id is null or keep.id = merged.id or keep.platform <> merged.platform then
    raise exception 'conversation_not_found'
      using errcode = 'PT404', hint = 'Pass two conversations of one platform of the workspace.';
  end if;

  moved := private.moved_messages(keep, merged, merge_conversations.max_messages);
  if cardinality(moved) > 0 then
    perform private.move_messages(keep, moved);
  end if;
  if cardinality(moved) >= merge_conversations.max_messages then
    return query select cardinality(moved), false;
    return;
  end if;

  -- Statuses and reactions of the messages that both have.
  select array_agg(
    row(keep.id, stored.value ->> 'id', private.ledger_digest(
      keep.workspace_id, keep.platform, stored.value ->> 'id'
    ), stored.value)::private.ingest_change
  )
  into known
  from (
    select jsonb_array_elements(page.messages) as value
    from public.conversation_archives as page where page.conversation_id = merged.id
    union all
    select jsonb_array_elements(merged.messages)
  ) as stored
  where stored.value ?| '{status,reactions,media_url,edited_at,deleted_at}'
    and stored.value ->> 'id' not in (select message.body ->> 'id' from unnest(moved) as message);
  if known is not null then
    perform private.apply_changes(known);
  end if;

  perform private.move_belongings(keep, merged);
  delete from public.conversations as gone where gone.id = merged.id;
  update public.conversations as conversation
  set participant_name = coalesce(conversation.participant_name, merged.participant_name),
    person_id = coalesce(conversation.person_id, merged.person_id),
    assigned_to = coalesce(conversation.assigned_to, merged.assigned_to),
    status = case when 'open' in (conversation.status, merged.status) then 'open' else 'closed' end,
    closed_at = case when 'open' in (conversation.status, merged.status) then null
      else greatest(conversation.closed_at, merged.closed_at) end,
    unread_count = conversation.unread_count + merged.unread_count,
    inbound_arrivals = conversation.inbound_arrivals + merged.inbound_arrivals,
    last_read_at = greatest(conversation.last_read_at, merged.last_read_at),
    last_arrival_at = greatest(conversation.last_arrival_at, merged.last_arrival_at),
    created_at = least(conversation.created_at, merged.created_at),
    last_message_preview = shown.preview,
    last_message_type = shown.type,
    last_message_direction = shown.direction,
    last_message_id = shown.id,
    updated_at = now()
  from (
    select
      case when is_newer.value then merged.last_message_preview else other.last_message_preview end as preview,
      case when is_newer.value then merged.last_message_type else other.last_message_type end as type,
      case when is_newer.value then merged.last_message_direction else other.last_message_direction end as direction,
      case when is_newer.value then merged.last_message_id else other.last_message_id end as id
    from public.conversations as other
    cross join lateral (
      select coalesce(merged.activity_at > other.activity_at, false) and merged.last_message_id is not null as value
    ) as is_newer
    where other.id = keep.id
  ) as shown
  where conversation.id = keep.id;
  return query select cardinality(moved), true;
end;
$$;
comment on function public.merge_conversations(uuid, uuid, uuid, integer) is
  'Merge a conversation into another one of the workspace and platform: its messages, max_messages a call, and with the '
  'last of them its tags, sessions, files and names; then it is deleted. Repeat until is_done. Nothing is lost when it '
  'stops in between. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  public.find_double_conversations(uuid, integer),
  private.moved_messages(public.conversations, public.conversations, integer),
  private.move_messages(public.conversations, private.ingest_message[]),
  private.move_belongings(public.conversations, public.conversations),
  public.merge_conversations(uuid, uuid, uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.find_double_conversations(uuid, integer),
  private.moved_messages(public.conversations, public.conversations, integer),
  private.move_messages(public.conversations, private.ingest_message[]),
  private.move_belongings(public.conversations, public.conversations),
  public.merge_conversations(uuid, uuid, uuid, integer)
to service_role;
