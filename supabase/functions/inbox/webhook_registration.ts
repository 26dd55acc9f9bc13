/**
 * The webhook of a number at Kapso: whether it delivers what is needed, and making it so.
 *
 * @module
 */
import * as z from "zod";
import { AppError } from "../_shared/http/errors.ts";
import { type KapsoClient, KapsoError, type Row } from "../_shared/kapso/api/client.ts";
import { EVENTS } from "../_shared/kapso/webhook/normalize.ts";

/** How a webhook is. */
export interface WebhookHealth {
  state: "active" | "paused" | "missing" | "incomplete" | "no_key" | "unknown";
  /** Where it delivers to. */
  url: string | null;
  /** Events it does not deliver, though it should. */
  missing_events: string[];
  /** Whether it delivers here. */
  is_ours: boolean;
}

const webhookRow = z.object({
  id: z.string(),
  url: z.string(),
  kind: z.string().nullish(),
  active: z.boolean(),
  events: z.array(z.string()).nullish().transform((events) => events ?? []),
  payload_version: z.string().nullish(),
});

type Webhook = z.output<typeof webhookRow>;

/** Events that accounts may not know yet; a webhook without them is complete all the same. */
const isOptional = (event: string) => event.startsWith("whatsapp.contact.");

/**
 * Look at the webhook of a number.
 *
 * @param url Address of kapso-webhook, as Kapso reaches it.
 * @throws {KapsoError}
 */
export async function checkWebhook(
  kapso: KapsoClient,
  url: string,
  phoneNumberId: string,
): Promise<WebhookHealth> {
  return healthOf(await findOurs(kapso, url, phoneNumberId));
}

/** What {@linkcode registerWebhook} needs. */
export interface Registration {
  kapso: KapsoClient;
  /** Address of kapso-webhook, as Kapso reaches it. */
  url: string;
  phoneNumberId: string;
  storedSecret: () => Promise<string | undefined>;
  storeSecret: (secret: string) => Promise<void>;
}

/**
 * Make the webhook of a number, or make ours what it must be: active, version 2, every event, signed with
 * the stored secret. Webhooks of others are left alone.
 *
 * @throws {KapsoError}, or {@linkcode AppError} webhook_conflict (409).
 */
export async function registerWebhook(registration: Registration): Promise<WebhookHealth> {
  const { kapso, url, phoneNumberId } = registration;
  const stored = await registration.storedSecret();
  const secret = stored ?? crypto.getRandomValues(new Uint8Array(32)).toHex();
  const existing = await findOurs(kapso, url, phoneNumberId);
  // One that is adopted signs with a secret nobody here knows, until it is told the new one: so the new
  // one is expected from then on, and from the beginning where there is nothing yet.
  if (stored === undefined && existing === undefined) await registration.storeSecret(secret);
  const settings = (events: readonly string[]) => ({
    url,
    secret_key: secret,
    payload_version: "v2",
    active: true,
    events: [...events],
  });
  const update = (id: string, events: readonly string[]) =>
    kapso.updateWebhook(id, settings(events), { isRepeatable: true });
  const row = await withKnownEvents(async (events) => {
    if (existing !== undefined) return await update(existing.id, events);
    try {
      return await kapso.createWebhook(phoneNumberId, { ...settings(events), kind: "kapso" });
    } catch (error) {
      if (!(error instanceof KapsoError) || error.status !== 409) throw error;
      // Somebody else has made it at this moment.
      const other = await findOurs(kapso, url, phoneNumberId);
      if (other === undefined) throw conflict();
      return await update(other.id, events);
    }
  });
  if (stored === undefined && existing !== undefined) await registration.storeSecret(secret);
  return healthOf(webhookRow.parse(row));
}

/** Ask for every event, and without those that the account does not know. */
async function withKnownEvents(set: (events: readonly string[]) => Promise<Row>): Promise<Row> {
  try {
    return await set(EVENTS);
  } catch (error) {
    if (!(error instanceof KapsoError) || error.status !== 422) throw error;
    return await set(EVENTS.filter((event) => !isOptional(event)));
  }
}

async function findOurs(
  kapso: KapsoClient,
  url: string,
  phoneNumberId: string,
): Promise<Webhook | undefined> {
  const found = (await kapso.listWebhooks(phoneNumberId))
    .flatMap((row) => webhookRow.safeParse(row).data ?? [])
    .filter((webhook) => webhook.url.replace(/\/+$/, "") === url);
  const usable = found.find(({ kind }) => (kind ?? "kapso") === "kapso");
  if (usable === undefined && found.length > 0) throw conflict();
  return usable;
}

function conflict(): AppError {
  return new AppError(
    409,
    "webhook_conflict",
    "Kapso has a webhook with our address that cannot be used, such as one of kind meta. Delete it there",
  );
}

function healthOf(webhook: Webhook | undefined): WebhookHealth {
  if (webhook === undefined) {
    return { state: "missing", url: null, missing_events: [], is_ours: false };
  }
  const missing = EVENTS.filter((event) => !webhook.events.includes(event));
  const isComplete = missing.every(isOptional) && (webhook.payload_version ?? "v2") === "v2";
  return {
    state: !webhook.active ? "paused" : isComplete ? "active" : "incomplete",
    url: webhook.url,
    missing_events: missing,
    is_ours: true,
  };
}
