/**
 * Waiting for a condition.
 *
 * @module
 */

/** Options of {@linkcode eventually}, in milliseconds. */
export interface EventuallyOptions {
  /** After how long it fails; 20,000 without it. */
  readonly timeoutMs?: number;
  /** The pause between two questions; 20 without it. */
  readonly pauseMs?: number;
}

type Falsy = false | undefined | null;

/**
 * Asks until the answer is truthy, and returns it.
 *
 * @param what The condition in words, for the error, such as "the event is stored".
 * @throws {Error} when it takes too long.
 */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  { timeoutMs = 20_000, pauseMs = 20 }: EventuallyOptions = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = Date.now() + timeoutMs;
  while (true) {
    const answer = await ask();
    if (answer) return answer as Exclude<T, Falsy>;
    if (Date.now() > deadline) throw new Error(`Timed out before ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
