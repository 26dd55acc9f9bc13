/**
 * What is drawn over every page: toasts and tooltips.
 *
 * @module
 */

import { HintLayer } from "./hint_layer.tsx";
import { ToastRegion } from "./toast_region.tsx";

/** The overlays; stand once in the app. The default export, so that they are loaded after the page. */
export default function Overlays() {
  return (
    <>
      <ToastRegion />
      <HintLayer />
    </>
  );
}
