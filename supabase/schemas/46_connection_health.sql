-- How far behind each connection is.

create view public.connection_health with (security_invoker = true) as
select
  source.id,
  source.workspace_id,
  source.last_synced_at,
  source.last_event_at,
  source.confirmed_until,
  extract(epoch from now() - source.confirmed_until)::integer as lag_seconds,
  extract(epoch from now() - greatest(source.last_event_at, source.last_synced_at))::integer as silence_seconds,
  case when source.phone_number_id is not null then private.count_failed_events(source.phone_number_id) else 0 end
    as failed_events
from public.connections as source;
comment on view public.connection_health is
  'State of each connection: lag_seconds (since all messages were last confirmed to be stored; null before the first '
  'repair or history run), silence_seconds (since the last arrival) and failed_events (events that could not be '
  'processed).';
grant select on public.connection_health to authenticated;
