/**
 * Bursts of deliveries: what finds a queue is answered first, and processed in the background.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { useDatabase } from "../../support/database.ts";
import { uniqueNumber } from "../../support/people.ts";
import { signUp } from "../../support/users.ts";
import {
  createPhoneNumber,
  deliverAll,
  messagesOf,
  receivedText,
  untilProcessed,
} from "../../support/kapso_webhook.ts";
import { createBackgroundDrainer } from "../../../supabase/functions/kapso-webhook/background_drainer.ts";

const db = useDatabase();
const EVENTS = 1_000;
const CONVERSATIONS = 200;
const NUMBERS = 5;

Deno.test(`a burst of ${EVENTS} deliveries over ${NUMBERS} numbers is stored once and in order`, async () => {
  const user = await signUp(db.info);
  const numbers: string[] = [];
  for (let index = 0; index < NUMBERS; index++) {
    numbers.push((await createPhoneNumber(user)).phoneNumberId);
  }
  const customers = Array.from({ length: CONVERSATIONS }, (_, index) => ({
    number: numbers[index % NUMBERS]!,
    phone: uniqueNumber().slice(1),
  }));
  const sent = new Map<string, string[]>();
  let queued = 0;
  // Each customer writes their messages one after the other, all customers at once.
  await Promise.all(customers.map(async ({ number, phone }) => {
    for (let index = 0; index < EVENTS / CONVERSATIONS; index++) {
      // All of one second: only arrival says which is later.
      const body = receivedText(number, `${phone} ${index}`, { phone });
      if ((await deliverAll(db.info, body)).state === "received") queued++;
      sent.set(phone, [...sent.get(phone) ?? [], `${phone} ${index}`]);
    }
  }));
  assert(queued > 0, "no event was queued");
  await untilProcessed(db.sql, numbers);
  const [events] = await db.sql`
    select count(*)::integer as events, count(*) filter (where state = 'processed')::integer as processed
    from private.webhook_events where phone_number_id = any (${numbers})`;
  assertEquals({ ...events }, { events: EVENTS, processed: EVENTS });
  const stored = new Map<string, string[]>();
  for (const number of numbers) {
    for (const { content } of await messagesOf(db.sql, number)) {
      const phone = content.split(" ")[0]!;
      stored.set(phone, [...stored.get(phone) ?? [], content]);
    }
  }
  assertEquals(stored, new Map([...stored.keys()].map((phone) => [phone, sent.get(phone)!])));
  assertEquals(stored.size, CONVERSATIONS);
});

/** A drainer over a fake queue; `passes` are the results of its drains, in order. */
function fakeDrainer(passes: (() => { drained: number; is_busy: boolean })[]) {
  const log: string[] = [];
  const work: Promise<unknown>[] = [];
  const start = createBackgroundDrainer({
    drain: async (phoneNumberId) => {
      await Promise.resolve();
      log.push(`drain ${phoneNumberId}`);
      return (passes.shift() ?? (() => ({ drained: 0, is_busy: false })))();
    },
    onDrained: (phoneNumberId) => log.push(`files ${phoneNumberId}`),
    waitUntil: (promise) => void work.push(promise),
    log: (level, message) => log.push(`${level} ${message}`),
    delay: (ms) => {
      log.push(`wait ${ms}`);
      return Promise.resolve();
    },
    monotonic: () => 0,
  });
  return { start, log, settled: () => Promise.all(work) };
}

Deno.test("a queue is drained until it is empty, by one drain for all events of a number", async () => {
  const drainer = fakeDrainer([
    () => ({ drained: 50, is_busy: false }),
    () => ({ drained: 0, is_busy: true }),
    () => ({ drained: 7, is_busy: false }),
  ]);
  drainer.start("1");
  drainer.start("1");
  drainer.start("1");
  await drainer.settled();
  assertEquals(drainer.log, [
    "drain 1",
    "drain 1",
    "wait 100",
    "drain 1",
    "drain 1",
    // The others came after the first look.
    "drain 1",
    "files 1",
  ]);
});

Deno.test("an event that comes during the last drain is drained as well, and another number beside it", async () => {
  const drainer = fakeDrainer([() => {
    drainer.start("1");
    return { drained: 0, is_busy: false };
  }]);
  drainer.start("1");
  drainer.start("2");
  await drainer.settled();
  assertEquals(drainer.log.filter((line) => line === "drain 1").length, 2);
  assertEquals(drainer.log.filter((line) => line.startsWith("files")).toSorted(), [
    "files 1",
    "files 2",
  ]);
});

Deno.test("a drain that fails is logged, and the next event starts another", async () => {
  const drainer = fakeDrainer([() => {
    throw new Error("no database");
  }]);
  drainer.start("1");
  await drainer.settled();
  drainer.start("1");
  await drainer.settled();
  assertEquals(drainer.log, ["drain 1", "error drain_failed", "files 1", "drain 1", "files 1"]);
});
