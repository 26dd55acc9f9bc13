-- The state an AI agent keeps about each participant.

create table public.agent_sessions (
  id uuid primary key default gen_random_uuid(),
  session_id text collate "C" not null,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  participant_key text collate "C" not null,
  bot_id text,
  local_id text,
  conversation_id uuid references public.conversations (id) on delete set null,
  person_id uuid,
  current_intent text not null default 'idle',
  current_step text not null default 'initial',
  previous_intent text,
  previous_step text,
  context jsonb not null default '{}',
  metadata jsonb not null default '{}',
  messages jsonb not null default '[]',
  last_user_message text,
  current_order_id text,
  order_history text[] not null default '{}',
  is_active boolean not null default true,
  version bigint not null default 1,
  last_activity_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '24 hours',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint agent_sessions_session_id_key unique (session_id),
  constraint agent_sessions_workspace_id_person_id_fkey
    foreign key (workspace_id, person_id) references public.people (workspace_id, id)
    on delete set null (person_id),
  constraint agent_sessions_session_id_check check (length(session_id) between 1 and 400),
  constraint agent_sessions_participant_key_check check (length(participant_key) between 1 and 200),
  constraint agent_sessions_context_check check (jsonb_typeof(context) = 'object'),
  constraint agent_sessions_metadata_check check (jsonb_typeof(metadata) = 'object'),
  constraint agent_sessions_messages_check check (jsonb_typeof(messages) = 'array')
)
-- Rows are updated often, and no index covers the columns that change: new versions fit beside the old ones.
with (fillfactor = 70);
comment on table public.agent_sessions is
  'State of an AI agent''s conversation with a customer. Expires 24 hours after the last write.';
comment on column public.agent_sessions.id is 'Primary key.';
comment on column public.agent_sessions.session_id is
  'The id agents use: bot, customer, unix milliseconds and random characters.';
comment on column public.agent_sessions.workspace_id is 'The workspace.';
comment on column public.agent_sessions.participant_key is
  'Digits of the customer''s phone, or another identifier unchanged (a BSUID, an id of another platform).';
comment on column public.agent_sessions.bot_id is 'The bot, where the agent names one.';
comment on column public.agent_sessions.local_id is 'The branch of the business, where the agent names one.';
comment on column public.agent_sessions.conversation_id is 'The customer''s conversation, where there is one.';
comment on column public.agent_sessions.person_id is 'The contact, where there is one.';
comment on column public.agent_sessions.current_intent is 'What the customer wants, in the agent''s words.';
comment on column public.agent_sessions.current_step is 'The step within the intent, in the agent''s words.';
comment on column public.agent_sessions.previous_intent is 'The intent before the last change of intent or step.';
comment on column public.agent_sessions.previous_step is 'The step before it.';
comment on column public.agent_sessions.context is
  'What the agent keeps: ConversationContext in supabase/functions/_shared/contracts/conversation_sync/answers.ts, '
  'without messages and orders, which have columns of their own, so that an old copy cannot overwrite them.';
comment on column public.agent_sessions.metadata is
  'Metadata of the agent: an open object, ConversationMetadata in '
  'supabase/functions/_shared/contracts/conversation_sync/answers.ts.';
comment on column public.agent_sessions.messages is
  'The newest 50 messages, oldest first: an array of PreviousMessage, defined in '
  'supabase/functions/_shared/contracts/conversation_sync/answers.ts.';
comment on column public.agent_sessions.last_user_message is 'The text of the newest message of the customer.';
comment on column public.agent_sessions.current_order_id is 'The order that was linked last: the last of order_history.';
comment on column public.agent_sessions.order_history is 'Every linked order, oldest first.';
comment on column public.agent_sessions.is_active is
  'False once it was ended. An expired session may still have true: check expires_at as well.';
comment on column public.agent_sessions.version is 'Version of the state: every write increments it.';
comment on column public.agent_sessions.last_activity_at is 'When it was last written.';
comment on column public.agent_sessions.expires_at is 'When it expires unless it is written again.';
comment on column public.agent_sessions.created_at is 'When the row was created.';
comment on column public.agent_sessions.updated_at is 'When the row last changed.';

create unique index agent_sessions_active_participant_key_key
  on public.agent_sessions (participant_key, workspace_id, local_id, bot_id) nulls not distinct
  where is_active;
comment on index public.agent_sessions_active_participant_key_key is
  'One session of a customer with a business, branch and bot; and the look-up by customer.';

create index agent_sessions_workspace_id_person_id_idx on public.agent_sessions (workspace_id, person_id);

create index agent_sessions_conversation_id_idx on public.agent_sessions (conversation_id);

create index agent_sessions_active_workspace_id_created_at_id_idx
  on public.agent_sessions (workspace_id, created_at desc, id desc) where is_active;
comment on index public.agent_sessions_active_workspace_id_created_at_id_idx is
  'The list of the active sessions of a business.';

create trigger agent_sessions_touch_updated_at
  before update on public.agent_sessions
  for each row execute function private.touch_updated_at();

grant select on public.agent_sessions to authenticated;
grant all on public.agent_sessions to service_role;
alter table public.agent_sessions enable row level security;

create policy "Members can read the agent sessions of their workspaces" on public.agent_sessions
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

create table private.agent_message_keys (
  session_id uuid not null references public.agent_sessions (id) on delete cascade,
  message_digest uuid not null,
  constraint agent_message_keys_pkey primary key (session_id, message_digest)
);
comment on table private.agent_message_keys is
  'Messages a session already has, also those that are no longer among its newest: a repeat changes nothing, even a '
  'late one.';
comment on column private.agent_message_keys.session_id is 'The session (agent_sessions.id).';
comment on column private.agent_message_keys.message_digest is 'private.message_digest of the message id.';

grant all on private.agent_message_keys to service_role;
alter table private.agent_message_keys enable row level security;

-- Opening a session ------------------------------------------------------------------------------

create function private.agent_session_state(session public.agent_sessions)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'session_id', session.session_id,
    'user_id', session.participant_key,
    'bot_id', session.bot_id,
    'sub_domain', (select workspace.slug from public.workspaces as workspace where workspace.id = session.workspace_id),
    'local_id', session.local_id,
    'current_intent', session.current_intent,
    'current_step', session.current_step,
    'previous_intent', session.previous_intent,
    'previous_step', session.previous_step,
    'context', session.context
      || case when session.messages = '[]' then '{}'
        else jsonb_strip_nulls(jsonb_build_object(
          'previousMessages', session.messages, 'lastUserMessage', session.last_user_message
        )) end
      || case when session.order_history = '{}' then '{}'
        else jsonb_build_object(
          'currentOrderId', session.current_order_id, 'orderHistory', session.order_history
        ) end,
    'metadata', session.metadata,
    'is_active', session.is_active and session.expires_at > now(),
    'last_activity', session.last_activity_at,
    'created_at', session.created_at,
    'updated_at', session.updated_at,
    'expires_at', session.expires_at,
    'current_order_id', session.current_order_id,
    'order_history', session.order_history,
    'version', session.version
  );
end;
$$;
comment on function private.agent_session_state(public.agent_sessions) is
  'A session as the API returns it: AgentSessionRow in supabase/functions/_shared/database/agent_rows.ts.';

create type private.opened_agent_session as (outcome text, session public.agent_sessions);
comment on type private.opened_agent_session is
  'A session and the outcome of opening it for a write: ok, or conflict where it has another version; created for a '
  'new one.';

create function private.open_agent_session(
  key_sha256 text,
  session_id text,
  sub_domain text,
  local_id text,
  version bigint,
  accepts text
)
returns private.opened_agent_session
language plpgsql
volatile
set search_path = ''
as $$
declare
  workspaces uuid[] := private.use_agent_key(open_agent_session.key_sha256);
  opened private.opened_agent_session;
  known public.agent_sessions;
begin
  select session.* into known
  from public.agent_sessions as session
  join public.workspaces as workspace on workspace.id = session.workspace_id
  where session.session_id = open_agent_session.session_id
    and session.workspace_id = any (workspaces)
    and (open_agent_session.sub_domain is null or workspace.slug = open_agent_session.sub_domain)
    and (open_agent_session.local_id is null or session.local_id = open_agent_session.local_id)
  for no key update of session;
  if known.id is null then
    raise exception 'session_not_found' using errcode = 'PT404';
  end if;
  if (known.expires_at <= now() and open_agent_session.accepts <> 'expired')
    or (not known.is_active and open_agent_session.accepts = 'active')
  then
    raise exception 'session_not_active' using errcode = 'PT404';
  end if;
  opened.session := known;
  opened.outcome := case when known.version <> open_agent_session.version then 'conflict' else 'ok' end;
  return opened;
end;
$$;
comment on function private.open_agent_session(text, text, text, text, bigint, text) is
  'Find a session of one of the key''s workspaces and lock it until the transaction ends. sub_domain, local_id and '
  'version are checked where they are given. accepts is active, ended (also an ended session) or expired (any '
  'session). Refuses with session_not_found or session_not_active.';

create function private.agent_answer(opened private.opened_agent_session)
returns table (outcome text, data jsonb)
language plpgsql
stable
set search_path = ''
as $$
begin
  return query select opened.outcome, private.agent_session_state(opened.session);
end;
$$;
comment on function private.agent_answer(private.opened_agent_session) is
  'The row that a caller gets: the outcome, and the state of the session as it is now.';

-- Context ----------------------------------------------------------------------------------------

create function private.change_agent_context(session public.agent_sessions, change jsonb, merge boolean)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
declare
  own jsonb := change_agent_context.change;
begin
  -- Agents send back the whole state they received. Keys that have columns of their own are dropped, so that an old
  -- copy never replaces the newer one.
  if session.messages <> '[]' then
    own := own - '{previousMessages,lastUserMessage}'::text[];
  end if;
  return case when change_agent_context.merge then session.context || own else own end
    -- private.link_orders() has taken them.
    - '{currentOrderId,orderHistory}'::text[];
end;
$$;
comment on function private.change_agent_context(public.agent_sessions, jsonb, boolean) is
  'The context of a session after a change, key by key or as a whole, without orders.';

create function private.link_orders(session public.agent_sessions, change jsonb)
returns text[]
language plpgsql
immutable
set search_path = ''
as $$
declare
  -- With those that the session kept in its context, where orders were kept before they were linked.
  written jsonb := session.context || link_orders.change;
  orders text[] := session.order_history;
  order_id text;
begin
  for order_id in
    select named.value
    from jsonb_array_elements_text(
      case when jsonb_typeof(written -> 'orderHistory') = 'array' then written -> 'orderHistory' else '[]' end
    ) as named (value)
    union all
    select written ->> 'currentOrderId'
  loop
    -- A known order is part of a copy that the agent received earlier: it changes nothing.
    if order_id is not null and order_id <> all (orders) then
      orders := orders || order_id;
    end if;
  end loop;
  return orders;
end;
$$;
comment on function private.link_orders(public.agent_sessions, jsonb) is
  'The orders of a session, oldest first, after a context with currentOrderId and orderHistory was written: new ids are '
  'linked in their order, known ones change nothing. The last order is the current one.';

create function private.is_too_large(value jsonb, max_bytes integer)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  return octet_length(is_too_large.value::text) > is_too_large.max_bytes;
end;
$$;
comment on function private.is_too_large(jsonb, integer) is 'Whether JSON, as text, has more than max_bytes.';

-- Upkeep -----------------------------------------------------------------------------------------

create function public.prune_agent_sessions(keep_days integer default 30)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  pruned bigint;
begin
  if prune_agent_sessions.keep_days is null or prune_agent_sessions.keep_days < 1 then
    raise exception 'keep_days must be at least 1' using errcode = '22023';
  end if;
  perform pg_catalog.pg_advisory_xact_lock(private.pruning_lock());
  delete from public.agent_sessions as session
  where session.expires_at < now() - make_interval(days => prune_agent_sessions.keep_days);
  get diagnostics pruned = row_count;
  return pruned;
end;
$$;
comment on function public.prune_agent_sessions(integer) is
  'Delete sessions that expired more than keep_days ago, sooner than prune_records() does. Conversations and people '
  'stay. Returns the number of deleted sessions. For service_role only.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.agent_session_state(public.agent_sessions),
  private.open_agent_session(text, text, text, text, bigint, text),
  private.agent_answer(private.opened_agent_session),
  private.change_agent_context(public.agent_sessions, jsonb, boolean),
  private.link_orders(public.agent_sessions, jsonb),
  private.is_too_large(jsonb, integer),
  public.prune_agent_sessions(integer)
from public, anon, authenticated, service_role;
grant execute on function
  private.agent_session_state(public.agent_sessions),
  private.open_agent_session(text, text, text, text, bigint, text),
  private.agent_answer(private.opened_agent_session),
  private.change_agent_context(public.agent_sessions, jsonb, boolean),
  private.link_orders(public.agent_sessions, jsonb),
  private.is_too_large(jsonb, integer),
  public.prune_agent_sessions(integer)
to service_role;
