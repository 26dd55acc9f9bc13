/**
 * What `deno task kapso:webhook` does: registers, shows, resumes and tests the webhook of a connection.
 *
 * @module
 */

import type { DatabaseClient } from "../../../supabase/functions/_shared/database/clients.ts";
import type { CredentialCipher } from "../../../supabase/functions/_shared/auth/credentials.ts";
import {
  type KapsoClient,
  KapsoError,
  type Row,
} from "../../../supabase/functions/_shared/kapso/api/client.ts";
import { EVENTS } from "../../../supabase/functions/_shared/kapso/webhook/normalize.ts";
import { Problem } from "../../usage_error.ts";
import { type DeliveryRow, readDelivery, readWebhook, type Webhook } from "./webhooks.ts";

/** What the commands need of the outside world. */
export interface CommandDeps {
  kapso: KapsoClient;
  /** The key `kapso` uses. */
  apiKey: string;
  client: DatabaseClient;
  cipher: CredentialCipher;
  /** Address of kapso-webhook, as Kapso reaches it. */
  webhookUrl: string;
  print: (line: string) => void;
  delay: (ms: number) => Promise<unknown>;
}

interface Connection {
  id: string;
  phoneNumberId: string;
}

const TEST_WAIT_MS = 15_000;
const POLL_MS = 500;

/**
 * Creates the number's webhook, or makes the one with our URL what it must be, and keeps its secret.
 *
 * @param options `rotate`: a new secret; the one before works for another day.
 */
export async function register(
  deps: CommandDeps,
  name: string,
  options: { rotate: boolean },
): Promise<number> {
  const { kapso, webhookUrl, print } = deps;
  const connection = await findConnection(deps, name);
  const stored = await readSecret(deps, connection);
  const isNewSecret = stored === undefined || options.rotate;
  const secret = isNewSecret ? generateSecret() : stored;
  const change = (events: readonly string[]) => ({
    url: webhookUrl,
    secret_key: secret,
    payload_version: "v2",
    active: true,
    events: [...events],
  });
  const update = (id: string, events: readonly string[]) =>
    kapso.updateWebhook(id, change(events), { isRepeatable: true });
  const existing = await findWebhook(deps, connection);
  // Where the old secret is known, it stays valid, so the new one can be stored first. A webhook that is
  // adopted signs with one we do not know: there the new one must not be expected before it is used.
  const storeFirst = existing === undefined || stored !== undefined;
  if (isNewSecret && storeFirst) await storeSecret(deps, connection, secret);
  const webhook = readWebhook(
    await withKnownEvents(print, async (events) => {
      if (existing !== undefined) return await update(existing.id, events);
      try {
        const settings = { ...change(events), kind: "kapso" };
        return await kapso.createWebhook(connection.phoneNumberId, settings);
      } catch (error) {
        if (!(error instanceof KapsoError) || error.status !== 409) throw error;
      }
      // Somebody else has made it at this moment.
      const other = await findWebhook(deps, connection);
      if (other === undefined) {
        throw new Problem("Kapso says the webhook exists, and does not list it");
      }
      return await update(other.id, events);
    }),
  );
  if (isNewSecret && !storeFirst) await storeSecret(deps, connection, secret);
  // It has just proved good: history and repair use it from now on.
  await storeApiKey(deps, connection);
  print(`${existing === undefined ? "Created" : "Adopted"} webhook ${webhook.id}`);
  if (isNewSecret) print("A new secret was made and stored, encrypted.");
  print("The Kapso key was stored, encrypted, for history and repair.");
  printWebhook(print, webhook);
  return 0;
}

/** Shows the webhook and its last deliveries. @returns 1 where it does not deliver all we need. */
export async function status(deps: CommandDeps, name: string): Promise<number> {
  const { kapso, print } = deps;
  const connection = await findConnection(deps, name);
  const webhook = await requireWebhook(deps, connection, name);
  print(`Webhook ${webhook.id}`);
  const isWell = printWebhook(print, webhook);
  const deliveries = await lastDeliveries(kapso, webhook);
  print(deliveries.length === 0 ? "No deliveries in the last 24 hours." : "Last deliveries:");
  for (const row of deliveries) print(`  ${describeDelivery(row)}`);
  if ((await readSecret(deps, connection)) === undefined) {
    print("No secret is stored for this connection; KAPSO_WEBHOOK_SECRET has to be the webhook's.");
  }
  return isWell ? 0 : 1;
}

/** Turns a paused webhook on again. */
export async function resume(deps: CommandDeps, name: string): Promise<number> {
  const connection = await findConnection(deps, name);
  const webhook = await requireWebhook(deps, connection, name);
  if (webhook.active) {
    deps.print(`Webhook ${webhook.id} is active already.`);
    return 0;
  }
  await deps.kapso.updateWebhook(webhook.id, { active: true }, { isRepeatable: true });
  deps.print(`Webhook ${webhook.id} is active again.`);
  deps.print("Kapso does not deliver again what it gave up while it was paused.");
  return 0;
}

/** Lets Kapso send a made-up event, and waits for what becomes of it. */
export async function test(deps: CommandDeps, name: string, event: string): Promise<number> {
  const { kapso, print } = deps;
  const connection = await findConnection(deps, name);
  const webhook = await requireWebhook(deps, connection, name);
  if (!webhook.active) throw new Problem("The webhook is paused. Turn it on with resume first.");
  const before = new Set((await lastDeliveries(kapso, webhook)).map(({ id }) => id));
  await kapso.testWebhook(webhook.id, event);
  for (let waited = 0; waited < TEST_WAIT_MS; waited += POLL_MS) {
    const row = (await lastDeliveries(kapso, webhook)).find((row) =>
      !before.has(row.id) && (row.event ?? event) === event
    );
    // One that failed its first attempt stays pending until the retries are over.
    if (row !== undefined && (row.status !== "pending" || (row.attempt_count ?? 0) > 0)) {
      print(describeDelivery(row));
      return row.status === "delivered" ? 0 : 1;
    }
    await deps.delay(POLL_MS);
  }
  print("Kapso has taken the test and not delivered it yet. See: status");
  return 1;
}

// Connections ------------------------------------------------------------------------------------

async function findConnection({ client }: CommandDeps, name: string): Promise<Connection> {
  const { data, error } = await client.from("connections")
    .select("id, platform, phone_number_id").eq("connection_id", name).maybeSingle();
  if (error) throw new Problem(`The database cannot be asked: ${error.message}`);
  if (data === null) throw new Problem(`There is no connection ${name}.`);
  if (data.platform !== "whatsapp" || data.phone_number_id === null) {
    throw new Problem(`Connection ${name} has no phone_number_id, so it is not a Kapso number.`);
  }
  return { id: data.id, phoneNumberId: data.phone_number_id };
}

async function readSecret(deps: CommandDeps, connection: Connection): Promise<string | undefined> {
  const { data, error } = await deps.client.rpc("webhook_secrets", {
    phone_number_id: connection.phoneNumberId,
  });
  if (error) throw new Problem(`The database cannot be asked: ${error.message}`);
  const sealed = data[0]?.secret;
  if (!sealed) return undefined;
  try {
    return await deps.cipher.decrypt(sealed);
  } catch {
    throw new Problem(
      "The stored secret was encrypted with another CREDENTIALS_KEY than the one given here.",
    );
  }
}

async function storeSecret(
  deps: CommandDeps,
  connection: Connection,
  secret: string,
): Promise<void> {
  const { error } = await deps.client.rpc("set_webhook_secret", {
    connection_id: connection.id,
    secret: await deps.cipher.encrypt(secret),
  });
  if (error) {
    throw new Problem(`The secret could not be stored: ${error.message}. Run register again.`);
  }
}

async function storeApiKey(deps: CommandDeps, connection: Connection): Promise<void> {
  const { error } = await deps.client.rpc("set_kapso_api_key", {
    connection_id: connection.id,
    api_key: await deps.cipher.encrypt(deps.apiKey),
  });
  if (error) {
    throw new Problem(`The Kapso key could not be stored: ${error.message}. Run register again.`);
  }
}

function generateSecret(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}

// Webhooks ---------------------------------------------------------------------------------------

async function findWebhook(
  { kapso, webhookUrl }: CommandDeps,
  connection: Connection,
): Promise<Webhook | undefined> {
  const found = (await kapso.listWebhooks(connection.phoneNumberId)).map(readWebhook)
    .filter(({ url }) => url.replace(/\/+$/, "") === webhookUrl);
  const usable = found.find(({ kind }) => (kind ?? "kapso") === "kapso");
  if (usable === undefined && found.length > 0) {
    throw new Problem(
      `Webhook ${
        found[0]!.id
      } has our URL, and forwards Meta's own payload (kind: meta), which cannot ` +
        "be changed. Delete it in Kapso, then register again.",
    );
  }
  return usable;
}

async function requireWebhook(
  deps: CommandDeps,
  connection: Connection,
  name: string,
): Promise<Webhook> {
  const webhook = await findWebhook(deps, connection);
  if (webhook === undefined) {
    throw new Problem(
      `The number has no webhook to ${deps.webhookUrl}. Make one: deno task kapso:webhook register ${name}`,
    );
  }
  return webhook;
}

/** Asks for every event, and without those of contacts where Kapso does not know them yet. */
async function withKnownEvents(
  print: (line: string) => void,
  set: (events: readonly string[]) => Promise<Row>,
): Promise<Row> {
  try {
    return await set(EVENTS);
  } catch (error) {
    if (!(error instanceof KapsoError) || error.status !== 422) throw error;
    const webhook = await set(EVENTS.filter((event) => !event.startsWith("whatsapp.contact.")));
    print("This account does not know the whatsapp.contact events; registered without them.");
    return webhook;
  }
}

async function lastDeliveries(kapso: KapsoClient, webhook: Webhook): Promise<DeliveryRow[]> {
  return (await kapso.listDeliveries(webhook.id, { pageSize: 10 })).map(readDelivery);
}

/** @returns whether it delivers what we need. */
function printWebhook(print: (line: string) => void, webhook: Webhook): boolean {
  const missing = EVENTS.filter((event) =>
    !webhook.events.includes(event) && !event.startsWith("whatsapp.contact.")
  );
  const isV2 = (webhook.payload_version ?? "v2") === "v2";
  print(`  URL      ${webhook.url}`);
  print(`  State    ${webhook.active ? "active" : "PAUSED: Kapso delivers nothing. Use resume."}`);
  print(`  Payload  ${isV2 ? "v2" : `${webhook.payload_version}: must be v2. Use register.`}`);
  print(`  Events   ${webhook.events.length}${missing.length > 0 ? ", missing:" : ""}`);
  for (const event of missing) print(`             ${event}`);
  if (webhook.buffer_enabled) print("  Batches  on");
  return webhook.active && isV2 && missing.length === 0;
}

function describeDelivery(row: DeliveryRow): string {
  return [
    row.created_at ?? "",
    row.event ?? "",
    row.status,
    typeof row.response_status !== "number" ? "no answer" : `HTTP ${row.response_status}`,
    `${row.attempt_count ?? 0} attempts`,
    row.status === "failed" ? row.error_message ?? "" : "",
  ].filter((part) => part !== "").join("  ");
}
