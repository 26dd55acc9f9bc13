/**
 * Files of the messages that events brought, copied after the events were answered.
 *
 * @module
 */
import type { DatabaseClient } from "../_shared/clients.ts";
import type { MediaLibrary } from "../_shared/kapso/media.ts";
import { findConnections } from "./store.ts";

/** An Edge Function lives for 150 seconds at the least. */
const TIMEOUT_MS = 60_000;

/** Copy what is due for the connections of lines. Never throws: what is left is taken up later. */
export async function copyFiles(
  of: { client: DatabaseClient; media: MediaLibrary; phoneNumberIds: string[] },
): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const connections = await findConnections(of.client, of.phoneNumberIds).catch(() => []);
  for (const connectionId of connections) await of.media.copyMedia(connectionId, { signal });
}
