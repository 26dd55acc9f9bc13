-- The requests of conversation-sync, one function each.

-- Reading ----------------------------------------------------------------------------------------

create function public.find_agent_session(
  key_sha256 text,
  participant_key text,
  sub_domain text default null,
  local_id text default null,
  bot_id text default null
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.require_agent_key(find_agent_session.key_sha256);
  found public.agent_sessions;
begin
  select session.* into found
  from public.agent_sessions as session
  join public.workspaces as workspace on workspace.id = session.workspace_id
  where session.participant_key = find_agent_session.participant_key
    and session.workspace_id = any (workspaces)
    and session.is_active
    and session.expires_at > now()
    and (find_agent_session.sub_domain is null or workspace.slug = find_agent_session.sub_domain)
    and (find_agent_session.local_id is null or session.local_id = find_agent_session.local_id)
    and (find_agent_session.bot_id is null or session.bot_id = find_agent_session.bot_id)
  order by session.created_at desc, session.id desc
  limit 1;
  return case when found.id is not null then private.agent_session_state(found) end;
end;
$$;
comment on function public.find_agent_session(text, text, text, text, text) is
  'The newest active session of a customer in the workspaces of a key, or in the one that is named; null where there '
  'is none. For service_role only.';

create function public.find_agent_business(key_sha256 text, phone_number_id text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.require_agent_key(find_agent_business.key_sha256);
  business jsonb;
begin
  select jsonb_build_object(
    'sub_domain', workspace.slug, 'connection_id', connection.connection_id, 'is_active', connection.is_active
  ) into business
  from public.connections as connection
  join public.workspaces as workspace on workspace.id = connection.workspace_id
  where connection.phone_number_id = find_agent_business.phone_number_id
    and connection.workspace_id = any (workspaces);
  return business;
end;
$$;
comment on function public.find_agent_business(text, text) is
  'The business that a WhatsApp number (Meta''s phone_number_id) belongs to, among the workspaces of a key; null '
  'where there is none. For service_role only.';

create function public.read_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  local_id text default null
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.require_agent_key(read_agent_session.key_sha256);
  found public.agent_sessions;
begin
  select session.* into found
  from public.agent_sessions as session
  join public.workspaces as workspace on workspace.id = session.workspace_id
  where session.session_id = read_agent_session.session_id
    and session.workspace_id = any (workspaces)
    and workspace.slug = read_agent_session.sub_domain
    and (read_agent_session.local_id is null or session.local_id = read_agent_session.local_id);
  return case when found.id is not null then private.agent_session_state(found) end;
end;
$$;
comment on function public.read_agent_session(text, text, text, text) is
  'A session by its id, also an ended or expired one; null where there is none. For service_role only.';

create function public.list_agent_sessions(
  key_sha256 text,
  sub_domain text,
  local_id text default null,
  bot_id text default null,
  intent text default null,
  max_sessions integer default 50,
  skip integer default 0
)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.require_agent_key(list_agent_sessions.key_sha256);
  wanted uuid;
  listed jsonb;
begin
  select workspace.id into wanted
  from public.workspaces as workspace
  where workspace.slug = list_agent_sessions.sub_domain and workspace.id = any (workspaces);
  if wanted is null then
    raise exception 'workspace_not_found' using errcode = 'PT404';
  end if;
  with active as (
    select session.id, session.created_at
    from public.agent_sessions as session
    where session.workspace_id = wanted
      and session.is_active
      and session.expires_at > now()
      and (list_agent_sessions.local_id is null or session.local_id = list_agent_sessions.local_id)
      and (list_agent_sessions.bot_id is null or session.bot_id = list_agent_sessions.bot_id)
      and (list_agent_sessions.intent is null or session.current_intent = list_agent_sessions.intent)
  ),
  page as (
    select active.id
    from active
    order by active.created_at desc, active.id desc
    limit list_agent_sessions.max_sessions offset list_agent_sessions.skip
  )
  select jsonb_build_object(
    'total', (select count(*) from active),
    'sessions', coalesce(to_jsonb(array_agg(
      private.agent_session_state(session) order by session.created_at desc, session.id desc
    )), '[]')
  ) into listed
  from page
  join public.agent_sessions as session on session.id = page.id;
  return listed;
end;
$$;
comment on function public.list_agent_sessions(text, text, text, text, text, integer, integer) is
  'A page of the active sessions of a business, newest first, and how many there are. For service_role only.';

-- Writing ----------------------------------------------------------------------------------------

create function public.create_agent_session(
  key_sha256 text,
  participant_key text,
  sub_domain text,
  local_id text default null,
  bot_id text default null,
  metadata jsonb default '{}'
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.use_agent_key(create_agent_session.key_sha256);
  wanted uuid;
  opened private.opened_agent_session;
  found public.agent_sessions;
begin
  select workspace.id into wanted
  from public.workspaces as workspace
  where workspace.slug = create_agent_session.sub_domain and workspace.id = any (workspaces);
  if wanted is null then
    raise exception 'workspace_not_found' using errcode = 'PT404';
  end if;

  -- First without a lock, because the session nearly always exists. Then again under a lock that covers all branches
  -- and bots of this customer.
  for attempt in 1..2 loop
    select session.* into found
    from public.agent_sessions as session
    where session.participant_key = create_agent_session.participant_key
      and session.workspace_id = wanted
      and session.is_active
      and session.expires_at > now()
      and (create_agent_session.local_id is null or session.local_id = create_agent_session.local_id)
      and (create_agent_session.bot_id is null or session.bot_id = create_agent_session.bot_id)
    order by session.created_at desc, session.id desc
    limit 1;
    if found.id is not null and found.metadata @> create_agent_session.metadata
      and found.expires_at > now() + interval '1 hour'
    then
      opened.outcome := 'ok';
      opened.session := found;
      return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
      return;
    end if;
    if found.id is not null and private.is_too_large(found.metadata || create_agent_session.metadata, 65536) then
      raise exception 'metadata_too_large' using errcode = 'PT413';
    end if;
    if found.id is not null then
      -- The agent's metadata is stored, and a session that is about to expire is extended: the caller is about to
      -- write to it.
      update public.agent_sessions as session
      set metadata = session.metadata || create_agent_session.metadata,
        version = session.version + 1,
        last_activity_at = greatest(session.last_activity_at, now()),
        expires_at = greatest(session.expires_at, now() + interval '24 hours')
      where session.id = found.id and session.is_active
      returning session.* into found;
      if found.id is not null then
        opened.outcome := 'ok';
        opened.session := found;
        return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
        return;
      end if;
    end if;
    perform pg_catalog.pg_advisory_xact_lock(
      pg_catalog.hashtextextended('agent session ' || wanted || ' ' || create_agent_session.participant_key, 0)
    );
  end loop;

  -- Sessions that are still marked as active have expired.
  update public.agent_sessions as session
  set is_active = false
  where session.participant_key = create_agent_session.participant_key
    and session.workspace_id = wanted
    and session.is_active
    and session.expires_at <= now();
  perform private.use_limit('agent_sessions_per_day', wanted, interval '1 day', 'too_many_agent_sessions');
  found.workspace_id := wanted;
  found.participant_key := create_agent_session.participant_key;
  found.local_id := create_agent_session.local_id;
  found.bot_id := create_agent_session.bot_id;
  found.metadata := create_agent_session.metadata;
  found := private.locate_participant(found);
  insert into public.agent_sessions as made
    (session_id, workspace_id, participant_key, local_id, bot_id, metadata, conversation_id, person_id)
  values (
    array_to_string(array[
      coalesce(nullif(left(regexp_replace(found.bot_id, '[^A-Za-z0-9.-]', '-', 'g'), 64), ''), 'bot'),
      left(regexp_replace(found.participant_key, '[^A-Za-z0-9.-]', '-', 'g'), 200),
      floor(extract(epoch from clock_timestamp()) * 1000)::text,
      left(replace(gen_random_uuid()::text, '-', ''), 12)
    ], '_'),
    wanted, found.participant_key, found.local_id, found.bot_id, found.metadata, found.conversation_id, found.person_id
  )
  returning made.* into found;
  opened.outcome := 'created';
  opened.session := found;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.create_agent_session(text, text, text, text, text, jsonb) is
  'The active session of a customer with a business, or a new one (outcome created). local_id and bot_id choose among '
  'several where they are given. For service_role only.';

create function public.sync_agent_session(
  key_sha256 text,
  session_id text,
  intent text,
  step text,
  context jsonb,
  metadata jsonb default '{}',
  is_active boolean default true,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    sync_agent_session.key_sha256, sync_agent_session.session_id, null, null, sync_agent_session.version, 'active'
  );
  new_context jsonb;
  orders text[];
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    orders := private.link_orders(opened.session, sync_agent_session.context);
    new_context := private.change_agent_context(opened.session, sync_agent_session.context, true);
    if private.is_too_large(new_context, 262144) then
      raise exception 'context_too_large' using errcode = 'PT413';
    elsif private.is_too_large((opened.session).metadata || sync_agent_session.metadata, 65536) then
      raise exception 'metadata_too_large' using errcode = 'PT413';
    end if;
    update public.agent_sessions as session
    set current_intent = sync_agent_session.intent,
      current_step = sync_agent_session.step,
      previous_intent = case
        when (session.current_intent, session.current_step) = (sync_agent_session.intent, sync_agent_session.step)
        then session.previous_intent else session.current_intent end,
      previous_step = case
        when (session.current_intent, session.current_step) = (sync_agent_session.intent, sync_agent_session.step)
        then session.previous_step else session.current_step end,
      context = new_context,
      current_order_id = orders[cardinality(orders)],
      order_history = orders,
      metadata = session.metadata || sync_agent_session.metadata,
      is_active = session.is_active and sync_agent_session.is_active,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.sync_agent_session(text, text, text, text, jsonb, jsonb, boolean, bigint) is
  'Write intent, step, context (key by key) and metadata of a session at once; new orders in the context are linked, '
  'and is_active false ends the session. For service_role only.';

create function public.change_agent_intent(
  key_sha256 text,
  session_id text,
  sub_domain text,
  intent text,
  step text default null,
  local_id text default null,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    change_agent_intent.key_sha256, change_agent_intent.session_id, change_agent_intent.sub_domain,
    change_agent_intent.local_id, change_agent_intent.version, 'active'
  );
  changed public.agent_sessions;
  new_step text := coalesce(change_agent_intent.step, (opened.session).current_step);
begin
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set current_intent = change_agent_intent.intent,
      current_step = new_step,
      -- A repeat of the same change must keep the previous pair.
      previous_intent = case
        when (session.current_intent, session.current_step) = (change_agent_intent.intent, new_step)
        then session.previous_intent else session.current_intent end,
      previous_step = case
        when (session.current_intent, session.current_step) = (change_agent_intent.intent, new_step)
        then session.previous_step else session.current_step end,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.change_agent_intent(text, text, text, text, text, text, bigint) is
  'Write intent and step of a session; the current pair becomes the previous one. For service_role only.';

create function public.write_agent_context(
  key_sha256 text,
  session_id text,
  sub_domain text,
  context jsonb,
  merge boolean default true,
  local_id text default null,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    write_agent_context.key_sha256, write_agent_context.session_id, write_agent_context.sub_domain,
    write_agent_context.local_id, write_agent_context.version, 'active'
  );
  new_context jsonb;
  orders text[];
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    orders := private.link_orders(opened.session, write_agent_context.context);
    new_context := private.change_agent_context(opened.session, write_agent_context.context, write_agent_context.merge);
    if private.is_too_large(new_context, 262144) then
      raise exception 'context_too_large' using errcode = 'PT413';
    end if;
    update public.agent_sessions as session
    set context = new_context,
      current_order_id = orders[cardinality(orders)],
      order_history = orders,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.write_agent_context(text, text, text, jsonb, boolean, text, bigint) is
  'Write the context of a session, key by key or as a whole. Messages and orders stay; new orders in it are linked. '
  'For service_role only.';

create function public.add_agent_message(
  key_sha256 text,
  session_id text,
  role text,
  content text,
  sub_domain text default null,
  local_id text default null,
  message_id text default null,
  sent_at text default null,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  workspaces uuid[] := private.use_agent_key(add_agent_message.key_sha256);
  digest uuid := private.message_digest(add_agent_message.message_id);
  time text := coalesce(
    add_agent_message.sent_at, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  );
  opened private.opened_agent_session;
  known public.agent_sessions;
  located public.agent_sessions;
  changed public.agent_sessions;
begin
  for attempt in 1..3 loop
    begin
      select session.* into known
      from public.agent_sessions as session
      join public.workspaces as workspace on workspace.id = session.workspace_id
      where session.session_id = add_agent_message.session_id
        and session.workspace_id = any (workspaces)
        and (add_agent_message.sub_domain is null or workspace.slug = add_agent_message.sub_domain)
        and (add_agent_message.local_id is null or session.local_id = add_agent_message.local_id);
      if known.id is null then
        raise exception 'session_not_found' using errcode = 'PT404';
      end if;
      -- A clock that was set back must not put an answer before its question.
      if add_agent_message.sent_at is null
        and (known.messages #>> '{-1,timestamp}')::timestamptz between time::timestamptz and private.latest_sent_at()
      then
        time := known.messages #>> '{-1,timestamp}';
      end if;
      if digest is not null then
        insert into private.agent_message_keys (session_id, message_digest)
        select known.id, digest
        where not exists (
          select 1 from private.agent_message_keys as key
          where key.session_id = known.id and key.message_digest = digest
        )
        on conflict on constraint agent_message_keys_pkey do nothing;
        if not found then
          -- A repeat: the state is returned unchanged.
          select session.* into known from public.agent_sessions as session where session.id = known.id;
          opened.outcome := 'ok';
          opened.session := known;
          exit;
        end if;
      end if;
      if known.expires_at <= now() then
        raise exception 'session_not_active' using errcode = 'PT404';
      end if;

      -- The conversation first and the session last, the order in which all functions lock.
      located := null;
      if digest is not null then
        located := private.file_agent_message(
          known, add_agent_message.message_id, add_agent_message.role, add_agent_message.content, time
        );
      elsif known.conversation_id is null or known.person_id is null then
        located := private.locate_participant(known);
      end if;

      -- A last message after the end still belongs to the session.
      opened := private.open_agent_session(
        add_agent_message.key_sha256, add_agent_message.session_id, null, null, add_agent_message.version, 'ended'
      );
      if opened.outcome <> 'ok' then
        -- A conflict: rolls back what was stored, because for the caller nothing has changed.
        raise exception using errcode = 'ZZ002';
      end if;
      update public.agent_sessions as session
      set messages = private.keep_newest_messages(session.messages, jsonb_build_object(
          'role', add_agent_message.role, 'content', add_agent_message.content, 'timestamp', time
        )),
        last_user_message = case
          when add_agent_message.role = 'user' and not exists (
            select 1 from jsonb_array_elements(session.messages) as kept (value)
            where kept.value ->> 'role' = 'user' and (kept.value ->> 'timestamp')::timestamptz > time::timestamptz
          ) then add_agent_message.content
          else session.last_user_message
        end,
        -- Keys that the agent kept in the context until now.
        context = session.context - '{previousMessages,lastUserMessage}'::text[],
        conversation_id = coalesce(located.conversation_id, session.conversation_id),
        person_id = coalesce(located.person_id, session.person_id),
        version = session.version + 1,
        last_activity_at = greatest(session.last_activity_at, now()),
        expires_at = greatest(session.expires_at, now() + interval '24 hours')
      where session.id = (opened.session).id
      returning session.* into changed;
      opened.session := changed;
      exit;
    exception
      when sqlstate 'ZZ002' then
        exit;
      when deadlock_detected or serialization_failure then
        -- Another transaction, such as an import, locked the same rows in another order. It has them now.
        if attempt = 3 then
          raise;
        end if;
    end;
  end loop;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.add_agent_message(text, text, text, text, text, text, text, text, bigint) is
  'Add a message (role user or bot) to a session. With message_id it is stored once, also in the customer''s '
  'conversation. For service_role only.';

create function public.reset_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  keep_history boolean default false,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    reset_agent_session.key_sha256, reset_agent_session.session_id, reset_agent_session.sub_domain, null,
    reset_agent_session.version, 'active'
  );
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set current_intent = 'idle',
      current_step = 'initial',
      previous_intent = case
        when (session.current_intent, session.current_step) = ('idle', 'initial') then session.previous_intent
        else session.current_intent end,
      previous_step = case
        when (session.current_intent, session.current_step) = ('idle', 'initial') then session.previous_step
        else session.current_step end,
      context = '{}',
      messages = case when reset_agent_session.keep_history then session.messages else '[]' end,
      last_user_message = case when reset_agent_session.keep_history then session.last_user_message end,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      expires_at = greatest(session.expires_at, now() + interval '24 hours')
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.reset_agent_session(text, text, text, boolean, bigint) is
  'Reset a session: intent idle, step initial, no context. Orders stay; messages stay with keep_history. For '
  'service_role only.';

create function public.extend_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  hours numeric default 24,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    extend_agent_session.key_sha256, extend_agent_session.session_id, extend_agent_session.sub_domain, null,
    extend_agent_session.version, 'active'
  );
  changed public.agent_sessions;
begin
  if opened.outcome = 'ok' then
    update public.agent_sessions as session
    set version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now()),
      -- Never shorter than it was.
      expires_at = greatest(
        session.expires_at, now() + make_interval(secs => (extend_agent_session.hours * 3600)::double precision)
      )
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.extend_agent_session(text, text, text, numeric, bigint) is
  'Keep a session active for at least the given hours from now. For service_role only.';

create function public.link_agent_order(
  key_sha256 text,
  session_id text,
  sub_domain text,
  order_id text,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    link_agent_order.key_sha256, link_agent_order.session_id, link_agent_order.sub_domain, null, null, 'ended'
  );
  changed public.agent_sessions;
begin
  -- An order that is already linked changes nothing, for any version.
  if opened.outcome = 'ok' and link_agent_order.order_id <> all ((opened.session).order_history) then
    if (opened.session).version <> link_agent_order.version then
      opened.outcome := 'conflict';
    else
      update public.agent_sessions as session
      set current_order_id = link_agent_order.order_id,
        order_history = session.order_history || link_agent_order.order_id,
        context = session.context - '{currentOrderId,orderHistory}'::text[],
        version = session.version + 1,
        last_activity_at = greatest(session.last_activity_at, now()),
        expires_at = greatest(session.expires_at, now() + interval '24 hours')
      where session.id = (opened.session).id
      returning session.* into changed;
      opened.session := changed;
    end if;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.link_agent_order(text, text, text, text, bigint) is
  'Link an order to a session, once: it becomes the current one and the last of the history. For service_role only.';

create function public.end_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  version bigint default null
)
returns table (outcome text, data jsonb)
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  opened private.opened_agent_session := private.open_agent_session(
    end_agent_session.key_sha256, end_agent_session.session_id, end_agent_session.sub_domain, null,
    end_agent_session.version, 'expired'
  );
  changed public.agent_sessions;
begin
  if not (opened.session).is_active or (opened.session).expires_at <= now() then
    -- It has ended already, as the caller wants, for any version of the request.
    opened.outcome := 'ok';
  elsif opened.outcome = 'ok' then
    update public.agent_sessions as session
    set is_active = false,
      version = session.version + 1,
      last_activity_at = greatest(session.last_activity_at, now())
    where session.id = (opened.session).id
    returning session.* into changed;
    opened.session := changed;
  end if;
  return query select answer.outcome, answer.data from private.agent_answer(opened) as answer;
end;
$$;
comment on function public.end_agent_session(text, text, text, bigint) is
  'End a session. A repeat changes nothing. For service_role only.';

-- Health -----------------------------------------------------------------------------------------

create function public.is_database_up()
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return true;
end;
$$;
comment on function public.is_database_up() is
  'True: the database answers. For the health check of the functions; for service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  public.find_agent_session(text, text, text, text, text),
  public.find_agent_business(text, text),
  public.read_agent_session(text, text, text, text),
  public.list_agent_sessions(text, text, text, text, text, integer, integer),
  public.create_agent_session(text, text, text, text, text, jsonb),
  public.sync_agent_session(text, text, text, text, jsonb, jsonb, boolean, bigint),
  public.change_agent_intent(text, text, text, text, text, text, bigint),
  public.write_agent_context(text, text, text, jsonb, boolean, text, bigint),
  public.add_agent_message(text, text, text, text, text, text, text, text, bigint),
  public.reset_agent_session(text, text, text, boolean, bigint),
  public.extend_agent_session(text, text, text, numeric, bigint),
  public.link_agent_order(text, text, text, text, bigint),
  public.end_agent_session(text, text, text, bigint),
  public.is_database_up()
from public, anon, authenticated, service_role;
grant execute on function
  public.find_agent_session(text, text, text, text, text),
  public.find_agent_business(text, text),
  public.read_agent_session(text, text, text, text),
  public.list_agent_sessions(text, text, text, text, text, integer, integer),
  public.create_agent_session(text, text, text, text, text, jsonb),
  public.sync_agent_session(text, text, text, text, jsonb, jsonb, boolean, bigint),
  public.change_agent_intent(text, text, text, text, text, text, bigint),
  public.write_agent_context(text, text, text, jsonb, boolean, text, bigint),
  public.add_agent_message(text, text, text, text, text, text, text, text, bigint),
  public.reset_agent_session(text, text, text, boolean, bigint),
  public.extend_agent_session(text, text, text, numeric, bigint),
  public.link_agent_order(text, text, text, text, bigint),
  public.end_agent_session(text, text, text, bigint),
  public.is_database_up()
to service_role;
