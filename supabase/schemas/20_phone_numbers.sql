-- How phone numbers and other identifiers are compared: digits, national spellings, variants, last ten digits.

create function private.digits_in(text_with_digits text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return regexp_replace(private.with_ascii_digits(digits_in.text_with_digits), '[^0-9]', '', 'g');
end;
$$;
comment on function private.digits_in(text) is
  'The digits of a text, in their order. Digits of other scripts become 0 to 9.';

create function private.phone_extension_pattern()
returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
  -- The labels of libphonenumber, and a comma or semicolon, which are pauses while dialling. What follows must end
  -- there: after "0812 345 678, 0813 345 678" comes another number.
  select '([0-9][\s().-]*)'
    || '(?:(?:;\s*ext\s*=|[\s,;]*(?:e?xt(?:ensi(?:o|ó))?n?|доб|anexo|ramal|int|x|#|~)[.:]?[\s,-]*)([0-9]{1,7})'
    || '|[,;]+\s*([0-9]{1,6}))'
    || '#?(?![0-9]|\s*[-.(]?[0-9])';
$$;
comment on function private.phone_extension_pattern() is
  'Regular expression for the extension of a phone number: +1 415 555 2671 ext. 12, …x12, …;ext=12. Its first group '
  'is what stands before it, the second or third the extension. To be used with the flag i.';

create function private.phone_digits_of(platform text, identifier text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  bare text := phone_digits_of.identifier;
begin
  -- Nearly every identifier is written like this, and needs none of what follows.
  if bare !~ '^\+?[0-9]{7,17}$' then
    -- Full-width letters and signs are the ordinary ones.
    bare := btrim(private.with_ascii_digits(normalize(bare, nfkc)));
    -- The address of a phone at WhatsApp, 5511988887777@s.whatsapp.net, or of one of its devices: …:12@… and ….0:12@….
    if phone_digits_of.platform = 'whatsapp' and bare ~* '@(s\.whatsapp\.net|c\.us|hosted)$' then
      return substring(lower(bare) from '^([0-9]{7,15})(?:[._][0-9]+)?(?::[0-9]+)?@');
    end if;
    -- Usernames, LIDs, UUIDs and ids of groups, before the costly part.
    if bare !~* '^(whatsapp:|tel:)?[^[:alpha:]@]{7}' then
      return null;
    end if;
    bare := regexp_replace(bare, private.phone_extension_pattern() || '\s*$', '\1', 'i');
    -- Spaces, brackets and hyphens of every kind, and the invisible direction marks that come with
    -- numbers copied out of WhatsApp.
    bare := regexp_replace(
      bare,
      '^(whatsapp:|tel:)|[\s().\-/\u00a0\u2010-\u2015\u200b-\u200f\u202a-\u202e\u202f\u2060-\u2069\ufeff]',
      '', 'gi'
    );
  end if;
  -- On Telegram and WeChat bare digits are a user id, and ten of them would match the phone of another person.
  if bare !~ '^\+?[0-9]{7,17}$'
    or (phone_digits_of.platform not in ('whatsapp', 'signal') and left(bare, 1) <> '+')
  then
    return null;
  end if;
  bare := ltrim(bare, '+');
  if left(bare, 2) = '00' then
    bare := substr(bare, 3);
  end if;
  return case when length(bare) between 7 and 15 then bare end;
end;
$$;
comment on function private.phone_digits_of(text, text) is
  'Digits of a participant identifier that is a phone number, international without plus where the platform gave it '
  'so, and without an extension; null for usernames, LIDs, group ids and other identifiers. phoneDigits in '
  'supabase/functions/_shared/phone/digits.ts is the same rule.';

create function private.split_numbers(run text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  numbers text[] := '{}';
  piece text := '';
  part text;
  gap record;
begin
  foreach part in array regexp_split_to_array(split_numbers.run, '[/,;&]') loop
    -- A slash also stands inside a number: 0151/234 567 89. So both sides must be long enough, and an international
    -- number must not simply continue.
    if length(private.digits_in(piece)) >= 7
      and length(private.digits_in(part)) >= 7
      and (
        length(private.digits_in(piece || part)) > 15
        or ltrim(part) ~ '^[0(]'
        or ltrim(piece) !~ '^(\+|00)'
      )
    then
      numbers := numbers || piece;
      piece := part;
    else
      piece := piece || ' ' || part;
    end if;
  end loop;
  -- More digits than any number has: two of the same length, with only a space between them.
  if length(private.digits_in(piece)) > 15 then
    for gap in
      select left(piece, place) as head, substr(piece, place) as tail
      from generate_series(1, length(piece)) as place
      where substr(piece, place, 1) = ' '
    loop
      if length(private.digits_in(gap.head)) = length(private.digits_in(gap.tail)) then
        return numbers || gap.head || gap.tail;
      end if;
    end loop;
  end if;
  return numbers || piece;
end;
$$;
comment on function private.split_numbers(text) is
  'The phone numbers in a run of digits and punctuation, which may hold several: 0812 345 678 / 0813 345 678.';

create function private.phone_numbers_in(phone text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  written text;
  has_letters boolean;
  found record;
  part text;
  digits text;
  numbers text[] := '{}';
begin
  if phone_numbers_in.phone is null then
    return numbers;
  end if;
  -- Nearly every phone is one number with nothing beside it.
  if phone_numbers_in.phone ~ '^\+?[0-9 ().-]{0,24}$' then
    digits := regexp_replace(phone_numbers_in.phone, '[^0-9]', '', 'g');
    if length(digits) between 1 and 15 then
      return array[digits];
    end if;
  end if;
  written := regexp_replace(
    private.with_ascii_digits(normalize(phone_numbers_in.phone, nfkc)),
    '[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]', '', 'g'
  );
  written := regexp_replace(written, private.phone_extension_pattern(), '\1|', 'gi');
  -- Every kind of space and hyphen as one, and lines as what they are: a list.
  written := regexp_replace(written, '[\u2010-\u2015]', '-', 'g');
  written := translate(written, chr(160) || chr(8239) || chr(9) || chr(13) || chr(10), '   //');
  has_letters := written ~ '[[:alpha:]]';
  for found in
    select match.parts[1] as run, coalesce(match.parts[2], '') as letter
    from regexp_matches(written, '(\+?[0-9(][0-9 ().\-/,;&]*)([[:alpha:]]?)', 'g') as match (parts)
  loop
    -- 1-800-FLOWERS: letters that continue a short number are a part of it, and its digits alone are no number.
    continue when found.letter <> '' and found.run ~ '[0-9][-.]?$' and length(private.digits_in(found.run)) < 9;
    foreach part in array private.split_numbers(found.run) loop
      digits := private.digits_in(part);
      -- Beside words, a short number may be anything: "flat 12".
      if digits <> '' and digits <> all (numbers) and (length(digits) >= 7 or not has_letters) then
        numbers := numbers || digits;
      end if;
    end loop;
  end loop;
  return numbers;
end;
$$;
comment on function private.phone_numbers_in(text) is
  'The digits of each phone number in a field that people fill, in their order: without extensions, labels and what '
  'stands beside them. Empty for vanity numbers such as 1-800-FLOWERS, whose letters belong to them.';

create function private.phone_key_of(phone text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  numbers text[] := private.phone_numbers_in(phone_key_of.phone);
  written text;
  extensions text;
  key text;
begin
  if cardinality(numbers) = 1 and phone_key_of.phone ~ '^\+?[0-9 ().-]*$' then
    return numbers[1];
  end if;
  written := private.with_ascii_digits(normalize(phone_key_of.phone, nfkc));
  if cardinality(numbers) > 0 then
    -- Two people behind one switchboard have the same number with two extensions.
    select string_agg('x' || coalesce(match.parts[2], match.parts[3]), '') into extensions
    from regexp_matches(written, private.phone_extension_pattern(), 'gi') as match (parts);
    return array_to_string(numbers, '/') || coalesce(extensions, '');
  end if;
  key := lower(regexp_replace(written, '[^[:alnum:]]', '', 'g'));
  return case when key ~ '[0-9]' then key end;
end;
$$;
comment on function private.phone_key_of(text) is
  'The form in which phone numbers of people are unique: the digits, with the extension where there is one, of all '
  'numbers in the field; digits and letters of a vanity number. Null without a digit.';

create function private.other_phone_keys(phone text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  others text[] := (private.phone_numbers_in(other_phone_keys.phone))[2:];
begin
  if cardinality(others) = 0 then
    return null;
  end if;
  return others || array(
    select '*' || right(other.digits, 10) from unnest(others) as other (digits) where length(other.digits) >= 10
  );
end;
$$;
comment on function private.other_phone_keys(text) is
  'What the second and further numbers of a field are found by: their digits, and * with the last ten of them. Null '
  'where there is one number, as nearly always.';

create function private.identity_key(platform text, identifier text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return case
    when identity_key.platform in ('whatsapp', 'signal') then coalesce(
      private.phone_digits_of(identity_key.platform, identity_key.identifier),
      lower(btrim(identity_key.identifier))
    )
    -- Here bare digits are a user id, so a phone number keeps its plus sign.
    else coalesce(
      '+' || private.phone_digits_of(identity_key.platform, identity_key.identifier),
      -- Telegram usernames are the same in any letter case, WeChat's openids are not.
      case identity_key.platform
        when 'telegram' then lower(ltrim(btrim(identity_key.identifier), '@'))
        else btrim(identity_key.identifier)
      end
    )
  end;
end;
$$;
comment on function private.identity_key(text, text) is
  'The form in which identifiers of a platform are compared: @JohnDoe and johndoe are one Telegram user, +62 812… '
  'and 62812…@s.whatsapp.net one WhatsApp user.';

create function private.phone_spellings(digits text, country text)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
declare
  code text;
  trunk text;
  longest integer;
  national text;
  international text := regexp_replace(phone_spellings.digits, '^00', '');
  spellings text[] := array[phone_spellings.digits, international, '00' || international];
begin
  -- With the trunk prefix left in, +44 (0)7911 123456, or taken out again. No calling code is the
  -- beginning of another, so at most one of the three is one.
  for code, trunk in
    select distinct known.calling_code, known.trunk_prefix
    from private.country_calling_codes as known
    where known.calling_code in (left(international, 1), left(international, 2), left(international, 3))
      and known.trunk_prefix is not null
  loop
    national := substr(international, length(code) + 1);
    spellings := spellings || (code || trunk || national);
    if starts_with(national, trunk) then
      spellings := spellings || (code || substr(national, length(trunk) + 1));
    end if;
  end loop;
  code := null;
  trunk := null;
  select known.calling_code, known.trunk_prefix, known.longest_number into code, trunk, longest
  from private.country_calling_codes as known
  where known.country = phone_spellings.country;
  foreach national in array array[
    case when starts_with(international, code) then substr(international, length(code) + 1) end,
    case when starts_with(international, code || trunk) then substr(international, length(code || trunk) + 1) end,
    case when starts_with(phone_spellings.digits, trunk) then substr(phone_spellings.digits, length(trunk) + 1) end,
    case when code is not null then phone_spellings.digits end
  ] loop
    -- A trunk prefix, or Argentina's 15, may still be in it.
    if length(national) between 6 and longest + 2 then
      spellings := spellings || array[
        code || national,
        '00' || code || national,
        national,
        coalesce(trunk, '') || national,
        code || coalesce(trunk, '') || national
      ];
    end if;
  end loop;
  return spellings;
end;
$$;
comment on function private.phone_spellings(text, text) is
  'Every way in which the given digits may have been typed in that country: international, with 00, national, with '
  'the trunk prefix. The first element is the input itself.';

create function private.renumbered(digits text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  rule record;
  others text[] := '{}';
begin
  for rule in
    select known.code, known.old, known.new, known.rest
    from (values
      -- Ivory Coast, 2021: two digits for the operator. In the old numbers the second digit says which one has a mobile
      -- number, the third digit which one has a landline.
      ('225', '', '01', '[04-9][0-3][0-9]{6}'),
      ('225', '', '05', '[04-9][4-6][0-9]{6}'),
      ('225', '', '07', '[04-9][7-9][0-9]{6}'),
      ('225', '', '21', '[23][0-9]8[0-9]{5}'),
      ('225', '', '25', '[23][0-9]0[0-9]{5}'),
      ('225', '', '27', '[23][0-9][1-79][0-9]{5}'),
      -- Benin, 2024.
      ('229', '', '01', '[0-9]{8}'),
      -- Gambia, from seven to nine digits: mobile numbers.
      ('220', '', '87', '[27][0-9]{6}'),
      ('220', '', '83', '(3[0-9]|5[0-489])[0-9]{5}'),
      ('220', '', '86', '6[0-9]{6}'),
      ('220', '', '89', '9[0-9]{6}'),
      -- Cameroon, 2014.
      ('237', '', '6', '[5-79][0-9]{7}'),
      ('237', '', '2', '(22|33|42|43)[0-9]{6}'),
      -- Gabon, 2019. Abroad the old numbers were dialled with and without their zero.
      ('241', '', '1', '1[0-9]{6}'), ('241', '0', '1', '1[0-9]{6}'),
      ('241', '', '6', '[256][0-9]{6}'), ('241', '0', '6', '[256][0-9]{6}'),
      ('241', '', '7', '[47][0-9]{6}'), ('241', '0', '7', '[47][0-9]{6}'),
      -- Colombia, 2021: landlines.
      ('57', '', '60', '[1245678][0-9]{7}'),
      -- Vietnam, 2018: mobile numbers of eleven digits.
      ('84', '120', '70', '[0-9]{7}'), ('84', '121', '79', '[0-9]{7}'), ('84', '122', '77', '[0-9]{7}'),
      ('84', '126', '76', '[0-9]{7}'), ('84', '128', '78', '[0-9]{7}'), ('84', '123', '83', '[0-9]{7}'),
      ('84', '124', '84', '[0-9]{7}'), ('84', '125', '85', '[0-9]{7}'), ('84', '127', '81', '[0-9]{7}'),
      ('84', '129', '82', '[0-9]{7}'), ('84', '16', '3', '[2-9][0-9]{7}'), ('84', '186', '56', '[0-9]{7}'),
      ('84', '188', '58', '[0-9]{7}'), ('84', '199', '59', '[0-9]{7}')
    ) as known (code, old, new, rest)
    where starts_with(renumbered.digits, known.code)
  loop
    if renumbered.digits ~ ('^' || rule.code || rule.old || rule.rest || '$') then
      others := others || (rule.code || rule.new || substr(renumbered.digits, length(rule.code || rule.old) + 1));
    elsif renumbered.digits ~ ('^' || rule.code || rule.new || rule.rest || '$') then
      others := others || (rule.code || rule.old || substr(renumbered.digits, length(rule.code || rule.new) + 1));
    end if;
  end loop;
  return others;
end;
$$;
comment on function private.renumbered(text) is
  'The international number that a phone had before its country changed its numbers, or has since; '
  'docs/adr/0031-phone-data-from-libphonenumber.md has the sources.';

create function private.phone_variants(digits text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  variants text[] := private.renumbered(phone_variants.digits);
  area_length integer;
begin
  -- Brazil, mobile only: the ninth digit was added in front of numbers that begin with 6 to 9.
  if phone_variants.digits ~ '^55[1-9][0-9]9[6-9][0-9]{7}$' then
    variants := variants || (left(phone_variants.digits, 4) || substr(phone_variants.digits, 6));
  elsif phone_variants.digits ~ '^55[1-9][0-9][6-9][0-9]{7}$' then
    variants := variants || (left(phone_variants.digits, 4) || '9' || substr(phone_variants.digits, 5));
  -- Mexico: the 1 after the country code that mobile numbers had until 2019, and WhatsApp kept.
  elsif phone_variants.digits ~ '^521[0-9]{10}$' then
    variants := variants || ('52' || substr(phone_variants.digits, 4));
  elsif phone_variants.digits ~ '^52[0-9]{10}$' then
    variants := variants || ('521' || substr(phone_variants.digits, 3));
  -- Argentina: a 9 after the country code from abroad, a 15 after the area code at home.
  elsif phone_variants.digits ~ '^549[0-9]{10}$' then
    variants := variants || ('54' || substr(phone_variants.digits, 4));
    for area_length in 2..4 loop
      variants := variants || (
        '54' || substr(phone_variants.digits, 4, area_length) || '15' || substr(phone_variants.digits, 4 + area_length)
      );
    end loop;
  elsif phone_variants.digits ~ '^54[0-9]{10}$' then
    variants := variants || ('549' || substr(phone_variants.digits, 3));
  elsif phone_variants.digits ~ '^54[0-9]{12}$' then
    for area_length in 2..4 loop
      if substr(phone_variants.digits, 3 + area_length, 2) = '15' then
        variants := variants || (
          '549' || substr(phone_variants.digits, 3, area_length) || substr(phone_variants.digits, 5 + area_length)
        );
      end if;
    end loop;
  end if;
  return variants;
end;
$$;
comment on function private.phone_variants(text) is
  'Other international numbers that reach the same phone: Brazil''s mobile ninth digit, Mexico''s 521, Argentina''s '
  '549 and 15, and numbers of before a renumbering. For look-up only: stored numbers are never rewritten.';

create function private.phone_variant_spellings(digits text, country text)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
declare
  spelling text;
  variant text;
  spellings text[] := '{}';
begin
  -- Only numbers of these countries have variants.
  if phone_variant_spellings.digits !~ '^(00)?(5[2457]|84|22[059]|237|241)'
    and coalesce(phone_variant_spellings.country, '') <> all (
      array['BR', 'MX', 'AR', 'CO', 'VN', 'GM', 'CI', 'BJ', 'CM', 'GA']
    )
  then
    return spellings;
  end if;
  foreach spelling in array private.phone_spellings(
    phone_variant_spellings.digits, phone_variant_spellings.country
  ) loop
    foreach variant in array private.phone_variants(spelling) loop
      spellings := spellings || private.phone_spellings(variant, phone_variant_spellings.country);
    end loop;
  end loop;
  return spellings;
end;
$$;
comment on function private.phone_variant_spellings(text, text) is
  'Every spelling of every variant of the given digits.';

create function private.have_same_last10(a text, b text)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  front_a text := ltrim(left(have_same_last10.a, -10), '0');
  front_b text := ltrim(left(have_same_last10.b, -10), '0');
begin
  -- The digits before the last ten must be a country code, or a part of the number, that one of the two omits.
  -- Otherwise they are two phones: +55 11 98888-7777 and +55 21 98888-7777 in Brazil, whose
  -- mobile numbers have eleven national digits, or +1 781 234 5678 and +44 7812 345678.
  return length(have_same_last10.a) >= 10
    and length(have_same_last10.b) >= 10
    and right(have_same_last10.a, 10) = right(have_same_last10.b, 10)
    and (
      front_a like '%' || front_b
      or front_b like '%' || front_a
      -- Russia and Kazakhstan dial 8 where others dial 0.
      or (front_a in ('7', '8') and front_b in ('7', '8'))
      -- Mexico dialled 044 or 045 before a mobile number until 2019.
      or (front_a in ('44', '45') and front_b in ('52', '521'))
      or (front_b in ('44', '45') and front_a in ('52', '521'))
    );
end;
$$;
comment on function private.have_same_last10(text, text) is
  'Whether two numbers agree in their last ten digits, and one of them only omits digits that the other has in front.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.digits_in(text),
  private.phone_extension_pattern(),
  private.phone_digits_of(text, text),
  private.split_numbers(text),
  private.phone_numbers_in(text),
  private.phone_key_of(text),
  private.other_phone_keys(text),
  private.identity_key(text, text),
  private.phone_spellings(text, text),
  private.renumbered(text),
  private.phone_variants(text),
  private.phone_variant_spellings(text, text),
  private.have_same_last10(text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.digits_in(text),
  private.phone_extension_pattern(),
  private.phone_digits_of(text, text),
  private.split_numbers(text),
  private.phone_numbers_in(text),
  private.phone_key_of(text),
  private.other_phone_keys(text),
  private.identity_key(text, text)
to authenticated, service_role;
grant execute on function
  private.phone_spellings(text, text),
  private.renumbered(text),
  private.phone_variants(text),
  private.phone_variant_spellings(text, text),
  private.have_same_last10(text, text)
to service_role;
