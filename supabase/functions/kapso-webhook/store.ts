/**
 * Secrets, events and connections of Kapso's webhooks in this project's database.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/database/clients.ts";
import { type CredentialBox, toBase64 } from "../_shared/auth/credentials.ts";
import type { Json } from "../_shared/database/database.types.ts";
import { databaseError } from "../_shared/http/errors.ts";
import type { InstallationCheck } from "../_shared/kapso/api/installation_key.ts";
import type { HandlerDeps } from "./handler.ts";

/**
 * `secretsFor` on a service client.
 *
 * @param box Opens the secrets of connections; undefined where no CREDENTIALS_KEY is set.
 * @param installation The secret for lines whose connection has none of its own, and for which of them.
 *   A line without a connection has it as well: what it signs is recorded, and belongs to nobody yet.
 */
export function supabaseSecrets(
  client: DatabaseClient,
  box: CredentialBox | undefined,
  installation: { secret: string | undefined; isFor: InstallationCheck },
): HandlerDeps["secretsFor"] {
  const fallback = installation.secret ? [installation.secret] : [];
  return async (phoneNumberId) => {
    if (phoneNumberId === undefined) return fallback;
    const { data, error, status } = await client.rpc("webhook_secrets", {
      phone_number_id: phoneNumberId,
    });
    if (error) throw databaseError(error, status);
    const sealed = data.flatMap((row) => [row.secret, row.previous_secret]).filter((value) =>
      value !== null
    );
    if (sealed.length === 0) {
      const [connection] = data;
      return !connection || await installation.isFor(connection.connection_id) ? fallback : [];
    }
    if (!box) {
      throw new Error("CREDENTIALS_KEY is not set, so the connection's secret cannot be read");
    }
    return await Promise.all(sealed.map((value) => box.open(value)));
  };
}

/** `record` on a service client. */
export function supabaseEvents(client: DatabaseClient): HandlerDeps["record"] {
  return async (event) => {
    const { data, error, status } = await client.rpc("record_webhook_event", {
      phone_number_id: (event.phoneNumberId ?? null) as string,
      event: (event.event ?? null) as string,
      idempotency_key: (event.idempotencyKey ?? null) as string,
      body: toBase64(event.body),
      elements: event.elements as unknown as Json,
    });
    if (error) throw databaseError(error, status);
    return data[0]!;
  };
}

/** Finds the connections of phone numbers, on a service client. Throws as `databaseError`. */
export function supabaseConnections(
  client: DatabaseClient,
): (phoneNumberIds: string[]) => Promise<string[]> {
  return async (phoneNumberIds) => {
    const { data, error, status } = await client.from("connections").select("id")
      .eq("platform", "whatsapp").in("phone_number_id", phoneNumberIds);
    if (error) throw databaseError(error, status);
    return data.map(({ id }) => id);
  };
}
