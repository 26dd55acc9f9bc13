-- Search in the messages of a workspace. What can be found, and how, is in 15_search_words.sql and 54_message_index.sql.

create type private.message_place as (
  sent_at timestamptz,
  conversation_id uuid
);
comment on type private.message_place is
  'Where one or more messages are: a time in a conversation. Places have an order, which is that of the results.';

create type private.conversation_filter as (
  conversation_id uuid,
  platform text,
  connection_id uuid,
  person_id uuid,
  assigned_to uuid,
  is_unassigned boolean,
  tag_id uuid,
  status text
);
comment on type private.conversation_filter is 'Which conversations to search in; null fields do not matter.';

create function private.filtered_conversations(
  workspace_id uuid,
  wanted private.conversation_filter,
  ids uuid[],
  max_conversations integer default null
)
returns setof uuid
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select conversation.id
  from public.conversations as conversation
  where conversation.workspace_id = filtered_conversations.workspace_id
    and (filtered_conversations.ids is null or conversation.id = any (filtered_conversations.ids))
    and (wanted.conversation_id is null or conversation.id = wanted.conversation_id)
    and (wanted.platform is null or conversation.platform = wanted.platform)
    and (wanted.connection_id is null or conversation.connection_id = wanted.connection_id)
    and (wanted.person_id is null or conversation.person_id = wanted.person_id)
    and (wanted.assigned_to is null or conversation.assigned_to = wanted.assigned_to)
    and (wanted.is_unassigned is not true or conversation.assigned_to is null)
    and (wanted.status is null or conversation.status = wanted.status)
    and (
      wanted.tag_id is null
      or exists (
        select from public.conversation_tags as tagged
        where tagged.workspace_id = conversation.workspace_id
          and tagged.conversation_id = conversation.id
          and tagged.tag_id = wanted.tag_id
      )
    )
  limit filtered_conversations.max_conversations;
end;
$$;
comment on function private.filtered_conversations(uuid, private.conversation_filter, uuid[], integer) is
  'The conversations of a workspace that fit a filter, at most max_conversations of them: of the given ones, or of all where '
  'ids is null.';

create function private.filtered_places(
  workspace_id uuid,
  wanted private.conversation_filter,
  places private.message_place[]
)
returns private.message_place[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return array(
    select place::private.message_place
    from unnest(filtered_places.places) as place
    where place.conversation_id in (
      select private.filtered_conversations(
        filtered_places.workspace_id, wanted,
        array(select distinct known.conversation_id from unnest(filtered_places.places) as known)
      )
    )
  );
end;
$$;
comment on function private.filtered_places(uuid, private.conversation_filter, private.message_place[]) is
  'Those of the places whose conversations fit a filter.';

create function private.next_blocks(
  workspace_id uuid,
  from_sent_at timestamptz,
  to_sent_at timestamptz,
  before_at timestamptz,
  before_id bigint,
  max_blocks integer
)
returns table (id bigint, last_sent_at timestamptz)
language plpgsql
stable
set search_path = ''
-- Read from the index in its order, until there are enough. Without statistics Postgres would sort all of a workspace.
-- What is forbidden seems so expensive that JIT would compile the statement.
set jit = off
set enable_sort = off
set enable_bitmapscan = off
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  return query
  select block.id, block.last_sent_at
  from private.message_blocks as block
  where block.workspace_id = next_blocks.workspace_id
    and (block.last_sent_at, block.id) < (next_blocks.before_at, next_blocks.before_id)
    and block.first_sent_at <= next_blocks.to_sent_at
    and block.last_sent_at >= next_blocks.from_sent_at
  order by block.last_sent_at desc, block.id desc
  limit next_blocks.max_blocks;
end;
$$;
comment on function private.next_blocks(uuid, timestamptz, timestamptz, timestamptz, bigint, integer) is
  'The newest blocks of a workspace before a place in their order, that have messages of a span of time.';

create function private.find_message_places(
  workspace_id uuid,
  query private.search_query,
  wanted private.conversation_filter,
  from_sent_at timestamptz,
  to_sent_at timestamptz,
  before private.message_place,
  max_places integer
)
returns setof private.message_place
language plpgsql
stable
-- Definer because members have no rights on the index. It returns places only, and only of a workspace of the caller.
security definer
set search_path = ''
-- The words and the size of the workspace decide.
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
declare
  -- A few of the newest blocks tell whether the words are frequent. Where they are not, the index of words is asked.
  first_blocks constant integer := 20;
  batch_size integer := first_blocks;
  -- A filter that leaves no more conversations than these is worth a look into each.
  few_conversations constant integer := 1000;
  latest constant timestamptz := least(find_message_places.to_sent_at, (find_message_places.before).sent_at);
  has_filter constant boolean := wanted is distinct from row(null, null, null, null, null, null, null, null)
    ::private.conversation_filter;
  -- Of several words, the longest that a line must have, and those that it does not contain itself: most blocks that have
  -- all words have them in different messages, and to look only around one word takes a third of the time.
  lead constant text := (
    select btrim(pattern, '%') from unnest(query.patterns) as pattern order by length(pattern) desc, pattern limit 1
  );
  others constant text[] := array(select pattern from unnest(query.patterns) as pattern where lead not like pattern);
  few uuid[];
  hits private.message_place[];
  found private.message_place[];
  candidates bigint[];
  batch bigint[];
  next_at timestamptz := 'infinity';
  next_id bigint := 9223372036854775807;
  blocks_read integer := 0;
  blocks_hit integer := 0;
  hit_count bigint;
  by_index boolean := false;
  is_over boolean := false;
begin
  if find_message_places.workspace_id is null or find_message_places.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])
  ) then
    return;
  end if;
  if not (
    select workspace.has_message_search from public.workspaces as workspace
    where workspace.id = find_message_places.workspace_id
  ) then
    return;
  end if;
  if has_filter then
    few := array(
      select private.filtered_conversations(find_message_places.workspace_id, wanted, null, few_conversations + 1)
    );
    if cardinality(few) = 0 then
      return;
    elsif cardinality(few) > few_conversations then
      few := null;
    end if;
  end if;

  -- What is not indexed yet, read as it is.
  select array_agg(row(stored.sent_at, waiting.conversation_id)::private.message_place)
  into hits
  from (
    -- Each message once, however often it was queued.
    select queued.conversation_id,
      range_agg(tstzrange(queued.from_sent_at, queued.to_sent_at, '[]'))
        * tstzmultirange(tstzrange(find_message_places.from_sent_at, latest, '[]')) as spans
    from private.message_index_queue as queued
    where queued.workspace_id = find_message_places.workspace_id
      and not queued.is_indexed
      and (few is null or queued.conversation_id = any (few))
      and queued.from_sent_at <= latest
      and queued.to_sent_at >= find_message_places.from_sent_at
    group by queued.conversation_id
  ) as waiting
  cross join lateral unnest(waiting.spans) as span
  cross join lateral private.messages_between(waiting.conversation_id, lower(span), upper(span)) as stored
  where private.message_fits(stored.message, query)
    and (stored.sent_at, waiting.conversation_id)
      < ((find_message_places.before).sent_at, (find_message_places.before).conversation_id);
  if has_filter and few is null then
    hits := private.filtered_places(find_message_places.workspace_id, wanted, hits);
  end if;

  if few is not null then
    candidates := array(
      select block.id
      from private.message_blocks as block
      where block.conversation_id = any (few)
        and block.workspace_id = find_message_places.workspace_id
        and block.first_sent_at <= latest
        and block.last_sent_at >= find_message_places.from_sent_at
      order by block.last_sent_at desc, block.id desc
    );
  end if;

  loop
    -- The next blocks, newest first: given by the filter or by the index of words, or else simply the next.
    if candidates is not null then
      batch := candidates[blocks_read + 1 : blocks_read + batch_size];
      select block.last_sent_at into next_at
      from private.message_blocks as block where block.id = batch[cardinality(batch)];
    else
      select array_agg(block.id order by block.last_sent_at desc, block.id desc),
        min(block.last_sent_at)
      into batch, next_at
      from private.next_blocks(
        find_message_places.workspace_id, find_message_places.from_sent_at, latest, next_at, next_id, batch_size
      ) as block;
      next_id := batch[cardinality(batch)];
    end if;
    is_over := coalesce(cardinality(batch), 0) < batch_size;
    blocks_read := blocks_read + coalesce(cardinality(batch), 0);
    -- More of them each time: a search that has found little so far has to read on.
    batch_size := greatest(100, least(batch_size * 2, 1600));

    -- The lines of a block are looked at once the block is known to be worth it.
    with promising as materialized (
      select block.id, block.conversation_id, block.sent_ats, block.words
      from private.message_blocks as block
      where block.id = any (batch)
        -- The index of words has seen to that.
        and (by_index or block.words like all (query.patterns))
        and not exists (
          select from unnest(others) as other (pattern)
          where not exists (
            select from string_to_table(block.words, lead) with ordinality as piece (words, number)
            where split_part(piece.words, E'\n', -1) || ' ' like other.pattern
              or (piece.number > 1 and ' ' || split_part(piece.words, E'\n', 1) like other.pattern)
          )
        )
    )
    select array_agg(row(hit.sent_at, block.conversation_id)::private.message_place), count(distinct block.id)
    into found, hit_count
    from promising as block
    cross join lateral (
      select block.sent_ats[line.number] as sent_at
      from string_to_table(block.words, E'\n') with ordinality as line (words, number)
      where line.words like all (query.patterns) and not line.words like any (query.excluded)
    ) as hit
    where hit.sent_at >= find_message_places.from_sent_at
      and hit.sent_at <= latest
      and (hit.sent_at, block.conversation_id)
        < ((find_message_places.before).sent_at, (find_message_places.before).conversation_id);
    if has_filter and few is null and found is not null then
      found := private.filtered_places(find_message_places.workspace_id, wanted, found);
    end if;
    hits := hits || found;
    blocks_hit := blocks_hit + hit_count;
    exit when is_over;
    -- What is newer than every block that was not read is final.
    exit when (
      select count(distinct hit) from unnest(hits) as hit where hit.sent_at > next_at
    ) >= find_message_places.max_places;

    if candidates is null and query.tokens is not null and blocks_hit * 10 < blocks_read then
      by_index := true;
      candidates := array(
        -- By the index of words alone, and only then those of the workspace, which all are.
        with found_by_words as materialized (
          select block.id, block.workspace_id, block.first_sent_at, block.last_sent_at
          from private.message_blocks as block
          where private.words_vector(block.workspace_id, block.words)
            @@ (query.tokens && quote_literal(private.workspace_word(find_message_places.workspace_id))::tsquery)
        )
        select block.id
        from found_by_words as block
        where block.workspace_id = find_message_places.workspace_id
          and (block.last_sent_at, block.id) < (next_at, next_id)
          and block.first_sent_at <= latest
          and block.last_sent_at >= find_message_places.from_sent_at
        order by block.last_sent_at desc, block.id desc
      );
      blocks_read := 0;
    end if;
  end loop;

  return query
  select distinct hit.sent_at, hit.conversation_id
  from unnest(hits) as hit
  where is_over or hit.sent_at > next_at
  order by hit.sent_at desc, hit.conversation_id desc
  limit find_message_places.max_places;
end;
$$;
comment on function private.find_message_places(
  uuid, private.search_query, private.conversation_filter, timestamptz, timestamptz, private.message_place, integer
) is
  'The newest places before the given one where messages of a workspace fit a search, as far as the index knows: their '
  'text is to be checked. Fewer than max_places where there are no more.';

create function private.message_fits(message jsonb, query private.search_query)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  text_folded constant text := private.folded(private.message_text(message));
  signs constant text := case when octet_length(text_folded) = length(text_folded) then 'a-z'
    else private.word_signs() || private.pair_signs() end;
begin
  -- Making the words of a text is dear, and most texts lack a part of them.
  if cardinality(query.needles) > 0
    and not regexp_replace(text_folded, '[^0-9[:space:]' || signs || ']+', '', 'g') like all (query.needles)
  then
    return false;
  end if;
  if cardinality(query.numbers) > 0
    and not regexp_replace(text_folded, '[^0-9]+', '', 'g') like all (query.numbers)
  then
    return false;
  end if;
  return private.fits(query, private.message_words(message, text_folded), text_folded);
end;
$$;
comment on function private.message_fits(jsonb, private.search_query) is 'Whether a message fits a search.';

-- What is shown of a hit -------------------------------------------------------------------------

create function private.snippet(given text, mark text)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
declare
  -- Signs around the first hit, and signs that are looked at for it.
  lead constant integer := 60;
  size constant integer := 240;
  window_size constant integer := 2000;
  window_start integer := 1;
  folded text;
  part text;
  key text := '';
  -- For each sign of key, the sign of the window that it comes from.
  origins integer[] := '{}';
  pieces text[] := '{}';
  hit_start integer;
  hit_end integer;
  shown_start integer;
  shown_until integer;
  at integer := 1;
  mark_start integer;
  mark_end integer;
  sign record;
begin
  part := regexp_replace(snippet.given, '[[:space:]]+', ' ', 'g');
  if snippet.mark is null then
    return array[left(part, size) || case when length(part) > size then '…' else '' end];
  end if;
  if length(part) > window_size then
    folded := private.folded(part);
    hit_start := regexp_instr(folded, snippet.mark);
    -- Folding changes the length a little; the window has room for it.
    window_start := greatest(
      1, (hit_start::bigint * length(part) / greatest(length(folded), 1))::integer - window_size / 2
    );
    part := substr(part, window_start, window_size);
  end if;
  -- Sign by sign, so that what is found in the folded text can be marked in the text itself.
  if octet_length(part) = length(part) then
    key := private.folded(part);
    origins := array(select generate_series(1, length(part)));
  else
    for sign in
      select letter.place::integer as place, private.folded(letter.value) as folded
      from string_to_table(part, null) with ordinality as letter (value, place)
    loop
      key := key || sign.folded;
      origins := origins || array_fill(sign.place, array[length(sign.folded)]);
    end loop;
  end if;

  hit_start := regexp_instr(key, snippet.mark);
  shown_start := case when hit_start > 0 then greatest(1, origins[hit_start] - lead) else 1 end;
  -- Not in the middle of a word, where a space is near.
  if shown_start > 1 then
    shown_start := shown_start + coalesce(nullif(strpos(substr(part, shown_start, 20), ' '), 0), 0);
  end if;
  shown_until := least(length(part), shown_start + size - 1);
  while hit_start > 0 loop
    hit_end := regexp_instr(key, snippet.mark, hit_start, 1, 1);
    exit when hit_end <= hit_start;
    mark_start := origins[hit_start];
    mark_end := origins[hit_end - 1];
    exit when mark_start > shown_until;
    if mark_start >= greatest(at, shown_start) then
      pieces := pieces
        || substr(part, greatest(at, shown_start), mark_start - greatest(at, shown_start))
        || substr(part, mark_start, mark_end - mark_start + 1);
      at := mark_end + 1;
    end if;
    exit when hit_end > length(key);
    hit_start := regexp_instr(key, snippet.mark, hit_end);
  end loop;
  pieces := pieces || substr(part, greatest(at, shown_start), greatest(0, shown_until - greatest(at, shown_start) + 1));
  if shown_start > 1 or window_start > 1 then
    pieces[1] := '…' || pieces[1];
  end if;
  if shown_until < length(part) or window_start + window_size <= length(snippet.given) then
    pieces[cardinality(pieces)] := pieces[cardinality(pieces)] || '…';
  end if;
  return pieces;
end;
$$;
comment on function private.snippet(text, text) is
  'Up to about 240 characters of a text around the first place that fits an expression on its folded form, in pieces: '
  'every second one, from the second on, is what fits.';

-- Search -----------------------------------------------------------------------------------------

create type public.message_hit as (
  conversation_id uuid,
  message_id text,
  sent_at timestamptz,
  direction text,
  type text,
  sender_name text,
  platform text,
  participant_name text,
  participant_identifier text,
  person_id uuid,
  person_name text,
  conversation_status text,
  assigned_to uuid,
  snippet text[],
  message_cursor text,
  cursor text
);
comment on type public.message_hit is
  'A message that a search found, and its conversation. snippet: pieces of the text, every second one, from the second '
  'on, is what was found. message_cursor: for conversation_messages(around). cursor: for the next page of the search.';

create function public.search_messages(
  workspace_id uuid,
  search text default '',
  conversation_id uuid default null,
  platform text default null,
  connection_id uuid default null,
  person_id uuid default null,
  assigned_to uuid default null,
  is_unassigned boolean default false,
  tag_id uuid default null,
  status text default null,
  direction text default null,
  type text default null,
  has_file boolean default null,
  sent_from timestamptz default null,
  sent_to timestamptz default null,
  before text default null,
  max_messages integer default 20
)
returns setof public.message_hit
language plpgsql
stable
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  query private.search_query := private.read_search(coalesce(search_messages.search, ''));
  wanted private.conversation_filter := row(
    search_messages.conversation_id, search_messages.platform, search_messages.connection_id,
    search_messages.person_id, search_messages.assigned_to, nullif(search_messages.is_unassigned, false),
    search_messages.tag_id, search_messages.status
  );
  has_words constant boolean := query.tokens is not null or cardinality(query.phrases) > 0;
  marks text[] := '{}';
  earliest constant timestamptz := coalesce(search_messages.sent_from, '-infinity');
  -- Up to and not including it.
  latest constant timestamptz := coalesce(search_messages.sent_to - interval '1 microsecond', 'infinity');
  places private.message_place[];
  place private.message_place := row('infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  after_id text;
  left_over integer := search_messages.max_messages;
  asked integer;
  returned integer;
begin
  if search_messages.max_messages is null or search_messages.max_messages not between 1 and 100 then
    raise exception 'max_messages must be between 1 and 100' using errcode = '22023';
  end if;
  if search_messages.direction not in ('inbound', 'outbound') then
    raise exception 'direction must be inbound or outbound' using errcode = '22023';
  end if;
  if search_messages.type not in ('text', 'image', 'audio', 'video', 'file', 'location') then
    raise exception 'type must be text, image, audio, video, file or location' using errcode = '22023';
  end if;
  if search_messages.before is not null then
    begin
      place := row(
        split_part(search_messages.before, '~', 1)::timestamptz, split_part(search_messages.before, '~', 2)::uuid
      );
    exception when data_exception then
      raise exception 'before is not a cursor'
        using errcode = '22023', hint = 'Pass the cursor column of the last row you have, unchanged.';
    end;
    after_id := substr(
      search_messages.before, length(split_part(search_messages.before, '~', 1)) + 39
    );
  end if;
  if search_messages.direction is not null then
    marks := marks || private.message_marks(search_messages.direction, 'text');
  end if;
  if search_messages.type = 'text' then
    query.excluded := query.excluded || array['% =file %', '% =location %'];
  elsif search_messages.type is not null then
    marks := marks || ('=' || search_messages.type);
  end if;
  if search_messages.has_file then
    marks := marks || '=file'::text;
  elsif search_messages.has_file = false then
    query.excluded := query.excluded || '% =file %'::text;
  end if;
  -- Nothing to look for.
  if not has_words and cardinality(marks) = 0 and search_messages.conversation_id is null
    and search_messages.person_id is null and search_messages.sent_from is null and search_messages.sent_to is null
  then
    return;
  end if;
  query.patterns := query.patterns || array(select '% ' || mark || ' %' from unnest(marks) as mark);
  if cardinality(marks) > 0 then
    query.tokens := concat_ws(
      ' & ', (select string_agg('''' || mark || '''', ' & ') from unnest(marks) as mark), query.tokens::text
    )::tsquery;
  end if;

  -- What is left of the instant in which the page before ended.
  places := case when search_messages.before is null then '{}' else array[place] end;
  asked := 1;
  loop
    return query
    select
      hit.conversation_id,
      hit.message ->> 'id',
      hit.sent_at,
      hit.message ->> 'direction',
      hit.message ->> 'type',
      hit.message ->> 'sender_name',
      listed.platform,
      listed.participant_name,
      listed.participant_identifier,
      listed.person_id,
      listed.person_name,
      listed.status,
      listed.assigned_to,
      private.snippet(private.message_text(hit.message), query.mark),
      (hit.message ->> 'sent_at') || '~' || (hit.message ->> 'id'),
      (hit.message ->> 'sent_at') || '~' || hit.conversation_id || '~' || (hit.message ->> 'id')
    from (
      select known.conversation_id, known.number, stored.sent_at, stored.place, stored.message
      from unnest(places) with ordinality as known (sent_at, conversation_id, number)
      -- Under the rights of the caller, and read again: the index may be behind.
      cross join lateral private.messages_between(known.conversation_id, known.sent_at, known.sent_at) as stored
      where private.message_fits(stored.message, query)
        and (
          after_id is null
          or stored.place < (
            select last_one.place
            from private.messages_between(known.conversation_id, known.sent_at, known.sent_at) as last_one
            where last_one.message ->> 'id' = after_id
          )
        )
      order by known.number, stored.place desc
      limit left_over
    ) as hit
    join public.conversation_list as listed
      on listed.id = hit.conversation_id and listed.workspace_id = search_messages.workspace_id
    order by hit.number, hit.place desc;
    get diagnostics returned = row_count;
    left_over := left_over - returned;
    exit when left_over <= 0 or (cardinality(places) < asked and after_id is null and cardinality(places) > 0);
    after_id := null;
    if cardinality(places) > 0 then
      place := places[cardinality(places)];
    end if;
    asked := left_over + 10;
    places := array(
      select found
      from private.find_message_places(
        search_messages.workspace_id, query, wanted, earliest, latest, place, asked
      ) as found
    );
    exit when cardinality(places) = 0;
  end loop;
end;
$$;
comment on function public.search_messages(
  uuid, text, uuid, text, uuid, uuid, uuid, boolean, uuid, text, text, text, boolean, timestamptz, timestamptz, text,
  integer
) is
  'Messages of one workspace that have all words of a search, newest first: at most max_messages (1 to 100, 20 by '
  'default). Words in any order, the last one as a beginning unless a space follows, "phrases", -words; of one '
  'conversation, or of those of a platform, connection, person, assignee, tag or status; by direction, type, file, and '
  'time from sent_from up to sent_to. Pass the cursor of the last row for the next page, and message_cursor as around to '
  'conversation_messages(). snippet: pieces of the text, every second one what was found. Row level security applies.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.next_blocks(uuid, timestamptz, timestamptz, timestamptz, bigint, integer),
  private.filtered_conversations(uuid, private.conversation_filter, uuid[], integer),
  private.filtered_places(uuid, private.conversation_filter, private.message_place[]),
  private.find_message_places(
    uuid, private.search_query, private.conversation_filter, timestamptz, timestamptz, private.message_place, integer
  ),
  private.message_fits(jsonb, private.search_query),
  private.snippet(text, text),
  public.search_messages(
    uuid, text, uuid, text, uuid, uuid, uuid, boolean, uuid, text, text, text, boolean, timestamptz, timestamptz, text,
    integer
  )
from public, anon, authenticated, service_role;
grant execute on function
  private.find_message_places(
    uuid, private.search_query, private.conversation_filter, timestamptz, timestamptz, private.message_place, integer
  ),
  private.message_fits(jsonb, private.search_query),
  private.snippet(text, text),
  public.search_messages(
    uuid, text, uuid, text, uuid, uuid, uuid, boolean, uuid, text, text, text, boolean, timestamptz, timestamptz, text,
    integer
  )
to authenticated;
