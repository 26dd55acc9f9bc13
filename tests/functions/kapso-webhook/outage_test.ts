/**
 * The database stands still for a minute and then dies, in the middle of Kapso's deliveries. After
 * Kapso's own retries and one replay everything is there, once.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";

import { connect, size } from "../../support/database.ts";
import { startFakeKapso } from "../../../fakes/kapso/fake_kapso.ts";
import { startOutageStack } from "../../support/outage_stack.ts";
import { deliverAll, messagesOf, receivedText } from "../../support/kapso_webhook.ts";

const DELIVERIES = size(150, 1000);
/** Kapso's minute takes this part of one: its retries come after 10, 40 and 90 of its seconds. */
const TIME_SCALE = size(0.08, 0.1);
const OUTAGE_SECONDS = 60;

Deno.test(`${DELIVERIES} deliveries survive a database that is gone for a minute`, async () => {
  await using project = await startOutageStack();
  const { info } = project.stack;
  const phoneNumber = info.demo.kapso_phone_number_id;
  // The function's first request starts it.
  await deliverAll(info, receivedText("1"));
  await using fake = await startFakeKapso({
    timeScale: TIME_SCALE,
    seed: 3,
    // A machine with other work needs seconds to start the function again after the outage.
    delivery: { answerTimeoutMs: 5000 },
  });
  fake.addWebhook({
    url: `${info.api_url}/functions/v1/kapso-webhook`,
    secretKey: info.demo.kapso_webhook_secret,
  });
  const contacts = Array.from(
    { length: 10 },
    (_, index) => fake.addContact({ name: `Customer ${index}`, phone: `55119880000${10 + index}` }),
  );

  let outage: Promise<void> | undefined;
  while (fake.events.length < DELIVERIES) {
    if (fake.events.length >= DELIVERIES / 3) {
      outage ??= project.stopPostgres(OUTAGE_SECONDS * 1000 * TIME_SCALE);
    }
    // A third before, a third while it is gone, a third later.
    const contact = fake.random.pick(contacts);
    if (fake.random.below(3) > 0) {
      fake.receiveMessage(contact, `Question ${fake.events.length}`);
    } else {
      const sent = fake.sendMessage(contact, `Answer ${fake.events.length}`);
      fake.setStatus(sent, "delivered");
      if (fake.random.below(2) === 0) fake.setStatus(sent, "read");
    }
    await delay(OUTAGE_SECONDS * 1000 * TIME_SCALE * 3 / DELIVERIES);
  }
  await outage;
  await fake.settled();

  const { log } = fake.deliveries;
  const retried = log.filter(({ attempts }) => attempts.length > 1);
  assert(retried.length > 0, "no delivery failed");
  assertEquals(log.filter(({ status }) => status !== "delivered").map(({ error }) => error), []);
  const sql = connect(info.db_url, { max: 2, connection: { role: "service_role" } });
  const owner = connect(info.db_url, { max: 1 });
  try {
    await sql`select public.replay_webhook_events(max_events => 10000)`;
    const [recorded] = await owner`
      select count(*)::integer as events, count(distinct idempotency_key)::integer as keys,
        count(*) filter (where state not in ('processed', 'ignored'))::integer as unfinished
      from private.webhook_events where phone_number_id = ${phoneNumber}`;
    assertEquals(recorded, { events: log.length, keys: log.length, unfinished: 0 });
    const key = (one: { id: string; status?: string | undefined }) =>
      `${one.id} ${one.status ?? ""}`;
    const stored = (await messagesOf(owner, phoneNumber)).map(key);
    const sent = fake.state.messages.map(({ id, direction, status }) =>
      key({ id, status: direction === "inbound" ? undefined : status })
    );
    assertEquals(stored.toSorted(), sent.toSorted());
  } finally {
    await Promise.all([sql.end(), owner.end()]);
  }
});
