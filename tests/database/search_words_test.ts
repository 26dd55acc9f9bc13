/**
 * Which texts are found by which searches: every rule of `supabase/schemas/15_search_words.sql` as a row.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { useDatabase } from "../support/database.ts";

const database = useDatabase({ own: true });

/** A text, what finds it, and what does not. */
const TEXTS: readonly {
  readonly text: string;
  readonly found: readonly string[];
  readonly missed: readonly string[];
}[] = [
  {
    text: "My order is ZEBRA-4711, thank you",
    found: [
      "zebra-4711",
      "zebra4711",
      "4711",
      "ZEBRA 47",
      "zeb",
      "thank ORDER",
      "you, my order",
      '"order is"',
      '"zebra-4711"',
      "order -invoice",
      'order -"is order"',
      "ｚｅｂｒａ",
    ],
    missed: [
      "ebra",
      "zebra-4712",
      "47 order ZEBR ",
      '"is order"',
      '"zebra 4711"',
      "order -thank",
      'order -"order is"',
      "711",
      "orders",
    ],
  },
  {
    text: "ZEBRA4711",
    found: ["zebra-4711", "zebra4711", "4711", "zebra", "ZEBRA 47"],
    missed: [],
  },
  { text: "zebra 4711", found: ["zebra 4711", "4711 zebra"], missed: ["zebra4711"] },
  { text: "José comió piñas", found: ["jose", "JOSÉ", "comio", "pinas"], missed: ["josy"] },
  {
    text: "Hauptstraße 5, Größe M",
    found: ["hauptstrasse", "HAUPTSTRASSE", "grosse"],
    missed: ["strasse"],
  },
  { text: "Straße", found: ["strasse", "STRASSE", "straße", "stra"], missed: ["strase"] },
  { text: "İstanbul ve Iğdır", found: ["istanbul", "ISTANBUL", "İSTANBUL", "igdir"], missed: [] },
  {
    text: "Łódź, smørrebrød, Đorđe, þorn, Œuvre",
    found: ["lodz", "smorrebrod", "dorde", "thorn", "oeuvre"],
    missed: [],
  },
  { text: "Ещё раз, Ёлка", found: ["еще", "ещё", "елка", "ёлка"], missed: ["елки"] },
  { text: "Ο Οδυσσεύς", found: ["οδυσσευς", "ΟΔΥΣΣΕΥΣ"], missed: [] },
  { text: "أحمد في مدرسة", found: ["احمد", "أحمد", "مدرسه"], missed: ["محمد"] },
  { text: "مُحَمَّد", found: ["محمد"], missed: ["احمد"] },
  { text: "رقم ١٢٣٤", found: ["1234", "123", "١٢٣"], missed: ["234"] },
  { text: "سفارش ۴۷۱۱", found: ["4711"], missed: [] },
  { text: "שָׁלוֹם עולם", found: ["שלום", "עולם"], missed: ["שלומ"] },
  {
    text: "मेरा ऑर्डर १२३४५६ कहाँ है",
    found: ["ऑर्डर", "123456", "3456", "कहाँ", "मेरा कहाँ"],
    missed: ["आर्डर्स"],
  },
  { text: "আমার নাম রহিম", found: ["রহিম", "নাম"], missed: [] },
  {
    text: "我要退款申请",
    found: ["退款", "退", "款申", "我要退款", "申请 退款"],
    missed: ["退申", "款退"],
  },
  { text: "注文をキャンセルしたい", found: ["キャンセル", "注文", "文"], missed: ["ンキ"] },
  { text: "학교에 갔어요", found: ["학교", "학교에", "교"], missed: ["교학"] },
  { text: "ราคาเท่าไหร่", found: ["ราคา", "เท่าไหร่"], missed: ["คาราคา"] },
  { text: "តើតម្លៃប៉ុន្មាន", found: ["តម្លៃ", "ប៉ុន្មាន"], missed: [] },
  { text: "ຂອບໃຈ", found: ["ຂອບ"], missed: [] },
  { text: "ကျေးဇူးတင်ပါတယ်", found: ["ကျေးဇူး"], missed: [] },
  {
    text: "Call +62 812-3456-7890 please",
    found: [
      "081234567890",
      "7890",
      "62812",
      "+62 812-3456-7890",
      "0812 3456 7890",
      "3456",
      "812345",
      "567890",
      "call 7890",
    ],
    missed: ["7891", "0813", "62 811"],
  },
  { text: "62812345678", found: ["+62 812-345-678", "0812 345 678", "5678"], missed: [] },
  { text: "Rechnung 0042", found: ["0042", "42", "rechnung 0042"], missed: ["43"] },
  {
    text: "Invoice_2025-11.pdf",
    found: ["invoice 2025", "invoice_2025-11", "2025-11", "pdf", "invoice_2025-11.pdf"],
    missed: ["invoice2024"],
  },
  {
    text: "https://shop.example.com/items/77?ref=ab12cd",
    found: ["example.com", "shop.example", "items/77", "ab12cd", "ab12", "https"],
    missed: ["example.org"],
  },
  {
    text: "mail rita.b@example.com",
    found: ["rita", "rita.b@example.com", "rita.b@exam", "example"],
    missed: ["rita@example"],
  },
  { text: "server 192.168.1.10", found: ["192.168.1.10", "192.168", "168.1"], missed: ["193.168"] },
  {
    text: "don’t worry, it's l'huile",
    found: ["don't", "dont", "don’t", "its", "huile", '"don\'t worry"'],
    missed: ["donut"],
  },
  { text: "O`Brien", found: ["o'brien", "O’Brien", "obrien", "brien"], missed: [] },
  { text: "ﬁnal oﬃce", found: ["final", "office"], missed: [] },
  {
    text: "100% sure_thing \\ it's",
    found: ["100%", "sure_thing", "sure", "thing"],
    missed: ["1000"],
  },
  { text: "co-op e-mail a-b-c", found: ["coop", "co-op", "email", "e-mail", "a-b-c"], missed: [] },
  { text: "Ça va ? Voilà l’été", found: ["ca va", "voila", "ete", "l'ete"], missed: [] },
  { text: "🎂 birthday cake 🎂", found: ["birthday", "🎂 cake"], missed: [] },
  {
    text: `${"p".repeat(30)}-${"q".repeat(30)} and more`,
    found: [`${"p".repeat(30)}-${"q".repeat(30)} `, `more ${"p".repeat(30)}-${"q".repeat(30)}`],
    missed: [],
  },
  { text: "x".repeat(60), found: ["x".repeat(60), "x".repeat(45), "xxx"], missed: ["y"] },
];

Deno.test("texts are found in every language and spelling, and others are not", async () => {
  const cases = TEXTS.flatMap(({ text, found, missed }) => [
    ...found.map((search) => ({ text, search, isFound: true })),
    ...missed.map((search) => ({ text, search, isFound: false })),
  ]);
  const rows = await database.sql<{ place: number; fits: boolean; excerpt: string[] }[]>`
    select given.place::integer as place,
      private.message_fits(
        jsonb_build_object('direction', 'inbound', 'type', 'text', 'content', given.value ->> 'text'),
        private.read_search(given.value ->> 'search')
      ) and cardinality((private.read_search(given.value ->> 'search')).patterns) > 0 as fits,
      private.snippet(given.value ->> 'text', (private.read_search(given.value ->> 'search')).mark) as excerpt
    from jsonb_array_elements(${database.sql.json(cases)}) with ordinality as given (value, place)
    order by given.place`;
  const wrong = rows.filter((row, place) => row.fits !== cases[place]!.isFound)
    .map(({ place }) => cases[place - 1]);
  assertEquals(wrong, []);
  // What is found is marked, and nothing of the text is lost or changed.
  const unmarked = rows.filter((row, place) => cases[place]!.isFound && row.excerpt.length < 3)
    .map(({ place }) => cases[place - 1]);
  assertEquals(unmarked, []);
  for (const [place, { text }] of cases.entries()) {
    if (text.length <= 240) assertEquals(rows[place]!.excerpt.join(""), text.replace(/\s+/g, " "));
  }
});

Deno.test("no search is an error", async () => {
  const searches = [
    "",
    " ",
    "%",
    "_",
    "\\",
    "'",
    "''",
    '"',
    '""',
    '"""',
    "-",
    "--",
    '-"',
    '-""',
    ":*",
    "&",
    "|",
    "!",
    "()",
    "(",
    "[",
    "a:*",
    "a & b",
    "!a",
    "<->",
    "🎂",
    "\u0301",
    "\uD83D".toWellFormed(),
    "a".repeat(10_000),
    "é".repeat(300),
    "' or 1=1 --",
    "$1",
    "{}",
    "{a,b}",
    "\\d+",
    ".*",
    "a{1,5}",
    "(?i)a",
    "\u0001",
    "\u0001a\u0001",
    "١".repeat(100),
    "漢".repeat(200),
    '"a.b*c"',
    '"[a]"',
    '"(a"',
    '-"a|b"',
    '"a\\"',
    "a -",
    "- a",
    "+",
    "0",
    "00000",
    "1 2 3 4 5 6 7 8 9",
  ];
  const rows = await database.sql<{ place: number }[]>`
    select given.place, private.message_fits(
      '{"direction": "inbound", "type": "text", "content": "a text (a.b*c) 123"}', private.read_search(given.value)
    ) from jsonb_array_elements_text(${
    database.sql.json(searches)
  }) with ordinality as given (value, place)`;
  assertEquals(rows.length, searches.length);
});
