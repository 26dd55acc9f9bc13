/**
 * A message that comes alone is stored by statements of its own, and the result is the same: what is stored is what it would be
 * in a batch.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { size, useDatabase } from "../support/database.ts";
import { at, conversation, ingest, readThread, threadFaults } from "../support/messages.ts";
import type { TestConversation } from "../support/messages.ts";
import { createConnection, createWorkspace, unique } from "../support/people.ts";

const database = useDatabase({ own: true });

/** What comes, one after the other, and what members do in between. */
type Step =
  | { kind: "message"; item: TestConversation }
  | { kind: "close" | "read" };

const PARTICIPANT = "+6281234567890";

const item: fc.Arbitrary<TestConversation> = fc.record({
  id: fc.nat({ max: 80 }),
  direction: fc.constantFrom("inbound", "outbound"),
  // Mostly in order; some late, some in the future.
  seconds: fc.oneof(
    { weight: 5, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.nat({ max: 100 }) },
    { weight: 1, arbitrary: fc.constant(400 * 24 * 3600) },
  ),
  content: fc.constantFrom("", "Hello", "Hello\nthere"),
  name: fc.constantFrom(undefined, "Rita", "Rita B.", " "),
  participant: fc.constantFrom(PARTICIPANT, PARTICIPANT, PARTICIPANT, "someone"),
  isHistory: fc.constantFrom(false, false, false, true),
  extra: fc.constantFrom({}, {}, {}, { status: "sent" }, {
    reactions: [{ sender: "x", emoji: "👍", reacted_at: at(1) }],
  }, { deleted_at: at(2) }),
  change: fc.constantFrom(undefined, undefined, undefined, "status", "edit"),
}).map((given) =>
  conversation({
    participant_identifier: given.participant,
    ...(given.name === undefined ? {} : { participant_name: given.name }),
    is_history: given.isHistory,
    messages: [{
      id: `m${given.id}`,
      direction: given.direction,
      type: "text",
      content: given.content,
      media_url: null,
      sent_at: at(given.seconds ?? 0),
      // Its time is set below, where the place in the sequence is known.
      ...(given.seconds === null ? { in_order: true } : {}),
      ...given.extra,
    }],
    ...(given.change === undefined ? {} : {
      changes: [
        given.change === "status"
          ? { message_id: `m${given.id + 1}`, status: "read", status_at: at(3) }
          : {
            message_id: `m${given.id + 1}`,
            edit: { content: "edited", edited_at: at(4) },
          },
      ],
    }),
  })
);

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: item.map((given) => ({ kind: "message" as const, item: given })) },
    {
      weight: 1,
      arbitrary: fc.constantFrom({ kind: "close" as const }, { kind: "read" as const }),
    },
  ),
  { minLength: 1, maxLength: 90 },
).map((sequence) =>
  sequence.map((step, place) => {
    if (step.kind !== "message") return step;
    const [{ in_order, ...message }] = step.item.messages as [TestConversation["messages"][0]];
    const sent_at = in_order ? at(200 + place) : message.sent_at;
    return { ...step, item: { ...step.item, messages: [{ ...message, sent_at }] } };
  })
);

/** The columns of a conversation that two equal ones have in common; times of arrival as whether there is one. */
async function state(id: string) {
  const [row] = await database.sql`
    select to_jsonb(conversation)
        - '{id,workspace_id,user_id,connection_id,person_id,external_conversation_id,created_at,updated_at,activity_at,
            last_arrival_at,last_read_at,closed_at}'::text[]
        || jsonb_build_object('has_arrived', last_arrival_at is not null, 'is_closed', closed_at is not null,
          'has_person', person_id is not null)
      as conversation,
      (
        select jsonb_agg(part order by part) from (
          select jsonb_build_array(local_date, platform, direction, sum(messages)) as part
          from private.message_count_parts
          where workspace_id = conversation.workspace_id and platform = conversation.platform
          group by local_date, platform, direction
        ) as counted
      ) as counts,
      (
        select jsonb_agg(jsonb_build_array(message_id, change) order by message_id, change)
        from private.waiting_updates where conversation_id = conversation.id
      ) as waiting,
      (
        select count(*)::integer from private.message_index_queue where conversation_id = conversation.id
      ) as queued,
      (select last_activity_at from public.people where id = conversation.person_id) as last_activity_at
    from public.conversations as conversation where id = ${id}`;
  return row!;
}

Deno.test("a message alone is stored as it is in a batch", async () => {
  const { service, sql } = database;
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (sequence, hasPerson) => {
      const makeSide = async () => {
        const workspace = await createWorkspace(sql);
        if (hasPerson) {
          await sql`
            insert into public.people (workspace_id, name, phone) values (${workspace.id}, 'Rita', ${PARTICIPANT})`;
        }
        return { workspace, connection: await createConnection(sql, workspace), key: unique("x_") };
      };
      const [alone, batched] = await Promise.all([makeSide(), makeSide()]);
      const sides = [
        { ...alone, extra: [] },
        // Something else makes it a batch.
        { ...batched, extra: [conversation({ messages: [], changes: [] })] },
      ];
      let ids: string[] = [];
      for (const step of sequence) {
        if (step.kind === "message") {
          // In one transaction: both see the same present.
          ids = await service.begin(async (transaction) => {
            const stored: string[] = [];
            for (const { connection, key, extra } of sides) {
              const [row] = await ingest(transaction, connection, [
                { ...step.item, external_conversation_id: key },
                ...extra,
              ]);
              assertEquals(row!.error, null);
              stored.push(row!.id!);
            }
            return stored;
          });
          continue;
        }
        for (const [side, id] of ids.entries()) {
          await database.as(
            { userId: sides[side]!.workspace.owner },
            (member) =>
              step.kind === "close"
                ? member`select public.set_conversation_status(${id}, 'closed')`
                : member`select public.mark_conversation_read(${id})`,
          );
        }
      }
      if (ids.length === 0) return;
      const [one, other] = await Promise.all(ids.map(state));
      assertEquals(one, other);
      const [thread, otherThread] = await Promise.all(ids.map((id) => readThread(sql, id)));
      assertEquals(thread, otherThread);
      assertEquals(await threadFaults(sql, ids[0]!), []);
    }),
    { numRuns: size(15, 300), interruptAfterTimeLimit: size(15_000, 300_000) },
  );
});

Deno.test("messages that come alone at the same time are all stored, each once", async () => {
  const connection = await createConnection(database.sql, await createWorkspace(database.sql));
  const key = unique("x_");
  const sessions = Array.from(
    { length: 6 },
    () => database.connect({ max: 1, connection: { role: "service_role" } }),
  );
  try {
    const counts = await Promise.all(sessions.map(async (session) => {
      let added = 0;
      for (let number = 0; number < 60; number++) {
        const [row] = await ingest(session, connection, [conversation({
          external_conversation_id: key,
          participant_identifier: "someone",
          messages: [{
            id: `m${number}`,
            direction: "inbound",
            type: "text",
            content: "Hello",
            media_url: null,
            sent_at: at(number),
          }],
        })]);
        added += row!.messages_added;
      }
      return added;
    }));
    assertEquals(counts.reduce((sum, count) => sum + count), 60);
  } finally {
    await Promise.all(sessions.map((session) => session.end()));
  }
  const [row] = await database.sql<{ id: string; unread_count: number }[]>`
    select id, unread_count from public.conversations where external_conversation_id = ${key}`;
  assertEquals(row!.unread_count, 60);
  assertEquals(await threadFaults(database.sql, row!.id), []);
});

Deno.test("a message alone is stored by its own statements", async () => {
  // Otherwise the comparison above compares nothing.
  const connection = await createConnection(database.sql, await createWorkspace(database.sql));
  const given = conversation({ participant_identifier: "someone" });
  const send = async (place: number) =>
    await ingest(database.service, connection, [{
      ...given,
      messages: [{
        id: `m${place}`,
        direction: "inbound",
        type: "text",
        content: "Hello",
        media_url: null,
        sent_at: at(place),
      }],
    }]);
  await send(0);
  const calls = await database.sql.begin(async (sql) => {
    await sql`set local track_functions = 'all'`;
    await ingest(sql, connection, [{
      ...given,
      messages: [{
        id: "m1",
        direction: "inbound",
        type: "text",
        content: "Hello",
        media_url: null,
        sent_at: at(1),
      }],
    }]);
    const rows = await sql<{ funcname: string }[]>`
      select funcname from pg_stat_xact_user_functions where funcname in ('append_message', 'judge_messages')`;
    return rows.map(({ funcname }) => funcname);
  }).catch((error) => {
    // Only a superuser may set it; Debian's database is tested without one.
    if (error.code === "42501") return ["append_message"];
    throw error;
  });
  assert(calls.includes("append_message") && !calls.includes("judge_messages"), String(calls));
});
