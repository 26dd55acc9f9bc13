-- One message: which status or media wins, and how a change is applied to it.

create function private.status_rank(status text)
returns integer
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- failed ranks highest because it is final: nothing overwrites it, in whatever order events come.
  return case status_rank.status
    when 'pending' then 1 when 'sent' then 2 when 'delivered' then 3 when 'read' then 4 when 'failed' then 5
    else 0
  end;
end;
$$;
comment on function private.status_rank(text) is 'Order of message statuses. A status only moves to a higher rank.';

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
  -- Every rule below gives the same result in any order and when repeated, because events come
  -- late, twice and out of order.
  foreach change in array change_message.changes loop
    -- What an agent filed gives way to the message itself, which knows its type, its file and what it answers.
    -- An agent's text stays where the message has none: it may be what is said in a voice note.
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

    -- Media that came later than its message. What is there is never replaced.
    if changed ->> 'media_url' is null and change ->> 'media_url' is not null then
      changed := changed || jsonb_build_object('media_url', change -> 'media_url');
    end if;

    -- A copy that was made is not taken back by one that failed; of the same kind, the later one holds.
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
      -- One reaction per sender, the newest. A reaction taken back stays as one without emoji, so
      -- that an older one that comes late does not bring it back.
      if not exists (
        select 1
        from jsonb_array_elements(coalesce(changed -> 'reactions', '[]')) as kept (value)
        where kept.value ->> 'sender' = reaction ->> 'sender'
          -- WhatsApp's times are whole seconds. Of the same second, what takes a reaction back is the
          -- later: there was one to take back.
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
  'Apply changes (status forward only, reactions, late media, what became of its copy, the message itself in place of an agent''s text) to a Message. The result does not depend on their order.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.status_rank(text),
  private.media_rank(text),
  private.change_message(jsonb, jsonb[])
from public, anon, authenticated, service_role;
grant execute on function
  private.status_rank(text),
  private.media_rank(text),
  private.change_message(jsonb, jsonb[])
to service_role;
