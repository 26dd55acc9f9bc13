/**
 * The address of a page, for wouter: `#/<path>?<query>`. Both parts are behind the hash, because a static host knows no
 * paths but those of its files. The hook of wouter itself would put the query in front of the hash.
 *
 * @module
 */

import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let visits = 0;

/** The path in the address, and a function that goes to another `path?query`. For the `hook` of wouter's Router. */
export function useHashPath(): [path: string, navigate: typeof navigate] {
  return [useSyncExternalStore(subscribe, currentPath), navigate];
}

/** The query in the address, without its question mark and still encoded. */
export function useHashQuery(): string {
  return useSyncExternalStore(subscribe, currentQuery);
}

/** A number that grows whenever the address is visited, even where it stays the same. */
export function useVisits(): number {
  return useSyncExternalStore(subscribe, () => visits);
}

/** Goes to `path?query`; `replace` leaves out the step back to the address before. */
export function navigate(to: string, { replace = false, state = null } = {}): void {
  const address = `#/${to.replace(/^#?\/?/, "")}`;
  history[replace ? "replaceState" : "pushState"](state, "", address);
  visitAgain();
}

/** Counts a visit of the address that is open already. */
export function visitAgain(): void {
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The path in the address now. */
export function currentPath(): string {
  return `/${address().split("?", 1)[0]!}`;
}

/** The query in the address now. */
export function currentQuery(): string {
  const hash = address();
  const start = hash.indexOf("?");
  return start < 0 ? "" : hash.slice(start + 1);
}

function address(): string {
  return location.hash.replace(/^#?\/?/, "");
}

function notify(): void {
  visits++;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) addEventListener("hashchange", notify);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener("hashchange", notify);
  };
}
