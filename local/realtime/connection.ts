/**
 * One WebSocket connection: reads the messages of a client one after the other and answers them as Phoenix does.
 *
 * @module
 */

import type postgres from "postgres";
import { Channel, JoinError } from "./channel.ts";
import type { Channels, Listener } from "./channels.ts";
import { type ClientMessage, decode, encode, type Frame, type Version } from "./frames.ts";
import { readJoin } from "./join.ts";
import {
  MAX_BUFFERED_BYTES,
  MAX_CHANNELS,
  MAX_FRAME_BYTES,
  MAX_MESSAGES_PER_SECOND,
} from "./limits.ts";
import { logWarning } from "../log.ts";
import type { TokenCheck } from "./tokens.ts";

/** What a connection needs. */
export interface ConnectionOptions {
  readonly socket: WebSocket;
  readonly version: Version;
  readonly sql: postgres.Sql;
  readonly channels: Channels;
  readonly checkToken: TokenCheck;
  /** The key or token in the address. */
  readonly token: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Called when the socket is closed. */
  readonly onEnd: () => void;
}

/** Codes of RFC 6455, section 7.4.1. */
const CLOSE = { policyViolation: 1008, tooBig: 1009, restart: 1012, tryLater: 1013 } as const;
const PREFIX = "realtime:";

interface Joined {
  readonly channel: Channel;
  readonly joinRef: string | null;
}

/** A connected client. */
export class Connection implements Listener {
  readonly #options: ConnectionOptions;
  /** By the topic as the client names it, with its prefix. */
  readonly #joined = new Map<string, Joined>();
  #work: Promise<void> = Promise.resolve();
  #second = 0;
  #messagesInSecond = 0;
  #hasEnded = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { socket } = options;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => {
      this.#end();
      options.onEnd();
    };
    // `close` follows.
    socket.onerror = () => {};
  }

  get version(): Version {
    return this.#options.version;
  }

  send(frame: Frame): void {
    const { socket } = this.#options;
    if (this.#hasEnded || socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      this.close(CLOSE.tryLater, "The client reads too slowly");
      return;
    }
    socket.send(frame);
  }

  /** Closes the connection, so that the client connects again and reads what it missed. */
  restart(): void {
    this.close(CLOSE.restart, "Realtime is restarting");
  }

  /** Closes the connection. Without a handshake of the client it ends with the next ping. */
  close(code: number, reason: string): void {
    this.#end();
    this.#options.socket.close(code, reason);
  }

  #receive(data: string | ArrayBuffer): void {
    if (this.#hasEnded) return;
    const size = typeof data === "string" ? data.length : data.byteLength;
    if (size > MAX_FRAME_BYTES) return this.close(CLOSE.tooBig, "The message is too large");
    if (this.#isTooFast()) {
      for (const topic of [...this.#joined.keys()]) {
        this.#endChannel(topic, "Too many messages per second");
      }
      return this.close(CLOSE.policyViolation, "Too many messages per second");
    }
    let message: ClientMessage;
    try {
      message = decode(this.version, data);
    } catch {
      // Hosted Realtime logs and ignores such a message.
      return;
    }
    // One after the other: a broadcast may follow the join that allows it.
    this.#work = this.#work.then(() => this.#handle(message)).catch((error) => {
      logWarning(`Realtime could not handle a message: ${error}`);
    });
  }

  #isTooFast(): boolean {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#messagesInSecond = 0;
    }
    return ++this.#messagesInSecond > MAX_MESSAGES_PER_SECOND;
  }

  async #handle(message: ClientMessage): Promise<void> {
    if (this.#hasEnded) return;
    const { topic, event } = message;
    if (topic === "phoenix" && event === "heartbeat") return this.#reply(message, "ok", {});
    if (event === "phx_join") return await this.#join(message);
    const joined = this.#joined.get(topic);
    if (event === "phx_leave") return this.#leave(message, joined);
    if (!joined) return this.#reply(message, "error", { reason: "unmatched topic" });
    if (event === "access_token") {
      return await joined.channel.refresh(field(message.payload, "access_token"));
    }
    if (event === "broadcast") return await this.#broadcast(message, joined.channel);
    if (event === "presence") {
      this.#reply(message, "error", { reason: "The local stack has no Presence" });
    }
  }

  async #join(message: ClientMessage): Promise<void> {
    const { topic, payload } = message;
    if (!topic.startsWith(PREFIX)) {
      return this.#reply(message, "error", { reason: "unmatched topic" });
    }
    // A second join replaces the first.
    this.#close(topic);
    try {
      if (topic === PREFIX) throw new JoinError("TopicNameRequired: You must provide a topic name");
      if (this.#joined.size >= MAX_CHANNELS) {
        throw new JoinError("ChannelRateLimitReached: Too many channels");
      }
      const settings = readJoin(payload);
      if (settings.missing.length > 0) {
        throw new JoinError(`The local stack has no ${settings.missing.join(" and no ")}`);
      }
      const { sql, channels, checkToken, headers, token } = this.#options;
      const channel: Channel = await Channel.join(
        {
          sql,
          channels,
          checkToken,
          headers,
          connectionToken: token,
          listener: this,
          end: (reason) => {
            // A later join of the same topic has a channel of its own.
            if (this.#joined.get(topic)?.channel === channel) this.#endChannel(topic, reason);
          },
        },
        topic.slice(PREFIX.length),
        settings,
      );
      if (this.#hasEnded) return channel.dispose();
      this.#joined.set(topic, { channel, joinRef: message.joinRef });
      this.#reply(message, "ok", { postgres_changes: [] });
      channels.add(channel.name, this);
    } catch (error) {
      if (!(error instanceof JoinError)) throw error;
      this.#reply(message, "error", { reason: error.message });
    }
  }

  #leave(message: ClientMessage, joined: Joined | undefined): void {
    const { joinRef } = message;
    // The leave of a channel that was joined again since. Version 1.0.0 does not say which it means.
    if (joined && joinRef !== null && joinRef !== joined.joinRef) return;
    this.#reply(message, "ok", {});
    this.#close(message.topic);
  }

  async #broadcast(message: ClientMessage, channel: Channel): Promise<void> {
    const outcome = await channel.send(message.payload);
    // A denied broadcast is not answered, as on hosted Supabase.
    if (!channel.acknowledges || outcome === "denied") return;
    if (outcome === "ok") return this.#reply(message, "ok", {});
    this.#reply(message, "error", { reason: "payload_size_exceeded" });
  }

  /** Tells the client why a channel ends, and closes it. */
  #endChannel(topic: string, reason: string): void {
    const joined = this.#joined.get(topic);
    if (!joined) return;
    const channel = topic.slice(PREFIX.length);
    const payload = { extension: "system", status: "error", message: reason, channel };
    this.send(
      encode(this.version, { topic, event: "system", payload, joinRef: joined.joinRef }),
    );
    this.#close(topic);
  }

  #close(topic: string): void {
    const joined = this.#joined.get(topic);
    if (!joined) return;
    this.#forget(topic, joined);
    const { joinRef } = joined;
    this.send(
      encode(this.version, { topic, event: "phx_close", payload: {}, ref: joinRef, joinRef }),
    );
  }

  #forget(topic: string, { channel }: Joined): void {
    this.#joined.delete(topic);
    this.#options.channels.remove(channel.name, this);
    channel.dispose();
  }

  #reply(message: ClientMessage, status: "ok" | "error", response: object): void {
    const { topic, ref, joinRef } = message;
    const payload = { status, response };
    this.send(encode(this.version, { topic, event: "phx_reply", payload, ref, joinRef }));
  }

  /** Leaves all channels. The socket itself may take a while to close. */
  #end(): void {
    this.#hasEnded = true;
    for (const [topic, joined] of [...this.#joined]) this.#forget(topic, joined);
  }
}

function field(payload: unknown, name: string): unknown {
  return typeof payload === "object" && payload !== null
    ? (payload as Record<string, unknown>)[name]
    : undefined;
}
