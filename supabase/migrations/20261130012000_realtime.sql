-- Notifies open inboxes of changes over Realtime, where it exists. One statement is one message per workspace, however
-- many rows it changed: an import or a deleted connection touches tens of thousands.

create function private.send_changed_conversations(workspace_id uuid, conversation_ids uuid[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- Ids only: each listener reads the content under row level security. A listener shows one conversation and one page
  -- of the list, and reads both again when there are too many ids to name.
  perform realtime.send(
    jsonb_build_object(
      'conversation_ids', case when cardinality(conversation_ids) <= 100 then to_jsonb(conversation_ids) end
    ),
    'conversations_changed',
    'workspace:' || workspace_id,
    true
  );
end;
$$;
comment on function private.send_changed_conversations(uuid, uuid[]) is
  'Sends the ids of changed conversations to the private Realtime channel workspace:<id>; null where they are more than '
  '100.';

create function private.broadcast_new_conversations()
returns trigger
language plpgsql
-- Definer because callers that add a conversation need not have rights in the schema of Realtime.
security definer
set search_path = ''
as $$
begin
  perform private.send_changed_conversations(added.workspace_id, array_agg(added.id))
  from added
  group by added.workspace_id;
  return null;
end;
$$;
comment on function private.broadcast_new_conversations() is
  'Trigger: announces added conversations to the members of their workspaces.';

create function private.broadcast_changed_conversations()
returns trigger
language plpgsql
-- Definer because callers that change a conversation need not have rights in the schema of Realtime.
security definer
set search_path = ''
as $$
begin
  -- updated_at moves with everything that people see, except where a foreign key or the matching of people writes.
  -- Inside one transaction it moves once, and one announcement is enough: listeners get it after the commit.
  -- Not a join: a plan made for one row would compare each row with each other.
  perform private.send_changed_conversations(changed.workspace_id, array_agg(changed.id))
  from (
    select later.workspace_id, later.id, later.updated_at, later.person_id, later.connection_id, later.assigned_to
    from later
    except
    select earlier.workspace_id, earlier.id, earlier.updated_at, earlier.person_id, earlier.connection_id,
      earlier.assigned_to
    from earlier
  ) as changed
  group by changed.workspace_id;
  return null;
end;
$$;
comment on function private.broadcast_changed_conversations() is
  'Trigger: announces conversations that look different now to the members of their workspaces.';

create function private.broadcast_tag_change()
returns trigger
language plpgsql
-- Definer because members have no rights in the schema of Realtime.
security definer
set search_path = ''
as $$
begin
  perform realtime.send('{}', 'tags_changed', 'workspace:' || of_tags.workspace_id, true)
  from (select distinct changed.workspace_id from changed) as of_tags;
  return null;
end;
$$;
comment on function private.broadcast_tag_change() is
  'Trigger: notifies the private Realtime channel workspace:<id> that tags have changed.';

create function private.broadcast_tagging()
returns trigger
language plpgsql
-- Definer because members have no rights in the schema of Realtime.
security definer
set search_path = ''
as $$
begin
  -- A conversation that is deleted takes its tags along, in a statement for each conversation.
  perform realtime.send('{}', 'tags_changed', 'workspace:' || tagged.workspace_id, true)
  from (
    select distinct changed.workspace_id
    from changed
    join public.conversations as conversation on conversation.id = changed.conversation_id
  ) as tagged;
  return null;
end;
$$;
comment on function private.broadcast_tagging() is
  'Trigger: notifies the private Realtime channel workspace:<id> that conversations have other tags.';

do $$
begin
  -- Realtime creates its schema before the first migration runs. Without it, inboxes poll.
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is not null then
    create trigger conversations_broadcast_insert after insert on public.conversations
      referencing new table as added for each statement execute function private.broadcast_new_conversations();
    create trigger conversations_broadcast_update after update on public.conversations
      referencing old table as earlier new table as later
      for each statement execute function private.broadcast_changed_conversations();
    create trigger tags_broadcast_insert after insert on public.tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger tags_broadcast_update after update on public.tags
      referencing new table as changed for each statement execute function private.broadcast_tag_change();
    create trigger tags_broadcast_delete after delete on public.tags
      referencing old table as changed for each statement execute function private.broadcast_tag_change();
    create trigger conversation_tags_broadcast_insert after insert on public.conversation_tags
      referencing new table as changed for each statement execute function private.broadcast_tagging();
    create trigger conversation_tags_broadcast_delete after delete on public.conversation_tags
      referencing old table as changed for each statement execute function private.broadcast_tagging();
  end if;
end;
$$;

do $$
begin
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

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.send_changed_conversations(uuid, uuid[]),
  private.broadcast_new_conversations(),
  private.broadcast_changed_conversations(),
  private.broadcast_tag_change(),
  private.broadcast_tagging()
from public, anon, authenticated, service_role;
