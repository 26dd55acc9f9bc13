-- One message: its digest, which status or media wins, and how a change is applied to it.

-- Digest and preview -----------------------------------------------------------------------------

-- Stable because convert_to is.
create function private.message_digest(message_id text)
returns uuid
language plpgsql
stable
parallel safe
set search_path = ''
as $$
begin
  return encode(substr(sha256(convert_to(message_id, 'UTF8')), 1, 16), 'hex')::uuid;
end;
$$;
comment on function private.message_digest(text) is
  'First 16 bytes of the SHA-256 of a message id: what the ledgers keep instead of ids of up to 512 characters '
  '(docs/adr/0002).';

create function private.ledger_scope(workspace_id uuid, platform text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return ledger_scope.workspace_id::text || ledger_scope.platform || ':';
end;
$$;
comment on function private.ledger_scope(uuid, text) is
  'What the ids of messages are put behind before private.message_digest: see private.ledger_digest.';

create function private.ledger_digest(workspace_id uuid, platform text, message_id text)
returns uuid
language plpgsql
stable
parallel safe
set search_path = ''
as $$
begin
  return private.message_digest(
    private.ledger_scope(ledger_digest.workspace_id, ledger_digest.platform) || ledger_digest.message_id
  );
end;
$$;
comment on function private.ledger_digest(uuid, text, text) is
  'Digest of a message in private.message_keys. Contains its workspace and platform, so that a message can be found by its '
  'id alone without a look at those of other workspaces.';

create function private.message_preview(message jsonb)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return coalesce(
    nullif(btrim(regexp_replace(left(message ->> 'content', 200), '\s+', ' ', 'g')), ''),
    case when message ? 'deleted_at' then '[deleted]' else '[' || (message ->> 'type') || ']' end
  );
end;
$$;
comment on function private.message_preview(jsonb) is
  'What the list of conversations shows of a message: its first 200 characters on one line, or where it has no text '
  '[type], or [deleted].';

-- Statuses ---------------------------------------------------------------------------------------

-- The only list of message statuses in SQL. A new one is added here, in its place; what ranks, settles, follows,
-- allows and prunes statuses is derived from the order. MESSAGE_STATUSES in TypeScript is the same list.
create function private.message_statuses()
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- failed ranks highest because it is final: nothing overwrites it, in any order of events.
  return array['pending', 'sent', 'delivered', 'read', 'failed'];
end;
$$;
comment on function private.message_statuses() is
  'Message statuses in their order: a status only moves to a later one. From sent on, Kapso has accepted the message; '
  'every status after sent is reported by WhatsApp.';

create function private.accepted_statuses()
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  statuses constant text[] := private.message_statuses();
begin
  return statuses[array_position(statuses, 'sent'):];
end;
$$;
comment on function private.accepted_statuses() is
  'Statuses of a message that Kapso has accepted: sent, and those that WhatsApp reports afterwards.';

create function private.status_rank(status text)
returns integer
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return coalesce(array_position(private.message_statuses(), status_rank.status), 0);
end;
$$;
comment on function private.status_rank(text) is
  'Place of a status in private.message_statuses(); 0 for null and for anything else.';

create function private.is_reported_status(status text)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return private.status_rank(is_reported_status.status) > private.status_rank('sent');
end;
$$;
comment on function private.is_reported_status(text) is
  'Whether WhatsApp reports this status of a message that was sent: it replaces the state of the outbox row.';

-- Media ------------------------------------------------------------------------------------------

create function private.media_rank(state text)
returns integer
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case media_rank.state when 'failed' then 1 when 'linked' then 2 when 'stored' then 3 else 0 end;
end;
$$;
comment on function private.media_rank(text) is 'Order of the states of a copy. A message shows the highest.';

-- Reactions --------------------------------------------------------------------------------------

create function private.fold_reactions(reactions jsonb)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  -- One of the limits of docs/api/messaging-ingest.md.
  max_reactions constant integer := 1000;
begin
  return (
    select jsonb_agg(newest.value order by newest.sender)
    from (
      select every.sender, every.value
      from (
        -- One reaction per sender, the newest. A removed reaction stays as one without emoji, so that an older one
        -- that arrives late does not restore it.
        select distinct on (given.value ->> 'sender' collate "C")
          given.value ->> 'sender' collate "C" as sender, (given.value ->> 'reacted_at')::timestamptz as reacted_at,
          given.value
        from jsonb_array_elements(fold_reactions.reactions) as given (value)
        -- WhatsApp's times are whole seconds. Within one second a removal is the later: it needs a reaction to remove.
        order by given.value ->> 'sender' collate "C", (given.value ->> 'reacted_at')::timestamptz desc,
          given.value ->> 'emoji' is null desc, coalesce(given.value ->> 'id', '') collate "C" desc,
          given.value ->> 'emoji' collate "C" desc
      ) as every
      order by every.reacted_at desc, every.sender desc
      limit max_reactions
    ) as newest
  );
end;
$$;
comment on function private.fold_reactions(jsonb) is
  'The reactions of a message from any number of them, in any order: the newest of each sender, and of those the newest '
  '1,000. Null where there is none.';

-- Changes ----------------------------------------------------------------------------------------

create function private.edited(message jsonb, content text, edited_at text)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  if edited.edited_at is null or edited.content is null
    -- Of two edits of one instant the greater text wins, so that their order does not matter.
    or (edited.edited_at::timestamptz, edited.content collate "C") <= (
      coalesce((message ->> 'edited_at')::timestamptz, '-infinity'),
      case when message ? 'edited_at' then message ->> 'content' else '' end collate "C"
    )
  then
    return message;
  end if;
  return message || jsonb_build_object(
    'content', edited.content,
    'edited_at', edited.edited_at,
    'original_content', coalesce(message ->> 'original_content', message ->> 'content')
  );
end;
$$;
comment on function private.edited(jsonb, text, text) is
  'A message with a newer text. The newest edit wins, and the first text stays in original_content.';

create function private.withdrawn(message jsonb)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return (message - '{edited_at,original_content,reactions,metadata,error}'::text[])
    || '{"content": "", "media_url": null}';
end;
$$;
comment on function private.withdrawn(jsonb) is
  'What stays of a deleted message: who sent it, when, its type, status and place.';

create function private.change_message(message jsonb, changes jsonb[], keeps_deleted boolean)
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  changed jsonb := change_message.message;
  change jsonb;
  has_reactions boolean := false;
  reactions jsonb;
  old_rank integer;
  new_rank integer;
begin
  -- Every rule below gives the same result in any order and when repeated, because events
  -- arrive late, twice and out of order.
  foreach change in array change_message.changes loop
    -- The message itself replaces what an agent filed: it has the type, the file and the message it replies to.
    -- The agent's text stays where the message has none: it may be the transcript of a voice note.
    if changed #>> '{metadata,source}' = 'agent' and change ? 'type'
      and change #>> '{metadata,source}' is distinct from 'agent'
    then
      changed := changed
        || jsonb_strip_nulls(
          change
            - '{id,direction,sent_at,is_history,content,status,status_at,error,reactions,metadata,edited_at,deleted_at}'
              ::text[]
        )
        || jsonb_build_object(
          'content', coalesce(nullif(change ->> 'content', ''), changed ->> 'content'),
          'metadata', coalesce(change -> 'metadata', '{}') || coalesce(
            jsonb_strip_nulls(jsonb_build_object('media', changed #> '{metadata,media}')), '{}'
          )
        );
    end if;

    old_rank := private.status_rank(changed ->> 'status');
    new_rank := private.status_rank(change ->> 'status');
    if new_rank > old_rank or (
      -- The same status twice: the earlier time is when it happened.
      new_rank > 0 and new_rank = old_rank
      and (change ->> 'status_at')::timestamptz < coalesce((changed ->> 'status_at')::timestamptz, 'infinity')
    ) then
      changed := (changed - 'status' - 'status_at' - 'error')
        || jsonb_strip_nulls(jsonb_build_object(
          'status', change -> 'status', 'status_at', change -> 'status_at', 'error', change -> 'error'
        ));
    end if;

    -- Media that arrived later than its message. An existing link is never replaced.
    if changed ->> 'media_url' is null and change ->> 'media_url' is not null then
      changed := changed || jsonb_build_object('media_url', change -> 'media_url');
    end if;

    -- A failed copy does not replace one that succeeded; of two in the same state, the later wins.
    if jsonb_typeof(change -> 'media') = 'object' and (
      private.media_rank(change #>> '{media,state}'), coalesce(change #>> '{media,at}', '') collate "C"
    ) > (
      private.media_rank(changed #>> '{metadata,media,state}'),
      coalesce(changed #>> '{metadata,media,at}', '') collate "C"
    ) then
      changed := changed || jsonb_build_object(
        'metadata', coalesce(changed -> 'metadata', '{}') || jsonb_build_object('media', change -> 'media')
      );
    end if;

    -- An edit, or the message again with its newer text.
    changed := private.edited(
      changed,
      coalesce(change #>> '{edit,content}', case when change ? 'edited_at' then change ->> 'content' end),
      coalesce(change #>> '{edit,edited_at}', change ->> 'edited_at')
    );

    -- The earlier time is when it was deleted.
    if change ->> 'deleted_at' is not null
      and (change ->> 'deleted_at')::timestamptz < coalesce((changed ->> 'deleted_at')::timestamptz, 'infinity')
    then
      changed := changed || jsonb_build_object('deleted_at', change ->> 'deleted_at');
    end if;

    has_reactions := has_reactions or change ? 'reactions';
  end loop;

  -- All at once: one after the other, a thousand reactions would take a thousand times a thousand steps.
  if has_reactions then
    reactions := private.fold_reactions(coalesce(changed -> 'reactions', '[]') || (
      select coalesce(jsonb_agg(reaction.value), '[]')
      from unnest(change_message.changes) as given (value)
      cross join lateral jsonb_array_elements(coalesce(given.value -> 'reactions', '[]')) as reaction (value)
    ));
    if reactions is not null then
      changed := changed || jsonb_build_object('reactions', reactions);
    end if;
  end if;
  if changed ? 'deleted_at' and not change_message.keeps_deleted then
    changed := private.withdrawn(changed);
  end if;
  return changed;
end;
$$;
comment on function private.change_message(jsonb, jsonb[], boolean) is
  'Apply changes (status forward only, reactions, edits, the deletion, late media, the state of its copy, the message '
  'itself in place of an agent''s text) to a Message. The result does not depend on their order. keeps_deleted: the '
  'workspace keeps the texts and files of deleted messages.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.message_digest(text),
  private.ledger_scope(uuid, text),
  private.ledger_digest(uuid, text, text),
  private.message_preview(jsonb),
  private.message_statuses(),
  private.accepted_statuses(),
  private.status_rank(text),
  private.is_reported_status(text),
  private.media_rank(text),
  private.fold_reactions(jsonb),
  private.edited(jsonb, text, text),
  private.withdrawn(jsonb),
  private.change_message(jsonb, jsonb[], boolean)
from public, anon, authenticated, service_role;
grant execute on function
  private.message_digest(text),
  private.ledger_scope(uuid, text),
  private.ledger_digest(uuid, text, text),
  private.message_preview(jsonb),
  private.message_statuses(),
  private.accepted_statuses(),
  private.status_rank(text),
  private.is_reported_status(text),
  private.media_rank(text),
  private.fold_reactions(jsonb),
  private.edited(jsonb, text, text),
  private.withdrawn(jsonb),
  private.change_message(jsonb, jsonb[], boolean)
to service_role;
