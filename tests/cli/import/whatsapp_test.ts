import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";

import { type ImportItem, type ImportMessage } from "../../../cli/import/import_item.ts";
import {
  prepareWhatsApp,
  readWhatsApp,
  type WhatsAppOptions,
} from "../../../cli/import/whatsapp.ts";
import { readChatEntries } from "../../../cli/import/whatsapp_lines.ts";
import { readChatMedia } from "../../../cli/import/whatsapp_media.ts";
import { CommandError } from "../../../cli/command_error.ts";

const FIXTURES = new URL("../../fixtures/import/whatsapp/", import.meta.url);
const OPTIONS = {
  fileName: "WhatsApp Chat with Sari Wijaya.txt",
  participant: "+62 812-3456-7890",
  timeZone: "Asia/Jakarta",
} satisfies WhatsAppOptions;

async function fixture(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(name, FIXTURES));
}

async function read(text: string, options: Partial<WhatsAppOptions> = {}) {
  const chat = await prepareWhatsApp(text, { ...OPTIONS, ...options });
  const items: ImportItem[] = await Array.fromAsync(readWhatsApp(chat));
  const messages = items.flatMap((item) => item.kind === "message" ? item.message : []);
  const skipped = items.flatMap((item) => item.kind === "skipped" ? item.reason : []);
  return { chat, messages, skipped };
}

const ids = (messages: ImportMessage[]) => messages.map(({ id }) => id);

/** The same conversation as seven phones export it. */
const SAME_CHAT = [
  { file: "android_24h_dmy.txt", order: "dmy", hasSeconds: false, image: "image" },
  { file: "android_12h_mdy.txt", order: "mdy", hasSeconds: false, image: "file" },
  { file: "android_german.txt", order: "dmy", hasSeconds: false, image: "image" },
  { file: "android_spanish.txt", order: "dmy", hasSeconds: false, image: "file" },
  { file: "iso_dates.txt", order: "ymd", hasSeconds: false, image: "file" },
  { file: "ios_24h_dmy.txt", order: "dmy", hasSeconds: true, image: "image" },
  { file: "ios_12h_mdy_crlf.txt", order: "mdy", hasSeconds: true, image: "image" },
];

for (const { file, order, hasSeconds, image } of SAME_CHAT) {
  Deno.test(`readWhatsApp() reads ${file}`, async () => {
    const { chat, messages, skipped } = await read(await fixture(file));
    assertEquals(chat.dateOrder, order);
    assertEquals(chat.isGroup, false);
    assertEquals(chat.me, "Toko Melati");
    assertEquals(chat.conversation, {
      externalId: "6281234567890",
      participantIdentifier: "+6281234567890",
      participantName: "Sari Wijaya",
    });
    assertEquals(
      messages.map(({ direction, type, content }) => [direction, type, content]),
      [
        ["inbound", "text", "Halo, masih buka?"],
        ["outbound", "text", "Masih, sampai jam 22.00\nAda yang bisa dibantu?"],
        ["inbound", image, "Yang ini ada?"],
        ["inbound", "text", "ok"],
        ["inbound", "text", "ok"],
        ["outbound", "location", "-6.2,106.816666"],
        ["inbound", "text", "This message was deleted"],
      ],
    );
    assertEquals(
      messages[0]?.sentAt,
      hasSeconds ? "2025-12-31T14:05:09.000Z" : "2025-12-31T14:05:00.000Z",
    );
    assertEquals(
      messages[5]?.sentAt,
      "2026-01-01T02:15:00.000Z",
    );
    assertEquals(skipped, ["notice of WhatsApp itself"]);
    assertEquals(new Set(ids(messages)).size, messages.length);
  });
}

Deno.test("readWhatsApp() gives a chat the same ids from every phone, language, zone and with or without media", async () => {
  const expected = ids((await read(await fixture("android_24h_dmy.txt"))).messages);
  for (const { file } of SAME_CHAT) {
    const { messages } = await read(await fixture(file), { timeZone: "America/Sao_Paulo" });
    assertEquals(ids(messages), expected, file);
  }
});

Deno.test("readWhatsApp() gives the old part of a longer export the same ids", async () => {
  const text = await fixture("android_24h_dmy.txt");
  const before = ids((await read(text)).messages);
  const longer =
    `${text}01/01/2026, 09:16 - Sari Wijaya: ok\n02/01/2026, 10:00 - Toko Melati: baru\n`;
  const after = ids((await read(longer)).messages);
  assertEquals(after.slice(0, before.length), before);
  assertEquals(new Set(after).size, before.length + 2);
});

Deno.test("readWhatsApp() gives the same ids after the contact was renamed", async () => {
  const text = await fixture("android_24h_dmy.txt");
  const renamed = text.replaceAll("Sari Wijaya", "+62 812-3456-7890");
  const { participant: _, ...withoutParticipant } = OPTIONS;
  const chat = await prepareWhatsApp(renamed, {
    ...withoutParticipant,
    fileName: "WhatsApp Chat with +62 812 3456 7890.txt",
  });
  assertEquals(chat.conversation, {
    externalId: "6281234567890",
    participantIdentifier: "+6281234567890",
  });
  const items = await Array.fromAsync(readWhatsApp(chat));
  assertEquals(
    items.flatMap((item) => item.kind === "message" ? item.message.id : []),
    ids((await read(text)).messages),
  );
});

Deno.test("readWhatsApp() keeps lines that only look like an entry", async () => {
  const { messages, skipped } = await read(await fixture("traps.txt"));
  assertEquals(messages.map(({ direction, content }) => `${direction}|${content}`), [
    "inbound|" + [
      "Agenda:",
      "31/12/2025 makan malam",
      "99/99/9999, 25:99 - Bukan: tanggal",
      "02/01/2026, 09:00 - Rapat: ruang A",
      "02/01/2026, 09:30 - istirahat",
      "[05/03/2026, 10:01:00] Bukan: format lain",
      "12:30 - Sari Wijaya: juga bukan",
      "selesai",
    ].join("\n"),
    "outbound|Siap: noted",
    "inbound|tadi tanpa sinyal",
    "outbound|terlambat kirim",
    "outbound|harganya <b>tetap</b> ya (promo)",
    "outbound|oke",
  ]);
  assertEquals(skipped, [
    "notice of WhatsApp itself",
    "empty message",
    "notice of WhatsApp itself",
  ]);
  assertEquals(messages.at(-1)?.metadata?.is_edited, true);
});

Deno.test("prepareWhatsApp() reads a group of an iPhone, whose notices are signed with its name", async () => {
  const text = await fixture("ios_group.txt");
  const options = { fileName: "WhatsApp Chat - Tim Gudang.zip", me: "Toko Melati" };
  const chat = await prepareWhatsApp(text, { ...options, timeZone: "UTC" });
  assertEquals(chat.isGroup, true);
  assertEquals(chat.conversation.participantName, "Tim Gudang");
  assertEquals(/^group-[0-9a-f]{24}$/.test(chat.conversation.externalId), true);
  const items = await Array.fromAsync(readWhatsApp(chat));
  const messages = items.flatMap((item) => item.kind === "message" ? item.message : []);
  assertEquals(
    messages.map(({ direction, type, senderName, content }) =>
      [direction, type, senderName, content].join("|")
    ),
    [
      "inbound|text|Budi Santoso|Pagi semua",
      "inbound|text|+62 812-0000-1111|Pagi pak",
      "inbound|audio|Rina|",
      "outbound|file|Toko Melati|laporan.pdf • 3 pages",
      "inbound|audio|Rina|00000009-AUDIO-2026-02-14-08-05-00.opus",
    ],
  );
  assertEquals(items.length - messages.length, 3);
});

Deno.test("prepareWhatsApp() recognises notices and only notices", async () => {
  const line = (text: string, sender = "Sari Wijaya") =>
    `[13/02/2026, 10:00:00] ${sender}: ${text}`;
  const { messages, skipped } = await read([
    line("\u200eMessages and calls are end-to-end encrypted."),
    line("\u200eSari Wijaya changed the security code."),
    line("\u200ePOLL:\nHas it been added?\n\u200eOPTION: Yes (\u200e1 vote)"),
    line("I added you"),
    line("\u200eYou blocked this contact", "Toko"),
    line("\u200eMissed voice call", "Toko"),
  ].join("\n"));
  assertEquals(messages.map(({ content }) => content), [
    "POLL:\nHas it been added?\nOPTION: Yes (1 vote)",
    "I added you",
    "Missed voice call",
  ]);
  assertEquals(skipped.length, 3);

  const android = await read(
    [
      '13/02/2026, 10:00 - Toko created group "Tim: Gudang"',
      '13/02/2026, 10:01 - Toko changed the subject from "Tim: Gudang" to "Tim"',
      "13/02/2026, 10:02 - Toko: Budi created group therapy: fun",
    ].join("\n"),
    { fileName: "WhatsApp Chat with Tim.txt", me: "Toko" },
  );
  assertEquals(android.chat.isGroup, true);
  assertEquals(android.messages.length, 1);
});

Deno.test("readWhatsApp() is not slowed down by hostile texts", async () => {
  const time = async (piece: string) => {
    let best = Infinity;
    for (let attempt = 0; attempt < 5; attempt++) {
      const begin = performance.now();
      await read(
        `13/02/2026, 10:00 - Sari Wijaya: a${piece.repeat(65_000 / piece.length)}b`,
      );
      best = Math.min(best, performance.now() - begin);
    }
    return best;
  };
  const plain = await time("plain words, and");
  for (
    const piece of [
      " ",
      "\u200e<a: ",
      "image omitted ",
      "x.jpg (",
      "<",
      "https://maps.google.com/?q=",
    ]
  ) {
    // Up to ten times as long; an expression that goes back over what it has read, thousands of times.
    assert(await time(piece) < 200 * plain, piece);
  }
});

Deno.test("readChatEntries() detects the order of day and month", () => {
  const cases: [string, string[], string][] = [
    ["a day over 12 comes first", ["13/02/2026", "01/03/2026"], "dmy"],
    ["a day over 12 comes second", ["02/13/2026", "03/01/2026"], "mdy"],
    ["only day first keeps the order of time", ["30/11/2025", "01/12/2025"], "dmy"],
    ["no day over 12, day first in order", ["11/01/2026", "02/02/2026"], "dmy"],
    ["no day over 12, month first in order", ["01/11/2026", "02/02/2026"], "mdy"],
    ["the year comes first", ["2026-01-02", "2026-01-03"], "ymd"],
    ["dots are always day first", ["01.02.2026", "01.03.2026"], "dmy"],
    ["day and month are the same", ["03/03/2026"], "dmy"],
    ["one pasted date does not outvote the rest", [
      "13/02/2026",
      "14/02/2026",
      "02/28/2026",
      "15/02/2026",
    ], "dmy"],
  ];
  for (const [name, dates, order] of cases) {
    const text = dates.map((date) => `${date}, 10:00 - Sari: x`).join("\n");
    assertEquals(readChatEntries(text).dateOrder, order, name);
  }
});

Deno.test("readChatEntries() asks for the order when the dates are ambiguous", async () => {
  const text = await fixture("ambiguous.txt");
  const error = assertThrows(() => readChatEntries(text), CommandError, "--date-order");
  assertEquals(error.exitCode, 2);
  assertEquals(readChatEntries(text, "mdy").entries[0]?.localTime, "2026-03-04T10:00:00");
  assertEquals(readChatEntries(text, "dmy").entries[0]?.localTime, "2026-04-03T10:00:00");
  assertThrows(() => readChatEntries("hello\n10:30 you"), CommandError, "No line of the file");
});

Deno.test("readChatEntries() reads further spellings of date and time", () => {
  const cases: [string, string][] = [
    ["[12.3.2026 klo 14.08.18] Sari: x", "2026-03-12T14:08:18"],
    ["13/02/26, 12:05 am - Sari: x", "2026-02-13T00:05:00"],
    ["13/02/26, 12:05 PM - Sari: x", "2026-02-13T12:05:00"],
    ["13/02/2026 21:05 - Sari: x", "2026-02-13T21:05:00"],
    ["13-02-2026 21:05 - Sari: x", "2026-02-13T21:05:00"],
    ["[13/2/26, 9:05:09\u202fp.\u00a0m.] Sari: x", "2026-02-13T21:05:09"],
  ];
  for (const [line, time] of cases) {
    assertEquals(
      readChatEntries(line).entries,
      [{ localTime: time, sender: "Sari", text: "x" }],
      line,
    );
  }
});

Deno.test("readChatMedia() recognises attachments in many languages and nothing else", () => {
  const cases: [string, string | undefined, string?, string?][] = [
    ["<Media omitted>", "file", ""],
    ["<Media tidak disertakan>\nCaption", "file", "Caption"],
    ["<Multimedia omitido>", "file", ""],
    ["<Mídia oculta>", "file", ""],
    ["\u200eimage omitted", "image", ""],
    ["Look \u200eimage omitted", "image", "Look"],
    ["\u200evideo tidak disertakan", "video", ""],
    ["\u200eaudio omitido", "audio", ""],
    ["\u200eSticker weggelassen", "image", ""],
    ["\u200eContact card omitted", "file", ""],
    ["PTT-20260101-WA0003.opus (archivo adjunto)", "audio", "", "PTT-20260101-WA0003.opus"],
    ["VID-20260101-WA0003.mp4 (irgendwas)", "video", "", "VID-20260101-WA0003.mp4"],
    ["daftar harga.pdf (file terlampir)", "file", "", "daftar harga.pdf"],
    ["\u200edaftar.xlsx (lampiran)", "file", "", "daftar.xlsx"],
    [
      "\u200e<adjunto: 00000002-VIDEO-2026-01-01-10-00-00.mp4>",
      "video",
      "",
      "00000002-VIDEO-2026-01-01-10-00-00.mp4",
    ],
    ["Sari.vcf (file attached)", "file", "", "Sari.vcf"],
    ["katalog.zip (di zip)", "file", "", "katalog.zip"],
    ["see report.pdf (page 2)", undefined],
    ["the image omitted", undefined],
    ["I <3 you", undefined],
    ["<html>", undefined],
    ["https://maps.google.com/?q=-6.2,106.8", "location", ""],
    ["Monas\nhttps://maps.google.com/?q=-6.2,106.8", "location", "Monas"],
    ["Lokasi: https://maps.google.com/?q=-6.2,106.8", "location", ""],
    ["https://www.google.com/maps/@-6.2,106.8,15z", "location", ""],
    ["https://maps.google.com/?q=Jakarta", undefined],
    ["https://maps.google.com/?q=-96.2,106.8", undefined],
  ];
  for (const [text, type, caption, fileName] of cases) {
    const media = readChatMedia(text, new Set(["katalog.zip"]));
    assertEquals(media?.type, type as ImportMessage["type"] | undefined, text);
    if (type) assertEquals([media?.caption, media?.fileName], [caption, fileName], text);
  }
});

Deno.test("prepareWhatsApp() finds out who the senders are, or asks", async () => {
  const two = "13/02/2026, 10:00 - Sari: a\n13/02/2026, 10:01 - Toko: b";
  const one = "13/02/2026, 10:00 - Sari: a";
  const three = `${two}\n13/02/2026, 10:02 - Budi: c`;
  const cases: [string, string, Partial<WhatsAppOptions>, string | undefined][] = [
    [two, "WhatsApp Chat with Sari.txt", {}, "Toko"],
    [two, "WhatsApp Chat with Sari (1).txt", {}, "Toko"],
    [two, "WhatsApp_Chat_with_Sari.txt", {}, "Toko"],
    [two, "Chat de WhatsApp con Sari.txt", {}, "Toko"],
    [two, "WhatsApp Chat - Sari.zip", {}, "Toko"],
    [two, "chat.txt", { me: "toko" }, "Toko"],
    [two, "chat.txt", { chatName: "Sari" }, "Toko"],
    [one, "WhatsApp Chat with Sari.txt", {}, undefined],
    [one, "WhatsApp Chat with Sari.txt", { me: "Toko" }, undefined],
    [one, "WhatsApp Chat with Budi.txt", {}, "Sari"],
    [three, "WhatsApp Chat with Tim.txt", { me: "Toko" }, "Toko"],
  ];
  for (const [text, fileName, options, me] of cases) {
    const chat = await prepareWhatsApp(text, { ...OPTIONS, fileName, ...options });
    assertEquals(chat.me, me, `${fileName} ${JSON.stringify(options)}`);
  }
  const refused: [string, string, Partial<WhatsAppOptions>, string][] = [
    [two, "chat.txt", {}, '--me one of: "Sari", "Toko"'],
    [two, "chat.txt", { me: "Budi" }, '--me one of: "Sari", "Toko"'],
    [three, "WhatsApp Chat with Sari.txt", {}, "--me one of"],
    [three, "chat.txt", { me: "Toko" }, '--chat "Name of the group"'],
  ];
  for (const [text, fileName, options, message] of refused) {
    const error = await assertRejects(
      () => prepareWhatsApp(text, { ...OPTIONS, fileName, ...options }),
      CommandError,
      message,
    );
    assertEquals(error.exitCode, 2);
  }
  await assertRejects(
    () => prepareWhatsApp(two, { fileName: "WhatsApp Chat with Sari.txt", timeZone: "UTC" }),
    CommandError,
    "--participant",
  );
});

Deno.test("readWhatsApp() distinguishes identical messages of one minute, also of different senders", async () => {
  const line = (sender: string) => `13/02/2026, 10:00 - ${sender}: ok`;
  const { messages } = await read(
    [line("Sari Wijaya"), line("Sari Wijaya"), line("Toko"), line("Toko")].join("\n"),
  );
  assertEquals(new Set(ids(messages)).size, 4);
  const other = await read("13/02/2026, 10:01 - Sari Wijaya: ok\n13/02/2026, 10:02 - Toko: x");
  assertNotEquals(other.messages[0]?.id, messages[0]?.id);
});

Deno.test("readWhatsApp() reads 40,000 messages", async () => {
  const start = Date.UTC(2026, 0, 1);
  const text = Array.from({ length: 40_000 }, (_, index) => {
    const time = new Date(start + index * 60_000).toISOString();
    const date = `${time.slice(8, 10)}/${time.slice(5, 7)}/${time.slice(0, 4)}`;
    return `${date}, ${time.slice(11, 16)} - ${index % 3 ? "Sari Wijaya" : "Toko"}: pesan ${index}`;
  }).join("\n");
  const { messages } = await read(text);
  assertEquals(new Set(ids(messages)).size, 40_000);
});
