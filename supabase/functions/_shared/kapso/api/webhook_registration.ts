/**
 * The webhook of a phone number at Kapso: registers it, and says whether it delivers what is needed.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { WebhookHealth } from "../../contracts/inbox/connections.ts";
import { AppError } from "../../http/errors.ts";
import { EVENTS } from "../webhook/normalize.ts";
import { type KapsoClient, KapsoError, type Row } from "./client.ts";

const webhookRow = z.object({
  id: z.string(),
  url: z.string(),
  kind: z.string().nullish(),
  active: z.boolean(),
  events: z.array(z.string()).nullish().transform((events) => events ?? []),
  payload_version: z.string().nullish(),
  buffer_enabled: z.boolean().nullish(),
});

/** A webhook, as Kapso lists it. */
export type Webhook = z.output<typeof webhookRow>;

/** What {@linkcode registerWebhook} needs. */
export interface Registration {
  kapso: KapsoClient;
  /** Address of kapso-webhook, as Kapso reaches it, without a slash at its end. */
  url: string;
  phoneNumberId: string;
  /** The secret that is stored for the number; undefined if there is none. */
  storedSecret: () => Promise<string | undefined>;
  storeSecret: (secret: string) => Promise<void>;
  /** Replace a stored secret. The database accepts the old one for another day. */
  rotate?: boolean;
}

/** What {@linkcode registerWebhook} did. */
export interface RegisteredWebhook {
  webhook: Webhook;
  health: WebhookHealth;
  /** False: a webhook with our URL was there and was updated. */
  isCreated: boolean;
  hasNewSecret: boolean;
  /** False: the account does not know the `whatsapp.contact.*` events, so they were left out. */
  hasContactEvents: boolean;
}

/**
 * Creates the webhook of a phone number, or updates the one with our URL: active, payload version 2,
 * every event, signed with the stored secret. Webhooks with another URL are left alone.
 *
 * @throws {KapsoError}, or {@linkcode AppError} webhook_conflict (409).
 */
export async function registerWebhook(registration: Registration): Promise<RegisteredWebhook> {
  const { kapso, url, phoneNumberId, storeSecret } = registration;
  const stored = await registration.storedSecret();
  const hasNewSecret = stored === undefined || registration.rotate === true;
  const secret = hasNewSecret ? randomBytes(32).toString("hex") : stored;
  const existing = await findWebhook(kapso, url, phoneNumberId);
  // If the old secret is known, both are valid for a day, so the new one can be stored first. A webhook
  // that is adopted signs with an unknown secret until the update: storing first would refuse its events.
  const storesFirst = existing === undefined || stored !== undefined;
  if (hasNewSecret && storesFirst) await storeSecret(secret);
  const settings = (events: readonly string[]) => ({
    url,
    secret_key: secret,
    payload_version: "v2",
    active: true,
    events: [...events],
  });
  const update = (id: string, events: readonly string[]) =>
    kapso.updateWebhook(id, settings(events), { isRepeatable: true });
  const { row, hasContactEvents } = await withKnownEvents(async (events) => {
    if (existing !== undefined) return await update(existing.id, events);
    try {
      return await kapso.createWebhook(phoneNumberId, { ...settings(events), kind: "kapso" });
    } catch (error) {
      if (!(error instanceof KapsoError) || error.status !== 409) throw error;
      // Another request has created it at this moment.
      const other = await findWebhook(kapso, url, phoneNumberId);
      if (other === undefined) {
        throw conflict(
          "Kapso says that the webhook exists, but does not list it. Register it again",
        );
      }
      return await update(other.id, events);
    }
  });
  if (hasNewSecret && !storesFirst) await storeSecret(secret);
  const webhook = readWebhook(row);
  return {
    webhook,
    health: healthOf(webhook),
    isCreated: existing === undefined,
    hasNewSecret,
    hasContactEvents,
  };
}

/**
 * Finds the webhook of a phone number that delivers to a URL.
 *
 * @throws {KapsoError}, or {@linkcode AppError} webhook_conflict (409) if the only one forwards Meta's
 *   own payload.
 */
export async function findWebhook(
  kapso: KapsoClient,
  url: string,
  phoneNumberId: string,
): Promise<Webhook | undefined> {
  const found = (await kapso.listWebhooks(phoneNumberId))
    .flatMap((row) => webhookRow.safeParse(row).data ?? [])
    .filter((webhook) => webhook.url.replace(/\/+$/, "") === url);
  const usable = found.find(({ kind }) => (kind ?? "kapso") === "kapso");
  if (usable === undefined && found.length > 0) {
    throw conflict(
      `Webhook ${
        found[0]!.id
      } at Kapso has this address and forwards Meta's own payload (kind: meta), ` +
        "which cannot be changed. Delete it in Kapso, then register again",
    );
  }
  return usable;
}

/** Says how a webhook is; undefined is one that does not exist. */
export function healthOf(webhook: Webhook | undefined): WebhookHealth {
  if (webhook === undefined) {
    return { state: "missing", url: null, missing_events: [], is_ours: false, problem: null };
  }
  const missing = EVENTS.filter((event) => !webhook.events.includes(event));
  const isComplete = missing.every(isContactEvent) && isCurrentVersion(webhook);
  return {
    state: !webhook.active ? "paused" : isComplete ? "active" : "incomplete",
    url: webhook.url,
    missing_events: missing,
    is_ours: true,
    problem: null,
  };
}

/** Whether a webhook sends payloads that kapso-webhook reads. */
export function isCurrentVersion(webhook: Webhook): boolean {
  return (webhook.payload_version ?? "v2") === "v2";
}

/** Whether an event is one that accounts may not know yet: a webhook without it is complete. */
export function isContactEvent(event: string): boolean {
  return event.startsWith("whatsapp.contact.");
}

/** Asks for every event, and leaves out those of contacts if the account does not know them. */
async function withKnownEvents(
  set: (events: readonly string[]) => Promise<Row>,
): Promise<{ row: Row; hasContactEvents: boolean }> {
  try {
    return { row: await set(EVENTS), hasContactEvents: true };
  } catch (error) {
    if (!(error instanceof KapsoError) || error.status !== 422) throw error;
    const row = await set(EVENTS.filter((event) => !isContactEvent(event)));
    return { row, hasContactEvents: false };
  }
}

function readWebhook(row: Row): Webhook {
  const parsed = webhookRow.safeParse(row);
  if (parsed.success) return parsed.data;
  throw new KapsoError({
    status: 200,
    code: "unreadable_answer",
    message: "Kapso's answer is not a webhook",
    isRetryable: false,
    isAmbiguous: true,
  });
}

function conflict(message: string): AppError {
  return new AppError(409, "webhook_conflict", message);
}
