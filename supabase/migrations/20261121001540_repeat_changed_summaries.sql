-- Purpose: make the summary of a past day again by itself, where its messages came late or went to somebody
--   else; and let a slice that kills whoever takes it cost no more than the budget of its day.
-- Objects: two columns of summary_runs, private.messages_of_day, a trigger on conversations; open_due_summaries,
--   person_day, start_summary_run and claim_summary_slice are replaced.
-- Risk: low; the columns have defaults. Days of the last three that are finished are looked at once more.

alter table public.summary_runs
  add column opened_at timestamptz not null default now(),
  add column messages_counted bigint not null default 0;
comment on column public.summary_runs.opened_at is 'When people were last looked at from the first one on. What changed after that is for the next time.';
comment on column public.summary_runs.messages_counted is 'Messages of the day that had been counted by then. Another number now: some came late.';
comment on column public.summary_runs.messages_sent is
  'Messages that were sent to the AI endpoint, or may have been, by somebody who then died.';

create function private.messages_of_day(workspace_id uuid, local_date date)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select coalesce(sum(known.messages), 0)
    from private.message_counts as known
    where known.workspace_id = messages_of_day.workspace_id and known.local_date = messages_of_day.local_date
  ) + (
    select coalesce(sum(part.messages), 0)
    from private.message_count_parts as part
    where part.workspace_id = messages_of_day.workspace_id and part.local_date = messages_of_day.local_date
  );
end;
$$;
comment on function private.messages_of_day(uuid, date) is
  'Messages of a local day that have come so far, imported ones included. Costs a few rows, whatever the day.';

create function private.note_other_person()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Not everybody who links sets it.
  new.updated_at := now();
  if old.person_id is not null then
    -- Their notes have messages that are somebody else's now. As far back as days are looked at again,
    -- in whatever time zone.
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
  'Trigger: a conversation that goes to somebody else has changed, and so have the days of whoever had it.';

create trigger conversations_note_other_person
  before update of person_id on public.conversations
  for each row
  when (old.person_id is distinct from new.person_id)
  execute function private.note_other_person();


-- As before, and: three days are looked at again, where messages came late or their hour has come.
create or replace function private.open_due_summaries(only_workspace uuid, moment timestamptz)
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
      day.value::date >= first.local_date as is_wanted,
      (day.value::date + make_time(business.hour, 0, 0)) at time zone business.time_zone as due_at,
      day.value::date::timestamp at time zone business.time_zone as begins_at,
      private.local_day_end(day.value::date, business.time_zone) as ends_at,
      -- Its hour of today, or yesterday's while that has not come.
      case
        when open_due_summaries.moment >= (business.today + make_time(business.hour, 0, 0)) at time zone business.time_zone
          then (business.today + make_time(business.hour, 0, 0)) at time zone business.time_zone
        else (business.today - 1 + make_time(business.hour, 0, 0)) at time zone business.time_zone
      end as last_hour
    from business
    cross join lateral (
      -- On from the last day, at most a week back. Without one, since yesterday: what was written before
      -- anybody asked for summaries is not summarised.
      select greatest(coalesce(max(run.local_date), business.today - 1), business.today - 7) as local_date
      from public.summary_runs as run
      where run.workspace_id = business.id and run.was_scheduled and run.local_date <= business.today
    ) as first
    cross join lateral generate_series(
      -- Three days are looked at again, if they were summarised.
      least(first.local_date, business.today - 3)::timestamp,
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
    insert into public.summary_runs (workspace_id, local_date, was_scheduled, covered_until, opened_at, messages_counted)
    select due.id, due.local_date, true, due.covered_until, open_due_summaries.moment,
      private.messages_of_day(due.id, due.local_date)
    from due
    where due.is_wanted
      and not exists (
        select 1 from public.summary_runs as known
        where known.workspace_id = due.id and known.local_date = due.local_date
      )
    -- In one order, so that two who open at the same time do not wait for each other in a circle.
    order by due.id, due.local_date
    on conflict on constraint summary_runs_pkey do nothing
  ),
  again as (
    select run.workspace_id, run.local_date, due.covered_until, counted.messages,
      run.covered_until < due.ends_at as was_early
    from public.summary_runs as run
    join due on due.id = run.workspace_id and due.local_date = run.local_date
    cross join lateral (select private.messages_of_day(run.workspace_id, run.local_date) as messages) as counted
    where run.state = 'finished'
      and (
        run.covered_until < due.due_at
        or (
          due.is_over
          and (
            run.covered_until < due.ends_at
            -- Messages of a day that is long over: soon, but not with every one of them.
            or (run.messages_counted <> counted.messages and run.opened_at <= open_due_summaries.moment - interval '15 minutes')
            -- What is not counted (a message that failed, people who became one): once a day.
            or run.opened_at < due.last_hour - interval '1 hour'
          )
        )
      )
    for update of run skip locked
  )
  -- Once more for those that were done too early: when the day is over, or where somebody has made them
  -- by hand before their hour; and for what came late. Only for people whose conversations have changed
  -- since, less an hour: a transaction that began before may have ended after.
  update public.summary_runs as run
  set state = 'running',
    was_scheduled = true,
    cursor = null,
    changed_since = case when again.was_early then least(run.covered_until, run.opened_at) else run.opened_at end
      - interval '1 hour',
    covered_until = again.covered_until,
    opened_at = open_due_summaries.moment,
    messages_counted = again.messages,
    finished_at = null
  from again
  where run.workspace_id = again.workspace_id and run.local_date = again.local_date;
end;
$$;
comment on function private.open_due_summaries(uuid, timestamptz) is
  'Open the runs that are due at a moment: of the day at its hour, of past days as soon as they are over, and of the last three days again where something has changed. One workspace, or all.';


-- As before, and: a digest of which messages these are, to compare with that of the note.
create or replace function private.person_day(
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
      stored.value ->> 'id' as id,
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


-- As before, and: from when on the next look has to look, and how many messages there were.
create or replace function private.start_summary_run(workspace_id uuid, local_date date)
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
  insert into public.summary_runs as run (workspace_id, local_date, covered_until, started_by, messages_counted)
  values (
    start_summary_run.workspace_id, wanted, least(now(), private.local_day_end(wanted, zone)), (select auth.uid()),
    private.messages_of_day(start_summary_run.workspace_id, wanted)
  )
  on conflict on constraint summary_runs_pkey do update
  set state = 'running',
    changed_since = null,
    covered_until = excluded.covered_until,
    opened_at = now(),
    messages_counted = excluded.messages_counted,
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


-- As before, and: also whoever has a note and no conversation any more; notes are compared by their digest; a
-- lost slice costs its messages; runs take turns.
create or replace function public.claim_summary_slice(
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
  summary_language text;
  is_ai_allowed boolean;
  still_right uuid[];
  person_days jsonb;
  was_lost boolean;
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
    -- Whoever has had least is next: a business with thousands of customers keeps nobody waiting.
    order by waiting.people_done, waiting.local_date, waiting.workspace_id
    for update skip locked
    limit 1;
    if run.workspace_id is null then
      return;
    end if;
    select workspace.time_zone into zone from public.workspaces as workspace where workspace.id = run.workspace_id;
    chosen := array(
      select candidate.person_id
      from (
        -- The first of each kind, so that neither has to be read to its end.
        (
          select distinct conversation.person_id
          from public.conversations as conversation
          where conversation.workspace_id = run.workspace_id
            and conversation.person_id is not null
            and conversation.activity_at >= (run.local_date::timestamp at time zone zone) - interval '3 hours'
            and conversation.updated_at >= coalesce(run.changed_since, '-infinity')
            and conversation.person_id > coalesce(run.cursor, '00000000-0000-0000-0000-000000000000')
          order by conversation.person_id
          limit claim_summary_slice.max_people
        )
        union
        -- Who has a note may have no conversation of that day any more.
        (
          select note.person_id
          from public.person_notes as note
          where note.workspace_id = run.workspace_id
            and note.local_date = run.local_date
            and note.kind = 'daily_summary'
            and (run.changed_since is null or note.metadata -> 'digest' = 'null')
            and note.person_id > coalesce(run.cursor, '00000000-0000-0000-0000-000000000000')
          order by note.person_id
          limit claim_summary_slice.max_people
        )
      ) as candidate
      order by candidate.person_id
      limit claim_summary_slice.max_people
    );
    if cardinality(chosen) = 0 then
      update public.summary_runs as done
      set state = 'finished', lease_token = null, leased_until = null, finished_at = now()
      where done.workspace_id = run.workspace_id and done.local_date = run.local_date;
      continue;
    end if;
    select settings.language, settings.allow_external_ai into summary_language, is_ai_allowed
    from public.workspace_summary_settings as settings
    where settings.workspace_id = run.workspace_id;
    with day as materialized (
      select
        person.id,
        private.person_day(run.workspace_id, person.id, run.local_date, zone, run.covered_until, 60) as value
      from unnest(chosen) as person (id)
    ),
    -- A conversation also changes when it is read, say. Where the messages are the same the note stays as
    -- it is. Notes from before there were digests are compared by their count.
    kept as (
      select day.id
      from day
      join public.person_notes as note
        on note.person_id = day.id and note.kind = 'daily_summary' and note.local_date = run.local_date
      where run.changed_since is not null
        and case when note.metadata ? 'digest' then note.metadata -> 'digest' = day.value -> 'digest'
          else note.metadata -> 'message_count' = day.value -> 'message_count' end
    )
    select
      array(select kept.id from kept order by kept.id),
      (
        select coalesce(jsonb_agg(day.value order by day.id), '[]')
        from day
        where day.value is not null and day.id not in (select kept.id from kept)
      )
    into still_right, person_days;
    -- Whoever had the lease before gave no notes back, and may have paid for them. Counted as sent, so that
    -- a slice which kills everybody who takes it costs no more than the budget of its day.
    was_lost := run.lease_token is not null and coalesce(is_ai_allowed, false);
    token := gen_random_uuid();
    update public.summary_runs as taken
    set lease_token = token,
      leased_until = now() + make_interval(secs => claim_summary_slice.lease_seconds),
      messages_sent = taken.messages_sent + case when was_lost then (
        select coalesce(sum(jsonb_array_length(day.value -> 'messages')), 0)
        from jsonb_array_elements(person_days) as day (value)
      ) else 0 end
    where taken.workspace_id = run.workspace_id and taken.local_date = run.local_date
    returning taken.messages_sent into run.messages_sent;
    return query
    select run.workspace_id, run.local_date, token, run.covered_until, coalesce(summary_language, 'en'),
      coalesce(is_ai_allowed, false), run.tokens_used, run.messages_sent, chosen, still_right, person_days;
    return;
  end loop;
end;
$$;


comment on function public.claim_summary_slice(integer, integer, uuid, date) is
  'The next people whose day is to be summarised, of the run that has done fewest, for whoever holds the lease; no row when there is nothing to do, or somebody is at it. Opens what is due first, unless a day is named. days is an array of PersonDay, defined in supabase/functions/daily-summary/schema.ts; people without live messages that day have none, nor have those of kept_ids, whose notes are still right. For service_role only.';

revoke execute on function private.messages_of_day(uuid, date), private.note_other_person()
from public, anon, authenticated, service_role;
grant execute on function private.messages_of_day(uuid, date) to service_role;
