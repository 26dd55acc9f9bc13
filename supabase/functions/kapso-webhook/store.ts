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

/** An event to record. */
export interface WebhookEvent {
  /** The phone number whose secret signed it; undefined where the body names none. */
  phoneNumberId: string | undefined;
  event: string | undefined;
  /** The same for each repeat of a delivery. */
  idempotencyKey: string | undefined;
  body: Uint8Array;
  elements: NormalizedElement[];
}

/** Where events and the secrets of webhooks are kept. */
export interface WebhookStore {
  /**
   * Reads the secrets that sign events about a phone number: those of its connection, else the project's;
   * empty where neither is known.
   *
   * @throws {AppError} as `databaseError`.
   */
  readSecrets(phoneNumberId: string | undefined): Promise<string[]>;
  /**
   * Records an event and processes it.
   *
   * @throws {AppError} as `databaseError`, if it could not be recorded.
   */
  record(event: WebhookEvent): Promise<{ id: number; state: WebhookEventState }>;
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
  return {
    async readSecrets(phoneNumberId) {
      if (phoneNumberId === undefined) return fallback;
      const connections = await rpc(client, "webhook_secrets", { phone_number_id: phoneNumberId });
      const sealed = connections.flatMap((row) => [row.secret, row.previous_secret])
        .filter((value) => value !== null);
      if (sealed.length === 0) {
        const [connection] = connections;
        return !connection || await installation.isFor(connection.connection_id) ? fallback : [];
      }
      if (!cipher) {
        throw new Error("CREDENTIALS_KEY is not set, so the connection's secret cannot be read");
      }
      return await Promise.all(sealed.map((value) => cipher.decrypt(value)));
    },
    async record({ phoneNumberId, event, idempotencyKey, body, elements }) {
      const [recorded] = await rpc(client, "record_webhook_event", {
        phone_number_id: phoneNumberId ?? null,
        event: event ?? null,
        idempotency_key: idempotencyKey ?? null,
        body: Buffer.from(body).toString("base64"),
        elements,
      });
      return recorded!;
    },
  };
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
