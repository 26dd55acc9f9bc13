/**
 * The same events leave the same behind: in any order, repeated, at once, single and batched.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { StackInfo } from "../../../local/stack.ts";
import { size, useDatabase } from "../../support/database.ts";
import { batchBody, type KapsoEvent } from "../../../fakes/kapso/deliveries.ts";
import { type FakeKapso, startFakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import { createRandom, type Random } from "../../../fakes/kapso/random.ts";
import { threadFaults } from "../../support/messages.ts";
import { signUp } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliverAll,
  type Snapshot,
  snapshot,
  untilProcessed,
} from "../../support/kapso_webhook.ts";

const db = useDatabase();

const EVENTS = 500;
const ORDERS = size(1, 20);
/** Deliveries that are under way at once. */
const SENDERS = 8;
/** Numbers of the generator; each run has its own in their place. */
const LINES = ["100000000000123", "100000000000456"];

Deno.test(`${EVENTS} events leave the same behind in another order, each twice`, async () => {
  await using fake = await startFakeKapso({ startAt: Date.UTC(2026, 2, 2, 9), seed: 7 });
  const events = makeEvents(fake);
  assertEquals(events.length, EVENTS);

  // As it happened, one by one and once: what everything else must come to.
  const expected = await play(db.info, events.map((event) => [single(event)]), 1);
  const messages = expected.conversations.reduce((sum, row) => sum + Number(row.exported), 0);
  const told = new Set(
    events.map(({ body }) => body.message as { id: string; type: string } | undefined)
      .filter((message) => message !== undefined && message.type !== "reaction")
      .map((message) => message!.id),
  );
  assertEquals(messages, told.size, "messages in the threads");
  assert(expected.conversations.some((row) => row.status === "closed"));
  assert(expected.conversations.some((row) => row.status === "open"));
  assert(expected.conversations.some((row) => Number(row.message_count) > 100), "archives");
  assert(JSON.stringify(expected.conversations).includes('"emoji"'), "reactions");
  assert(expected.people.some((person) => person.marketing_status === "stopped"));

  for (let order = 0; order < ORDERS; order++) {
    const random = createRandom(order + 1);
    assertSame(await play(db.info, makeJobs(events, random), SENDERS), expected, `order ${order}`);
  }
});

/** Arrival decides these, so another order leaves others. */
const BY_ARRIVAL = new Set([
  "status",
  "closed_at",
  "unread_count",
  "last_message_preview",
  "last_message_type",
  "last_message_direction",
]);

/** Compares row by row, so that a failure names the row. */
function assertSame(actual: Snapshot, expected: Snapshot, order: string): void {
  const keys = (rows: readonly Record<string, unknown>[]) =>
    rows.map((row) => row.external_conversation_id);
  assertEquals(keys(actual.conversations), keys(expected.conversations), order);
  for (const [place, row] of expected.conversations.entries()) {
    for (const [name, value] of Object.entries(row)) {
      if (BY_ARRIVAL.has(name)) continue;
      const column = `${order}: ${name} of ${row.external_conversation_id}`;
      assertEquals(actual.conversations[place]![name], value, column);
    }
  }
  assertEquals(actual.people, expected.people, order);
}

/** One request: an event, or some of one name and phone number as a batch. */
interface Job {
  event: string;
  key: string;
  body: Record<string, unknown>;
}

function single({ event, body }: KapsoEvent): Job {
  return { event, key: crypto.randomUUID(), body };
}

/**
 * Each event twice, in any order: as two deliveries, as a delivery and its retry at the same time, or as
 * a delivery and an element of a batch.
 */
function makeJobs(events: readonly KapsoEvent[], random: Random): Job[][] {
  const jobs: Job[][] = [];
  const batches = new Map<string, KapsoEvent[]>();
  const flush = (group: KapsoEvent[]) => {
    if (group.length === 0) return;
    const [{ event, conversationId }] = group as [KapsoEvent];
    const options = { windowSeconds: 5, firstSequence: 1, conversationId };
    const elements = group.splice(0).map(({ body }) => body);
    jobs.push([{ event, key: crypto.randomUUID(), body: batchBody(event, elements, options) }]);
  };
  for (const event of shuffle(events, random)) {
    const job = single(event);
    const way = random.below(3);
    if (way === 0) {
      jobs.push([job], [single(event)]);
    } else if (way === 1) {
      jobs.push([job, job]);
    } else {
      jobs.push([job]);
      const name = `${event.event} ${event.phoneNumberId}`;
      const group = batches.get(name) ?? [];
      batches.set(name, group);
      group.push(event);
      if (group.length >= 2 + random.below(12)) flush(group);
    }
  }
  for (const group of batches.values()) flush(group);
  return shuffle(jobs, random);
}

function shuffle<Item>(items: readonly Item[], random: Random): Item[] {
  const shuffled = [...items];
  for (let place = shuffled.length - 1; place > 0; place--) {
    const other = random.below(place + 1);
    [shuffled[place], shuffled[other]] = [shuffled[other]!, shuffled[place]!];
  }
  return shuffled;
}

/** Delivers to two numbers of a new workspace, and returns what is there afterwards. */
async function play(info: StackInfo, jobs: readonly Job[][], senders: number) {
  const user = await signUp(info);
  const phoneNumbers = [
    (await createPhoneNumber(user)).phoneNumberId,
    (await createPhoneNumber(user)).phoneNumberId,
  ];
  const queue = jobs.values();
  const ids: number[] = [];
  await Promise.all(Array.from({ length: senders }, async () => {
    for (const group of queue) {
      await Promise.all(group.map(async ({ event, key, body }) => {
        let text = JSON.stringify(body);
        for (const [place, phoneNumber] of LINES.entries()) {
          text = text.replaceAll(phoneNumber, phoneNumbers[place]!);
        }
        ids.push((await deliverAll(info, text, { event, key })).id);
      }));
    }
  }));
  await untilProcessed(db.sql, phoneNumbers);
  const states = await db.sql`
    select distinct state from private.webhook_events where id = any (${ids})`;
  assertEquals(states.map(({ state }) => state), ["processed"]);
  const threads = await db.sql<{ id: string }[]>`
    select id from public.conversations where workspace_id = ${user.workspaceId}`;
  for (const { id } of threads) assertEquals(await threadFaults(db.sql, id), []);
  return await snapshot(db.sql, user.workspaceId, phoneNumbers);
}

/**
 * Some days of a business with two numbers. No two messages of a second: of those, Kapso does not say
 * which came first, and threads keep them in the order in which they arrived.
 */
function makeEvents(fake: FakeKapso): KapsoEvent[] {
  const { clock, random } = fake;
  const other = fake.addPhoneNumber(LINES[1]!, "+551130000002");
  const talker = fake.addContact({ name: "Rita Silva", phone: "5511988887777" });
  const contacts = [
    talker,
    talker,
    talker,
    talker,
    fake.addContact({ name: "João", phone: "351910000003", bsuid: "PT.1000000003" }),
    // WhatsApp writes the number without its ninth digit.
    fake.addContact({ phone: "5511977776666", waId: "551177776666", bsuid: "BR.1000000002" }),
    // Known by a username alone.
    fake.addContact({ name: "Ana Reis", phone: null, bsuid: "BR.1000000006", username: "ana" }),
    fake.addContact({ name: "Unreachable", phone: "5511966665555", isUnreachable: false }),
    // The same customer on both numbers.
    fake.addContact({
      name: "João",
      phone: "351910000003",
      bsuid: "PT.1000000003",
      phoneNumber: other,
    }),
    fake.addContact({ name: "Emma", phone: "447700900123", phoneNumber: other }),
  ];
  const outbound = () =>
    fake.state.messages.filter((message) =>
      message.direction === "outbound" && message.type !== "reaction" &&
      !["read", "failed"].includes(message.status)
    );
  const steps: (() => void)[] = [
    () => fake.receiveMessage(random.pick(contacts), `Question ${random.below(1000)}`),
    () => fake.receiveMessage(random.pick(contacts), `Another ${random.below(1000)}`),
    () => fake.sendMessage(random.pick(contacts), `Answer ${random.below(1000)}`),
    () => fake.businessAppMessage(random.pick(contacts), `From the phone ${random.below(1000)}`),
    () => fake.receiveMessage(random.pick(contacts), { type: "image", caption: "a picture" }),
    () => {
      const replyTo = random.pick(fake.state.messages);
      const { contact } = replyTo.conversation;
      if (replyTo.type !== "reaction") fake.receiveMessage(contact, "To that", { replyTo });
    },
    () => {
      const target = random.pick(fake.state.messages);
      const by = random.pick(["contact", "business"] as const);
      if (target.type === "reaction") return;
      fake.react(target, random.pick(["👍", "❤️", "🙏", null]), by);
    },
    () => {
      const message = random.pick(outbound());
      const next = { sent: "delivered", delivered: "read" } as const;
      const status = next[message?.status as keyof typeof next];
      if (message === undefined || status === undefined) return;
      if (random.below(8) > 0) return fake.setStatus(message, status);
      fake.setStatus(message, "failed", {
        error: { code: 131026, title: "Message undeliverable", message: "Message undeliverable" },
      });
    },
    () => {
      const session = fake.sessionOf(random.pick(contacts));
      if (session === undefined || session.status !== "active") return;
      if (random.below(4) === 0) fake.goInactive(session);
      else if (random.below(3) === 0) fake.endSession(session);
    },
    () => {
      if (random.below(8) > 0) return;
      fake.setMarketingPreference(contacts[4]!, random.pick(["stopped", "resumed"]));
    },
  ];
  fake.receiveMessage(talker, "Good morning");
  while (fake.events.length < EVENTS - 40) {
    // Now and then a night goes by, after which Kapso opens another session.
    clock.advance(random.below(60) === 0 ? 26 * 3600 : 1 + random.below(600));
    random.pick(steps)();
  }
  // The last word of each, so that the outcome has everything in it.
  clock.advance(60);
  fake.setMarketingPreference(contacts[4]!, "stopped");
  clock.advance(60);
  fake.endSession(fake.sessionOf(contacts[9]!)!);
  while (fake.events.length < EVENTS) {
    clock.advance(5);
    fake.receiveMessage(talker, `One more ${random.below(1000)}`);
  }
  return fake.events.slice(0, EVENTS);
}

Deno.test("sessions open and close their thread the same in every order, unless a message arrives after the end", async () => {
  const user = await signUp(db.info);
  const { phoneNumberId } = await createPhoneNumber(user);
  const minute = (minutes: number) => `2026-03-02T09:${String(minutes).padStart(2, "0")}:00Z`;
  const stories: Record<string, { steps: Step[]; status: string; closedAt: string | null }> = {
    "both ended": {
      steps: [["one", "ended", 0, 10], ["two", "received", 20, 20], ["two", "ended", 20, 30]],
      status: "closed",
      closedAt: "2026-03-02T09:30:00.000Z",
    },
    "the second continues": {
      steps: [["one", "received", 0, 1], ["one", "ended", 0, 10], ["two", "received", 20, 20]],
      status: "open",
      closedAt: null,
    },
    "the customer writes on in an ended one": {
      steps: [["one", "received", 0, 1], ["one", "ended", 0, 10], ["one", "received", 0, 20]],
      status: "open",
      closedAt: null,
    },
    "opened again without a word, and gone on with": {
      steps: [["one", "received", 0, 1], ["one", "ended", 0, 10], ["one", "active", 0, 20]],
      status: "open",
      closedAt: null,
    },
    "opened again, and ended again": {
      steps: [["one", "ended", 0, 10], ["one", "active", 0, 20], ["one", "ended", 0, 30]],
      status: "closed",
      closedAt: "2026-03-02T09:30:00.000Z",
    },
    "ended, with receipts afterwards": {
      steps: [["one", "received", 0, 1], ["one", "ended", 0, 10], ["one", "ended", 0, 30]],
      status: "closed",
      closedAt: "2026-03-02T09:10:00.000Z",
    },
    "a late end of an older one": {
      steps: [["one", "ended", 0, 40], ["two", "created", 20, 20], ["two", "received", 20, 21]],
      status: "open",
      closedAt: null,
    },
  };
  for (const [name, { steps, status, closedAt }] of Object.entries(stories)) {
    for (const order of permutations(steps)) {
      const phone = `55119${
        crypto.getRandomValues(new Uint32Array(1))[0]! % 90_000_000 + 10_000_000
      }`;
      for (const [id, kind, from, at] of order) {
        const event = kind === "received"
          ? "message.received"
          : `conversation.${kind === "active" ? "created" : kind}`;
        await deliverAll(db.info, {
          ...(kind === "received"
            ? {
              message: {
                id: `wamid.${phone}${at}`,
                timestamp: String(Date.parse(minute(at)) / 1000),
                type: "text",
                from: phone,
                text: { body: "Hello" },
              },
            }
            : {}),
          conversation: {
            id: `${id} ${phone}`,
            phone_number: phone,
            status: kind === "ended" ? "ended" : "active",
            created_at: minute(from),
            updated_at: minute(at),
          },
          phone_number_id: phoneNumberId,
        }, { event: `whatsapp.${event}` });
      }
      const [row] = await db.sql<{ status: string; closed_at: Date | null }[]>`
        select status, closed_at from public.conversations
        where external_conversation_id = ${`${phoneNumberId}:${phone}`}`;
      // No member has seen a message that arrives after the closing, whenever it was written.
      const kinds = order.map(([, kind]) => kind);
      const isLate = status === "closed" &&
        kinds.lastIndexOf("received") > kinds.indexOf("ended");
      if (isLate && row!.status === "open") continue;
      assertEquals(
        [row!.status, row!.closed_at?.toISOString() ?? null],
        [status, closedAt],
        `${name}: ${order.map(([id, kind]) => `${id} ${kind}`).join(", ")}`,
      );
    }
  }
});

/** Session, what happens, minute in which the session began, minute of the event. */
type Step = [
  session: string,
  kind: "received" | "created" | "active" | "ended",
  from: number,
  at: number,
];

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, place) =>
    permutations(items.toSpliced(place, 1)).map((rest) => [item, ...rest])
  );
}
