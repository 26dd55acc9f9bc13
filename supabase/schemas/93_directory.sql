-- The directory of an installation with several projects: which of them serves a workspace. Kept by one project, and empty
-- in the others.

create table private.directory_entries (
  kind text not null,
  value text collate "C" not null,
  workspace_id uuid not null,
  project_url text not null,
  publishable_key text not null,
  updated_at timestamptz not null default now(),
  constraint directory_entries_pkey primary key (kind, value),
  constraint directory_entries_kind_check check (kind in ('workspace', 'connection', 'phone_number', 'key')),
  constraint directory_entries_project_url_check check (project_url ~ '^https?://[^/]+$')
);
comment on table private.directory_entries is
  'By what a workspace can be asked for, and the project that serves it. Written by deno task workspace:directory.';
comment on column private.directory_entries.kind is 'workspace, connection, phone_number or key.';
comment on column private.directory_entries.value is
  'The slug, the connection_id, the phone_number_id, or the SHA-256 of a key of a bridge or an agent in hexadecimal.';
comment on column private.directory_entries.workspace_id is
  'The workspace. No foreign key: it may be in another project.';
comment on column private.directory_entries.project_url is 'Address of the project, without a slash at its end.';
comment on column private.directory_entries.publishable_key is 'The publishable key of the project.';
comment on column private.directory_entries.updated_at is 'When the entry was written.';

create index directory_entries_workspace_id_idx on private.directory_entries (workspace_id);

grant all on private.directory_entries to service_role;
alter table private.directory_entries enable row level security;

create function public.find_project(kind text, value text)
returns table (project_url text, publishable_key text)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- A key cannot be guessed. Names are counted whether they are known or not, so that an answer tells nothing else.
  if find_project.kind <> 'key' then
    perform private.use_limit(
      'directory_names_per_minute', '00000000-0000-0000-0000-000000000000', interval '1 minute', 'rate_limited'
    );
  end if;
  return query
  select entry.project_url, entry.publishable_key
  from private.directory_entries as entry
  where entry.kind = find_project.kind and entry.value = find_project.value;
end;
$$;
comment on function public.find_project(text, text) is
  'The project that serves a workspace, found by its slug, a connection_id, a phone_number_id or the SHA-256 of a key; no '
  'row where none does. Counts look-ups by name: rate_limited. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  public.find_project(text, text)
from public, anon, authenticated, service_role;
grant execute on function
  public.find_project(text, text)
to service_role;
