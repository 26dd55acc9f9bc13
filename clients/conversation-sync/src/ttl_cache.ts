/**
 * A bounded cache whose entries expire. When it is full, the entry that was used longest ago makes room.
 *
 * @module
 */

/** Options of {@linkcode TtlCache}. */
export interface TtlCacheOptions {
  /** 0 keeps nothing. */
  readonly maxEntries: number;
  /** How long an entry lives after it was written, however often it is read. */
  readonly ttlMs: number;
  /** Clock in milliseconds. */
  readonly now: () => number;
}

/** Values by text keys. */
export class TtlCache<V> {
  readonly #options: TtlCacheOptions;
  // In the order of use: reading an entry moves it to the end.
  readonly #entries = new Map<string, { value: V; expiresAt: number }>();

  constructor(options: TtlCacheOptions) {
    this.#options = options;
  }

  /** How many entries there are, expired ones included. */
  get size(): number {
    return this.#entries.size;
  }

  /** The value, or undefined when there is none or it has expired. */
  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (entry.expiresAt <= this.#options.now()) return undefined;
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Adds or replaces a value. */
  set(key: string, value: V): void {
    const { maxEntries, ttlMs, now } = this.#options;
    if (maxEntries <= 0 || ttlMs <= 0) return;
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAt: now() + ttlMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries) break;
      this.#entries.delete(oldest);
    }
  }

  /** Removes the entries whose value fits. */
  deleteWhere(fits: (value: V, key: string) => boolean): void {
    for (const [key, { value }] of this.#entries) {
      if (fits(value, key)) this.#entries.delete(key);
    }
  }

  /** Removes everything. */
  clear(): void {
    this.#entries.clear();
  }
}
