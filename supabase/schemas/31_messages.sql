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

create function private.message_preview(content text, type text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return coalesce(nullif(btrim(regexp_replace(left(content, 200), '\s+', ' ', 'g')), ''), '[' || type || ']');
end;
$$;
comment on function private.message_preview(text, text) is
  'What the list of conversations shows of a message: its first 200 characters on one line, or [type] where it has no '
  'text.';

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

-- Changes ----------------------------------------------------------------------------------------

create function private.change_message(message jsonb, changes jsonb[])
returns jsonb
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  changed jsonb := change_message.message;
  change jsonb;
  reaction jsonb;
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
          change - '{id,direction,sent_at,is_history,content,status,status_at,error,reactions,metadata}'::text[]
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

    for reaction in
      select item.value from jsonb_array_elements(coalesce(change -> 'reactions', '[]')) as item (value)
    loop
      -- One reaction per sender, the newest. A removed reaction stays as one without emoji, so that an older
      -- one that arrives late does not restore it.
      if not exists (
        select 1
        from jsonb_array_elements(coalesce(changed -> 'reactions', '[]')) as kept (value)
        where kept.value ->> 'sender' = reaction ->> 'sender'
          -- WhatsApp's times are whole seconds. Within one second a removal is the later: it needs a
          -- reaction to remove.
          and (
            (kept.value ->> 'reacted_at')::timestamptz, kept.value ->> 'emoji' is null,
            coalesce(kept.value ->> 'id', '') collate "C"
          ) >= (
            (reaction ->> 'reacted_at')::timestamptz, reaction ->> 'emoji' is null,
            coalesce(reaction ->> 'id', '') collate "C"
          )
      ) then
        changed := changed || jsonb_build_object('reactions', (
          select jsonb_agg(every.value order by every.value ->> 'sender' collate "C")
          from (
            select kept.value
            from jsonb_array_elements(coalesce(changed -> 'reactions', '[]')) as kept (value)
            where kept.value ->> 'sender' <> reaction ->> 'sender'
            union all
            select reaction
          ) as every (value)
        ));
      end if;
    end loop;
  end loop;
  return changed;
end;
$$;
comment on function private.change_message(jsonb, jsonb[]) is
  'Apply changes (status forward only, reactions, late media, the state of its copy, the message itself in place of '
  'an agent''s text) to a Message. The result does not depend on their order.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.message_digest(text),
  private.message_preview(text, text),
  private.message_statuses(),
  private.accepted_statuses(),
  private.status_rank(text),
  private.is_reported_status(text),
  private.media_rank(text),
  private.change_message(jsonb, jsonb[])
from public, anon, authenticated, service_role;
grant execute on function
  private.message_digest(text),
  private.message_preview(text, text),
  private.message_statuses(),
  private.accepted_statuses(),
  private.status_rank(text),
  private.is_reported_status(text),
  private.media_rank(text),
  private.change_message(jsonb, jsonb[])
to service_role;
