-- How phone numbers and other identifiers are compared: digits, national spellings, variants, last ten digits.

create table private.country_calling_codes (
  country text primary key,
  calling_code text not null,
  trunk_prefix text
);
comment on table private.country_calling_codes is
  'How numbers are written inside a country: facts of libphonenumber, compared with that library by a test.';
comment on column private.country_calling_codes.country is 'ISO 3166 alpha-2 code.';
comment on column private.country_calling_codes.calling_code is 'Country calling code, without plus sign.';
comment on column private.country_calling_codes.trunk_prefix is
  'Dialled before a national number, e.g. 0 in the United Kingdom. Null where there is none.';

create index country_calling_codes_calling_code_idx on private.country_calling_codes (calling_code);
comment on index private.country_calling_codes_calling_code_idx is
  'Finds the country of an international number by its first digits.';

insert into private.country_calling_codes (country, calling_code, trunk_prefix) values
  ('AC', '247', null), ('AD', '376', null), ('AE', '971', '0'), ('AF', '93', '0'), ('AG', '1', '1'),
  ('AI', '1', '1'), ('AL', '355', '0'), ('AM', '374', '0'), ('AO', '244', null), ('AR', '54', '0'),
  ('AS', '1', '1'), ('AT', '43', '0'), ('AU', '61', '0'), ('AW', '297', null), ('AX', '358', '0'),
  ('AZ', '994', '0'), ('BA', '387', '0'), ('BB', '1', '1'), ('BD', '880', '0'), ('BE', '32', '0'),
  ('BF', '226', null), ('BG', '359', '0'), ('BH', '973', null), ('BI', '257', null), ('BJ', '229', null),
  ('BL', '590', '0'), ('BM', '1', '1'), ('BN', '673', null), ('BO', '591', '0'), ('BQ', '599', null),
  ('BR', '55', '0'), ('BS', '1', '1'), ('BT', '975', null), ('BW', '267', null), ('BY', '375', '8'),
  ('BZ', '501', null), ('CA', '1', '1'), ('CC', '61', '0'), ('CD', '243', '0'), ('CF', '236', null),
  ('CG', '242', null), ('CH', '41', '0'), ('CI', '225', null), ('CK', '682', null), ('CL', '56', null),
  ('CM', '237', null), ('CN', '86', '0'), ('CO', '57', '0'), ('CR', '506', null), ('CU', '53', '0'),
  ('CV', '238', null), ('CW', '599', null), ('CX', '61', '0'), ('CY', '357', null), ('CZ', '420', null),
  ('DE', '49', '0'), ('DJ', '253', null), ('DK', '45', null), ('DM', '1', '1'), ('DO', '1', '1'),
  ('DZ', '213', '0'), ('EC', '593', '0'), ('EE', '372', null), ('EG', '20', '0'), ('EH', '212', '0'),
  ('ER', '291', '0'), ('ES', '34', null), ('ET', '251', '0'), ('FI', '358', '0'), ('FJ', '679', null),
  ('FK', '500', null), ('FM', '691', null), ('FO', '298', null), ('FR', '33', '0'), ('GA', '241', null),
  ('GB', '44', '0'), ('GD', '1', '1'), ('GE', '995', '0'), ('GF', '594', '0'), ('GG', '44', '0'),
  ('GH', '233', '0'), ('GI', '350', null), ('GL', '299', null), ('GM', '220', null), ('GN', '224', null),
  ('GP', '590', '0'), ('GQ', '240', null), ('GR', '30', null), ('GT', '502', null), ('GU', '1', '1'),
  ('GW', '245', null), ('GY', '592', null), ('HK', '852', null), ('HN', '504', null), ('HR', '385', '0'),
  ('HT', '509', null), ('HU', '36', '06'), ('ID', '62', '0'), ('IE', '353', '0'), ('IL', '972', '0'),
  ('IM', '44', '0'), ('IN', '91', '0'), ('IO', '246', null), ('IQ', '964', '0'), ('IR', '98', '0'),
  ('IS', '354', null), ('IT', '39', null), ('JE', '44', '0'), ('JM', '1', '1'), ('JO', '962', '0'),
  ('JP', '81', '0'), ('KE', '254', '0'), ('KG', '996', '0'), ('KH', '855', '0'), ('KI', '686', '0'),
  ('KM', '269', null), ('KN', '1', '1'), ('KP', '850', '0'), ('KR', '82', '0'), ('KW', '965', null),
  ('KY', '1', '1'), ('KZ', '7', '8'), ('LA', '856', '0'), ('LB', '961', '0'), ('LC', '1', '1'),
  ('LI', '423', '0'), ('LK', '94', '0'), ('LR', '231', '0'), ('LS', '266', null), ('LT', '370', '0'),
  ('LU', '352', null), ('LV', '371', null), ('LY', '218', '0'), ('MA', '212', '0'), ('MC', '377', '0'),
  ('MD', '373', '0'), ('ME', '382', '0'), ('MF', '590', '0'), ('MG', '261', '0'), ('MH', '692', '1'),
  ('MK', '389', '0'), ('ML', '223', null), ('MM', '95', '0'), ('MN', '976', '0'), ('MO', '853', null),
  ('MP', '1', '1'), ('MQ', '596', '0'), ('MR', '222', null), ('MS', '1', '1'), ('MT', '356', null),
  ('MU', '230', null), ('MV', '960', null), ('MW', '265', '0'), ('MX', '52', null), ('MY', '60', '0'),
  ('MZ', '258', null), ('NA', '264', '0'), ('NC', '687', null), ('NE', '227', null), ('NF', '672', null),
  ('NG', '234', '0'), ('NI', '505', null), ('NL', '31', '0'), ('NO', '47', null), ('NP', '977', '0'),
  ('NR', '674', null), ('NU', '683', null), ('NZ', '64', '0'), ('OM', '968', null), ('PA', '507', null),
  ('PE', '51', '0'), ('PF', '689', null), ('PG', '675', null), ('PH', '63', '0'), ('PK', '92', '0'),
  ('PL', '48', null), ('PM', '508', '0'), ('PR', '1', '1'), ('PS', '970', '0'), ('PT', '351', null),
  ('PW', '680', null), ('PY', '595', '0'), ('QA', '974', null), ('RE', '262', '0'), ('RO', '40', '0'),
  ('RS', '381', '0'), ('RU', '7', '8'), ('RW', '250', '0'), ('SA', '966', '0'), ('SB', '677', null),
  ('SC', '248', null), ('SD', '249', '0'), ('SE', '46', '0'), ('SG', '65', null), ('SH', '290', null),
  ('SI', '386', '0'), ('SJ', '47', null), ('SK', '421', '0'), ('SL', '232', '0'), ('SM', '378', null),
  ('SN', '221', null), ('SO', '252', '0'), ('SR', '597', null), ('SS', '211', '0'), ('ST', '239', null),
  ('SV', '503', null), ('SX', '1', '1'), ('SY', '963', '0'), ('SZ', '268', null), ('TA', '290', null),
  ('TC', '1', '1'), ('TD', '235', null), ('TG', '228', null), ('TH', '66', '0'), ('TJ', '992', null),
  ('TK', '690', null), ('TL', '670', null), ('TM', '993', '8'), ('TN', '216', null), ('TO', '676', null),
  ('TR', '90', '0'), ('TT', '1', '1'), ('TV', '688', null), ('TW', '886', '0'), ('TZ', '255', '0'),
  ('UA', '380', '0'), ('UG', '256', '0'), ('US', '1', '1'), ('UY', '598', '0'), ('UZ', '998', null),
  ('VA', '39', null), ('VC', '1', '1'), ('VE', '58', '0'), ('VG', '1', '1'), ('VI', '1', '1'),
  ('VN', '84', '0'), ('VU', '678', null), ('WF', '681', null), ('WS', '685', null), ('XK', '383', '0'),
  ('YE', '967', '0'), ('YT', '262', '0'), ('ZA', '27', '0'), ('ZM', '260', '0'), ('ZW', '263', '0');

grant select on private.country_calling_codes to service_role;
alter table private.country_calling_codes enable row level security;

create function private.digits_in(text_with_digits text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return regexp_replace(digits_in.text_with_digits, '[^0-9]', '', 'g');
end;
$$;
comment on function private.digits_in(text) is 'The digits of a text, in their order.';

create function private.phone_digits_of(platform text, identifier text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  -- Spaces, brackets and hyphens of every kind, and the invisible direction marks that come with
  -- numbers copied out of WhatsApp.
  bare text := regexp_replace(
    phone_digits_of.identifier,
    '^(whatsapp:|tel:)|[\s().\-/\u00a0\u2010-\u2015\u200b-\u200f\u202a-\u202e\u202f\u2060-\u2069\ufeff]',
    '', 'g'
  );
begin
  -- A WhatsApp address of a phone: 5511988887777@s.whatsapp.net, 5511988887777:12@s.whatsapp.net.
  if phone_digits_of.platform = 'whatsapp'
    and btrim(phone_digits_of.identifier) ~ '^[0-9]{7,15}(:[0-9]+)?@(s\.whatsapp\.net|c\.us)$'
  then
    return split_part(split_part(btrim(phone_digits_of.identifier), '@', 1), ':', 1);
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
  'so; null for usernames, LIDs, group ids and other identifiers.';

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
  select known.calling_code, known.trunk_prefix into code, trunk
  from private.country_calling_codes as known
  where known.country = phone_spellings.country;
  foreach national in array array[
    case when starts_with(international, code) then substr(international, length(code) + 1) end,
    case when starts_with(international, code || trunk) then substr(international, length(code || trunk) + 1) end,
    case when starts_with(phone_spellings.digits, trunk) then substr(phone_spellings.digits, length(trunk) + 1) end,
    case when code is not null then phone_spellings.digits end
  ] loop
    if length(national) >= 6 then
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

create function private.phone_variants(digits text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  variants text[] := '{}';
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
  '549 and 15. For look-up only: stored numbers are never rewritten.';

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
  -- Only numbers of Brazil, Mexico and Argentina have variants.
  if phone_variant_spellings.digits !~ '^(00)?5[245]'
    and coalesce(phone_variant_spellings.country, '') not in ('BR', 'MX', 'AR')
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
  private.phone_digits_of(text, text),
  private.identity_key(text, text),
  private.phone_spellings(text, text),
  private.phone_variants(text),
  private.phone_variant_spellings(text, text),
  private.have_same_last10(text, text)
from public, anon, authenticated, service_role;
grant execute on function
  private.digits_in(text),
  private.phone_digits_of(text, text),
  private.identity_key(text, text)
to authenticated, service_role;
grant execute on function
  private.phone_spellings(text, text),
  private.phone_variants(text),
  private.phone_variant_spellings(text, text),
  private.have_same_last10(text, text)
to service_role;
