import { assert, assertEquals } from "@std/assert";

import { makeBatches } from "../../../cli/import/batches.ts";
import {
  fitToLimits,
  type ImportMessage,
  MAX_CONTENT_BYTES,
} from "../../../cli/import/import_item.ts";

function message(id: string, content = "x"): ImportMessage {
  return { id, direction: "inbound", type: "text", content, sentAt: "2026-01-01T00:00:00.000Z" };
}

function thread(id: string) {
  return { externalId: id, participantIdentifier: id };
}

Deno.test("makeBatches() splits by messages and keeps the order within conversations and across requests", async () => {
  const items = Array.from({ length: 25 }, (_, index) => ({
    conversation: thread(index % 2 ? "odd" : "even"),
    message: message(String(index)),
  }));
  const batches = await Array.fromAsync(makeBatches(items, { maxMessages: 10 }));
  assertEquals(batches.map(({ messageCount }) => messageCount), [10, 10, 5]);
  for (const name of ["odd", "even"]) {
    const sent = batches.flatMap(({ conversations }) =>
      conversations.filter(({ conversation }) => conversation.externalId === name)
        .flatMap(({ messages }) => messages.map(({ id }) => Number(id)))
    );
    assertEquals(sent, sent.toSorted((one, other) => one - other));
    assertEquals(sent.length, name === "odd" ? 12 : 13);
  }
});

Deno.test("makeBatches() splits by conversations and by bytes", async () => {
  const many = Array.from({ length: 7 }, (_, index) => ({
    conversation: thread(`t${index}`),
    message: message("1"),
  }));
  const byThread = await Array.fromAsync(
    makeBatches(many, { maxMessages: 500, maxConversations: 3 }),
  );
  assertEquals(byThread.map(({ conversations }) => conversations.length), [3, 3, 1]);

  const large = Array.from({ length: 300 }, (_, index) => ({
    conversation: thread("a"),
    message: message(String(index), '\u0001é"'.repeat(8_000)),
  }));
  const batches = await Array.fromAsync(makeBatches(large, { maxMessages: 5000 }));
  assert(batches.length > 1);
  for (const batch of batches) {
    assert(new TextEncoder().encode(JSON.stringify(batch)).length <= 4 * 1024 * 1024);
  }
  assertEquals(batches.reduce((sum, { messageCount }) => sum + messageCount, 0), 300);
});

Deno.test("fitToLimits() cuts a text over 64 KB without losing any of it", () => {
  const content = "añ🙂".repeat(30_000);
  const parts = fitToLimits(message("1", content));
  assertEquals(parts.map(({ content }) => content).join(""), content);
  assertEquals(parts.map(({ id }) => id), ["1", "1/2", "1/3", "1/4"]);
  for (const part of parts) {
    assert(new TextEncoder().encode(part.content).length <= MAX_CONTENT_BYTES);
  }
});

Deno.test("fitToLimits() replaces what Postgres cannot store and shortens metadata", () => {
  const [fitted] = fitToLimits({
    ...message("1", "a\0b\ud800c"),
    senderName: "x\0",
    metadata: { title: "y".repeat(20_000), links: ["\0"], size: 1 },
  });
  assertEquals(fitted?.content, "a\uFFFDb\uFFFDc");
  assertEquals(fitted?.senderName, "x\uFFFD");
  assertEquals(fitted?.metadata, { title: "y".repeat(300), links: ["\uFFFD"], size: 1 });
});
