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
comment on table public.person_merges is 'Which people were made one, and what it takes to undo that.';
comment on column public.person_merges.id is 'Primary key.';
comment on column public.person_merges.workspace_id is 'The workspace, the same as both people''s.';
comment on column public.person_merges.kept_id is 'The person who has everything now. With them this record goes.';
comment on column public.person_merges.merged_id is 'The person who was taken up. The row is gone until the merge is undone.';
comment on column public.person_merges.merged_person is 'That row, as it was: see supabase/functions/_shared/conversations/merge.ts.';
comment on column public.person_merges.kept_before is 'Fields of the kept person before: see supabase/functions/_shared/conversations/merge.ts.';
comment on column public.person_merges.kept_after is 'The same fields after, in the same form (supabase/functions/_shared/conversations/merge.ts); what was changed since is not taken back.';
comment on column public.person_merges.moved is 'Ids of what moved: see supabase/functions/_shared/conversations/merge.ts.';
comment on column public.person_merges.created_by is 'The member who did it.';
comment on column public.person_merges.created_at is 'When.';
comment on column public.person_merges.undone_at is 'When it was undone.';
comment on column public.person_merges.undone_by is 'By whom.';

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
  owning_workspace uuid := (select person.workspace_id from public.people as person where person.id = merge_people.keep_id);
  default_country text;
  moved_conversations uuid[];
  moved_identities uuid[];
  moved_notes uuid[];
  moved_merges uuid[];
  moved_sessions uuid[];
  added_identities uuid[];
  merge public.person_merges;
begin
  perform private.require_role(owning_workspace, array['owner', 'admin', 'agent'], 'person_not_found');
  if merge_people.keep_id = merge_people.merge_id then
    raise exception 'same_person' using errcode = 'PT422';
  end if;
  -- Both, in the order of their ids: two merges of the same people take turns.
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

  -- Conversations, in the order in which the door locks them.
  perform 1
  from public.conversations as conversation
  where conversation.workspace_id = owning_workspace and conversation.person_id = merged.id
  order by conversation.external_conversation_id
  for no key update;
  with moved as (
    update public.conversations as conversation
    set person_id = kept.id, updated_at = now()
    where conversation.workspace_id = owning_workspace and conversation.person_id = merged.id
    returning conversation.id
  )
  select array_agg(moved.id) into moved_conversations from moved;
  with moved as (
    update public.person_identities as identity
    set person_id = kept.id
    where identity.workspace_id = owning_workspace and identity.person_id = merged.id
    returning identity.id
  )
  select array_agg(moved.id) into moved_identities from moved;
  -- A day that both have a summary of: that of the merged person stays with this record.
  with moved as (
    update public.person_notes as note
    set person_id = kept.id
    where note.workspace_id = owning_workspace and note.person_id = merged.id
      and not exists (
        select 1 from public.person_notes as same_day
        where same_day.person_id = kept.id and same_day.kind = note.kind and same_day.local_date = note.local_date
      )
    returning note.id
  )
  select array_agg(moved.id) into moved_notes from moved;
  with moved as (
    update public.person_merges as earlier
    set kept_id = kept.id
    where earlier.workspace_id = owning_workspace and earlier.kept_id = merged.id
    returning earlier.id
  )
  select array_agg(moved.id) into moved_merges from moved;

  -- Sessions of agents last, as agents lock them.
  with moved as (
    update public.agent_sessions as session
    set person_id = kept.id
    where session.workspace_id = owning_workspace and session.person_id = merged.id
    returning session.id
  )
  select array_agg(moved.id) into moved_sessions from moved;

  insert into public.person_merges
    (workspace_id, kept_id, merged_id, merged_person, kept_before, kept_after, moved, created_by)
  values (
    owning_workspace, kept.id, merged.id,
    to_jsonb(merged) - array['phone_digits', 'phone_last10', 'search_text'],
    private.mergeable_fields(kept), '{}',
    jsonb_build_object('summaries', (
      select coalesce(jsonb_agg(to_jsonb(note)), '[]')
      from public.person_notes as note
      where note.workspace_id = owning_workspace and note.person_id = merged.id
    )),
    (select auth.uid())
  )
  returning * into merge;
  delete from public.people as person where person.workspace_id = owning_workspace and person.id = merged.id;

  update public.people as person
  set name = coalesce(nullif(btrim(person.name), ''), merged.name),
    kapso_name = coalesce(person.kapso_name, merged.kapso_name),
    email = coalesce(nullif(btrim(person.email), ''), merged.email),
    phone = coalesce(person.phone, merged.phone),
    avatar_url = coalesce(person.avatar_url, merged.avatar_url),
    -- Whoever stopped marketing last has stopped it.
    marketing_status = case when newer.is_merged then merged.marketing_status else person.marketing_status end,
    marketing_sequence = case when newer.is_merged then merged.marketing_sequence else person.marketing_sequence end,
    marketing_changed_at = case when newer.is_merged then merged.marketing_changed_at else person.marketing_changed_at end
  from (
    select merged.marketing_status is not null and (
      kept.marketing_status is null or merged.marketing_changed_at > kept.marketing_changed_at
    ) as is_merged
  ) as newer
  where person.workspace_id = owning_workspace and person.id = kept.id
  returning person.* into after;

  -- A number that could not become the number of the kept person is one more of their identities, so that
  -- whoever writes from it is still them.
  select workspace.default_country into default_country
  from public.workspaces as workspace
  where workspace.id = owning_workspace;
  with added as (
    insert into public.person_identities (workspace_id, person_id, platform, identifier)
    select distinct on (platform.name, private.identity_key(platform.name, '+' || spelling.digits))
      owning_workspace, kept.id, platform.name, '+' || spelling.digits
    from unnest(array['whatsapp', 'signal']) as platform (name)
    cross join (
      select merged.phone_digits as digits
      union
      -- Typed as inside the country: as it is from outside.
      select spelled.digits
      from unnest(private.phone_spellings(merged.phone_digits, default_country)) as spelled (digits)
      join private.country_calling_codes as known on known.country = default_country
      where merged.phone not like '+%'
        and starts_with(spelled.digits, known.calling_code)
        and not starts_with(spelled.digits, known.calling_code || known.trunk_prefix)
    ) as spelling
    where merged.phone_digits is distinct from after.phone_digits
      and length(spelling.digits) between 7 and 15
    order by platform.name, private.identity_key(platform.name, '+' || spelling.digits)
    on conflict on constraint person_identities_workspace_id_platform_identifier_key_key do nothing
    returning person_identities.id
  )
  select array_agg(added.id) into added_identities from added;
  perform private.refresh_activity(array[kept.id]);

  update public.person_merges as known
  set kept_after = private.mergeable_fields(after),
    moved = known.moved || jsonb_build_object(
      'conversation_ids', coalesce(to_jsonb(moved_conversations), '[]'),
      'identity_ids', coalesce(to_jsonb(moved_identities), '[]'),
      'note_ids', coalesce(to_jsonb(moved_notes), '[]'),
      'merge_ids', coalesce(to_jsonb(moved_merges), '[]'),
      'session_ids', coalesce(to_jsonb(moved_sessions), '[]'),
      'added_identity_ids', coalesce(to_jsonb(added_identities), '[]')
    )
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
  'Make two people of one workspace one: identities, number, conversations and notes go to keep_id, and what keep_id lacks is filled. undo_merge() takes it back. For owners, admins and agents.';

-- Undoing ----------------------------------------------------------------------------------------

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
  old_fields jsonb;
  back_conversations uuid[];
begin
  select known.* into merge from public.person_merges as known where known.id = undo_merge.id;
  perform private.require_role(merge.workspace_id, array['owner', 'admin', 'agent'], 'merge_not_found');
  -- The person first, as merge_people() has it; then the record, which may have changed meanwhile.
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

  -- What the merge filled, where nobody has changed it since.
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
    -- Somebody else has this number by now.
    raise exception 'phone_taken' using errcode = 'PT409';
  end;

  update public.person_identities as identity
  set person_id = merge.merged_id
  where identity.workspace_id = merge.workspace_id
    and identity.person_id = kept.id
    and identity.id::text in (select jsonb_array_elements_text(merge.moved -> 'identity_ids'));
  perform 1
  from public.conversations as conversation
  where conversation.workspace_id = merge.workspace_id and conversation.person_id = kept.id
  order by conversation.external_conversation_id
  for no key update;
  with back as (
    update public.conversations as conversation
    set person_id = merge.merged_id, updated_at = now()
    where conversation.workspace_id = merge.workspace_id
      and conversation.person_id = kept.id
      and (
        conversation.id::text in (select jsonb_array_elements_text(merge.moved -> 'conversation_ids'))
        -- A thread that began meanwhile, with somebody who is the other person again.
        or (
          conversation.created_at > merge.created_at
          and private.match_person(conversation.workspace_id, conversation.platform, conversation.participant_identifier)
            = merge.merged_id
        )
      )
    returning conversation.id
  )
  select array_agg(back.id) into back_conversations from back;
  -- Identifiers that were learned meanwhile of the customers of these threads.
  update public.person_identities as identity
  set person_id = merge.merged_id
  where identity.workspace_id = merge.workspace_id
    and identity.person_id = kept.id
    and identity.created_at > merge.created_at
    and identity.platform = 'whatsapp'
    and exists (
      select 1
      from private.thread_aliases as alias
      where alias.conversation_id = any (back_conversations)
        and private.identity_key('whatsapp', substr(alias.alias, strpos(alias.alias, ':') + 1)) = identity.identifier_key
    );
  update public.person_notes as note
  set person_id = merge.merged_id
  where note.workspace_id = merge.workspace_id
    and note.person_id = kept.id
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
    and session.person_id = kept.id
    and session.id::text in (select jsonb_array_elements_text(merge.moved -> 'session_ids'));
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
  'Undo a merge: what was moved goes back, and so do messages that came to these threads since; what was changed by hand since stays. For owners, admins and agents.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.mergeable_fields(public.people),
  private.refresh_activity(uuid[]),
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
