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

create type private.sync_finding as (
  page_place bigint,
  messages_added integer,
  problem text
);
comment on type private.sync_finding is
  'What storing made of an element of the page at a place of a batch. problem: the SQLSTATE of an element that could not be '
  'stored, else null.';

-- Stores nothing for a connection that was switched off in the meantime. What could not be stored in the
-- phase recent counts as failed.
create function public.store_sync_pages(run_id uuid, lease uuid, pages jsonb, lease_seconds integer default 60)
returns table (run jsonb, results jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.sync_runs;
  source public.connections;
  conversations jsonb;
  places bigint[];
  change record;
  outcomes private.kapso_outcome[] := '{}';
  findings private.sync_finding[];
begin
  perform private.lock_contacts(jsonb_path_query_array(store_sync_pages.pages, '$[*].elements[*]'));
  held := private.hold_sync_run(run_id, lease, lease_seconds);
  source := private.require_active_source(held);

  if held.is_dry_run then
    findings := array(
      select row(page.ordinal, private.count_new_messages(source, page.value -> 'elements'), null)::private.sync_finding
      from jsonb_array_elements(store_sync_pages.pages) with ordinality as page (value, ordinal)
    );
  else
    -- All conversations of all pages in one pass, and then what changes conversations that are stored.
    select
      jsonb_agg(element.value -> 'conversation' order by page.ordinal, element.ordinal),
      array_agg(page.ordinal order by page.ordinal, element.ordinal)
    into conversations, places
    from jsonb_array_elements(store_sync_pages.pages) with ordinality as page (value, ordinal)
    cross join jsonb_array_elements(page.value -> 'elements') with ordinality as element (value, ordinal)
    where element.value ->> 'kind' = 'conversation';
    if conversations is not null then
      outcomes := array(select stored from private.try_kapso_conversations(source, conversations) as stored);
    end if;
    findings := array(
      select row(
        places[stored.ordinal],
        case when stored.outcome <> 'error' then stored.messages_added end,
        case when stored.outcome = 'error' then stored.error end
      )::private.sync_finding
      from unnest(outcomes) with ordinality
        as stored (conversation_id, external_conversation_id, outcome, messages_added, person_id, error, ordinal)
    );
    for change in
      select page.ordinal as page_place, element.value
      from jsonb_array_elements(store_sync_pages.pages) with ordinality as page (value, ordinal)
      cross join jsonb_array_elements(page.value -> 'elements') with ordinality as element (value, ordinal)
      where element.value ->> 'kind' = 'identity_change'
      order by page.ordinal, element.ordinal
    loop
      begin
        perform private.change_identity(source, change.value);
      exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
        findings := findings || row(change.page_place, null, sqlstate)::private.sync_finding;
      end;
    end loop;
  end if;

  return query
  with page as (
    select given.ordinal,
      given.value ->> 'session_id' as session_id,
      given.value ->> 'cursor' as cursor,
      (given.value ->> 'messages_read')::integer as messages_read,
      (given.value ->> 'is_last')::boolean as is_last,
      coalesce(found.messages_added, 0)::integer as messages_added,
      coalesce(found.problems, '{}') as problems
    from jsonb_array_elements(store_sync_pages.pages) with ordinality as given (value, ordinal)
    cross join lateral (
      select sum(finding.messages_added) as messages_added,
        array_agg(finding.problem order by finding.place) filter (where finding.problem is not null) as problems
      from unnest(findings) with ordinality as finding (page_place, messages_added, problem, place)
      where finding.page_place = given.ordinal
    ) as found
  ),
  conversation as (
    update private.sync_conversations as known
    set cursor = page.cursor,
      messages_read = known.messages_read + page.messages_read,
      messages_added = known.messages_added + page.messages_added,
      state = case
        when not page.is_last then 'waiting'
        when cardinality(page.problems) > 0 or known.error is not null then 'failed'
        else 'done'
      end,
      error = coalesce(known.error, page.problems[1])
    from page
    where known.run_id = held.id and known.session_id = page.session_id
    returning known.state
  ),
  total as (
    select coalesce(sum(page.messages_read), 0) as messages_read,
      coalesce(sum(page.messages_added), 0) as messages_added,
      coalesce(sum(cardinality(page.problems)) filter (where page.session_id is null), 0) as problems_of_list,
      bool_or(page.session_id is null) as has_list,
      bool_or(page.session_id is null and page.is_last) as is_end_of_list,
      max(page.cursor) filter (where page.session_id is null and not page.is_last) as cursor,
      jsonb_agg(
        jsonb_build_object('messages_added', page.messages_added, 'errors', to_jsonb(page.problems)) order by page.ordinal
      ) as results
    from page
  )
  update public.sync_runs as known
  set messages_read = known.messages_read + total.messages_read,
    messages_added = known.messages_added + total.messages_added,
    people_created = known.people_created + (
      select count(*)
      from public.people as person
      where person.id = any (array(select stored.person_id from unnest(outcomes) as stored where stored.outcome <> 'error'))
        and person.workspace_id = source.workspace_id
        -- Created by this transaction.
        and person.created_at = now()
    ),
    conversations_created = known.conversations_created
      + (select count(*) from unnest(outcomes) as stored where stored.outcome = 'created'),
    conversations_done = known.conversations_done
      + (select count(*) from conversation where conversation.state = 'done'),
    conversations_failed = known.conversations_failed + total.problems_of_list
      + (select count(*) from conversation where conversation.state = 'failed'),
    cursor = case when total.has_list then total.cursor else known.cursor end,
    phase = case when total.is_end_of_list then 'statuses' else known.phase end,
    failures = 0
  from total
  where known.id = held.id
  returning to_jsonb(known), coalesce(total.results, '[]');
end;
$$;
comment on function public.store_sync_pages(uuid, uuid, jsonb, integer) is
  'Store pages of messages, and where each list continues, in one transaction: a crash loses both or neither. pages: '
  '{elements, messages_read, session_id, cursor, is_last}, elements as NormalizedElements; each of another conversation, or one '
  'without session_id in the phases recent and statuses. results: {messages_added, errors} for each, in order. For service_role '
  'only.';

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
  public.store_sync_pages(uuid, uuid, jsonb, integer),
  public.fail_sync_conversation(uuid, uuid, text, text, integer)
from public, anon, authenticated, service_role;
grant execute on function
  public.add_sync_conversations(uuid, uuid, jsonb, text, boolean, integer),
  public.next_sync_conversations(uuid, integer),
  private.count_new_messages(public.connections, jsonb),
  public.store_sync_pages(uuid, uuid, jsonb, integer),
  public.fail_sync_conversation(uuid, uuid, text, text, integer)
to service_role;
