/**
 * Messages for measurements: the same in every run, about 300 bytes of JSON each, and as hard to compress as real
 * ones.
 *
 * @module
 */

import { WORDS } from "./words.ts";

/** A message as `ingest_conversations` takes it. */
export interface BenchMessage {
  readonly id: string;
  readonly direction: "inbound" | "outbound";
  readonly type: "text" | "image";
  readonly content: string;
  readonly media_url: string | null;
  readonly sent_at: string;
}

/** A conversation as `ingest_conversations` takes it. */
export interface BenchConversation {
  readonly external_conversation_id: string;
  readonly participant_identifier: string;
  readonly participant_name: string;
  readonly messages: readonly BenchMessage[];
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const HEX = "0123456789ABCDEF";
const START = Date.UTC(2026, 0, 5, 8);

/** One conversation of any length. */
export class BenchThread {
  readonly #random: () => number;
  readonly #header: Omit<BenchConversation, "messages">;
  #sentAt: number;

  /** Creates a conversation. The same name always gives the same messages. */
  constructor(name: string) {
    this.#random = seededRandom(name);
    const number = Math.floor(this.#random() * 1e8).toString().padStart(8, "0");
    this.#header = {
      external_conversation_id: name,
      participant_identifier: `+62812${number}`,
      participant_name: `${capitalize(this.#word())} ${capitalize(this.#word())}`,
    };
    this.#sentAt = START + Math.floor(this.#random() * 86_400_000);
  }

  /** Returns its next messages, as one element of a batch. */
  next(count: number): BenchConversation {
    return { ...this.#header, messages: Array.from({ length: count }, () => this.#message()) };
  }

  #message(): BenchMessage {
    this.#sentAt += 1 + Math.floor(this.#random() * 600_000);
    const isImage = this.#random() < 0.08;
    return {
      id: this.#id(),
      direction: this.#random() < 0.5 ? "inbound" : "outbound",
      type: isImage ? "image" : "text",
      content: this.#sentence(4 + Math.floor(this.#random() * (isImage ? 8 : 38))),
      media_url: isImage
        ? `https://media.example.com/whatsapp/${this.#characters(BASE64URL, 40)}.jpg`
        : null,
      sent_at: new Date(this.#sentAt).toISOString(),
    };
  }

  #sentence(length: number): string {
    const words = Array.from({ length }, () => this.#word());
    words[0] = capitalize(words[0]!);
    return words.join(" ") + (this.#random() < 0.3 ? "?" : ".");
  }

  /** Squared, because some words are far more frequent than others. */
  #word(): string {
    return WORDS[Math.floor(this.#random() ** 2 * WORDS.length)]!;
  }

  /** Like those of WhatsApp, 66 characters long: the number of the conversation and 20 random hexadecimal digits. */
  #id(): string {
    const number = this.#header.participant_identifier.slice(1);
    const random = this.#characters(HEX, 20);
    return `wamid.${btoa(`\x1c\x18\x0d${number}\x15\x02\x00\x12\x18\x14${random}\x00`)}`;
  }

  #characters(alphabet: string, length: number): string {
    let text = "";
    for (let i = 0; i < length; i++) text += alphabet[Math.floor(this.#random() * alphabet.length)];
    return text;
  }
}

/** Creates conversations `<name>-0`, `<name>-1` and so on. */
export function makeThreads(name: string, count: number): BenchThread[] {
  return Array.from({ length: count }, (_, index) => new BenchThread(`${name}-${index}`));
}

/** Numbers from 0 to 1 that are the same for the same name (mulberry32 on an FNV-1a hash). */
export function seededRandom(name: string): () => number {
  let state = 0x811c9dc5;
  for (const character of name) {
    state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193);
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function capitalize(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}
