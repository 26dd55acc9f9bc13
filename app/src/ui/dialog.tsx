/**
 * A window over the page. The browser's own dialog keeps the focus inside and the page behind it still.
 *
 * @module
 */

import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { texts } from "../texts.ts";
import { IconButton } from "./button.tsx";

/** Shown for as long as it is rendered. */
export function Dialog(
  { title, onClose, children, size = "medium", isDismissable = true }: {
    title: string;
    onClose: () => void;
    children: ReactNode;
    size?: "medium" | "large" | "media";
    /** False where something would be lost by a stray click. */
    isDismissable?: boolean;
  },
) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`dialog dialog-${size}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (isDismissable) onClose();
      }}
      onClick={(event) => {
        if (isDismissable && event.target === dialog.current) onClose();
      }}
    >
      <div className="dialog-body">
        <header className="dialog-header">
          <h2 id={id}>{title}</h2>
          {isDismissable && <IconButton label={texts.common.close} icon={X} onClick={onClose} />}
        </header>
        {children}
      </div>
    </dialog>
  );
}
