-- Contacts of a workspace and the identifiers they are known by.

create table public.people (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  name text,
  kapso_name text,
  email text,
  phone text,
  phone_key text generated always as (private.phone_key_of(phone)) stored,
  phone_digits text generated always as ((private.phone_numbers_in(phone))[1]) stored,
  phone_last10 text generated always as (
    case when length((private.phone_numbers_in(phone))[1]) >= 10
      then right((private.phone_numbers_in(phone))[1], 10) end
  ) stored,
  other_phone_keys text[] generated always as (private.other_phone_keys(phone)) stored,
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
  constraint people_workspace_id_phone_key_key unique (workspace_id, phone_key),
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
comment on column public.people.phone_key is
  'private.phone_key_of the phone: digits, extension, letters of a vanity number. Unique in a workspace, so +62 812 '
  'and 62812 cannot become two people, while two extensions of one number are two.';
comment on column public.people.phone_digits is 'Digits of the first number in phone, without its extension.';
comment on column public.people.phone_last10 is 'Last ten of phone_digits, where it has as many.';
comment on column public.people.other_phone_keys is
  'What further numbers in phone are found by, see private.other_phone_keys. Null where it has one number.';
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

create index people_workspace_id_phone_digits_idx on public.people (workspace_id, phone_digits);

create index people_workspace_id_phone_last10_idx on public.people (workspace_id, phone_last10);

create index people_other_phone_keys_idx on public.people using gin (other_phone_keys)
  with (fastupdate = off) where other_phone_keys is not null;
comment on index public.people_other_phone_keys_idx is
  'Finds people by the second number in phone. Nearly no row is in it.';

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

-- Looking up by number ---------------------------------------------------------------------------

-- These queries ask for a place in the order of an index, and not with "=": for that Postgres may take any index that begins
-- with the workspace, as long as a table is small, and keep to it while the table grows. Collations are written out
-- because a function compares by those of its arguments.

create function private.person_with_phone_key(workspace_id uuid, phone_key text)
returns uuid
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select found.id
    from (
      select person.id, person.workspace_id, person.phone_key
      from public.people as person
      where (person.workspace_id, person.phone_key)
        >= (person_with_phone_key.workspace_id, person_with_phone_key.phone_key collate "default")
      order by person.workspace_id, person.phone_key
      limit 1
    ) as found
    where found.workspace_id = person_with_phone_key.workspace_id
      and found.phone_key = person_with_phone_key.phone_key
  );
end;
$$;
comment on function private.person_with_phone_key(uuid, text) is
  'The person of a workspace with this phone_key; null where there is none.';

create function private.person_with_identity(workspace_id uuid, platform text, identifier text)
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
  key constant text := private.identity_key(person_with_identity.platform, person_with_identity.identifier);
begin
  return (
    select found.person_id
    from (
      select identity.person_id, identity.workspace_id, identity.platform, identity.identifier_key
      from public.person_identities as identity
      where (identity.workspace_id, identity.platform, identity.identifier_key) >= (
        person_with_identity.workspace_id, person_with_identity.platform collate "default", key collate "default"
      )
      order by identity.workspace_id, identity.platform, identity.identifier_key
      limit 1
    ) as found
    where found.workspace_id = person_with_identity.workspace_id
      and found.platform = person_with_identity.platform
      and found.identifier_key = key
  );
end;
$$;
comment on function private.person_with_identity(uuid, text, text) is
  'The person of a workspace with this identifier on a platform; null where there is none.';

create function private.people_with_spelling(workspace_id uuid, spellings text[])
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
declare
  -- Extensions of one number, and numbers that end alike.
  most_people constant integer := 20;
begin
  return (
    select array_agg(found.id)
    from (
      select person.id
      from unnest(people_with_spelling.spellings) as spelling (digits)
      cross join lateral (
        select known.id, known.workspace_id, known.phone_digits
        from public.people as known
        where (known.workspace_id, known.phone_digits)
          >= (people_with_spelling.workspace_id, spelling.digits collate "default")
        order by known.workspace_id, known.phone_digits
        limit most_people
      ) as person
      where person.workspace_id = people_with_spelling.workspace_id and person.phone_digits = spelling.digits
      union
      select person.id
      from public.people as person
      where person.other_phone_keys && people_with_spelling.spellings
        and person.workspace_id is not distinct from people_with_spelling.workspace_id
    ) as found
  );
end;
$$;
comment on function private.people_with_spelling(uuid, text[]) is
  'The people of a workspace one of whose numbers is written like that, at most 20 for each spelling; null where there '
  'are none.';

create function private.people_with_last10(workspace_id uuid, digits text)
returns uuid[]
language plpgsql
stable
set search_path = ''
as $$
declare
  -- Extensions of one number, and numbers that end alike.
  most_people constant integer := 20;
begin
  if length(people_with_last10.digits) < 10 then
    return null;
  end if;
  return (
    select array_agg(found.id)
    from (
      select person.id
      from (
        select known.id, known.workspace_id, known.phone_digits, known.phone_last10
        from public.people as known
        where (known.workspace_id, known.phone_last10)
          >= (people_with_last10.workspace_id, right(people_with_last10.digits, 10) collate "default")
        order by known.workspace_id, known.phone_last10
        limit most_people
      ) as person
      where person.workspace_id = people_with_last10.workspace_id
        and person.phone_last10 = right(people_with_last10.digits, 10)
        and private.have_same_last10(person.phone_digits, people_with_last10.digits)
      union
      select person.id
      from public.people as person
      where person.other_phone_keys && array['*' || right(people_with_last10.digits, 10)]
        and person.workspace_id is not distinct from people_with_last10.workspace_id
        and exists (
          select 1 from unnest(person.other_phone_keys) as other (digits)
          where private.have_same_last10(other.digits, people_with_last10.digits)
        )
    ) as found
  );
end;
$$;
comment on function private.people_with_last10(uuid, text) is
  'The people of a workspace one of whose numbers agrees with the digits by private.have_same_last10; null where there '
  'are none.';

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
  digits text := coalesce((private.phone_numbers_in(list_people.phone))[1], private.digits_in(list_people.phone));
  country text;
  with_number uuid[];
begin
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = list_people.workspace_id;
  if digits is not null then
    with_number := private.people_with_spelling(
      list_people.workspace_id,
      private.phone_spellings(digits, country) || private.phone_variant_spellings(digits, country)
    ) || private.people_with_last10(list_people.workspace_id, digits);
  end if;
  return query
  with found as (
    select person.id, person.name, person.kapso_name, person.email, person.phone, person.avatar_url, person.updated_at
    from public.people as person
    where person.workspace_id = list_people.workspace_id
      and (pattern is null or person.search_text like pattern)
      and (list_people.updated_since is null or person.updated_at >= list_people.updated_since)
      and (digits is null or person.id = any (with_number))
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

-- Search, for members ---------------------------------------------------------------------------

create function private.search_people(workspace_id uuid, search text, max_people integer)
returns setof uuid
language plpgsql
stable
rows 20
-- Definer because search conditions are not leakproof (docs/adr/0003). It returns ids only, and only of
-- a workspace of the caller.
security definer
set search_path = ''
-- The best index depends on the search.
set plan_cache_mode = force_custom_plan
as $$
declare
  patterns constant text[] := private.fragment_patterns(private.search_fragments(search_people.search));
  -- The index is asked for the longest: it has the fewest.
  pattern constant text := patterns[1];
begin
  if pattern is null or search_people.workspace_id is null or search_people.workspace_id not in (
    select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])
  ) then
    return;
  end if;
  return query
  select person.id
  from public.people as person
  where person.workspace_id = search_people.workspace_id
    and person.search_text like pattern
    and person.search_text like all (patterns)
  order by person.last_activity_at desc nulls last, person.id
  limit search_people.max_people;
end;
$$;
comment on function private.search_people(uuid, text, integer) is 'Does the work of public.search_people.';

create function public.search_people(workspace_id uuid, search text, max_people integer default 20)
returns setof public.people
language plpgsql
stable
set search_path = ''
as $$
begin
  if search_people.max_people is null or search_people.max_people not between 1 and 100 then
    raise exception 'max_people must be between 1 and 100' using errcode = '22023';
  end if;
  return query
  select person.*
  from private.search_people(
    search_people.workspace_id, left(search_people.search, 200), search_people.max_people
  ) with ordinality as found (id, place)
  join public.people as person on person.id = found.id
  order by found.place;
end;
$$;
comment on function public.search_people(uuid, text, integer) is
  'At most max_people (1 to 100, 20 by default) of one workspace whose names, e-mail or number contain each word of the '
  'search, the last active first.';

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
  private.person_with_phone_key(uuid, text),
  private.person_with_identity(uuid, text, text),
  private.people_with_spelling(uuid, text[]),
  private.people_with_last10(uuid, text),
  public.list_people(uuid, text, text, timestamptz, integer, integer),
  private.search_people(uuid, text, integer),
  public.search_people(uuid, text, integer),
  private.lock_conversations_of_person()
from public, anon, authenticated, service_role;
grant execute on function
  private.person_with_phone_key(uuid, text),
  private.person_with_identity(uuid, text, text),
  private.people_with_spelling(uuid, text[]),
  private.people_with_last10(uuid, text),
  public.list_people(uuid, text, text, timestamptz, integer, integer)
to service_role;
grant execute on function
  private.search_people(uuid, text, integer),
  public.search_people(uuid, text, integer)
to authenticated;
