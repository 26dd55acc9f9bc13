-- Stores conversations and messages: the only way in for messages of any source.
--
-- ingest_conversations() is called by functions and stores batches; private.store_conversations() stores one
-- batch in eight steps. Unread is decided in 39_unread.sql, archive pages and changes in 33_archives.sql, the
-- outbox in 52_outbox_settling.sql.

-- What the steps pass on -------------------------------------------------------------------------

-- Composite types and not temporary tables: those would write to the catalogue with every call.
create type private.ingest_item as (
  ordinal bigint,
  external_conversation_id text,
  new_key text,
  participant_identifier text,
  participant_name text,
  is_live boolean,
  messages jsonb,
  changes jsonb,
  conversation_id uuid
);
comment on type private.ingest_item is
  'An element of the batch, taken apart once: carrying the whole element through every join and sort costs more than '
  'all other work together. external_conversation_id is the key of its conversation, and new_key the one it came with, '
  'where no conversation had that. conversation_id: the conversation, where there was one.';

create type private.ingest_thread as (
  conversation_id uuid,
  external_conversation_id text,
  message_count integer,
  archived_message_count integer,
  head_started_at timestamptz,
  last_inbound_at timestamptz,
  last_message_at timestamptz,
  closed_at timestamptz,
  person_id uuid,
  participant_identifier text,
  participant_name text,
  is_created boolean
);
comment on type private.ingest_thread is
  'A conversation of the batch, as it was when its row was locked. is_created: the batch created it.';

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
  'A new message of the batch. is_live: not imported history. is_late: older than the head of a conversation that has '
  'archives.';

create type private.ingest_arrival as (
  conversation_id uuid,
  item_ordinal bigint,
  added integer,
  late_added integer,
  live_added integer,
  inbound integer,
  unread integer,
  is_answered boolean,
  first_sent_at timestamptz,
  last_sent_at timestamptz,
  last_inbound_at timestamptz,
  last_live_at timestamptz
);
comment on type private.ingest_arrival is
  'What the new messages of one element of the batch add up to. late_added of them are late, and first_sent_at is '
  'without those; live_added are no imported history, and last_live_at is of those. inbound: live messages of the '
  'customer; unread: those of them that no answer in the batch follows. is_answered: the element has the last answer.';

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
comment on type private.ingest_change is
  'A change to a message that is, or will be, stored: see private.change_message.';

create type private.ingest_judgement as (
  messages private.ingest_message[],
  arrivals private.ingest_arrival[],
  repeated private.ingest_change[]
);
comment on type private.ingest_judgement is
  'What the ledger says of a batch: its new messages, what they add up to, and what known messages bring again. Each '
  'is null where it is empty.';

-- Steps ------------------------------------------------------------------------------------------

-- The functions of this section are steps of private.store_conversations() and run under its settings.

create function private.conversation_with_key(workspace_id uuid, platform text, key text)
returns uuid
language plpgsql
stable
set search_path = ''
as $$
begin
  -- The first key from the wanted one on, in the order of the only index that has this order. With "=" Postgres may take
  -- any index that begins with the workspace, as long as the table is small, and keep to it while the table grows.
  return (
    select found.id
    from (
      select conversation.id, conversation.workspace_id, conversation.platform, conversation.external_conversation_id
      from public.conversations as conversation
      where (conversation.workspace_id, conversation.platform, conversation.external_conversation_id)
        >= (
          conversation_with_key.workspace_id,
          -- A function compares by the collation of its arguments; the index has that of the columns.
          conversation_with_key.platform collate "default",
          conversation_with_key.key collate "C"
        )
      order by conversation.workspace_id, conversation.platform, conversation.external_conversation_id
      limit 1
    ) as found
    where found.workspace_id = conversation_with_key.workspace_id
      and found.platform = conversation_with_key.platform
      and found.external_conversation_id = conversation_with_key.key
  );
end;
$$;
comment on function private.conversation_with_key(uuid, text, text) is
  'The conversation that has an external_conversation_id; null where none has it. Costs the same with any number of them.';

create function private.thread_id_of(source public.connections, key text)
returns uuid
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce(
    private.conversation_with_key(source.workspace_id, source.platform, thread_id_of.key),
    (
      select found.conversation_id
      from (
        select alias.conversation_id, alias.workspace_id, alias.platform, alias.alias
        from private.thread_aliases as alias
        where (alias.workspace_id, alias.platform, alias.alias)
          >= (source.workspace_id, source.platform collate "default", thread_id_of.key collate "C")
        order by alias.workspace_id, alias.platform, alias.alias
        limit 1
      ) as found
      where found.workspace_id = source.workspace_id
        and found.platform = source.platform
        and found.alias = thread_id_of.key
    )
  );
end;
$$;
comment on function private.thread_id_of(public.connections, text) is
  'The conversation that has a key, else the one that has it as an alias; null where none has it. Locks are taken by the '
  'key of the conversation, under any name that a message comes.';

create function private.phone_aliases(
  source public.connections,
  external_conversation_id text,
  participant_identifier text
)
returns text[]
language plpgsql
immutable
set search_path = ''
as $$
declare
  digits constant text := case when source.platform in ('whatsapp', 'signal') then private.phone_digits_of(
    -- Kapso's keys, and those of bridges that put their own number in front.
    source.platform, regexp_replace(phone_aliases.external_conversation_id, '^[0-9]+:(?=[+]?[0-9]+$)', '')
  ) end;
begin
  if digits is null
    or coalesce(private.phone_digits_of(source.platform, phone_aliases.participant_identifier), digits) <> digits
  then
    return '{}';
  end if;
  return array_remove(
    array[source.phone_number_id || ':' || digits, 'phone:' || source.id || ':' || digits], null
  );
end;
$$;
comment on function private.phone_aliases(public.connections, text, text) is
  'Names that a conversation has whose key is the phone number of its participant: one for the number of the connection, '
  'as Kapso''s events have it, and one for the connection. None for other conversations, such as groups.';

create function private.clean_name(name text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return nullif(btrim(
    clean_name.name,
    E' \t\n\r\u00a0\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff'
  ), '');
end;
$$;
comment on function private.clean_name(text) is
  'A name without spaces around it; null where nothing is left. Marks of direction and joiners are no name.';

create function private.read_items(source public.connections, conversations jsonb)
returns private.ingest_item[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  items private.ingest_item[];
  are_known boolean;
begin
  -- Nearly always all of them are known by the keys they come with.
  select
    coalesce(array_agg(
      row(
        item.ordinal,
        known.external_conversation_id,
        null,
        item.value ->> 'participant_identifier',
        private.clean_name(item.value ->> 'participant_name'),
        not coalesce((item.value ->> 'is_history')::boolean, false),
        item.value -> 'messages',
        item.value -> 'changes',
        known.id
      )::private.ingest_item
      order by item.ordinal
    ), '{}'),
    coalesce(bool_and(known.id is not null), true)
  into items, are_known
  from jsonb_array_elements(read_items.conversations) with ordinality as item (value, ordinal)
  cross join lateral (
    select private.thread_id_of(source, item.value ->> 'external_conversation_id') as id
    -- Once, and not for each use of its result.
    offset 0
  ) as own
  left join public.conversations as known on known.id = own.id;
  if are_known then
    return items;
  end if;

  with given as (
    select item.ordinal, item.value, own.id is null as is_new, coalesce(own.id, (
      select private.thread_id_of(source, name.value) from unnest(phone.names) as name (value)
      where private.thread_id_of(source, name.value) is not null
      limit 1
    )) as conversation_id, phone.names
    from jsonb_array_elements(read_items.conversations) with ordinality as item (value, ordinal)
    cross join lateral (
      select private.thread_id_of(source, item.value ->> 'external_conversation_id') as id
      -- Once, and not for each use of its result.
      offset 0
    ) as own
    cross join lateral (
      select case when own.id is null then nullif(private.phone_aliases(
        source, item.value ->> 'external_conversation_id', item.value ->> 'participant_identifier'
      ), '{}') end as names
    ) as phone
  )
  select coalesce(array_agg(
    row(
      given.ordinal,
      coalesce(
        (
          select known.external_conversation_id from public.conversations as known
          where known.id = given.conversation_id
        ),
        -- Two keys of one new contact in the same batch.
        given.first_key,
        given.value ->> 'external_conversation_id'
      ),
      case when given.is_new then given.value ->> 'external_conversation_id' end,
      given.value ->> 'participant_identifier',
      private.clean_name(given.value ->> 'participant_name'),
      not coalesce((given.value ->> 'is_history')::boolean, false),
      given.value -> 'messages',
      given.value -> 'changes',
      given.conversation_id
    )::private.ingest_item
    order by given.ordinal
  ), '{}')
  into items
  from (
    select given.*,
      case when given.names is not null
        then first_value(given.value ->> 'external_conversation_id')
          over (partition by given.names order by given.ordinal)
      end as first_key
    from given
  ) as given;
  return items;
end;
$$;
comment on function private.read_items(public.connections, jsonb) is
  'Take a batch apart, and find the key of each conversation: it may be known by another name.';

create function private.lock_new_contacts(source public.connections, items private.ingest_item[])
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  contacts bigint[];
begin
  select array_agg(distinct private.contact_lock_key(split_part(alias.value, ':', -1)))
  into contacts
  from unnest(lock_new_contacts.items) as item
  cross join lateral unnest(
    private.phone_aliases(source, item.new_key, item.participant_identifier)
  ) as alias (value)
  where item.new_key is not null;
  -- All of them in one order, before any row: private.lock_contacts takes the same locks.
  perform pg_catalog.pg_advisory_xact_lock(contact.key)
  from (select key from unnest(contacts) as known (key) order by key) as contact;
  return contacts is not null;
end;
$$;
comment on function private.lock_new_contacts(public.connections, private.ingest_item[]) is
  'Lock the phone numbers of conversations that do not exist yet under the keys of a batch, until the transaction ends. '
  'Otherwise two first messages of one contact, under two keys, would create two conversations. True where it locked any.';

create function private.creates_conversation(item private.ingest_item)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  return jsonb_array_length(item.messages) > 0 or jsonb_array_length(coalesce(item.changes, '[]')) = 0;
end;
$$;
comment on function private.creates_conversation(private.ingest_item) is
  'Whether an element of a batch creates its conversation where it does not exist: it has messages, or it is about the '
  'participant.';

create function private.create_and_lock_conversations(
  source public.connections,
  items private.ingest_item[],
  has_new boolean
)
returns private.ingest_thread[]
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  are_locked boolean;
  created uuid[] := '{}';
  threads private.ingest_thread[];
begin
  -- One attempt is enough, unless a conversation of the batch is deleted between the two statements.
  for attempt in 1..5 loop
    -- Nearly always all of them exist.
    if attempt > 1 or create_and_lock_conversations.has_new then
      -- Inserted in the order of their ids, as they are locked below, so that two batches can never wait for each
      -- other in a circle.
      with wanted as (
        select distinct on (item.external_conversation_id collate "C")
          item.external_conversation_id collate "C" as external_conversation_id,
          item.participant_identifier
        from unnest(items) as item
        where private.creates_conversation(item)
          and case
            when attempt = 1 then item.conversation_id
            else private.conversation_with_key(source.workspace_id, source.platform, item.external_conversation_id)
          end is null
        order by item.external_conversation_id collate "C", item.ordinal
      ),
      made as (
        insert into public.conversations
          (workspace_id, user_id, connection_id, platform, external_conversation_id, participant_identifier)
        select source.workspace_id, source.user_id, source.id, source.platform,
          wanted.external_conversation_id, wanted.participant_identifier
        from wanted
        order by wanted.external_conversation_id
        on conflict on constraint conversations_thread_key do nothing
        returning conversations.id
      )
      select created || array(select made.id from made) into created;
    end if;

    select coalesce(array_agg(locked.thread) filter (where locked.id is not null), '{}'),
      bool_and(locked.id is not null) filter (where wanted.is_created)
    into threads, are_locked
    from (
      select item.external_conversation_id collate "C" as external_conversation_id,
        bool_or(private.creates_conversation(item)) as is_created,
        case when attempt = 1 then min(item.conversation_id::text)::uuid end as known_id
      from unnest(items) as item
      group by 1
      order by 1
    ) as wanted
    left join lateral (
      select conversation.id, row(
        conversation.id, conversation.external_conversation_id, conversation.message_count,
        conversation.archived_message_count, conversation.head_started_at, conversation.last_inbound_at,
        conversation.last_message_at, conversation.closed_at, conversation.person_id,
        conversation.participant_identifier, conversation.participant_name, conversation.id = any (created)
      )::private.ingest_thread as thread
      from public.conversations as conversation
      where conversation.id = coalesce(
          wanted.known_id,
          private.conversation_with_key(source.workspace_id, source.platform, wanted.external_conversation_id)
        )
        -- It may have got another key since. Written so that no index seems to fit.
        and conversation.external_conversation_id is not distinct from wanted.external_conversation_id
      for no key update
    ) as locked on true;
    if are_locked is not false then
      return threads;
    end if;
  end loop;
  raise exception 'The conversations of the batch keep being deleted' using errcode = '40001';
end;
$$;
comment on function private.create_and_lock_conversations(public.connections, private.ingest_item[], boolean) is
  'Create the conversations of a batch that do not exist yet, and lock all of them in the order of their ids. A change '
  'alone creates none. has_new: whether any of them is unknown.';

create function private.name_conversations(
  source public.connections,
  items private.ingest_item[],
  threads private.ingest_thread[]
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into private.thread_aliases (workspace_id, platform, alias, conversation_id)
  select distinct on (name.value) source.workspace_id, source.platform, name.value, thread.conversation_id
  from unnest(name_conversations.items) as item
  join unnest(name_conversations.threads) as thread using (external_conversation_id)
  cross join lateral unnest(
    private.phone_aliases(source, item.new_key, item.participant_identifier) || item.new_key
  ) as name (value)
  where item.new_key is not null and name.value collate "C" <> thread.external_conversation_id
  order by name.value, item.ordinal
  on conflict on constraint thread_aliases_pkey do nothing;
end;
$$;
comment on function private.name_conversations(
  public.connections, private.ingest_item[], private.ingest_thread[]
) is
  'Keep the other names of the conversations of a batch: keys that came for the first time, and phone numbers.';

create function private.latest_sent_at()
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  return now() + interval '5 minutes';
end;
$$;
comment on function private.latest_sent_at() is
  'The latest time that a sender may claim. Clocks differ by a few minutes; what is later counts as now.';

create function private.arrival_time(sent_at timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  return case
    -- As exact as the text of private.arrived_message.
    when arrival_time.sent_at > private.latest_sent_at() then date_trunc('milliseconds', now())
    else arrival_time.sent_at
  end;
end;
$$;
comment on function private.arrival_time(timestamptz) is
  'The time of a message: what its sender says, but the present where that is after private.latest_sent_at.';

create function private.past(moment timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  -- Not least(), which would make the present of null.
  return case when past.moment > now() then now() else past.moment end;
end;
$$;
comment on function private.past(timestamptz) is 'A time, or the present where it is in the future; null stays null.';

create function private.arrived_message(body jsonb, keeps_deleted boolean)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  arrived jsonb := arrived_message.body;
begin
  if (arrived ->> 'sent_at')::timestamptz > private.latest_sent_at() then
    arrived := arrived || jsonb_build_object(
      'sent_at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'metadata', coalesce(arrived -> 'metadata', '{}') || jsonb_build_object('claimed_sent_at', arrived ->> 'sent_at')
    );
  end if;
  if arrived ?| '{reactions,deleted_at}' then
    arrived := private.change_message(
      arrived - 'reactions',
      array[jsonb_build_object('reactions', coalesce(nullif(arrived -> 'reactions', 'null'), '[]'))],
      arrived_message.keeps_deleted
    );
  end if;
  return arrived;
end;
$$;
comment on function private.arrived_message(jsonb, boolean) is
  'A message as it is stored: with the time of private.arrival_time, where the time that its sender claims is kept in '
  'its metadata, and with its reactions and its deletion as private.change_message has them.';

create function private.judge_messages(
  source public.connections,
  items private.ingest_item[],
  threads private.ingest_thread[]
)
returns private.ingest_judgement
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  judgement private.ingest_judgement;
  keeps_deleted constant boolean := private.keeps_deleted(source.workspace_id);
  scope constant text := private.ledger_scope(source.workspace_id, source.platform);
  latest constant timestamptz := private.latest_sent_at();
begin
  with incoming as (
    select
      thread.conversation_id,
      item.ordinal as item_ordinal,
      message.ordinal as message_ordinal,
      -- Nearly every message is stored as it comes, without a call for each.
      case
        when (message.value ->> 'sent_at')::timestamptz <= latest then (message.value ->> 'sent_at')::timestamptz
        else private.arrival_time((message.value ->> 'sent_at')::timestamptz)
      end as sent_at,
      item.is_live,
      message.value ->> 'direction' as direction,
      case
        when (message.value ->> 'sent_at')::timestamptz <= latest
          and not message.value ?| '{reactions,deleted_at}' then message.value
        else private.arrived_message(message.value, keeps_deleted)
      end as body,
      private.message_digest(scope || (message.value ->> 'id')) as message_digest,
      case when thread.archived_message_count > 0 then thread.head_started_at end as late_before,
      thread.last_inbound_at,
      item.ordinal << 32 | message.ordinal as place
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    cross join lateral jsonb_array_elements(item.messages) with ordinality as message (value, ordinal)
  ),
  -- Ids that occur twice in the batch: nearly always none, so this is cheaper than numbering the occurrences of each.
  repeated as (
    select incoming.conversation_id, incoming.message_digest,
      min(incoming.place) as first_place
    from incoming
    group by incoming.conversation_id, incoming.message_digest
    having count(*) > 1
  ),
  judged as (
    select incoming.*,
      coalesce(incoming.sent_at < incoming.late_before, false) as is_late,
      (
        repeated.first_place is null
        or repeated.first_place = incoming.place
      )
        -- The lock on the conversation keeps every other writer out of its ledger, so a look-up is safe, and 2 µs
        -- a message cheaper than "on conflict". The primary key guards it all the same.
        -- Not "not exists", which may be planned as a scan of the whole ledger.
        and (
          select true from private.message_keys as key
          where key.conversation_id = incoming.conversation_id and key.message_digest = incoming.message_digest
        ) is null as is_new
    from incoming
    left join repeated using (conversation_id, message_digest)
  ),
  -- Where in the order of arrival the business last answered: nearly always nowhere or with a single message.
  answered as (
    select new.conversation_id, max(new.place) as place
    from (
      select judged.conversation_id, judged.place, judged.is_live, judged.direction, judged.sent_at,
        greatest(
          judged.last_inbound_at,
          max(judged.sent_at) filter (where judged.direction = 'inbound')
            over (partition by judged.conversation_id order by judged.place)
        ) as last_inbound_at
      from judged
      where judged.is_new
        and judged.conversation_id = any (array(
          select own.conversation_id from judged as own where own.is_new and own.is_live and own.direction = 'outbound'
        ))
    ) as new
    where private.is_answer(new.direction, new.is_live, new.sent_at, new.last_inbound_at)
    group by new.conversation_id
  ),
  -- Added up once, for the counts of the day and for every later step.
  summed as (
    select judged.conversation_id, judged.item_ordinal, judged.is_live, judged.direction,
      (judged.sent_at at time zone (
        select workspace.time_zone from public.workspaces as workspace where workspace.id = source.workspace_id
      ))::date as local_date,
      count(*)::integer as messages,
      (count(*) filter (where judged.is_late))::integer as late_messages,
      (count(*) filter (where private.is_unread(judged.direction, judged.is_live)))::integer as inbound,
      (count(*) filter (
        where private.is_unread(judged.direction, judged.is_live) and judged.place > coalesce(answered.place, 0)
      ))::integer as unread,
      coalesce(bool_or(judged.place = answered.place), false) as is_answered,
      min(judged.sent_at) filter (where not judged.is_late) as first_sent_at,
      max(judged.sent_at) as last_sent_at
    from judged
    left join answered using (conversation_id)
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
    (
      select array_agg(row(
        every.conversation_id, every.item_ordinal, every.added, every.late_added, every.live_added, every.inbound,
        every.unread, every.is_answered, every.first_sent_at, every.last_sent_at, every.last_inbound_at,
        every.last_live_at
      )::private.ingest_arrival)
      from (
        select summed.conversation_id, summed.item_ordinal,
          sum(summed.messages)::integer as added,
          sum(summed.late_messages)::integer as late_added,
          coalesce(sum(summed.messages) filter (where summed.is_live), 0)::integer as live_added,
          sum(summed.inbound)::integer as inbound,
          sum(summed.unread)::integer as unread,
          bool_or(summed.is_answered) as is_answered,
          min(summed.first_sent_at) as first_sent_at,
          max(summed.last_sent_at) as last_sent_at,
          max(summed.last_sent_at) filter (where summed.direction = 'inbound') as last_inbound_at,
          max(summed.last_sent_at) filter (where summed.is_live) as last_live_at
        from summed
        group by summed.conversation_id, summed.item_ordinal
      ) as every
    ),
    -- A known message may still bring its newer status, a reaction, its newer text, its deletion or its media.
    array_agg(
      row(judged.conversation_id, judged.body ->> 'id', judged.message_digest, judged.body)::private.ingest_change
    ) filter (
      where not judged.is_new
        and (
          judged.body ->> 'status' is not null
          or judged.body ->> 'media_url' is not null
          or judged.body ?| '{reactions,edited_at,deleted_at}'
        )
    )
  into judgement.messages, judgement.arrivals, judgement.repeated
  from judged;
  return judgement;
end;
$$;
comment on function private.judge_messages(public.connections, private.ingest_item[], private.ingest_thread[]) is
  'Decide which messages of a batch are new: those whose key the ledger does not have. Writes their keys and counts '
  'them per day.';

create function private.update_conversations(
  source public.connections,
  items private.ingest_item[],
  threads private.ingest_thread[],
  messages private.ingest_message[],
  arrivals private.ingest_arrival[],
  heads private.ingest_head[]
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- One update for each conversation: a second update of a row in a transaction checks its foreign keys again, and
  -- would wait for a transaction that deletes the person.
  with named as (
    select
      thread.conversation_id,
      -- An old export has the participant as they were then, and so has a late or a repeated message: only what brings
      -- the newest message changes an existing name or identifier.
      (array_agg(item.participant_name order by arrival.last_live_at desc nulls first, item.ordinal desc)
        filter (where item.participant_name is not null and becomes.is_newest))[1] as newest_name,
      (array_agg(item.participant_name order by arrival.last_sent_at desc nulls last, item.ordinal desc)
        filter (where item.participant_name is not null and (arrival.added > 0 or thread.is_created)))[1] as any_name,
      (array_agg(item.participant_identifier order by arrival.last_live_at desc nulls first, item.ordinal desc)
        filter (where becomes.is_newest))[1] as participant_identifier
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    left join unnest(arrivals) as arrival
      on arrival.conversation_id = thread.conversation_id and arrival.item_ordinal = item.ordinal
    cross join lateral (
      select coalesce(
        arrival.last_live_at >= coalesce(thread.last_message_at, '-infinity'),
        -- An element without messages and changes is about the participant alone.
        item.is_live and jsonb_array_length(item.messages) = 0 and item.changes is null
      ) as is_newest
    ) as becomes
    group by thread.conversation_id
  ),
  given as (
    select
      named.conversation_id,
      thread.last_message_at,
      thread.closed_at,
      thread.person_id,
      left(coalesce(named.newest_name, thread.participant_name, named.any_name), 300) as participant_name,
      case
        when named.participant_identifier <> thread.participant_identifier
          -- A phone number is never replaced by another kind of identifier: replies go to it.
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
  -- Matched again with every batch while no person is linked: one may have been added since.
  matched as (
    select
      given.conversation_id,
      private.match_person(source.workspace_id, source.platform, given.participant_identifier) as person_id
    from given
    where given.person_id is null
  ),
  -- A person who is being renumbered or deleted at this moment is linked by the next batch: waiting for a
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
      sum(arrival.live_added)::integer as live_added,
      sum(arrival.inbound)::integer as inbound,
      sum(arrival.unread)::integer as unread,
      bool_or(arrival.is_answered) as is_answered,
      min(arrival.first_sent_at) as first_sent_at,
      max(arrival.last_sent_at) as last_sent_at,
      max(arrival.last_inbound_at) as last_inbound_at,
      -- All of a batch arrive at once. The list shows them in the order of their newest messages.
      now() - row_number() over (order by max(arrival.last_live_at) desc nulls last) * interval '1 microsecond'
        as arrived_at
    from unnest(arrivals) as arrival
    group by arrival.conversation_id
  ),
  -- What the list shows: the newest live message, or history where that is newer than all messages. A message of the
  -- business that is late does not cover a newer one.
  shown as (
    select distinct on (message.conversation_id) message.conversation_id, message.body
    from unnest(messages) as message
    join given using (conversation_id)
    where (message.is_live and message.body ->> 'direction' = 'inbound')
      or message.sent_at >= coalesce(given.last_message_at, '-infinity')
    order by message.conversation_id, message.is_live desc, message.sent_at desc, message.item_ordinal desc,
      message.message_ordinal desc
  ),
  appended as (
    select message.conversation_id,
      to_jsonb(array_agg(message.body order by message.sent_at, message.item_ordinal, message.message_ordinal))
        as messages
    from unnest(messages) as message
    where not message.is_late
      and message.conversation_id <> all (array(select head.conversation_id from unnest(heads) as head))
    group by message.conversation_id
  )
  update public.conversations as conversation
  set
    connection_id = case when arrived.live_added > 0 then source.id else coalesce(conversation.connection_id, source.id) end,
    participant_identifier = given.participant_identifier,
    participant_name = given.participant_name,
    person_id = linked.person_id,
    messages = case
      when head.messages is not null then head.messages
      when appended.messages is null then conversation.messages
      else private.with_messages(conversation.messages, appended.messages, arrived.first_sent_at)
    end,
    head_started_at = coalesce(head.started_at, least(conversation.head_started_at, arrived.first_sent_at)),
    message_count = conversation.message_count + coalesce(arrived.added, 0),
    archived_message_count = conversation.archived_message_count + coalesce(arrived.late_added, 0)
      + coalesce(head.sealed_count, 0),
    unread_count = case when arrived.is_answered then 0 else conversation.unread_count end + coalesce(arrived.unread, 0),
    inbound_arrivals = conversation.inbound_arrivals + coalesce(arrived.inbound, 0),
    last_inbound_at = greatest(conversation.last_inbound_at, private.past(arrived.last_inbound_at)),
    last_message_at = greatest(conversation.last_message_at, private.past(arrived.last_sent_at)),
    last_arrival_at = case when arrived.live_added > 0 then arrived.arrived_at else conversation.last_arrival_at end,
    last_message_preview = case
      when shown.body is null then conversation.last_message_preview
      else private.message_preview(shown.body)
    end,
    last_message_type = coalesce(shown.body ->> 'type', conversation.last_message_type),
    last_message_direction = coalesce(shown.body ->> 'direction', conversation.last_message_direction),
    last_message_id = coalesce(shown.body ->> 'id', conversation.last_message_id),
    status = case when becomes.is_reopened then 'open' else conversation.status end,
    closed_at = case when becomes.is_reopened then null else conversation.closed_at end,
    updated_at = now()
  from given
  join linked using (conversation_id)
  left join arrived using (conversation_id)
  left join appended using (conversation_id)
  left join shown using (conversation_id)
  left join unnest(heads) as head using (conversation_id)
  cross join lateral (
    select private.is_reopened(given.closed_at, arrived.inbound) as is_reopened
  ) as becomes
  where conversation.id = given.conversation_id
    -- A batch that brings nothing new writes nothing.
    and (
      arrived.added > 0
      or linked.person_id is distinct from conversation.person_id
      or given.participant_identifier <> conversation.participant_identifier
      or given.participant_name is distinct from conversation.participant_name
    );
end;
$$;
comment on function private.update_conversations(
  public.connections, private.ingest_item[], private.ingest_thread[], private.ingest_message[],
  private.ingest_arrival[], private.ingest_head[]
) is
  'Write what a batch brings into the rows of its conversations: participant, person, messages, counts, preview, '
  'status.';

create function private.collect_changes(
  source public.connections,
  items private.ingest_item[],
  threads private.ingest_thread[],
  messages private.ingest_message[]
)
returns private.ingest_change[]
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  waited private.ingest_change[];
  given private.ingest_change[];
begin
  if exists (
    select 1 from private.waiting_updates as waiting
    where waiting.conversation_id = any (array(select thread.conversation_id from unnest(threads) as thread))
  ) then
    with released as (
      delete from private.waiting_updates as waiting
      using unnest(messages) as message
      where waiting.conversation_id = message.conversation_id
        and waiting.message_id = message.body ->> 'id'
      returning waiting.conversation_id, waiting.message_id, waiting.message_digest, waiting.change
    )
    select array_agg(
      row(released.conversation_id, released.message_id, released.message_digest, released.change)::private.ingest_change
    )
    into waited
    from released;
  end if;
  -- Changes that name no conversation.
  if exists (
    select 1 from private.waiting_updates as waiting
    where waiting.workspace_id = source.workspace_id and waiting.conversation_id is null
  ) then
    with released as (
      delete from private.waiting_updates as waiting
      using unnest(messages) as message
      where waiting.conversation_id is null
        and waiting.message_digest
          = private.ledger_digest(source.workspace_id, source.platform, message.body ->> 'id')
        and private.is_for_conversation(source, waiting.change, message.conversation_id)
      returning message.conversation_id, waiting.message_id, waiting.message_digest, waiting.change
    )
    select waited || array_agg(
      row(released.conversation_id, released.message_id, released.message_digest, released.change)::private.ingest_change
    )
    into waited
    from released;
  end if;
  if exists (select 1 from unnest(items) as item where item.changes is not null) then
    select array_agg(
      row(
        thread.conversation_id, change.value ->> 'message_id',
        private.ledger_digest(source.workspace_id, source.platform, change.value ->> 'message_id'), change.value
      )::private.ingest_change
    )
    into given
    from unnest(items) as item
    join unnest(threads) as thread using (external_conversation_id)
    cross join lateral jsonb_array_elements(item.changes) as change (value);
  end if;
  return waited || given;
end;
$$;
comment on function private.collect_changes(
  public.connections, private.ingest_item[], private.ingest_thread[], private.ingest_message[]
) is
  'The changes a batch brings and those that waited for its new messages, which wait no longer; null where there is '
  'none.';

create function private.keep_unplaced_changes(
  source public.connections,
  items private.ingest_item[],
  threads private.ingest_thread[]
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform private.wait_for_messages(source.workspace_id, array_agg(
    row(
      null, change.value ->> 'message_id',
      private.ledger_digest(source.workspace_id, source.platform, change.value ->> 'message_id'),
      -- Ids of WhatsApp are unique, and its conversations have several names. Elsewhere another conversation may have a
      -- message with this id.
      case when source.platform = 'whatsapp' then change.value
        else change.value || jsonb_build_object('external_conversation_id', item.external_conversation_id)
      end
    )::private.ingest_change
  ))
  from unnest(keep_unplaced_changes.items) as item
  cross join lateral jsonb_array_elements(item.changes) as change (value)
  where item.external_conversation_id not in (
    select thread.external_conversation_id from unnest(keep_unplaced_changes.threads) as thread
  )
  having count(*) > 0;
end;
$$;
comment on function private.keep_unplaced_changes(
  public.connections, private.ingest_item[], private.ingest_thread[]
) is
  'Keep the changes of a batch whose conversation does not exist yet, until their messages arrive.';

create function private.touch_people(arrivals private.ingest_arrival[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- A person who is being changed or deleted at this moment is left out: waiting for a transaction that waits for
  -- these conversations would be a deadlock.
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
end;
$$;
comment on function private.touch_people(private.ingest_arrival[]) is
  'Move last_activity_at of the people behind the conversations of a batch.';

-- Storing ----------------------------------------------------------------------------------------

create function private.store_conversations(source public.connections, conversations jsonb)
returns table (item_ordinal bigint, id uuid, external_conversation_id text, outcome text, messages_added integer)
language plpgsql
volatile
set search_path = ''
-- Every look-up of the steps is by key, for any batch: planning it again for each of the first calls of every session
-- would cost more than running it. And a plan that is made while the tables are small must not be a scan of them,
-- because it is kept while they grow.
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
set enable_mergejoin = off
set random_page_cost = 0.1
as $$
#variable_conflict use_column
declare
  items private.ingest_item[];
  has_new_keys boolean;
  threads private.ingest_thread[];
  judged private.ingest_judgement;
  heads private.ingest_head[];
  changes private.ingest_change[];
begin
  items := private.read_items(source, store_conversations.conversations);
  has_new_keys := exists (select 1 from unnest(items) as item where item.new_key is not null);
  if has_new_keys and private.lock_new_contacts(source, items) then
    -- Another transaction may have created them meanwhile.
    items := private.read_items(source, store_conversations.conversations);
  end if;

  -- 1. The rows of the conversations, locked.
  threads := private.create_and_lock_conversations(source, items, has_new_keys);
  if has_new_keys then
    perform private.name_conversations(source, items, threads);
  end if;

  if cardinality(items) = 1 and cardinality(threads) = 1
    and private.append_message(source, items[1], threads[1])
  then
    return query
    select items[1].ordinal, threads[1].conversation_id, items[1].external_conversation_id, 'updated'::text, 1;
    return;
  end if;

  -- Elements with nothing but changes have nothing of steps 2 to 4.
  if exists (select 1 from unnest(items) as item where private.creates_conversation(item)) then
    -- 2. The ledger decides what is new.
    judged := private.judge_messages(source, items, threads);

    -- 3. Archive pages of long conversations.
    if judged.arrivals is not null then
      heads := private.archive_messages(source.workspace_id, threads, judged.messages, judged.arrivals);
    end if;

    -- 4. The conversations.
    perform private.update_conversations(source, items, threads, judged.messages, judged.arrivals, heads);
  end if;

  -- 5. Messages members sent whose outcome is unknown.
  if exists (
    select 1 from public.outbox_messages as waiting
    where waiting.conversation_id = any (array(select thread.conversation_id from unnest(threads) as thread))
      and waiting.state in ('queued', 'sending', 'unconfirmed')
  ) then
    perform private.settle_arrivals(judged.messages);
  end if;

  -- 6. Statuses, reactions, edits, deletions and media.
  changes := judged.repeated || private.collect_changes(source, items, threads, judged.messages);
  if changes is not null then
    perform private.apply_changes(changes);
  end if;
  if cardinality(threads) < cardinality(items) then
    perform private.keep_unplaced_changes(source, items, threads);
  end if;

  -- 7. The index of the search in messages.
  if judged.messages is not null then
    perform private.queue_for_index(source.workspace_id, judged.messages);
  end if;

  -- 8. The people behind the conversations.
  if judged.arrivals is not null then
    perform private.touch_people(judged.arrivals);
  end if;

  return query
  select
    item.ordinal,
    thread.conversation_id,
    item.external_conversation_id,
    case
      when thread.is_created
        and row_number() over (partition by thread.conversation_id order by item.ordinal) = 1 then 'created'
      when arrival.added > 0 then 'updated'
      else 'no_new_messages'
    end,
    coalesce(arrival.added, 0)
  from unnest(items) as item
  left join unnest(threads) as thread using (external_conversation_id)
  left join unnest(judged.arrivals) as arrival on arrival.item_ordinal = item.ordinal;
end;
$$;
comment on function private.store_conversations(public.connections, jsonb) is
  'Store a batch as a whole: one row per element, or an exception and nothing stored. Called by ingest_conversations '
  'alone.';

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
    raise exception 'connection_not_found'
      using errcode = 'PT404', hint = 'Pass the id of a row of public.connections.';
  end if;
  if jsonb_typeof(ingest_conversations.conversations) is distinct from 'array' then
    raise exception 'conversations must be a JSON array' using errcode = '22023';
  end if;

  begin
    select jsonb_agg(to_jsonb(stored)) into results
    from private.store_conversations(source, ingest_conversations.conversations) as stored;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    -- An element of the batch cannot be stored. Callers validate first, so this is rare. Each element is tried
    -- alone and rolled back, which frees its locks; then the good ones are stored as one batch, with all locks in
    -- their order.
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

  -- A busy connection takes many batches at once. A batch that finds the row locked skips it instead of waiting:
  -- the other one is writing the same moment.
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
  'Store a batch of conversations of a connection and return one row per element, in order: outcome created, updated, '
  'no_new_messages or error; the error text begins with its SQLSTATE. For service_role only. The shape of an element '
  'is IngestConversation in supabase/functions/_shared/contracts/ingest_conversation.ts.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.conversation_with_key(uuid, text, text),
  private.thread_id_of(public.connections, text),
  private.phone_aliases(public.connections, text, text),
  private.clean_name(text),
  private.read_items(public.connections, jsonb),
  private.lock_new_contacts(public.connections, private.ingest_item[]),
  private.creates_conversation(private.ingest_item),
  private.create_and_lock_conversations(public.connections, private.ingest_item[], boolean),
  private.name_conversations(public.connections, private.ingest_item[], private.ingest_thread[]),
  private.latest_sent_at(),
  private.arrival_time(timestamptz),
  private.past(timestamptz),
  private.arrived_message(jsonb, boolean),
  private.judge_messages(public.connections, private.ingest_item[], private.ingest_thread[]),
  private.update_conversations(
    public.connections, private.ingest_item[], private.ingest_thread[], private.ingest_message[],
    private.ingest_arrival[], private.ingest_head[]
  ),
  private.collect_changes(
    public.connections, private.ingest_item[], private.ingest_thread[], private.ingest_message[]
  ),
  private.keep_unplaced_changes(public.connections, private.ingest_item[], private.ingest_thread[]),
  private.touch_people(private.ingest_arrival[]),
  private.store_conversations(public.connections, jsonb),
  public.ingest_conversations(uuid, jsonb)
from public, anon, authenticated, service_role;
grant execute on function
  private.conversation_with_key(uuid, text, text),
  private.thread_id_of(public.connections, text),
  private.phone_aliases(public.connections, text, text),
  private.clean_name(text),
  private.read_items(public.connections, jsonb),
  private.lock_new_contacts(public.connections, private.ingest_item[]),
  private.creates_conversation(private.ingest_item),
  private.create_and_lock_conversations(public.connections, private.ingest_item[], boolean),
  private.name_conversations(public.connections, private.ingest_item[], private.ingest_thread[]),
  private.latest_sent_at(),
  private.arrival_time(timestamptz),
  private.past(timestamptz),
  private.arrived_message(jsonb, boolean),
  private.judge_messages(public.connections, private.ingest_item[], private.ingest_thread[]),
  private.update_conversations(
    public.connections, private.ingest_item[], private.ingest_thread[], private.ingest_message[],
    private.ingest_arrival[], private.ingest_head[]
  ),
  private.collect_changes(
    public.connections, private.ingest_item[], private.ingest_thread[], private.ingest_message[]
  ),
  private.keep_unplaced_changes(public.connections, private.ingest_item[], private.ingest_thread[]),
  private.touch_people(private.ingest_arrival[]),
  private.store_conversations(public.connections, jsonb),
  public.ingest_conversations(uuid, jsonb)
to service_role;
