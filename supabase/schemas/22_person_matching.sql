-- Finds the one person a participant is, and links conversations to people who are added later.

create function private.match_person(workspace_id uuid, platform text, identifier text)
returns uuid
language plpgsql
stable
set search_path = ''
-- Every look-up is by key, and a plan that is made while a workspace is small is kept while it grows.
set jit = off
set enable_seqscan = off
as $$
declare
  known_id uuid;
  matched uuid[];
  digits text;
  country text;
  -- In variables, because a function in a condition may be called once for each row.
  spellings text[];
begin
  -- 1. A known identity.
  known_id := private.person_with_identity(
    match_person.workspace_id, match_person.platform, match_person.identifier
  );
  if known_id is not null then
    return known_id;
  end if;

  digits := private.phone_digits_of(match_person.platform, match_person.identifier);
  if digits is null then
    return null;
  end if;

  -- 2. The whole number and nothing else, as it is.
  known_id := private.person_with_phone_key(match_person.workspace_id, digits);
  if known_id is not null then
    return known_id;
  end if;

  -- From here on more than one person can match. Then no person is linked and no wider rule is tried: a message in
  -- the history of the wrong person is worse than one without a person.

  -- 3. The whole number, in another spelling, with an extension, or beside another number.
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = match_person.workspace_id;
  matched := private.people_with_spelling(match_person.workspace_id, private.phone_spellings(digits, country));
  if matched is not null then
    return case when cardinality(matched) = 1 then matched[1] end;
  end if;

  -- 4. The last ten digits.
  matched := private.people_with_last10(match_person.workspace_id, digits);
  if matched is not null then
    return case when cardinality(matched) = 1 then matched[1] end;
  end if;

  -- 5. Another number that reaches the same phone.
  spellings := private.phone_variant_spellings(digits, country);
  if cardinality(spellings) = 0 then
    return null;
  end if;
  matched := private.people_with_spelling(match_person.workspace_id, spellings);
  return case when cardinality(matched) = 1 then matched[1] end;
end;
$$;
comment on function private.match_person(uuid, text, text) is
  'The one person of the workspace whom a participant identifier belongs to: by identity, whole number, its '
  'spellings, last ten digits, national variants, in this order. Null where no person or more than one matches.';

create function private.adopt_conversations(workspace_id uuid, platform text, identifier text)
returns void
language plpgsql
-- Definer because members may add people but not write conversations. Called by the triggers below
-- alone, for a person the caller was just allowed to write.
security definer
set search_path = ''
-- Shorter than the time after which Postgres looks for deadlocks (1 s): see below.
set lock_timeout = '100ms'
set jit = off
set enable_seqscan = off
as $$
declare
  -- Of a person every number in the field, of an identity the number it may be.
  numbers text[] := case
    when adopt_conversations.platform is null then private.phone_numbers_in(adopt_conversations.identifier)
    else array[coalesce(
      private.phone_digits_of(adopt_conversations.platform, adopt_conversations.identifier),
      private.digits_in(adopt_conversations.identifier)
    )]
  end;
  digits text;
  country text;
  spellings text[] := '{}';
  last_tens text[] := '{}';
  identity_key text := private.identity_key(adopt_conversations.platform, adopt_conversations.identifier);
  candidates uuid[];
  -- Of one number: on several platforms and connections.
  most_conversations constant integer := 100;
begin
  select workspace.default_country into country
  from public.workspaces as workspace
  where workspace.id = adopt_conversations.workspace_id;
  foreach digits in array numbers loop
    spellings := spellings || private.phone_spellings(digits, country)
      || private.phone_variant_spellings(digits, country);
    last_tens := last_tens || right(digits, 10);
  end loop;

  -- By place in the order of an index, as in 21_people.sql.
  candidates := array(
    select conversation.id
    from unnest(spellings) as spelling (digits)
    cross join lateral (
      select waiting.id, waiting.workspace_id, waiting.participant_digits
      from public.conversations as waiting
      where waiting.person_id is null
        and (waiting.workspace_id, waiting.participant_digits)
          >= (adopt_conversations.workspace_id, spelling.digits collate "default")
      order by waiting.workspace_id, waiting.participant_digits
      limit most_conversations
    ) as conversation
    where conversation.workspace_id = adopt_conversations.workspace_id
      and conversation.participant_digits = spelling.digits
    union
    select conversation.id
    from unnest(last_tens) as ending (digits)
    cross join lateral (
      select waiting.id, waiting.workspace_id, right(waiting.participant_digits, 10) as last_ten
      from public.conversations as waiting
      where waiting.person_id is null
        and length(waiting.participant_digits) >= 10
        and (waiting.workspace_id, right(waiting.participant_digits, 10))
          >= (adopt_conversations.workspace_id, ending.digits collate "default")
      order by waiting.workspace_id, right(waiting.participant_digits, 10)
      limit most_conversations
    ) as conversation
    where conversation.workspace_id = adopt_conversations.workspace_id
      and conversation.last_ten = ending.digits
    union
    select conversation.id
    from (
      select waiting.id, waiting.workspace_id, waiting.platform,
        private.identity_key(waiting.platform, waiting.participant_identifier) as key
      from public.conversations as waiting
      where adopt_conversations.platform is not null
        and waiting.person_id is null
        and (
          waiting.workspace_id, waiting.platform,
          private.identity_key(waiting.platform, waiting.participant_identifier)
        ) >= (
          adopt_conversations.workspace_id, adopt_conversations.platform collate "default",
          identity_key collate "default"
        )
      order by waiting.workspace_id, waiting.platform,
        private.identity_key(waiting.platform, waiting.participant_identifier)
      limit most_conversations
    ) as conversation
    where conversation.workspace_id = adopt_conversations.workspace_id
      and conversation.platform = adopt_conversations.platform
      and conversation.key = identity_key
  );
  -- Nearly always nothing waits.
  if cardinality(candidates) = 0 then
    return;
  end if;

  begin
    -- The same rule as for a new message decides. A conversation that is being written at this moment is left out:
    -- waiting for it while holding the person could be a deadlock, and its next batch links it.
    with candidate as (
      select conversation.id, conversation.platform, conversation.participant_identifier
      from public.conversations as conversation
      where conversation.id = any (candidates)
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
      where conversation.id = any (array(select matched.id from matched where matched.person_id is not null))
        and conversation.person_id is null
      order by conversation.external_conversation_id
      for no key update skip locked
    ),
    linked as (
      update public.conversations as conversation
      set person_id = matched.person_id
      from matched
      where conversation.id = matched.id
        and conversation.id = any (array(select locked.id from locked))
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
      and person.id = any (array(select linked.person_id from linked))
      and person.workspace_id = adopt_conversations.workspace_id
      and newest.last_message_at > coalesce(person.last_activity_at, '-infinity');
  exception when lock_not_available then
    -- "skip locked" still waits for some rows that were updated a moment ago.
    null;
  end;
end;
$$;
comment on function private.adopt_conversations(uuid, text, text) is
  'Link the conversations of a workspace that waited for a person with this phone number (platform null) or '
  'identifier.';

create function private.adopt_conversations_of_person()
returns trigger
language plpgsql
-- Definer because members may not execute private.adopt_conversations themselves.
security definer
set search_path = ''
as $$
begin
  perform private.adopt_conversations(new.workspace_id, null, new.phone);
  return null;
end;
$$;
comment on function private.adopt_conversations_of_person() is
  'Trigger: a person who is added, or gets another number, adopts the conversations that waited for it.';

create trigger people_adopt_conversations_on_insert
  after insert on public.people
  for each row when (new.phone is not null)
  execute function private.adopt_conversations_of_person();

create trigger people_adopt_conversations_on_update
  after update of phone on public.people
  for each row when (new.phone is distinct from old.phone and new.phone is not null)
  execute function private.adopt_conversations_of_person();

create function private.adopt_conversations_of_identity()
returns trigger
language plpgsql
-- Definer because members may not execute private.adopt_conversations themselves.
security definer
set search_path = ''
as $$
begin
  perform private.adopt_conversations(new.workspace_id, new.platform, new.identifier);
  return null;
end;
$$;
comment on function private.adopt_conversations_of_identity() is
  'Trigger: a person who gets an identity adopts the conversations that waited for it.';

create trigger person_identities_adopt_conversations
  after insert on public.person_identities
  for each row execute function private.adopt_conversations_of_identity();

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.match_person(uuid, text, text),
  private.adopt_conversations(uuid, text, text),
  private.adopt_conversations_of_person(),
  private.adopt_conversations_of_identity()
from public, anon, authenticated, service_role;
grant execute on function private.match_person(uuid, text, text) to service_role;
