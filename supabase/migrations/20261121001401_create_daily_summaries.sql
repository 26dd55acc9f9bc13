-- Purpose: a note per person and local day. What is due, who is next, and the notes themselves; the text
--   is written by the function daily-summary.
-- Objects: workspace_summary_settings, summary_runs, start_summary_run, claim_summary_slice,
--   write_daily_summaries.
-- Risk: none; new tables only.

create table public.workspace_summary_settings (
  workspace_id uuid primary key references public.workspaces (id) on delete cascade,
  is_enabled boolean not null default true,
  hour smallint not null default 20,
  allow_external_ai boolean not null default false,
  language text not null default 'en',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint workspace_summary_settings_hour_check check (hour between 0 and 23),
  constraint workspace_summary_settings_language_check check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$')
);
comment on table public.workspace_summary_settings is
  'How a workspace wants its daily summaries. No row: the defaults.';
comment on column public.workspace_summary_settings.workspace_id is 'The workspace.';
comment on column public.workspace_summary_settings.is_enabled is 'Whether the schedule makes summaries. By hand they can be made anyway.';
comment on column public.workspace_summary_settings.hour is 'Hour of the day, in the workspace''s time zone.';
comment on column public.workspace_summary_settings.allow_external_ai is
  'Whether texts of messages may be sent to the AI endpoint. Off: nothing leaves the database, and notes are extracts.';
comment on column public.workspace_summary_settings.language is 'BCP 47 tag of the language of the notes.';
comment on column public.workspace_summary_settings.created_at is 'When the row was made.';
comment on column public.workspace_summary_settings.updated_at is 'When the row last changed.';

create trigger workspace_summary_settings_touch_updated_at
  before update on public.workspace_summary_settings
  for each row execute function private.touch_updated_at();

create table public.summary_runs (
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  local_date date not null,
  state text not null default 'running',
  was_scheduled boolean not null default false,
  changed_since timestamptz,
  covered_until timestamptz not null,
  cursor uuid,
  lease_token uuid,
  leased_until timestamptz,
  people_done integer not null default 0,
  notes_written integer not null default 0,
  ai_notes integer not null default 0,
  tokens_used integer not null default 0,
  messages_sent integer not null default 0,
  started_by uuid references auth.users (id) on delete set null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint summary_runs_pkey primary key (workspace_id, local_date),
  constraint summary_runs_state_check check (state in ('running', 'finished')),
  constraint summary_runs_lease_check check ((lease_token is null) = (leased_until is null))
);
comment on table public.summary_runs is
  'How far the summaries of a day of a workspace are. Whoever works on one holds its lease; after a crash the lease runs out, and the next one goes on behind the cursor.';
comment on column public.summary_runs.workspace_id is 'The workspace.';
comment on column public.summary_runs.local_date is 'The day, in the workspace''s time zone.';
comment on column public.summary_runs.state is 'running: there are people left. finished: there are none.';
comment on column public.summary_runs.was_scheduled is 'Whether the schedule has opened it. Days after the last such one are made up for.';
comment on column public.summary_runs.changed_since is 'Only people whose conversations have changed since then are looked at. Null: everybody of that day.';
comment on column public.summary_runs.covered_until is 'Messages up to this moment are in the notes.';
comment on column public.summary_runs.cursor is 'Id of the last person who was looked at; they come in the order of their ids.';
comment on column public.summary_runs.lease_token is 'Names who works on it. Notes are taken from nobody else.';
comment on column public.summary_runs.leased_until is 'When somebody else may go on.';
comment on column public.summary_runs.people_done is 'People who were looked at.';
comment on column public.summary_runs.notes_written is 'Notes that were written.';
comment on column public.summary_runs.ai_notes is 'How many of them an AI has written.';
comment on column public.summary_runs.tokens_used is 'Tokens they cost.';
comment on column public.summary_runs.messages_sent is 'Messages that were sent to the AI endpoint.';
comment on column public.summary_runs.started_by is 'Who started it by hand.';
comment on column public.summary_runs.started_at is 'When it was last started from the beginning.';
comment on column public.summary_runs.finished_at is 'When it was finished.';

create index summary_runs_unfinished_local_date_idx on public.summary_runs (local_date, workspace_id) where state = 'running';
comment on index public.summary_runs_unfinished_local_date_idx is 'What is left to do, oldest first.';
create index summary_runs_started_by_idx on public.summary_runs (started_by);

-- The calendar ----------------------------------------------------------------------------------

create function private.local_day_end(local_date date, time_zone text)
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  -- Where midnight comes twice, Postgres takes the second one; where it is skipped, the moment of the leap.
  return (local_day_end.local_date + 1)::timestamp at time zone local_day_end.time_zone;
end;
$$;
comment on function private.local_day_end(date, text) is
  'The moment from which no message can belong to the day any more. Which day a message belongs to is decided by its own local time, never by this.';

create function private.open_due_summaries(only_workspace uuid, moment timestamptz)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  with business as (
    select
      workspace.id,
      workspace.time_zone,
      coalesce(settings.hour, 20) as hour,
      (open_due_summaries.moment at time zone workspace.time_zone)::date as today
    from public.workspaces as workspace
    left join public.workspace_summary_settings as settings on settings.workspace_id = workspace.id
    where coalesce(settings.is_enabled, true)
      and (open_due_summaries.only_workspace is null or workspace.id = open_due_summaries.only_workspace)
  ),
  candidate as (
    select
      business.id,
      day.value::date as local_date,
      (day.value::date + make_time(business.hour, 0, 0)) at time zone business.time_zone as due_at,
      day.value::date::timestamp at time zone business.time_zone as begins_at,
      private.local_day_end(day.value::date, business.time_zone) as ends_at
    from business
    cross join lateral (
      -- On from the last day, at most a week back. Without one, since yesterday: what was written before
      -- anybody asked for summaries is not summarised.
      select max(run.local_date) as local_date
      from public.summary_runs as run
      where run.workspace_id = business.id and run.was_scheduled and run.local_date <= business.today
    ) as last
    cross join lateral generate_series(
      greatest(coalesce(last.local_date, business.today - 1), business.today - 7)::timestamp,
      business.today::timestamp,
      interval '1 day'
    ) as day (value)
  ),
  due as (
    select
      candidate.*,
      -- A quarter of an hour after its end, because messages need some time from their sender to here.
      open_due_summaries.moment >= candidate.ends_at + interval '15 minutes' as is_over,
      least(open_due_summaries.moment, candidate.ends_at) as covered_until
    from candidate
    where open_due_summaries.moment >= candidate.due_at
      -- Nobody wrote since then: no work, and no row.
      and exists (
        select 1 from public.conversations as conversation
        where conversation.workspace_id = candidate.id
          and conversation.activity_at >= candidate.begins_at - interval '3 hours'
      )
  ),
  opened as (
    insert into public.summary_runs (workspace_id, local_date, was_scheduled, covered_until)
    select due.id, due.local_date, true, due.covered_until
    from due
    -- In one order, so that two who open at the same time do not wait for each other in a circle.
    order by due.id, due.local_date
    on conflict on constraint summary_runs_pkey do nothing
  ),
  again as (
    select run.workspace_id, run.local_date, due.covered_until
    from public.summary_runs as run
    join due on due.id = run.workspace_id and due.local_date = run.local_date
    where run.state = 'finished'
      and (run.covered_until < due.due_at or (due.is_over and run.covered_until < due.ends_at))
    for update of run skip locked
  )
  -- Once more for those that were done too early: when the day is over, or where somebody has made them
  -- by hand before their hour. Only for people whose conversations have changed since, less an hour: a
  -- transaction that began before may have ended after.
  update public.summary_runs as run
  set state = 'running',
    was_scheduled = true,
    cursor = null,
    changed_since = run.covered_until - interval '1 hour',
    covered_until = again.covered_until,
    finished_at = null
  from again
  where run.workspace_id = again.workspace_id and run.local_date = again.local_date;
end;
$$;
comment on function private.open_due_summaries(uuid, timestamptz) is
  'Open the runs that are due at a moment: of the day at its hour, of past days as soon as they are over. One workspace, or all.';

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
  -- Wide enough for any leap of the clock. Within them, the local time of each message decides.
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
      stored.value ->> 'direction' as direction,
      stored.value ->> 'type' as type,
      stored.value ->> 'content' as content
    from page
    cross join lateral jsonb_array_elements(page.messages) with ordinality as stored (value, ordinal)
    cross join lateral (select (stored.value ->> 'sent_at')::timestamptz as at) as sent
    where sent.at between from_time and until_time
      and (sent.at at time zone person_day.time_zone)::date = person_day.local_date
      -- Imported history, and answers that never reached anybody.
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
      count(*) filter (where message.direction = 'outbound') as outbound
    from message
  ) as counted
  where counted.total > 0;
  return day;
end;
$$;
comment on function private.person_day(uuid, uuid, date, text, timestamptz, integer) is
  'What was written with a person on a local day: counts, and the newest messages. Null without live messages. Reads the heads, and of the archives only the pages of that day.';

-- By hand ---------------------------------------------------------------------------------------

create function private.start_summary_run(workspace_id uuid, local_date date)
returns setof public.summary_runs
language plpgsql
-- Definer because nobody writes runs themselves; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  zone text;
  today date;
  wanted date;
begin
  if start_summary_run.workspace_id is null or start_summary_run.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin'])
  ) then
    raise exception 'Only an owner or admin of the workspace can make summaries'
      using errcode = '42501';
  end if;
  select workspace.time_zone into zone
  from public.workspaces as workspace
  where workspace.id = start_summary_run.workspace_id;
  today := (now() at time zone zone)::date;
  wanted := coalesce(start_summary_run.local_date, today);
  if wanted > today or wanted < today - 366 then
    raise exception 'date must be within the last 366 days, and not in the future'
      using errcode = '22023';
  end if;
  return query
  insert into public.summary_runs as run (workspace_id, local_date, covered_until, started_by)
  values (
    start_summary_run.workspace_id, wanted, least(now(), private.local_day_end(wanted, zone)), (select auth.uid())
  )
  on conflict on constraint summary_runs_pkey do update
  set state = 'running',
    changed_since = null,
    covered_until = excluded.covered_until,
    cursor = null,
    lease_token = null,
    leased_until = null,
    people_done = 0,
    notes_written = 0,
    ai_notes = 0,
    tokens_used = 0,
    messages_sent = 0,
    started_by = excluded.started_by,
    started_at = now(),
    finished_at = null
  -- Somebody is at it: that is the same work, and is not begun again under their hands.
  where run.leased_until is null or run.leased_until < now()
  returning run.*;
  if not found then
    return query
    select run.* from public.summary_runs as run
    where run.workspace_id = start_summary_run.workspace_id and run.local_date = wanted;
  end if;
end;
$$;
comment on function private.start_summary_run(uuid, date) is 'Does the work of public.start_summary_run.';

create function public.start_summary_run(workspace_id uuid, local_date date default null)
returns setof public.summary_runs
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select run.* from private.start_summary_run(start_summary_run.workspace_id, start_summary_run.local_date) as run;
end;
$$;
comment on function public.start_summary_run(uuid, date) is
  'Begin the summaries of a day (today by default) of a workspace from the start, unless somebody is at it. For owners and admins.';

create function public.summary_run(workspace_id uuid, local_date date default null)
returns setof public.summary_runs
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  select run.*
  from public.summary_runs as run
  join public.workspaces as workspace on workspace.id = run.workspace_id
  where run.workspace_id = summary_run.workspace_id
    and run.local_date = coalesce(summary_run.local_date, (now() at time zone workspace.time_zone)::date);
end;
$$;
comment on function public.summary_run(uuid, date) is 'How far the summaries of a day (today by default) of a workspace are. Row level security applies.';

-- Slices ----------------------------------------------------------------------------------------

create function public.claim_summary_slice(
  max_people integer default 10,
  lease_seconds integer default 180,
  only_workspace uuid default null,
  only_date date default null
)
returns table (
  workspace_id uuid,
  local_date date,
  lease_token uuid,
  covered_until timestamptz,
  language text,
  allow_external_ai boolean,
  tokens_used integer,
  messages_sent integer,
  person_ids uuid[],
  kept_ids uuid[],
  days jsonb
)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  run public.summary_runs;
  zone text;
  chosen uuid[];
  token uuid;
begin
  if claim_summary_slice.max_people not between 1 and 100 or claim_summary_slice.lease_seconds not between 1 and 3600 then
    raise exception 'max_people must be 1 to 100, lease_seconds 1 to 3600' using errcode = '22023';
  end if;
  if claim_summary_slice.only_date is null then
    perform private.open_due_summaries(claim_summary_slice.only_workspace, now());
  end if;
  loop
    select waiting.* into run
    from public.summary_runs as waiting
    where waiting.state = 'running'
      and (waiting.leased_until is null or waiting.leased_until < now())
      and (claim_summary_slice.only_workspace is null or waiting.workspace_id = claim_summary_slice.only_workspace)
      and (claim_summary_slice.only_date is null or waiting.local_date = claim_summary_slice.only_date)
    order by waiting.local_date, waiting.workspace_id
    for update skip locked
    limit 1;
    if run.workspace_id is null then
      return;
    end if;
    select workspace.time_zone into zone from public.workspaces as workspace where workspace.id = run.workspace_id;
    chosen := array(
      select distinct conversation.person_id
      from public.conversations as conversation
      where conversation.workspace_id = run.workspace_id
        and conversation.person_id is not null
        and conversation.activity_at >= (run.local_date::timestamp at time zone zone) - interval '3 hours'
        and conversation.updated_at >= coalesce(run.changed_since, '-infinity')
        and conversation.person_id > coalesce(run.cursor, '00000000-0000-0000-0000-000000000000')
      order by conversation.person_id
      limit claim_summary_slice.max_people
    );
    if cardinality(chosen) = 0 then
      update public.summary_runs as done
      set state = 'finished', lease_token = null, leased_until = null, finished_at = now()
      where done.workspace_id = run.workspace_id and done.local_date = run.local_date;
      continue;
    end if;
    token := gen_random_uuid();
    update public.summary_runs as taken
    set lease_token = token, leased_until = now() + make_interval(secs => claim_summary_slice.lease_seconds)
    where taken.workspace_id = run.workspace_id and taken.local_date = run.local_date;
    return query
    with day as materialized (
      select
        person.id,
        private.person_day(run.workspace_id, person.id, run.local_date, zone, run.covered_until, 60) as value
      from unnest(chosen) as person (id)
    ),
    -- A conversation also changes when it is read, say. Where no message came the note stays as it is.
    kept as (
      select day.id
      from day
      join public.person_notes as note
        on note.person_id = day.id and note.kind = 'daily_summary' and note.local_date = run.local_date
      where run.changed_since is not null
        and note.metadata -> 'message_count' = day.value -> 'message_count'
    )
    select run.workspace_id, run.local_date, token, run.covered_until,
      coalesce((select settings.language from public.workspace_summary_settings as settings
        where settings.workspace_id = run.workspace_id), 'en'),
      coalesce((select settings.allow_external_ai from public.workspace_summary_settings as settings
        where settings.workspace_id = run.workspace_id), false),
      run.tokens_used, run.messages_sent, chosen,
      array(select kept.id from kept order by kept.id),
      (
        select coalesce(jsonb_agg(day.value order by day.id), '[]')
        from day
        where day.value is not null and day.id not in (select kept.id from kept)
      );
    return;
  end loop;
end;
$$;
comment on function public.claim_summary_slice(integer, integer, uuid, date) is
  'The next people whose day is to be summarised, oldest day first, for whoever holds the lease; no row when there is nothing to do, or somebody is at it. Opens what is due first, unless a day is named. days is an array of PersonDay, defined in supabase/functions/daily-summary/schema.ts; people without live messages that day have none, nor have those of kept_ids, whose notes are still right. For service_role only.';

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
  -- People first, as everywhere. Somebody who was deleted meanwhile gets no note.
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
  -- Too late: somebody else goes on with the same people.
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

  -- Messages that went to somebody else's conversation since the note was made.
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
  'Write the notes of a slice (an array of {person_id, content, metadata}) and move its run on. People without a note lose theirs, but for kept_ids. One note per person and day, replaced when it is there. False: the lease was lost, and nothing was written. For service_role only.';

-- Every five minutes, where pg_cron and pg_net are to be had (hosted, and with Docker). local/schedule.ts
-- does the same on one machine.
do $$
begin
  if exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_cron')
    and exists (select 1 from pg_catalog.pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_cron;
    create extension if not exists pg_net;
    perform cron.schedule('daily-summary', '*/5 * * * *', $job$select private.call_function('daily-summary/tick')$job$);
  end if;
exception when others then
  -- Available but not loaded by this server, or not allowed to this role.
  raise notice 'pg_cron could not be used: %', sqlerrm;
end;
$$;

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  private.local_day_end(date, text),
  private.open_due_summaries(uuid, timestamptz),
  private.person_day(uuid, uuid, date, text, timestamptz, integer),
  private.start_summary_run(uuid, date),
  public.start_summary_run(uuid, date),
  public.summary_run(uuid, date),
  public.claim_summary_slice(integer, integer, uuid, date),
  public.write_daily_summaries(uuid, date, uuid, uuid[], uuid[], jsonb, integer, integer, integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.start_summary_run(uuid, date),
  public.start_summary_run(uuid, date),
  public.summary_run(uuid, date)
to authenticated;
grant execute on function
  private.local_day_end(date, text),
  private.open_due_summaries(uuid, timestamptz),
  private.person_day(uuid, uuid, date, text, timestamptz, integer),
  public.summary_run(uuid, date),
  public.claim_summary_slice(integer, integer, uuid, date),
  public.write_daily_summaries(uuid, date, uuid, uuid[], uuid[], jsonb, integer, integer, integer)
to service_role;

grant select on public.workspace_summary_settings to authenticated;
grant insert (workspace_id, is_enabled, hour, allow_external_ai, language) on public.workspace_summary_settings to authenticated;
grant update (workspace_id, is_enabled, hour, allow_external_ai, language) on public.workspace_summary_settings to authenticated;
grant select on public.summary_runs to authenticated;
grant all on public.workspace_summary_settings, public.summary_runs to service_role;

alter table public.workspace_summary_settings enable row level security;
alter table public.summary_runs enable row level security;

create policy "Members can read the summary settings of their workspaces" on public.workspace_summary_settings
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners and admins can add summary settings" on public.workspace_summary_settings
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can change summary settings" on public.workspace_summary_settings
  for update to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])))
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can see how far summaries are" on public.summary_runs
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
