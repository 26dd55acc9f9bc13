/**
 * Whether Realtime announces changes. While it does not, the app polls.
 *
 * @module
 */

import { useSyncExternalStore } from "react";

let isLive = false;
const listeners = new Set<() => void>();

/** Notes that the channel has connected or disconnected. */
export function setLive(value: boolean): void {
  if (isLive === value) return;
  isLive = value;
  for (const listener of listeners) listener();
}

/** Whether changes are announced now. */
export function useIsLive(): boolean {
  return useSyncExternalStore(subscribe, () => isLive);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
