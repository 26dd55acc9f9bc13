/**
 * A window over the page.
 *
 * @module
 */

import { Suspense, useState } from "react";
import type { DialogProps } from "./dialog_window.tsx";
import { lazy } from "./lazy.ts";

const DialogWindow = lazy(() => import("./dialog_window.tsx"));

/** Open for as long as it is rendered; keeps the focus inside, and Escape closes it. */
export function Dialog(props: Omit<DialogProps, "opener">) {
  // Noted before the code of the window is there: until then the focus may have gone elsewhere.
  const [opener] = useState(() => document.activeElement);
  return (
    <Suspense>
      <DialogWindow {...props} opener={opener} />
    </Suspense>
  );
}
