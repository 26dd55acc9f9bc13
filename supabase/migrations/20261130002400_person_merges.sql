-- Merges two people into one, and undoes that.

create table public.person_merges (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  kept_id uuid not null,
  merged_id uuid not null,
  merged_person jsonb not null,
  kept_before jsonb not null,
  kept_after jsonb not null,
  moved jsonb not null,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  undone_at timestamptz,
  undone_by uuid references auth.users (id) on delete set null,
  constraint person_merges_workspace_id_kept_id_fkey
    foreign key (workspace_id, kept_id) references public.people (workspace_id, id) on delete cascade,
  constraint person_merges_merged_person_check check (jsonb_typeof(merged_person) = 'object'),
  constraint person_merges_kept_before_check check (jsonb_typeof(kept_before) = 'object'),
  constraint person_merges_kept_after_check check (jsonb_typeof(kept_after) = 'object'),
  constraint person_merges_moved_check check (jsonb_typeof(moved) = 'object')
);
comment on table public.person_merges is 'Merges of two people into one, and what undoing them needs.';
comment on column public.person_merges.id is 'Primary key.';
comment on column public.person_merges.workspace_id is 'The workspace, the same as both people''s.';
comment on column public.person_merges.kept_id is 'The person who was kept. The record is deleted with them.';
comment on column public.person_merges.merged_id is
  'The person who was merged into the other. Their row is gone until the merge is undone.';
comment on column public.person_merges.merged_person is
  'That row as it was: the columns of public.people without the generated ones. Written by private.merge_people().';
comment on column public.person_merges.kept_before is
  'The fields of the kept person before, as private.mergeable_fields() returns them.';
comment on column public.person_merges.kept_after is
  'The same fields after, as private.mergeable_fields() returns them; an undo keeps fields that were changed since.';
comment on column public.person_merges.moved is
  'Rows that moved: {conversation_ids, identity_ids, note_ids, session_ids, merge_ids, added_identity_ids}, arrays of '
  'ids, and summaries, whole rows of person_notes that both had for one day. Written by private.merge_people().';
comment on column public.person_merges.created_by is 'The member who merged them.';
comment on column public.person_merges.created_at is 'When they were merged.';
comment on column public.person_merges.undone_at is 'When it was undone.';
comment on column public.person_merges.undone_by is 'The member who undid it.';

create index person_merges_workspace_id_kept_id_idx on public.person_merges (workspace_id, kept_id, created_at desc);

create index person_merges_created_by_idx on public.person_merges (created_by);

create index person_merges_undone_by_idx on public.person_merges (undone_by);

grant select on public.person_merges to authenticated;
grant all on public.person_merges to service_role;
alter table public.person_merges enable row level security;

create policy "Members can read the merges of their workspaces" on public.person_merges
  for select to authenticated
  using (workspace_id in (select private.workspaces_with_role(array['owner', 'admin', 'agent', 'viewer'])));

-- Merging ----------------------------------------------------------------------------------------

create function private.mergeable_fields(person public.people)
returns jsonb
language sql
immutable
set search_path = ''
as $$
  select jsonb_build_object(
    'name', (mergeable_fields.person).name, 'kapso_name', (mergeable_fields.person).kapso_name,
    'email', (mergeable_fields.person).email, 'phone', (mergeable_fields.person).phone,
    'avatar_url', (mergeable_fields.person).avatar_url,
    'marketing_status', (mergeable_fields.person).marketing_status,
    'marketing_sequence', (mergeable_fields.person).marketing_sequence,
    'marketing_changed_at', (mergeable_fields.person).marketing_changed_at
  );
$$;
comment on function private.mergeable_fields(public.people) is 'The fields of a person that a merge may fill.';

create function private.refresh_activity(person_ids uuid[])
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  update public.people as person
  set last_activity_at = (
    select max(conversation.last_message_at)
    from public.conversations as conversation
    where conversation.workspace_id = person.workspace_id and conversation.person_id = person.id
  )
  where person.id = any (refresh_activity.person_ids);
end;
$$;
comment on function private.refresh_activity(uuid[]) is 'Set last_activity_at of people from their conversations.';

create function private.people_lock_key(workspace_id uuid)
returns bigint
language plpgsql
immutable
set search_path = ''
as $$
begin
  return pg_catalog.hashtextextended('people ' || people_lock_key.workspace_id, 0);
end;
$$;
comment on function private.people_lock_key(uuid) is
  'Key of the advisory lock on who the people of a workspace are. Shared by what locks several people that it finds by '
  'their numbers, and taken alone by what moves numbers from one person to another.';

create function private.move_to_person(workspace_id uuid, from_id uuid, to_id uuid)
returns jsonb
language plpgsql
volatile
set search_path = ''
as $$
declare
  conversation_ids uuid[];
  identity_ids uuid[];
  note_ids uuid[];
  merge_ids uuid[];
  session_ids uuid[];
begin
  -- Conversations, locked in the order of ingest_conversations.
  perform 1
  from public.conversations as conversation
  where conversation.workspace_id = move_to_person.workspace_id and conversation.person_id = move_to_person.from_id
  order by conversation.external_conversation_id
  for no key update;
  with moved as (
    update public.conversations as conversation
    set person_id = move_to_person.to_id, updated_at = now()
    where conversation.workspace_id = move_to_person.workspace_id and conversation.person_id = move_to_person.from_id
    returning conversation.id
  )
  select array_agg(moved.id) into conversation_ids from moved;
  with moved as (
    update public.person_identities as identity
    set person_id = move_to_person.to_id
    where identity.workspace_id = move_to_person.workspace_id and identity.person_id = move_to_person.from_id
    returning identity.id
  )
  select array_agg(moved.id) into identity_ids from moved;
  with moved as (
    update public.person_notes as note
    set person_id = move_to_person.to_id
    where note.workspace_id = move_to_person.workspace_id and note.person_id = move_to_person.from_id
      and not exists (
        select 1 from public.person_notes as same_day
        where same_day.person_id = move_to_person.to_id
          and same_day.kind = note.kind
          and same_day.local_date = note.local_date
      )
    returning note.id
  )
  select array_agg(moved.id) into note_ids from moved;
  with moved as (
    update public.person_merges as earlier
    set kept_id = move_to_person.to_id
    where earlier.workspace_id = move_to_person.workspace_id and earlier.kept_id = move_to_person.from_id
    returning earlier.id
  )
  select array_agg(moved.id) into merge_ids from moved;
  -- Agent sessions last, in the order in which agents lock.
  with moved as (
    update public.agent_sessions as session
    set person_id = move_to_person.to_id
    where session.workspace_id = move_to_person.workspace_id and session.person_id = move_to_person.from_id
    returning session.id
  )
  select array_agg(moved.id) into session_ids from moved;
  return jsonb_build_object(
    'conversation_ids', coalesce(to_jsonb(conversation_ids), '[]'),
    'identity_ids', coalesce(to_jsonb(identity_ids), '[]'),
    'note_ids', coalesce(to_jsonb(note_ids), '[]'),
    'merge_ids', coalesce(to_jsonb(merge_ids), '[]'),
    'session_ids', coalesce(to_jsonb(session_ids), '[]'),
    -- Where both have a summary of a day, that of the merged person stays with the record of the merge.
    'summaries', (
      select coalesce(jsonb_agg(to_jsonb(note)), '[]')
      from public.person_notes as note
      where note.workspace_id = move_to_person.workspace_id and note.person_id = move_to_person.from_id
    )
  );
end;
$$;
comment on function private.move_to_person(uuid, uuid, uuid) is
  'Move conversations, identities, notes, earlier merges and agent sessions from one person to another. Returns what '
  'moved, in the form of person_merges.moved.';

create function private.add_number_identities(person public.people, merged public.people)
returns uuid[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  default_country text;
  added_ids uuid[];
begin
  select workspace.default_country into default_country
  from public.workspaces as workspace
  where workspace.id = person.workspace_id;
  with added as (
    insert into public.person_identities (workspace_id, person_id, platform, identifier)
    select distinct on (platform.name, private.identity_key(platform.name, '+' || spelling.digits))
      person.workspace_id, person.id, platform.name, '+' || spelling.digits
    from unnest(array['whatsapp', 'signal']) as platform (name)
    cross join (
      select own.digits from unnest(private.phone_numbers_in(merged.phone)) as own (digits)
      union
      -- A number that was typed in its national form: its international form.
      select spelled.digits
      from unnest(private.phone_numbers_in(merged.phone)) as own (digits)
      cross join unnest(private.phone_spellings(own.digits, default_country)) as spelled (digits)
      join private.country_calling_codes as known on known.country = default_country
      where merged.phone not like '+%'
        and starts_with(spelled.digits, known.calling_code)
        and not starts_with(spelled.digits, known.calling_code || known.trunk_prefix)
    ) as spelling
    where length(spelling.digits) between 7 and 15
    order by platform.name, private.identity_key(platform.name, '+' || spelling.digits)
    on conflict on constraint person_identities_workspace_id_platform_identifier_key_key do nothing
    returning person_identities.id
  )
  select coalesce(array_agg(added.id), '{}') into added_ids from added;
  return added_ids;
end;
$$;
comment on function private.add_number_identities(public.people, public.people) is
  'Make the number of a merged person, which could not become the number of the kept one, an identity of theirs, so '
  'that messages from it still match. Returns the ids of the new identities.';

create function private.merge_people(keep_id uuid, merge_id uuid)
returns public.person_merges
language plpgsql
volatile
-- Definer because members may neither write conversations nor move notes; the role is checked first.
security definer
set search_path = ''
as $$
declare
  kept public.people;
  merged public.people;
  after public.people;
  owning_workspace uuid := (
    select person.workspace_id from public.people as person where person.id = merge_people.keep_id
  );
  moved_rows jsonb;
  added_identities uuid[] := '{}';
  merge public.person_merges;
begin
  perform private.require_role(owning_workspace, array['owner', 'admin', 'agent'], 'person_not_found');
  if merge_people.keep_id = merge_people.merge_id then
    raise exception 'same_person' using errcode = 'PT422';
  end if;
  perform pg_catalog.pg_advisory_xact_lock(private.people_lock_key(owning_workspace));
  -- Both, in the order of their ids: two merges of the same people run one after the other.
  perform 1
  from public.people as person
  where person.workspace_id = owning_workspace and person.id in (merge_people.keep_id, merge_people.merge_id)
  order by person.id
  for update;
  select person.* into kept
  from public.people as person
  where person.workspace_id = owning_workspace and person.id = merge_people.keep_id;
  select person.* into merged
  from public.people as person
  where person.workspace_id = owning_workspace and person.id = merge_people.merge_id;
  if kept.id is null or merged.id is null then
    raise exception 'person_not_found' using errcode = 'PT404';
  end if;

  moved_rows := private.move_to_person(owning_workspace, merged.id, kept.id);

  insert into public.person_merges
    (workspace_id, kept_id, merged_id, merged_person, kept_before, kept_after, moved, created_by)
  values (
    owning_workspace, kept.id, merged.id,
    to_jsonb(merged) - array['phone_key', 'phone_digits', 'phone_last10', 'other_phone_keys', 'search_text'],
    private.mergeable_fields(kept), '{}',
    moved_rows, (select auth.uid())
  )
  returning * into merge;
  delete from public.people as person where person.workspace_id = owning_workspace and person.id = merged.id;

  update public.people as person
  set name = coalesce(nullif(btrim(person.name), ''), merged.name),
    kapso_name = coalesce(person.kapso_name, merged.kapso_name),
    email = coalesce(nullif(btrim(person.email), ''), merged.email),
    phone = coalesce(person.phone, merged.phone),
    avatar_url = coalesce(person.avatar_url, merged.avatar_url),
    -- The latest change of the marketing preference wins.
    marketing_status = case when newer.is_merged then merged.marketing_status else person.marketing_status end,
    marketing_sequence = case when newer.is_merged then merged.marketing_sequence else person.marketing_sequence end,
    marketing_changed_at = case
      when newer.is_merged then merged.marketing_changed_at else person.marketing_changed_at
    end
  from (
    select merged.marketing_status is not null and (
      kept.marketing_status is null or merged.marketing_changed_at > kept.marketing_changed_at
    ) as is_merged
  ) as newer
  where person.workspace_id = owning_workspace and person.id = kept.id
  returning person.* into after;

  if merged.phone_key is distinct from after.phone_key then
    added_identities := private.add_number_identities(after, merged);
  end if;
  perform private.refresh_activity(array[kept.id]);

  update public.person_merges as known
  set kept_after = private.mergeable_fields(after),
    moved = known.moved || jsonb_build_object('added_identity_ids', added_identities)
  where known.id = merge.id
  returning known.* into merge;
  return merge;
end;
$$;
comment on function private.merge_people(uuid, uuid) is 'Does the work of public.merge_people.';

create function public.merge_people(keep_id uuid, merge_id uuid)
returns setof public.person_merges
language sql
volatile
set search_path = ''
as $$
  select merged.* from private.merge_people(merge_people.keep_id, merge_people.merge_id) as merged;
$$;
comment on function public.merge_people(uuid, uuid) is
  'Merge two people of one workspace: identities, number, conversations and notes move to keep_id, and its empty '
  'fields are filled. undo_merge() reverses it. For owners, admins and agents.';

-- Undoing ----------------------------------------------------------------------------------------

create function private.take_back_fields(kept public.people, merge public.person_merges)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  old_fields jsonb;
begin
  -- Fields that the merge filled, unless they were changed since.
  select jsonb_object_agg(field.name, case
    when private.mergeable_fields(kept) -> field.name is not distinct from merge.kept_after -> field.name
      then merge.kept_before -> field.name
    else private.mergeable_fields(kept) -> field.name
  end)
  into old_fields
  from jsonb_object_keys(merge.kept_before) as field (name);
  update public.people as person
  set name = old_fields ->> 'name', kapso_name = old_fields ->> 'kapso_name', email = old_fields ->> 'email',
    phone = old_fields ->> 'phone', avatar_url = old_fields ->> 'avatar_url',
    marketing_status = old_fields ->> 'marketing_status',
    marketing_sequence = (old_fields ->> 'marketing_sequence')::bigint,
    marketing_changed_at = (old_fields ->> 'marketing_changed_at')::timestamptz
  where person.workspace_id = merge.workspace_id and person.id = kept.id;
end;
$$;
comment on function private.take_back_fields(public.people, public.person_merges) is
  'Restore the fields that a merge filled, except those that were changed since.';

create function private.move_back(merge public.person_merges)
returns void
language plpgsql
volatile
set search_path = ''
as $$
#variable_conflict use_column
declare
  back_conversations uuid[];
begin
  update public.person_identities as identity
  set person_id = merge.merged_id
  where identity.workspace_id = merge.workspace_id
    and identity.person_id = merge.kept_id
    and identity.id::text in (select jsonb_array_elements_text(merge.moved -> 'identity_ids'));
  perform 1
  from public.conversations as conversation
  where conversation.workspace_id = merge.workspace_id and conversation.person_id = merge.kept_id
  order by conversation.external_conversation_id
  for no key update;
  with back as (
    update public.conversations as conversation
    set person_id = merge.merged_id, updated_at = now()
    where conversation.workspace_id = merge.workspace_id
      and conversation.person_id = merge.kept_id
      and (
        conversation.id::text in (select jsonb_array_elements_text(merge.moved -> 'conversation_ids'))
        -- A conversation that began in the meantime, with the person who is restored.
        or (
          conversation.created_at > merge.created_at
          and private.match_person(
            conversation.workspace_id, conversation.platform, conversation.participant_identifier
          ) = merge.merged_id
        )
      )
    returning conversation.id
  )
  select array_agg(back.id) into back_conversations from back;
  -- Identifiers of the customers of these conversations that were learned in the meantime.
  update public.person_identities as identity
  set person_id = merge.merged_id
  where identity.workspace_id = merge.workspace_id
    and identity.person_id = merge.kept_id
    and identity.created_at > merge.created_at
    and identity.platform = 'whatsapp'
    and exists (
      select 1
      from private.thread_aliases as alias
      where alias.conversation_id = any (back_conversations)
        and private.identity_key('whatsapp', substr(alias.alias, strpos(alias.alias, ':') + 1))
          = identity.identifier_key
    );
  update public.person_notes as note
  set person_id = merge.merged_id
  where note.workspace_id = merge.workspace_id
    and note.person_id = merge.kept_id
    and note.id::text in (select jsonb_array_elements_text(merge.moved -> 'note_ids'));
  insert into public.person_notes
  select old.*
  from jsonb_populate_recordset(null::public.person_notes, merge.moved -> 'summaries') as old
  on conflict do nothing;
  update public.person_merges as earlier
  set kept_id = merge.merged_id
  where earlier.workspace_id = merge.workspace_id
    and earlier.id::text in (select jsonb_array_elements_text(merge.moved -> 'merge_ids'));
  update public.agent_sessions as session
  set person_id = merge.merged_id
  where session.workspace_id = merge.workspace_id
    and session.person_id = merge.kept_id
    and session.id::text in (select jsonb_array_elements_text(merge.moved -> 'session_ids'));
end;
$$;
comment on function private.move_back(public.person_merges) is
  'Return everything that a merge moved to the restored person, with the conversations and identifiers that are theirs '
  'and came since.';

create function private.undo_merge(id uuid)
returns public.person_merges
language plpgsql
volatile
-- Definer because members may neither write conversations nor move notes; the role is checked first.
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  merge public.person_merges;
  kept public.people;
begin
  select known.* into merge from public.person_merges as known where known.id = undo_merge.id;
  perform private.require_role(merge.workspace_id, array['owner', 'admin', 'agent'], 'merge_not_found');
  perform pg_catalog.pg_advisory_xact_lock(private.people_lock_key(merge.workspace_id));
  -- The person first, in the order of merge_people(); then the record, which may have changed in the meantime.
  perform 1
  from public.people as person
  where person.workspace_id = merge.workspace_id and person.id = merge.kept_id
  for update;
  select known.* into merge from public.person_merges as known where known.id = merge.id for update;
  select person.* into kept
  from public.people as person
  where person.workspace_id = merge.workspace_id and person.id = merge.kept_id;
  if merge.undone_at is not null then
    raise exception 'merge_undone' using errcode = 'PT409';
  end if;
  if kept.id is null or exists (
    select 1 from public.person_merges as later
    where later.workspace_id = merge.workspace_id
      and later.kept_id = merge.kept_id
      and later.undone_at is null
      and later.moved -> 'merge_ids' ? merge.id::text
  ) then
    raise exception 'merge_not_last' using errcode = 'PT409';
  end if;

  perform private.take_back_fields(kept, merge);
  delete from public.person_identities as identity
  where identity.workspace_id = merge.workspace_id
    and identity.person_id = kept.id
    and identity.id::text in (select jsonb_array_elements_text(merge.moved -> 'added_identity_ids'));
  begin
    insert into public.people as person (
      id, workspace_id, name, kapso_name, email, phone, avatar_url, last_activity_at, created_at, updated_at,
      marketing_status, marketing_sequence, marketing_changed_at
    )
    select old.id, merge.workspace_id, old.name, old.kapso_name, old.email, old.phone, old.avatar_url,
      old.last_activity_at, old.created_at, old.updated_at, old.marketing_status, old.marketing_sequence,
      old.marketing_changed_at
    from jsonb_populate_record(null::public.people, merge.merged_person) as old;
  exception when unique_violation then
    -- Another person has this number by now.
    raise exception 'phone_taken' using errcode = 'PT409';
  end;

  perform private.move_back(merge);
  perform private.refresh_activity(array[kept.id, merge.merged_id]);

  update public.person_merges as known
  set undone_at = now(), undone_by = (select auth.uid())
  where known.id = merge.id
  returning known.* into merge;
  return merge;
end;
$$;
comment on function private.undo_merge(uuid) is 'Does the work of public.undo_merge.';

create function public.undo_merge(id uuid)
returns setof public.person_merges
language sql
volatile
set search_path = ''
as $$
  select undone.* from private.undo_merge(undo_merge.id) as undone;
$$;
comment on function public.undo_merge(uuid) is
  'Undo a merge: everything that moved returns, with the messages that arrived in these conversations since; later '
  'manual changes stay. For owners, admins and agents.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.mergeable_fields(public.people),
  private.refresh_activity(uuid[]),
  private.people_lock_key(uuid),
  private.move_to_person(uuid, uuid, uuid),
  private.add_number_identities(public.people, public.people),
  private.take_back_fields(public.people, public.person_merges),
  private.move_back(public.person_merges),
  private.merge_people(uuid, uuid),
  public.merge_people(uuid, uuid),
  private.undo_merge(uuid),
  public.undo_merge(uuid)
from public, anon, authenticated, service_role;
grant execute on function
  private.merge_people(uuid, uuid),
  public.merge_people(uuid, uuid),
  private.undo_merge(uuid),
  public.undo_merge(uuid)
to authenticated;
grant execute on function private.people_lock_key(uuid) to service_role;
