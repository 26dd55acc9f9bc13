/**
 * The webhook deliveries of Kapso: signature, order, retries and pausing.
 *
 * @module
 */

// deno-lint-ignore-file camelcase -- these are the names of the wire

import { createHmac } from "node:crypto";
import type { Clock } from "./clock.ts";
import { iso } from "./payloads.ts";
import type { Random } from "./random.ts";
import type { JsonObject } from "./state.ts";

/** When Kapso pauses a webhook. */
export interface AutoPauseRule {
  windowSeconds: number;
  minDeliveries: number;
  minFailures: number;
  minFailureRate: number;
}

/** The rules of deliveries. */
export interface DeliveryRules {
  /** Waits between the attempts. A newer text of Kapso's says `[10, 40]`. */
  retryDelaysSeconds: number[];
  /** How long a delivery waits for an earlier one of its conversation. */
  holdSeconds: number;
  /** The receiver's time limit, in real milliseconds. */
  answerTimeoutMs: number;
  autoPause: AutoPauseRule;
}

/** A registered webhook. */
export interface Webhook {
  id: string;
  phoneNumberId: string;
  url: string;
  secretKey: string;
  kind: "kapso" | "meta";
  events: string[];
  active: boolean;
  headers: Record<string, string>;
  payloadVersion: "v1" | "v2";
  bufferEnabled: boolean;
  bufferWindowSeconds: number;
  maxBufferSize: number;
  inactivityMinutes: number;
  createdAt: number;
  updatedAt: number;
  /** Finished deliveries of the last minutes, for the pausing rule. */
  outcomes: { at: number; isFailure: boolean }[];
  isAutoPaused: boolean;
}

/** An event, with or without a webhook for it. */
export interface KapsoEvent {
  event: string;
  phoneNumberId: string;
  conversationId: string | undefined;
  body: JsonObject;
}

/** A delivery: one body with one idempotency key, attempted up to four times. */
export interface Delivery {
  id: string;
  webhook: Webhook;
  event: string;
  conversationId: string | undefined;
  /** The signed and sent bytes. */
  body: string;
  headers: Record<string, string>;
  /** Elements of a batch. */
  elements: JsonObject[] | undefined;
  status: "pending" | "delivered" | "failed";
  attempts: { at: number; status: number | null; error?: string; ms: number }[];
  error?: string;
  createdAt: number;
  finishedAt?: number;
}

/** The deliveries of all webhooks. */
export interface Deliveries {
  webhooks: Map<string, Webhook>;
  log: Delivery[];
  /** Delivers an event to the webhooks that subscribe to it. */
  emit(event: KapsoEvent): void;
  /** Delivers to one webhook at once, without buffering. */
  deliver(webhook: Webhook, event: KapsoEvent): Delivery;
  /** Posts a body again, as a retry of an attempt whose answer was lost. */
  repeat(delivery: Delivery): Promise<number | null>;
  /** Resumes or pauses a webhook. Pausing fails its waiting deliveries. */
  setActive(webhook: Webhook, isActive: boolean): void;
  /** Resolves when no delivery is running, waiting or buffered. */
  settled(): Promise<void>;
  stop(): void;
}

/** The headers of a delivery, with its signature. */
export function deliveryHeaders(options: {
  event: string;
  body: string;
  secretKey: string;
  idempotencyKey: string;
  payloadVersion?: string;
  batchSize?: number;
  extra?: Record<string, string>;
}): Record<string, string> {
  return {
    "Content-Type": "application/json",
    ...options.extra,
    "X-Webhook-Event": options.event,
    "X-Webhook-Signature": createHmac("sha256", options.secretKey).update(options.body)
      .digest("hex"),
    "X-Idempotency-Key": options.idempotencyKey,
    "X-Webhook-Payload-Version": options.payloadVersion ?? "v2",
    ...(options.batchSize === undefined
      ? {}
      : { "X-Webhook-Batch": "true", "X-Batch-Size": String(options.batchSize) }),
  };
}

/** The body of a batch. */
export function batchBody(
  event: string,
  elements: JsonObject[],
  options: { windowSeconds: number; firstSequence: number; conversationId: string | undefined },
): JsonObject {
  return {
    type: event,
    batch: true,
    data: elements,
    batch_info: {
      size: elements.length,
      window_ms: options.windowSeconds * 1000,
      first_sequence: options.firstSequence,
      last_sequence: options.firstSequence + elements.length - 1,
      ...(options.conversationId === undefined ? {} : { conversation_id: options.conversationId }),
    },
  };
}

/** Starts the deliveries. */
export function createDeliveries(
  clock: Clock,
  random: Random,
  rules: DeliveryRules,
): Deliveries {
  const webhooks = new Map<string, Webhook>();
  const log: Delivery[] = [];
  /** Deliveries of `received` and `sent`, in order, by webhook and conversation. */
  const queues = new Map<string, Delivery[]>();
  const buffers = new Map<
    string,
    { events: KapsoEvent[]; cancel: () => void; flush: () => void }
  >();
  const sequences = new Map<string, number>();
  const timers = new Map<Delivery, () => void>();
  const started = new WeakSet<Delivery>();
  const stopping = new AbortController();
  let unfinished = 0;
  let waiting: (() => void)[] = [];

  const checkSettled = () => {
    if (unfinished > 0 || buffers.size > 0) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };

  const post = async (delivery: Delivery): Promise<{ status: number | null; error?: string }> => {
    try {
      const response = await fetch(delivery.webhook.url, {
        method: "POST",
        headers: delivery.headers,
        body: delivery.body,
        redirect: "manual",
        signal: AbortSignal.any([AbortSignal.timeout(rules.answerTimeoutMs), stopping.signal]),
      });
      await response.body?.cancel();
      return { status: response.status };
    } catch (error) {
      return { status: null, error: error instanceof Error ? error.name : "Error" };
    }
  };

  const attempt = async (delivery: Delivery) => {
    timers.delete(delivery);
    if (delivery.status !== "pending") return;
    const begin = performance.now();
    const at = clock.now();
    const { status, error } = await post(delivery);
    if (stopping.signal.aborted) return;
    delivery.attempts.push({
      at,
      status,
      ms: performance.now() - begin,
      ...(error === undefined ? {} : { error }),
    });
    if (status !== null && status >= 200 && status < 300) return finish(delivery, "delivered");
    const wait = rules.retryDelaysSeconds[delivery.attempts.length - 1];
    if (!delivery.webhook.active) {
      finish(delivery, "failed", "Webhook inactive; delivery skipped");
    } else if (wait === undefined) {
      finish(delivery, "failed", error ?? `HTTP ${status}`);
    } else {
      timers.set(delivery, clock.after(wait, () => void attempt(delivery)));
    }
  };

  const start = (delivery: Delivery) => {
    if (started.has(delivery)) return;
    started.add(delivery);
    timers.get(delivery)?.();
    void attempt(delivery);
  };

  const finish = (delivery: Delivery, status: "delivered" | "failed", error?: string) => {
    if (delivery.status !== "pending") return;
    timers.get(delivery)?.();
    timers.delete(delivery);
    delivery.status = status;
    delivery.finishedAt = clock.now();
    if (error !== undefined) delivery.error = error;
    const key = queueKey(delivery.webhook, delivery.conversationId);
    const queue = queues.get(key);
    if (queue?.includes(delivery)) {
      queue.splice(queue.indexOf(delivery), 1);
      if (queue.length === 0) queues.delete(key);
      else start(queue[0]!);
    }
    if (delivery.webhook.active) {
      // A refused batch is retried as single events, with new keys.
      if (status === "failed" && delivery.elements !== undefined) {
        for (const body of delivery.elements) {
          enqueue(delivery.webhook, { ...eventOf(delivery), body }, undefined);
        }
      }
      recordOutcome(delivery.webhook, status === "failed");
    }
    unfinished--;
    checkSettled();
  };

  const recordOutcome = (webhook: Webhook, isFailure: boolean) => {
    const { windowSeconds, minDeliveries, minFailures, minFailureRate } = rules.autoPause;
    const now = clock.now();
    webhook.outcomes.push({ at: now, isFailure });
    webhook.outcomes = webhook.outcomes.filter(({ at }) => at > now - windowSeconds * 1000);
    const failures = webhook.outcomes.filter(({ isFailure }) => isFailure).length;
    if (
      webhook.outcomes.length >= minDeliveries && failures >= minFailures &&
      failures / webhook.outcomes.length >= minFailureRate
    ) {
      setActive(webhook, false);
      webhook.isAutoPaused = true;
    }
  };

  const setActive = (webhook: Webhook, isActive: boolean) => {
    webhook.active = isActive;
    webhook.updatedAt = clock.now();
    webhook.outcomes = [];
    webhook.isAutoPaused = false;
    if (isActive) return;
    for (const [key, buffer] of buffers) {
      if (!key.startsWith(`${webhook.id} `)) continue;
      buffer.cancel();
      buffers.delete(key);
    }
    // A running delivery may still arrive.
    const held = log.filter((delivery) =>
      delivery.webhook === webhook && delivery.status === "pending" &&
      (timers.has(delivery) || !started.has(delivery))
    );
    for (const delivery of held) started.add(delivery);
    for (const delivery of held) finish(delivery, "failed", "Webhook inactive; delivery skipped");
    checkSettled();
  };

  const enqueue = (
    webhook: Webhook,
    event: KapsoEvent,
    elements: JsonObject[] | undefined,
  ): Delivery => {
    const body = JSON.stringify(event.body);
    const delivery: Delivery = {
      id: random.uuid(),
      webhook,
      event: event.event,
      conversationId: event.conversationId,
      body,
      headers: deliveryHeaders({
        event: event.event,
        body,
        secretKey: webhook.secretKey,
        idempotencyKey: random.uuid(),
        payloadVersion: webhook.payloadVersion,
        extra: webhook.headers,
        ...(elements === undefined ? {} : { batchSize: elements.length }),
      }),
      elements,
      status: "pending",
      attempts: [],
      createdAt: clock.now(),
    };
    log.push(delivery);
    unfinished++;
    if (!/\.message\.(received|sent)$/.test(event.event) || event.conversationId === undefined) {
      start(delivery);
      return delivery;
    }
    const key = queueKey(webhook, event.conversationId);
    const queue = queues.get(key) ?? [];
    queues.set(key, queue);
    queue.push(delivery);
    if (queue.length === 1) start(delivery);
    else timers.set(delivery, clock.after(rules.holdSeconds, () => start(delivery)));
    return delivery;
  };

  const buffer = (webhook: Webhook, event: KapsoEvent) => {
    const key = queueKey(webhook, event.conversationId);
    const pending = buffers.get(key);
    pending?.cancel();
    const events = [...pending?.events ?? [], event];
    const flush = () => {
      buffers.delete(key);
      const elements = events.map(({ body }) => body);
      const firstSequence = sequences.get(key) ?? 1;
      sequences.set(key, firstSequence + elements.length);
      const body = batchBody(event.event, elements, {
        windowSeconds: webhook.bufferWindowSeconds,
        firstSequence,
        conversationId: event.conversationId,
      });
      enqueue(webhook, { ...event, body }, elements);
    };
    if (events.length >= webhook.maxBufferSize) return flush();
    buffers.set(key, { events, flush, cancel: clock.after(webhook.bufferWindowSeconds, flush) });
  };

  return {
    webhooks,
    log,
    emit(event) {
      for (const webhook of webhooks.values()) {
        const isWanted = webhook.active && webhook.kind === "kapso" &&
          webhook.phoneNumberId === event.phoneNumberId && webhook.events.includes(event.event);
        if (!isWanted) continue;
        if (webhook.bufferEnabled && event.event === "whatsapp.message.received") {
          buffer(webhook, event);
        } else {
          enqueue(webhook, event, undefined);
        }
      }
    },
    deliver: (webhook, event) => enqueue(webhook, event, undefined),
    async repeat(delivery) {
      return (await post(delivery)).status;
    },
    setActive,
    settled: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        checkSettled();
      }),
    stop() {
      stopping.abort();
      unfinished = 0;
      buffers.clear();
      checkSettled();
    },
  };
}

/** A row of the delivery log. */
export function deliveryRow(delivery: Delivery): JsonObject {
  const last = delivery.attempts.at(-1);
  const at = (ms: number | undefined) => ms === undefined ? null : iso(ms);
  return {
    id: delivery.id,
    event: delivery.event,
    status: delivery.status,
    response_status: last?.status ?? null,
    delivered_at: delivery.status === "delivered" ? at(delivery.finishedAt) : null,
    failed_at: delivery.status === "failed" ? at(delivery.finishedAt) : null,
    last_attempt_at: at(last?.at),
    attempt_count: delivery.attempts.length,
    created_at: iso(delivery.createdAt),
    webhook_id: delivery.webhook.id,
    webhook_url: delivery.webhook.url,
    phone_number_id: delivery.webhook.phoneNumberId,
    error_message: delivery.error ?? null,
  };
}

function queueKey(webhook: Webhook, conversationId: string | undefined): string {
  return `${webhook.id} ${conversationId ?? ""}`;
}

function eventOf(delivery: Delivery): Omit<KapsoEvent, "body"> {
  return {
    event: delivery.event,
    phoneNumberId: delivery.webhook.phoneNumberId,
    conversationId: delivery.conversationId,
  };
}
