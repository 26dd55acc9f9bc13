/**
 * Bounds the memory that large bodies take in one process of a function: how many bytes of them are in work at a time,
 * in all and of one sender, and for how long one may take to arrive.
 *
 * @module
 */
import { Semaphore, type SemaphoreInterface, withTimeout } from "async-mutex";
import { AppError } from "./errors.ts";

/** Bodies up to this size, in bytes, are read from anyone and wait for no other. */
export const SMALL_BODY_BYTES = 64 * 1024;

/** How long a body waits for its turn. */
const MAX_WAIT_MS = 10_000;
const RETRY_AFTER_SECONDS = 5;
/** Room is counted in these units: the semaphore goes through all there are whenever one is taken or given back. */
const UNIT_BYTES = 64 * 1024;

/** Options of {@linkcode createBodyBudget}. */
export interface BodyBudgetOptions {
  /** Bytes of all bodies at a time. */
  maxBytes: number;
  /** Bytes of the bodies of one sender at a time; all of them by default. */
  maxBytesOfSender?: number;
  /** Milliseconds that a body waits for its turn; 10 s by default. */
  maxWaitMs?: number;
}

/**
 * Waits until there is room for a body.
 *
 * @param sender Who sends it: any text that is the same for the same sender. Kept in memory while it has bodies.
 * @param bytes The size of the body. One that is larger than a sender's share takes all of that.
 * @returns Gives the room back, once the request is answered.
 * @throws {AppError} too_many_large_requests (429) where the sender's own bodies use the room for too long,
 *   too_many_requests (503) where all bodies do.
 */
export type BodyBudget = (sender: string, bytes: number) => Promise<() => void>;

/** Creates a {@linkcode BodyBudget} for one process. */
export function createBodyBudget(
  { maxBytes, maxBytesOfSender = maxBytes, maxWaitMs = MAX_WAIT_MS }: BodyBudgetOptions,
): BodyBudget {
  const unitsOf = (bytes: number) => Math.ceil(bytes / UNIT_BYTES);
  const all = withTimeout(
    new Semaphore(unitsOf(maxBytes)),
    maxWaitMs,
    new AppError(
      503,
      "too_many_requests",
      "Too many large requests at the same time. Nothing was processed",
      { retryAfterSeconds: RETRY_AFTER_SECONDS },
    ),
  );
  const createOwn = () =>
    withTimeout(
      new Semaphore(unitsOf(maxBytesOfSender)),
      maxWaitMs,
      new AppError(
        429,
        "too_many_large_requests",
        "Too many large requests of yours at the same time. Nothing was processed: send them one after the other",
        { retryAfterSeconds: RETRY_AFTER_SECONDS },
      ),
    );
  const senders = new Map<string, { own: SemaphoreInterface; bodies: number }>();

  return async (sender, bytes) => {
    const entry = senders.get(sender) ?? { own: createOwn(), bodies: 0 };
    senders.set(sender, entry);
    entry.bodies++;
    const room = unitsOf(Math.min(bytes, maxBytesOfSender));
    const leave = () => {
      if (--entry.bodies === 0) senders.delete(sender);
    };
    let releaseOwn = () => {};
    try {
      // Its own limit first, so that a sender's queue does not stand in the way of others.
      [, releaseOwn] = await entry.own.acquire(room);
      const [, releaseAll] = await all.acquire(room);
      return () => {
        releaseAll();
        releaseOwn();
        leave();
      };
    } catch (error) {
      releaseOwn();
      leave();
      throw error;
    }
  };
}
