/**
 * Secrets, events and connections of Kapso's webhooks in this project's database.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { CredentialCipher } from "../_shared/auth/credentials.ts";
import type { WebhookEventState } from "../_shared/contracts/kapso_webhook.ts";
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { rows, rpc } from "../_shared/database/rpc.ts";
import type { InstallationCheck } from "../_shared/kapso/api/installation_key.ts";
import type { NormalizedElement } from "../_shared/kapso/webhook/elements.ts";

/** What `private.webhook_secret_version` returns of a number without a connection. */
const NO_CONNECTION = "none";
/** Phone numbers whose secrets are remembered. */
const MAX_NUMBERS = 1000;

/** An event to record. */
export interface WebhookEvent {
  /** The phone number whose secret signed it; undefined where the body names none. */
  phoneNumberId: string | undefined;
  event: string | undefined;
  /** The same for each repeat of a delivery. */
  idempotencyKey: string | undefined;
  body: Uint8Array;
  elements: NormalizedElement[];
  /** The version of the secrets that its signature was checked with, where they may be old. */
  secretVersion: string | undefined;
}

/** The secrets that sign events about a phone number. */
export interface WebhookSecrets {
  /** Empty where none is known. */
  secrets: string[];
  /** Undefined for a body that names no number: its secret is the installation's. */
  version: string | undefined;
  /** Not read in this moment. */
  isRemembered: boolean;
}

/** Where events and the secrets of webhooks are kept. */
export interface WebhookStore {
  /**
   * Reads the secrets that sign events about a phone number: those of its connection, else the project's. They are
   * remembered, so that an event is one call of the database.
   *
   * @param isFresh Reads them again.
   * @throws {AppError} as `databaseError`.
   */
  readSecrets(phoneNumberId: string | undefined, isFresh: boolean): Promise<WebhookSecrets>;
  /**
   * Records an event, and processes it where its number has no queue; else its state is `received`.
   *
   * @returns Undefined, and nothing is recorded, where the secrets have another version by now.
   * @throws {AppError} as `databaseError`, if it could not be recorded.
   */
  record(event: WebhookEvent): Promise<{ id: number; state: WebhookEventState } | undefined>;
}

/** Options of {@linkcode createWebhookStore}. */
export interface WebhookStoreOptions {
  /** Opens the secrets of connections; undefined where no CREDENTIALS_KEY is set. */
  cipher: CredentialCipher | undefined;
  /**
   * The secret for phone numbers whose connection has none of its own, and which connections may use it.
   * A phone number without a connection uses it too: its events are recorded without a workspace.
   */
  installation: { secret: string | undefined; isFor: InstallationCheck };
}

/** Creates a {@linkcode WebhookStore} on a service client. */
export function createWebhookStore(
  client: DatabaseClient,
  { cipher, installation }: WebhookStoreOptions,
): WebhookStore {
  const fallback = installation.secret ? [installation.secret] : [];
  const known = new Map<string, WebhookSecrets>();

  async function read(phoneNumberId: string): Promise<WebhookSecrets> {
    const [row] = await rpc(client, "webhook_secrets", { phone_number_id: phoneNumberId });
    const version = row?.version ?? NO_CONNECTION;
    const sealed = [row?.secret ?? null, row?.previous_secret ?? null]
      .filter((value) => value !== null);
    if (sealed.length === 0) {
      const isInstallation = !row || await installation.isFor(row.connection_id);
      return { secrets: isInstallation ? fallback : [], version, isRemembered: false };
    }
    if (!cipher) {
      throw new Error("CREDENTIALS_KEY is not set, so the connection's secret cannot be read");
    }
    const secrets = await Promise.all(sealed.map((value) => cipher.decrypt(value)));
    return { secrets, version, isRemembered: false };
  }

  return {
    async readSecrets(phoneNumberId, isFresh) {
      if (phoneNumberId === undefined) {
        return { secrets: fallback, version: undefined, isRemembered: false };
      }
      const remembered = isFresh ? undefined : known.get(phoneNumberId);
      if (remembered) return { ...remembered, isRemembered: true };
      const found = await read(phoneNumberId);
      // A Map keeps the order: the oldest makes room. Strangers can name any number.
      if (known.size >= MAX_NUMBERS) known.delete(known.keys().next().value!);
      known.set(phoneNumberId, found);
      return found;
    },
    async record({ phoneNumberId, event, idempotencyKey, body, elements, secretVersion }) {
      const [recorded] = await rpc(client, "record_webhook_event", {
        phone_number_id: phoneNumberId ?? null,
        event: event ?? null,
        idempotency_key: idempotencyKey ?? null,
        body: Buffer.from(body).toString("base64"),
        elements,
        secret_version: secretVersion,
      });
      return recorded;
    },
  };
}

/**
 * Processes the next events that wait for a phone number.
 *
 * @throws {AppError} as `databaseError`.
 */
export async function drainEvents(
  client: DatabaseClient,
  phoneNumberId: string,
): Promise<{ drained: number; is_busy: boolean }> {
  const [pass] = await rpc(client, "drain_webhook_events", { phone_number_id: phoneNumberId });
  return pass!;
}

/**
 * Finds the primary keys of the connections of phone numbers.
 *
 * @throws {AppError} as `databaseError`.
 */
export async function findConnections(
  client: DatabaseClient,
  phoneNumberIds: string[],
): Promise<string[]> {
  const connections = await rows(
    client,
    client.from("connections").select("id")
      .eq("platform", "whatsapp").in("phone_number_id", phoneNumberIds),
  );
  return connections.map(({ id }) => id);
}
