-- The schema of Realtime, as hosted Supabase creates it before the first migration: the table of broadcasts, whose
-- policies say who may listen and send, and the functions that SQL sends with. Runs once per database, as a superuser.
-- Source: the tenant migrations of github.com/supabase/realtime. Left out: what Postgres Changes and Presence need.

do $$
begin
  if not exists (select from pg_roles where rolname = 'supabase_realtime_admin') then
    create role supabase_realtime_admin nologin noinherit noreplication;
  end if;
end
$$;
-- Only the owner of a table creates policies on it, and migrations create those of realtime.messages.
grant supabase_realtime_admin to postgres;

create schema realtime;
comment on schema realtime is 'Broadcasts, and who may listen to them. Belongs to the Realtime service.';
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant all on schema realtime to supabase_realtime_admin with grant option;

create table realtime.messages (
  id uuid not null default gen_random_uuid(),
  topic text not null,
  extension text not null,
  payload jsonb,
  binary_payload bytea,
  event text,
  private boolean default false,
  updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(),
  primary key (id, inserted_at),
  constraint messages_payload_exclusive check (payload is null or binary_payload is null)
) partition by range (inserted_at);
comment on table realtime.messages is
  'Broadcasts of the last three days. A policy for select lets a role join a private channel, one for insert lets it send.';
alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;

create function realtime.topic() returns text
language sql stable
as $$
  select nullif(current_setting('realtime.topic', true), '')::text
$$;
comment on function realtime.topic() is 'The topic of the channel that is being joined or sent to, for policies.';
alter function realtime.topic() owner to supabase_realtime_admin;

create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql
as $$
declare
  generated_id uuid;
  final_payload jsonb;
begin
  begin
    generated_id := gen_random_uuid();
    if payload ? 'id' then
      final_payload := payload;
    else
      final_payload := jsonb_set(payload, '{id}', to_jsonb(generated_id));
    end if;
    execute format('set local realtime.topic to %L', topic);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (generated_id, final_payload, event, topic, private, 'broadcast');
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end;
$$;
comment on function realtime.send(jsonb, text, text, boolean) is
  'Broadcasts a payload to the channel of a topic. A failure is a warning, so that it never undoes the caller.';
alter function realtime.send(jsonb, text, text, boolean) owner to supabase_realtime_admin;

create function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql
as $$
begin
  begin
    execute format('set local realtime.topic to %L', topic);
    insert into realtime.messages (binary_payload, event, topic, private, extension)
    values (payload, event, topic, private, 'broadcast');
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end;
$$;
comment on function realtime.send_binary(bytea, text, text, boolean) is
  'Broadcasts bytes to the channel of a topic. A failure is a warning, so that it never undoes the caller.';
alter function realtime.send_binary(bytea, text, text, boolean) owner to supabase_realtime_admin;

create function realtime.broadcast_changes(
  topic_name text,
  event_name text,
  operation text,
  table_name text,
  table_schema text,
  new record,
  old record,
  level text default 'ROW'
) returns void
language plpgsql
as $$
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  if operation not in ('INSERT', 'UPDATE', 'DELETE') then
    raise exception 'Unexpected operation type: %', operation;
  end if;
  perform realtime.send(
    jsonb_build_object(
      'old_record', old, 'record', new, 'operation', operation, 'table', table_name, 'schema', table_schema
    ),
    event_name,
    topic_name
  );
exception when others then
  raise exception 'Failed to process the row: %', sqlerrm;
end;
$$;
comment on function realtime.broadcast_changes(text, text, text, text, text, record, record, text) is
  'For row triggers: broadcasts the old and the new row.';
alter function realtime.broadcast_changes(text, text, text, text, text, record, record, text)
  owner to supabase_realtime_admin;

-- Hosted, Realtime reads new rows from the replication stream. Here a notification names them: it arrives after the
-- commit, in the order of commits. It carries ids only, because a notification has 8,000 bytes at most.
create function realtime.announce_messages() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  ids text;
begin
  for ids in
    select string_agg(numbered.id::text, ',' order by numbered.number)
    from (
      select added.id, row_number() over (order by added.inserted_at) - 1 as number
      from added
      where added.extension = 'broadcast' and added.event is not null
    ) as numbered
    group by numbered.number / 200
    order by numbered.number / 200
  loop
    perform pg_notify('realtime_messages', ids);
  end loop;
  return null;
end;
$$;
comment on function realtime.announce_messages() is
  'Trigger of the local stack: names new broadcasts to its Realtime service.';
alter function realtime.announce_messages() owner to supabase_realtime_admin;

create trigger messages_announce
  after insert on realtime.messages
  referencing new table as added
  for each statement execute function realtime.announce_messages();
