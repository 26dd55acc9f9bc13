-- Purpose: count messages per day as they come in, and let the door tell the outbox what has arrived.
-- Objects: private.message_counts, private.message_count_parts, overview_statistics; private.store_conversations and private.apply_changes, with one step more each.
-- Risk: replaces two private functions. Days before this migration are counted once, from what is stored.

create table private.message_counts (
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  local_date date not null,
  platform text not null,
  direction text not null,
  messages bigint not null,
  constraint message_counts_pkey primary key (workspace_id, local_date, platform, direction),
  constraint message_counts_platform_check check (platform in ('whatsapp', 'signal', 'telegram', 'wechat')),
  constraint message_counts_direction_check check (direction in ('inbound', 'outbound'))
);
comment on table private.message_counts is 'Messages per day, platform and direction, without those in private.message_count_parts.';
comment on column private.message_counts.workspace_id is 'The workspace.';
comment on column private.message_counts.local_date is 'Day of sent_at in the time zone the workspace had when the message came.';
comment on column private.message_counts.platform is 'whatsapp, signal, telegram or wechat.';
comment on column private.message_counts.direction is 'inbound or outbound.';
comment on column private.message_counts.messages is 'How many.';

create table private.message_count_parts (
  workspace_id uuid not null,
  local_date date not null,
  platform text not null,
  direction text not null,
  messages bigint not null
);
comment on table private.message_count_parts is
  'What is to be added to private.message_counts. Batches only append here: if they updated the count of the day, all of a workspace would wait for each other.';
comment on column private.message_count_parts.workspace_id is 'The workspace. No foreign key, which would cost as much as the row; what is left of a deleted one is dropped.';
comment on column private.message_count_parts.local_date is 'As in private.message_counts.';
comment on column private.message_count_parts.platform is 'As in private.message_counts.';
comment on column private.message_count_parts.direction is 'As in private.message_counts.';
comment on column private.message_count_parts.messages is 'How many a batch brought.';
create index message_count_parts_workspace_id_idx on private.message_count_parts (workspace_id);

create function public.fold_message_counts(max_parts integer default 100000)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  folded integer;
begin
  with taken as (
    select part.ctid as place
    from private.message_count_parts as part
    limit fold_message_counts.max_parts
    for update skip locked
  ),
  part as (
    delete from private.message_count_parts as every
    using taken
    where every.ctid = taken.place
    returning every.*
  ),
  kept as (
    insert into private.message_counts as known (workspace_id, local_date, platform, direction, messages)
    select part.workspace_id, part.local_date, part.platform, part.direction, sum(part.messages)
    from part
    join public.workspaces as workspace on workspace.id = part.workspace_id
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4
    on conflict on constraint message_counts_pkey do update set messages = known.messages + excluded.messages
  )
  select count(*)::integer into folded from part;
  return folded;
end;
$$;
comment on function public.fold_message_counts(integer) is
  'Add up what batches have counted. Returns how many parts went; at most max_parts at a time. Called by the schedule, and by whoever looks at the numbers. For service_role only.';

create or replace function private.apply_changes(changes private.ingest_change[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- Heads. The conversations are locked by the caller.
  with change as (
    select given.conversation_id, given.message_id, array_agg(given.change) as changes
    from unnest(apply_changes.changes) as given
    group by 1, 2
  ),
  rebuilt as (
    select conversation.id, (
      select jsonb_agg(
        case when change.changes is null then stored.value
          else private.change_message(stored.value, change.changes) end
        order by stored.ordinal
      )
      from jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
      left join change
        on change.conversation_id = conversation.id and change.message_id = stored.value ->> 'id'
    ) as messages
    from public.conversations as conversation
    where conversation.id in (select change.conversation_id from change)
  )
  update public.conversations as conversation
  set messages = rebuilt.messages, updated_at = now()
  from rebuilt
  where conversation.id = rebuilt.id
    and rebuilt.messages is distinct from conversation.messages
    and rebuilt.messages is not null;

  -- Archive pages: those whose time range covers the message. A run of equal times may lie on more
  -- than one page, so the id decides, not the time.
  with change as (
    select given.conversation_id, given.message_id, key.sent_at, array_agg(given.change) as changes
    from unnest(apply_changes.changes) as given
    join private.message_keys as key using (conversation_id, message_digest)
    join public.conversations as conversation
      on conversation.id = given.conversation_id
      and conversation.archived_message_count > 0
      and key.sent_at <= conversation.head_started_at
    group by 1, 2, 3
  ),
  touched as (
    select distinct page.conversation_id, page.position
    from change
    join public.conversation_archives as page
      on page.conversation_id = change.conversation_id
      and page.first_sent_at <= change.sent_at
      and page.last_sent_at >= change.sent_at
  ),
  rebuilt as (
    select page.conversation_id, page.position, (
      select jsonb_agg(
        case when change.changes is null then stored.value
          else private.change_message(stored.value, change.changes) end
        order by stored.ordinal
      )
      from jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      left join change
        on change.conversation_id = page.conversation_id and change.message_id = stored.value ->> 'id'
    ) as messages
    from touched
    join public.conversation_archives as page using (conversation_id, position)
  )
  update public.conversation_archives as page
  set messages = rebuilt.messages
  from rebuilt
  where page.conversation_id = rebuilt.conversation_id
    and page.position = rebuilt.position
    and rebuilt.messages is distinct from page.messages;

  -- What people sent is followed in the outbox too.
  perform private.follow_statuses(apply_changes.changes);

  -- A change whose message is not here yet waits for it.
  insert into private.waiting_updates (conversation_id, message_id, change)
  select distinct given.conversation_id, given.message_id, given.change
  from unnest(apply_changes.changes) as given
  where not exists (
      select 1 from private.message_keys as key
      where key.conversation_id = given.conversation_id and key.message_digest = given.message_digest
    )
    and not exists (
      select 1 from private.waiting_updates as waiting
      where waiting.conversation_id = given.conversation_id
        and waiting.message_id = given.message_id
        and waiting.change = given.change
    );
end;
$$;

create or replace function private.store_conversations(source public.connections, conversations jsonb)
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
      digest.value as message_digest,
      thread.archived_message_count > 0
        and (message.value ->> 'sent_at')::timestamptz < thread.head_started_at as is_late,
      row_number() over (
        partition by thread.conversation_id, digest.value order by item.ordinal, message.ordinal
      ) as occurrence
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    cross join lateral jsonb_array_elements(item.messages) with ordinality as message (value, ordinal)
    cross join lateral (
      select encode(substr(sha256(convert_to(message.value ->> 'id', 'UTF8')), 1, 16), 'hex')::uuid as value
    ) as digest
  ),
  filed as (
    insert into private.message_keys (conversation_id, message_digest, sent_at)
    select incoming.conversation_id, incoming.message_digest, incoming.sent_at
    from incoming
    where incoming.occurrence = 1
      -- The lock on the conversation keeps everybody else out of its ledger, so looking first is safe,
      -- and 2 µs a message cheaper than "on conflict". The primary key stands behind it all the same.
      and not exists (
        select 1 from private.message_keys as key
        where key.conversation_id = incoming.conversation_id and key.message_digest = incoming.message_digest
      )
    returning message_keys.conversation_id, message_keys.message_digest
  ),
  judged as (
    select incoming.*, filed.message_digest is not null and incoming.occurrence = 1 as is_new
    from incoming
    left join filed using (conversation_id, message_digest)
  ),
  counted as (
    insert into private.message_count_parts (workspace_id, local_date, platform, direction, messages)
    select source.workspace_id,
      (judged.sent_at at time zone (
        select workspace.time_zone from public.workspaces as workspace where workspace.id = source.workspace_id
      ))::date,
      source.platform, judged.body ->> 'direction', count(*)
    from judged
    where judged.is_new
    group by 2, 4
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
    )
  into fresh, pending
  from judged;

  if exists (select 1 from unnest(fresh) as message where message.is_late) then
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
    from unnest(fresh) as message
    join unnest(threads) as thread using (conversation_id)
    where not message.is_late
    group by thread.conversation_id, thread.message_count, thread.archived_message_count
    having thread.message_count - thread.archived_message_count + count(*) > page_size
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
    select
      thread.conversation_id,
      count(*)::integer as added,
      (count(*) filter (where message.is_late))::integer as late_added,
      to_jsonb(array_agg(message.body order by message.sent_at, message.item_ordinal, message.message_ordinal)
        filter (where not message.is_late and thread.conversation_id <> all (coalesce(growing, '{}')))) as messages,
      min(message.sent_at) filter (where not message.is_late) as first_sent_at,
      max(message.sent_at) as last_sent_at,
      max(message.sent_at) filter (where message.body ->> 'direction' = 'inbound') as last_inbound_at,
      max(message.sent_at) filter (where message.body ->> 'direction' = 'inbound' and message.is_live)
        as last_live_inbound_at,
      (count(*) filter (
        where message.is_live
          and message.body ->> 'direction' = 'inbound'
          and message.sent_at > coalesce(thread.last_read_at, '-infinity')
      ))::integer as unread
    from unnest(fresh) as message
    join unnest(threads) as thread using (conversation_id)
    group by thread.conversation_id
  ),
  newest as (
    select distinct on (message.conversation_id) message.conversation_id, message.body
    from unnest(fresh) as message
    order by message.conversation_id, message.sent_at desc, message.item_ordinal desc, message.message_ordinal desc
  )
  update public.conversations as conversation
  set
    connection_id = case when given.is_live then source.id else coalesce(conversation.connection_id, source.id) end,
    participant_identifier = given.participant_identifier,
    participant_name = left(coalesce(given.live_name, conversation.participant_name, given.any_name), 300),
    person_id = linked.person_id,
    messages = case
      when head.messages is not null then head.messages
      when arrived.messages is null then conversation.messages
      -- The common case, an append: nothing has to be unpacked and sorted.
      when arrived.first_sent_at >= coalesce(conversation.last_message_at, '-infinity')
        then conversation.messages || arrived.messages
      else (
        select jsonb_agg(stored.value order by (stored.value ->> 'sent_at')::timestamptz, stored.ordinal)
        from jsonb_array_elements(conversation.messages || arrived.messages) with ordinality as stored (value, ordinal)
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
  left join newest using (conversation_id)
  left join unnest(heads) as head using (conversation_id)
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
      select conversation.person_id, max(message.sent_at) as last_activity_at
      from unnest(fresh) as message
      join public.conversations as conversation on conversation.id = message.conversation_id
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
      when added.messages > 0 then 'updated'
      else 'no_new_messages'
    end,
    coalesce(added.messages, 0)::integer
  from unnest(items) as item
  join unnest(threads) as thread using (external_conversation_id)
  left join (
    select message.item_ordinal, count(*) as messages
    from unnest(fresh) as message
    group by message.item_ordinal
  ) as added on added.item_ordinal = item.ordinal;
end;
$$;

-- What is here already.
insert into private.message_counts (workspace_id, local_date, platform, direction, messages)
select conversation.workspace_id, ((stored.value ->> 'sent_at')::timestamptz at time zone workspace.time_zone)::date,
  conversation.platform, stored.value ->> 'direction', count(*)
from public.conversations as conversation
join public.workspaces as workspace on workspace.id = conversation.workspace_id
cross join lateral (
  select conversation.messages
  union all
  select page.messages from public.conversation_archives as page where page.conversation_id = conversation.id
) as page
cross join lateral jsonb_array_elements(page.messages) as stored (value)
group by 1, 2, 3, 4;

-- Looking ---------------------------------------------------------------------------------------

create function private.response_times(workspace_id uuid, from_time timestamptz)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  measured jsonb;
begin
  -- The newest 500 threads, their newest pages: 25,000 messages at most, however many there are.
  with thread as (
    select conversation.id, conversation.messages
    from public.conversations as conversation
    where conversation.workspace_id = response_times.workspace_id
      and conversation.activity_at >= response_times.from_time
    order by conversation.activity_at desc, conversation.id desc
    limit 500
  ),
  message as (
    select thread.id, stored.ordinal, stored.value ->> 'direction' as direction,
      (stored.value ->> 'sent_at')::timestamptz as sent_at,
      lag(stored.value ->> 'direction') over (partition by thread.id order by stored.ordinal) as before
    from thread
    cross join lateral jsonb_array_elements(thread.messages) with ordinality as stored (value, ordinal)
    where stored.value -> 'is_history' is null
  ),
  -- Where the speaker changes: the customer's first unanswered message, and the answer.
  turn as (
    select message.id, message.direction, message.sent_at,
      lag(message.sent_at) over (partition by message.id order by message.ordinal) as asked_at
    from message
    where message.direction is distinct from message.before
  ),
  answer as (
    select turn.id, extract(epoch from turn.sent_at - turn.asked_at) as seconds
    from turn
    where turn.direction = 'outbound' and turn.asked_at is not null and turn.sent_at >= response_times.from_time
  )
  select jsonb_build_object(
    'median_seconds', round((percentile_cont(0.5) within group (order by answer.seconds))::numeric),
    'p90_seconds', round((percentile_cont(0.9) within group (order by answer.seconds))::numeric),
    'answered', count(*),
    'conversations', count(distinct answer.id)
  )
  into measured
  from answer;
  return case when measured -> 'answered' <> '0' then measured end;
end;
$$;
comment on function private.response_times(uuid, timestamptz) is
  'How long customers of a workspace waited for an answer since then, in the newest 500 threads; null where nobody was answered.';

create function private.overview_statistics(workspace_id uuid, days integer)
returns jsonb
language plpgsql
volatile
-- Definer because counts are private; the role is checked first.
security definer
set search_path = ''
as $$
declare
  zone text;
  first_day date;
begin
  if overview_statistics.days is null or overview_statistics.days not between 1 and 92 then
    raise exception 'days must be between 1 and 92' using errcode = '22023';
  end if;
  perform private.require_role(
    overview_statistics.workspace_id, array['owner', 'admin', 'agent', 'viewer'], 'workspace_not_found'
  );
  -- So that there is never much to add up, also where no schedule runs.
  perform public.fold_message_counts(20000);
  select workspace.time_zone into zone
  from public.workspaces as workspace
  where workspace.id = overview_statistics.workspace_id;
  first_day := (now() at time zone zone)::date - overview_statistics.days + 1;
  return jsonb_build_object(
    'days', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'date', counted.local_date, 'platform', counted.platform,
        'inbound', counted.inbound, 'outbound', counted.outbound
      ) order by counted.local_date, counted.platform), '[]')
      from (
        select every.local_date, every.platform,
          coalesce(sum(every.messages) filter (where every.direction = 'inbound'), 0) as inbound,
          coalesce(sum(every.messages) filter (where every.direction = 'outbound'), 0) as outbound
        from (
          select kept.local_date, kept.platform, kept.direction, kept.messages
          from private.message_counts as kept
          where kept.workspace_id = overview_statistics.workspace_id
            and kept.local_date between first_day and (now() at time zone zone)::date
          union all
          select part.local_date, part.platform, part.direction, part.messages
          from private.message_count_parts as part
          where part.workspace_id = overview_statistics.workspace_id
            and part.local_date between first_day and (now() at time zone zone)::date
        ) as every
        group by 1, 2
      ) as counted
    ),
    'response_times', private.response_times(overview_statistics.workspace_id, first_day::timestamp at time zone zone),
    'open', (
      select count(*) from public.conversations as conversation
      where conversation.workspace_id = overview_statistics.workspace_id and conversation.status = 'open'
    ),
    'unread', (
      select count(*) from public.conversations as conversation
      where conversation.workspace_id = overview_statistics.workspace_id and conversation.unread_count > 0
    ),
    'unassigned', (
      select count(*) from public.conversations as conversation
      where conversation.workspace_id = overview_statistics.workspace_id
        and conversation.status = 'open' and conversation.assigned_to is null
    )
  );
end;
$$;
comment on function private.overview_statistics(uuid, integer) is 'Does the work of public.overview_statistics.';

create index conversations_open_idx on public.conversations (workspace_id, assigned_to) where status = 'open';
comment on index public.conversations_open_idx is 'Counts open threads, and those without an assignee.';
create index conversations_unread_idx on public.conversations (workspace_id) where unread_count > 0;
comment on index public.conversations_unread_idx is 'Counts threads with unread messages.';

create function public.overview_statistics(workspace_id uuid, days integer default 14)
returns jsonb
language sql
volatile
set search_path = ''
as $$
  select private.overview_statistics(overview_statistics.workspace_id, overview_statistics.days);
$$;
comment on function public.overview_statistics(uuid, integer) is
  'Messages per day and platform, response times, and how many threads are open, unread and unassigned. days (1 to 92) in the time zone of the workspace. For members.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  public.fold_message_counts(integer),
  private.response_times(uuid, timestamptz),
  private.overview_statistics(uuid, integer),
  public.overview_statistics(uuid, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.fold_message_counts(integer)
to service_role;
grant execute on function
  private.overview_statistics(uuid, integer),
  public.overview_statistics(uuid, integer)
to authenticated;

grant all on private.message_counts, private.message_count_parts to service_role;
alter table private.message_counts enable row level security;
alter table private.message_count_parts enable row level security;

do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron') then
    create extension if not exists pg_cron;
    perform cron.schedule('fold-message-counts', '*/5 * * * *', 'select public.fold_message_counts()');
  end if;
exception when others then
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;
