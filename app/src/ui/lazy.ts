/**
 * Components whose code is loaded after the page is drawn.
 *
 * @module
 */

import { type ComponentType, lazy } from "react";

/** A page that does not call {@linkcode notePageDrawn} counts as drawn after this time. */
const MAX_WAIT_MS = 1_000;

const { promise: pageDrawn, resolve: notePageDrawn } = Promise.withResolvers<void>();

/** Notes that the first page shows its content, so that the rest of the code can be loaded. */
export { notePageDrawn };

/** Like `lazy` of React, but loads the code when the first page is drawn. */
// deno-lint-ignore no-explicit-any -- the props are those of the component
export function lazyAfterPage<Component extends ComponentType<any>>(
  load: () => Promise<{ default: Component }>,
) {
  return lazy(async () => {
    await afterPage();
    return await load();
  });
}

/** Resolves when the first page is drawn and the browser is idle. */
async function afterPage(): Promise<void> {
  await Promise.race([pageDrawn, new Promise((resolve) => setTimeout(resolve, MAX_WAIT_MS))]);
  // Safari has no requestIdleCallback.
  if (!("requestIdleCallback" in globalThis)) return;
  await new Promise((resolve) => requestIdleCallback(resolve, { timeout: MAX_WAIT_MS }));
}
