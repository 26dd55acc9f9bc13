/**
 * A window over the page. The browser's own dialog keeps the focus inside and the page behind it still.
 *
 * @module
 */

import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useSyncExternalStore } from "react";
import { texts } from "../texts.ts";
import { IconButton } from "./button.tsx";

/** Those that are open, the one in front last. */
let open: readonly HTMLDialogElement[] = [];
const listeners = new Set<() => void>();

function setOpen(dialogs: readonly HTMLDialogElement[]): void {
  open = dialogs;
  for (const listener of listeners) listener();
}

/** The dialog in front. While there is one, nothing outside of it can be seen well, pressed or read out. */
export function useFrontDialog(): HTMLDialogElement | undefined {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => open.at(-1),
  );
}

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
    if (!element) return;
    if (!element.open) element.showModal();
    setOpen([...open, element]);
    return () => {
      setOpen(open.filter((other) => other !== element));
      element.close();
    };
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
      onClose={() => {
        // A browser closes it at the second Escape in a row, whatever it was told at the first. It goes when
        // it is no longer rendered, and then this is no longer called.
        if (!dialog.current || dialog.current.open) return;
        if (isDismissable) onClose();
        else dialog.current.showModal();
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
