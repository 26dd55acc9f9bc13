-- Moving a workspace to another project: what a pause has switched off, and how far an import has come.
-- docs/moving-workspaces.md has the steps.

create table private.workspace_pauses (
  workspace_id uuid primary key references public.workspaces (id) on delete cascade,
  state jsonb not null,
  paused_at timestamptz not null default now(),
  paused_in xid8 not null default pg_current_xact_id(),
  constraint workspace_pauses_state_check check (jsonb_typeof(state) = 'object')
);
comment on table private.workspace_pauses is
  'Workspaces that are paused for a move: bridges and webhooks get 429 and send again, members only read, '
  'summaries wait.';
comment on column private.workspace_pauses.workspace_id is 'The workspace.';
comment on column private.workspace_pauses.state is
  'What private.resume_workspace() restores: ids of the active connections, roles by user, ids of the agent keys, and '
  'rows of private.limits.';
comment on column private.workspace_pauses.paused_at is 'When it was paused.';
comment on column private.workspace_pauses.paused_in is
  'The transaction that paused it: older ones may still write, so an export waits for their end.';

grant all on private.workspace_pauses to service_role;
alter table private.workspace_pauses enable row level security;

create table private.workspace_imports (
  workspace_id uuid primary key,
  export_id text not null,
  chunks_done integer not null default 0,
  updated_at timestamptz not null default now(),
  constraint workspace_imports_chunks_done_check check (chunks_done >= 0)
);
comment on table private.workspace_imports is
  'Imports of workspaces that have begun and not ended: the workspace, its members and its connections come in the last '
  'transaction, so nothing else refers to the rows that are there.';
comment on column private.workspace_imports.workspace_id is 'The workspace. No foreign key: its row comes last.';
comment on column private.workspace_imports.export_id is 'The export it comes from. Only the same one can continue.';
comment on column private.workspace_imports.chunks_done is
  'How many chunks of the export are stored. Moves in the transaction that stores a chunk.';
comment on column private.workspace_imports.updated_at is 'When the last chunk was stored.';

grant all on private.workspace_imports to service_role;
alter table private.workspace_imports enable row level security;

create function private.pause_workspace(workspace_id uuid)
returns jsonb
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  paused jsonb;
  own_keys uuid[];
begin
  -- The triggers of members and connections treat a pause as a decision about people, and would unassign conversations.
  perform set_config('session_replication_role', 'replica', true);
  perform 1 from public.workspaces as known where known.id = pause_workspace.workspace_id for no key update;
  if not found then
    raise exception 'workspace_not_found' using errcode = 'PT404';
  end if;
  select known.state into paused
  from private.workspace_pauses as known
  where known.workspace_id = pause_workspace.workspace_id;
  if paused is not null then
    return paused;
  end if;

  own_keys := array(
    select linked.key_id from public.agent_key_workspaces as linked
    where linked.workspace_id = pause_workspace.workspace_id
      and not exists (
        select from public.agent_key_workspaces as other
        where other.key_id = linked.key_id and other.workspace_id <> linked.workspace_id
      )
  );
  paused := jsonb_build_object(
    'connections', (
      select coalesce(jsonb_agg(known.id order by known.id), '[]') from public.connections as known
      where known.workspace_id = pause_workspace.workspace_id and known.is_active
    ),
    'roles', (
      select coalesce(jsonb_object_agg(member.user_id, member.role), '{}') from public.workspace_members as member
      where member.workspace_id = pause_workspace.workspace_id
    ),
    'agent_keys', (
      select coalesce(jsonb_agg(linked.key_id order by linked.key_id), '[]')
      from public.agent_key_workspaces as linked
      where linked.workspace_id = pause_workspace.workspace_id
    ),
    'limits', (
      select coalesce(
        jsonb_agg(jsonb_build_object('name', known.name, 'subject_id', known.subject_id, 'value', known.value)), '[]'
      )
      from private.limits as known
      where known.subject_id = pause_workspace.workspace_id
        or known.subject_id in (
          select linked.key_id from public.agent_key_workspaces as linked
          where linked.workspace_id = pause_workspace.workspace_id
        )
        or known.subject_id in (
          select source.id from public.connections as source where source.workspace_id = pause_workspace.workspace_id
        )
    )
  );
  insert into private.workspace_pauses (workspace_id, state) values (pause_workspace.workspace_id, paused);

  -- A limit of zero: senders get 429 and send again later. For an inactive connection alone it would be 403, which
  -- tells them not to.
  insert into private.limits as known (name, subject_id, value)
  select 'webhook_bytes_per_day', pause_workspace.workspace_id, 0
  union all
  select 'connection_requests_per_minute', source.id, 0
  from public.connections as source
  where source.workspace_id = pause_workspace.workspace_id
  union all
  select 'agent_key_requests_per_minute', own.id, 0 from unnest(own_keys) as own (id)
  on conflict on constraint limits_name_subject_id_key do update set value = excluded.value;
  update public.connections as known
  set is_active = false
  where known.workspace_id = pause_workspace.workspace_id and known.is_active;
  update public.workspace_members as member
  set role = 'viewer'
  where member.workspace_id = pause_workspace.workspace_id and member.role <> 'viewer';
  -- A key that serves other workspaces as well keeps working for them.
  delete from public.agent_key_workspaces as linked
  where linked.workspace_id = pause_workspace.workspace_id and linked.key_id <> all (own_keys);
  return paused;
end;
$$;
comment on function private.pause_workspace(uuid) is
  'Pause a workspace for a move, and return what private.resume_workspace() needs to undo it. Safe to repeat. For the '
  'owner of the database, who may set session_replication_role.';

create function private.resume_workspace(workspace_id uuid, state jsonb)
returns void
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform set_config('session_replication_role', 'replica', true);
  insert into public.agent_key_workspaces (workspace_id, key_id)
  select resume_workspace.workspace_id, listed.id::uuid
  from jsonb_array_elements_text(resume_workspace.state -> 'agent_keys') as listed (id)
  on conflict on constraint agent_key_workspaces_pkey do nothing;
  delete from private.limits as known
  where (known.name, known.value) in (
      ('webhook_bytes_per_day', 0), ('connection_requests_per_minute', 0), ('agent_key_requests_per_minute', 0)
    )
    and (
      known.subject_id = resume_workspace.workspace_id
      or known.subject_id in (
        select source.id from public.connections as source where source.workspace_id = resume_workspace.workspace_id
      )
      or known.subject_id in (
        select listed.id::uuid
        from jsonb_array_elements_text(resume_workspace.state -> 'agent_keys') as listed (id)
      )
    );
  insert into private.limits as known (name, subject_id, value)
  select earlier.name, earlier.subject_id, earlier.value
  from jsonb_to_recordset(resume_workspace.state -> 'limits') as earlier (name text, subject_id uuid, value bigint)
  on conflict on constraint limits_name_subject_id_key do update set value = excluded.value;
  update public.workspace_members as member
  set role = earlier.role
  from jsonb_each_text(resume_workspace.state -> 'roles') as earlier (user_id, role)
  where member.workspace_id = resume_workspace.workspace_id and member.user_id = earlier.user_id::uuid;
  update public.connections as known
  set is_active = true
  where known.workspace_id = resume_workspace.workspace_id
    and known.id in (
      select listed.id::uuid
      from jsonb_array_elements_text(resume_workspace.state -> 'connections') as listed (id)
    );
  delete from private.workspace_pauses as known where known.workspace_id = resume_workspace.workspace_id;
end;
$$;
comment on function private.resume_workspace(uuid, jsonb) is
  'Restore what private.pause_workspace() switched off: at the source when a move is given up, at the target when all '
  'rows are verified. For the owner of the database.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.pause_workspace(uuid),
  private.resume_workspace(uuid, jsonb)
from public, anon, authenticated, service_role;
