/**
 * Lets other parts of the app forget what belongs to a session when it ends.
 *
 * @module
 */

/** Why a session ended: the user signed out, or the session expired or passed to another user. */
export type SessionEndReason = "signed-out" | "expired";

const listeners = new Set<(reason: SessionEndReason) => void>();

/** Registers a function that runs whenever a session ends. It stays registered as long as the page. */
export function onSessionEnd(listener: (reason: SessionEndReason) => void): void {
  listeners.add(listener);
}

/** Runs everything that is registered with {@linkcode onSessionEnd}. */
export function announceSessionEnd(reason: SessionEndReason): void {
  for (const listener of listeners) listener(reason);
}
