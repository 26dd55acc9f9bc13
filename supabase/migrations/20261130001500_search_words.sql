-- The words of a text, and how they are looked for: the same rules for names, numbers and messages.

-- Folding ----------------------------------------------------------------------------------------

create function private.folded(given text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  -- Written out, and not classes such as [[:alnum:]]: those depend on the locale, and an index would change with the
  -- machine. Accents, Cyrillic, Hebrew and Arabic signs over and under letters, the nukta, tatweel, soft hyphens,
  -- joiners, marks of direction, and variants of glyphs.
  signs constant text := '[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a'
    '\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u093c\u09bc\u00ad\u034f\u061c\u180e'
    '\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]';
  key text;
begin
  -- ASCII: nothing to fold but the case and an apostrophe.
  if octet_length(folded.given) = length(folded.given) then
    return translate(lower(folded.given), '`', '''');
  end if;
  -- unaccent() is not immutable.
  key := lower(normalize(regexp_replace(normalize(folded.given, nfkd), signs, '', 'g'), nfc));
  key := replace(replace(replace(replace(key, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
  return translate(
    key,
    -- Letters that are written without their strokes, forms of Arabic letters, apostrophes, digits of other scripts.
    'đðøłıħŧςٱىةکیہ‘’‛ʼʻ′`´'
      '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९০১২৩৪৫৬৭৮৯੦੧੨੩੪੫੬੭੮੯૦૧૨૩૪૫૬૭૮૯௦௧௨௩௪௫௬௭௮௯'
      '౦౧౨౩౪౫౬౭౮౯೦೧೨೩೪೫೬೭೮೯๐๑๒๓๔๕๖๗๘๙໐໑໒໓໔໕໖໗໘໙༠༡༢༣༤༥༦༧༨༩၀၁၂၃၄၅၆၇၈၉០១២៣៤៥៦៧៨៩',
    'ddolihtσايهكيه''''''''''''''''' || repeat('0123456789', 14)
  );
end;
$$;
comment on function private.folded(text) is
  'A text as it is compared in searches: lower case, without accents and vowel signs, one form of letters that are '
  'written in several ways (ß as ss, ł as l, أ as ا), digits as 0 to 9, apostrophes as ''. Immutable, because indexes '
  'contain it.';

create function private.search_key(text_to_find text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return replace(private.folded(search_key.text_to_find), '''', '');
end;
$$;
comment on function private.search_key(text) is
  'The form in which names and previews are searched: private.folded without apostrophes.';

-- Words ------------------------------------------------------------------------------------------

create function private.word_signs()
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, Syriac to Thaana, the scripts of India, Georgian, Ethiopic and
  -- what follows; without their punctuation.
  return 'a-z\u00aa\u00b5\u00ba\u00df-\u00f6\u00f8-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u0386\u0388-\u0481'
    '\u048a-\u0559\u0561-\u0588\u05d0-\u05f2\u0620-\u064a\u066e-\u06d3\u06d5\u06ee-\u06ef\u06fa-\u06ff\u0710-\u07bf'
    '\u07ca-\u07f5\u0800-\u082d\u0840-\u085b\u08a0-\u08ff\u0900-\u0963\u0971-\u0df3\u10a0-\u10fa\u10fc-\u10ff'
    '\u1200-\u1360\u1380-\u167f\u16a0-\u16ea\u1700-\u1714\u1810-\u18ff\u1e00-\u1fbc\u1fc2-\u1ffc\u2c00-\u2cee'
    '\u2d00-\u2dff\ua640-\ua672\ua680-\ua7ff\uaa80-\uaadd';
end;
$$;
comment on function private.word_signs() is
  'Letters of scripts that put spaces between words, as ranges of a regular expression, in the form of private.folded.';

create function private.pair_signs()
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- Thai, Lao, Tibetan, Burmese, Khmer, Korean, Chinese, Japanese.
  return '\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0eff\u0f40-\u0fbc\u1000-\u103f\u1050-\u109f\u1100-\u11ff'
    '\u1780-\u17d3\u17dc\u2e80-\u2fd5\u3005-\u3007\u3021-\u3029\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f'
    '\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufad9\U00020000-\U000323af';
end;
$$;
comment on function private.pair_signs() is
  'Signs of scripts that put no spaces between words, as ranges of a regular expression. Their words are the pairs of '
  'neighbours. Korean is among them: what follows a noun is written together with it.';

create function private.number_endings(digits text)
returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
  select string_agg(right(digits, size), ' ') from generate_series(4, length(digits)) as ending (size);
$$;
comment on function private.number_endings(text) is
  'The last four digits of a number, the last five, and so on to the whole: any run of its digits begins one of them.';

create function private.joined_parts(run text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  parts constant text[] := string_to_array(run, E'\x01');
  pairs text := '';
begin
  for place in 2..cardinality(parts) loop
    pairs := pairs || ' ' || parts[place - 1] || parts[place];
  end loop;
  return pairs;
end;
$$;
comment on function private.joined_parts(text) is 'Each two neighbours of a run, whose parts U+0001 divides, as one word.';

create function private.text_words(folded text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  -- A word is compared by its first signs. An entry of the index ends at 2,046 bytes.
  longest constant integer := 40;
  -- Of one text: what has more is a table, and its numbers are words as well.
  most_numbers constant integer := 100;
  -- Shorter texts seldom have a word twice.
  short_text constant integer := 200;
  is_ascii constant boolean := octet_length(text_words.folded) = length(text_words.folded);
  letters constant text := case when is_ascii then 'a-z' else private.word_signs() end;
  signs text;
  -- U+0001 is where one part of a run ends and the next begins, as in order-4711 and order4711.
  parts text := text_words.folded;
  singles text;
  words text := '';
begin
  if not is_ascii then
    signs := private.pair_signs();
    if parts ~ ('[' || signs || ']') then
      singles := regexp_replace(parts, '[^' || signs || ']+', ' ', 'g');
      parts := regexp_replace(parts, '[' || signs || ']+', ' ', 'g');
      -- Pairs from the first sign of a run, and from the second. One of both leaves the last sign alone.
      words := regexp_replace(singles, '([^ ]{2})', '\1 ', 'g') || ' '
        || regexp_replace(regexp_replace(singles, '(^| )[^ ]', '\1', 'g'), '([^ ]{2})', '\1 ', 'g');
    end if;
  end if;

  if parts ~ '[0-9]' then
    if parts ~ '[0-9][0-9 ()./-]{4,}[0-9]' then
      words := concat_ws(' ', words, (
        select string_agg(private.number_endings(number.digits), ' ')
        from (
          select regexp_replace(found.match[1], '[^0-9]', '', 'g') as digits
          from regexp_matches(parts, '[0-9](?:[ ()./-]{0,3}[0-9])+', 'g') as found (match)
          limit most_numbers
        ) as number
        where length(number.digits) between 6 and 20
      ));
    end if;
    parts := regexp_replace(
      regexp_replace(parts, '([' || letters || '])([0-9])', E'\\1\x01\\2', 'g'),
      '([0-9])([' || letters || '])', E'\\1\x01\\2', 'g'
    );
  end if;
  parts := translate(
    regexp_replace(parts, '[^0-9[:space:]' || letters || ']+', E'\x01', 'g'), E'\t\n\x0b\f\r', '     '
  );
  if strpos(parts, E'\x01') > 0 then
    words := words || coalesce((
      select string_agg(private.joined_parts(found.match[1]), '')
      from regexp_matches(parts, E'([^ \x01]+(?:\x01[^ \x01]+)+)', 'g') as found (match)
    ), '');
    parts := replace(translate(parts, E'\x01', ' '), '  ', ' ');
  end if;
  -- Numbers are found without the zeros in front of them.
  if strpos(parts, '0') > 0 and parts ~ '(^| )0' then
    words := words || ' ' || coalesce((
      select string_agg(found.match[2], ' ')
      from regexp_matches(parts, '(^| )0+([1-9][0-9]*)', 'g') as found (match)
    ), '');
  end if;
  words := words || ' ' || parts;
  if length(words) <= short_text then
    return ' ' || words || ' ';
  end if;
  return ' ' || (
    select coalesce(string_agg(distinct left(word, longest) collate "C", ' '), '')
    from string_to_table(words, ' ') as word
    where word <> ''
  ) || ' ';
end;
$$;
comment on function private.text_words(text) is
  'The words of a text in the form of private.folded, with spaces before and after each: its words, neighbours that are '
  'written together with only a hyphen, a full stop or a change between letters and digits between them, pairs of '
  'signs where words have no spaces, and the endings of numbers of 6 to 20 digits. Words have no spaces and no %, _ or \.';

-- Queries ----------------------------------------------------------------------------------------

create type private.query_word as (
  word text,
  is_beginning boolean,
  parts text[],
  mark text
);
comment on type private.query_word is
  'A word that a text must have, or must have a beginning of. parts: what it is put together from; mark: the regular expression that finds it in the text.';

create type private.search_query as (
  needles text[],
  numbers text[],
  patterns text[],
  excluded text[],
  phrases text[],
  excluded_phrases text[],
  tokens tsquery,
  mark text
);
comment on type private.search_query is
  'What a search asks for. needles and numbers: for LIKE, what every fitting text has when all but words and spaces is '
  'taken out of it, or all but digits; patterns and excluded: for LIKE, on the line of private.message_words; phrases and excluded_phrases: regular '
  'expressions on private.folded. tokens: all words, for an index; null where there is none. '
  'mark: finds any of the words in a text.';

create function private.number_word(digits text)
returns private.query_word
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  -- +62 812 and 0812 are one number: the country code and the zero are left out.
  wanted constant text := coalesce(nullif(ltrim(digits, '0'), ''), digits);
  found constant text := case when length(wanted) >= 10 then right(wanted, 9) else wanted end;
begin
  return row(
    found, true, array[found],
    regexp_replace(found, '([0-9])(?=[0-9])', '\1[ ()./-]{0,3}', 'g')
  );
end;
$$;
comment on function private.number_word(text) is
  'Digits as they are looked for: as the beginning of an ending of a number, in any spelling of it.';

create function private.query_words(folded text, is_open boolean)
returns setof private.query_word
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  longest constant integer := 40;
  letters constant text := private.word_signs();
  signs constant text := private.pair_signs();
  outside constant text := '(?<![0-9' || letters || '])';
  between_parts constant text := '[^0-9[:space:]' || letters || ']*';
  runs text[];
  run text;
  piece text;
  pieces text[];
  parts text[];
  is_last boolean;
begin
  -- A number that was typed with spaces.
  if query_words.folded ~ '^[0-9 +()./-]+$' and query_words.folded ~ '[0-9].*[0-9].*[0-9].*[0-9]'
    and query_words.folded ~ '^ *[+0(]|(^| )[^0-9]*[0-9]{1,3}( |$)'
  then
    return next private.number_word(regexp_replace(query_words.folded, '[^0-9]', '', 'g'));
    return;
  end if;
  runs := regexp_split_to_array(btrim(query_words.folded, E' \t\n\r'), '[[:space:]]+');
  for place in 1..cardinality(runs) loop
    run := runs[place];
    is_last := query_words.is_open and place = cardinality(runs);
    for piece in
      select found.match[1] from regexp_matches(run, '([' || signs || ']+)', 'g') as found (match)
    loop
      if length(piece) = 1 then
        return next row(piece, true, array[piece], piece)::private.query_word;
      else
        return query
        select substr(piece, start, 2), false, array[substr(piece, start, 2)], piece from generate_series(1, length(piece) - 1) as start;
      end if;
    end loop;
    pieces := regexp_split_to_array(run, '[' || signs || ']+');
    for number in 1..cardinality(pieces) loop
      parts := array(
        select found.match[1]
        from regexp_matches(pieces[number], '([0-9]+|[' || letters || ']+)', 'g') as found (match)
      );
      is_last := is_last and number = cardinality(pieces);
      if cardinality(parts) = 0 then
        continue;
      elsif array_to_string(parts, '') ~ '^[0-9]+$' and (
        cardinality(parts) = 1 or length(array_to_string(parts, '')) >= 6
      ) then
        return next private.number_word(array_to_string(parts, ''));
      elsif cardinality(parts) = 1 then
        return next row(
          left(parts[1], longest), is_last or length(parts[1]) > longest, array[left(parts[1], longest)],
          -- As one word, it is also found where a sign parts it: dont in don't.
          outside || regexp_replace(parts[1], '(.)(?=.)', '\1[''._/-]?', 'g') || case when is_last then '' else '(?![0-9' || letters || '])' end
        )::private.query_word;
      else
        return query
        select left(parts[start] || parts[start + 1], longest),
          (is_last and start = cardinality(parts) - 1) or length(parts[start] || parts[start + 1]) > longest,
          parts[start : start + 1], outside || array_to_string(parts, between_parts)
        from generate_series(1, cardinality(parts) - 1) as start;
      end if;
    end loop;
  end loop;
end;
$$;
comment on function private.query_words(text, boolean) is
  'The words that a text must have to be found, from a search in the form of private.folded: see private.text_words. '
  'is_open: its last word may be the beginning of one.';

create function private.phrase_expression(folded text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  signs constant text := '0-9' || private.word_signs();
  phrase constant text := btrim(phrase_expression.folded, E' \t\n\r');
begin
  return case when phrase ~ ('^[' || signs || ']') then '(?<![' || signs || '])' else '' end
    || regexp_replace(regexp_replace(phrase, '([!-/:-@[-`{-~])', '\\\1', 'g'), '[[:space:]]+', '[[:space:]]+', 'g')
    || case when phrase ~ ('[' || signs || ']$') then '(?![' || signs || '])' else '' end;
end;
$$;
comment on function private.phrase_expression(text) is
  'The regular expression that finds a phrase in a text, both in the form of private.folded: its words whole, in their '
  'order, with its punctuation.';

create function private.read_search(search text)
returns private.search_query
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  most_signs constant integer := 200;
  -- Quotation marks of all kinds.
  given constant text := translate(private.folded(left(read_search.search, most_signs)), '“”„‟«»「」『』', '""""""""""');
  quoted constant text := '(^|[[:space:]])(-?)"([^"]*)"';
  rest text := regexp_replace(given, quoted, ' ', 'g');
  words private.query_word[] := '{}';
  parsed private.search_query := row('{}', '{}', '{}', '{}', '{}', '{}', null, null)::private.search_query;
  phrase text[];
  negative text;
begin
  for phrase in select found.match from regexp_matches(given, quoted, 'g') as found (match) loop
    if phrase[3] !~ ('[0-9' || private.word_signs() || private.pair_signs() || ']') then
      continue;
    elsif phrase[2] = '-' then
      parsed.excluded_phrases := parsed.excluded_phrases || private.phrase_expression(phrase[3]);
    else
      parsed.phrases := parsed.phrases || private.phrase_expression(phrase[3]);
      words := words || array(
        select row(needed.word, needed.is_beginning, needed.parts, private.phrase_expression(phrase[3]))::private.query_word
        from private.query_words(phrase[3], false) as needed
      );
    end if;
  end loop;
  -- A minus before a word; one between two words is a hyphen, and one before a number alone is no sum.
  for negative in
    select found.match[2] from regexp_matches(rest, '(^|[[:space:]])-([^[:space:]]+)', 'g') as found (match)
  loop
    parsed.excluded := parsed.excluded || array(
      select case when needed.is_beginning then '% ' || needed.word || '%' else '% ' || needed.word || ' %' end
      from private.query_words(negative, false) as needed
    );
  end loop;
  rest := regexp_replace(rest, '(^|[[:space:]])-[^[:space:]]+', '\1', 'g');
  if rest ~ '[^[:space:]]' then
    words := words || array(
      -- The last word is being typed, until a space ends it.
      select needed from private.query_words(rest, rest !~ '[[:space:]]$' and given !~ '"$') as needed
    );
  end if;
  parsed.needles := array(
    select distinct '%' || part || '%' from unnest(words) as needed cross join lateral unnest(needed.parts) as part
    where part !~ '^[0-9]+$'
  );
  parsed.numbers := array(
    select distinct '%' || part || '%' from unnest(words) as needed cross join lateral unnest(needed.parts) as part
    where part ~ '^[0-9]+$'
  );
  parsed.patterns := array(
    select distinct '% ' || needed.word || case when needed.is_beginning then '%' else ' %' end
    from unnest(words) as needed
  );
  -- Words have no quotes and no backslashes.
  parsed.tokens := (
    select string_agg(distinct
      '''' || needed.word || '''' || case when needed.is_beginning then ':*' else '' end, ' & '
    )
    from unnest(words) as needed
  )::tsquery;
  -- The longest first, so that a word is marked whole where it begins another one.
  parsed.mark := (
    select string_agg(marked.mark, '|' order by length(marked.mark) desc, marked.mark)
    from (select distinct needed.mark from unnest(words) as needed) as marked
  );
  return parsed;
end;
$$;
comment on function private.read_search(text) is
  'Read what a member typed, at most 200 characters: words in any order, the last one as a beginning unless a space '
  'follows; "words in quotes" as a phrase; -word and -"phrase" for what must not be there. Never fails.';

create function private.fits(query private.search_query, line text, folded text)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return line like all (query.patterns)
    and not (line like any (query.excluded))
    and folded ~ all (query.phrases)
    and not (folded ~ any (query.excluded_phrases));
end;
$$;
comment on function private.fits(private.search_query, text, text) is
  'Whether a text fits a search: line, its words with a space before and after each, and folded, the text itself in the '
  'form of private.folded.';

-- Names ------------------------------------------------------------------------------------------

create function private.search_fragments(search text)
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  key constant text := translate(private.search_key(search_fragments.search), '"“”„‟«»', '');
begin
  -- A number is found in any spelling: +62 812-3456, or (0812) 3456, whose full form begins with the country code
  -- instead of the zero.
  if key ~ '^[0-9 ()+./-]*$' and key ~ '[0-9].*[0-9].*[0-9]' then
    return array[coalesce(nullif(ltrim(regexp_replace(key, '[^0-9]', '', 'g'), '0'), ''), key)];
  end if;
  return array(
    select distinct_word.word
    from (
      select distinct word from regexp_split_to_table(key, '[[:space:]]+') as word
      -- Without what a search in messages excludes.
      where word <> '' and (word !~ '^-.' or key ~ '^[[:space:]]*-[^[:space:]]+[[:space:]]*$')
    ) as distinct_word
    order by length(distinct_word.word) desc, distinct_word.word
  );
end;
$$;
comment on function private.search_fragments(text) is
  'What a name, number or preview must contain to be found, in the form of private.search_key: each word of the search, '
  'the longest first, or the digits of a number.';

create function private.fragment_patterns(fragments text[])
returns text[]
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return array(
    select '%' || replace(replace(replace(fragment.value, '\', '\\'), '%', '\%'), '_', '\_') || '%'
    from unnest(fragment_patterns.fragments) with ordinality as fragment (value, place)
    order by fragment.place
  );
end;
$$;
comment on function private.fragment_patterns(text[]) is 'The same for LIKE.';

-- Who may call these functions -------------------------------------------------------------------

revoke execute on function
  private.folded(text),
  private.search_key(text),
  private.word_signs(),
  private.pair_signs(),
  private.number_endings(text),
  private.joined_parts(text),
  private.text_words(text),
  private.number_word(text),
  private.query_words(text, boolean),
  private.phrase_expression(text),
  private.read_search(text),
  private.fits(private.search_query, text, text),
  private.search_fragments(text),
  private.fragment_patterns(text[])
from public, anon, authenticated, service_role;
grant execute on function
  private.folded(text),
  private.search_key(text),
  private.word_signs(),
  private.pair_signs(),
  private.number_endings(text),
  private.joined_parts(text),
  private.text_words(text),
  private.number_word(text),
  private.query_words(text, boolean),
  private.phrase_expression(text),
  private.read_search(text),
  private.fits(private.search_query, text, text),
  private.search_fragments(text),
  private.fragment_patterns(text[])
to authenticated, service_role;
