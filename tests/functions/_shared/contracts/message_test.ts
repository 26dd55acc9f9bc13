/**
 * What a conversation may look like: every fault with the words a bridge gets, and everything that is
 * mended or left out instead of being refused.
 *
 * @module
 */

import { assertEquals } from "@std/assert";

import type { IngestConversation } from "../../../../supabase/functions/_shared/contracts/ingest_conversation.ts";
import { checkConversation } from "../../../../supabase/functions/messaging-ingest/check.ts";
import { conversation, message } from "../../../support/handlers.ts";

const ISO = "must be an ISO 8601 time such as 2026-02-01T10:30:00Z";
const TYPES = "must be one of text, image, audio, video, file, location";
const NUL = "must not contain a NUL character";

Deno.test("checkConversation() names the field and the index of a fault", async (t) => {
  const ofConversation: [field: string, value: unknown, problem: string][] = [
    ["external_conversation_id", undefined, "is required"],
    ["external_conversation_id", null, "must be a string"],
    ["external_conversation_id", 7, "must be a string"],
    ["external_conversation_id", "", "must not be empty"],
    ["external_conversation_id", "a\0b", NUL],
    ["external_conversation_id", "a\ud83d", "must be valid Unicode"],
    ["external_conversation_id", "x".repeat(513), "must be at most 512 characters"],
    ["participant_identifier", undefined, "is required"],
    ["participant_identifier", null, "must be a string"],
    ["participant_identifier", 6281234567, "must be a string"],
    ["participant_identifier", "", "must not be empty"],
    ["participant_identifier", "+62\0", NUL],
    ["participant_identifier", "x".repeat(513), "must be at most 512 characters"],
    ["messages", undefined, "is required"],
    ["messages", null, "must be an array"],
    ["messages", {}, "must be an array"],
    ["messages", "[]", "must be an array"],
    ["changes", {}, "must be an array"],
    ["changes[0]", [null], "must be an object"],
    ["changes[0].message_id", [{}], "is required"],
    ["changes[1].message_id", [{ message_id: "a" }, { message_id: "" }], "must not be empty"],
  ];
  for (const [field, value, problem] of ofConversation) {
    await t.step(`${field} ${problem}: ${JSON.stringify(value)?.slice(0, 30)}`, () => {
      const name = field.split("[")[0]!;
      assertEquals(problemOf(conversation({ [name]: value })), `${field} ${problem}`);
    });
  }
  const ofMessage: [field: string, value: unknown, problem: string][] = [
    ["id", undefined, "is required"],
    ["id", null, "must be a string"],
    ["id", 100, "must be a string"],
    ["id", "", "must not be empty"],
    ["id", "a\0", NUL],
    ["id", "a\udc00", "must be valid Unicode"],
    ["id", "x".repeat(513), "must be at most 512 characters"],
    ["direction", undefined, "is required"],
    ["direction", "in", 'must be "inbound" or "outbound"'],
    ["direction", "Inbound", 'must be "inbound" or "outbound"'],
    ["direction", null, 'must be "inbound" or "outbound"'],
    ["type", undefined, "is required"],
    ["type", "sticker", TYPES],
    ["type", 1, TYPES],
    ["content", undefined, "is required"],
    ["content", null, "must be a string"],
    ["content", 42, "must be a string"],
    ["content", "a\0b", NUL],
    ["content", "x".repeat(65537), "must be at most 64 KB"],
    ["content", "é".repeat(32769), "must be at most 64 KB"],
    ["content", "👍".repeat(16385), "must be at most 64 KB"],
    // Half of a pair is stored as U+FFFD, three bytes.
    ["content", "x".repeat(65534) + "\ud83d", "must be at most 64 KB"],
    ["media_url", "javascript:alert(1)", "must be an http or https URL"],
    ["media_url", "JavaScript:alert(1)", "must be an http or https URL"],
    ["media_url", "ftp://example.com/a.jpg", "must be an http or https URL"],
    ["media_url", "data:image/png;base64,AAAA", "must be an http or https URL"],
    ["media_url", "file:///etc/passwd", "must be an http or https URL"],
    ["media_url", "/images/a.jpg", "must be an http or https URL"],
    ["media_url", "example.com/a.jpg", "must be an http or https URL"],
    ["media_url", "https://", "must be an http or https URL"],
    ["media_url", "https://example.com/\0", "must be an http or https URL"],
    ["media_url", "https://example.com/\ud83d", "must be an http or https URL"],
    ["media_url", `https://example.com/${"x".repeat(2029)}`, "must be at most 2048 characters"],
    ["media_url", 7, "must be a string or null"],
    ["sent_at", undefined, "is required"],
    ["sent_at", null, "must be an ISO 8601 string"],
    ["sent_at", 1769941800, "must be an ISO 8601 string"],
    ["sent_at", "", ISO],
    ["sent_at", "yesterday", ISO],
  ];
  for (const [field, value, problem] of ofMessage) {
    await t.step(`messages[2].${field} ${problem}: ${JSON.stringify(value)?.slice(0, 30)}`, () => {
      const messages = [message(), message(), message({ [field]: value })];
      assertEquals(problemOf(conversation({ messages })), `messages[2].${field} ${problem}`);
    });
  }
  for (const value of [null, undefined, "text", 7, [], true]) {
    await t.step(`no object: ${JSON.stringify(value)}`, () => {
      assertEquals(problemOf(value), "conversation must be an object");
      const inside = problemOf(conversation({ messages: [value ?? null] }));
      assertEquals(inside, "messages[0] must be an object");
    });
  }
});

Deno.test("checkConversation() never repeats what was sent", () => {
  for (const value of ["a secret", "a secret\0", ["a secret"], { a: "a secret" }]) {
    for (const field of ["external_conversation_id", "participant_identifier", "messages"]) {
      const problem = problemOf(conversation({ [field]: value })) ?? "";
      assertEquals(problem.includes("secret"), false);
    }
  }
});

Deno.test("checkConversation() accepts values at their limits", async (t) => {
  const atLimit: Record<string, unknown>[] = [
    { content: "x".repeat(65536) },
    { content: "é".repeat(32768) },
    { content: "👍".repeat(16384) },
    { content: "" },
    { content: " \n\t " },
    { id: "x".repeat(512) },
    { media_url: `https://example.com/${"x".repeat(2028)}` },
    { media_url: "http://localhost:9000/a" },
  ];
  for (const overrides of atLimit) {
    const [[field, value]] = Object.entries(overrides) as [[string, string]];
    await t.step(`${field}: ${value.length} characters`, () => {
      assertEquals(stored(overrides)[field], value);
    });
  }
});

Deno.test("checkConversation() repairs what it can", async (t) => {
  const mended: [field: string, given: unknown, kept: unknown][] = [
    ["content", "cut in two \ud83d", "cut in two \ufffd"],
    ["content", "\udc4d\ud83d", "\ufffd\ufffd"],
    ["content", "whole 👍", "whole 👍"],
    ["content", "\u0001\u001f\u007f", "\u0001\u001f\u007f"],
    ["media_url", " https://example.com/a.jpg\n", "https://example.com/a.jpg"],
    ["media_url", "", null],
    ["media_url", "  ", null],
    ["media_url", null, null],
    ["media_url", undefined, null],
  ];
  for (const [field, given, kept] of mended) {
    await t.step(`${field}: ${JSON.stringify(given)}`, () => {
      assertEquals(stored({ [field]: given })[field], kept);
    });
  }
  await t.step("an invalid name is dropped, and the rest is stored", () => {
    for (const participant_name of [null, 7, "a\0", {}]) {
      assertEquals(checked(conversation({ participant_name })).participant_name, undefined);
    }
    assertEquals(checked(conversation({ participant_name: "" })).participant_name, "");
  });
  await t.step("no messages at all", () => {
    assertEquals(checked(conversation({ messages: [] })).messages, []);
  });
});

Deno.test("checkConversation() leaves out keys it does not know", () => {
  const known = conversation();
  const given = {
    ...known,
    tags: ["a"],
    message_count: 9,
    messages: [{ ...message(), from: "x", is_history: true, unread: 1 }],
  };
  assertEquals(checked(given), checked(known));
});

Deno.test("checkConversation() keeps the fields this project adds", () => {
  const news = {
    media_url: "https://example.com/late.jpg",
    status: "failed",
    status_at: "2026-02-01T10:31:00.000Z",
    error: { code: 131047, message: "Re-engagement message" },
    reactions: [
      { sender: "+62812", emoji: "👍", reacted_at: "2026-02-01T10:32:00.000Z" },
      { sender: "+62813", emoji: null, reacted_at: "2026-02-01T10:33:00.000Z", id: "r1" },
    ],
  };
  const given = {
    ...message(),
    ...news,
    sent_at: "2026-02-01T10:30:00.000Z",
    reply_to: "msg_0",
    sender_name: "Budi",
    metadata: { forwarded: true, size: 12.5, nested: { list: [1, null, "a"] } },
  };
  assertEquals(stored(given), given);

  const changes = [{ message_id: "a", ...news }];
  const kept = checked(conversation({ messages: [], changes, is_history: true }));
  assertEquals([kept.changes, kept.is_history] as unknown[], [changes, true]);
});

Deno.test("checkConversation() leaves out added fields that make no sense, and keeps the message", async (t) => {
  const nonsense: Record<string, unknown[]> = {
    status: ["SENT", "seen", 1, null, {}],
    status_at: ["soon", 1769941800, null, "10:30"],
    error: ["text", null, [], { message: "a\0" }, { code: {} }],
    reactions: [
      {},
      "👍",
      null,
      [null],
      [{ sender: "a", emoji: "👍" }],
      [{ sender: "", emoji: "👍", reacted_at: "2026-02-01T10:30:00Z" }],
      [{ sender: "a", emoji: "", reacted_at: "2026-02-01T10:30:00Z" }],
      [{ sender: "a", emoji: "x".repeat(65), reacted_at: "2026-02-01T10:30:00Z" }],
    ],
    reply_to: [7, null, "", "a\0", "x".repeat(513)],
    sender_name: [7, null, "", "a\0", "x".repeat(301)],
    metadata: [
      "text",
      [1],
      null,
      { a: "b\0" },
      { "a\0": "b" },
      { a: [{ b: ["c\0"] }] },
      { a: "x".repeat(16 * 1024) },
      { a: Infinity },
      nested(33),
      nested(100_000),
    ],
  };
  for (const [field, values] of Object.entries(nonsense)) {
    await t.step(field, () => {
      for (const value of values) {
        assertEquals(stored({ [field]: value })[field], undefined);
      }
    });
  }
  await t.step("is_history", () => {
    for (const is_history of ["true", 1, null]) {
      assertEquals(checked(conversation({ is_history })).is_history, undefined);
    }
  });
  await t.step("a change keeps what makes sense", () => {
    const changes = [{
      message_id: "a",
      status: "read",
      media_url: "javascript:alert(1)",
      error: 7,
    }];
    assertEquals(checked(conversation({ changes })).changes, [{ message_id: "a", status: "read" }]);
    assertEquals(checked(conversation({ changes: null })).changes, undefined);
  });
});

Deno.test("metadata may be 16 KB of JSON and 32 levels deep", () => {
  const full = { a: "x".repeat(16 * 1024 - '{"a":""}'.length) };
  assertEquals(stored({ metadata: full }).metadata, full);
  assertEquals(stored({ metadata: nested(32) }).metadata, nested(32));
  assertEquals(stored({ metadata: { a: "half \ud83d" } }).metadata, { a: "half \ufffd" });
});

/** An object with a number of levels. */
function nested(levels: number): unknown {
  let value: unknown = {};
  for (let level = 1; level < levels; level++) value = { a: value };
  return value;
}

function problemOf(value: unknown): string | undefined {
  const result = checkConversation(value, "strict");
  return "problem" in result ? result.problem : undefined;
}

/** What the database gets. */
function checked(value: unknown): IngestConversation {
  const result = checkConversation(value, "strict");
  if ("problem" in result) throw new Error(result.problem);
  return JSON.parse(JSON.stringify(result.conversation));
}

function stored(overrides: Record<string, unknown>): Record<string, unknown> {
  return checked(conversation({ messages: [message(overrides)] })).messages[0]!;
}
