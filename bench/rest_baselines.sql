-- What requests are compared with, in the schema that the REST API serves. bench/cases/cost.ts creates this for its time
-- and drops it. Row level security without a policy keeps all but service_role out.

-- A call that stores each message as a row, and does nothing else.
create table public.bench_messages (
  external_conversation_id text not null,
  id text not null,
  direction text not null,
  type text not null,
  content text not null,
  media_url text,
  sent_at timestamptz not null,
  primary key (external_conversation_id, id)
);
alter table public.bench_messages enable row level security;

create function public.bench_insert_messages(external_conversation_id text, messages jsonb)
returns bigint
language sql
set search_path = ''
as $$
  with added as (
    insert into public.bench_messages
    select bench_insert_messages.external_conversation_id, message.id, message.direction, message.type, message.content,
      message.media_url, message.sent_at
    from jsonb_to_recordset(bench_insert_messages.messages)
      as message (id text, direction text, type text, content text, media_url text, sent_at timestamptz)
    returning id
  )
  select count(*) from added;
$$;

-- A webhook event as bench/webhook_peer.ts keeps it.
create table public.bench_webhook_events (
  id bigint generated always as identity primary key,
  event text,
  body jsonb not null,
  received_at timestamptz not null default now()
);
alter table public.bench_webhook_events enable row level security;

-- A conversation as bench/array_peer.ts keeps it: all its messages in one array.
create table public.bench_array_conversations (
  external_conversation_id text primary key,
  participant_identifier text not null,
  participant_name text,
  messages jsonb not null,
  message_count integer not null,
  last_message_at timestamptz,
  updated_at timestamptz not null default now()
);
alter table public.bench_array_conversations enable row level security;
