-- What follows when a connection is deleted. Its conversations and files stay, and forget it a part at a time: there may
-- be a hundred thousand of them, and a statement of the API has 8 seconds.

create table private.deleted_connections (
  connection_id uuid primary key,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  deleted_at timestamptz not null default now()
);
comment on table private.deleted_connections is
  'Connections whose conversations and files still name them. Kept for an hour, for what was being stored meanwhile.';
comment on column private.deleted_connections.connection_id is 'The connection that was deleted.';
comment on column private.deleted_connections.workspace_id is 'Its workspace.';
comment on column private.deleted_connections.deleted_at is 'When it was deleted.';

create index deleted_connections_workspace_id_idx on private.deleted_connections (workspace_id);

grant all on private.deleted_connections to service_role;
alter table private.deleted_connections enable row level security;

create function private.note_deleted_connections()
returns trigger
language plpgsql
-- Definer because members who delete a connection may not write to private.deleted_connections.
security definer
set search_path = ''
as $$
begin
  insert into private.deleted_connections (connection_id, workspace_id)
  select deleted.id, deleted.workspace_id
  from deleted
  -- Not where the whole workspace goes.
  join public.workspaces as workspace on workspace.id = deleted.workspace_id
  on conflict do nothing;
  return null;
end;
$$;
comment on function private.note_deleted_connections() is
  'Trigger: lists deleted connections for forget_connections().';

create trigger connections_note_deleted_connections
  after delete on public.connections
  referencing old table as deleted
  for each statement execute function private.note_deleted_connections();

create function public.forget_connections(max_rows integer default 10000)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  gone private.deleted_connections;
  rows_left integer := forget_connections.max_rows;
  forgotten integer;
begin
  for gone in
    select known.* from private.deleted_connections as known order by known.deleted_at limit 100 for update skip locked
  loop
    exit when rows_left <= 0;
    with part as (
      select conversation.id
      from public.conversations as conversation
      where conversation.workspace_id = gone.workspace_id and conversation.connection_id = gone.connection_id
      order by conversation.platform, conversation.external_conversation_id
      limit rows_left
      for no key update
    )
    update public.conversations as conversation
    set connection_id = null
    from part
    where conversation.id = part.id;
    get diagnostics forgotten = row_count;
    rows_left := rows_left - forgotten;
    with part as (
      select copy.conversation_id, copy.message_id
      from private.media_copies as copy
      where copy.workspace_id = gone.workspace_id and copy.connection_id = gone.connection_id
      limit greatest(rows_left, 0)
      for update skip locked
    )
    update private.media_copies as copy
    set connection_id = null,
      -- It cannot be fetched any more.
      state = case when copy.state = 'waiting' then 'failed' else copy.state end,
      error = case when copy.state = 'waiting' then 'gone' else copy.error end
    from part
    where copy.conversation_id = part.conversation_id and copy.message_id = part.message_id;
    get diagnostics forgotten = row_count;
    rows_left := rows_left - forgotten;
    if rows_left > 0 and gone.deleted_at < now() - interval '1 hour' then
      delete from private.deleted_connections as known where known.connection_id = gone.connection_id;
    end if;
  end loop;
  return forget_connections.max_rows - rows_left;
end;
$$;
comment on function public.forget_connections(integer) is
  'Make conversations and files forget connections that were deleted, at most max_rows of them. Returns how many did. For '
  'service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.note_deleted_connections(),
  public.forget_connections(integer)
from public, anon, authenticated, service_role;
grant execute on function public.forget_connections(integer) to service_role;
