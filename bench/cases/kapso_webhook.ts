/**
 * Measures how fast kapso-webhook answers 50 deliveries a second. The time counts from the moment a delivery was
 * due, so that slow answers do not reduce the load.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { deliveryHeaders, type KapsoEvent } from "../../fakes/kapso/deliveries.ts";
import { startFakeKapso } from "../../fakes/kapso/fake_kapso.ts";
import { readRetryAfter } from "../../supabase/functions/_shared/http/retry.ts";
import { median, quantile } from "../measure.ts";
import { figure } from "../report.ts";
import type { BenchCase } from "./case.ts";

const RATE = 50;
const CONTACTS = 200;
const WARMUP_SECONDS = 2;

/** Measures answers of kapso-webhook to messages and statuses of many customers. */
export const measureKapsoWebhook: BenchCase = async (context) => {
  const seconds = context.isQuick ? 5 : 30;
  const { api_url, demo } = context.info;
  const events = await makeEvents((WARMUP_SECONDS + seconds) * RATE);
  const samples: number[] = [];
  const start = performance.now() + 100;
  await Promise.all(events.map(async ({ event, body }, index) => {
    const dueAt = start + index * 1000 / RATE;
    const text = JSON.stringify(body);
    const headers = deliveryHeaders({
      event,
      body: text,
      secretKey: demo.kapso_webhook_secret,
      idempotencyKey: crypto.randomUUID(),
    });
    await delay(Math.max(dueAt - performance.now(), 0));
    await deliver(`${api_url}/functions/v1/kapso-webhook`, { method: "POST", headers, body: text });
    if (index >= WARMUP_SECONDS * RATE) samples.push(performance.now() - dueAt);
  }));
  const slow = samples.filter((ms) => ms > 1000).length / samples.length * 100;
  const title = `Kapso webhook, ${RATE} deliveries/s`;
  return [
    figure("kapso_webhook.p50", `${title}: median`, median(samples), "ms", "≤ 100"),
    figure("kapso_webhook.p95", `${title}: 95 of 100 within`, quantile(samples, 0.95), "ms"),
    figure("kapso_webhook.slow", `${title}: slower than 1 s`, slow, "%", "≤ 1"),
  ];
};

/** Delivers an event, again after a gateway that has too much to do, as Kapso does. */
async function deliver(url: string, init: RequestInit): Promise<void> {
  while (true) {
    const response = await fetch(url, init);
    const answer = await response.text();
    // Received: it waits for others of its number, and is processed after the answer.
    if (response.status === 200 && /"state":"(processed|received)"/.test(answer)) return;
    if (response.status !== 503) throw new Error(`${response.status}: ${answer}`);
    await delay(readRetryAfter(response.headers.get("retry-after")) ?? 1000);
  }
}

/**
 * Messages of customers, replies, and the statuses of the replies.
 *
 * @param seed Another one gives other customers and other messages.
 */
export async function makeEvents(count: number, seed = 1): Promise<KapsoEvent[]> {
  await using fake = await startFakeKapso({ seed });
  const contacts = Array.from({ length: CONTACTS }, () => fake.addContact());
  while (fake.events.length < count) {
    const contact = fake.random.pick(contacts);
    fake.receiveMessage(contact, "Is the blue one still there? I would come by tomorrow.");
    if (fake.random.below(2) === 0) continue;
    const answer = fake.sendMessage(contact, "It is, until Friday. See you tomorrow!");
    fake.setStatus(answer, "delivered");
    fake.setStatus(answer, "read");
  }
  return fake.events.slice(0, count);
}
