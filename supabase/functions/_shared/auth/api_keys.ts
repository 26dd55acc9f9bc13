/**
 * API keys of bridges: from the header to the connection they open.
 *
 * @module
 */
import type { DatabaseClient } from "../database/clients.ts";
import { refused } from "../database/errors.ts";
import { rpc } from "../database/rpc.ts";
import { AppError } from "../http/errors.ts";
import { sha256Hex } from "./hash.ts";

/** A connection whose key was checked. */
export interface VerifiedConnection {
  /** Primary key of the connection. */
  id: string;
  /** The workspace it belongs to. */
  workspaceId: string;
}

/**
 * Finds the connection that a key opens. Counts nothing: what the request does with its key is counted.
 *
 * @returns Undefined for an unknown key.
 * @throws {AppError} As {@linkcode databaseError}.
 */
export async function findKeyHolder(
  client: DatabaseClient,
  apiKey: string,
): Promise<VerifiedConnection | undefined> {
  const [found] = await rpc(client, "find_connection_by_secret", {
    secret_sha256: await sha256Hex(apiKey),
  });
  return found && { id: found.id, workspaceId: found.workspace_id };
}

/**
 * Finds a connection by its name and checks the key that came with it. The order of the checks is the
 * contract of the ingest API.
 *
 * @param connectionId The name of the connection, e.g. `wa_business_123`.
 * @param platform The platform it must be on; any platform by default.
 * @throws {AppError} invalid_connection (401), invalid_api_key (401), connection_inactive (403), rate_limited (429), or
 *   as {@linkcode databaseError}.
 */
export async function verifyApiKey(
  client: DatabaseClient,
  apiKey: string,
  connectionId: string,
  platform?: string,
): Promise<VerifiedConnection> {
  const [connection] = await rpc(client, "verify_connection_secret", {
    connection_id: connectionId,
    secret_sha256: await sha256Hex(apiKey),
    platform,
  });
  if (!connection) throw refused("invalid_connection");
  if (!connection.is_valid) throw refused("invalid_api_key");
  if (connection.is_limited) await countRequest(client, connection.id);
  if (!connection.is_active) throw refused("connection_inactive");
  return { id: connection.id, workspaceId: connection.workspace_id };
}

/** Counts a request of a connection that has a limit: the check itself is a read, and writes nothing. */
async function countRequest(client: DatabaseClient, connectionId: string): Promise<void> {
  await rpc(client, "count_connection_request", { connection_id: connectionId });
}

/**
 * The key of a request.
 *
 * @throws {AppError} missing_api_key (401) if the header is missing or empty.
 */
export function requireApiKey(header: string | undefined): string {
  if (!header) throw new AppError(401, "missing_api_key", "Missing x-api-key header");
  return header;
}
