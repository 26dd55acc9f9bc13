-- Keep recorded events of a number from the workspace that gets the number later.
-- Objects: private.released_numbers, private.keep_released_number with two triggers on connections;
--   private.process_webhook_event.
-- Risk: none; a new table, and a check in what processes events.

create table private.released_numbers (
  phone_number_id text not null,
  workspace_id uuid not null,
  released_at timestamptz not null default now(),
  constraint released_numbers_pkey primary key (phone_number_id, workspace_id)
);
comment on table private.released_numbers is
  'Workspaces that had a number of Kapso before: what was recorded while it was theirs is never stored for anybody else.';
comment on column private.released_numbers.phone_number_id is 'The number.';
comment on column private.released_numbers.workspace_id is 'Who had it. No foreign key: it holds also when the workspace has been deleted.';
comment on column private.released_numbers.released_at is 'Until when they had it, last.';

create function private.keep_released_number()
returns trigger
language plpgsql
-- Definer because whoever manages connections has no rights on private tables.
security definer
set search_path = ''
as $$
begin
  -- The time of the clock, not of the transaction: an event may have come since that began.
  insert into private.released_numbers as known (phone_number_id, workspace_id, released_at)
  values (old.phone_number_id, old.workspace_id, clock_timestamp())
  on conflict on constraint released_numbers_pkey do update set released_at = excluded.released_at;
  return null;
end;
$$;
comment on function private.keep_released_number() is 'Trigger: keeps who had a number that is given up.';
revoke execute on function private.keep_released_number() from public, anon, authenticated, service_role;

create trigger connections_keep_released_number_of_deleted
  after delete on public.connections
  for each row when (old.phone_number_id is not null)
  execute function private.keep_released_number();

create trigger connections_keep_released_number
  after update of phone_number_id, workspace_id on public.connections
  for each row
  when (
    old.phone_number_id is not null
    and (old.phone_number_id, old.workspace_id) is distinct from (new.phone_number_id, new.workspace_id)
  )
  execute function private.keep_released_number();

grant all on private.released_numbers to service_role;
alter table private.released_numbers enable row level security;

-- What is new: the check of released_numbers.
create or replace function private.process_webhook_event(event_id bigint)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  event private.webhook_events;
  source public.connections;
  element jsonb;
  stored private.kapso_outcome;
  problems text[] := '{}';
  notes text[] := '{}';
  handled integer := 0;
begin
  select known.* into event
  from private.webhook_events as known
  where known.id = process_webhook_event.event_id
  for update;

  perform private.lock_contacts(event.elements);

  for element in
    select item.value from jsonb_array_elements(event.elements) as item (value)
    order by item.value ->> 'kind', item.value #>> '{conversation,external_conversation_id}' collate "C"
  loop
    continue when element ->> 'kind' = 'ignored';
    select known.* into source
    from public.connections as known
    where known.phone_number_id = element ->> 'phoneNumberId' and known.platform = 'whatsapp';
    if source.id is null then
      problems := problems || 'no connection has this phone_number_id'::text;
      continue;
    end if;
    if exists (
      select 1 from private.released_numbers as released
      where released.phone_number_id = source.phone_number_id
        and released.workspace_id <> source.workspace_id
        and released.released_at >= event.received_at
    ) then
      problems := problems || 'the number was another workspace''s when this came'::text;
      continue;
    end if;
    if not source.is_active then
      problems := problems || 'the connection is inactive'::text;
      continue;
    end if;
    handled := handled + 1;

    begin
      case element ->> 'kind'
        when 'conversation' then
          stored := private.store_kapso_conversation(source, element -> 'conversation');
          if stored.outcome = 'error' then
            problems := problems || stored.error;
          end if;
        when 'identity_change' then
          if not private.change_identity(source, element) then
            handled := handled - 1;
            notes := notes || 'nobody has these identifiers yet'::text;
          end if;
        when 'marketing_preference' then
          perform private.change_marketing_preference(source, element);
      end case;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or case_not_found then
      problems := problems || sqlstate;
    end;
  end loop;

  update private.webhook_events as known
  set state = case
      when cardinality(problems) > 0 then 'failed'
      when handled = 0 then 'ignored'
      else 'processed'
    end,
    error = nullif(array_to_string(problems || notes, '; '), ''),
    attempts = known.attempts + 1,
    processed_at = now()
  where known.id = event.id;

  -- As last_synced_at: whoever finds the row taken leaves it.
  update public.connections as busy
  set last_event_at = event.received_at
  where busy.id in (
    select known.id
    from public.connections as known
    where known.phone_number_id = event.phone_number_id
      and known.platform = 'whatsapp'
      and coalesce(known.last_event_at, '-infinity') < event.received_at - interval '1 second'
    for no key update skip locked
  );
end;
$$;
