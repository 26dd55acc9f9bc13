/**
 * Who listens to which channel. A private and a public channel of the same topic are two channels.
 *
 * @module
 */

import { type Broadcast, encodeBroadcast, type Frame, type Version } from "./frames.ts";
import { MAX_PAYLOAD_BYTES } from "./limits.ts";

/** A channel that clients share. */
export interface ChannelName {
  /** Without `realtime:`. */
  readonly topic: string;
  readonly isPrivate: boolean;
}

/** One client on a channel. */
export interface Listener {
  readonly version: Version;
  /** Sends a message, or closes the connection of a client that reads too slowly. */
  send(frame: Frame): void;
}

/** All channels of the stack. */
export class Channels {
  readonly #listeners = new Map<string, Set<Listener>>();

  /** Whether no client listens. */
  get isEmpty(): boolean {
    return this.#listeners.size === 0;
  }

  /** Adds a listener. */
  add(name: ChannelName, listener: Listener): void {
    const key = keyOf(name);
    const listeners = this.#listeners.get(key);
    if (listeners) listeners.add(listener);
    else this.#listeners.set(key, new Set([listener]));
  }

  /** Removes a listener that may have left already. */
  remove(name: ChannelName, listener: Listener): void {
    const key = keyOf(name);
    const listeners = this.#listeners.get(key);
    if (!listeners?.delete(listener)) return;
    if (listeners.size === 0) this.#listeners.delete(key);
  }

  /** Sends to all listeners of a channel, except to its sender where that does not want its own broadcasts. */
  broadcast(name: ChannelName, broadcast: Broadcast, except?: Listener): void {
    const listeners = this.#listeners.get(keyOf(name));
    if (!listeners) return;
    const frames = new Map<Version, Frame | undefined>();
    for (const listener of [...listeners]) {
      if (listener === except) continue;
      const { version } = listener;
      if (!frames.has(version)) {
        frames.set(version, encodeBroadcast(version, `realtime:${name.topic}`, broadcast));
      }
      const frame = frames.get(version);
      if (frame !== undefined) listener.send(frame);
    }
  }
}

/** Whether the payload of a broadcast is larger than allowed. */
export function isTooLarge(broadcast: Broadcast): boolean {
  const size = "message" in broadcast
    ? new TextEncoder().encode(JSON.stringify(broadcast.message)).length
    : broadcast.payload.length;
  return size > MAX_PAYLOAD_BYTES;
}

function keyOf({ topic, isPrivate }: ChannelName): string {
  return `${isPrivate ? "private" : "public"}:${topic}`;
}
