-- Conversations, their archived pages, and the ledger of message ids.

create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  user_id uuid references auth.users (id) on delete set null,
  connection_id uuid,
  platform text not null,
  external_conversation_id text collate "C" not null,
  participant_identifier text not null,
  participant_name text,
  participant_digits text
    generated always as (private.phone_digits_of(platform, participant_identifier)) stored,
  person_id uuid,
  status text not null default 'open',
  closed_at timestamptz,
  assigned_to uuid references auth.users (id) on delete set null,
  messages jsonb not null default '[]',
  head_started_at timestamptz,
  message_count integer not null default 0,
  archived_message_count integer not null default 0,
  unread_count integer not null default 0,
  inbound_arrivals integer not null default 0,
  last_read_at timestamptz,
  last_message_at timestamptz,
  last_arrival_at timestamptz,
  activity_at timestamptz not null
    generated always as (greatest(last_arrival_at, coalesce(last_message_at, created_at))) stored,
  last_message_preview text,
  last_message_type text,
  last_message_direction text,
  last_message_id text,
  last_inbound_at timestamptz,
  search_text text generated always as (
    private.search_key(
      coalesce(participant_name, '') || ' ' || participant_identifier || ' ' || coalesce(last_message_preview, '')
    ) || ' ' || coalesce(private.phone_digits_of(platform, participant_identifier), '')
  ) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint conversations_thread_key unique (workspace_id, platform, external_conversation_id),
  constraint conversations_workspace_id_id_key unique (workspace_id, id),
  constraint conversations_workspace_id_person_id_fkey
    foreign key (workspace_id, person_id) references public.people (workspace_id, id)
    on delete set null (person_id),
  constraint conversations_platform_check check (platform = any (private.platforms())),
  constraint conversations_external_conversation_id_check check (length(external_conversation_id) between 1 and 512),
  constraint conversations_participant_identifier_check check (length(participant_identifier) between 1 and 512),
  constraint conversations_participant_name_check check (length(participant_name) between 1 and 300),
  constraint conversations_status_check check (status in ('open', 'closed')),
  constraint conversations_closed_at_check check ((status = 'closed') = (closed_at is not null)),
  constraint conversations_messages_check check (jsonb_typeof(messages) = 'array'),
  constraint conversations_counts_check
    check (
      message_count >= archived_message_count and archived_message_count >= 0
      and unread_count >= 0 and inbound_arrivals >= 0
    )
) with (
  -- Room for a new version of a row beside the old one: a status or an edit then writes no index.
  fillfactor = 80
);
comment on table public.conversations is
  'One row per conversation. messages holds its newest messages; older ones of a long conversation are in '
  'conversation_archives. Read whole conversations through conversation_messages() or conversation_export.';
comment on column public.conversations.id is 'Primary key.';
comment on column public.conversations.workspace_id is 'The workspace.';
comment on column public.conversations.user_id is
  'Who created the connection that brought the conversation. Null after their account was deleted: the conversation is '
  'the workspace''s.';
comment on column public.conversations.connection_id is
  'The connection that wrote last. Null some minutes after it was deleted: the conversation stays. No foreign key: '
  'deleting a connection must not take as long as it has conversations (forget_connections).';
comment on column public.conversations.platform is 'whatsapp, signal, telegram or wechat.';
comment on column public.conversations.external_conversation_id is 'Id of the conversation on its platform.';
comment on column public.conversations.participant_identifier is
  'Phone number, username or platform id of the participant, as last received.';
comment on column public.conversations.participant_name is 'Newest non-empty name the platform gave.';
comment on column public.conversations.participant_digits is
  'Digits of participant_identifier where it is a phone number.';
comment on column public.conversations.person_id is 'The contact. Null while no person, or more than one, matches.';
comment on column public.conversations.status is
  'open or closed. A new inbound message reopens a closed conversation: see private.is_reopened.';
comment on column public.conversations.closed_at is 'When it was closed. Null while it is open.';
comment on column public.conversations.assigned_to is 'The member it is assigned to.';
comment on column public.conversations.messages is
  'The newest messages, oldest first: an array of Message, defined in supabase/functions/_shared/contracts/message.ts.';
comment on column public.conversations.head_started_at is
  'sent_at of the first element of messages. Older messages belong to an archive page, once there is one.';
comment on column public.conversations.message_count is 'Number of messages in the whole conversation.';
comment on column public.conversations.archived_message_count is 'How many of them are in conversation_archives.';
comment on column public.conversations.unread_count is 'Unread messages: see 39_unread.sql.';
comment on column public.conversations.inbound_arrivals is
  'How many live messages of the customer have arrived. A member reads up to one of them, in the order of arrival.';
comment on column public.conversations.last_read_at is 'When a member last marked it as read.';
comment on column public.conversations.last_message_at is 'sent_at of the newest message; never in the future.';
comment on column public.conversations.last_arrival_at is
  'When a live message last arrived, by the clock of the database. Null while there is only imported history.';
comment on column public.conversations.activity_at is
  'Order of the inbox: last_arrival_at, or last_message_at where that is later, or created_at while there is no message.';
comment on column public.conversations.last_message_preview is
  'First 200 characters of the message that the list shows, or [type] where it has no text: the last that arrived, but '
  'for a late one of the business and for history.';
comment on column public.conversations.last_message_type is 'Type of the message that the list shows.';
comment on column public.conversations.last_message_direction is 'Direction of the message that the list shows.';
comment on column public.conversations.last_message_id is
  'Id of the message that the list shows, so that an edit or a deletion changes the preview too.';
comment on column public.conversations.last_inbound_at is
  'sent_at of the newest inbound message, never in the future: WhatsApp allows free-form replies for 24 hours after it.';
comment on column public.conversations.search_text is
  'Name, number and preview in the form of private.search_key, for search_conversations().';
comment on column public.conversations.created_at is 'When the row was created.';
comment on column public.conversations.updated_at is 'When the row last changed.';

create index conversations_workspace_id_activity_at_id_idx
  on public.conversations (workspace_id, activity_at desc, id desc);
comment on index public.conversations_workspace_id_activity_at_id_idx is
  'Order of the inbox list, and its keyset paging.';

create index conversations_search_text_idx
  on public.conversations using gin (search_text extensions.gin_trgm_ops);
comment on index public.conversations_search_text_idx is 'Search in the inbox list.';

create index conversations_workspace_id_person_id_idx on public.conversations (workspace_id, person_id);

create index conversations_workspace_id_connection_id_idx on public.conversations (workspace_id, connection_id);

create index conversations_user_id_idx on public.conversations (user_id);
comment on index public.conversations_user_id_idx is 'Finds the conversations of an account that is deleted.';

create index conversations_assigned_to_idx on public.conversations (assigned_to) where assigned_to is not null;

create index conversations_waiting_participant_digits_idx
  on public.conversations (workspace_id, participant_digits) where person_id is null;
comment on index public.conversations_waiting_participant_digits_idx is
  'Conversations that wait for a person with this number.';

create index conversations_waiting_participant_last10_idx
  on public.conversations (workspace_id, (right(participant_digits, 10)))
  where person_id is null and length(participant_digits) >= 10;
comment on index public.conversations_waiting_participant_last10_idx is 'The same by the last ten digits.';

create index conversations_waiting_identity_key_idx
  on public.conversations (workspace_id, platform, (private.identity_key(platform, participant_identifier)))
  where person_id is null;
comment on index public.conversations_waiting_identity_key_idx is 'The same by identity.';

create index conversations_open_idx on public.conversations (workspace_id, assigned_to) where status = 'open';
comment on index public.conversations_open_idx is 'Counts open conversations, and those without an assignee.';

create index conversations_unread_idx on public.conversations (workspace_id) where unread_count > 0;
comment on index public.conversations_unread_idx is 'Counts conversations with unread messages.';

-- Every append compresses the newest messages again, which lz4 does faster. Archives are written once and stay, so
-- they keep the method that makes them smaller.
do $$
begin
  alter table public.conversations alter column messages set compression lz4;
exception when feature_not_supported then
  -- This server was built without it, and keeps its own method.
  null;
end;
$$;

grant select on public.conversations to authenticated;
grant all on public.conversations to service_role;
alter table public.conversations enable row level security;

create policy "Members can read the conversations of their workspaces" on public.conversations
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

create table public.conversation_archives (
  conversation_id uuid not null references public.conversations (id) on delete cascade,
  part integer not null default 0,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  messages jsonb not null,
  message_count integer not null,
  first_sent_at timestamptz not null,
  last_sent_at timestamptz not null,
  constraint conversation_archives_pkey primary key (conversation_id, first_sent_at, part),
  constraint conversation_archives_messages_check check (jsonb_typeof(messages) = 'array'),
  constraint conversation_archives_message_count_check check (message_count > 0),
  constraint conversation_archives_part_check check (part >= 0),
  constraint conversation_archives_sent_at_check check (first_sent_at <= last_sent_at)
);
comment on table public.conversation_archives is
  'Older pages of a long conversation, in the order of (first_sent_at, part). Pages do not overlap in time: a late '
  'message is added to the page that covers its sent_at, and messages of one instant lie on one page unless they are '
  'too many for it.';
comment on column public.conversation_archives.conversation_id is 'The conversation.';
comment on column public.conversation_archives.part is
  'Order of the pages of one instant that has more messages than a page holds; 0 for every other page.';
comment on column public.conversation_archives.workspace_id is 'The workspace, the same as the conversation''s.';
comment on column public.conversation_archives.messages is
  'The messages of the page, oldest first: an array of Message, defined in '
  'supabase/functions/_shared/contracts/message.ts.';
comment on column public.conversation_archives.message_count is 'Length of messages.';
comment on column public.conversation_archives.first_sent_at is 'sent_at of the first message.';
comment on column public.conversation_archives.last_sent_at is 'sent_at of the last message.';

create index conversation_archives_workspace_id_idx on public.conversation_archives (workspace_id);

grant select on public.conversation_archives to authenticated;
grant all on public.conversation_archives to service_role;
alter table public.conversation_archives enable row level security;

create policy "Members can read the archives of their workspaces" on public.conversation_archives
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

create table private.message_keys (
  conversation_id uuid not null,
  message_digest uuid not null,
  sent_at timestamptz not null,
  constraint message_keys_pkey primary key (conversation_id, message_digest)
);
comment on table private.message_keys is
  'The dedupe rule: a message is new if and only if it has no row here. Written in the same transaction as the '
  'message.';
comment on column private.message_keys.conversation_id is 'The conversation.';
comment on column private.message_keys.message_digest is
  'private.ledger_digest of the message: keeps the index a third as large as the ids would '
  '(docs/adr/0002).';
comment on column private.message_keys.sent_at is 'sent_at of the message: tells which page it lies on.';

create index message_keys_message_digest_idx on private.message_keys (message_digest);
comment on index private.message_keys_message_digest_idx is
  'Finds the message that a change names without its conversation.';

grant all on private.message_keys to service_role;
alter table private.message_keys enable row level security;

-- Stands in for foreign keys, whose checks cost as much as writing the rows, for each message, while
-- ingest_conversations holds the lock of the conversation anyway.
create function private.delete_conversation_records()
returns trigger
language plpgsql
-- Definer because these tables are granted to service_role alone, and owners delete workspaces too.
security definer
set search_path = ''
as $$
begin
  delete from private.message_keys as key
  using deleted
  where key.conversation_id = deleted.id;
  delete from private.message_index_queue as queued
  using deleted
  where queued.workspace_id = deleted.workspace_id and queued.conversation_id = deleted.id;
  delete from private.message_blocks as block
  using deleted
  where block.conversation_id = deleted.id;
  return null;
end;
$$;
comment on function private.delete_conversation_records() is
  'Trigger: deletes the ledger of a conversation, and its part of the search index, with the conversation.';

create trigger conversations_delete_conversation_records
  after delete on public.conversations
  referencing old table as deleted
  for each statement execute function private.delete_conversation_records();

create table private.waiting_updates (
  id bigint generated always as identity primary key,
  workspace_id uuid not null,
  conversation_id uuid references public.conversations (id) on delete cascade,
  message_id text not null,
  message_digest uuid not null,
  change jsonb not null,
  created_at timestamptz not null default now(),
  constraint waiting_updates_change_check check (jsonb_typeof(change) = 'object')
);
comment on table private.waiting_updates is
  'Changes that arrived before their message: statuses, reactions, edits, deletions. Applied and removed when it '
  'arrives.';
comment on column private.waiting_updates.id is 'Primary key.';
comment on column private.waiting_updates.workspace_id is
  'The workspace of the change, so that those of one can be counted.';
comment on column private.waiting_updates.conversation_id is
  'The conversation. Null where the change names its message alone.';
comment on column private.waiting_updates.message_id is 'Id of the message it waits for.';
comment on column private.waiting_updates.message_digest is 'private.ledger_digest of the message it waits for.';
comment on column private.waiting_updates.change is
  'MessageChange, defined in supabase/functions/_shared/contracts/message.ts.';
comment on column private.waiting_updates.created_at is 'When it arrived.';

create index waiting_updates_conversation_id_message_id_idx on private.waiting_updates (conversation_id, message_id);

create index waiting_updates_workspace_id_id_idx on private.waiting_updates (workspace_id, id);
comment on index private.waiting_updates_workspace_id_id_idx is
  'Counts the changes of a workspace, and finds the oldest of them.';

create index waiting_updates_unplaced_workspace_id_idx
  on private.waiting_updates (workspace_id) where conversation_id is null;
comment on index private.waiting_updates_unplaced_workspace_id_idx is
  'Tells whether a workspace has changes without a conversation: nearly always none.';

create index waiting_updates_unplaced_message_digest_idx
  on private.waiting_updates (message_digest) where conversation_id is null;
comment on index private.waiting_updates_unplaced_message_digest_idx is 'Finds them by their message.';

create index waiting_updates_unplaced_created_at_idx
  on private.waiting_updates (created_at) where conversation_id is null;
comment on index private.waiting_updates_unplaced_created_at_idx is 'Finds the newest for settle_waiting_updates().';

grant all on private.waiting_updates to service_role;
alter table private.waiting_updates enable row level security;

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.delete_conversation_records()
from public, anon, authenticated, service_role;
