-- Bridges and Kapso numbers: what a member sees and changes, and which numbers a workspace has given up.

-- Not in SQL, which Postgres would parse and plan again for the check constraints of every statement.
create function private.platforms()
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return array['whatsapp', 'signal', 'telegram', 'wechat'];
end;
$$;
comment on function private.platforms() is 'The platforms that messages come from: the only list of them in SQL.';

create table public.connections (
  id uuid primary key default gen_random_uuid(),
  connection_id text not null,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  user_id uuid references auth.users (id) on delete set null,
  platform text not null,
  name text not null,
  phone_number_id text,
  is_active boolean not null default true,
  last_synced_at timestamptz,
  last_event_at timestamptz,
  confirmed_until timestamptz,
  statuses_checked_until timestamptz,
  sessions_checked_until timestamptz,
  sync_after timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint connections_connection_id_key unique (connection_id),
  constraint connections_workspace_id_id_key unique (workspace_id, id),
  constraint connections_phone_number_id_key unique (phone_number_id),
  constraint connections_connection_id_check check (connection_id ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$'),
  constraint connections_platform_check check (platform = any (private.platforms())),
  constraint connections_name_check check (length(name) between 1 and 200),
  constraint connections_phone_number_id_check check (phone_number_id ~ '^[0-9]{1,32}$')
);
comment on table public.connections is 'One bridge or one Kapso number that brings conversations into a workspace.';
comment on column public.connections.id is 'Primary key.';
comment on column public.connections.connection_id is
  'The name a bridge sends with every request, e.g. wa_business_123. Unique over all workspaces, because the request '
  'names no workspace.';
comment on column public.connections.workspace_id is 'The workspace its conversations go to.';
comment on column public.connections.user_id is 'The user who created it. Null after their account was deleted.';
comment on column public.connections.platform is 'whatsapp, signal, telegram or wechat.';
comment on column public.connections.name is 'Name shown to people.';
comment on column public.connections.phone_number_id is
  'Meta''s id of the business number. Unique over all workspaces: Kapso''s webhooks are routed by it alone.';
comment on column public.connections.is_active is 'False: requests are refused with 403 until it is switched on again.';
comment on column public.connections.last_synced_at is 'When a batch was last accepted. Moves at most once a second.';
comment on column public.connections.last_event_at is
  'When Kapso''s webhook last brought an event. Moves at most once a second.';
comment on column public.connections.confirmed_until is
  'Everything Kapso stored until then is stored here: the next repair begins there, less an overlap.';
comment on column public.connections.statuses_checked_until is
  'Up to when sent messages without a delivery were looked up at Kapso: see due_status_checks().';
comment on column public.connections.sessions_checked_until is
  'Up to when sessions of quiet conversations were looked up at Kapso: see due_session_checks().';
comment on column public.connections.sync_after is
  'The schedule skips the connection until then, because it had no key. Null: never skipped.';
comment on column public.connections.created_at is 'When the row was created.';
comment on column public.connections.updated_at is 'When a person last changed the row.';

create index connections_user_id_idx on public.connections (user_id);

-- Only what a person changes: last_synced_at moves with every batch and is no change of the row.
create trigger connections_touch_updated_at
  before update of name, is_active, phone_number_id on public.connections
  for each row execute function private.touch_updated_at();

grant select, delete on public.connections to authenticated;
grant update (name, is_active) on public.connections to authenticated;
grant all on public.connections to service_role;
alter table public.connections enable row level security;

create policy "Members can read the connections of their workspaces" on public.connections
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners and admins can rename and switch connections" on public.connections
  for update to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])))
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can delete connections" on public.connections
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create table private.released_numbers (
  phone_number_id text not null,
  workspace_id uuid not null,
  released_at timestamptz not null default now(),
  constraint released_numbers_pkey primary key (phone_number_id, workspace_id)
);
comment on table private.released_numbers is
  'Workspaces that had a Kapso number before: events recorded while it was theirs are never stored for another '
  'workspace.';
comment on column private.released_numbers.phone_number_id is 'The number.';
comment on column private.released_numbers.workspace_id is
  'The workspace that had it. No foreign key: the record stays when the workspace is deleted.';
comment on column private.released_numbers.released_at is 'When the workspace last gave it up.';

grant all on private.released_numbers to service_role;
alter table private.released_numbers enable row level security;

create function private.keep_released_number()
returns trigger
language plpgsql
-- Definer because members who manage connections have no rights on private tables.
security definer
set search_path = ''
as $$
begin
  -- The time of the clock, not of the transaction: an event may have arrived since it began.
  insert into private.released_numbers as known (phone_number_id, workspace_id, released_at)
  values (old.phone_number_id, old.workspace_id, clock_timestamp())
  on conflict on constraint released_numbers_pkey do update set released_at = excluded.released_at;
  return null;
end;
$$;
comment on function private.keep_released_number() is 'Trigger: records which workspace had a number that is given up.';

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

create function private.number_held_since(phone_number_id text, workspace_id uuid)
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce(
    (
      select max(released.released_at)
      from private.released_numbers as released
      where released.phone_number_id = number_held_since.phone_number_id
        and released.workspace_id <> number_held_since.workspace_id
    ),
    '-infinity'
  );
end;
$$;
comment on function private.number_held_since(text, uuid) is
  'When another workspace last gave up a number; -infinity where none did. Events that arrived before are not those of '
  'the workspace that has it now.';

-- Creating and changing --------------------------------------------------------------------------

create function private.create_connection(
  workspace_id uuid,
  platform text,
  connection_id text,
  name text,
  phone_number_id text
)
returns table (id uuid, api_secret text)
language plpgsql
-- Definer because clients have no access to private.connection_secrets; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  new_id uuid;
  new_secret text := private.generate_secret('msg_');
begin
  perform private.require_role(create_connection.workspace_id, array['owner', 'admin'], 'workspace_not_found');
  begin
    insert into public.connections as made
      (connection_id, workspace_id, user_id, platform, name, phone_number_id)
    values (
      create_connection.connection_id,
      create_connection.workspace_id,
      (select auth.uid()),
      create_connection.platform,
      coalesce(nullif(btrim(create_connection.name), ''), create_connection.connection_id),
      create_connection.phone_number_id
    )
    returning made.id into new_id;
  exception when unique_violation then
    raise exception 'connection_id_taken' using errcode = 'PT409';
  end;
  insert into private.connection_secrets (connection_id, secret_sha256)
  values (new_id, sha256(convert_to(new_secret, 'UTF8')));
  return query select new_id, new_secret;
end;
$$;
comment on function private.create_connection(uuid, text, text, text, text) is
  'Does the work of public.create_connection.';

create function public.create_connection(
  workspace_id uuid,
  platform text,
  connection_id text,
  name text default null,
  phone_number_id text default null
)
returns table (id uuid, api_secret text)
language sql
volatile
set search_path = ''
as $$
  select made.id, made.api_secret
  from private.create_connection(
    create_connection.workspace_id,
    create_connection.platform,
    create_connection.connection_id,
    create_connection.name,
    create_connection.phone_number_id
  ) as made;
$$;
comment on function public.create_connection(uuid, text, text, text, text) is
  'Create a connection and return its API secret. For owners and admins. The secret is shown this once; only its '
  'SHA-256 is stored.';

create function private.managed_connection(id uuid)
returns public.connections
language plpgsql
stable
-- Definer so that private.require_role, and not a policy, tells strangers from members.
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
  'A connection, for owners and admins, who may manage it. Others get the error of private.require_role.';

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
      phone_number_id = case
        when change ? 'phone_number_id' then change ->> 'phone_number_id' else known.phone_number_id
      end
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

-- Overview ---------------------------------------------------------------------------------------

create function private.connection_overview(workspace_id uuid, only_id uuid)
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
-- Definer because secrets and events are private; the role is checked first, and only whether a secret exists
-- is returned.
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
    and (connection_overview.only_id is null or connection.id = connection_overview.only_id)
  order by connection.created_at, connection.id;
end;
$$;
comment on function private.connection_overview(uuid, uuid) is 'Does the work of public.connection_overview.';

create function public.connection_overview(workspace_id uuid, only_id uuid default null)
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
  select listed.*
  from private.connection_overview(connection_overview.workspace_id, connection_overview.only_id) as listed;
$$;
comment on function public.connection_overview(uuid, uuid) is
  'The connections of a workspace, or one of them, and the state of each: last arrival, lag and silence in seconds, '
  'events that could not be processed, and whether its secrets are set. For members.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.platforms(),
  private.keep_released_number(),
  private.number_held_since(text, uuid),
  private.create_connection(uuid, text, text, text, text),
  public.create_connection(uuid, text, text, text, text),
  private.managed_connection(uuid),
  public.managed_connection(uuid),
  private.update_connection(uuid, jsonb),
  public.update_connection(uuid, jsonb),
  private.connection_overview(uuid, uuid),
  public.connection_overview(uuid, uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.create_connection(uuid, text, text, text, text),
  public.create_connection(uuid, text, text, text, text),
  private.managed_connection(uuid),
  public.managed_connection(uuid),
  private.update_connection(uuid, jsonb),
  public.update_connection(uuid, jsonb),
  private.connection_overview(uuid, uuid),
  public.connection_overview(uuid, uuid)
to authenticated;
grant execute on function private.platforms() to authenticated, service_role;
