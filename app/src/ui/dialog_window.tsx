/**
 * The window of a dialog, which keeps the focus inside.
 *
 * @module
 */

import { Dialog as BaseDialog } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { texts } from "../texts.ts";
import { IconButton } from "./icon_button.tsx";

/** What a dialog gets. */
export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  size?: "medium" | "large" | "media";
  /** False where Escape or a click outside would lose something. */
  isDismissable?: boolean;
  /** What had the focus when the dialog was opened, and gets it back. */
  opener: Element | null;
}

/** Open for as long as it is rendered. The default export, so that it is loaded when it is opened. */
export default function DialogWindow(
  { title, onClose, children, size = "medium", isDismissable = true, opener }: DialogProps,
) {
  return (
    <BaseDialog.Root
      open
      disablePointerDismissal={!isDismissable}
      onOpenChange={(isOpen) => {
        if (!isOpen && isDismissable) onClose();
      }}
    >
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className="dialog-backdrop" />
        <BaseDialog.Popup
          className={`dialog dialog-${size}`}
          finalFocus={() => opener instanceof HTMLElement && opener.isConnected ? opener : true}
        >
          <div className="dialog-body">
            <header className="dialog-header">
              <BaseDialog.Title>{title}</BaseDialog.Title>
              {isDismissable && (
                <BaseDialog.Close render={<IconButton label={texts.common.close} icon={X} />} />
              )}
            </header>
            {children}
          </div>
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  );
}
