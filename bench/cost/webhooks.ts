/**
 * What a webhook event of Kapso costs: one at a time by HTTP, beside a peer that checks the signature and inserts the
 * event; and a burst inside the database, accepted first and then drained.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import type postgres from "postgres";
import { deliveryHeaders, type KapsoEvent } from "../../fakes/kapso/deliveries.ts";
import { normalize } from "../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { type BenchContext, callsPerTurn, openDatabase, repeat } from "../cases/case.ts";
import { makeEvents } from "../cases/kapso_webhook.ts";
import { median, takeTurnsBy } from "../measure.ts";
import { startPeer } from "../peers.ts";
import { findFunctionAddress, sessionMeasure, stackMeasure, totalTime } from "../processes.ts";
import { type Figure, figure } from "../report.ts";
import { atGateway, post } from "./post.ts";

const BURST = 500;

/** Measures events that come one at a time. */
export async function measureWebhooks(
  context: BenchContext,
  sql: postgres.Sql,
): Promise<Figure[]> {
  context.note("webhook events one at a time");
  await using peer = await startPeer(context, "webhook_peer");
  const rounds = repeat(context, 10);
  const calls = callsPerTurn(context, 100);
  const gateway = atGateway(context, "kapso-webhook");
  const [first, ...events] = await makeEvents(1 + 3 * calls * (rounds + 2), 2);
  // The first call starts the function, so that its address is known.
  await deliver(context, gateway, first!);
  const direct = await findFunctionAddress(context.pid, "kapso-webhook");
  const queue = events.values();
  const deliverAll = (url: string) => async () => {
    for (let count = 0; count < calls; count++) {
      await deliver(context, url, queue.next().value!);
    }
    await waitUntilProcessed(sql);
  };
  const samples = await takeTurnsBy(
    stackMeasure(context.pid, [peer.pid]),
    {
      webhook: deliverAll(gateway),
      direct: deliverAll(direct),
      peer: deliverAll(peer.origin),
    },
    rounds,
    2,
  );
  const [webhookMs, directMs, peerMs] = [samples.webhook, samples.direct, samples.peer]
    .map((times) => median(times.map(totalTime)) / calls) as [number, number, number];
  const title = "Webhook event";
  return [
    figure("cost.webhook.ms", `${title}: kapso-webhook, processor time`, webhookMs, "ms"),
    figure(
      "cost.webhook.direct.ms",
      `${title}: the same without the gateway before it`,
      directMs,
      "ms",
    ),
    figure("cost.webhook.peer.ms", `${title}: check and insert`, peerMs, "ms"),
    figure(
      "cost.webhook.ratio",
      `${title}: kapso-webhook / check and insert`,
      webhookMs / peerMs,
      "×",
      "≤ 2.2",
    ),
    figure(
      "cost.webhook.direct.ratio",
      `${title}: the same, both without the gateway before them`,
      directMs / peerMs,
      "×",
      "≤ 2.2",
    ),
  ];
}

async function deliver(context: BenchContext, url: string, { event, body }: KapsoEvent) {
  const text = JSON.stringify(body);
  const headers = deliveryHeaders({
    event,
    body: text,
    secretKey: context.info.demo.kapso_webhook_secret,
    idempotencyKey: crypto.randomUUID(),
  });
  await post(url, headers, text);
}

/** Waits until no event is left in a queue. */
async function waitUntilProcessed(sql: postgres.Sql): Promise<void> {
  while (true) {
    const [queue] = await sql`
      select exists (select from private.open_webhook_events where state = 'received') as waits`;
    if (!queue!.waits) return;
    await delay(50);
  }
}

/** Measures a burst: the session of the database that takes its events, and then processes them. */
export async function measureBurst(context: BenchContext, admin: postgres.Sql): Promise<Figure[]> {
  context.note(`bursts of ${BURST} webhook events`);
  const sql = openDatabase(context);
  const number = context.info.demo.kapso_phone_number_id;
  const rounds = repeat(context, 10);
  const events = (await makeEvents(BURST * (rounds + 1), 3)).map(({ event, body }) => ({
    event,
    body: btoa(JSON.stringify(body)),
    elements: JSON.stringify(normalize({ event }, body)),
    key: crypto.randomUUID(),
  }));
  const burst = (round: number) => events.slice(round * BURST, (round + 1) * BURST);
  try {
    const [session] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
    await sql`set role service_role`;
    const measureSession = sessionMeasure(session!.pid);
    let drainedMs = 0;
    const samples = await takeTurnsBy(
      async (run) => {
        const ms = await measureSession(run);
        // After plain inserts nothing waits, and this takes no time.
        drainedMs += await measureSession(() => drain(sql, number));
        return ms;
      },
      {
        accept: async (round) => {
          // Another session is at work on the number, so that every event waits.
          await admin`select pg_advisory_lock(private.webhook_lock_key(${number}))`;
          for (const { event, key, body, elements } of burst(round)) {
            const [recorded] = await sql`
              select state from public.record_webhook_event(
                ${number}, ${event}, ${key}, ${body}, ${elements}::text::jsonb)`;
            if (recorded!.state !== "received") throw new Error(`an event is ${recorded!.state}`);
          }
          await admin`select pg_advisory_unlock(private.webhook_lock_key(${number}))`;
        },
        insert: async (round) => {
          for (const { event, key, body, elements } of burst(round)) {
            await sql`
              insert into bench.webhook_events (phone_number_id, event, idempotency_key, body, elements)
              values (${number}, ${event}, ${key}, decode(${body}, 'base64'), ${elements}::text::jsonb)
              returning id`;
          }
        },
      },
      rounds,
      1,
    );
    const [failed] = await admin<{ events: number }[]>`
      select count(*)::integer as events from private.open_webhook_events`;
    if (failed!.events > 0) throw new Error(`${failed!.events} events were not processed`);
    const acceptMs = median(samples.accept) / BURST;
    const insertMs = median(samples.insert) / BURST;
    const drainMs = drainedMs / events.length;
    const title = `Burst of ${BURST} webhook events, of the session a event`;
    return [
      figure("cost.burst.accept.ms", `${title}: accepting`, acceptMs, "ms"),
      figure("cost.burst.insert.ms", `${title}: bare insert`, insertMs, "ms"),
      figure(
        "cost.burst.accept.ratio",
        `${title}: accepting / bare insert`,
        acceptMs / insertMs,
        "×",
        "≤ 1.3",
      ),
      figure(
        "cost.burst.drained.ms",
        `${title}: accepting and draining`,
        acceptMs + drainMs,
        "ms",
        "≤ 0.45",
      ),
    ];
  } finally {
    await sql.end();
  }
}

async function drain(sql: postgres.Sql, number: string): Promise<void> {
  while (true) {
    const [pass] = await sql<{ drained: number }[]>`
      select drained from public.drain_webhook_events(${number})`;
    if (pass!.drained === 0) return;
  }
}
