/**
 * Whether Realtime is telling what is new. While it is not, the app polls as often as without it.
 *
 * @module
 */

import { useSyncExternalStore } from "react";

let isLive = false;
const listeners = new Set<() => void>();

/** Notes that the channel has come up or gone away. */
export function setLive(value: boolean): void {
  if (isLive === value) return;
  isLive = value;
  for (const listener of listeners) listener();
}

/** Whether news come by themselves now. */
export function useIsLive(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => isLive,
  );
}
