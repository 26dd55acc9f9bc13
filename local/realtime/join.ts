/**
 * The payload of `phx_join`: what a client wants of a channel. A part that has another form counts as missing, as on
 * hosted Supabase.
 *
 * @module
 */

import * as z from "zod";

/** Booleans, also as text. */
const flag = z.union([z.boolean(), z.stringbool({ truthy: ["true"], falsy: ["false"] })]).catch(
  false,
);

const schema = z.object({
  access_token: z.unknown(),
  user_token: z.unknown(),
  config: z.object({
    private: flag,
    broadcast: z.object({ ack: flag, self: flag, replay: z.unknown() }).partial().catch({}),
    presence: z.object({ enabled: flag }).partial().catch({}),
    postgres_changes: z.array(z.unknown()).catch([]),
  }).partial().catch({}),
}).partial().catch({});

/** What a client wants of a channel. */
export interface JoinSettings {
  readonly isPrivate: boolean;
  readonly wantsAck: boolean;
  readonly hearsItself: boolean;
  readonly accessToken: unknown;
  /** Features of hosted Realtime that the stack does not have. */
  readonly missing: readonly string[];
}

/** Reads the payload. */
export function readJoin(payload: unknown): JoinSettings {
  const { config = {}, user_token, access_token } = schema.parse(payload);
  const { broadcast = {}, presence = {}, postgres_changes = [] } = config;
  return {
    isPrivate: config.private ?? false,
    wantsAck: broadcast.ack ?? false,
    hearsItself: broadcast.self ?? false,
    accessToken: user_token ?? access_token,
    missing: [
      ...(postgres_changes.length > 0 ? ["Postgres Changes"] : []),
      ...(presence.enabled ? ["Presence"] : []),
      ...(broadcast.replay === undefined || broadcast.replay === null ? [] : ["Replay"]),
    ],
  };
}
