import { assert, assertEquals, assertRejects } from "@std/assert";

import { type ImportItem, type ImportMessage } from "../../../cli/import/import_item.ts";
import {
  readTelegram,
  type ReadTelegramOptions,
  surveyTelegram,
} from "../../../cli/import/telegram.ts";
import { CommandError } from "../../../cli/command_error.ts";

const FIXTURES = new URL("../../fixtures/import/telegram/", import.meta.url);

/** In chunks of a few bytes, so that every boundary falls inside a chunk somewhere. */
async function* chunks(bytes: Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(
  fixture: string | Uint8Array,
  options: Partial<ReadTelegramOptions> = {},
): Promise<ImportItem[]> {
  const bytes = typeof fixture === "string"
    ? await Deno.readFile(new URL(fixture, FIXTURES))
    : fixture;
  const survey = await surveyTelegram(chunks(bytes));
  return await Array.fromAsync(
    readTelegram(chunks(bytes), survey, { timeZone: "Asia/Jakarta", ...options }),
  );
}

function messagesOf(items: ImportItem[], thread?: string): ImportMessage[] {
  return items.flatMap((item) =>
    item.kind === "message" && (!thread || item.conversation.externalId === thread)
      ? [item.message]
      : []
  );
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

Deno.test("readTelegram() maps every kind of message of a single chat", async () => {
  const items = await read("personal_chat.json");
  const rows = messagesOf(items).map(({ id, direction, type, content }) =>
    [id.replace("user700000001:", ""), direction, type, content].join("|")
  );
  assertEquals(rows, [
    "2|inbound|text|Halo, masih buka?",
    "3|outbound|text|Masih! Lihat katalog atau https://example.com",
    "4|inbound|image|Yang ini",
    "5|outbound|audio|audio_1@05-01-2026.ogg",
    "6|inbound|file|nota.pdf",
    "7|inbound|image|👍",
    "8|inbound|location|-6.2,106.816666",
    "9|inbound|text|Contact: Budi Santoso, +62 812 0000 1111",
    "10|outbound|text|Poll: Warna?\n- Merah\n- Biru",
    "11|outbound|video|v.mp4",
    "12|outbound|video|a.mp4",
    "15|inbound|text|diedit",
  ]);
  assertEquals(
    items.flatMap((item) => item.kind === "skipped" ? item.reason : []),
    [
      "service message",
      "message of a kind Telegram Desktop could not export",
      "empty message",
    ],
  );
});

Deno.test("readTelegram() keeps time, reply, links and file details", async () => {
  const messages = messagesOf(await read("personal_chat.json"));
  const [first, second, photo, , document] = messages;
  assertEquals(first?.sentAt, "2026-01-05T11:01:00.000Z");
  assertEquals(second?.replyTo, "user700000001:2");
  assertEquals(second?.metadata?.links, ["https://example.com/katalog"]);
  assertEquals(photo?.metadata?.file_name, "photo_1@05-01-2026_10-03-00.jpg");
  assertEquals(document?.metadata?.file_name, "nota.pdf");
  assertEquals(document?.metadata?.file_in_export, undefined);
  assertEquals(messages.at(-1)?.metadata?.edited_at, "2026-01-05T12:00:00.000Z");
  assertEquals(messages.at(-1)?.metadata?.forwarded_from, "Toko Lain");
  assertEquals(messages.find(({ type }) => type === "location")?.metadata?.place_name, "Monas");
});

Deno.test("readTelegram() reads a whole account: own id, phone numbers, all chats, left chats", async () => {
  const items = await read("account.json");
  const threads = new Map(
    items.flatMap((item) =>
      item.kind === "message" ? [[item.conversation.externalId, item.conversation]] : []
    ),
  );
  assertEquals([...threads.values()], [
    {
      externalId: "user700000001",
      participantIdentifier: "+6281234567890",
      participantName: "Sari Wijaya",
    },
    {
      externalId: "channel1500000001",
      participantIdentifier: "channel1500000001",
      participantName: "Tim Gudang",
    },
    {
      externalId: "user700000009",
      participantIdentifier: "user700000009",
      participantName: "Saved messages",
    },
    {
      externalId: "user700000005",
      participantIdentifier: "user700000005",
      participantName: "Kurir Bot",
    },
    // The same number as Sari's, in Telegram's other number space.
    {
      externalId: "channel700000001",
      participantIdentifier: "channel700000001",
      participantName: "Kanal Lama",
    },
  ]);
  const group = messagesOf(items, "channel1500000001");
  assertEquals(group.map(({ direction, senderName }) => [direction, senderName]), [
    ["inbound", "Budi Santoso"],
    ["outbound", "Toko Melati"],
    ["inbound", "Deleted account"],
    ["inbound", "Tim Gudang"],
  ]);
  assertEquals(messagesOf(items, "user700000009")[0]?.direction, "outbound");
  assertEquals(messagesOf(items, "user700000005").map(({ direction }) => direction), [
    "inbound",
    "outbound",
  ]);
});

Deno.test("readTelegram() gives a chat the same ids in a single and in a full export", async () => {
  const single = messagesOf(await read("personal_chat.json")).map(({ id }) => id);
  const full = messagesOf(await read("account.json"), "user700000001").map(({ id }) => id);
  assertEquals(full, single);
});

Deno.test("readTelegram() imports only the chosen chats", async () => {
  for (const chat of ["tim gudang", "1500000001", "channel1500000001"]) {
    const items = await read("account.json", { chats: [chat] });
    assertEquals(items.length, 4, chat);
  }
  await assertRejects(
    () => read("account.json", { chats: ["Unknown"] }),
    CommandError,
    '"Tim Gudang (1500000001)"',
  );
});

Deno.test("readTelegram() asks who you are if the export does not say it", async () => {
  const error = await assertRejects(() => read("group.json"), CommandError, "--me");
  assertEquals(error.exitCode, 2);
  assert(error.message.includes('"Budi Santoso", "Toko Melati", "user700000003"'));
  await assertRejects(() => read("group.json", { me: "Tokko" }), CommandError, "Tokko");
  for (const me of ["toko melati", "user700000009", "700000009"]) {
    const directions = messagesOf(await read("group.json", { me })).map((item) => item.direction);
    assertEquals(directions, ["inbound", "outbound", "inbound", "inbound"], me);
  }
});

Deno.test("readTelegram() reads dates without an offset in the given zone and repairs \\x escapes", async () => {
  const items = await read("old_dates_and_escapes.json");
  const [message] = messagesOf(items);
  assertEquals(message?.sentAt, "2019-05-01T05:00:00.000Z");
  assertEquals(message?.content, 'satu\x0bdua \\x41 "tiga"');
  assertEquals(items[1], { kind: "skipped", reason: "message without a date" });
});

Deno.test("surveyTelegram() reads keys that follow the messages", async () => {
  const chat = JSON.parse(await Deno.readTextFile(new URL("personal_chat.json", FIXTURES)));
  const { name, type, id, messages } = chat;
  const rewritten = await read(json({ messages, type, name, id }));
  assertEquals(messagesOf(rewritten), messagesOf(await read("personal_chat.json")));
});

Deno.test("surveyTelegram() names what is wrong with a file", async () => {
  const bytes = await Deno.readFile(new URL("personal_chat.json", FIXTURES));
  const cases: [Uint8Array, string][] = [
    [bytes.subarray(0, bytes.length - 10), "is incomplete"],
    [json({ hello: "world" }), "no Telegram chat"],
    [json([]), "no Telegram chat"],
    [new TextEncoder().encode("<html>"), "not valid JSON"],
    [new Uint8Array(), "is incomplete"],
  ];
  for (const [file, message] of cases) {
    await assertRejects(() => surveyTelegram(chunks(file)), CommandError, message);
  }
});

Deno.test("readTelegram() does not keep a large file in memory", async () => {
  const message = JSON.stringify({
    id: 1,
    type: "message",
    date_unixtime: "1767610800",
    from_id: "user5",
    text: "x".repeat(2000),
  });
  const block = new TextEncoder().encode(`,${message}`.repeat(500));
  const encoder = new TextEncoder();
  async function* large(): AsyncGenerator<Uint8Array> {
    yield encoder.encode(`{"name":"A","type":"personal_chat","id":5,"messages":[${message}`);
    for (let count = 0; count < 60; count++) yield block;
    yield encoder.encode("]}");
  }
  const survey = await surveyTelegram(large());
  const before = Deno.memoryUsage().heapUsed;
  let peak = 0;
  let count = 0;
  for await (const item of readTelegram(large(), survey, { timeZone: "UTC" })) {
    if (item.kind === "message" && ++count % 1000 === 0) {
      peak = Math.max(peak, Deno.memoryUsage().heapUsed - before);
    }
  }
  assertEquals(count, 30_001);
  // The messages alone are 60 MB.
  assert(peak < 45_000_000, `${peak} bytes`);
});
