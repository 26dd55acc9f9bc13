-- Contacts of a workspace and the identifiers they are known by.

create function private.search_key(text_to_find text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- Lower case and without accents, so that "jose" finds "José". unaccent() is not immutable.
  return lower(regexp_replace(normalize(search_key.text_to_find, nfkd), '[\u0300-\u036f]', '', 'g'));
end;
$$;
comment on function private.search_key(text) is
  'The form in which names and previews are searched: lower case, without accents.';

create table public.people (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  name text,
  kapso_name text,
  email text,
  phone text,
  phone_digits text generated always as (nullif(private.digits_in(phone), '')) stored,
  phone_last10 text generated always as (
    case when length(private.digits_in(phone)) >= 10 then right(private.digits_in(phone), 10) end
  ) stored,
  avatar_url text,
  marketing_status text,
  marketing_sequence bigint,
  marketing_changed_at timestamptz,
  last_activity_at timestamptz,
  search_text text generated always as (
    private.search_key(coalesce(name, '') || ' ' || coalesce(kapso_name, '') || ' ' || coalesce(email, ''))
      || ' ' || coalesce(phone, '') || ' ' || coalesce(private.digits_in(phone), '')
  ) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint people_workspace_id_id_key unique (workspace_id, id),
  constraint people_workspace_id_phone_digits_key unique (workspace_id, phone_digits),
  constraint people_name_check check (length(name) <= 300),
  constraint people_email_check check (length(email) <= 320),
  constraint people_phone_check check (length(phone) <= 64),
  constraint people_avatar_url_check check (length(avatar_url) <= 2048 and avatar_url ~* '^https?://')
);
comment on table public.people is 'Contacts of a workspace.';
comment on column public.people.id is 'Primary key.';
comment on column public.people.workspace_id is 'The workspace.';
comment on column public.people.name is 'Name as people of the workspace write it.';
comment on column public.people.kapso_name is 'Name as WhatsApp shows it, from Kapso.';
comment on column public.people.email is 'E-mail address.';
comment on column public.people.phone is
  'Phone number as it was typed. Null for people who are known by a username alone.';
comment on column public.people.phone_digits is
  'Digits of phone. Unique in a workspace, so +62 812 and 62812 cannot become two people.';
comment on column public.people.phone_last10 is 'Last ten digits of phone, where it has as many.';
comment on column public.people.avatar_url is 'Picture, an http or https URL.';
comment on column public.people.marketing_status is
  'Whether the person accepts marketing messages on WhatsApp, as Kapso names it: stopped or resumed.';
comment on column public.people.marketing_sequence is
  'Number of the change: the highest wins, in any order of arrival.';
comment on column public.people.marketing_changed_at is 'When the person changed it.';
comment on column public.people.last_activity_at is 'Time of the newest message in any of the person''s conversations.';
comment on column public.people.search_text is 'Names, e-mail and phone in the form of private.search_key.';
comment on column public.people.created_at is 'When the row was created.';
comment on column public.people.updated_at is 'When name, kapso_name, email, phone or avatar_url last changed.';

create index people_workspace_id_phone_last10_idx on public.people (workspace_id, phone_last10);

create index people_workspace_id_updated_at_idx on public.people (workspace_id, updated_at desc, id);

create index people_search_text_idx on public.people using gin (search_text extensions.gin_trgm_ops);

create trigger people_touch_updated_at
  before update of name, kapso_name, email, phone, avatar_url on public.people
  for each row execute function private.touch_updated_at();

grant select, delete on public.people to authenticated;
grant insert (id, workspace_id, name, email, phone, avatar_url) on public.people to authenticated;
grant update (name, email, phone, avatar_url) on public.people to authenticated;
grant all on public.people to service_role;
alter table public.people enable row level security;

create policy "Members can read the people of their workspaces" on public.people
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners, admins and agents can add people" on public.people
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));
create policy "Owners, admins and agents can change people" on public.people
  for update to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])))
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));
create policy "Owners and admins can delete people" on public.people
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin'])));

create table public.person_identities (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null,
  person_id uuid not null,
  platform text not null,
  identifier text not null,
  identifier_key text not null generated always as (private.identity_key(platform, identifier)) stored,
  created_at timestamptz not null default now(),
  constraint person_identities_workspace_id_platform_identifier_key_key
    unique (workspace_id, platform, identifier_key),
  constraint person_identities_workspace_id_person_id_fkey
    foreign key (workspace_id, person_id) references public.people (workspace_id, id) on delete cascade,
  constraint person_identities_platform_check check (platform = any (private.platforms())),
  constraint person_identities_identifier_check check (length(identifier) between 1 and 512)
);
comment on table public.person_identities is
  'How a person is known on a platform: username, WhatsApp LID, BSUID, Signal uuid, WeChat openid, or a phone number '
  'besides people.phone.';
comment on column public.person_identities.id is 'Primary key.';
comment on column public.person_identities.workspace_id is 'The workspace, the same as the person''s.';
comment on column public.person_identities.person_id is 'The person.';
comment on column public.person_identities.platform is 'whatsapp, signal, telegram or wechat.';
comment on column public.person_identities.identifier is 'The identifier as the platform writes it.';
comment on column public.person_identities.identifier_key is
  'The form in which it is compared; see private.identity_key.';
comment on column public.person_identities.created_at is 'When it was learned.';

create index person_identities_workspace_id_person_id_idx on public.person_identities (workspace_id, person_id);

grant select, delete on public.person_identities to authenticated;
grant insert (id, workspace_id, person_id, platform, identifier) on public.person_identities to authenticated;
grant all on public.person_identities to service_role;
alter table public.person_identities enable row level security;

create policy "Members can read the identities of their people" on public.person_identities
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));
create policy "Owners, admins and agents can add identities" on public.person_identities
  for insert to authenticated
  with check (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));
create policy "Owners, admins and agents can remove identities" on public.person_identities
  for delete to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent'])));

-- Reading, for bridges ---------------------------------------------------------------------------

create function public.list_people(
  workspace_id uuid,
  search text default null,
  phone text default null,
  updated_since timestamptz default null,
  max_people integer default 100,
  skip integer default 0
)
returns table (
  total bigint,
  id uuid,
  name text,
  email text,
  phone_number text,
  avatar_url text,
  updated_at timestamptz
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  pattern text := '%' || replace(replace(replace(
    private.search_key(btrim(list_people.search)), '\', '\\'), '%', '\%'), '_', '\_') || '%';
  digits text := private.digits_in(list_people.phone);
  country text;
  spellings text[];
begin
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = list_people.workspace_id;
  spellings := private.phone_spellings(digits, country) || private.phone_variant_spellings(digits, country);
  return query
  with found as (
    select person.id, person.name, person.kapso_name, person.email, person.phone, person.avatar_url, person.updated_at
    from public.people as person
    where person.workspace_id = list_people.workspace_id
      and (pattern is null or person.search_text like pattern)
      and (list_people.updated_since is null or person.updated_at >= list_people.updated_since)
      and (
        digits is null
        or person.phone_digits = any (spellings)
        or (
          length(digits) >= 10
          and person.phone_last10 = right(digits, 10)
          and private.have_same_last10(person.phone_digits, digits)
        )
      )
  )
  select counted.total, page.id, coalesce(page.name, page.kapso_name), page.email, page.phone, page.avatar_url,
    page.updated_at
  from (select count(*) as total from found) as counted
  left join (
    select found.* from found
    order by found.updated_at, found.id
    limit list_people.max_people offset list_people.skip
  ) as page on true
  order by page.updated_at, page.id;
end;
$$;
comment on function public.list_people(uuid, text, text, timestamptz, integer, integer) is
  'A page of the people of one workspace, least recently changed first, each row with the total. One row with a null '
  'id where the page is empty. For service_role only.';

-- Locks ------------------------------------------------------------------------------------------

create function private.lock_conversations_of_person()
returns trigger
language plpgsql
-- Definer because locking a row needs the right to change it, which members do not have.
security definer
set search_path = ''
as $$
begin
  perform 1
  from public.conversations as conversation
  where conversation.workspace_id = old.workspace_id
    and conversation.person_id = old.id
  order by conversation.external_conversation_id
  for no key update;
  return old;
end;
$$;
comment on function private.lock_conversations_of_person() is
  'Trigger: before a person is deleted, locks their conversations in the order of ingest_conversations. The foreign '
  'key would lock them in any order and could deadlock with a batch.';

create trigger people_lock_conversations
  before delete on public.people
  for each row execute function private.lock_conversations_of_person();

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.search_key(text),
  public.list_people(uuid, text, text, timestamptz, integer, integer),
  private.lock_conversations_of_person()
from public, anon, authenticated, service_role;
grant execute on function private.search_key(text) to authenticated, service_role;
grant execute on function
  public.list_people(uuid, text, text, timestamptz, integer, integer)
to service_role;
