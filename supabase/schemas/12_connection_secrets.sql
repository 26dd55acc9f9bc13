-- API secrets of bridges, webhook secrets and API keys of Kapso numbers.

create table private.connection_secrets (
  connection_id uuid primary key references public.connections (id) on delete cascade,
  secret_sha256 bytea not null,
  previous_secret_sha256 bytea,
  previous_expires_at timestamptz,
  webhook_secret bytea,
  previous_webhook_secret bytea,
  previous_webhook_expires_at timestamptz,
  kapso_api_key bytea,
  updated_at timestamptz not null default now(),
  constraint connection_secrets_secret_sha256_key unique (secret_sha256),
  constraint connection_secrets_secret_sha256_check check (length(secret_sha256) = 32),
  constraint connection_secrets_previous_check
    check ((previous_secret_sha256 is null) = (previous_expires_at is null))
);
comment on table private.connection_secrets is
  'SHA-256 of the API secrets of connections. The secret itself is shown once and stored nowhere.';
comment on column private.connection_secrets.connection_id is 'The connection.';
comment on column private.connection_secrets.secret_sha256 is
  'SHA-256 of the current secret. A plain hash is enough, and an index look-up gives nothing to time: the secret is '
  '128 random bits, and no caller can choose the first bytes of its hash.';
comment on column private.connection_secrets.previous_secret_sha256 is
  'SHA-256 of the secret before the last rotation.';
comment on column private.connection_secrets.previous_expires_at is 'Until when the previous secret still works.';
comment on column private.connection_secrets.webhook_secret is
  'Secret Kapso signs with, AES-GCM under CREDENTIALS_KEY: 12 bytes nonce, then ciphertext.';
comment on column private.connection_secrets.previous_webhook_secret is 'The one before, while both are valid.';
comment on column private.connection_secrets.previous_webhook_expires_at is 'Until when the previous one is accepted.';
comment on column private.connection_secrets.kapso_api_key is
  'Key of the Kapso project, AES-GCM under CREDENTIALS_KEY: 12 bytes nonce, then ciphertext.';
comment on column private.connection_secrets.updated_at is 'When a secret was last set.';

create index connection_secrets_previous_secret_sha256_idx
  on private.connection_secrets (previous_secret_sha256) where previous_secret_sha256 is not null;
comment on index private.connection_secrets_previous_secret_sha256_idx is
  'What find_connection_by_secret() looks for after a rotation.';

grant all on private.connection_secrets to service_role;
alter table private.connection_secrets enable row level security;

-- API secrets of bridges -------------------------------------------------------------------------

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
  where found.id = rotate_connection_secret.id;
  perform private.require_role(rotated.workspace_id, array['owner', 'admin'], 'connection_not_found');
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
comment on function private.rotate_connection_secret(uuid, numeric) is
  'Does the work of public.rotate_connection_secret.';

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
  'Give a connection a new API secret and return it, this once. The old one works on for grace_hours (0 to 720, 24 by '
  'default). For owners and admins.';

create function public.find_connection_by_secret(secret_sha256 text)
returns table (id uuid, workspace_id uuid, connection_id text, platform text, is_active boolean)
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  digest bytea := decode(find_connection_by_secret.secret_sha256, 'hex');
  found_id uuid;
begin
  select secret.connection_id into found_id
  from private.connection_secrets as secret
  where secret.secret_sha256 = digest;
  if found_id is null then
    select secret.connection_id into found_id
    from private.connection_secrets as secret
    where secret.previous_secret_sha256 = digest and secret.previous_expires_at > now()
    limit 1;
  end if;
  if found_id is null then
    return;
  end if;
  return query
  select connection.id, connection.workspace_id, connection.connection_id, connection.platform, connection.is_active
  from public.connections as connection
  where connection.id = found_id;
end;
$$;
comment on function public.find_connection_by_secret(text) is
  'The connection that an API secret (its SHA-256 in hexadecimal) opens, before anything else of a request is read; no '
  'row for an unknown one. Counts nothing: what the request does with its key is counted. For service_role only.';

create function public.verify_connection_secret(
  connection_id text,
  secret_sha256 text,
  platform text default null
)
returns table (id uuid, workspace_id uuid, is_valid boolean, is_active boolean, is_limited boolean)
language plpgsql
stable
set search_path = ''
as $$
declare
  -- Comparing bytes with "=" stops at the first difference. Hashing both sides again together with a fresh random
  -- value leaves nothing an outsider could time.
  blind bytea := uuid_send(gen_random_uuid());
begin
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
    connection.is_active,
    private.limit_of('connection_requests_per_minute', connection.id) is not null
  into id, workspace_id, is_valid, is_active, is_limited
  from public.connections as connection
  left join private.connection_secrets as secret on secret.connection_id = connection.id
  where connection.connection_id = verify_connection_secret.connection_id
    and connection.platform = coalesce(verify_connection_secret.platform, connection.platform);
  if id is null then
    return;
  end if;
  return next;
end;
$$;
comment on function public.verify_connection_secret(text, text, text) is
  'Check the SHA-256 (hex) of an API secret against the named connection. No row: there is no such connection on that '
  'platform. is_limited: count_connection_request() is due, for a valid one. For service_role only.';

-- Webhook secrets --------------------------------------------------------------------------------

create function private.webhook_secret_version(phone_number_id text)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce(
    (
      select connection.id || ' ' || secret.updated_at || ' ' || coalesce(secret.previous_webhook_expires_at > now(), false)
      from public.connections as connection
      join private.connection_secrets as secret on secret.connection_id = connection.id
      where connection.phone_number_id = webhook_secret_version.phone_number_id
        and connection.platform = 'whatsapp'
    ),
    'none'
  );
end;
$$;
comment on function private.webhook_secret_version(text) is
  'Changes with everything that public.webhook_secrets() returns of a number: its connection, its secrets, and the end of '
  'the time of an earlier one. none: no connection has the number.';

create function public.webhook_secrets(phone_number_id text)
returns table (connection_id uuid, secret text, previous_secret text, version text)
language sql
stable
set search_path = ''
as $$
  select connection.id, encode(secret.webhook_secret, 'base64'),
    case when secret.previous_webhook_expires_at > now() then encode(secret.previous_webhook_secret, 'base64') end,
    private.webhook_secret_version(phone_number_id)
  from public.connections as connection
  join private.connection_secrets as secret on secret.connection_id = connection.id
  where connection.phone_number_id = webhook_secrets.phone_number_id
    and connection.platform = 'whatsapp';
$$;
comment on function public.webhook_secrets(text) is
  'The webhook secrets of the connection that owns a number, encrypted, in base64. version: see '
  'private.webhook_secret_version; record_webhook_event() takes it. For service_role only.';

create function public.set_webhook_secret(connection_id uuid, secret text, grace_hours numeric default 24)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update private.connection_secrets as kept
  set previous_webhook_secret = kept.webhook_secret,
    previous_webhook_expires_at = case when kept.webhook_secret is not null
      then now() + make_interval(secs => (set_webhook_secret.grace_hours * 3600)::double precision) end,
    webhook_secret = decode(set_webhook_secret.secret, 'base64'),
    updated_at = now()
  where kept.connection_id = set_webhook_secret.connection_id;
  if not found then
    raise exception 'connection_not_found' using errcode = 'PT404';
  end if;
end;
$$;
comment on function public.set_webhook_secret(uuid, text, numeric) is
  'Keep an encrypted webhook secret (base64) for a connection. The one before works on for grace_hours. For '
  'service_role only.';

-- API keys of Kapso ------------------------------------------------------------------------------

create function public.kapso_api_key(connection_id uuid)
returns table (api_key text, workspace_id uuid)
language sql
stable
set search_path = ''
as $$
  select encode(secret.kapso_api_key, 'base64'), connection.workspace_id
  from public.connections as connection
  left join private.connection_secrets as secret on secret.connection_id = connection.id
  where connection.id = kapso_api_key.connection_id;
$$;
comment on function public.kapso_api_key(uuid) is
  'The Kapso key of a connection, encrypted, in base64, null where it has none; and its workspace, which '
  'decides whether it may use the key of the installation. For service_role only.';

-- Work that failed or waited for lack of a key resumes with the new one.
create function public.set_kapso_api_key(connection_id uuid, api_key text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update private.connection_secrets as kept
  set kapso_api_key = decode(set_kapso_api_key.api_key, 'base64'), updated_at = now()
  where kept.connection_id = set_kapso_api_key.connection_id;
  if not found then
    raise exception 'connection_not_found' using errcode = 'PT404';
  end if;
  if set_kapso_api_key.api_key is not null then
    update public.sync_runs as failed
    set state = 'running', error = null, retry_at = null, cursor = null
    where failed.connection_id = set_kapso_api_key.connection_id
      and failed.finished_at is null
      and failed.state = 'failed';
    update public.connections as source
    set sync_after = null
    where source.id = set_kapso_api_key.connection_id and source.sync_after is not null;
  end if;
end;
$$;
comment on function public.set_kapso_api_key(uuid, text) is
  'Keep the encrypted Kapso key (base64) of a connection; null removes it. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.generate_secret(text),
  private.rotate_connection_secret(uuid, numeric),
  public.rotate_connection_secret(uuid, numeric),
  public.find_connection_by_secret(text),
  public.verify_connection_secret(text, text, text),
  private.webhook_secret_version(text),
  public.webhook_secrets(text),
  public.set_webhook_secret(uuid, text, numeric),
  public.kapso_api_key(uuid),
  public.set_kapso_api_key(uuid, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.rotate_connection_secret(uuid, numeric),
  public.rotate_connection_secret(uuid, numeric)
to authenticated;
grant execute on function
  public.find_connection_by_secret(text),
  public.verify_connection_secret(text, text, text),
  private.webhook_secret_version(text),
  public.webhook_secrets(text),
  public.set_webhook_secret(uuid, text, numeric),
  public.kapso_api_key(uuid),
  public.set_kapso_api_key(uuid, text)
to service_role;
