/**
 * A window over the page.
 *
 * @module
 */

import { lazy, Suspense } from "react";
import type { DialogProps } from "./dialog_window.tsx";

const DialogWindow = lazy(() => import("./dialog_window.tsx"));

/** Open for as long as it is rendered; keeps the focus inside, and Escape closes it. */
export function Dialog(props: DialogProps) {
  return (
    <Suspense>
      <DialogWindow {...props} />
    </Suspense>
  );
}
