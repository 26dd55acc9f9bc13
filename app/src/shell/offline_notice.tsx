/**
 * Says that the device has no network.
 *
 * @module
 */

import { onlineManager } from "@tanstack/react-query";
import { CloudOff } from "lucide-react";
import { useSyncExternalStore } from "react";
import { texts } from "../texts.ts";

/** A line above the page while the device is offline. */
export function OfflineNotice() {
  const isOnline = useSyncExternalStore(
    (listener) => onlineManager.subscribe(listener),
    () => onlineManager.isOnline(),
  );
  return (
    // Always rendered, because screen readers announce only changes.
    <p className="offline" role="status">
      {!isOnline && (
        <>
          <CloudOff size={16} aria-hidden /> {texts.app.offline}
        </>
      )}
    </p>
  );
}
