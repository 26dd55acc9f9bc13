-- Demo data for a machine of one's own: one user, one workspace, three connections, a few people.
-- Every key here is public. Never run this against a database that others can reach.
--
-- local/demo.ts names the same rows.

-- demo@example.com, password demo-password. The trigger on auth.users makes the workspace "demo" of
-- workspace_name. Auth wants empty strings, not nulls, in the token columns.
insert into auth.users (
  id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
  confirmation_token, recovery_token, email_change, email_change_token_new, email_change_token_current,
  phone_change, phone_change_token, reauthentication_token, created_at, updated_at
) values (
  '00000000-0000-4000-8000-000000000001', 'authenticated', 'authenticated', 'demo@example.com',
  '$2b$10$dUZxV5lXibwBiE8/rS1cyOVTZvr.PV/Ofc0st6QuHHr7zsRyvn5J.', now(),
  '{"provider": "email", "providers": ["email"]}', '{"workspace_name": "Demo"}',
  '', '', '', '', '', '', '', '', now(), now()
);

insert into auth.identities (id, provider, provider_id, user_id, identity_data, last_sign_in_at, created_at, updated_at)
values (
  '00000000-0000-4000-8000-000000000002', 'email', '00000000-0000-4000-8000-000000000001',
  '00000000-0000-4000-8000-000000000001',
  '{"sub": "00000000-0000-4000-8000-000000000001", "email": "demo@example.com", "email_verified": true}',
  now(), now(), now()
);

-- Supabase's own Auth looks users up by instance_id as well; the Auth of `deno task start` has no such column.
do $$
begin
  if exists (
    select 1 from information_schema.columns
    where table_schema = 'auth' and table_name = 'users' and column_name = 'instance_id'
  ) then
    execute $sql$
      update auth.users set instance_id = '00000000-0000-0000-0000-000000000000'
      where id = '00000000-0000-4000-8000-000000000001'
    $sql$;
  end if;
end;
$$;

update public.workspaces
set time_zone = 'Asia/Jakarta', default_country = 'ID'
where user_id = '00000000-0000-4000-8000-000000000001';

-- The number counts as proven: the fake Kapso of this machine has it.
insert into public.connections (id, connection_id, workspace_id, user_id, platform, name, phone_number_id)
select seeded.id::uuid, seeded.connection_id, workspace.id, workspace.user_id, seeded.platform, seeded.name,
  seeded.phone_number_id
from public.workspaces as workspace,
  (values
    ('00000000-0000-4000-8000-000000000011', 'wa_business_123', 'whatsapp', 'WhatsApp', '100000000000123'),
    ('00000000-0000-4000-8000-000000000012', 'tg_bot_456', 'telegram', 'Telegram', null),
    ('00000000-0000-4000-8000-000000000013', 'signal_123', 'signal', 'Signal', null)
  ) as seeded (id, connection_id, platform, name, phone_number_id)
where workspace.user_id = '00000000-0000-4000-8000-000000000001';

insert into private.connection_secrets (connection_id, secret_sha256)
values
  ('00000000-0000-4000-8000-000000000011', sha256('msg_DemoKeyForThisMachineOnly0000001')),
  ('00000000-0000-4000-8000-000000000012', sha256('msg_DemoTelegramKeyForThisMachine001')),
  ('00000000-0000-4000-8000-000000000013', sha256('msg_DemoSignalKeyForThisMachine00001'));

insert into public.agent_keys (id, name, created_by)
values ('00000000-0000-4000-8000-000000000031', 'Demo agent', '00000000-0000-4000-8000-000000000001');

insert into private.agent_key_secrets (key_id, key_sha256)
values ('00000000-0000-4000-8000-000000000031', sha256('agt_DemoKeyForThisMachineOnly0000001'));

insert into public.agent_key_workspaces (key_id, workspace_id)
select '00000000-0000-4000-8000-000000000031', workspace.id
from public.workspaces as workspace
where workspace.user_id = '00000000-0000-4000-8000-000000000001';

insert into public.people (id, workspace_id, name, email, phone)
select seeded.id::uuid, workspace.id, seeded.name, seeded.email, seeded.phone
from public.workspaces as workspace,
  (values
    -- Matches +1234567890 as it is.
    ('00000000-0000-4000-8000-000000000021', 'John Doe', 'john@example.com', '+1 (234) 567-890'),
    -- Matches +1987654321 as it is, on any platform that gives phone numbers.
    ('00000000-0000-4000-8000-000000000022', 'Alice Smith', 'alice@example.com', '+1 987 654 321'),
    -- Written as inside the United Kingdom: matches +447700900123 by the last ten digits.
    ('00000000-0000-4000-8000-000000000023', 'Emma Clark', null, '07700 900123'),
    -- Known by a username alone.
    ('00000000-0000-4000-8000-000000000024', 'Jane Doe', null, null)
  ) as seeded (id, name, email, phone)
where workspace.user_id = '00000000-0000-4000-8000-000000000001';

insert into public.person_identities (workspace_id, person_id, platform, identifier)
select workspace.id, '00000000-0000-4000-8000-000000000024', 'telegram', '@janedoe'
from public.workspaces as workspace
where workspace.user_id = '00000000-0000-4000-8000-000000000001';

insert into public.tags (workspace_id, name, colour)
select workspace.id, seeded.name, seeded.colour
from public.workspaces as workspace,
  (values ('VIP', 'purple'), ('New order', 'teal'), ('Waiting for payment', 'orange')) as seeded (name, colour)
where workspace.user_id = '00000000-0000-4000-8000-000000000001';

insert into public.canned_replies (workspace_id, shortcut, title, content)
select workspace.id, seeded.shortcut, seeded.title, seeded.content
from public.workspaces as workspace,
  (values
    ('hello', 'Greeting', 'Hello {{name}}, thank you for writing! How can we help?'),
    ('hours', 'Opening hours', 'We are open from Monday to Saturday, 9 am to 5 pm.'),
    ('pay', 'How to pay', E'You can pay by bank transfer or by card.\nAs soon as it has arrived, we send your order.')
  ) as seeded (shortcut, title, content)
where workspace.user_id = '00000000-0000-4000-8000-000000000001';
