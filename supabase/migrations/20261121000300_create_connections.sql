-- Purpose: bridges and Kapso numbers, and their API secrets.
-- Objects: connections, private.connection_secrets, create_connection, rotate_connection_secret,
--   verify_connection_secret.
-- Risk: none; new tables only.

create table public.connections (
  id uuid primary key default gen_random_uuid(),
  connection_id text not null,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  platform text not null,
  name text not null,
  phone_number_id text,
  is_active boolean not null default true,
  last_synced_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint connections_connection_id_key unique (connection_id),
  constraint connections_workspace_id_id_key unique (workspace_id, id),
  constraint connections_phone_number_id_key unique (phone_number_id),
  constraint connections_connection_id_check check (connection_id ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$'),
  constraint connections_platform_check check (platform in ('whatsapp', 'signal', 'telegram', 'wechat')),
  constraint connections_name_check check (length(name) between 1 and 200),
  constraint connections_phone_number_id_check check (phone_number_id ~ '^[0-9]{1,32}$')
);
comment on table public.connections is 'One bridge or one Kapso number that brings conversations into a workspace.';
comment on column public.connections.id is 'Primary key.';
comment on column public.connections.connection_id is 'The name a bridge sends with every request, e.g. wa_business_123. Unique over all workspaces, because the request names no workspace.';
comment on column public.connections.workspace_id is 'The workspace its conversations go to.';
comment on column public.connections.user_id is 'The user who created it: part of the key of its conversations.';
comment on column public.connections.platform is 'whatsapp, signal, telegram or wechat.';
comment on column public.connections.name is 'Name shown to people.';
comment on column public.connections.phone_number_id is 'Meta''s id of the business number. Unique over all workspaces: Kapso''s webhooks are routed by it alone.';
comment on column public.connections.is_active is 'False: requests are refused with 403 until it is switched on again.';
comment on column public.connections.last_synced_at is 'When a batch was last accepted. Moves at most once a second.';
comment on column public.connections.created_at is 'When the row was made.';
comment on column public.connections.updated_at is 'When a person last changed the row.';


create index connections_user_id_idx on public.connections (user_id);

-- Only what a person changes: last_synced_at moves with every batch and is no change of the row.
create trigger connections_touch_updated_at
  before update of name, is_active, phone_number_id on public.connections
  for each row execute function private.touch_updated_at();

create table private.connection_secrets (
  connection_id uuid primary key references public.connections (id) on delete cascade,
  secret_sha256 bytea not null,
  previous_secret_sha256 bytea,
  previous_expires_at timestamptz,
  updated_at timestamptz not null default now(),
  constraint connection_secrets_secret_sha256_check check (length(secret_sha256) = 32),
  constraint connection_secrets_previous_check
    check ((previous_secret_sha256 is null) = (previous_expires_at is null))
);
comment on table private.connection_secrets is 'SHA-256 of the API secrets of connections. The secret itself is shown once and stored nowhere.';
comment on column private.connection_secrets.connection_id is 'The connection.';
comment on column private.connection_secrets.secret_sha256 is 'SHA-256 of the current secret. A plain hash is enough: the secret is 128 random bits, so there is nothing to guess.';
comment on column private.connection_secrets.previous_secret_sha256 is 'SHA-256 of the secret before the last rotation.';
comment on column private.connection_secrets.previous_expires_at is 'Until when the previous secret still works.';
comment on column private.connection_secrets.updated_at is 'When the secret was last set.';

grant all on private.connection_secrets to service_role;
alter table private.connection_secrets enable row level security;

create function private.generate_secret(prefix text)
returns text
language sql
volatile
set search_path = ''
as $$
  -- Two random uuids (244 random bits) through SHA-256: 32 hex characters, 128 bits, with no fixed ones.
  select generate_secret.prefix || left(
    encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex'),
    32
  );
$$;
comment on function private.generate_secret(text) is 'A new secret: the prefix and 32 random hexadecimal characters.';

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
  if create_connection.workspace_id is null or create_connection.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin'])
  ) then
    raise exception 'Only an owner or admin of the workspace can create a connection'
      using errcode = '42501';
  end if;
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
    raise exception 'This connection_id or phone_number_id is already in use'
      using errcode = '23505', hint = 'Choose another connection_id. A phone_number_id can belong to one connection only.';
  end;
  insert into private.connection_secrets (connection_id, secret_sha256)
  values (new_id, sha256(convert_to(new_secret, 'UTF8')));
  return query select new_id, new_secret;
end;
$$;
comment on function private.create_connection(uuid, text, text, text, text) is 'Does the work of public.create_connection.';

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
  'Create a connection and return its API secret. For owners and admins. The secret is shown this once; only its SHA-256 is stored.';

create function private.rotate_connection_secret(id uuid, grace_hours numeric)
returns table (api_secret text, previous_expires_at timestamptz)
language plpgsql
-- Definer because clients have no access to private.connection_secrets; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  rotated public.connections;
  new_secret text := private.generate_secret('msg_');
  expires_at timestamptz;
begin
  if rotate_connection_secret.grace_hours is null or rotate_connection_secret.grace_hours not between 0 and 720 then
    raise exception 'grace_hours must be between 0 and 720'
      using errcode = '22023', hint = '0 ends the old secret at once.';
  end if;
  select found.* into rotated
  from public.connections as found
  where found.id = rotate_connection_secret.id
    and found.workspace_id in (select private.workspaces_with_role(array['owner', 'admin']));
  if rotated.id is null then
    raise exception 'Only an owner or admin of its workspace can rotate the secret of a connection'
      using errcode = '42501';
  end if;
  expires_at := now() + make_interval(secs => (rotate_connection_secret.grace_hours * 3600)::double precision);
  insert into private.connection_secrets as secret (connection_id, secret_sha256)
  values (rotated.id, sha256(convert_to(new_secret, 'UTF8')))
  on conflict (connection_id) do update set
    previous_secret_sha256 = secret.secret_sha256,
    previous_expires_at = expires_at,
    secret_sha256 = excluded.secret_sha256,
    updated_at = now();
  return query select new_secret, expires_at;
end;
$$;
comment on function private.rotate_connection_secret(uuid, numeric) is 'Does the work of public.rotate_connection_secret.';

create function public.rotate_connection_secret(id uuid, grace_hours numeric default 24)
returns table (api_secret text, previous_expires_at timestamptz)
language sql
volatile
set search_path = ''
as $$
  select rotated.api_secret, rotated.previous_expires_at
  from private.rotate_connection_secret(rotate_connection_secret.id, rotate_connection_secret.grace_hours) as rotated;
$$;
comment on function public.rotate_connection_secret(uuid, numeric) is
  'Give a connection a new API secret and return it, this once. The old one works on for grace_hours (0 to 720, 24 by default). For owners and admins.';

create function public.verify_connection_secret(
  connection_id text,
  secret_sha256 text,
  platform text default null
)
returns table (id uuid, workspace_id uuid, is_valid boolean, is_active boolean)
language plpgsql
volatile
set search_path = ''
as $$
declare
  -- Comparing bytes with "=" stops at the first difference. Hashing both sides once more together
  -- with a fresh random value leaves nothing an outsider could time.
  blind bytea := uuid_send(gen_random_uuid());
begin
  return query
  select
    connection.id,
    connection.workspace_id,
    coalesce(
      sha256(blind || decode(verify_connection_secret.secret_sha256, 'hex')) in (
        sha256(blind || secret.secret_sha256),
        sha256(blind || case when secret.previous_expires_at > now() then secret.previous_secret_sha256 end)
      ),
      false
    ),
    connection.is_active
  from public.connections as connection
  left join private.connection_secrets as secret on secret.connection_id = connection.id
  where connection.connection_id = verify_connection_secret.connection_id
    and connection.platform = coalesce(verify_connection_secret.platform, connection.platform);
end;
$$;
comment on function public.verify_connection_secret(text, text, text) is
  'Check the SHA-256 (hex) of an API secret against the named connection. No row: there is no such connection on that platform. For service_role only.';

-- Access ----------------------------------------------------------------------------------------

revoke execute on function
  private.generate_secret(text),
  private.create_connection(uuid, text, text, text, text),
  private.rotate_connection_secret(uuid, numeric),
  public.create_connection(uuid, text, text, text, text),
  public.rotate_connection_secret(uuid, numeric),
  public.verify_connection_secret(text, text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.create_connection(uuid, text, text, text, text),
  private.rotate_connection_secret(uuid, numeric),
  public.create_connection(uuid, text, text, text, text),
  public.rotate_connection_secret(uuid, numeric)
to authenticated;
grant execute on function public.verify_connection_secret(text, text, text) to service_role;

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
