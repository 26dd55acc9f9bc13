-- Keys of AI agents and the workspaces each opens.

create table public.agent_keys (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  constraint agent_keys_name_check check (length(name) between 1 and 200)
);
comment on table public.agent_keys is
  'API keys of AI agents. The key itself is shown once and stored nowhere; its hash is in private.agent_key_secrets.';
comment on column public.agent_keys.id is 'Primary key.';
comment on column public.agent_keys.name is 'Name shown to people.';
comment on column public.agent_keys.created_by is 'The member who created it.';
comment on column public.agent_keys.created_at is 'When it was created.';
comment on column public.agent_keys.last_used_at is 'When it was last used. Moves at most once a minute.';
comment on column public.agent_keys.revoked_at is 'When it was revoked.';

create index agent_keys_created_by_idx on public.agent_keys (created_by);

create table public.agent_key_workspaces (
  key_id uuid not null references public.agent_keys (id) on delete cascade,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  constraint agent_key_workspaces_pkey primary key (key_id, workspace_id)
);
comment on table public.agent_key_workspaces is
  'Which workspaces a key opens: one, or several of the same owner for an agent that serves many businesses.';
comment on column public.agent_key_workspaces.key_id is 'The key.';
comment on column public.agent_key_workspaces.workspace_id is 'A workspace it opens.';

create index agent_key_workspaces_workspace_id_idx on public.agent_key_workspaces (workspace_id);

grant select on public.agent_keys to authenticated;
grant all on public.agent_keys to service_role;
alter table public.agent_keys enable row level security;

create policy "Owners and admins can see the keys of their workspaces" on public.agent_keys
  for select to authenticated
  using (
    id in (
      select opened.key_id from public.agent_key_workspaces as opened
      where opened.workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
    )
  );

grant select on public.agent_key_workspaces to authenticated;
grant all on public.agent_key_workspaces to service_role;
alter table public.agent_key_workspaces enable row level security;

create policy "Owners and admins can see which keys open their workspaces" on public.agent_key_workspaces
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create table private.agent_key_secrets (
  key_id uuid primary key references public.agent_keys (id) on delete cascade,
  key_sha256 bytea not null,
  constraint agent_key_secrets_key_sha256_key unique (key_sha256),
  constraint agent_key_secrets_key_sha256_check check (length(key_sha256) = 32)
);
comment on table private.agent_key_secrets is 'SHA-256 of the keys of agents, by which a key is found.';
comment on column private.agent_key_secrets.key_id is 'The key.';
comment on column private.agent_key_secrets.key_sha256 is
  'SHA-256 of it. A plain hash is enough, and an index look-up gives nothing to time: the key is 128 random bits, and '
  'no caller can choose the first bytes of its hash.';

grant all on private.agent_key_secrets to service_role;
alter table private.agent_key_secrets enable row level security;

-- Managing keys ----------------------------------------------------------------------------------

create function private.create_agent_key(workspace_ids uuid[], name text)
returns table (id uuid, secret text)
language plpgsql
-- Definer because clients have no access to private.agent_key_secrets; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  new_id uuid;
  new_secret text := private.generate_secret('agt_');
begin
  if coalesce(cardinality(create_agent_key.workspace_ids), 0) not between 1 and 1000
    or array_position(create_agent_key.workspace_ids, null) is not null
  then
    raise exception 'workspace_ids must name 1 to 1000 workspaces' using errcode = '22023';
  end if;
  perform private.require_role(wanted.id, array['owner', 'admin'], 'workspace_not_found')
  from unnest(create_agent_key.workspace_ids) as wanted (id);
  if (
    select count(distinct workspace.user_id) from public.workspaces as workspace
    where workspace.id = any (create_agent_key.workspace_ids)
  ) > 1 then
    raise exception 'different_owners' using errcode = 'PT422', hint = 'Create one key for each owner.';
  end if;
  insert into public.agent_keys as made (name, created_by)
  values (coalesce(nullif(btrim(create_agent_key.name), ''), 'Agent'), (select auth.uid()))
  returning made.id into new_id;
  insert into private.agent_key_secrets (key_id, key_sha256)
  values (new_id, sha256(convert_to(new_secret, 'UTF8')));
  insert into public.agent_key_workspaces (key_id, workspace_id)
  select new_id, wanted.id
  from (select distinct given.id from unnest(create_agent_key.workspace_ids) as given (id)) as wanted;
  return query select new_id, new_secret;
end;
$$;
comment on function private.create_agent_key(uuid[], text) is 'Does the work of public.create_agent_key.';

create function public.create_agent_key(workspace_ids uuid[], name text default null)
returns table (id uuid, secret text)
language sql
volatile
set search_path = ''
as $$
  select made.id, made.secret
  from private.create_agent_key(create_agent_key.workspace_ids, create_agent_key.name) as made;
$$;
comment on function public.create_agent_key(uuid[], text) is
  'Create a key with which an AI agent may use the conversation-sync API for one workspace, or for several of the '
  'same owner, and return it. For owners and admins of them. The key is shown this once; only its SHA-256 is stored.';

create function private.revoke_agent_key(id uuid)
returns timestamptz
language plpgsql
-- Definer because members have no right to write keys; the role is checked first.
security definer
set search_path = ''
as $$
declare
  revoked timestamptz;
begin
  -- One of its workspaces is enough: a member who is responsible for a business can lock an agent out.
  update public.agent_keys as key
  set revoked_at = coalesce(key.revoked_at, now())
  where key.id = revoke_agent_key.id
    and exists (
      select 1 from public.agent_key_workspaces as opened
      where opened.key_id = key.id
        and opened.workspace_id in (select private.workspaces_with_role(array['owner', 'admin']))
    )
  returning key.revoked_at into revoked;
  if revoked is null then
    raise exception 'agent_key_not_found' using errcode = 'PT404';
  end if;
  return revoked;
end;
$$;
comment on function private.revoke_agent_key(uuid) is 'Does the work of public.revoke_agent_key.';

create function public.revoke_agent_key(id uuid)
returns timestamptz
language sql
volatile
set search_path = ''
as $$
  select private.revoke_agent_key(revoke_agent_key.id);
$$;
comment on function public.revoke_agent_key(uuid) is
  'Revoke a key at once and for all its workspaces, and return when it was revoked. For owners and admins of any of '
  'them. A repeat changes nothing.';

-- Checking keys ----------------------------------------------------------------------------------

create function private.workspaces_of_agent_key(key_sha256 text)
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select array_agg(opened.workspace_id)
    from private.agent_key_secrets as secret
    join public.agent_keys as key on key.id = secret.key_id and key.revoked_at is null
    join public.agent_key_workspaces as opened on opened.key_id = key.id
    where secret.key_sha256 = decode(workspaces_of_agent_key.key_sha256, 'hex')
  );
end;
$$;
comment on function private.workspaces_of_agent_key(text) is
  'The workspaces a key (its SHA-256 in hexadecimal) opens; null for a key that is unknown or revoked.';

create function public.check_agent_key(key_sha256 text)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return private.workspaces_of_agent_key(check_agent_key.key_sha256) is not null;
end;
$$;
comment on function public.check_agent_key(text) is
  'Whether a key (its SHA-256 in hexadecimal) opens any workspace. For service_role only.';

create function private.require_agent_key(key_sha256 text)
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
declare
  workspaces uuid[] := private.workspaces_of_agent_key(require_agent_key.key_sha256);
begin
  if workspaces is null then
    raise exception 'invalid_agent_key' using errcode = 'PT401';
  end if;
  return workspaces;
end;
$$;
comment on function private.require_agent_key(text) is
  'The workspaces of a key (its SHA-256 in hexadecimal). Refuses an unknown or revoked key with invalid_agent_key.';

-- Counting requests ------------------------------------------------------------------------------

create function public.count_agent_request(key_sha256 text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  used public.agent_keys;
begin
  select key.* into used
  from private.agent_key_secrets as secret
  join public.agent_keys as key on key.id = secret.key_id and key.revoked_at is null
  where secret.key_sha256 = decode(count_agent_request.key_sha256, 'hex');
  if used.id is null then
    return false;
  end if;
  perform private.use_limit('agent_key_requests_per_minute', used.id, interval '1 minute', 'rate_limited');
  if coalesce(used.last_used_at, '-infinity') < now() - interval '1 minute' then
    -- An agent makes many calls at once. A call that finds the row locked skips it instead of waiting.
    update public.agent_keys as key
    set last_used_at = now()
    where key.id in (
      select known.id from public.agent_keys as known
      where known.id = used.id and known.last_used_at is not distinct from used.last_used_at
      for no key update skip locked
    );
  end if;
  return private.limit_of('agent_key_requests_per_minute', used.id) is not null;
end;
$$;
comment on function public.count_agent_request(text) is
  'Count a request with a key (its SHA-256 in hexadecimal): rate_limited, and last_used_at. Apart from the functions '
  'that read, which write nothing. Returns whether the key has a limit, so that each request must be counted; without '
  'one, a call a minute is enough. Ignores an unknown key. For service_role only.';

create function private.use_agent_key(key_sha256 text)
returns uuid[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  workspaces uuid[] := private.require_agent_key(use_agent_key.key_sha256);
begin
  perform public.count_agent_request(use_agent_key.key_sha256);
  return workspaces;
end;
$$;
comment on function private.use_agent_key(text) is
  'The workspaces of a key, for functions that write: checks it and counts the request.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.create_agent_key(uuid[], text),
  public.create_agent_key(uuid[], text),
  private.revoke_agent_key(uuid),
  public.revoke_agent_key(uuid),
  private.workspaces_of_agent_key(text),
  public.check_agent_key(text),
  private.require_agent_key(text),
  public.count_agent_request(text),
  private.use_agent_key(text)
from public, anon, authenticated, service_role;
grant execute on function
  private.create_agent_key(uuid[], text),
  public.create_agent_key(uuid[], text),
  private.revoke_agent_key(uuid),
  public.revoke_agent_key(uuid)
to authenticated;
grant execute on function
  private.workspaces_of_agent_key(text),
  public.check_agent_key(text),
  private.require_agent_key(text),
  public.count_agent_request(text),
  private.use_agent_key(text)
to service_role;
