-- Archived pages of long conversations: sealing, late messages, and changes to messages in the head or a page.

-- Pages ------------------------------------------------------------------------------------------

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
begin
  return query
  with ordered as (
    select
      every.conversation_id,
      every.body,
      every.sent_at,
      row_number() over thread_order - 1 as place
    from (
      select conversation.id as conversation_id, stored.value as body,
        (stored.value ->> 'sent_at')::timestamptz as sent_at, 0 as item_ordinal, stored.ordinal as message_ordinal
      from public.conversations as conversation
      cross join lateral jsonb_array_elements(conversation.messages) with ordinality as stored (value, ordinal)
      where conversation.id = any (seal_pages.conversation_ids)
      union all
      select message.conversation_id, message.body, message.sent_at, message.item_ordinal, message.message_ordinal
      from unnest(seal_pages.arrived) as message
      where message.conversation_id = any (seal_pages.conversation_ids) and not message.is_late
    ) as every
    window thread_order as (
      partition by every.conversation_id order by every.sent_at, every.item_ordinal, every.message_ordinal
    )
  ),
  page as (
    select
      ordered.conversation_id,
      ordered.place / seal_pages.page_size as page_number,
      max(max(ordered.place)) over (partition by ordered.conversation_id) / seal_pages.page_size as head_number,
      to_jsonb(array_agg(ordered.body order by ordered.place)) as messages,
      count(*)::integer as message_count,
      min(ordered.sent_at) as first_sent_at,
      max(ordered.sent_at) as last_sent_at
    from ordered
    group by 1, 2
  ),
  sealed as (
    insert into public.conversation_archives
      (conversation_id, position, workspace_id, messages, message_count, first_sent_at, last_sent_at)
    select
      page.conversation_id,
      page.page_number + coalesce(
        (
          select max(earlier.position) + 1
          from public.conversation_archives as earlier
          where earlier.conversation_id = page.conversation_id
        ),
        1
      ),
      seal_pages.workspace_id,
      page.messages,
      page.message_count,
      page.first_sent_at,
      page.last_sent_at
    from page
    where page.page_number < page.head_number
  )
  select page.conversation_id, page.messages, page.first_sent_at, (page.head_number * seal_pages.page_size)::integer
  from page
  where page.page_number = page.head_number;
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
begin
  with late as (
    select
      message.*,
      coalesce(
        -- The last page that begins at or before the message: of equal times the later page, so
        -- that messages of one instant keep their order of arrival.
        (
          select page.position
          from public.conversation_archives as page
          where page.conversation_id = message.conversation_id and page.first_sent_at <= message.sent_at
          order by page.first_sent_at desc, page.position desc
          limit 1
        ),
        -- Older than all pages: the first page.
        (
          select min(page.position)
          from public.conversation_archives as page
          where page.conversation_id = message.conversation_id
        )
      ) as position
    from unnest(file_late_messages.late) as message
  ),
  merged as (
    select
      every.conversation_id,
      every.position,
      every.body,
      every.sent_at,
      row_number() over page - 1 as place,
      count(*) over (partition by every.conversation_id, every.position) as total
    from (
      select page.conversation_id, page.position, stored.value as body,
        (stored.value ->> 'sent_at')::timestamptz as sent_at, 0 as item_ordinal, stored.ordinal as message_ordinal
      from (select distinct late.conversation_id, late.position from late) as touched
      join public.conversation_archives as page using (conversation_id, position)
      cross join lateral jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
      union all
      select late.conversation_id, late.position, late.body, late.sent_at, late.item_ordinal, late.message_ordinal
      from late
    ) as every
    window page as (
      partition by every.conversation_id, every.position
      order by every.sent_at, every.item_ordinal, every.message_ordinal
    )
  ),
  -- A page over the limit is split into equal parts: cutting off full pages would leave small remainders, and the
  -- next late message would make more of them.
  part as (
    select
      merged.conversation_id,
      merged.position,
      merged.place * ((merged.total - 1) / file_late_messages.page_size + 1) / merged.total as part_number,
      (merged.total - 1) / file_late_messages.page_size + 1 as parts,
      -- Not jsonb_agg, which copies every text through a format function and takes three times as long.
      to_jsonb(array_agg(merged.body order by merged.place)) as messages,
      count(*)::integer as message_count,
      min(merged.sent_at) as first_sent_at,
      max(merged.sent_at) as last_sent_at
    from merged
    group by 1, 2, 3, 4
  ),
  kept as (
    update public.conversation_archives as page
    set messages = part.messages,
      message_count = part.message_count,
      first_sent_at = part.first_sent_at,
      last_sent_at = part.last_sent_at
    from part
    where part.part_number = 0
      and page.conversation_id = part.conversation_id
      and page.position = part.position
  )
  insert into public.conversation_archives
    (conversation_id, position, workspace_id, messages, message_count, first_sent_at, last_sent_at)
  select
    part.conversation_id,
    part.position + part.part_number * (
      coalesce(
        (
          select min(page.position)
          from public.conversation_archives as page
          where page.conversation_id = part.conversation_id and page.position > part.position
        ),
        part.position + 1
      ) - part.position
    ) / part.parts,
    file_late_messages.workspace_id,
    part.messages,
    part.message_count,
    part.first_sent_at,
    part.last_sent_at
  from part
  where part.part_number > 0;
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
  -- Messages in conversations.messages before they are sealed into an archive page. bench/ compares sizes: smaller
  -- costs more pages to read, larger makes every append rewrite more.
  page_size constant integer := 50;
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

create function private.apply_changes(changes private.ingest_change[])
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

  -- The outbox follows the statuses of messages that members sent.
  perform private.follow_statuses(apply_changes.changes);

  -- A change whose message has not arrived yet waits for it.
  insert into private.waiting_updates (workspace_id, conversation_id, message_id, change)
  select distinct conversation.workspace_id, given.conversation_id, given.message_id, given.change
  from unnest(apply_changes.changes) as given
  join public.conversations as conversation on conversation.id = given.conversation_id
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
comment on function private.apply_changes(private.ingest_change[]) is
  'Apply statuses, reactions and late media to stored messages, in the head or in a page, and keep changes that have '
  'no message yet.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.archive_messages(uuid, private.ingest_thread[], private.ingest_message[], private.ingest_arrival[]),
  private.seal_pages(uuid, uuid[], private.ingest_message[], integer),
  private.file_late_messages(uuid, private.ingest_message[], integer),
  private.apply_changes(private.ingest_change[])
from public, anon, authenticated, service_role;
grant execute on function
  private.archive_messages(uuid, private.ingest_thread[], private.ingest_message[], private.ingest_arrival[]),
  private.seal_pages(uuid, uuid[], private.ingest_message[], integer),
  private.file_late_messages(uuid, private.ingest_message[], integer),
  private.apply_changes(private.ingest_change[])
to service_role;
