-- What a person wrote on one day, and the notes made of it.

create function private.note_other_person()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Not every statement that links sets it.
  new.updated_at := now();
  if old.person_id is not null then
    -- Their notes contain messages that belong to another person now. As far back as days are checked again, in any
    -- time zone.
    update public.person_notes as note
    set metadata = note.metadata || '{"digest": null}'
    where note.person_id = old.person_id
      and note.kind = 'daily_summary'
      and note.local_date >= (now() at time zone 'UTC')::date - 5;
  end if;
  return new;
end;
$$;
comment on function private.note_other_person() is
  'Trigger: when a conversation moves to another person, marks it as changed, and the notes of the previous person as '
  'outdated.';

create trigger conversations_note_other_person
  before update of person_id on public.conversations
  for each row
  when (old.person_id is distinct from new.person_id)
  execute function private.note_other_person();

create function private.person_day(
  workspace_id uuid,
  person_id uuid,
  local_date date,
  time_zone text,
  covered_until timestamptz,
  max_messages integer
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  -- Wide enough for any change of the clock. Within them, the local time of each message decides.
  from_time timestamptz := (person_day.local_date::timestamp at time zone person_day.time_zone) - interval '3 hours';
  until_time timestamptz := least(
    person_day.covered_until,
    private.local_day_end(person_day.local_date, person_day.time_zone) + interval '3 hours'
  );
  day jsonb;
begin
  with thread as (
    select conversation.id, conversation.messages, conversation.archived_message_count, conversation.head_started_at
    from public.conversations as conversation
    where conversation.workspace_id = person_day.workspace_id
      and conversation.person_id = person_day.person_id
      and conversation.activity_at >= from_time
      and conversation.last_message_at >= from_time
    order by conversation.activity_at desc
    limit 50
  ),
  page as (
    select thread.id, thread.messages
    from thread
    union all
    -- Pages do not overlap in time, so of those that begin before the day only the last can reach into it.
    select thread.id, archive.messages
    from thread
    cross join lateral (
      select found.messages
      from public.conversation_archives as found
      where found.conversation_id = thread.id
        and found.first_sent_at <= until_time
        and found.last_sent_at >= from_time
        and found.first_sent_at >= coalesce(
          (
            select before.first_sent_at
            from public.conversation_archives as before
            where before.conversation_id = thread.id and before.first_sent_at < from_time
            order by before.first_sent_at desc
            limit 1
          ),
          '-infinity'
        )
      order by found.first_sent_at desc
      limit 200
    ) as archive
    where thread.archived_message_count > 0 and thread.head_started_at >= from_time
  ),
  message as (
    select
      page.id as conversation_id,
      stored.ordinal,
      sent.at as sent_at,
      stored.value ->> 'id' as id,
      stored.value ->> 'direction' as direction,
      stored.value ->> 'type' as type,
      stored.value ->> 'content' as content
    from page
    cross join lateral jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
    cross join lateral (select (stored.value ->> 'sent_at')::timestamptz as at) as sent
    where sent.at between from_time and until_time
      and (sent.at at time zone person_day.time_zone)::date = person_day.local_date
      -- Without imported history and replies that failed.
      and not coalesce((stored.value ->> 'is_history')::boolean, false)
      and stored.value ->> 'status' is distinct from 'failed'
  ),
  answered as (
    select message.conversation_id, max(message.sent_at) as at
    from message
    where message.direction = 'outbound'
    group by message.conversation_id
  ),
  unanswered as (
    select message.content
    from message
    left join answered using (conversation_id)
    where message.direction = 'inbound' and message.sent_at > coalesce(answered.at, '-infinity')
  ),
  first_inbound as (
    select message.conversation_id, message.sent_at
    from message
    where message.direction = 'inbound'
    order by message.sent_at
    limit 1
  ),
  newest as (
    select message.*
    from message
    order by message.sent_at desc, message.conversation_id, message.ordinal desc
    limit person_day.max_messages
  )
  select jsonb_build_object(
    'person_id', person_day.person_id,
    'message_count', counted.total,
    'inbound_count', counted.inbound,
    'outbound_count', counted.outbound,
    'first_inbound_at', (select first_inbound.sent_at from first_inbound),
    'first_answer_seconds', (
      select extract(epoch from min(message.sent_at) - first_inbound.sent_at)::integer
      from first_inbound
      join message using (conversation_id)
      where message.direction = 'outbound' and message.sent_at >= first_inbound.sent_at
      group by first_inbound.sent_at
    ),
    'digest', counted.digest,
    'unanswered_count', (select count(*) from unanswered),
    'has_open_question', exists (select 1 from unanswered where unanswered.content ~ '[?？؟]'),
    'messages', (
      select jsonb_agg(
        jsonb_build_object(
          'from', case newest.direction when 'inbound' then 'customer' else 'business' end,
          'at', to_char(newest.sent_at at time zone person_day.time_zone, 'HH24:MI'),
          'type', newest.type,
          'text', left(newest.content, 600)
        )
        order by newest.sent_at, newest.conversation_id, newest.ordinal
      )
      from newest
    )
  )
  into day
  from (
    select
      count(*) as total,
      count(*) filter (where message.direction = 'inbound') as inbound,
      count(*) filter (where message.direction = 'outbound') as outbound,
      md5(string_agg(
        message.conversation_id || ' ' || message.id, ' ' order by message.conversation_id, message.id collate "C"
      )) as digest
    from message
  ) as counted
  where counted.total > 0;
  return day;
end;
$$;
comment on function private.person_day(uuid, uuid, date, text, timestamptz, integer) is
  'Messages exchanged with a person on a local day: counts, and the newest messages. Null without live messages. '
  'Reads the heads, and of the archives only the pages of that day.';

create function public.write_daily_summaries(
  workspace_id uuid,
  local_date date,
  lease_token uuid,
  person_ids uuid[],
  kept_ids uuid[],
  notes jsonb,
  ai_notes integer default 0,
  tokens integer default 0,
  messages integer default 0
)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  written integer;
begin
  -- People first, the order in which all functions lock. A person who was deleted in the meantime gets no note.
  perform person.id
  from public.people as person
  where person.workspace_id = write_daily_summaries.workspace_id
    and person.id = any (write_daily_summaries.person_ids)
  order by person.id
  for key share;
  perform 1
  from public.summary_runs as run
  where run.workspace_id = write_daily_summaries.workspace_id
    and run.local_date = write_daily_summaries.local_date
    and run.lease_token = write_daily_summaries.lease_token
  for update;
  -- Too late: another worker has the same people.
  if not found then
    return false;
  end if;

  insert into public.person_notes as kept (workspace_id, person_id, kind, local_date, content, metadata)
  select person.workspace_id, person.id, 'daily_summary', write_daily_summaries.local_date, note.content, note.metadata
  from jsonb_to_recordset(write_daily_summaries.notes) as note (person_id uuid, content text, metadata jsonb)
  join public.people as person
    on person.workspace_id = write_daily_summaries.workspace_id and person.id = note.person_id
  where person.id = any (write_daily_summaries.person_ids)
  order by person.id
  on conflict (person_id, kind, local_date) where local_date is not null do update
  set content = excluded.content, metadata = excluded.metadata, updated_at = now();
  get diagnostics written = row_count;

  -- Notes whose messages have moved to another person since.
  delete from public.person_notes as stale
  where stale.workspace_id = write_daily_summaries.workspace_id
    and stale.kind = 'daily_summary'
    and stale.local_date = write_daily_summaries.local_date
    and stale.person_id = any (write_daily_summaries.person_ids)
    and stale.person_id <> all (write_daily_summaries.kept_ids)
    and not exists (
      select 1
      from jsonb_to_recordset(write_daily_summaries.notes) as note (person_id uuid)
      where note.person_id = stale.person_id
    );

  update public.summary_runs as run
  set cursor = (select max(person.id::text)::uuid from unnest(write_daily_summaries.person_ids) as person (id)),
    lease_token = null,
    leased_until = null,
    people_done = run.people_done + cardinality(write_daily_summaries.person_ids),
    notes_written = run.notes_written + written,
    ai_notes = run.ai_notes + write_daily_summaries.ai_notes,
    tokens_used = run.tokens_used + write_daily_summaries.tokens,
    messages_sent = run.messages_sent + write_daily_summaries.messages
  where run.workspace_id = write_daily_summaries.workspace_id
    and run.local_date = write_daily_summaries.local_date;
  return true;
end;
$$;
comment on function public.write_daily_summaries(uuid, date, uuid, uuid[], uuid[], jsonb, integer, integer, integer) is
  'Write the notes of a slice (an array of {person_id, content, metadata}) and advance its run. Existing notes of '
  'people without a new one are deleted, except those of kept_ids. One note per person and day, replaced where it '
  'exists. False: the lease was lost, and nothing was written. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.note_other_person(),
  private.person_day(uuid, uuid, date, text, timestamptz, integer),
  public.write_daily_summaries(uuid, date, uuid, uuid[], uuid[], jsonb, integer, integer, integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.person_day(uuid, uuid, date, text, timestamptz, integer),
  public.write_daily_summaries(uuid, date, uuid, uuid[], uuid[], jsonb, integer, integer, integer)
to service_role;
