/**
 * Conversations over their lives, against a model: messages that come live, late, as history and again, from two
 * sources and under two keys, with edits, deletions, reactions and statuses before and after them, while members read
 * and close them. The state after any sequence is the model's.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { become, type Json, size, useDatabase } from "../support/database.ts";
import { ModelConversation, type TestChange } from "../support/conversation_model.ts";
import { at, ingest, readConversation, readThread, threadFaults } from "../support/messages.ts";
import type { TestConversation, TestMessage } from "../support/messages.ts";
import { createConnection, createWorkspace, unique } from "../support/people.ts";

const database = useDatabase({ own: true });

/** Messages that a sequence can speak of. */
const IDS = Array.from({ length: 7 }, (_, index) => `m${index}`);

/** What can happen. */
type Step =
  | { kind: "arrive"; ids: string[]; isHistory: boolean; source: number }
  | { kind: "change"; change: TestChange; source: number; isNamed: boolean }
  | { kind: "twin"; ids: string[]; isHistory: boolean; change: TestChange }
  | { kind: "read" | "close" | "reopen" };

const time = fc.integer({ min: 0, max: 30 }).map(at);
const source = fc.nat({ max: 1 });

/** Each message is always the same, whenever it arrives and however often. */
const messagesOfRun = fc.tuple(
  ...IDS.map((id) =>
    fc.record({
      id: fc.constant(id),
      direction: fc.constantFrom("inbound", "outbound"),
      type: fc.constantFrom("text", "image"),
      content: fc.constantFrom("", `text of ${id}`),
      media_url: fc.constant(null),
      // Few instants, so that many messages share one.
      sent_at: fc.integer({ min: 0, max: 8 }).map(at),
    })
  ),
) as fc.Arbitrary<TestMessage[]>;

const change: fc.Arbitrary<TestChange> = fc.tuple(
  fc.constantFrom(...IDS),
  fc.oneof(
    fc.record({ edit: fc.record({ content: fc.constantFrom("a", "b", "c"), edited_at: time }) }),
    fc.record({ deleted_at: time }),
    fc.record({
      reactions: fc.array(
        fc.record({
          sender: fc.constantFrom("x", "y"),
          emoji: fc.constantFrom("👍", "❤️", null),
          reacted_at: time,
        }),
        { minLength: 1, maxLength: 2 },
      ),
    }),
    fc.record({ status: fc.constantFrom("sent", "delivered", "read"), status_at: time }),
  ),
).map(([message_id, what]) => ({ message_id, ...what }));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("arrive" as const),
      ids: fc.array(fc.constantFrom(...IDS), { minLength: 1, maxLength: 6 }),
      isHistory: fc.boolean(),
      source,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("change" as const),
      change,
      source,
      isNamed: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("twin" as const),
      ids: fc.array(fc.constantFrom(...IDS), { minLength: 1, maxLength: 4 }),
      isHistory: fc.boolean(),
      change,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("read" as const, "close" as const, "reopen" as const),
    }),
  },
);

Deno.test("any sequence of arrivals, changes and work of members ends as in the model", async () => {
  const { sql, service } = database;
  const workspace = await createWorkspace(sql);
  const connections = [
    await createConnection(sql, workspace),
    await createConnection(sql, workspace),
  ];
  const asOwner = (work: (transaction: typeof sql) => Promise<unknown>) =>
    sql.begin(async (transaction) => {
      await become(transaction, { userId: workspace.owner });
      await work(transaction as unknown as typeof sql);
    });

  await fc.assert(
    fc.asyncProperty(
      messagesOfRun,
      fc.array(step, { minLength: 1, maxLength: 40, size: "max" }),
      fc.boolean(),
      async (given, steps, isLong) => {
        const prefix = unique();
        const digits = String(Math.floor(Math.random() * 1e11) + 1e11);
        // A bridge's key and an import's: one conversation.
        const keys = [`${digits}@s.whatsapp.net`, digits];
        const own = <T extends { id: string }>(message: T): T => ({
          ...message,
          id: prefix + message.id,
        });
        const ofTwin = (message: TestMessage) => own({ ...message, id: `twin ${message.id}` });
        const model = new ModelConversation();
        const twin = new ModelConversation();
        let twinId = "";
        const send = async (from: number, batch: Partial<TestConversation>) => {
          const element = {
            // The first source has both keys in turn, the second one the bridge's.
            external_conversation_id: keys[from === 0 && batch.is_history ? 1 : 0]!,
            participant_identifier: `+${digits}`,
            messages: [],
            ...batch,
          };
          const [row] = await ingest(service, connections[from]!, [element]);
          assertEquals(row!.error, null);
          if (element.messages.length > 0) model.arrive(element);
          for (const each of (batch.changes ?? []) as unknown as TestChange[]) model.change(each);
          return row!.id;
        };
        let id = (await send(0, { messages: [own({ ...given[0]!, id: "first" })] }))!;
        if (isLong) {
          // So that some of the messages lie in the archive.
          const many = Array.from(
            { length: 130 },
            (_, index) => own({ ...given[0]!, id: `long ${index}`, sent_at: at(index % 12 - 2) }),
          );
          id = (await send(1, { messages: many, is_history: true }))!;
        }
        for (const what of steps) {
          if (what.kind === "arrive") {
            await send(what.source, {
              messages: what.ids.map((name) => own(given.find((each) => each.id === name)!)),
              is_history: what.isHistory,
            });
          } else if (what.kind === "change") {
            const own = { ...what.change, message_id: prefix + what.change.message_id };
            if (what.isNamed) {
              await send(what.source, { changes: [own as unknown as Record<string, unknown>] });
            } else {
              await service`
                select * from public.apply_message_changes(
                  ${connections[what.source]!.id}, ${sql.json([own] as unknown as Json)}
                )`;
              model.change(own);
            }
          } else if (what.kind === "twin") {
            // A second conversation of the contact, with messages of its own, under a key that says nothing.
            const batch = {
              external_conversation_id: prefix,
              participant_identifier: `+${digits}`,
              messages: what.ids.map((name) => ofTwin(given.find((each) => each.id === name)!)),
              changes: [{ ...what.change, message_id: `${prefix}twin ${what.change.message_id}` }],
              is_history: what.isHistory,
            };
            const [row] = await ingest(service, connections[0]!, [batch]);
            twinId = row!.id!;
            twin.arrive({ ...batch, changes: [] });
            twin.change(batch.changes[0]!);
          } else if (what.kind === "read") {
            await asOwner((as) => as`select public.mark_conversation_read(${id})`);
            model.read();
          } else {
            model.status = what.kind === "close" ? "closed" : "open";
            await asOwner((as) =>
              as`select public.set_conversation_status(${id}, ${model.status})`
            );
          }
        }
        const check = async (messages: unknown, summary: Record<string, unknown>) => {
          assertEquals(await readThread(service, id), messages as never);
          assertEquals(await threadFaults(service, id), []);
          const row: Record<string, unknown> = { ...await readConversation(service, id) };
          assertEquals(
            Object.fromEntries(
              Object.keys(summary).map((key) => {
                const value = row[key];
                return [key, value instanceof Date ? value.toISOString() : value];
              }),
            ),
            summary,
          );
        };
        await check(model.messages(), model.summary());
        if (twinId === "") return;
        for (let isDone = false; !isDone;) {
          const [step] = await service`
            select is_done from public.merge_conversations(${workspace.id}, ${id}, ${twinId}, 2)`;
          isDone = step!.is_done;
        }
        await check(...mergedState(model, twin));
      },
    ),
    { numRuns: size(60, 3000), ...(size(1, 0) === 1 ? { seed: 1 } : {}) },
  );
});

/** Two conversations after they were merged: the messages of the first before those of the same time of the other. */
function mergedState(
  kept: ModelConversation,
  merged: ModelConversation,
): [messages: unknown[], summary: Record<string, unknown>] {
  const messages = [...kept.messages(), ...merged.messages()]
    .toSorted((a, b) => Date.parse(String(a.sent_at)) - Date.parse(String(b.sent_at)));
  const [one, other] = [kept.summary(), merged.summary()];
  const later = (key: string) => [one[key], other[key]].filter(Boolean).toSorted().at(-1) ?? null;
  return [messages, {
    message_count: messages.length,
    unread_count: Number(one.unread_count) + Number(other.unread_count),
    status: kept.status === "open" || merged.status === "open" ? "open" : "closed",
    last_message_at: later("last_message_at"),
    last_inbound_at: later("last_inbound_at"),
  }];
}
