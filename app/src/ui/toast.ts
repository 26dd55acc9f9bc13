/**
 * Short messages at the edge of the page. The code that draws them is loaded after the page.
 *
 * @module
 */

import { describeError } from "../api/api_error.ts";
import type { ToastAction } from "./toast_region.tsx";

/** Shows a message for a few seconds, and reads it out to screen readers. */
export async function showToast(message: string, action?: ToastAction): Promise<void> {
  const { addToast } = await import("./toast_region.tsx");
  await addToast(message, action);
}

/** Shows what went wrong; for `onError` of mutations. */
export function showError(error: unknown): void {
  showToast(describeError(error));
}
