-- Settings of AI workflows at Kapso, and their history.

create table public.workflow_settings (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  workflow_type text not null,
  version integer not null default 1,
  ai_model text,
  system_prompt text,
  temperature double precision,
  max_tokens integer,
  keywords text[] not null default '{}',
  auto_reply_templates jsonb not null default '{}',
  connection_id uuid,
  kapso_workflow_id text,
  kapso_workflow_name text,
  kapso_mapping jsonb not null default '{"agent_nodes": [], "keyword_conditions": []}',
  sync_status text not null default 'pending',
  sync_reason text,
  synced_values jsonb not null default '{}',
  kapso_lock_version integer,
  last_synced_at timestamptz,
  last_checked_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  updated_by uuid references auth.users (id) on delete set null,
  constraint workflow_settings_workspace_id_workflow_type_key unique (workspace_id, workflow_type),
  constraint workflow_settings_workspace_id_connection_id_fkey
    foreign key (workspace_id, connection_id) references public.connections (workspace_id, id)
    on delete set null (connection_id),
  constraint workflow_settings_workflow_type_check check (workflow_type ~ '^[a-z][a-z0-9_]{0,63}$'),
  constraint workflow_settings_ai_model_check check (length(ai_model) between 1 and 200),
  constraint workflow_settings_system_prompt_check check (length(system_prompt) <= 100000),
  constraint workflow_settings_temperature_check check (temperature between 0 and 2),
  constraint workflow_settings_max_tokens_check check (max_tokens between 1 and 200000),
  constraint workflow_settings_keywords_check check (cardinality(keywords) <= 200),
  constraint workflow_settings_auto_reply_templates_check check (jsonb_typeof(auto_reply_templates) = 'object'),
  constraint workflow_settings_kapso_workflow_id_check check (kapso_workflow_id ~ '^[A-Za-z0-9_-]{1,64}$'),
  constraint workflow_settings_kapso_workflow_name_check check (length(kapso_workflow_name) between 1 and 200),
  constraint workflow_settings_kapso_mapping_check check (jsonb_typeof(kapso_mapping) = 'object'),
  constraint workflow_settings_sync_status_check
    check (sync_status in ('synced', 'pending', 'conflict', 'manual_setup_required', 'error')),
  constraint workflow_settings_synced_values_check check (jsonb_typeof(synced_values) = 'object')
);
comment on table public.workflow_settings is
  'Settings of the AI workflows of a workspace. Kapso runs the workflow; sync_status says whether it has these values.';
comment on column public.workflow_settings.id is 'Primary key.';
comment on column public.workflow_settings.workspace_id is 'The workspace.';
comment on column public.workflow_settings.workflow_type is
  'sarah, brain, rules_engine, or any other name. Unique in a workspace.';
comment on column public.workflow_settings.version is
  'Counts changes of the values. A member who saves names the version they have read.';
comment on column public.workflow_settings.ai_model is
  'Model as Kapso names it, or its id there. Null: keeps Kapso''s value.';
comment on column public.workflow_settings.system_prompt is 'Prompt of the agent. Null: keeps Kapso''s value.';
comment on column public.workflow_settings.temperature is '0 to 2. Null: keeps Kapso''s value.';
comment on column public.workflow_settings.max_tokens is 'Maximum length of a reply. Null: keeps Kapso''s value.';
comment on column public.workflow_settings.keywords is 'Words that trigger the conditions in kapso_mapping.';
comment on column public.workflow_settings.auto_reply_templates is
  'Texts by name: AutoReplyTemplates, defined in supabase/functions/_shared/contracts/workflow_values.ts.';
comment on column public.workflow_settings.connection_id is
  'The connection whose Kapso key is used. Null: the only one of the workspace that has a key.';
comment on column public.workflow_settings.kapso_workflow_id is 'Id of the workflow at Kapso.';
comment on column public.workflow_settings.kapso_workflow_name is 'Its name, for people.';
comment on column public.workflow_settings.kapso_mapping is
  'The nodes of the workflow that the settings apply to: KapsoMapping, defined in '
  'supabase/functions/_shared/contracts/workflow_values.ts.';
comment on column public.workflow_settings.sync_status is
  'synced, pending (changed here), conflict (changed at Kapso), manual_setup_required or error.';
comment on column public.workflow_settings.sync_reason is
  'Reason of sync_status; docs/api/workflow-settings.md lists the codes.';
comment on column public.workflow_settings.synced_values is
  'What was last written to Kapso, or found there equal, by node: ManagedValues, defined in '
  'supabase/functions/_shared/contracts/workflow_values.ts. Other values at Kapso were changed there.';
comment on column public.workflow_settings.kapso_lock_version is
  'lock_version of the workflow when it was last synced.';
comment on column public.workflow_settings.last_synced_at is
  'When it was last written to Kapso, or confirmed manually.';
comment on column public.workflow_settings.last_checked_at is 'When Kapso was last checked.';
comment on column public.workflow_settings.created_at is 'When the row was created.';
comment on column public.workflow_settings.updated_at is 'When the values last changed.';
comment on column public.workflow_settings.updated_by is 'The member who last changed the values.';

create index workflow_settings_workspace_id_connection_id_idx on public.workflow_settings (workspace_id, connection_id);

create index workflow_settings_updated_by_idx on public.workflow_settings (updated_by);

create trigger workflow_settings_touch_updated_at
  before update of ai_model, system_prompt, temperature, max_tokens, keywords, auto_reply_templates, connection_id,
    kapso_workflow_id, kapso_workflow_name, kapso_mapping on public.workflow_settings
  for each row execute function private.touch_updated_at();

grant select, delete on public.workflow_settings to authenticated;
grant all on public.workflow_settings to service_role;
alter table public.workflow_settings enable row level security;

-- Prompts are the business's own knowledge: agents and viewers do not read them.
create policy "Owners and admins can read workflow settings" on public.workflow_settings
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));
create policy "Owners and admins can delete workflow settings" on public.workflow_settings
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create table public.workflow_settings_history (
  id bigint generated always as identity primary key,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  workflow_type text not null,
  version integer not null,
  action text not null,
  sync_status text not null,
  sync_reason text,
  "values" jsonb not null,
  changed_by uuid references auth.users (id) on delete set null,
  changed_at timestamptz not null default now(),
  constraint workflow_settings_history_action_check
    check (action in ('created', 'updated', 'adopted', 'synced', 'checked', 'confirmed', 'deleted')),
  constraint workflow_settings_history_values_check check (jsonb_typeof("values") = 'object')
);
comment on table public.workflow_settings_history is
  'Every change of workflow_settings, with member and time. A trigger writes it, so that no change can bypass it; '
  'kept when the setting is deleted.';
comment on column public.workflow_settings_history.id is 'Primary key, in the order of the changes.';
comment on column public.workflow_settings_history.workspace_id is 'The workspace.';
comment on column public.workflow_settings_history.workflow_type is 'The setting.';
comment on column public.workflow_settings_history.version is 'Version after the change.';
comment on column public.workflow_settings_history.action is
  'created, updated, adopted (taken over from Kapso), synced, checked, confirmed (manually) or deleted.';
comment on column public.workflow_settings_history.sync_status is 'sync_status after the change.';
comment on column public.workflow_settings_history.sync_reason is 'sync_reason after the change.';
comment on column public.workflow_settings_history."values" is
  'Values after the change: WorkflowValues, defined in supabase/functions/_shared/contracts/workflow_values.ts.';
comment on column public.workflow_settings_history.changed_by is
  'The member. Null: a program, or a user who was deleted.';
comment on column public.workflow_settings_history.changed_at is 'When it changed.';

create index workflow_settings_history_workspace_id_workflow_type_id_idx
  on public.workflow_settings_history (workspace_id, workflow_type, id desc);

create index workflow_settings_history_changed_by_idx on public.workflow_settings_history (changed_by);

grant select on public.workflow_settings_history to authenticated;
grant all on public.workflow_settings_history to service_role;
alter table public.workflow_settings_history enable row level security;

create policy "Owners and admins can read the history of workflow settings" on public.workflow_settings_history
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create function private.workflow_setting_values(setting public.workflow_settings)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'ai_model', setting.ai_model,
    'system_prompt', setting.system_prompt,
    'temperature', setting.temperature,
    'max_tokens', setting.max_tokens,
    'keywords', setting.keywords,
    'auto_reply_templates', setting.auto_reply_templates,
    'connection_id', setting.connection_id,
    'kapso_workflow_id', setting.kapso_workflow_id,
    'kapso_workflow_name', setting.kapso_workflow_name,
    'kapso_mapping', setting.kapso_mapping
  );
end;
$$;
comment on function private.workflow_setting_values(public.workflow_settings) is
  'The part of a setting that members edit.';

create function private.keep_workflow_settings_history()
returns trigger
language plpgsql
-- Definer because no caller may write the history.
security definer
set search_path = ''
as $$
declare
  -- Set by the functions below for their own statement.
  given_action text := nullif(current_setting('workflow_settings.action', true), '');
  given_user uuid := nullif(current_setting('workflow_settings.acted_by', true), '')::uuid;
  kept public.workflow_settings := case when tg_op = 'DELETE' then old else new end;
  kept_action text;
begin
  if tg_op = 'INSERT' then
    kept_action := 'created';
  elsif tg_op = 'DELETE' then
    kept_action := 'deleted';
  elsif private.workflow_setting_values(new) is distinct from private.workflow_setting_values(old) then
    kept_action := case when given_action = 'adopted' then 'adopted' else 'updated' end;
  elsif given_action in ('synced', 'confirmed')
    or (new.sync_status, new.sync_reason, new.synced_values)
      is distinct from (old.sync_status, old.sync_reason, old.synced_values)
  then
    kept_action := coalesce(given_action, 'updated');
  else
    return null;
  end if;
  insert into public.workflow_settings_history
    (workspace_id, workflow_type, version, action, sync_status, sync_reason, "values", changed_by)
  select kept.workspace_id, kept.workflow_type, kept.version, kept_action, kept.sync_status, kept.sync_reason,
    private.workflow_setting_values(kept), coalesce((select auth.uid()), given_user)
  -- When the whole workspace is deleted, its history is too.
  where exists (select 1 from public.workspaces as workspace where workspace.id = kept.workspace_id);
  return null;
end;
$$;
comment on function private.keep_workflow_settings_history() is
  'Trigger: writes every change of a setting into its history.';

create trigger workflow_settings_keep_history
  after insert or update or delete on public.workflow_settings
  for each row execute function private.keep_workflow_settings_history();

-- Saving -----------------------------------------------------------------------------------------

create function private.with_setting_changes(setting public.workflow_settings, given jsonb)
returns public.workflow_settings
language plpgsql
stable
set search_path = ''
as $$
declare
  becomes public.workflow_settings := with_setting_changes.setting;
begin
  if given ? 'ai_model' then becomes.ai_model := given ->> 'ai_model'; end if;
  if given ? 'system_prompt' then becomes.system_prompt := given ->> 'system_prompt'; end if;
  if given ? 'temperature' then becomes.temperature := (given ->> 'temperature')::double precision; end if;
  if given ? 'max_tokens' then becomes.max_tokens := (given ->> 'max_tokens')::integer; end if;
  if given ? 'keywords' then
    becomes.keywords := array(
      select word.value
      from jsonb_array_elements_text(coalesce(nullif(given -> 'keywords', 'null'), '[]')) with ordinality
        as word (value, place)
      order by word.place
    );
  end if;
  if given ? 'auto_reply_templates' then
    becomes.auto_reply_templates := coalesce(nullif(given -> 'auto_reply_templates', 'null'), '{}');
  end if;
  if given ? 'connection_id' then becomes.connection_id := (given ->> 'connection_id')::uuid; end if;
  if given ? 'kapso_workflow_id' then becomes.kapso_workflow_id := given ->> 'kapso_workflow_id'; end if;
  if given ? 'kapso_workflow_name' then becomes.kapso_workflow_name := given ->> 'kapso_workflow_name'; end if;
  if given ? 'kapso_mapping' then
    becomes.kapso_mapping := coalesce(
      nullif(given -> 'kapso_mapping', 'null'), '{"agent_nodes": [], "keyword_conditions": []}'
    );
  end if;
  return becomes;
end;
$$;
comment on function private.with_setting_changes(public.workflow_settings, jsonb) is
  'A setting with the values of a SettingChanges (supabase/functions/_shared/contracts/workflow_values.ts): keys that '
  'are left out keep their value, null empties it.';

create function private.save_workflow_settings(
  workspace_id uuid,
  workflow_type text,
  expected_version integer,
  changes jsonb,
  is_adopted boolean
)
returns setof public.workflow_settings
language plpgsql
-- Definer because members write settings only through this function, which compares versions; the role is checked
-- first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  was public.workflow_settings;
  becomes public.workflow_settings;
begin
  perform private.require_role(save_workflow_settings.workspace_id, array['owner', 'admin'], 'workspace_not_found');

  if save_workflow_settings.expected_version is null then
    was.id := gen_random_uuid();
    was.workspace_id := save_workflow_settings.workspace_id;
    was.workflow_type := save_workflow_settings.workflow_type;
    was.version := 1;
    was.keywords := '{}';
    was.auto_reply_templates := '{}';
    was.kapso_mapping := '{"agent_nodes": [], "keyword_conditions": []}';
    was.sync_status := 'pending';
    was.synced_values := '{}';
    was.created_at := now();
    was.updated_at := now();
    was.updated_by := (select auth.uid());
  else
    select kept.* into was
    from public.workflow_settings as kept
    where kept.workspace_id = save_workflow_settings.workspace_id
      and kept.workflow_type = save_workflow_settings.workflow_type
      and kept.version = save_workflow_settings.expected_version
    for update;
    if was.id is null then
      raise exception 'version_conflict' using errcode = 'PT409';
    end if;
  end if;

  becomes := private.with_setting_changes(was, save_workflow_settings.changes);

  if save_workflow_settings.expected_version is null then
    return query
    insert into public.workflow_settings as made
    select becomes.*
    on conflict (workspace_id, workflow_type) do nothing
    returning made.*;
    if not found then
      raise exception 'version_conflict' using errcode = 'PT409';
    end if;
    return;
  end if;
  if private.workflow_setting_values(becomes) is not distinct from private.workflow_setting_values(was) then
    return next was;
    return;
  end if;
  becomes.version := was.version + 1;
  -- Synced values of one workflow say nothing about another.
  if becomes.kapso_workflow_id is distinct from was.kapso_workflow_id then
    becomes.synced_values := '{}';
    becomes.kapso_lock_version := null;
    becomes.last_synced_at := null;
    becomes.last_checked_at := null;
  end if;
  if (becomes.ai_model, becomes.system_prompt, becomes.temperature, becomes.max_tokens, becomes.keywords,
      becomes.connection_id, becomes.kapso_workflow_id, becomes.kapso_mapping)
    is distinct from (was.ai_model, was.system_prompt, was.temperature, was.max_tokens, was.keywords,
      was.connection_id, was.kapso_workflow_id, was.kapso_mapping)
  then
    becomes.sync_status := 'pending';
    becomes.sync_reason := null;
  end if;

  perform set_config('workflow_settings.action', case when is_adopted then 'adopted' else 'updated' end, true);
  return query
  update public.workflow_settings as kept
  set ai_model = becomes.ai_model,
    system_prompt = becomes.system_prompt,
    temperature = becomes.temperature,
    max_tokens = becomes.max_tokens,
    keywords = becomes.keywords,
    auto_reply_templates = becomes.auto_reply_templates,
    connection_id = becomes.connection_id,
    kapso_workflow_id = becomes.kapso_workflow_id,
    kapso_workflow_name = becomes.kapso_workflow_name,
    kapso_mapping = becomes.kapso_mapping,
    version = becomes.version,
    sync_status = becomes.sync_status,
    sync_reason = becomes.sync_reason,
    synced_values = becomes.synced_values,
    kapso_lock_version = becomes.kapso_lock_version,
    last_synced_at = becomes.last_synced_at,
    last_checked_at = becomes.last_checked_at,
    updated_by = (select auth.uid())
  where kept.id = was.id
  returning kept.*;
  perform set_config('workflow_settings.action', '', true);
end;
$$;
comment on function private.save_workflow_settings(uuid, text, integer, jsonb, boolean) is
  'Does the work of public.save_workflow_settings.';

create function public.save_workflow_settings(
  workspace_id uuid,
  workflow_type text,
  expected_version integer,
  changes jsonb,
  is_adopted boolean default false
)
returns setof public.workflow_settings
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select saved.*
  from private.save_workflow_settings(
    save_workflow_settings.workspace_id,
    save_workflow_settings.workflow_type,
    save_workflow_settings.expected_version,
    save_workflow_settings.changes,
    save_workflow_settings.is_adopted
  ) as saved;
end;
$$;
comment on function public.save_workflow_settings(uuid, text, integer, jsonb, boolean) is
  'Create a setting (expected_version null) or change the one that has this version: keys of changes that are left '
  'out stay, null empties. Refuses with version_conflict (PT409) where it has another version. For owners and '
  'admins; the shape of changes is '
  'SettingChanges in supabase/functions/_shared/contracts/workflow_values.ts.';

create function private.confirm_workflow_settings(workspace_id uuid, workflow_type text, expected_version integer)
returns setof public.workflow_settings
language plpgsql
-- Definer because members write settings only through this function; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform private.require_role(confirm_workflow_settings.workspace_id, array['owner', 'admin'], 'workspace_not_found');
  perform set_config('workflow_settings.action', 'confirmed', true);
  return query
  update public.workflow_settings as kept
  set sync_status = 'synced',
    sync_reason = null,
    -- Not compared with Kapso: the values there count as changed at Kapso when they are read next.
    synced_values = '{}',
    kapso_lock_version = null,
    last_synced_at = now()
  where kept.workspace_id = confirm_workflow_settings.workspace_id
    and kept.workflow_type = confirm_workflow_settings.workflow_type
    and kept.version = confirm_workflow_settings.expected_version
  returning kept.*;
  if not found then
    raise exception 'version_conflict' using errcode = 'PT409';
  end if;
  perform set_config('workflow_settings.action', '', true);
end;
$$;
comment on function private.confirm_workflow_settings(uuid, text, integer) is
  'Does the work of public.confirm_workflow_settings.';

create function public.confirm_workflow_settings(workspace_id uuid, workflow_type text, expected_version integer)
returns setof public.workflow_settings
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select confirmed.*
  from private.confirm_workflow_settings(
    confirm_workflow_settings.workspace_id,
    confirm_workflow_settings.workflow_type,
    confirm_workflow_settings.expected_version
  ) as confirmed;
end;
$$;
comment on function public.confirm_workflow_settings(uuid, text, integer) is
  'Record that a member has entered this version of a setting at Kapso manually. Refuses with version_conflict '
  '(PT409) where it has another version. For owners and admins.';

-- Synchronising ----------------------------------------------------------------------------------

create function public.record_workflow_sync(
  workspace_id uuid,
  workflow_type text,
  version integer,
  status text,
  reason text,
  action text,
  acted_by uuid,
  synced_values jsonb default null,
  lock_version integer default null
)
returns setof public.workflow_settings
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  perform set_config('workflow_settings.action', record_workflow_sync.action, true);
  perform set_config('workflow_settings.acted_by', coalesce(record_workflow_sync.acted_by::text, ''), true);
  return query
  update public.workflow_settings as kept
  set
    -- It was changed while Kapso was being checked: Kapso has an older version.
    sync_status = case
      when kept.version = record_workflow_sync.version then record_workflow_sync.status
      when record_workflow_sync.status = 'synced' then 'pending'
      else record_workflow_sync.status
    end,
    sync_reason = record_workflow_sync.reason,
    synced_values = coalesce(record_workflow_sync.synced_values, kept.synced_values),
    kapso_lock_version = coalesce(record_workflow_sync.lock_version, kept.kapso_lock_version),
    last_checked_at = now(),
    last_synced_at = case
      when record_workflow_sync.action in ('synced', 'adopted') and record_workflow_sync.status = 'synced' then now()
      else kept.last_synced_at
    end
  where kept.workspace_id = record_workflow_sync.workspace_id
    and kept.workflow_type = record_workflow_sync.workflow_type
    -- Of two concurrent checks, the one that saw the newer workflow wins.
    and coalesce(record_workflow_sync.lock_version >= kept.kapso_lock_version, true)
  returning kept.*;
  if not found then
    return query
    select kept.*
    from public.workflow_settings as kept
    where kept.workspace_id = record_workflow_sync.workspace_id
      and kept.workflow_type = record_workflow_sync.workflow_type;
  end if;
  perform set_config('workflow_settings.action', '', true);
  perform set_config('workflow_settings.acted_by', '', true);
end;
$$;
comment on function public.record_workflow_sync(uuid, text, integer, text, text, text, uuid, jsonb, integer) is
  'Record the result of checking or syncing a version of a setting with Kapso: status, reason, acting member, and the '
  'values Kapso has now. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.workflow_setting_values(public.workflow_settings),
  private.with_setting_changes(public.workflow_settings, jsonb),
  private.keep_workflow_settings_history(),
  private.save_workflow_settings(uuid, text, integer, jsonb, boolean),
  public.save_workflow_settings(uuid, text, integer, jsonb, boolean),
  private.confirm_workflow_settings(uuid, text, integer),
  public.confirm_workflow_settings(uuid, text, integer),
  public.record_workflow_sync(uuid, text, integer, text, text, text, uuid, jsonb, integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.save_workflow_settings(uuid, text, integer, jsonb, boolean),
  public.save_workflow_settings(uuid, text, integer, jsonb, boolean),
  private.confirm_workflow_settings(uuid, text, integer),
  public.confirm_workflow_settings(uuid, text, integer)
to authenticated;
grant execute on function
  public.record_workflow_sync(uuid, text, integer, text, text, text, uuid, jsonb, integer)
to service_role;
