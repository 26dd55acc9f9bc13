-- Bridges and Kapso numbers: what a member sees and changes, and how a number becomes that of a connection.

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
  number_claimed_at timestamptz,
  requested_phone_number_id text,
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
  constraint connections_phone_number_id_check check (phone_number_id ~ '^[0-9]{1,32}$'),
  constraint connections_requested_phone_number_id_check check (requested_phone_number_id ~ '^[0-9]{1,32}$'),
  constraint connections_number_claimed_at_check check ((phone_number_id is null) = (number_claimed_at is null))
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
  'Meta''s id of the business number, proven with a Kapso key: see claim_phone_number(). Unique over all workspaces: '
  'Kapso''s webhooks are routed by it alone.';
comment on column public.connections.number_claimed_at is
  'Since when the connection has the number. Events that arrived before are never stored for it.';
comment on column public.connections.requested_phone_number_id is
  'The number that a member has named and that no key has proven yet. It counts for nothing, and many connections may '
  'name the same.';
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
  before update of name, is_active, phone_number_id, requested_phone_number_id on public.connections
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

create function private.note_number_claim()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if tg_op = 'INSERT'
    or (new.phone_number_id, new.workspace_id) is distinct from (old.phone_number_id, old.workspace_id)
  then
    -- The time of the clock, not of the transaction: an event may have arrived since it began.
    new.number_claimed_at := case when new.phone_number_id is not null then clock_timestamp() end;
  end if;
  return new;
end;
$$;
comment on function private.note_number_claim() is 'Trigger: notes since when a connection has its number.';

create trigger connections_note_number_claim
  before insert or update of phone_number_id, workspace_id on public.connections
  for each row execute function private.note_number_claim();

create function public.claim_phone_number(
  connection_id uuid,
  phone_number_id text,
  lapsed_connection_id uuid default null
)
returns table (outcome text, holder_id uuid)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  update public.connections as lapsed
  set phone_number_id = null,
    requested_phone_number_id = coalesce(lapsed.requested_phone_number_id, lapsed.phone_number_id)
  where lapsed.id = claim_phone_number.lapsed_connection_id
    and lapsed.phone_number_id = claim_phone_number.phone_number_id;
  begin
    update public.connections as claiming
    set phone_number_id = claim_phone_number.phone_number_id, requested_phone_number_id = null
    where claiming.id = claim_phone_number.connection_id
      and claiming.platform = 'whatsapp'
      and claim_phone_number.phone_number_id in (claiming.requested_phone_number_id, claiming.phone_number_id);
    return query select case when found then 'claimed' else 'changed' end, null::uuid;
  exception when unique_violation then
    return query
    select 'taken', (
      select holder.id from public.connections as holder
      where holder.phone_number_id = claim_phone_number.phone_number_id
    );
  end;
end;
$$;
comment on function public.claim_phone_number(uuid, text, uuid) is
  'Give a connection the number that it requests, after a call to Kapso with a key of it has found the number. outcome '
  'is claimed, changed (it requests another by now) or taken by holder_id. A holder whose key no longer finds the '
  'number is named as lapsed_connection_id, and loses it. For service_role only.';

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
  allowed bigint;
begin
  perform private.require_role(create_connection.workspace_id, array['owner', 'admin'], 'workspace_not_found');
  allowed := private.lock_limit('connections_per_workspace', create_connection.workspace_id);
  if allowed is not null then
    if (
      select count(*)
      from (
        select from public.connections as kept
        where kept.workspace_id = create_connection.workspace_id
        limit allowed
      ) as counted
    ) >= allowed then
      raise exception 'too_many_connections' using errcode = 'PT422';
    end if;
  end if;
  begin
    insert into public.connections as made
      (connection_id, workspace_id, user_id, platform, name, requested_phone_number_id)
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
  'SHA-256 is stored. phone_number_id is requested, and counts once it is proven.';

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
      -- A number stays until the one that replaces it is proven. Null releases it.
      phone_number_id = case
        when change -> 'phone_number_id' = 'null' then null else known.phone_number_id
      end,
      requested_phone_number_id = case
        when change ? 'phone_number_id' then nullif(change ->> 'phone_number_id', known.phone_number_id)
        else known.requested_phone_number_id
      end
    where known.id = updated.id
    returning known.* into updated;
  exception when check_violation or not_null_violation or data_exception then
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
  'Change name, is_active or phone_number_id of a connection. For owners and admins. A number is requested, and '
  'replaces the present one once it is proven; null releases both.';

-- Overview ---------------------------------------------------------------------------------------

create function private.connection_overview(workspace_id uuid, only_id uuid)
returns table (
  id uuid,
  connection_id text,
  platform text,
  name text,
  phone_number_id text,
  requested_phone_number_id text,
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
    connection.phone_number_id, connection.requested_phone_number_id, connection.is_active, connection.created_at,
    connection.last_synced_at, connection.last_event_at, connection.confirmed_until, health.lag_seconds,
    health.silence_seconds, health.failed_events::integer,
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
  requested_phone_number_id text,
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
  private.note_number_claim(),
  public.claim_phone_number(uuid, text, uuid),
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
grant execute on function public.claim_phone_number(uuid, text, uuid) to service_role;
