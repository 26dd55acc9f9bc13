-- The index of the search in messages: what waits to be indexed, and blocks of words of what is.
--
-- Every function that stores or changes the text of a message puts its time into the queue, in the same transaction. index_messages()
-- makes blocks of what is in the queue, minutes later and many at a time. A search reads both, so that nothing is missed
-- in between. The messages are the only truth: blocks can be made again from them (docs/adr/0035).

create table private.message_index_queue (
  id bigint generated always as identity primary key,
  workspace_id uuid not null,
  conversation_id uuid not null,
  from_sent_at timestamptz not null,
  to_sent_at timestamptz not null,
  queued_at timestamptz not null default now(),
  attempts smallint not null default 0,
  is_indexed boolean not null default false
);
comment on table private.message_index_queue is
  'Spans of conversations with messages that are new or changed and not indexed yet. No foreign keys: their checks '
  'would cost as much as the row; private.delete_conversation_records() stands in for them.';
comment on column private.message_index_queue.id is 'Primary key.';
comment on column private.message_index_queue.workspace_id is 'The workspace.';
comment on column private.message_index_queue.conversation_id is 'The conversation.';
comment on column private.message_index_queue.from_sent_at is 'sent_at of the first message of the span.';
comment on column private.message_index_queue.to_sent_at is 'sent_at of the last message of the span.';
comment on column private.message_index_queue.queued_at is 'When it was queued, or when indexing it last failed.';
comment on column private.message_index_queue.attempts is
  'How often indexing it has failed. Its messages are found all the same, by a search that reads them.';
comment on column private.message_index_queue.is_indexed is
  'Its messages have blocks already, which are only made again: a search does not read them.';

create index message_index_queue_workspace_id_conversation_id_idx
  on private.message_index_queue (workspace_id, conversation_id);
comment on index private.message_index_queue_workspace_id_conversation_id_idx is
  'What a search in a workspace, or in one of its conversations, reads besides the blocks; and what is left of a '
  'conversation that is deleted.';

grant all on private.message_index_queue to service_role;
alter table private.message_index_queue enable row level security;

create table private.message_blocks (
  id bigint generated always as identity primary key,
  workspace_id uuid not null,
  conversation_id uuid not null,
  first_sent_at timestamptz not null,
  last_sent_at timestamptz not null,
  sent_ats timestamptz[] not null,
  words text not null
);
comment on table private.message_blocks is
  'Words of up to 50 neighbouring messages of a conversation, to search in. Blocks of a conversation do not overlap in '
  'time, but for an instant with more messages than fit. Written by index_messages() alone. No foreign keys, as the queue.';
comment on column private.message_blocks.id is 'Primary key.';
comment on column private.message_blocks.workspace_id is 'The workspace.';
comment on column private.message_blocks.conversation_id is 'The conversation.';
comment on column private.message_blocks.first_sent_at is 'sent_at of the first message.';
comment on column private.message_blocks.last_sent_at is 'sent_at of the last message.';
comment on column private.message_blocks.sent_ats is 'sent_at of each message, oldest first.';
comment on column private.message_blocks.words is
  'A line for each message in the same order, from private.message_words. Kept as text, which Postgres compresses; a '
  'stored tsvector would take twice the space.';

create function private.workspace_word(workspace_id uuid)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- No word of a message has this sign.
  return '=' || workspace_id;
end;
$$;
comment on function private.workspace_word(uuid) is 'The word that all blocks of a workspace have in their index.';

create function private.words_vector(workspace_id uuid, words text)
returns tsvector
language plpgsql
immutable
parallel safe
-- What it is, next to one operator.
cost 10000
set search_path = ''
as $$
begin
  return array_to_tsvector(
    array_remove(string_to_array(translate(words, E'\n', ' '), ' '), '') || private.workspace_word(workspace_id)
  );
end;
$$;
comment on function private.words_vector(uuid, text) is
  'The words of a block as the index has them. The workspace is one of them: with a column of its own, Postgres could ask an '
  'index of that column, and make the words of every block of a workspace that its statistics do not know yet.';

create index message_blocks_words_idx on private.message_blocks
  using gin (private.words_vector(workspace_id, words)) with (fastupdate = on, gin_pending_list_limit = 1024);
comment on index private.message_blocks_words_idx is
  'Blocks of a workspace with given words. The workspace is one of the words, so those of others are not read.';

create index message_blocks_workspace_id_last_sent_at_idx
  on private.message_blocks (workspace_id, last_sent_at desc, id desc) include (first_sent_at);
comment on index private.message_blocks_workspace_id_last_sent_at_idx is 'Blocks of a workspace, newest first.';

create index message_blocks_conversation_id_last_sent_at_idx
  on private.message_blocks (conversation_id, last_sent_at);
comment on index private.message_blocks_conversation_id_last_sent_at_idx is
  'Blocks of a conversation: to search in it, to replace them, to delete them with it.';

grant all on private.message_blocks to service_role;
alter table private.message_blocks enable row level security;

-- The words of a message -------------------------------------------------------------------------

create function private.message_text(message jsonb)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  found text := message ->> 'content';
  metadata jsonb;
begin
  -- A deleted message of a workspace that keeps them is not for everybody's search.
  if message ? 'deleted_at' then
    return '';
  end if;
  if message ? 'metadata' then
    metadata := message -> 'metadata';
    if metadata ?| '{file_name,transcript,interactive}' then
      found := concat_ws(
        E'\n', found, metadata ->> 'file_name', metadata ->> 'transcript',
        case when metadata ? 'interactive' then (
          select string_agg(title.value #>> '{}', E'\n')
          from jsonb_path_query(metadata -> 'interactive', 'strict $.**.title ? (@.type() == "string")', '{}', true)
            as title (value)
        ) end
      );
    end if;
  end if;
  return found;
end;
$$;
comment on function private.message_text(jsonb) is
  'Everything of a message that can be searched: its text, the name of its file, its transcript, the titles of its '
  'buttons and rows. Nothing of a deleted one.';

create function private.message_marks(direction text, type text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case direction when 'inbound' then '=in' else '=out' end || case type
    when 'text' then ''
    when 'location' then ' =location'
    else ' =file =' || type
  end;
end;
$$;
comment on function private.message_marks(text, text) is
  'What a search can be filtered by, in the form of words that no text has.';

create function private.message_words(message jsonb, folded text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return ' ' || private.message_marks(message ->> 'direction', message ->> 'type') || private.text_words(folded);
end;
$$;
comment on function private.message_words(jsonb, text) is
  'The line of a message in a block: its marks and the words of its text, which is given in the form of private.folded, '
  'with a space before and after each.';

create type private.dated_message as (
  sent_at timestamptz,
  place bigint,
  message jsonb
);
comment on type private.dated_message is 'A message with its time. place: its order among those of one time.';

create function private.messages_between(conversation_id uuid, from_sent_at timestamptz, to_sent_at timestamptz)
returns setof private.dated_message
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select (stored.value ->> 'sent_at')::timestamptz, archive.part * 1000000::bigint + stored.ordinal, stored.value
  from public.conversation_archives as archive
  cross join lateral jsonb_array_elements(archive.messages) with ordinality as stored (value, ordinal)
  where archive.conversation_id = messages_between.conversation_id
    and archive.first_sent_at between (
      -- Pages do not overlap: the one before the span may reach into it.
      select coalesce(max(covering.first_sent_at), '-infinity')
      from public.conversation_archives as covering
      where covering.conversation_id = messages_between.conversation_id
        and covering.first_sent_at <= messages_between.from_sent_at
    ) and messages_between.to_sent_at
    and (stored.value ->> 'sent_at')::timestamptz between messages_between.from_sent_at and messages_between.to_sent_at
  union all
  select (stored.value ->> 'sent_at')::timestamptz, 1000000000000 + stored.ordinal, stored.value
  from public.conversations as conversation
  cross join lateral jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
  where conversation.id = messages_between.conversation_id
    and conversation.last_message_at is not null
    and messages_between.to_sent_at >= coalesce(conversation.head_started_at, '-infinity')
    and (stored.value ->> 'sent_at')::timestamptz between messages_between.from_sent_at and messages_between.to_sent_at;
end;
$$;
comment on function private.messages_between(uuid, timestamptz, timestamptz) is
  'The messages of a conversation in a span of time, both ends included, under the rights of the caller.';

-- The queue --------------------------------------------------------------------------------------

create function private.queue_for_index(workspace_id uuid, messages private.ingest_message[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- Also where the workspace has no search in messages: index_messages() drops it then. Asking here could miss what is
  -- stored in the moment in which the search is switched on.
  -- Late messages apart: between them and the others may lie all of a long conversation.
  insert into private.message_index_queue (workspace_id, conversation_id, from_sent_at, to_sent_at)
  select queue_for_index.workspace_id, message.conversation_id, min(message.sent_at), max(message.sent_at)
  from unnest(queue_for_index.messages) as message
  group by message.conversation_id, message.is_late;
end;
$$;
comment on function private.queue_for_index(uuid, private.ingest_message[]) is
  'Put new messages into the queue of the index.';

create function private.queue_changes_for_index(changes private.ingest_change[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  with changed as (
    select distinct conversation.workspace_id, conversation.id as conversation_id, key.sent_at
    from unnest(queue_changes_for_index.changes) as given
    join private.message_keys as key
      on key.conversation_id = given.conversation_id and key.message_digest = given.message_digest
    join public.conversations as conversation on conversation.id = given.conversation_id
  ),
  -- Their words go at once. A block that is just being replaced is left to that.
  stale as (
    select block.id, changed.sent_at
    from changed
    join private.message_blocks as block
      on block.conversation_id = changed.conversation_id
      and block.last_sent_at >= changed.sent_at
      and block.first_sent_at <= changed.sent_at
    for update of block skip locked
  ),
  gone as (
    delete from private.message_blocks as block
    where block.id in (select stale.id from stale)
    returning block.workspace_id, block.conversation_id, block.first_sent_at, block.last_sent_at
  )
  insert into private.message_index_queue (workspace_id, conversation_id, from_sent_at, to_sent_at)
  select changed.workspace_id, changed.conversation_id, changed.sent_at, changed.sent_at from changed
  union all
  select gone.workspace_id, gone.conversation_id, gone.first_sent_at, gone.last_sent_at from gone;
end;
$$;
comment on function private.queue_changes_for_index(private.ingest_change[]) is
  'Take messages whose text has changed out of the index, and put them into its queue.';

-- Indexing ---------------------------------------------------------------------------------------

create type private.index_span as (
  workspace_id uuid,
  conversation_id uuid,
  from_sent_at timestamptz,
  to_sent_at timestamptz
);
comment on type private.index_span is 'A span of a conversation to index again, both ends included.';

create function private.widened_spans(spans private.index_span[])
returns private.index_span[]
language plpgsql
stable
set search_path = ''
as $$
declare
  block_size constant integer := 50;
begin
  -- A block that a span touches is replaced as a whole, and so are small blocks before it while they are no larger than
  -- what comes: a conversation that grows message by message has a handful of blocks besides full ones, and each message
  -- is indexed again a few times only.
  return array(
    with recursive given as (
      select span.workspace_id, span.conversation_id, span.from_sent_at, span.to_sent_at,
        max(span.to_sent_at) over (
          partition by span.conversation_id order by span.from_sent_at, span.to_sent_at
          rows between unbounded preceding and 1 preceding
        ) as end_before
      from unnest(widened_spans.spans) as span
    ),
    -- Spans with nothing indexed between them are one.
    parted as (
      select given.*,
        sum(case when given.end_before is null or exists (
          select from private.message_blocks as between_them
          where between_them.conversation_id = given.conversation_id
            and between_them.last_sent_at between given.end_before and given.from_sent_at
            and between_them.first_sent_at > given.end_before
        ) then 1 else 0 end) over (
          partition by given.conversation_id order by given.from_sent_at, given.to_sent_at
        ) as part
      from given
    ),
    joined as (
      select parted.workspace_id, parted.conversation_id, min(parted.from_sent_at) as from_sent_at,
        max(parted.to_sent_at) as to_sent_at, count(*) as spans
      from parted
      group by parted.workspace_id, parted.conversation_id, parted.part
    ),
    touched as (
      select span.workspace_id, span.conversation_id,
        least(span.from_sent_at, min(block.first_sent_at)) as from_sent_at,
        greatest(span.to_sent_at, max(block.last_sent_at)) as to_sent_at,
        coalesce(sum(cardinality(block.sent_ats)), 0) + span.spans as messages
      from joined as span
      left join private.message_blocks as block
        on block.conversation_id = span.conversation_id
        and block.last_sent_at >= span.from_sent_at
        and block.first_sent_at <= span.to_sent_at
      group by span.workspace_id, span.conversation_id, span.from_sent_at, span.to_sent_at, span.spans
    ),
    grown as (
      select touched.* from touched
      union all
      select grown.workspace_id, grown.conversation_id, earlier.first_sent_at, grown.to_sent_at,
        grown.messages + cardinality(earlier.sent_ats)
      from grown
      cross join lateral (
        select block.first_sent_at, block.sent_ats
        from private.message_blocks as block
        where block.conversation_id = grown.conversation_id and block.last_sent_at < grown.from_sent_at
        order by block.last_sent_at desc
        limit 1
      ) as earlier
      where cardinality(earlier.sent_ats) <= least(grown.messages, block_size - 1)
    )
    select row(whole.workspace_id, whole.conversation_id, lower(part), upper(part))::private.index_span
    from (
      select grown.workspace_id, grown.conversation_id,
        range_agg(tstzrange(grown.from_sent_at, grown.to_sent_at, '[]')) as parts
      from grown
      group by grown.workspace_id, grown.conversation_id
    ) as whole
    cross join lateral unnest(whole.parts) as part
  );
end;
$$;
comment on function private.widened_spans(private.index_span[]) is
  'Spans that together cover the given ones and whole blocks, without overlaps.';

create function private.index_spans(spans private.index_span[])
returns bigint
language plpgsql
volatile
set search_path = ''
-- Planned once for every run: the tables grow, the look-ups stay.
set plan_cache_mode = force_generic_plan
set jit = off
set enable_seqscan = off
as $$
declare
  block_size constant integer := 50;
  -- A tsvector ends at 1 MB.
  block_bytes constant integer := 200000;
  whole constant private.index_span[] := private.widened_spans(index_spans.spans);
  indexed bigint;
begin
  delete from private.message_blocks as block
  using unnest(whole) as span
  where block.conversation_id = span.conversation_id
    and block.last_sent_at >= span.from_sent_at
    and block.first_sent_at <= span.to_sent_at;

  with line as (
    select span.workspace_id, span.conversation_id, span.from_sent_at, stored.sent_at, stored.place, worded.words,
      octet_length(worded.words) as bytes
    from unnest(whole) as span
    cross join lateral private.messages_between(span.conversation_id, span.from_sent_at, span.to_sent_at) as stored
    cross join lateral (
      select private.message_words(stored.message, private.folded(private.message_text(stored.message))) as words
      -- Once, and not for each use of it.
      offset 0
    ) as worded
  ),
  numbered as (
    select line.*,
      row_number() over every as number,
      sum(line.bytes) over every as bytes_until,
      row_number() over of_instant as instant_number,
      sum(line.bytes) over of_instant as instant_bytes_until,
      count(*) over instant > block_size or sum(line.bytes) over instant > block_bytes as is_crowded
    from line
    window
      every as (
        partition by line.conversation_id, line.from_sent_at order by line.sent_at, line.place
        rows unbounded preceding
      ),
      instant as (partition by line.conversation_id, line.from_sent_at, line.sent_at),
      of_instant as (
        partition by line.conversation_id, line.from_sent_at, line.sent_at order by line.place
        rows unbounded preceding
      )
  ),
  -- The messages of an instant are in one block, so that blocks do not overlap. An instant with more than a block of
  -- them has blocks of its own.
  cut as (
    select numbered.*,
      count(*) filter (where numbered.is_crowded and numbered.instant_number = 1) over (
        partition by numbered.conversation_id, numbered.from_sent_at order by numbered.number
      ) as crowds,
      case
        when numbered.is_crowded then (numbered.instant_number - 1) / block_size
        else (numbered.number - numbered.instant_number) / block_size
      end as share,
      case
        when numbered.is_crowded then (numbered.instant_bytes_until - numbered.bytes) / block_bytes
        else (numbered.bytes_until - numbered.instant_bytes_until) / block_bytes
      end as weight
    from numbered
  ),
  added as (
    insert into private.message_blocks
      (workspace_id, conversation_id, first_sent_at, last_sent_at, sent_ats, words)
    select cut.workspace_id, cut.conversation_id, min(cut.sent_at), max(cut.sent_at),
      array_agg(cut.sent_at order by cut.number), string_agg(cut.words, E'\n' order by cut.number)
    from cut
    group by cut.workspace_id, cut.conversation_id, cut.from_sent_at, cut.crowds, cut.is_crowded, cut.share, cut.weight
    returning cardinality(sent_ats) as messages
  )
  select coalesce(sum(added.messages), 0) into indexed from added;
  return indexed;
end;
$$;
comment on function private.index_spans(private.index_span[]) is
  'Make the blocks of spans again. Returns the number of messages in them. Their conversations are locked by the caller.';

create function private.index_lock()
returns bigint
language sql
immutable
set search_path = ''
as $$
  select hashtextextended('index_messages', 0);
$$;
comment on function private.index_lock() is 'The advisory lock of index_messages(): one at a time.';

create function private.index_queued(ids bigint[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  spans private.index_span[];
begin
  -- What is being deleted or switched off is left for later. Transactions that store messages do not wait for
  -- these locks, nor these for them.
  with allowed as (
    select workspace.id, workspace.has_message_search
    from public.workspaces as workspace
    where workspace.id in (
      select queued.workspace_id from private.message_index_queue as queued where queued.id = any (index_queued.ids)
    )
    order by workspace.id
    for share skip locked
  ),
  held as (
    select conversation.id, allowed.has_message_search
    from public.conversations as conversation
    join allowed on allowed.id = conversation.workspace_id
    where conversation.id in (
      select queued.conversation_id from private.message_index_queue as queued
      where queued.id = any (index_queued.ids)
    )
    order by conversation.id
    for key share of conversation skip locked
  ),
  done as (
    delete from private.message_index_queue as queued
    using held
    where queued.id = any (index_queued.ids) and queued.conversation_id = held.id
    returning held.has_message_search, queued.workspace_id, queued.conversation_id, queued.from_sent_at,
      queued.to_sent_at
  )
  select array_agg(
    row(done.workspace_id, done.conversation_id, done.from_sent_at, done.to_sent_at)::private.index_span
  )
  into spans
  from done
  where done.has_message_search;
  return case when spans is null then 0 else private.index_spans(spans) end;
end;
$$;
comment on function private.index_queued(bigint[]) is 'Index what some rows of the queue name, and take them out of it.';

create function public.index_messages(
  max_rows integer default 1000,
  min_age interval default '3 minutes',
  workspace_id uuid default null
)
returns table (rows_done bigint, messages bigint, has_more boolean)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  -- A workspace with more than this waiting is indexed at once: a search reads all that waits.
  most_waiting constant integer := 200;
  due bigint[];
  one bigint[];
begin
  if not pg_try_advisory_xact_lock(private.index_lock()) then
    return;
  end if;
  due := array(
    select queued.id
    from private.message_index_queue as queued
    where queued.queued_at <= now() - index_messages.min_age * (1 + queued.attempts * 20)
      and (index_messages.workspace_id is null or queued.workspace_id = index_messages.workspace_id)
    order by queued.id
    limit index_messages.max_rows
  );
  if cardinality(due) < index_messages.max_rows and index_messages.workspace_id is null then
    due := due || array(
      select queued.id
      from (
        select waiting.workspace_id from private.message_index_queue as waiting
        where not waiting.is_indexed
        group by waiting.workspace_id having count(*) > most_waiting
      ) as busy
      join private.message_index_queue as queued using (workspace_id)
      where queued.attempts = 0 and not queued.is_indexed and queued.id <> all (due)
      order by queued.id
      limit index_messages.max_rows - cardinality(due)
    );
  end if;
  rows_done := cardinality(due);
  has_more := rows_done >= index_messages.max_rows;
  begin
    messages := private.index_queued(due);
  -- Of any kind: the row waits longer every time, and the health view says so.
  exception when others then
    -- A row that cannot be indexed does not hold up the others: each alone, and the bad one waits longer every time.
    messages := 0;
    for one in
      select array_agg(queued.id) from private.message_index_queue as queued
      where queued.id = any (due) group by queued.conversation_id
    loop
      begin
        messages := messages + private.index_queued(one);
      exception when others then
        raise warning 'Messages could not be indexed: %', sqlstate;
        update private.message_index_queue as queued
        set attempts = least(queued.attempts + 1, 1000), queued_at = now()
        where queued.id = any (one);
      end;
    end loop;
  end;
  return next;
end;
$$;
comment on function public.index_messages(integer, interval, uuid) is
  'Index what waits in the queue: rows older than min_age, of one workspace or of all, and everything of workspaces '
  'with more than 200, at most max_rows. One at a time: no row while another session indexes. Called by the schedule. For service_role only.';

create function private.queue_conversations_for_index(
  workspace_id uuid,
  after_id uuid,
  max_conversations integer,
  is_indexed boolean
)
returns table (queued bigint, last_id uuid)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  ids constant uuid[] := array(
    select conversation.id
    from public.conversations as conversation
    where conversation.workspace_id = queue_conversations_for_index.workspace_id
      and conversation.id > queue_conversations_for_index.after_id
    order by conversation.id
    limit queue_conversations_for_index.max_conversations
  );
begin
  -- A row for each head and each page, so that no row is much work.
  insert into private.message_index_queue (workspace_id, conversation_id, from_sent_at, to_sent_at, is_indexed)
  select conversation.workspace_id, conversation.id, coalesce(conversation.head_started_at, '-infinity'), 'infinity',
    queue_conversations_for_index.is_indexed
  from public.conversations as conversation
  where conversation.id = any (ids) and conversation.message_count > 0
  union all
  select archive.workspace_id, archive.conversation_id, archive.first_sent_at, archive.last_sent_at,
    queue_conversations_for_index.is_indexed
  from public.conversation_archives as archive
  where archive.conversation_id = any (ids);
  get diagnostics queued = row_count;
  last_id := ids[cardinality(ids)];
  return next;
end;
$$;
comment on function private.queue_conversations_for_index(uuid, uuid, integer, boolean) is
  'Put all messages of conversations of a workspace into the queue of the index, in the order of their ids, after the '
  'given one. is_indexed: as that column of the queue. Returns the number of rows and the last id, null at the end.';

create function public.rebuild_message_index(
  workspace_id uuid,
  after_id uuid default '00000000-0000-0000-0000-000000000000',
  max_conversations integer default 10000
)
returns table (queued bigint, last_id uuid)
language plpgsql
volatile
set search_path = ''
as $$
begin
  if not (
    select workspace.has_message_search from public.workspaces as workspace
    where workspace.id = rebuild_message_index.workspace_id
  ) then
    return;
  end if;
  return query
  select step.queued, step.last_id
  from private.queue_conversations_for_index(
    rebuild_message_index.workspace_id,
    rebuild_message_index.after_id,
    rebuild_message_index.max_conversations,
    exists (
      select from private.message_blocks as block where block.workspace_id = rebuild_message_index.workspace_id
    )
  ) as step;
end;
$$;
comment on function public.rebuild_message_index(uuid, uuid, integer) is
  'Put all messages of a workspace into the queue, to make its blocks again; a search uses the old ones meanwhile. '
  'max_conversations a call: pass last_id as after_id until it is null. No row where the search in messages is switched '
  'off. For service_role only; deno task search:rebuild calls it and index_messages().';

create function private.forget_message_index()
returns trigger
language plpgsql
-- Definer because an owner who switches the search off has no rights on the blocks.
security definer
set search_path = ''
as $$
begin
  if new.has_message_search then
    perform private.queue_conversations_for_index(new.id, '00000000-0000-0000-0000-000000000000', null, false);
  else
    delete from private.message_index_queue as queued where queued.workspace_id = new.id;
    delete from private.message_blocks as block where block.workspace_id = new.id;
  end if;
  return null;
end;
$$;
comment on function private.forget_message_index() is
  'Trigger: deletes the index of a workspace that switches its search in messages off, and queues its messages when it '
  'switches it on.';

create trigger workspaces_forget_message_index
  after update of has_message_search on public.workspaces
  for each row when (old.has_message_search is distinct from new.has_message_search)
  execute function private.forget_message_index();

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.workspace_word(uuid),
  private.words_vector(uuid, text),
  private.message_text(jsonb),
  private.message_marks(text, text),
  private.message_words(jsonb, text),
  private.messages_between(uuid, timestamptz, timestamptz),
  private.queue_for_index(uuid, private.ingest_message[]),
  private.queue_changes_for_index(private.ingest_change[]),
  private.widened_spans(private.index_span[]),
  private.index_spans(private.index_span[]),
  private.index_lock(),
  private.index_queued(bigint[]),
  public.index_messages(integer, interval, uuid),
  private.queue_conversations_for_index(uuid, uuid, integer, boolean),
  public.rebuild_message_index(uuid, uuid, integer),
  private.forget_message_index()
from public, anon, authenticated, service_role;
grant execute on function
  private.workspace_word(uuid),
  private.words_vector(uuid, text),
  private.message_text(jsonb),
  private.message_marks(text, text),
  private.message_words(jsonb, text),
  private.messages_between(uuid, timestamptz, timestamptz),
  private.queue_for_index(uuid, private.ingest_message[]),
  private.queue_changes_for_index(private.ingest_change[]),
  private.widened_spans(private.index_span[]),
  private.index_spans(private.index_span[]),
  private.index_lock(),
  private.index_queued(bigint[]),
  public.index_messages(integer, interval, uuid),
  private.queue_conversations_for_index(uuid, uuid, integer, boolean),
  public.rebuild_message_index(uuid, uuid, integer)
to service_role;
grant execute on function
  private.message_text(jsonb),
  private.message_marks(text, text),
  private.message_words(jsonb, text),
  private.messages_between(uuid, timestamptz, timestamptz)
to authenticated;
