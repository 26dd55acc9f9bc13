/**
 * Broadcasts from the database: waits for the notifications of `realtime.messages`, reads the rows they name and
 * hands them on in the order of their commits.
 *
 * @module
 */

import type postgres from "postgres";
import type { Channels } from "./channels.ts";
import { MAX_PAYLOAD_BYTES } from "./limits.ts";
import { logWarning } from "../log.ts";

/** What `startFeed` needs. */
export interface FeedOptions {
  readonly sql: postgres.Sql;
  readonly channels: Channels;
  /** Called when broadcasts may have been missed. */
  readonly onGap: () => void;
}

/** Rows that are read at once: each may have a payload of the largest size. */
const MAX_ROWS = 20;

interface MessageRow {
  readonly id: string;
  readonly topic: string;
  readonly event: string;
  readonly private: boolean;
  readonly payload: string | null;
  readonly binary_payload: Uint8Array | null;
  readonly bytes: number;
}

/** Starts to listen; resolves when no later broadcast is missed. Ends with the connections of `sql`. */
export async function startFeed({ sql, channels, onGap }: FeedOptions): Promise<void> {
  const waiting: string[] = [];
  let isReading = false;
  let isStarted = false;

  async function read(): Promise<void> {
    isReading = true;
    try {
      while (waiting.length > 0) await handOn(sql, channels, waiting.splice(0, MAX_ROWS));
    } catch (error) {
      waiting.length = 0;
      logWarning(`Realtime could not read broadcasts: ${error}`);
      onGap();
    } finally {
      isReading = false;
    }
  }

  await sql.listen("realtime_messages", (ids) => {
    if (channels.isEmpty) return;
    waiting.push(...ids.split(","));
    if (!isReading) read();
  }, () => {
    // The driver listens again on a new connection after it has lost the first.
    if (isStarted) onGap();
    isStarted = true;
  });
}

async function handOn(sql: postgres.Sql, channels: Channels, ids: string[]): Promise<void> {
  // A payload over the limit is not sent, so it is not read either.
  const found = await sql<MessageRow[]>`
    select
      message.id, message.topic, message.event, message.private, size.bytes,
      case when size.bytes <= ${MAX_PAYLOAD_BYTES} then message.payload::text end as payload,
      case when size.bytes <= ${MAX_PAYLOAD_BYTES} then message.binary_payload end as binary_payload
    from realtime.messages as message
    cross join lateral (
      select coalesce(octet_length(message.payload::text), octet_length(message.binary_payload), 0) as bytes
    ) as size
    where message.id = any(${ids})`;
  const rows = new Map(found.map((row) => [row.id, row]));
  for (const id of ids) {
    const row = rows.get(id);
    if (!row) continue;
    if (row.bytes > MAX_PAYLOAD_BYTES) {
      logWarning(`Realtime did not send a broadcast of ${row.bytes} bytes`);
      continue;
    }
    channels.broadcast({ topic: row.topic, isPrivate: row.private }, {
      event: row.event,
      encoding: row.binary_payload ? "binary" : "json",
      payload: row.binary_payload ?? new TextEncoder().encode(row.payload ?? "{}"),
      id,
    });
  }
}
