/**
 * One client on one channel, from its join to its end: what it may do, and until when its token lasts.
 *
 * @module
 */

import postgres from "postgres";
import { type ChannelRequest, mayListen, maySend } from "./authorization.ts";
import { type ChannelName, type Channels, isTooLarge, type Listener } from "./channels.ts";
import { type Broadcast, isOpaque } from "./frames.ts";
import type { JoinSettings } from "./join.ts";
import { TOKEN_CHECK_MS } from "./limits.ts";
import { logWarning } from "../log.ts";
import { type Claims, type TokenCheck, TokenError } from "./tokens.ts";

/** What a channel needs of the service. */
export interface ChannelContext {
  readonly sql: postgres.Sql;
  readonly channels: Channels;
  readonly checkToken: TokenCheck;
  /** Headers of the request that opened the connection. */
  readonly headers: Readonly<Record<string, string>>;
  /** The key or token in the address of the connection. */
  readonly connectionToken: string;
  /** The connection, as the channel sends through it. */
  readonly listener: Listener;
  /** Tells the client why the channel ends, and closes it. */
  readonly end: (reason: string) => void;
}

/** A refused join: the reason is for the client. */
export class JoinError extends Error {
  override name = "JoinError";
}

/** How a broadcast of the client ended, for clients that ask. */
export type SendOutcome = "ok" | "denied" | "too_large";

/** A channel that a client has joined. */
export class Channel {
  readonly #context: ChannelContext;
  readonly #settings: JoinSettings;
  readonly name: ChannelName;
  #token: string;
  #claims: Claims;
  /** Undefined until the first broadcast asks the policies. */
  #maySend: boolean | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    context: ChannelContext,
    { name, settings, token, claims }: {
      name: ChannelName;
      settings: JoinSettings;
      token: string;
      claims: Claims;
    },
  ) {
    this.#context = context;
    this.#settings = settings;
    this.name = name;
    this.#token = token;
    this.#claims = claims;
    this.#checkLater();
  }

  /**
   * Lets a client join.
   *
   * @throws {JoinError} if it may not.
   */
  static async join(
    context: ChannelContext,
    topic: string,
    settings: JoinSettings,
  ): Promise<Channel> {
    const token = chosenToken(settings.accessToken) ?? context.connectionToken;
    const name = { topic, isPrivate: settings.isPrivate };
    try {
      const claims = await context.checkToken(token);
      if (name.isPrivate) await requireListening(context, topic, claims);
      return new Channel(context, { name, settings, token, claims });
    } catch (error) {
      throw new JoinError(explain(error));
    }
  }

  /** Takes a newer token. Ends the channel if the token, or the policies with its claims, forbid it. */
  async refresh(token: unknown): Promise<void> {
    const newer = chosenToken(token);
    if (newer === undefined || newer === this.#token) return;
    try {
      const claims = await this.#context.checkToken(newer);
      if (this.name.isPrivate) await requireListening(this.#context, this.name.topic, claims);
      this.#token = newer;
      this.#claims = claims;
      this.#maySend = undefined;
      this.#checkLater();
    } catch (error) {
      this.#context.end(explain(error, { withCode: false }));
    }
  }

  /** Sends a broadcast of the client to the channel. */
  async send(payload: unknown): Promise<SendOutcome> {
    const { channels, listener } = this.#context;
    if (this.name.isPrivate) {
      this.#maySend ??= await maySend(this.#context.sql, this.#request());
      if (!this.#maySend) return "denied";
    }
    const broadcast: Broadcast = isOpaque(payload)
      ? payload
      : { message: (payload ?? {}) as Record<string, unknown> };
    if (isTooLarge(broadcast)) return "too_large";
    channels.broadcast(this.name, broadcast, this.#settings.hearsItself ? undefined : listener);
    return "ok";
  }

  /** Whether the client wants an answer to each broadcast. */
  get acknowledges(): boolean {
    return this.#settings.wantsAck;
  }

  /** Forgets the token's timer. */
  dispose(): void {
    clearTimeout(this.#timer);
  }

  #request(): ChannelRequest {
    return { topic: this.name.topic, claims: this.#claims, headers: this.#context.headers };
  }

  #checkLater(): void {
    clearTimeout(this.#timer);
    // A key of the API does not expire.
    if (this.#claims.exp === undefined) return;
    const left = Math.max(0, this.#claims.exp * 1000 - Date.now());
    this.#timer = setTimeout(() => this.#check(), Math.min(TOKEN_CHECK_MS, left));
  }

  async #check(): Promise<void> {
    try {
      await this.#context.checkToken(this.#token);
      this.#checkLater();
    } catch (error) {
      this.#context.end(explain(error, { withCode: false }));
    }
  }
}

/** A token of the client; keys of the API and what is no text count as none. */
function chosenToken(token: unknown): string | undefined {
  return typeof token === "string" && !token.startsWith("sb_") ? token : undefined;
}

async function requireListening(
  { sql, headers }: ChannelContext,
  topic: string,
  claims: Claims,
): Promise<void> {
  if (await mayListen(sql, { topic, claims, headers })) return;
  throw new Refusal(topic);
}

class Refusal extends Error {
  constructor(topic: string) {
    super(`You do not have permissions to read from this Channel topic: ${topic}`);
  }
}

/** The words of hosted Realtime for an error; those of a join begin with a code. */
function explain(error: unknown, { withCode = true } = {}): string {
  const say = (code: string, message: string) => withCode ? `${code}: ${message}` : message;
  if (error instanceof TokenError) return say(error.code, error.message);
  if (error instanceof Refusal) return say("Unauthorized", error.message);
  logWarning(`Realtime could not ask the policies: ${error}`);
  if (error instanceof postgres.PostgresError && error.code === "57014") {
    return say("QueryCanceled", "Query was cancelled, please try again");
  }
  if (error instanceof postgres.PostgresError && error.code === "23514") {
    return say("MissingPartition", "Realtime was unable to find the expected messages partition");
  }
  return "Realtime was unable to connect to the project database";
}
