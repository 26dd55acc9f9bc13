/**
 * A model of `ingest_conversations` in a few lines and without a database, to compare the real function with.
 *
 * @module
 */

import type { TestConversation, TestMessage } from "./messages.ts";

/** A thread as it should be. */
export class ModelThread {
  readonly messages: TestMessage[] = [];
  unread = 0;
  #ids = new Set<string>();
  #lastInbound = -Infinity;
  #shown: TestMessage | undefined;
  /** The new messages of the batch, in the order of arrival. */
  #arrived: TestMessage[] = [];
  /** The time of the newest message before the batch. */
  #newestBefore = -Infinity;

  /** Takes an element of a batch and returns how many of its messages were new. */
  add({ messages, is_history: isHistory = false }: TestConversation): number {
    let added = 0;
    for (const given of messages) {
      if (this.#ids.has(given.id)) continue;
      this.#ids.add(given.id);
      const message = isHistory ? { ...given, is_history: true } : given;
      // Behind everything of the same time: messages of one instant keep the order they came in.
      const time = Date.parse(message.sent_at);
      const place = this.messages.findLastIndex((each) => Date.parse(each.sent_at) <= time) + 1;
      this.messages.splice(place, 0, message);
      this.#arrived.push(message);
      if (message.direction === "inbound") {
        this.#lastInbound = Math.max(this.#lastInbound, time);
        if (!isHistory) this.unread++;
      } else if (!isHistory && time >= this.#lastInbound) {
        this.unread = 0;
      }
      added++;
    }
    return added;
  }

  /** Ends a batch: everything in it arrived at once. */
  endBatch(): void {
    const rank = (
      message: TestMessage,
    ) => [message.is_history ? 0 : 1, Date.parse(message.sent_at)];
    const candidates = this.#arrived.filter((message) =>
      (!message.is_history && message.direction === "inbound") ||
      Date.parse(message.sent_at) >= this.#newestBefore
    );
    this.#shown = candidates.reduce<TestMessage | undefined>((best, message) => {
      if (best === undefined) return message;
      const [isLive, time] = rank(message);
      const [bestIsLive, bestTime] = rank(best);
      return isLive! > bestIsLive! || (isLive === bestIsLive && time! >= bestTime!)
        ? message
        : best;
    }, undefined) ?? this.#shown;
    this.#arrived = [];
    const newest = this.messages.at(-1);
    if (newest !== undefined) this.#newestBefore = Date.parse(newest.sent_at);
  }

  /** The message that the list shows. */
  get shown(): TestMessage | undefined {
    return this.#shown;
  }

  /** What the row of the conversation should say. */
  summary(): Record<string, unknown> {
    const newest = this.messages.at(-1);
    return {
      message_count: this.messages.length,
      unread_count: this.unread,
      last_message_at: newest?.sent_at ?? null,
      last_inbound_at: this.messages.findLast((each) => each.direction === "inbound")?.sent_at ??
        null,
      last_message_preview: this.#shown ? this.#shown.content || `[${this.#shown.type}]` : null,
      last_message_type: this.#shown?.type ?? null,
      last_message_direction: this.#shown?.direction ?? null,
    };
  }
}

/** Numbers that look random and are the same for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `end - 1` (mulberry32). */
  below(end: number): number {
    this.#state = (this.#state + 0x6D2B79F5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of the given things. */
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** The same things in another order. */
  shuffle<T>(things: readonly T[]): T[] {
    const shuffled = [...things];
    for (let index = shuffled.length - 1; index > 0; index--) {
      const other = this.below(index + 1);
      [shuffled[index], shuffled[other]] = [shuffled[other]!, shuffled[index]!];
    }
    return shuffled;
  }
}
