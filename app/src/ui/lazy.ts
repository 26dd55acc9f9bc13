/**
 * Components whose code is loaded when it is needed, or after the page is drawn.
 *
 * @module
 */

import { type ComponentType, lazy as lazyOfReact } from "react";

/** A page that does not call {@linkcode notePageDrawn} counts as drawn after this time. */
const MAX_WAIT_MS = 1_000;
/** How often code is asked for while the browser is online. After that the page says that it failed. */
const ATTEMPTS = 5;

const { promise: pageDrawn, resolve: notePageDrawn } = Promise.withResolvers<void>();

/** Notes that the first page shows its content, so that the rest of the code can be loaded. */
export { notePageDrawn };

/**
 * Like `lazy` of React, but a connection that is gone for a while does not end the page: the code is asked for again,
 * and while the browser is offline as soon as it is back.
 */
// deno-lint-ignore no-explicit-any -- the props are those of the component
export function lazy<Component extends ComponentType<any>>(
  load: () => Promise<{ default: Component }>,
) {
  return lazyOfReact(() => loadAgain(load));
}

/** Like {@linkcode lazy}, but loads the code when the first page is drawn. */
// deno-lint-ignore no-explicit-any -- the props are those of the component
export function lazyAfterPage<Component extends ComponentType<any>>(
  load: () => Promise<{ default: Component }>,
) {
  return lazyOfReact(async () => {
    await afterPage();
    return await loadAgain(load);
  });
}

async function loadAgain<T>(load: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await load();
    } catch (error) {
      if (navigator.onLine && attempt >= ATTEMPTS) throw error;
      await nextChance(attempt);
    }
  }
}

/** Resolves when the browser is online again; if it is online, after a pause that grows. */
async function nextChance(attempt: number): Promise<void> {
  if (navigator.onLine) {
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
  } else {
    await new Promise((resolve) => addEventListener("online", resolve, { once: true }));
  }
}

/** Resolves when the first page is drawn and the browser is idle. */
async function afterPage(): Promise<void> {
  await Promise.race([pageDrawn, new Promise((resolve) => setTimeout(resolve, MAX_WAIT_MS))]);
  // Safari has no requestIdleCallback.
  if (!("requestIdleCallback" in globalThis)) return;
  await new Promise((resolve) => requestIdleCallback(resolve, { timeout: MAX_WAIT_MS }));
}
