/**
 * Says that the device has no network.
 *
 * @module
 */

import { onlineManager } from "@tanstack/react-query";
import { CloudOff } from "lucide-react";
import { useSyncExternalStore } from "react";
import { texts } from "../texts.ts";

/** A line above the page while there is none; reading goes on by itself when it is back. */
export function OfflineNotice() {
  const isOnline = useSyncExternalStore(
    (listener) => onlineManager.subscribe(listener),
    () => onlineManager.isOnline(),
  );
  return (
    // Always there, because screen readers say only what changes in it.
    <p className="offline" role="status">
      {!isOnline && (
        <>
          <CloudOff size={16} aria-hidden /> {texts.app.offline}
        </>
      )}
    </p>
  );
}
