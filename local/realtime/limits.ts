/**
 * How much one client, and all of them together, may ask of Realtime. Where hosted Supabase has the same limit, the
 * number is that of its Free plan: what works here works there.
 *
 * @module
 */

/** Open connections. */
export const MAX_CONNECTIONS = 200;
/** Channels of one connection. */
export const MAX_CHANNELS = 100;
/** Messages that one connection may send in a second. */
export const MAX_MESSAGES_PER_SECOND = 100;
/** A message on the wire, in bytes. */
export const MAX_FRAME_BYTES = 5_000_000;
/** The payload of a broadcast, in bytes. */
export const MAX_PAYLOAD_BYTES = 3_000_500;
/** Bytes that may wait for a client that reads too slowly; then its connection is closed. */
export const MAX_BUFFERED_BYTES = 8_000_000;
/** Between two pings, in seconds. A client that does not answer is gone. */
export const PING_SECONDS = 30;
/** How long the policies of `realtime.messages` may take, in milliseconds. */
export const POLICY_TIMEOUT_MS = 5_000;
/** The longest time between two checks of a token, in milliseconds. */
export const TOKEN_CHECK_MS = 5 * 60_000;
