-- The pages of a run: conversations that wait for their messages, and storing what a page brings.

-- Stores nothing for a connection that was switched off in the meantime.
create function public.add_sync_conversations(
  run_id uuid,
  lease uuid,
  conversations jsonb,
  cursor text,
  is_last boolean,
  lease_seconds integer default 60
)
returns setof public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs := private.hold_sync_run(run_id, lease, lease_seconds);
  added integer;
begin
  perform private.require_active_source(held);
  insert into private.sync_conversations (run_id, session_id, position, conversation)
  select held.id, listed.session_id,
    held.conversations_total + row_number() over (order by listed.ordinal), listed.value
  from (
    select distinct on (item.value ->> 'id') item.value ->> 'id' as session_id, item.value, item.ordinal
    from jsonb_array_elements(add_sync_conversations.conversations) with ordinality as item (value, ordinal)
    where item.value ->> 'id' is not null
    order by item.value ->> 'id', item.ordinal
  ) as listed
  where not exists (
    select 1 from private.sync_conversations as known
    where known.run_id = held.id and known.session_id = listed.session_id
  );
  get diagnostics added = row_count;
  -- A conversation that became active since it was listed has a newer row; the messages of one that is done are read in
  -- the phase recent.
  update private.sync_conversations as known
  set conversation = item.value
  from jsonb_array_elements(add_sync_conversations.conversations) as item (value)
  where known.run_id = held.id and known.session_id = item.value ->> 'id' and known.state = 'waiting';

  return query
  update public.sync_runs as known
  set conversations_total = known.conversations_total + added,
    cursor = case when is_last then null else add_sync_conversations.cursor end,
    walk_added = case when is_last then 0 else known.walk_added + added end,
    -- The list moves during a pass: a conversation that becomes active jumps to its front. So another pass covers
    -- those that became active since, until a pass finds nothing new.
    walk_since = case when is_last then known.walk_started_at - interval '10 minutes' else known.walk_since end,
    walk_started_at = case when is_last then now() else known.walk_started_at end,
    phase = case when is_last and known.walk_added + added = 0 then 'messages' else known.phase end,
    failures = 0
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer) is
  'Store a page of Kapso''s list of conversations (rows as received) and where the list continues. For service_role '
  'only.';

create function public.next_sync_conversations(run_id uuid, max_conversations integer)
returns table (
  session_id text,
  "position" integer,
  conversation jsonb,
  cursor text,
  messages_read integer,
  messages_added integer
)
language sql
stable
set search_path = ''
as $$
  select waiting.session_id, waiting.position, waiting.conversation, waiting.cursor, waiting.messages_read,
    waiting.messages_added
  from private.sync_conversations as waiting
  where waiting.run_id = next_sync_conversations.run_id and waiting.state = 'waiting'
  order by waiting.position
  limit next_sync_conversations.max_conversations;
$$;
comment on function public.next_sync_conversations(uuid, integer) is
  'The conversations of a history run that are to be read next, in order. For service_role only.';

create function private.count_new_messages(source public.connections, elements jsonb)
returns integer
language sql
stable
set search_path = ''
as $$
  select count(distinct (found.thread, message.value ->> 'id'))::integer
  from jsonb_array_elements(count_new_messages.elements) as element (value)
  cross join lateral (
    select private.thread_of(
      count_new_messages.source,
      array[element.value #>> '{conversation,external_conversation_id}'] || array(
        select jsonb_array_elements_text(coalesce(element.value #> '{conversation,thread_aliases}', '[]'))
      )
    ) as thread
  ) as found
  cross join lateral jsonb_array_elements(coalesce(element.value #> '{conversation,messages}', '[]')) as message (value)
  where element.value ->> 'kind' = 'conversation'
    and not exists (
      select 1
      from private.message_keys as known
      where known.conversation_id = private.conversation_with_key(
          (count_new_messages.source).workspace_id, (count_new_messages.source).platform, found.thread
        )
        and known.message_digest = private.ledger_digest(
          (count_new_messages.source).workspace_id, (count_new_messages.source).platform, message.value ->> 'id'
        )
    );
$$;
comment on function private.count_new_messages(public.connections, jsonb) is
  'How many messages of Kapso''s elements are not stored yet. For dry runs.';

-- Stores nothing for a connection that was switched off in the meantime. What could not be stored in the
-- phase recent counts as failed.
create function public.store_sync_page(
  run_id uuid,
  lease uuid,
  elements jsonb,
  messages_read integer,
  session_id text,
  cursor text,
  is_last boolean,
  lease_seconds integer default 60
)
returns table (run jsonb, messages_added integer, errors text[])
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs;
  source public.connections;
  element jsonb;
  stored private.kapso_outcome;
  added integer := 0;
  problems text[] := '{}';
  new_people uuid[] := '{}';
  new_conversations integer := 0;
  session_state text;
begin
  perform private.lock_contacts(store_sync_page.elements);
  held := private.hold_sync_run(run_id, lease, lease_seconds);
  source := private.require_active_source(held);

  if held.is_dry_run then
    added := private.count_new_messages(source, store_sync_page.elements);
  else
    -- All conversations of the page in one pass, and then what changes conversations that are stored.
    for stored in
      select outcome.*
      from private.try_kapso_conversations(source, jsonb_path_query_array(
        store_sync_page.elements, '$[*] ? (@.kind == "conversation").conversation'
      )) as outcome
    loop
      if stored.outcome = 'error' then
        problems := problems || stored.error;
        continue;
      end if;
      added := added + stored.messages_added;
      new_conversations := new_conversations + (stored.outcome = 'created')::integer;
      if stored.person_id <> all (new_people) and exists (
        select 1 from public.people as person
        where person.id = stored.person_id
          and person.workspace_id = source.workspace_id
          -- Created by this transaction.
          and person.created_at = now()
      ) then
        new_people := new_people || stored.person_id;
      end if;
    end loop;
    for element in
      select item.value from jsonb_array_elements(store_sync_page.elements) with ordinality as item (value, ordinal)
      where item.value ->> 'kind' = 'identity_change'
      order by item.ordinal
    loop
      begin
        perform private.change_identity(source, element);
      exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
        problems := problems || sqlstate;
      end;
    end loop;
  end if;

  if store_sync_page.session_id is not null then
    update private.sync_conversations as known
    set cursor = store_sync_page.cursor,
      messages_read = known.messages_read + store_sync_page.messages_read,
      messages_added = known.messages_added + added,
      state = case
        when not is_last then 'waiting'
        when cardinality(problems) > 0 or known.error is not null then 'failed'
        else 'done'
      end,
      error = coalesce(known.error, problems[1])
    where known.run_id = held.id and known.session_id = store_sync_page.session_id
    returning known.state into session_state;
  end if;
  return query
  update public.sync_runs as known
  set messages_read = known.messages_read + store_sync_page.messages_read,
    messages_added = known.messages_added + added,
    people_created = known.people_created + cardinality(new_people),
    conversations_created = known.conversations_created + new_conversations,
    conversations_done = known.conversations_done + coalesce((session_state = 'done')::integer, 0),
    conversations_failed = known.conversations_failed + case
      when store_sync_page.session_id is null then cardinality(problems)
      else coalesce((session_state = 'failed')::integer, 0)
    end,
    cursor = case
      when store_sync_page.session_id is not null then known.cursor
      when not is_last then store_sync_page.cursor
    end,
    phase = case when store_sync_page.session_id is null and is_last then 'statuses' else known.phase end,
    failures = 0
  where known.id = held.id
  returning to_jsonb(known), added, problems;
end;
$$;
comment on function public.store_sync_page(uuid, uuid, jsonb, integer, text, text, boolean, integer) is
  'Store a page of messages, as NormalizedElements, and where the list continues, in one transaction: a crash loses '
  'both or neither. session_id is null in the phase recent. For service_role only.';

create function public.fail_sync_conversation(
  run_id uuid,
  lease uuid,
  session_id text,
  error text,
  lease_seconds integer default 60
)
returns setof public.sync_runs
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs := private.hold_sync_run(run_id, lease, lease_seconds);
begin
  update private.sync_conversations as known
  set state = 'failed', error = left(fail_sync_conversation.error, 500)
  where known.run_id = held.id
    and known.session_id = fail_sync_conversation.session_id
    and known.state = 'waiting';
  return query
  update public.sync_runs as known
  set conversations_failed = known.conversations_failed + found::integer
  where known.id = held.id
  returning known.*;
end;
$$;
comment on function public.fail_sync_conversation(uuid, uuid, text, text, integer) is
  'Record that a conversation cannot be read; the run continues without it. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer),
  public.next_sync_conversations(uuid, integer),
  private.count_new_messages(public.connections, jsonb),
  public.store_sync_page(uuid, uuid, jsonb, integer, text, text, boolean, integer),
  public.fail_sync_conversation(uuid, uuid, text, text, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer),
  public.next_sync_conversations(uuid, integer),
  private.count_new_messages(public.connections, jsonb),
  public.store_sync_page(uuid, uuid, jsonb, integer, text, text, boolean, integer),
  public.fail_sync_conversation(uuid, uuid, text, text, integer)
to service_role;
