-- Notifies open inboxes of changes over Realtime, where it exists.

create function private.broadcast_conversation_change()
returns trigger
language plpgsql
-- Definer because callers that change a conversation need not have rights in the schema of Realtime.
security definer
set search_path = ''
as $$
begin
  -- Only the id: each listener reads the content under row level security.
  perform realtime.send(
    jsonb_build_object('conversation_id', new.id),
    'conversation_changed',
    'workspace:' || new.workspace_id,
    true
  );
  return null;
end;
$$;
comment on function private.broadcast_conversation_change() is
  'Trigger: sends the id of a changed conversation to the private Realtime channel workspace:<id>.';

create function private.broadcast_tag_change()
returns trigger
language plpgsql
-- Definer because members have no rights in the schema of Realtime.
security definer
set search_path = ''
as $$
declare
  of_workspace uuid;
begin
  -- Once per statement: a tag may be removed from very many conversations at once.
  for of_workspace in select distinct changed.workspace_id from changed loop
    perform realtime.send('{}', 'tags_changed', 'workspace:' || of_workspace, true);
  end loop;
  return null;
end;
$$;
comment on function private.broadcast_tag_change() is
  'Trigger: notifies the private Realtime channel workspace:<id> that tags, or the conversations that have them, have '
  'changed.';

do $$
begin
  -- Realtime creates its schema before the first migration runs. Without it, inboxes poll.
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is not null then
    create trigger conversations_broadcast_change
      after insert or update on public.conversations
      for each row execute function private.broadcast_conversation_change();
  end if;
  if to_regclass('realtime.messages') is not null and to_regprocedure('realtime.topic()') is not null then
    create policy "Members can listen to their workspaces" on realtime.messages
      for select to authenticated
      using (
        extension = 'broadcast'
        and (select realtime.topic()) in (
          select 'workspace:' || workspace_id
          from private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer']) as workspace_id
        )
      );
  end if;
exception when insufficient_privilege then
  -- Not allowed to this role: inboxes poll.
  raise notice 'Realtime could not be used: %', sqlerrm;
end;
$$;

do $$
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is not null then
    create trigger tags_broadcast_insert after insert on public.tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger tags_broadcast_update after update on public.tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger tags_broadcast_delete after delete on public.tags
      referencing old table as changed for each statement execute function private.broadcast_tag_change();
    create trigger conversation_tags_broadcast_insert after insert on public.conversation_tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger conversation_tags_broadcast_delete after delete on public.conversation_tags
      referencing old table as changed for each statement execute function private.broadcast_tag_change();
  end if;
end;
$$;

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.broadcast_conversation_change(),
  private.broadcast_tag_change()
from public, anon, authenticated, service_role;
