-- Purpose: what owners and admins do with connections, without ever seeing a key again.
-- Objects: connection_overview, update_connection, managed_connection.
-- Risk: none; functions only.

create function private.connection_overview(workspace_id uuid)
returns table (
  id uuid,
  connection_id text,
  platform text,
  name text,
  phone_number_id text,
  is_active boolean,
  created_at timestamptz,
  last_synced_at timestamptz,
  last_event_at timestamptz,
  confirmed_until timestamptz,
  lag_seconds integer,
  silence_seconds integer,
  failed_events integer,
  has_kapso_key boolean,
  has_webhook_secret boolean
)
language plpgsql
stable
-- Definer because secrets and events are private; the role is checked first, and only whether there is
-- a secret is told.
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform private.require_role(
    connection_overview.workspace_id, array['owner', 'admin', 'agent', 'viewer'], 'workspace_not_found'
  );
  return query
  select connection.id, connection.connection_id, connection.platform, connection.name,
    connection.phone_number_id, connection.is_active, connection.created_at, connection.last_synced_at,
    connection.last_event_at, connection.confirmed_until, health.lag_seconds, health.silence_seconds,
    health.failed_events::integer,
    secret.kapso_api_key is not null, secret.webhook_secret is not null
  from public.connections as connection
  join public.connection_health as health on health.id = connection.id
  left join private.connection_secrets as secret on secret.connection_id = connection.id
  where connection.workspace_id = connection_overview.workspace_id
  order by connection.created_at, connection.id;
end;
$$;
comment on function private.connection_overview(uuid) is 'Does the work of public.connection_overview.';

create function public.connection_overview(workspace_id uuid)
returns table (
  id uuid,
  connection_id text,
  platform text,
  name text,
  phone_number_id text,
  is_active boolean,
  created_at timestamptz,
  last_synced_at timestamptz,
  last_event_at timestamptz,
  confirmed_until timestamptz,
  lag_seconds integer,
  silence_seconds integer,
  failed_events integer,
  has_kapso_key boolean,
  has_webhook_secret boolean
)
language sql
stable
set search_path = ''
as $$
  select listed.* from private.connection_overview(connection_overview.workspace_id) as listed;
$$;

comment on function public.connection_overview(uuid) is
  'The connections of a workspace and how each is: when something came last, lag and silence in seconds, events that could not be processed, and whether it has its secrets. For members.';

create function private.managed_connection(id uuid)
returns public.connections
language plpgsql
stable
-- Definer so that a stranger and a member are told apart by private.require_role and not by policies.
security definer
set search_path = ''
as $$
declare
  managed public.connections;
begin
  select known.* into managed from public.connections as known where known.id = managed_connection.id;
  perform private.require_role(managed.workspace_id, array['owner', 'admin'], 'connection_not_found');
  return managed;
end;
$$;
comment on function private.managed_connection(uuid) is 'Does the work of public.managed_connection.';

create function public.managed_connection(id uuid)
returns setof public.connections
language sql
stable
set search_path = ''
as $$
  select managed.* from private.managed_connection(managed_connection.id) as managed;
$$;
comment on function public.managed_connection(uuid) is
  'A connection, for whoever may manage it: owners and admins. Others get an error that says which.';

create function private.update_connection(id uuid, change jsonb)
returns public.connections
language plpgsql
volatile
-- Definer because members may not set phone_number_id themselves; the role is checked first.
security definer
set search_path = ''
as $$
declare
  updated public.connections := private.managed_connection(update_connection.id);
begin
  begin
    update public.connections as known
    set name = case when change ? 'name' then change ->> 'name' else known.name end,
      is_active = case when change ? 'is_active' then (change ->> 'is_active')::boolean else known.is_active end,
      phone_number_id = case when change ? 'phone_number_id' then change ->> 'phone_number_id' else known.phone_number_id end
    where known.id = updated.id
    returning known.* into updated;
  exception
    when unique_violation then
      raise exception 'phone_number_taken' using errcode = 'PT409';
    when check_violation or not_null_violation or data_exception then
      raise exception 'invalid_connection_settings' using errcode = 'PT422';
  end;
  return updated;
end;
$$;
comment on function private.update_connection(uuid, jsonb) is 'Does the work of public.update_connection.';

create function public.update_connection(id uuid, change jsonb)
returns setof public.connections
language sql
volatile
set search_path = ''
as $$
  select updated.* from private.update_connection(update_connection.id, update_connection.change) as updated;
$$;
comment on function public.update_connection(uuid, jsonb) is
  'Change name, is_active or phone_number_id of a connection. For owners and admins.';

revoke execute on function
  private.connection_overview(uuid),
  public.connection_overview(uuid),
  private.managed_connection(uuid),
  public.managed_connection(uuid),
  private.update_connection(uuid, jsonb),
  public.update_connection(uuid, jsonb)
from public, anon, authenticated, service_role;
grant execute on function
  private.connection_overview(uuid),
  public.connection_overview(uuid),
  private.managed_connection(uuid),
  public.managed_connection(uuid),
  private.update_connection(uuid, jsonb),
  public.update_connection(uuid, jsonb)
to authenticated;
