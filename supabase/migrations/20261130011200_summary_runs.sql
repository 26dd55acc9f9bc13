-- Runs of daily summaries: settings, which days are due, and slices of a day.

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
  'Settings of the daily summaries of a workspace. No row: the defaults.';
comment on column public.workspace_summary_settings.workspace_id is 'The workspace.';
comment on column public.workspace_summary_settings.is_enabled is
  'Whether the schedule creates summaries. Members can still create them manually.';
comment on column public.workspace_summary_settings.hour is 'Hour of the day, in the workspace''s time zone.';
comment on column public.workspace_summary_settings.allow_external_ai is
  'Whether message texts may be sent to the AI endpoint. False: no text leaves the database, and notes are extracts.';
comment on column public.workspace_summary_settings.language is 'BCP 47 tag of the language of the notes.';
comment on column public.workspace_summary_settings.created_at is 'When the row was created.';
comment on column public.workspace_summary_settings.updated_at is 'When the row last changed.';

create trigger workspace_summary_settings_touch_updated_at
  before update on public.workspace_summary_settings
  for each row execute function private.touch_updated_at();

grant select on public.workspace_summary_settings to authenticated;
grant insert (workspace_id, is_enabled, hour, allow_external_ai, language)
  on public.workspace_summary_settings to authenticated;
grant update (workspace_id, is_enabled, hour, allow_external_ai, language)
  on public.workspace_summary_settings to authenticated;
grant all on public.workspace_summary_settings to service_role;
alter table public.workspace_summary_settings enable row level security;

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
  opened_at timestamptz not null default now(),
  messages_counted bigint not null default 0,
  finished_at timestamptz,
  constraint summary_runs_pkey primary key (workspace_id, local_date),
  constraint summary_runs_state_check check (state in ('running', 'finished')),
  constraint summary_runs_lease_check check ((lease_token is null) = (leased_until is null))
);
comment on table public.summary_runs is
  'Progress of the daily summaries of a workspace and day. A worker holds the lease of a run; after a crash the lease '
  'expires, and the next worker continues after the cursor.';
comment on column public.summary_runs.workspace_id is 'The workspace.';
comment on column public.summary_runs.local_date is 'The day, in the workspace''s time zone.';
comment on column public.summary_runs.state is 'running: people are left. finished: none are left.';
comment on column public.summary_runs.was_scheduled is
  'Whether the schedule opened it. The schedule catches up on days after the last such run.';
comment on column public.summary_runs.changed_since is
  'Only people whose conversations have changed since then are processed. Null: all people of the day.';
comment on column public.summary_runs.covered_until is 'The notes cover messages up to this time.';
comment on column public.summary_runs.cursor is 'Id of the last person who was processed; the order is that of ids.';
comment on column public.summary_runs.lease_token is
  'Lease of the present worker. Notes are accepted with this token only.';
comment on column public.summary_runs.leased_until is 'When the lease expires.';
comment on column public.summary_runs.people_done is 'People who were processed.';
comment on column public.summary_runs.notes_written is 'Notes that were written.';
comment on column public.summary_runs.ai_notes is 'Number of them that an AI wrote.';
comment on column public.summary_runs.tokens_used is 'Tokens used for them.';
comment on column public.summary_runs.messages_sent is
  'Messages that were sent to the AI endpoint, or may have been, by a worker that crashed.';
comment on column public.summary_runs.started_by is 'The member who started it manually.';
comment on column public.summary_runs.started_at is 'When it was last started from the beginning.';
comment on column public.summary_runs.opened_at is
  'When the last pass through the people began. Later changes are for the next pass.';
comment on column public.summary_runs.messages_counted is
  'Number of messages of the day at that time. A different number now means that some arrived late.';
comment on column public.summary_runs.finished_at is 'When it was finished.';

create index summary_runs_unfinished_local_date_idx
  on public.summary_runs (local_date, workspace_id) where state = 'running';
comment on index public.summary_runs_unfinished_local_date_idx is 'Finds unfinished runs, oldest first.';

create index summary_runs_started_by_idx on public.summary_runs (started_by);

grant select on public.summary_runs to authenticated;
grant all on public.summary_runs to service_role;
alter table public.summary_runs enable row level security;

create policy "Owners and admins can see how far summaries are" on public.summary_runs
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

-- Days -------------------------------------------------------------------------------------------

create function private.local_day_end(local_date date, time_zone text)
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  -- Where midnight occurs twice, Postgres takes the second; where it is skipped, the moment of the change.
  return (local_day_end.local_date + 1)::timestamp at time zone local_day_end.time_zone;
end;
$$;
comment on function private.local_day_end(date, text) is
  'The time after which no message can belong to the day. The local time of a message decides its day, never this.';

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
      (open_due_summaries.moment at time zone workspace.time_zone)::date as today,
      make_time(coalesce(settings.hour, 20), 0, 0) as at_time
    from public.workspaces as workspace
    left join public.workspace_summary_settings as settings on settings.workspace_id = workspace.id
    where coalesce(settings.is_enabled, true)
      and not exists (select from private.workspace_pauses as pause where pause.workspace_id = workspace.id)
      and (open_due_summaries.only_workspace is null or workspace.id = open_due_summaries.only_workspace)
  ),
  candidate as (
    select
      business.id,
      day.value::date as local_date,
      day.value::date >= first.local_date as is_wanted,
      (day.value::date + business.at_time) at time zone business.time_zone as due_at,
      day.value::date::timestamp at time zone business.time_zone as begins_at,
      private.local_day_end(day.value::date, business.time_zone) as ends_at,
      -- The configured hour of today, or of yesterday while today's is ahead.
      case
        when open_due_summaries.moment >= (business.today + business.at_time) at time zone business.time_zone
          then (business.today + business.at_time) at time zone business.time_zone
        else (business.today - 1 + business.at_time) at time zone business.time_zone
      end as last_hour
    from business
    cross join lateral (
      -- From the last day on, at most a week back. Without one, from yesterday on: earlier messages are not
      -- summarised.
      select greatest(coalesce(max(run.local_date), business.today - 1), business.today - 7) as local_date
      from public.summary_runs as run
      where run.workspace_id = business.id and run.was_scheduled and run.local_date <= business.today
    ) as first
    cross join lateral generate_series(
      -- The last three days are checked again, if they were summarised.
      least(first.local_date, business.today - 3)::timestamp,
      business.today::timestamp,
      interval '1 day'
    ) as day (value)
  ),
  due as (
    select
      candidate.*,
      -- 15 minutes after its end, because messages take time to arrive.
      open_due_summaries.moment >= candidate.ends_at + interval '15 minutes' as is_over,
      least(open_due_summaries.moment, candidate.ends_at) as covered_until
    from candidate
    where open_due_summaries.moment >= candidate.due_at
      -- No message since then: no work, and no row. activity_at, which is never before last_message_at, has the index.
      and exists (
        select 1 from public.conversations as conversation
        where conversation.workspace_id = candidate.id
          and conversation.activity_at >= candidate.begins_at - interval '3 hours'
          and conversation.last_message_at >= candidate.begins_at - interval '3 hours'
      )
  ),
  opened as (
    insert into public.summary_runs
      (workspace_id, local_date, was_scheduled, covered_until, opened_at, messages_counted)
    select due.id, due.local_date, true, due.covered_until, open_due_summaries.moment,
      private.messages_of_day(due.id, due.local_date)
    from due
    where due.is_wanted
      and not exists (
        select 1 from public.summary_runs as known
        where known.workspace_id = due.id and known.local_date = due.local_date
      )
    -- In one order, so that two concurrent calls do not wait for each other in a circle.
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
            -- Late messages of a past day: soon, but not with every message.
            or (
              run.messages_counted <> counted.messages
              and run.opened_at <= open_due_summaries.moment - interval '15 minutes'
            )
            -- Changes that the counts do not show (a message that failed, merged people): once a day.
            or run.opened_at < due.last_hour - interval '1 hour'
          )
        )
      )
    for update of run skip locked
  )
  -- Again for days that were done too early, because the day was not over or a member started them before the hour, and
  -- for late messages. Only for people whose conversations have changed since, less an hour: a transaction that began
  -- before may have ended after.
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
  'Open the runs that are due at a time: of the day at its hour, of past days as soon as they are over, and of the '
  'last three days again after changes. For one workspace, or all.';

-- Starting and reading ---------------------------------------------------------------------------

create function private.start_summary_run(workspace_id uuid, local_date date)
returns setof public.summary_runs
language plpgsql
-- Definer because members may not write runs themselves; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  zone text;
  today date;
  wanted date;
begin
  perform private.require_role(start_summary_run.workspace_id, array['owner', 'admin'], 'workspace_not_found');
  select workspace.time_zone into zone
  from public.workspaces as workspace
  where workspace.id = start_summary_run.workspace_id;
  today := (now() at time zone zone)::date;
  wanted := coalesce(start_summary_run.local_date, today);
  if wanted > today or wanted < today - 366 then
    raise exception 'date_out_of_range' using errcode = 'PT400';
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
  -- A worker holds the lease: it does the same work, and is not interrupted.
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
  'Start the summaries of a day (today by default) of a workspace from the beginning, unless a worker is processing '
  'them. For owners and admins.';

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
comment on function public.summary_run(uuid, date) is
  'Progress of the summaries of a day (today by default) of a workspace. Row level security applies.';

-- Slices -----------------------------------------------------------------------------------------

create function private.next_people_to_summarise(run public.summary_runs, zone text, max_people integer)
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return array(
    select candidate.person_id
    from (
      -- The first rows of each kind, so that neither has to be read to its end.
      (
        select distinct conversation.person_id
        from public.conversations as conversation
        where conversation.workspace_id = run.workspace_id
          and conversation.person_id is not null
          and conversation.activity_at >= (run.local_date::timestamp at time zone zone) - interval '3 hours'
          and conversation.last_message_at >= (run.local_date::timestamp at time zone zone) - interval '3 hours'
          and conversation.updated_at >= coalesce(run.changed_since, '-infinity')
          and conversation.person_id > coalesce(run.cursor, '00000000-0000-0000-0000-000000000000')
        order by conversation.person_id
        limit next_people_to_summarise.max_people
      )
      union
      -- A person with a note may no longer have a conversation of that day.
      (
        select note.person_id
        from public.person_notes as note
        where note.workspace_id = run.workspace_id
          and note.local_date = run.local_date
          and note.kind = 'daily_summary'
          and (run.changed_since is null or note.metadata -> 'digest' = 'null')
          and note.person_id > coalesce(run.cursor, '00000000-0000-0000-0000-000000000000')
        order by note.person_id
        limit next_people_to_summarise.max_people
      )
    ) as candidate
    order by candidate.person_id
    limit next_people_to_summarise.max_people
  );
end;
$$;
comment on function private.next_people_to_summarise(public.summary_runs, text, integer) is
  'The next people of a run, after its cursor: those who wrote or were written to on its day and have changed since, '
  'and those who have a note that may be outdated.';

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
  summary_language text;
  is_ai_allowed boolean;
  still_right uuid[];
  person_days jsonb;
  was_lost boolean;
begin
  if claim_summary_slice.max_people not between 1 and 100
    or claim_summary_slice.lease_seconds not between 1 and 3600
  then
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
      and not exists (select from private.workspace_pauses as pause where pause.workspace_id = waiting.workspace_id)
    -- The run with the fewest processed people is next: a business with thousands of customers delays no other.
    order by waiting.people_done, waiting.local_date, waiting.workspace_id
    for update skip locked
    limit 1;
    if run.workspace_id is null then
      return;
    end if;
    select workspace.time_zone into zone from public.workspaces as workspace where workspace.id = run.workspace_id;
    chosen := private.next_people_to_summarise(run, zone, claim_summary_slice.max_people);
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
    -- A conversation also changes when it is read, for example. Where the messages are the same, the note stays.
    -- Notes without a digest are compared by their message count.
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
    -- The previous worker returned no notes, but may have paid for them. They count as sent, so that a slice that
    -- crashes every worker costs no more than the budget of its day.
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
  'Claim the next people whose day is to be summarised, of the run with the fewest processed people; no row where no '
  'work is left or another worker has the lease. Opens due runs first, unless a day is given. days is an array of '
  'PersonDay, defined in supabase/functions/_shared/contracts/daily_summary.ts; it leaves out people without live '
  'messages that day, and those of kept_ids, whose notes are still right. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.local_day_end(date, text),
  private.open_due_summaries(uuid, timestamptz),
  private.start_summary_run(uuid, date),
  public.start_summary_run(uuid, date),
  public.summary_run(uuid, date),
  private.next_people_to_summarise(public.summary_runs, text, integer),
  public.claim_summary_slice(integer, integer, uuid, date)
from public, anon, authenticated, service_role;
grant execute on function
  private.local_day_end(date, text),
  private.open_due_summaries(uuid, timestamptz),
  private.next_people_to_summarise(public.summary_runs, text, integer),
  public.claim_summary_slice(integer, integer, uuid, date)
to service_role;
grant execute on function
  private.start_summary_run(uuid, date),
  public.start_summary_run(uuid, date)
to authenticated;
grant execute on function public.summary_run(uuid, date) to authenticated, service_role;
