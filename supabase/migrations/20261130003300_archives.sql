-- Archived pages of long conversations: sealing, late messages, and changes to messages in the head or a page.

-- Pages ------------------------------------------------------------------------------------------

create function private.head_size()
returns integer
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- bench/ compares sizes: smaller costs more pages to read, larger makes every append rewrite more.
  return 50;
end;
$$;
comment on function private.head_size() is
  'Messages in conversations.messages before they are sealed into an archive page, and those of a page.';

create function private.with_messages(messages jsonb, added jsonb, first_sent_at timestamptz)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- The common case, an append, needs no unpacking and sorting.
  if with_messages.first_sent_at >= coalesce((with_messages.messages -> -1 ->> 'sent_at')::timestamptz, '-infinity') then
    return with_messages.messages || with_messages.added;
  end if;
  return (
    select jsonb_agg(stored.value order by (stored.value ->> 'sent_at')::timestamptz, stored.ordinal)
    from jsonb_array_elements(with_messages.messages || with_messages.added) with ordinality as stored (value, ordinal)
  );
end;
$$;
comment on function private.with_messages(jsonb, jsonb, timestamptz) is
  'A head with messages put in by their times. added: in their order, the first one sent at first_sent_at.';

create type private.page_message as (
  conversation_id uuid,
  page_started_at timestamptz,
  page_part integer,
  item_ordinal bigint,
  message_ordinal bigint,
  sent_at timestamptz,
  body jsonb
);
comment on type private.page_message is
  'A message that is to lie on a page. page_started_at and page_part: the key of the page it lies on, or is added to; '
  'null for the head of its conversation. A stored message has item_ordinal 0.';

create type private.cut_page as (
  conversation_id uuid,
  page_started_at timestamptz,
  page_part integer,
  number bigint,
  is_last boolean,
  piece bigint,
  first_sent_at timestamptz,
  last_sent_at timestamptz,
  messages jsonb,
  message_count integer
);
comment on type private.cut_page is
  'One of the pages that the messages of a page, or of a head, were cut into. number: its place among them, from 0. '
  'piece: its place among the pages of one instant, from 0.';

create function private.cut_pages(messages private.page_message[], page_size integer, is_even boolean)
returns setof private.cut_page
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  with ordered as (
    select message.*,
      row_number() over (whole order by message.sent_at, message.item_ordinal, message.message_ordinal) - 1 as place,
      rank() over (whole order by message.sent_at) - 1 as instant_place,
      count(*) over (
        partition by message.conversation_id, message.page_started_at, message.page_part, message.sent_at
      ) as instant_count,
      count(*) over whole as total
    from unnest(cut_pages.messages) as message
    window whole as (partition by message.conversation_id, message.page_started_at, message.page_part)
  ),
  -- The messages of an instant stay together, so that the time of its first message is a key for each page. Only an
  -- instant with more than a page of them has pages of its own, one after the other.
  placed as (
    select ordered.*,
      ordered.instant_count >= cut_pages.page_size as is_crowded,
      count(*) filter (where ordered.instant_count >= cut_pages.page_size and ordered.place = ordered.instant_place)
        over (
          partition by ordered.conversation_id, ordered.page_started_at, ordered.page_part order by ordered.place
        ) as crowds,
      case
        when ordered.instant_count >= cut_pages.page_size
          then (ordered.place - ordered.instant_place) / cut_pages.page_size
        -- The middle of the instant decides.
        when cut_pages.is_even then (2 * ordered.instant_place + ordered.instant_count)
          * ((ordered.total - 1) / cut_pages.page_size + 1) / (2 * ordered.total)
        else (2 * ordered.instant_place + ordered.instant_count) / (2 * cut_pages.page_size)
      end as share
    from ordered
  )
  select
    placed.conversation_id,
    placed.page_started_at,
    placed.page_part,
    row_number() over (
      partition by placed.conversation_id, placed.page_started_at, placed.page_part order by min(placed.place)
    ) - 1,
    max(placed.place) = max(placed.total) - 1,
    case when placed.is_crowded then placed.share else 0 end,
    min(placed.sent_at),
    max(placed.sent_at),
    -- Not jsonb_agg, which copies every text through a format function and takes three times as long.
    to_jsonb(array_agg(placed.body order by placed.place)),
    count(*)::integer
  from placed
  group by placed.conversation_id, placed.page_started_at, placed.page_part, placed.crowds, placed.is_crowded,
    placed.share;
end;
$$;
comment on function private.cut_pages(private.page_message[], integer, boolean) is
  'Cut messages into pages of at most page_size, but for messages of one instant at the end of a page, which stay '
  'together: into full pages and a rest, or into even parts.';

create function private.seal_pages(
  workspace_id uuid,
  conversation_ids uuid[],
  arrived private.ingest_message[],
  page_size integer
)
returns setof private.ingest_head
language plpgsql
volatile
set search_path = ''
as $$
declare
  every private.page_message[];
begin
  select array_agg(row(message.*)::private.page_message) into every
  from (
    select conversation.id, null::timestamptz, null::integer, 0::bigint, stored.ordinal,
      (stored.value ->> 'sent_at')::timestamptz, stored.value
    from public.conversations as conversation
    cross join lateral jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
    where conversation.id = any (seal_pages.conversation_ids)
    union all
    select message.conversation_id, null, null, message.item_ordinal, message.message_ordinal, message.sent_at,
      message.body
    from unnest(seal_pages.arrived) as message
    where message.conversation_id = any (seal_pages.conversation_ids) and not message.is_late
  ) as message;

  return query
  with page as materialized (
    select cut.* from private.cut_pages(every, seal_pages.page_size, false) as cut
  ),
  sealed as (
    insert into public.conversation_archives
      (conversation_id, first_sent_at, part, workspace_id, messages, message_count, last_sent_at)
    select
      page.conversation_id,
      page.first_sent_at,
      -- The instant may have pages already.
      page.piece + coalesce(
        (
          select max(earlier.part) + 1
          from public.conversation_archives as earlier
          where earlier.conversation_id = page.conversation_id and earlier.first_sent_at = page.first_sent_at
        ),
        0
      ),
      seal_pages.workspace_id,
      page.messages,
      page.message_count,
      page.last_sent_at
    from page
    where not page.is_last
  )
  select head.conversation_id, head.messages, head.first_sent_at,
    coalesce(
      (
        select sum(page.message_count)::integer from page
        where page.conversation_id = head.conversation_id and not page.is_last
      ),
      0
    )
  from page as head
  where head.is_last;
end;
$$;
comment on function private.seal_pages(uuid, uuid[], private.ingest_message[], integer) is
  'Cut the heads of the given conversations, with their new messages, into full pages for the archive and a new head, '
  'which the caller stores. The conversations are locked by the caller.';

create function private.file_late_messages(workspace_id uuid, late private.ingest_message[], page_size integer)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  every private.page_message[];
  pages private.cut_page[];
begin
  with late as (
    select message.*, page.first_sent_at as page_started_at, page.part as page_part
    from unnest(file_late_messages.late) as message
    cross join lateral (
      (
        -- The last page that begins at or before the message: of pages of one instant the last, so that messages of
        -- that instant keep their order of arrival.
        select archive.first_sent_at, archive.part, 1 as choice
        from public.conversation_archives as archive
        where archive.conversation_id = message.conversation_id and archive.first_sent_at <= message.sent_at
        order by archive.first_sent_at desc, archive.part desc
        limit 1
      )
      union all
      (
        -- Older than all pages: the first page.
        select archive.first_sent_at, archive.part, 2
        from public.conversation_archives as archive
        where archive.conversation_id = message.conversation_id
        order by archive.first_sent_at, archive.part
        limit 1
      )
      order by choice
      limit 1
    ) as page
  )
  select array_agg(row(message.*)::private.page_message) into every
  from (
    select page.conversation_id, page.first_sent_at, page.part, 0::bigint, stored.ordinal,
      (stored.value ->> 'sent_at')::timestamptz, stored.value
    from (select distinct late.conversation_id, late.page_started_at, late.page_part from late) as touched
    join public.conversation_archives as page
      on page.conversation_id = touched.conversation_id
      and page.first_sent_at = touched.page_started_at
      and page.part = touched.page_part
    cross join lateral jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
    union all
    select late.conversation_id, late.page_started_at, late.page_part, late.item_ordinal, late.message_ordinal,
      late.sent_at, late.body
    from late
  ) as message;

  -- A page over the limit is split into equal parts: cutting off full pages would leave small remainders, and the
  -- next late message would make more of them.
  select array_agg(cut) into pages from private.cut_pages(every, file_late_messages.page_size, true) as cut;

  update public.conversation_archives as page
  set first_sent_at = cut.first_sent_at,
    part = case when cut.first_sent_at = cut.page_started_at then cut.page_part else 0 end,
    messages = cut.messages,
    message_count = cut.message_count,
    last_sent_at = cut.last_sent_at
  from unnest(pages) as cut
  where cut.number = 0
    and page.conversation_id = cut.conversation_id
    and page.first_sent_at = cut.page_started_at
    and page.part = cut.page_part;

  insert into public.conversation_archives
    (conversation_id, first_sent_at, part, workspace_id, messages, message_count, last_sent_at)
  select cut.conversation_id, cut.first_sent_at,
    cut.piece + case when cut.first_sent_at = cut.page_started_at then cut.page_part else 0 end,
    file_late_messages.workspace_id, cut.messages, cut.message_count, cut.last_sent_at
  from unnest(pages) as cut
  where cut.number > 0;
end;
$$;
comment on function private.file_late_messages(uuid, private.ingest_message[], integer) is
  'Put messages that are older than the head of their conversation into the archive pages that cover them. The '
  'conversations are locked by the caller.';

create function private.archive_messages(
  workspace_id uuid,
  threads private.ingest_thread[],
  messages private.ingest_message[],
  arrivals private.ingest_arrival[]
)
returns private.ingest_head[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  page_size constant integer := private.head_size();
  growing uuid[];
  has_late boolean;
begin
  -- Heads that would grow over the page size, and whether any message is late.
  select array_agg(grown.conversation_id) filter (where grown.is_over), bool_or(grown.has_late)
  into growing, has_late
  from (
    select
      thread.conversation_id,
      sum(arrival.late_added) > 0 as has_late,
      sum(arrival.added - arrival.late_added) > 0
        and thread.message_count - thread.archived_message_count + sum(arrival.added - arrival.late_added) > page_size
        as is_over
    from unnest(archive_messages.arrivals) as arrival
    join unnest(archive_messages.threads) as thread using (conversation_id)
    group by thread.conversation_id, thread.message_count, thread.archived_message_count
  ) as grown;
  if has_late then
    perform private.file_late_messages(
      archive_messages.workspace_id,
      array(select message from unnest(archive_messages.messages) as message where message.is_late),
      page_size
    );
  end if;
  if growing is null then
    return null;
  end if;
  return array(
    select head
    from private.seal_pages(archive_messages.workspace_id, growing, archive_messages.messages, page_size) as head
  );
end;
$$;
comment on function private.archive_messages(
  uuid, private.ingest_thread[], private.ingest_message[], private.ingest_arrival[]
) is
  'Store the new messages of a batch that belong to archive pages. Returns the new heads of conversations that grew '
  'over the page size; null where none did.';

-- Changes ----------------------------------------------------------------------------------------

create function private.keeps_deleted(workspace_id uuid)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select workspace.keeps_deleted_messages from public.workspaces as workspace
    where workspace.id = keeps_deleted.workspace_id
  );
end;
$$;
comment on function private.keeps_deleted(uuid) is 'Whether a workspace keeps the texts and files of deleted messages.';

create function private.changed_messages(messages jsonb, changes private.ingest_change[], keeps_deleted boolean)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
begin
  return (
    with change as (
      select given.message_id, array_agg(given.change) as changes
      from unnest(changed_messages.changes) as given
      group by given.message_id
    )
    select jsonb_agg(
      case when change.changes is null then stored.value
        else private.change_message(stored.value, change.changes, changed_messages.keeps_deleted) end
      order by stored.ordinal
    )
    from jsonb_array_elements(changed_messages.messages) with ordinality as stored (value, ordinal)
    left join change on change.message_id = stored.value ->> 'id'
  );
end;
$$;
comment on function private.changed_messages(jsonb, private.ingest_change[], boolean) is
  'The messages of a head or a page with the changes of their conversation applied.';

create function private.wait_for_messages(workspace_id uuid, changes private.ingest_change[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  places_left bigint;
  added bigint;
begin
  places_left := private.waiting_changes_left(wait_for_messages.workspace_id);
  insert into private.waiting_updates (workspace_id, conversation_id, message_id, message_digest, change)
  select distinct wait_for_messages.workspace_id, given.conversation_id, given.message_id, given.message_digest,
    given.change
  from unnest(wait_for_messages.changes) as given
  where not exists (
    select 1 from private.waiting_updates as waiting
    where waiting.conversation_id is not distinct from given.conversation_id
      and waiting.message_digest = given.message_digest
      and waiting.change = given.change
  );
  get diagnostics added = row_count;
  -- The oldest make room: their messages are the least likely to come, and refusing would keep messages out too.
  if added > places_left then
    delete from private.waiting_updates as waiting
    where waiting.id in (
      select oldest.id from private.waiting_updates as oldest
      where oldest.workspace_id = wait_for_messages.workspace_id
      order by oldest.id
      limit added - places_left
    );
  end if;
end;
$$;
comment on function private.wait_for_messages(uuid, private.ingest_change[]) is
  'Keep changes of a workspace until their messages arrive, each once, and as many as the limit '
  'waiting_changes_per_workspace allows: the newest.';

create function private.apply_changes(changes private.ingest_change[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  ids constant uuid[] := array(select distinct given.conversation_id from unnest(apply_changes.changes) as given);
  -- Conversations whose messages AI agents file, too.
  with_agent constant uuid[] := array(
    select session.conversation_id from public.agent_sessions as session
    where session.conversation_id = any (ids)
  );
begin
  -- Heads. The conversations are locked by the caller.
  update public.conversations as conversation
  set messages = rebuilt.messages, updated_at = now()
  from (
    select head.id,
      private.changed_messages(head.messages, change.changes, private.keeps_deleted(head.workspace_id)) as messages
    from (
      select given.conversation_id, array_agg(given) as changes
      from unnest(apply_changes.changes) as given
      group by given.conversation_id
    ) as change
    join public.conversations as head on head.id = change.conversation_id
    -- Once, and not for each use of it.
    offset 0
  ) as rebuilt
  where conversation.id = rebuilt.id
    and rebuilt.messages is distinct from conversation.messages
    and rebuilt.messages is not null;

  -- Archive pages: the one that covers the message, or all pages of its instant.
  if exists (
    select from public.conversations as conversation
    where conversation.id = any (ids) and conversation.archived_message_count > 0
  ) then
    update public.conversation_archives as page
    set messages = rebuilt.messages
    from (
      select touched.conversation_id, touched.first_sent_at, touched.part,
        private.changed_messages(
          touched.messages, wanted.changes, private.keeps_deleted(touched.workspace_id)
        ) as messages
      from (
        select late.conversation_id, late.first_sent_at, array_agg(late.given) as changes
        from (
          select given.conversation_id, given, (
            select max(page.first_sent_at)
            from public.conversation_archives as page
            where page.conversation_id = given.conversation_id and page.first_sent_at <= key.sent_at
          ) as first_sent_at
          from unnest(apply_changes.changes) as given
          join private.message_keys as key using (conversation_id, message_digest)
          join public.conversations as conversation
            on conversation.id = given.conversation_id
            and conversation.archived_message_count > 0
            and key.sent_at <= conversation.head_started_at
        ) as late
        group by late.conversation_id, late.first_sent_at
      ) as wanted
      join public.conversation_archives as touched
        on touched.conversation_id = wanted.conversation_id and touched.first_sent_at = wanted.first_sent_at
      offset 0
    ) as rebuilt
    where page.conversation_id = rebuilt.conversation_id
      and page.first_sent_at = rebuilt.first_sent_at
      and page.part = rebuilt.part
      and rebuilt.messages is distinct from page.messages;
  end if;

  -- The outbox follows the statuses of messages that members sent.
  perform private.follow_statuses(apply_changes.changes);

  if exists (
    select 1 from unnest(apply_changes.changes) as given
    where given.change ?| '{edit,edited_at,deleted_at}'
  ) then
    perform private.follow_contents(apply_changes.changes);
  end if;
  perform private.queue_changes_for_index(array_agg(given))
  from unnest(apply_changes.changes) as given
  where given.change ?| '{edit,edited_at,deleted_at}'
    -- A message that comes whole may complete one that an agent filed.
    or (given.change ? 'type' and given.conversation_id = any (with_agent))
  having count(*) > 0;

  -- A change whose message has not arrived yet waits for it.
  perform private.wait_for_messages(missing.workspace_id, missing.changes)
  from (
    select conversation.workspace_id, array_agg(given) as changes
    from unnest(apply_changes.changes) as given
    join public.conversations as conversation on conversation.id = given.conversation_id
    where not exists (
      select 1 from private.message_keys as key
      where key.conversation_id = given.conversation_id and key.message_digest = given.message_digest
    )
    group by conversation.workspace_id
  ) as missing;
end;
$$;
comment on function private.apply_changes(private.ingest_change[]) is
  'Apply statuses, reactions, edits, deletions and late media to stored messages, in the head or in a page, and keep '
  'changes that have no message yet.';

create function private.find_message(conversation_id uuid, message_id text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  conversation public.conversations;
  filed_at timestamptz;
  found jsonb;
begin
  select known.* into conversation
  from public.conversations as known
  where known.id = find_message.conversation_id;
  -- The ledger has its time, and thereby its page.
  select key.sent_at into filed_at
  from private.message_keys as key
  where key.conversation_id = conversation.id
    and key.message_digest
      = private.ledger_digest(conversation.workspace_id, conversation.platform, find_message.message_id);
  if filed_at is null then
    return null;
  end if;
  select stored.value into found
  from jsonb_array_elements(conversation.messages) as stored (value)
  where stored.value ->> 'id' = find_message.message_id;
  if found is null then
    select stored.value into found
    from public.conversation_archives as page
    cross join jsonb_array_elements(page.messages) as stored (value)
    where page.conversation_id = conversation.id
      and page.first_sent_at = (
        select max(covering.first_sent_at)
        from public.conversation_archives as covering
        where covering.conversation_id = conversation.id and covering.first_sent_at <= filed_at
      )
      and stored.value ->> 'id' = find_message.message_id;
  end if;
  return found;
end;
$$;
comment on function private.find_message(uuid, text) is
  'A message of a conversation, from its head or from an archive page; null where there is none with this id.';

create function private.follow_contents(changes private.ingest_change[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- What the list shows of the message.
  update public.conversations as conversation
  set last_message_preview = private.message_preview(shown.message),
    last_message_type = shown.message ->> 'type'
  from (
    select distinct known.id, private.find_message(known.id, known.last_message_id) as message
    from unnest(follow_contents.changes) as given
    join public.conversations as known
      on known.id = given.conversation_id and known.last_message_id = given.message_id
  ) as shown
  where conversation.id = shown.id
    and shown.message is not null
    and (conversation.last_message_preview, conversation.last_message_type)
      is distinct from (private.message_preview(shown.message), shown.message ->> 'type');

  -- The copy of its file. A trigger lists it for deletion from Storage.
  delete from private.media_copies as copy
  using unnest(follow_contents.changes) as given
  where given.change ? 'deleted_at'
    and copy.conversation_id = given.conversation_id
    and copy.message_id = given.message_id
    and not private.keeps_deleted(copy.workspace_id);
end;
$$;
comment on function private.follow_contents(private.ingest_change[]) is
  'What follows from edits and deletions outside of the messages: the preview in the list, and the copies of files.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.head_size(),
  private.with_messages(jsonb, jsonb, timestamptz),
  private.archive_messages(uuid, private.ingest_thread[], private.ingest_message[], private.ingest_arrival[]),
  private.cut_pages(private.page_message[], integer, boolean),
  private.seal_pages(uuid, uuid[], private.ingest_message[], integer),
  private.file_late_messages(uuid, private.ingest_message[], integer),
  private.keeps_deleted(uuid),
  private.changed_messages(jsonb, private.ingest_change[], boolean),
  private.find_message(uuid, text),
  private.follow_contents(private.ingest_change[]),
  private.wait_for_messages(uuid, private.ingest_change[]),
  private.apply_changes(private.ingest_change[])
from public, anon, authenticated, service_role;
grant execute on function
  private.head_size(),
  private.with_messages(jsonb, jsonb, timestamptz),
  private.archive_messages(uuid, private.ingest_thread[], private.ingest_message[], private.ingest_arrival[]),
  private.cut_pages(private.page_message[], integer, boolean),
  private.seal_pages(uuid, uuid[], private.ingest_message[], integer),
  private.file_late_messages(uuid, private.ingest_message[], integer),
  private.keeps_deleted(uuid),
  private.changed_messages(jsonb, private.ingest_change[], boolean),
  private.find_message(uuid, text),
  private.follow_contents(private.ingest_change[]),
  private.wait_for_messages(uuid, private.ingest_change[]),
  private.apply_changes(private.ingest_change[])
to service_role;
