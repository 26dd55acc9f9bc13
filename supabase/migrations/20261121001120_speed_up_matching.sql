-- Purpose: look people and threads up by key alone. The functions that spell a number were called once for each person
--   of the workspace, and threads were looked for by scans, so that every new contact took longer than the one before.
-- Objects: private.match_person, private.adopt_conversations, private.thread_of; what they find is the same.
-- Risk: none.

create or replace function private.match_person(workspace_id uuid, platform text, identifier text)
returns uuid
language plpgsql
stable
set search_path = ''
-- Every look-up is by key, and a plan that is made while a workspace is small is kept while it grows.
set enable_seqscan = off
as $$
declare
  matched uuid[];
  digits text;
  country text;
  -- In variables, because a function in a condition may be called once for each row.
  spellings text[];
begin
  -- 1. A known identity.
  select array_agg(identity.person_id) into matched
  from public.person_identities as identity
  where identity.workspace_id = match_person.workspace_id
    and identity.platform = match_person.platform
    and identity.identifier_key = private.identity_key(match_person.platform, match_person.identifier);
  if matched is not null then
    return matched[1];
  end if;

  digits := private.phone_digits_of(match_person.platform, match_person.identifier);
  if digits is null then
    return null;
  end if;

  -- 2. The whole number, as it is.
  select array_agg(person.id) into matched
  from public.people as person
  where person.workspace_id = match_person.workspace_id
    and person.phone_digits = digits;
  if matched is not null then
    return matched[1];
  end if;

  -- From here on more than one person can fit. Then nobody is linked, and no wider rule is tried: a
  -- message in the wrong person's history is worse than one in nobody's.

  -- 3. The whole number, in another spelling.
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = match_person.workspace_id;
  spellings := private.phone_spellings(digits, country);
  select array_agg(person.id) into matched
  from public.people as person
  where person.workspace_id = match_person.workspace_id
    and person.phone_digits = any (spellings);
  if matched is not null then
    return case when cardinality(matched) = 1 then matched[1] end;
  end if;

  -- 4. The last ten digits.
  if length(digits) >= 10 then
    select array_agg(person.id) into matched
    from public.people as person
    where person.workspace_id = match_person.workspace_id
      and person.phone_last10 = right(digits, 10)
      and private.have_same_last10(person.phone_digits, digits);
    if matched is not null then
      return case when cardinality(matched) = 1 then matched[1] end;
    end if;
  end if;

  -- 5. Another number that reaches the same phone.
  spellings := private.phone_variant_spellings(digits, country);
  if cardinality(spellings) = 0 then
    return null;
  end if;
  select array_agg(person.id) into matched
  from public.people as person
  where person.workspace_id = match_person.workspace_id
    and person.phone_digits = any (spellings);
  return case when cardinality(matched) = 1 then matched[1] end;
end;
$$;

create or replace function private.adopt_conversations(workspace_id uuid, platform text, identifier text)
returns void
language plpgsql
-- Definer because members may add people but not write conversations. Called by the triggers below
-- alone, for a person the caller was just allowed to write.
security definer
set search_path = ''
-- Shorter than the time after which Postgres looks for deadlocks (1 s): see below.
set lock_timeout = '100ms'
set enable_seqscan = off
as $$
declare
  digits text := coalesce(
    private.phone_digits_of(adopt_conversations.platform, adopt_conversations.identifier),
    regexp_replace(adopt_conversations.identifier, '[^0-9]', '', 'g')
  );
  country text;
  spellings text[];
  identity_key text := private.identity_key(adopt_conversations.platform, adopt_conversations.identifier);
begin
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = adopt_conversations.workspace_id;
  spellings := private.phone_spellings(digits, country) || private.phone_variant_spellings(digits, country);

  begin
    -- Candidates by index, then the same rule as for a new message decides. A conversation that is being
    -- written at this moment is left out: waiting for it while holding the person could be a deadlock, and
    -- its next batch links it.
    with candidate as (
      select conversation.id, conversation.platform, conversation.participant_identifier
      from public.conversations as conversation
      where conversation.workspace_id = adopt_conversations.workspace_id
        and conversation.person_id is null
        and (
          conversation.participant_digits = any (spellings)
          or (length(conversation.participant_digits) >= 10 and right(conversation.participant_digits, 10) = right(digits, 10))
        )
      union
      select conversation.id, conversation.platform, conversation.participant_identifier
      from public.conversations as conversation
      where adopt_conversations.platform is not null
        and conversation.workspace_id = adopt_conversations.workspace_id
        and conversation.person_id is null
        and conversation.platform = adopt_conversations.platform
        and private.identity_key(conversation.platform, conversation.participant_identifier)
          = identity_key
    ),
    matched as (
      select candidate.id, private.match_person(
        adopt_conversations.workspace_id, candidate.platform, candidate.participant_identifier
      ) as person_id
      from candidate
    ),
    locked as (
      select conversation.id
      from public.conversations as conversation
      where conversation.id in (select matched.id from matched where matched.person_id is not null)
        and conversation.person_id is null
      order by conversation.external_conversation_id
      for no key update skip locked
    ),
    linked as (
      update public.conversations as conversation
      set person_id = matched.person_id
      from matched
      where conversation.id = matched.id
        and conversation.id in (select locked.id from locked)
      returning conversation.person_id, conversation.last_message_at
    )
    update public.people as person
    set last_activity_at = newest.last_message_at
    from (
      select linked.person_id, max(linked.last_message_at) as last_message_at
      from linked
      group by linked.person_id
    ) as newest
    where person.id = newest.person_id
      and person.workspace_id = adopt_conversations.workspace_id
      and newest.last_message_at > coalesce(person.last_activity_at, '-infinity');
  exception when lock_not_available then
    -- "skip locked" still waits for some rows that were updated a moment ago.
    null;
  end;
end;
$$;

create or replace function private.thread_of(source public.connections, candidates text[])
returns text
language plpgsql
stable
set search_path = ''
set enable_seqscan = off
as $$
declare
  candidate text;
  thread text;
begin
  -- The first candidate that is the key or an alias of a thread, else the first candidate itself.
  foreach candidate in array thread_of.candidates loop
    select conversation.external_conversation_id into thread
    from public.conversations as conversation
    where conversation.user_id = (thread_of.source).user_id
      and conversation.workspace_id = (thread_of.source).workspace_id
      and conversation.platform = (thread_of.source).platform
      and conversation.external_conversation_id = candidate;
    if thread is null then
      select conversation.external_conversation_id into thread
      from private.thread_aliases as known
      join public.conversations as conversation on conversation.id = known.conversation_id
      where known.user_id = (thread_of.source).user_id
        and known.workspace_id = (thread_of.source).workspace_id
        and known.alias = candidate;
    end if;
    if thread is not null then
      return thread;
    end if;
  end loop;
  return thread_of.candidates[1];
end;
$$;
