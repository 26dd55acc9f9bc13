/**
 * Random numbers and ids that are the same for the same seed.
 *
 * @module
 */

/** A source of random values. */
export interface Random {
  /** At least 0, less than 1. */
  next(): number;
  /** A whole number from 0, less than `limit`. */
  below(limit: number): number;
  /** One of the items. */
  pick<Item>(items: readonly Item[]): Item;
  /** A version 4 UUID. */
  uuid(): string;
  /** Hexadecimal digits. */
  hex(length: number): string;
  /** A WhatsApp message id. */
  wamid(): string;
}

/** Mulberry32: small, fast, and good enough to vary tests. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  const hex = (length: number) =>
    Array.from({ length }, () => "0123456789abcdef"[below(16)]).join("");
  return {
    next,
    below,
    pick: (items) => items[below(items.length)]!,
    hex,
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${"89ab"[below(4)]}${hex(3)}-${hex(12)}`,
    wamid: () => `wamid.${btoa(hex(24)).replaceAll("=", "").toUpperCase()}`,
  };
}
