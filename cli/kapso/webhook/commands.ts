/**
 * The commands of `deno task kapso:webhook`: register, show, resume and test the webhook of a connection.
 *
 * @module
 */

import type { DatabaseClient } from "../../../supabase/functions/_shared/database/clients.ts";
import type { CredentialCipher } from "../../../supabase/functions/_shared/auth/credentials.ts";
import type { KapsoClient } from "../../../supabase/functions/_shared/kapso/api/client.ts";
import {
  findWebhook,
  healthOf,
  isContactEvent,
  isCurrentVersion,
  registerWebhook,
  type Webhook,
} from "../../../supabase/functions/_shared/kapso/api/webhook_registration.ts";
import { CommandError, usageError } from "../../command_error.ts";
import { type DeliveryRow, readDelivery } from "./deliveries.ts";

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
  /** The requested one where there is one, otherwise the one it has. */
  phoneNumberId: string;
  isProven: boolean;
}

const TEST_WAIT_MS = 15_000;
const POLL_MS = 500;

/**
 * Creates the number's webhook, or updates the one with our URL, and stores its secret.
 *
 * @param options `rotate`: create a new secret. The old one stays valid for another day.
 */
export async function register(
  deps: CommandDeps,
  name: string,
  options: { rotate: boolean },
): Promise<number> {
  const { kapso, webhookUrl, print } = deps;
  const connection = await findConnection(deps, name);
  if (!connection.isProven) await claimNumber(deps, connection);
  const registered = await registerWebhook({
    kapso,
    url: webhookUrl,
    phoneNumberId: connection.phoneNumberId,
    storedSecret: () => readSecret(deps, connection),
    storeSecret: (secret) => storeSecret(deps, connection, secret),
    rotate: options.rotate,
  });
  // Kapso has just accepted it: the functions use it for history and repair from now on.
  await storeApiKey(deps, connection);
  const { webhook } = registered;
  if (!registered.hasContactEvents) {
    print("This account does not know the whatsapp.contact events; registered without them.");
  }
  print(`${registered.isCreated ? "Created" : "Adopted"} webhook ${webhook.id}`);
  if (registered.hasNewSecret) print("A new secret was created and stored, encrypted.");
  print("The Kapso key was stored, encrypted, for history and repair.");
  printWebhook(print, webhook);
  return 0;
}

/** Shows the webhook and its last deliveries. @returns 1 if it does not deliver what is needed. */
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
    print(
      "No secret is stored for this connection, so KAPSO_WEBHOOK_SECRET must be the webhook's secret.",
    );
  }
  return isWell ? 0 : 1;
}

/** Resumes a paused webhook. */
export async function resume(deps: CommandDeps, name: string): Promise<number> {
  const connection = await findConnection(deps, name);
  const webhook = await requireWebhook(deps, connection, name);
  if (webhook.active) {
    deps.print(`Webhook ${webhook.id} is already active.`);
    return 0;
  }
  await deps.kapso.updateWebhook(webhook.id, { active: true }, { isRepeatable: true });
  deps.print(`Webhook ${webhook.id} is active again.`);
  deps.print("Kapso does not retry deliveries that it dropped while the webhook was paused.");
  return 0;
}

/** Asks Kapso for a test event, and waits for its delivery. */
export async function test(deps: CommandDeps, name: string, event: string): Promise<number> {
  const { kapso, print } = deps;
  const connection = await findConnection(deps, name);
  const webhook = await requireWebhook(deps, connection, name);
  if (!webhook.active) {
    throw new CommandError("The webhook is paused. Run resume first.");
  }
  const before = new Set((await lastDeliveries(kapso, webhook)).map(({ id }) => id));
  await kapso.testWebhook(webhook.id, event);
  for (let waited = 0; waited < TEST_WAIT_MS; waited += POLL_MS) {
    const row = (await lastDeliveries(kapso, webhook)).find((row) =>
      !before.has(row.id) && (row.event ?? event) === event
    );
    // A delivery stays pending after a failed attempt until the retries are over.
    if (row !== undefined && (row.status !== "pending" || (row.attempt_count ?? 0) > 0)) {
      print(describeDelivery(row));
      return row.status === "delivered" ? 0 : 1;
    }
    await deps.delay(POLL_MS);
  }
  print("Kapso accepted the test but has not delivered it yet. Run status to see the delivery.");
  return 1;
}

// Connections ------------------------------------------------------------------------------------

async function findConnection({ client }: CommandDeps, name: string): Promise<Connection> {
  const { data, error } = await client.from("connections")
    .select("id, platform, phone_number_id, requested_phone_number_id").eq("connection_id", name)
    .maybeSingle();
  if (error) throw new CommandError(`Cannot read the database: ${error.message}`);
  if (data === null) throw usageError(`Connection ${name} not found.`);
  const phoneNumberId = data.requested_phone_number_id ?? data.phone_number_id;
  if (data.platform !== "whatsapp" || phoneNumberId === null) {
    throw usageError(
      `Connection ${name} has no phone_number_id, so it is not a Kapso number.`,
    );
  }
  return { id: data.id, phoneNumberId, isProven: data.requested_phone_number_id === null };
}

/** Gives the connection its number, which Kapso finds with the key of this environment. */
async function claimNumber(
  { client, kapso, print }: CommandDeps,
  connection: Connection,
): Promise<void> {
  const { id, phoneNumberId } = connection;
  const found = await kapso.getPhoneNumber(phoneNumberId);
  if (found.phone_number_id !== phoneNumberId) {
    throw new CommandError("Kapso found another number. Check the phone_number_id.");
  }
  const { data, error } = await client.rpc("claim_phone_number", {
    connection_id: id,
    phone_number_id: phoneNumberId,
  });
  if (error) throw new CommandError(`Cannot write the database: ${error.message}`);
  if (data[0]?.outcome === "taken") {
    throw new CommandError(
      "Another connection has this phone number. Remove the number there first.",
    );
  }
  print("Kapso has the number: it is now that of the connection.");
}

async function readSecret(deps: CommandDeps, connection: Connection): Promise<string | undefined> {
  const { data, error } = await deps.client.rpc("webhook_secrets", {
    phone_number_id: connection.phoneNumberId,
  });
  if (error) throw new CommandError(`Cannot read the database: ${error.message}`);
  const sealed = data[0]?.secret;
  if (!sealed) return undefined;
  try {
    return await deps.cipher.decrypt(sealed);
  } catch {
    throw usageError(
      "The stored secret was encrypted with another CREDENTIALS_KEY than the one in this environment.",
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
    throw new CommandError(`Cannot store the secret: ${error.message}. Run register again.`);
  }
}

async function storeApiKey(deps: CommandDeps, connection: Connection): Promise<void> {
  const { error } = await deps.client.rpc("set_kapso_api_key", {
    connection_id: connection.id,
    api_key: await deps.cipher.encrypt(deps.apiKey),
  });
  if (error) {
    throw new CommandError(
      `Cannot store the Kapso key: ${error.message}. Run register again.`,
    );
  }
}

// Webhooks ---------------------------------------------------------------------------------------

async function requireWebhook(
  deps: CommandDeps,
  connection: Connection,
  name: string,
): Promise<Webhook> {
  const webhook = await findWebhook(deps.kapso, deps.webhookUrl, connection.phoneNumberId);
  if (webhook === undefined) {
    throw usageError(
      `The number has no webhook to ${deps.webhookUrl}. Create one: deno task kapso:webhook register ${name}`,
    );
  }
  return webhook;
}

async function lastDeliveries(kapso: KapsoClient, webhook: Webhook): Promise<DeliveryRow[]> {
  return (await kapso.listDeliveries(webhook.id, { pageSize: 10 })).map(readDelivery);
}

/** @returns whether it delivers what is needed. */
function printWebhook(print: (line: string) => void, webhook: Webhook): boolean {
  const { state, missing_events } = healthOf(webhook);
  const missing = missing_events.filter((event) => !isContactEvent(event));
  const payload = isCurrentVersion(webhook)
    ? "v2"
    : `${webhook.payload_version}: must be v2. Run register.`;
  print(`  URL      ${webhook.url}`);
  print(`  State    ${webhook.active ? "active" : "PAUSED: Kapso delivers nothing. Run resume."}`);
  print(`  Payload  ${payload}`);
  print(`  Events   ${webhook.events.length}${missing.length > 0 ? ", missing:" : ""}`);
  for (const event of missing) print(`             ${event}`);
  if (webhook.buffer_enabled) print("  Batches  on");
  return state === "active";
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
