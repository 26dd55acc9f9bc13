-- Stores conversations and messages: the only way in, whatever their source.

-- What the steps hand to each other --------------------------------------------------------------

-- What the steps of a batch hand to each other. Composite types and not temporary tables: those would
-- write to the catalogue with every call.
create type private.ingest_item as (
  ordinal bigint,
  external_conversation_id text,
  participant_identifier text,
  participant_name text,
  is_live boolean,
  messages jsonb,
  changes jsonb
);
comment on type private.ingest_item is
  'An element of the batch, taken apart once: carrying the whole element through every join and sort costs more than everything else together.';

create type private.ingest_thread as (
  conversation_id uuid,
  external_conversation_id text,
  message_count integer,
  archived_message_count integer,
  head_started_at timestamptz,
  last_read_at timestamptz,
  last_message_at timestamptz,
  person_id uuid,
  participant_identifier text
);
comment on type private.ingest_thread is 'A conversation of the batch, as it was when its row was locked.';

create type private.ingest_message as (
  conversation_id uuid,
  item_ordinal bigint,
  message_ordinal bigint,
  sent_at timestamptz,
  is_live boolean,
  is_late boolean,
  body jsonb
);
comment on type private.ingest_message is
  'A new message of the batch. is_live: not imported history. is_late: older than the head of a thread that has archives.';

create type private.ingest_arrival as (
  conversation_id uuid,
  item_ordinal bigint,
  added integer,
  late_added integer,
  unread integer,
  first_sent_at timestamptz,
  last_sent_at timestamptz,
  last_inbound_at timestamptz,
  last_live_inbound_at timestamptz
);
comment on type private.ingest_arrival is
  'What the new messages of one element of the batch add up to. late_added of them are late; first_sent_at is without those.';

create type private.ingest_head as (
  conversation_id uuid,
  messages jsonb,
  started_at timestamptz,
  sealed_count integer
);
comment on type private.ingest_head is 'The new head of a conversation that gave sealed_count messages to its archive.';

create type private.ingest_change as (
  conversation_id uuid,
  message_id text,
  message_digest uuid,
  change jsonb
);
comment on type private.ingest_change is 'A change to a message that is, or will be, stored: see private.change_message.';

-- Storing ----------------------------------------------------------------------------------------

create function private.store_conversations(source public.connections, conversations jsonb)
returns table (item_ordinal bigint, id uuid, external_conversation_id text, outcome text, messages_added integer)
language plpgsql
volatile
set search_path = ''
-- Every look-up below is by key, whatever the batch: planning it anew for each of the first calls of
-- every session would cost more than running it. And a plan that is made while the tables are small must
-- not be a scan of them, because it is kept while they grow.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_mergejoin = off
set random_page_cost = 0.1
as $$
#variable_conflict use_column
declare
  -- Messages in conversations.messages before they are sealed into an archive page. bench/ compares
  -- sizes: smaller costs more pages to read, larger makes every append rewrite more.
  page_size constant integer := 50;
  items private.ingest_item[];
  created uuid[] := '{}';
  threads private.ingest_thread[];
  fresh private.ingest_message[];
  growing uuid[];
  heads private.ingest_head[];
  pending private.ingest_change[];
  arrivals private.ingest_arrival[];
begin
  select coalesce(array_agg(
    row(
      item.ordinal,
      item.value ->> 'external_conversation_id',
      item.value ->> 'participant_identifier',
      nullif(btrim(item.value ->> 'participant_name'), ''),
      not coalesce((item.value ->> 'is_history')::boolean, false),
      item.value -> 'messages',
      item.value -> 'changes'
    )::private.ingest_item
  ), '{}')
  into items
  from jsonb_array_elements(store_conversations.conversations) with ordinality as item (value, ordinal);

  -- Once, unless somebody deletes a conversation of the batch between the two steps.
  for attempt in 1..5 loop
    -- 1. Conversations that are not there yet. Inserted in the order of their ids, as they are locked
    --    below, so that two batches can never wait for each other in a circle.
    with made as (
      insert into public.conversations
        (workspace_id, user_id, connection_id, platform, external_conversation_id, participant_identifier)
      select source.workspace_id, source.user_id, source.id, source.platform,
        wanted.external_conversation_id, wanted.participant_identifier
      from (
        select distinct on (item.external_conversation_id collate "C")
          item.external_conversation_id collate "C" as external_conversation_id,
          item.participant_identifier
        from unnest(items) as item
        order by item.external_conversation_id collate "C", item.ordinal
      ) as wanted
      where not exists (
        select 1 from public.conversations as existing
        where existing.user_id = source.user_id
          and existing.workspace_id = source.workspace_id
          and existing.platform = source.platform
          and existing.external_conversation_id = wanted.external_conversation_id
      )
      order by wanted.external_conversation_id
      on conflict on constraint conversations_thread_key do nothing
      returning conversations.id
    )
    select created || coalesce(array_agg(made.id), '{}') into created from made;

    -- 2. Lock them all, in the same order.
    select coalesce(array_agg(locked.thread), '{}') into threads
    from (
      select row(
        conversation.id, conversation.external_conversation_id, conversation.message_count,
        conversation.archived_message_count, conversation.head_started_at, conversation.last_read_at,
        conversation.last_message_at, conversation.person_id, conversation.participant_identifier
      )::private.ingest_thread as thread
      from public.conversations as conversation
      where conversation.user_id = source.user_id
        and conversation.workspace_id = source.workspace_id
        and conversation.platform = source.platform
        and conversation.external_conversation_id = any (array(
          select item.external_conversation_id from unnest(items) as item
        ))
      order by conversation.external_conversation_id
      for no key update
    ) as locked;
    exit when cardinality(threads) = (select count(distinct item.external_conversation_id) from unnest(items) as item);
  end loop;
  if cardinality(threads) is distinct from (select count(distinct item.external_conversation_id) from unnest(items) as item) then
    raise exception 'The conversations of the batch keep being deleted' using errcode = '40001';
  end if;

  -- 3. The ledger decides what is new.
  with incoming as (
    select
      thread.conversation_id,
      item.ordinal as item_ordinal,
      message.ordinal as message_ordinal,
      (message.value ->> 'sent_at')::timestamptz as sent_at,
      item.is_live,
      message.value as body,
      encode(substr(sha256(convert_to(message.value ->> 'id', 'UTF8')), 1, 16), 'hex')::uuid as message_digest,
      case when thread.archived_message_count > 0 then thread.head_started_at end as late_before,
      thread.last_read_at
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    cross join lateral jsonb_array_elements(item.messages) with ordinality as message (value, ordinal)
  ),
  -- Ids that come twice in the batch: nearly always none, so this is cheaper than numbering the occurrences of each.
  repeated as (
    select incoming.conversation_id, incoming.message_digest,
      min(incoming.item_ordinal << 32 | incoming.message_ordinal) as first_place
    from incoming
    group by incoming.conversation_id, incoming.message_digest
    having count(*) > 1
  ),
  judged as (
    select incoming.*,
      coalesce(incoming.sent_at < incoming.late_before, false) as is_late,
      (repeated.first_place is null or repeated.first_place = (incoming.item_ordinal << 32 | incoming.message_ordinal))
        -- The lock on the conversation keeps everybody else out of its ledger, so looking first is safe,
        -- and 2 µs a message cheaper than "on conflict". The primary key stands behind it all the same.
        -- Not "not exists", which may be planned as a scan of the whole ledger.
        and (
          select true from private.message_keys as key
          where key.conversation_id = incoming.conversation_id and key.message_digest = incoming.message_digest
        ) is null as is_new
    from incoming
    left join repeated using (conversation_id, message_digest)
  ),
  -- Once, for the counts of the day and for every step below.
  summed as (
    select judged.conversation_id, judged.item_ordinal, judged.is_live, judged.body ->> 'direction' as direction,
      (judged.sent_at at time zone (
        select workspace.time_zone from public.workspaces as workspace where workspace.id = source.workspace_id
      ))::date as local_date,
      count(*)::integer as messages,
      (count(*) filter (where judged.is_late))::integer as late_messages,
      (count(*) filter (where judged.sent_at > coalesce(judged.last_read_at, '-infinity')))::integer as unread,
      min(judged.sent_at) filter (where not judged.is_late) as first_sent_at,
      max(judged.sent_at) as last_sent_at
    from judged
    where judged.is_new
    group by 1, 2, 3, 4, 5
  ),
  counted as (
    insert into private.message_count_parts (workspace_id, local_date, platform, direction, messages)
    select source.workspace_id, summed.local_date, source.platform, summed.direction, sum(summed.messages)
    from summed
    group by 2, 4
  ),
  filed as (
    insert into private.message_keys (conversation_id, message_digest, sent_at)
    select judged.conversation_id, judged.message_digest, judged.sent_at
    from judged
    where judged.is_new
  )
  select
    array_agg(
      row(
        judged.conversation_id, judged.item_ordinal, judged.message_ordinal, judged.sent_at, judged.is_live,
        judged.is_late,
        case when judged.is_live then judged.body else judged.body || '{"is_history": true}' end
      )::private.ingest_message
    ) filter (where judged.is_new),
    -- A message that is already here may still bring its newer status, a reaction or its media.
    array_agg(
      row(judged.conversation_id, judged.body ->> 'id', judged.message_digest, judged.body)::private.ingest_change
    ) filter (
      where not judged.is_new
        and (judged.body ->> 'status' is not null or judged.body ->> 'media_url' is not null or judged.body ? 'reactions')
    ),
    (
      select array_agg(row(
        every.conversation_id, every.item_ordinal, every.added, every.late_added, every.unread,
        every.first_sent_at, every.last_sent_at, every.last_inbound_at, every.last_live_inbound_at
      )::private.ingest_arrival)
      from (
        select summed.conversation_id, summed.item_ordinal,
          sum(summed.messages)::integer as added,
          sum(summed.late_messages)::integer as late_added,
          coalesce(sum(summed.unread) filter (where summed.is_live and summed.direction = 'inbound'), 0)::integer as unread,
          min(summed.first_sent_at) as first_sent_at,
          max(summed.last_sent_at) as last_sent_at,
          max(summed.last_sent_at) filter (where summed.direction = 'inbound') as last_inbound_at,
          max(summed.last_sent_at) filter (where summed.direction = 'inbound' and summed.is_live)
            as last_live_inbound_at
        from summed
        group by summed.conversation_id, summed.item_ordinal
      ) as every
    )
  into fresh, pending, arrivals
  from judged;

  if exists (select 1 from unnest(arrivals) as arrival where arrival.late_added > 0) then
    perform private.file_late_messages(
      source.workspace_id,
      array(select message from unnest(fresh) as message where message.is_late),
      page_size
    );
  end if;

  -- Heads that would grow over the page size.
  select array_agg(grown.conversation_id) into growing
  from (
    select thread.conversation_id
    from unnest(arrivals) as arrival
    join unnest(threads) as thread using (conversation_id)
    group by thread.conversation_id, thread.message_count, thread.archived_message_count
    having sum(arrival.added - arrival.late_added) > 0
      and thread.message_count - thread.archived_message_count + sum(arrival.added - arrival.late_added) > page_size
  ) as grown;
  if growing is not null then
    select array_agg(head) into heads
    from private.seal_pages(source.workspace_id, growing, fresh, page_size) as head;
  end if;

  -- 4. The conversations, one update each. One, because a second update of a row in a transaction checks
  --    its foreign keys again, and would wait for somebody who is deleting the person.
  with named as (
    select
      thread.conversation_id,
      (array_agg(item.participant_name order by item.ordinal desc)
        filter (where item.participant_name is not null and item.is_live))[1] as live_name,
      (array_agg(item.participant_name order by item.ordinal desc)
        filter (where item.participant_name is not null))[1] as any_name,
      -- An old export knows the participant as they were then: only live batches change what is there.
      (array_agg(item.participant_identifier order by item.ordinal desc) filter (where item.is_live))[1]
        as participant_identifier,
      bool_or(item.is_live) as is_live
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    group by thread.conversation_id
  ),
  given as (
    select
      named.conversation_id,
      named.live_name,
      named.any_name,
      named.is_live,
      thread.person_id,
      case
        when named.participant_identifier <> thread.participant_identifier
          -- A number is never replaced by an identifier that is none: it is where answers go.
          and (
            private.phone_digits_of(source.platform, named.participant_identifier) is not null
            or private.phone_digits_of(source.platform, thread.participant_identifier) is null
          )
          then named.participant_identifier
        else thread.participant_identifier
      end as participant_identifier
    from named
    join unnest(threads) as thread using (conversation_id)
  ),
  -- Matched again with every batch while nobody is linked: the person may have been added since.
  matched as (
    select
      given.conversation_id,
      private.match_person(source.workspace_id, source.platform, given.participant_identifier) as person_id
    from given
    where given.person_id is null
  ),
  -- Somebody who is being renumbered or deleted at this moment is linked by the next batch: waiting for a
  -- transaction that may wait for these conversations would be a deadlock.
  free as (
    select person.id
    from public.people as person
    where person.workspace_id = source.workspace_id
      and person.id in (select matched.person_id from matched)
    for key share skip locked
  ),
  linked as (
    select given.conversation_id, coalesce(given.person_id, free.id) as person_id
    from given
    left join matched using (conversation_id)
    left join free on free.id = matched.person_id
  ),
  arrived as (
    select arrival.conversation_id,
      sum(arrival.added)::integer as added,
      sum(arrival.late_added)::integer as late_added,
      sum(arrival.unread)::integer as unread,
      min(arrival.first_sent_at) as first_sent_at,
      max(arrival.last_sent_at) as last_sent_at,
      max(arrival.last_inbound_at) as last_inbound_at,
      max(arrival.last_live_inbound_at) as last_live_inbound_at
    from unnest(arrivals) as arrival
    group by arrival.conversation_id
  ),
  appended as (
    select message.conversation_id,
      to_jsonb(array_agg(message.body order by message.sent_at, message.item_ordinal, message.message_ordinal))
        as messages
    from unnest(fresh) as message
    where not message.is_late
      and message.conversation_id <> all (coalesce(growing, '{}'))
    group by message.conversation_id
  )
  update public.conversations as conversation
  set
    connection_id = case when given.is_live then source.id else coalesce(conversation.connection_id, source.id) end,
    participant_identifier = given.participant_identifier,
    participant_name = left(coalesce(given.live_name, conversation.participant_name, given.any_name), 300),
    person_id = linked.person_id,
    messages = case
      when head.messages is not null then head.messages
      when appended.messages is null then conversation.messages
      -- The common case, an append: nothing has to be unpacked and sorted.
      when arrived.first_sent_at >= coalesce(conversation.last_message_at, '-infinity')
        then conversation.messages || appended.messages
      else (
        select jsonb_agg(stored.value order by (stored.value ->> 'sent_at')::timestamptz, stored.ordinal)
        from jsonb_array_elements(conversation.messages || appended.messages) with ordinality as stored (value, ordinal)
      )
    end,
    head_started_at = coalesce(head.started_at, least(conversation.head_started_at, arrived.first_sent_at)),
    message_count = conversation.message_count + coalesce(arrived.added, 0),
    archived_message_count = conversation.archived_message_count + coalesce(arrived.late_added, 0)
      + coalesce(head.sealed_count, 0),
    unread_count = conversation.unread_count + coalesce(arrived.unread, 0),
    last_inbound_at = greatest(conversation.last_inbound_at, arrived.last_inbound_at),
    last_message_at = greatest(conversation.last_message_at, arrived.last_sent_at),
    last_message_preview = case when arrived.last_sent_at >= coalesce(conversation.last_message_at, '-infinity') then coalesce(
        nullif(btrim(regexp_replace(left(newest.body ->> 'content', 200), '\s+', ' ', 'g')), ''),
        '[' || (newest.body ->> 'type') || ']'
      ) else conversation.last_message_preview end,
    last_message_type = case when arrived.last_sent_at >= coalesce(conversation.last_message_at, '-infinity') then newest.body ->> 'type'
      else conversation.last_message_type end,
    last_message_direction = case when arrived.last_sent_at >= coalesce(conversation.last_message_at, '-infinity') then newest.body ->> 'direction'
      else conversation.last_message_direction end,
    -- The customer wrote after it was closed.
    status = case when arrived.last_live_inbound_at > conversation.closed_at then 'open' else conversation.status end,
    closed_at = case when arrived.last_live_inbound_at > conversation.closed_at then null else conversation.closed_at end,
    updated_at = now()
  from given
  join linked using (conversation_id)
  left join arrived using (conversation_id)
  left join appended using (conversation_id)
  left join unnest(heads) as head using (conversation_id)
  -- Where it is newer than what is there, the newest message is the last one.
  cross join lateral (select coalesce(head.messages, appended.messages) -> -1 as body) as newest
  where conversation.id = given.conversation_id
    -- A batch that brings nothing new writes nothing.
    and (
      arrived.added > 0
      or linked.person_id is distinct from conversation.person_id
      or given.participant_identifier <> conversation.participant_identifier
      or left(coalesce(given.live_name, conversation.participant_name, given.any_name), 300)
        is distinct from conversation.participant_name
    );

  -- 5. What people sent, and nobody knew whether it went out.
  if exists (
    select 1 from public.outbox_messages as waiting
    where waiting.conversation_id = any (array(select thread.conversation_id from unnest(threads) as thread))
      and waiting.state in ('queued', 'sending', 'unconfirmed')
  ) then
    perform private.settle_arrivals(fresh);
  end if;

  -- 6. Changes: what the batch says outright, what repeated messages brought, and what waited for
  --    messages that are here now.
  if exists (
    select 1 from private.waiting_updates as waiting
    where waiting.conversation_id = any (array(select thread.conversation_id from unnest(threads) as thread))
  ) then
    with released as (
      delete from private.waiting_updates as waiting
      using unnest(fresh) as message
      where waiting.conversation_id = message.conversation_id
        and waiting.message_id = message.body ->> 'id'
      returning waiting.conversation_id, waiting.message_id, waiting.change
    )
    select pending || array_agg(
      row(
        released.conversation_id, released.message_id,
        encode(substr(sha256(convert_to(released.message_id, 'UTF8')), 1, 16), 'hex')::uuid,
        released.change
      )::private.ingest_change
    )
    into pending
    from released;
  end if;
  if exists (select 1 from unnest(items) as item where item.changes is not null) then
    select pending || array_agg(
      row(
        thread.conversation_id, change.value ->> 'message_id',
        encode(substr(sha256(convert_to(change.value ->> 'message_id', 'UTF8')), 1, 16), 'hex')::uuid,
        change.value
      )::private.ingest_change
    )
    into pending
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    cross join lateral jsonb_array_elements(item.changes) as change (value);
  end if;
  if pending is not null then
    perform private.apply_changes(pending);
  end if;

  -- 7. The people behind the conversations. A person who is being changed or deleted at this moment is
  --    left out: waiting for somebody who waits for these conversations would be a deadlock.
  if fresh is not null then
    with active as (
      select conversation.person_id, max(arrival.last_sent_at) as last_activity_at
      from unnest(arrivals) as arrival
      join public.conversations as conversation on conversation.id = arrival.conversation_id
      where conversation.person_id is not null
      group by conversation.person_id
    ),
    locked as (
      select person.id, active.last_activity_at
      from active
      join public.people as person on person.id = active.person_id
      where active.last_activity_at > coalesce(person.last_activity_at, '-infinity')
      order by person.id
      for no key update of person skip locked
    )
    update public.people as person
    set last_activity_at = locked.last_activity_at
    from locked
    where person.id = locked.id
      and locked.last_activity_at > coalesce(person.last_activity_at, '-infinity');
  end if;

  return query
  select
    item.ordinal,
    thread.conversation_id,
    thread.external_conversation_id,
    case
      when thread.conversation_id = any (created)
        and row_number() over (partition by thread.conversation_id order by item.ordinal) = 1 then 'created'
      when arrival.added > 0 then 'updated'
      else 'no_new_messages'
    end,
    coalesce(arrival.added, 0)
  from unnest(items) as item
  join unnest(threads) as thread using (external_conversation_id)
  left join unnest(arrivals) as arrival on arrival.item_ordinal = item.ordinal;
end;
$$;
comment on function private.store_conversations(public.connections, jsonb) is
  'Store a batch as a whole: one row per element, or an exception and nothing stored. Called by ingest_conversations alone.';

create function public.ingest_conversations(connection_id uuid, conversations jsonb)
returns table (id uuid, external_conversation_id text, outcome text, messages_added integer, error text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  source public.connections;
  item record;
  good jsonb := '[]';
  good_ordinals bigint[] := '{}';
  failed jsonb := '[]';
  results jsonb;
begin
  select known.* into source
  from public.connections as known
  where known.id = ingest_conversations.connection_id;
  if source.id is null then
    raise exception 'Unknown connection' using errcode = 'P0002', hint = 'Pass the id of a row of public.connections.';
  end if;
  if jsonb_typeof(ingest_conversations.conversations) is distinct from 'array' then
    raise exception 'conversations must be a JSON array' using errcode = '22023';
  end if;

  begin
    select jsonb_agg(to_jsonb(stored)) into results
    from private.store_conversations(source, ingest_conversations.conversations) as stored;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    -- Something in the batch cannot be stored. Callers validate first, so this is rare. Each element is
    -- tried on its own and undone, which frees its locks; then the good ones are stored as one batch,
    -- with all locks in their order.
    for item in
      select given.value, given.ordinal
      from jsonb_array_elements(ingest_conversations.conversations) with ordinality as given (value, ordinal)
    loop
      begin
        perform private.store_conversations(source, jsonb_build_array(item.value));
        raise exception using errcode = 'ZZ001';
      exception
        when sqlstate 'ZZ001' then
          good := good || jsonb_build_array(item.value);
          good_ordinals := good_ordinals || item.ordinal;
        when data_exception or integrity_constraint_violation or program_limit_exceeded then
          failed := failed || jsonb_build_object(
            'item_ordinal', item.ordinal,
            'external_conversation_id', item.value ->> 'external_conversation_id',
            'outcome', 'error',
            'messages_added', 0,
            'error', sqlstate || ' ' || sqlerrm
          );
      end;
    end loop;
    select jsonb_agg(to_jsonb(stored) || jsonb_build_object('item_ordinal', good_ordinals[stored.item_ordinal]))
    into results
    from private.store_conversations(source, good) as stored;
  end;
  results := coalesce(results, '[]') || failed;

  -- A busy connection takes many batches at once. Whoever finds the row taken leaves it: the other
  -- one is writing the same moment, and nobody waits.
  update public.connections as busy
  set last_synced_at = now()
  where busy.id in (
    select known.id
    from public.connections as known
    where known.id = source.id
      and coalesce(known.last_synced_at, '-infinity') < now() - interval '1 second'
    for no key update skip locked
  );

  return query
  select result.id, result.external_conversation_id, result.outcome, result.messages_added, result.error
  from jsonb_to_recordset(results) as result (
    item_ordinal bigint, id uuid, external_conversation_id text, outcome text, messages_added integer, error text
  )
  order by result.item_ordinal;
end;
$$;
comment on function public.ingest_conversations(uuid, jsonb) is
  'The one door: store a batch of conversations of a connection and return one row per element, in order: outcome created, updated, no_new_messages or error; the error text begins with its SQLSTATE. For service_role only. The shape of an element is IngestConversation in supabase/functions/_shared/conversations/conversation.ts.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.store_conversations(public.connections, jsonb),
  public.ingest_conversations(uuid, jsonb)
from public, anon, authenticated, service_role;
grant execute on function
  private.store_conversations(public.connections, jsonb),
  public.ingest_conversations(uuid, jsonb)
to service_role;
